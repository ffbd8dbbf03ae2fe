"""Which chats to try so that every transition of a flow is taken: few of them, each worth reading."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from heapq import heappop, heappush

from convo.analysis.moves import Waits
from convo.analysis.walk import Hop, Point, Walk
from convo.engine.machine import Does, MachineRow

LONGEST = 18
"""So many moves make a chat that still reads well."""

_CHEAP, _DEAR = 3, 4
"""What a move costs where ways are compared: less where it takes something new."""

REACH = 3
"""So many moves are made to come to one more transition, before a new chat is begun for it."""


class Plan:
    """Chooses chats on the points that a walk has found."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.rows: dict[str, MachineRow] = {}
        for row in walk.machine:
            self.rows.setdefault(row.taken, row)
        wrong = (Does.SORRY,)
        self.wrong = {name for name, row in self.rows.items() if row.take and row.take.does in wrong}
        self.wrong |= {name for name, row in self.rows.items() if row.name == "wrong"}

    def farthest(self, left: Collection[str]) -> str | None:
        """Return the transition among those left that the shortest chat takes longest to reach."""
        found = [name for name in self.rows if name in left and name in self.walk.taken]
        return max(found, key=self._depth, default=None)

    def shortest(self, target: str) -> list[Hop]:
        """Return the shortest chat that takes a transition."""
        hop = self.walk.taken[target]
        return [*self.walk.path(hop.source), hop]

    def in_language(self, language: str) -> list[Hop]:
        """Return the longest of the shortest chats that come to an end in a language."""
        points = [each for each in self.walk.points if each.spot.conversation is not None]
        ended = [each for each in points if each.via is not None and not each.spot.is_open]
        found = [each for each in ended if _language(each) == language]
        longest = max(found, key=lambda each: each.depth, default=None)
        return self.walk.path(longest.number) if longest is not None else []

    def chat(self, target: str, left: Collection[str]) -> list[Hop]:
        """Return a chat that takes a transition, and others that are left on its way and just behind it."""
        unseen = set(left)
        found: list[Hop] = []
        path = self._way(target, unseen)
        for index, hop in enumerate(path):
            spare = LONGEST - len(found) - (len(path) - index)
            for detour in self._detours(self.walk.points[hop.source], unseen, spare):
                found.append(detour)
                unseen -= set(detour.outcome.took)
            if hop is path[-1] and target not in unseen and found:
                break  # a detour has taken it already
            found.append(hop)
            unseen -= set(hop.outcome.took)
        while len(found) < LONGEST:
            further = self._nearest(found[-1].dest, unseen)
            if not further:
                break
            for hop in further:
                found.append(hop)
                unseen -= set(hop.outcome.took)
        return found

    def _way(self, target: str, unseen: set[str]) -> list[Hop]:
        """Return a short way to a transition, of several the one that takes most of what is unseen."""
        costs = {point.number: 0 for point in self.walk.points if point.via is None}
        vias: dict[int, Hop] = {}
        waiting = [(0, number) for number in costs]
        while waiting:
            cost, number = heappop(waiting)
            if cost > costs[number]:
                continue
            for hop in self.walk.points[number].hops:
                if hop.outcome.fault is not None:
                    continue
                if target in hop.outcome.took:
                    return [*_path(vias, number), hop]
                further = cost + (_CHEAP if unseen & set(hop.outcome.took) else _DEAR)
                if further < costs.get(hop.dest, further + 1):
                    costs[hop.dest] = further
                    vias[hop.dest] = hop
                    heappush(waiting, (further, hop.dest))
        return self.shortest(target)

    def _depth(self, name: str) -> int:
        return self.walk.points[self.walk.taken[name].source].depth

    def _detours(self, point: Point, unseen: set[str], spare: int) -> Iterator[Hop]:
        """Yield moves that take something and stay at the point, but for a try spent or a timer fired."""
        here = point
        for _ in range(max(0, spare)):
            hop = next((each for each in self._ways(here) if self._stays(point, each, unseen)), None)
            if hop is None:
                return
            yield hop
            unseen = unseen - set(hop.outcome.took)
            here = self.walk.points[hop.dest]

    def _stays(self, point: Point, hop: Hop, unseen: set[str]) -> bool:
        dest = self.walk.points[hop.dest]
        takes = unseen & set(hop.outcome.took)
        return dest.main == point.main and bool(takes) and hop.outcome.fault is None

    def _nearest(self, start: int, unseen: set[str]) -> list[Hop]:
        """Return the fewest moves that take something unseen, [] where that would be too many."""
        waiting: deque[tuple[int, list[Hop]]] = deque([(start, [])])
        seen = {start}
        while waiting:
            here, path = waiting.popleft()
            if len(path) >= REACH:
                continue
            for hop in self._ways(self.walk.points[here]):
                if hop.outcome.fault is not None:
                    continue
                if unseen & set(hop.outcome.took):
                    return [*path, hop]
                if hop.dest not in seen:
                    seen.add(hop.dest)
                    waiting.append((hop.dest, [*path, hop]))
        return []

    def _ways(self, point: Point) -> Iterator[Hop]:
        """Yield what may follow: where tries are spent or timers fired, what does not depend on them too."""
        yield from point.hops
        if point.main != point.number:
            for hop in self.walk.points[point.main].hops:
                if not isinstance(hop.move, Waits) and not self.wrong & set(hop.outcome.took):
                    yield hop


def _path(vias: dict[int, Hop], number: int) -> list[Hop]:
    found = []
    while number in vias:
        found.append(vias[number])
        number = vias[number].source
    return found[::-1]


def _language(point: Point) -> str:
    at = point.spot.conversation
    return at.language if at is not None else ""


def name_of(row: MachineRow, count: int) -> str:
    """Return the name of a chat that was made for a transition and takes ``count`` new ones."""
    label = row.trigger.strip("()")
    more = f" and {count - 1} more" if count > 1 else ""
    state = row.source.replace("/", ", ")
    return f"{state}, {label}{more}"
