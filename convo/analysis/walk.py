"""A walk over all that can happen to a conversation, nearest things first, by letting it happen.

Points are told apart by state, tries, timers that still wait, language, the question answered before, and
the data that may decide something from there on: numbers by the constants that they are compared with.
Every move is made by the engine, so what is found is a chat that anybody can repeat.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from convo.analysis.guesses import Guesses
from convo.analysis.live import Live, live
from convo.analysis.moves import CHANNEL, Move, Outcome, Says, Spot, Waits, chat_of, happen
from convo.engine.conversation import Received
from convo.engine.machine import CompiledFlow, MachineRow, rows
from convo.engine.opening import ChannelFlows
from convo.engine.turn import Turn
from convo.errors import ConvoError, Fault
from convo.flow.model import Flow
from convo.flow.values import Choice, Value

START = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
"""When the chats take place: where the clock of transcripts stands, too."""

MOST_STEPS = 20_000
"""So many moves are made at most."""

MOST_POINTS = 120
"""So many points of one state, told apart by data, are gone on from."""

FAR = 40
"""A number that begins no further than this from what it is compared with is counted all the way."""

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Hop:
    """A move that was made: from the point ``source`` to ``dest``, by their numbers."""

    source: int
    dest: int
    move: Move
    outcome: Outcome


@dataclass(slots=True)
class Point:
    """Where chats have come to. ``main`` is the point like it without tries spent or timers fired."""

    number: int
    spot: Spot
    via: Hop | None
    depth: int
    main: int
    hops: list[Hop] = field(default_factory=list)


@dataclass(slots=True)
class Walk:
    """What was found: points, the first hop that took each transition, and whether a bound cut it short."""

    compiled: CompiledFlow
    machine: list[MachineRow]
    live: Live
    points: list[Point] = field(default_factory=list)
    taken: dict[str, Hop] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    faults: list[Hop] = field(default_factory=list)
    steps: int = 0
    cut: str = ""

    @property
    def missed(self) -> list[MachineRow]:
        """The transitions that no chat was found for."""
        return [row for row in self.machine if row.taken not in self.taken]

    def path(self, point: int) -> list[Hop]:
        """Return the shortest way to a point."""
        found = []
        via = self.points[point].via
        while via is not None:
            found.append(via)
            via = self.points[via.source].via
        return found[::-1]

    def chat(self, last: Hop | None) -> tuple[str, ...]:
        """Return the shortest chat that ends with a hop."""
        if last is None:
            return ()
        return chat_of([(hop.move, hop.outcome) for hop in (*self.path(last.source), last)])

    def chat_to(self, point: int) -> tuple[str, ...]:
        """Return the shortest chat that leads to a point."""
        return chat_of([(hop.move, hop.outcome) for hop in self.path(point)])

    def hops(self) -> Iterator[Hop]:
        """Yield every hop, the nearest first."""
        for point in self.points:
            yield from point.hops

    @property
    def bound(self) -> str:
        """How far the walk went, in words."""
        seen = f"{len(self.points) - 1} points, {self.steps} moves"
        return f"{seen}; cut short: {self.cut}" if self.cut else seen


def walk(
    compiled: CompiledFlow,
    *,
    start: datetime = START,
    at_least: int = 0,
    watch: frozenset[str] = frozenset(),
    most_steps: int = MOST_STEPS,
) -> Walk:
    """Walk until every transition was taken and ``at_least`` moves were made, or nothing new is found.

    ``watch`` are paths of data of which it matters whether they are set.
    """
    machine = rows(compiled)
    walking = _Walking(Walk(compiled, machine, live(compiled, machine)), watch, most_steps)
    walking.go(start, at_least)
    return walking.found


class _Walking:
    def __init__(self, found: Walk, watch: frozenset[str], most_steps: int) -> None:
        self.found = found
        self.compiled = found.compiled
        self.watch = watch
        self.most_steps = most_steps
        self.guesses = Guesses(found.compiled, found.live)
        name = found.compiled.flow.name
        self.flows = ChannelFlows(CHANNEL, {name: found.compiled}, name)
        self.left = {row.taken for row in found.machine}
        self.known: dict[Key, int] = {}
        self.mains: dict[Key, int] = {}
        self.of_state: Counter[str] = Counter()
        self.waiting: deque[int] = deque()
        states = found.compiled.flow.states.values()
        self.goes_back = any(each.question is not None and each.question.back is not None for each in states)
        self.range = _range(found.live, found.compiled.flow)

    def go(self, start: datetime, at_least: int) -> None:
        found = self.found
        for spot in self.guesses.roots(start):
            number = len(found.points)
            found.points.append(Point(number, spot, None, 0, number))
            self.waiting.append(number)
        while self.waiting:
            if not self.left and found.steps >= at_least:
                return
            if found.steps >= self.most_steps:
                found.cut = f"at {self.most_steps} moves"
                return
            self._expand(found.points[self.waiting.popleft()])

    def _expand(self, point: Point) -> None:
        is_main = point.main == point.number
        for move in self.guesses.moves(point.spot, main=is_main):
            self.found.steps += 1
            try:
                outcome = happen(self.flows, point.spot, move)
            except ConvoError:
                continue  # made up data that cannot be given, or a text that opens nothing
            if isinstance(move, Waits) and not outcome.steps and not outcome.waited:
                continue
            hop = self._hop(point, move, outcome)
            point.hops.append(hop)
            for name in outcome.took:
                self.found.taken.setdefault(name, hop)
                self.left.discard(name)
            if outcome.fault is not None:
                self.found.faults.append(hop)

    def _hop(self, point: Point, move: Move, outcome: Outcome) -> Hop:
        """Return the hop, having put the point that it leads to among the known ones."""
        spot = outcome.spot
        main_key = self._main_key(spot)
        key = (main_key, self._side_key(spot))
        number = self.known.get(key)
        if number is not None:
            return Hop(point.number, number, move, outcome)
        number = len(self.found.points)
        hop = Hop(point.number, number, move, outcome)
        main = self.mains.setdefault(main_key, number)
        self.known[key] = number
        self.found.points.append(Point(number, spot, hop, point.depth + 1, main))
        self.found.states.setdefault(spot.state, number)
        if main == number:
            self.of_state[spot.state] += 1
        if self.of_state[spot.state] > MOST_POINTS:
            self.found.cut = f"at {MOST_POINTS} points of the state '{spot.state}'"
        else:
            self.waiting.append(number)
        return hop

    # -- which points are the same ------------------------------------------------------------------

    def _main_key(self, spot: Spot) -> Key:
        at = spot.conversation
        if at is None:
            return (spot.who, "", spot.opted_out)
        tries = min(at.tries, 5) if "tries" in self.found.live.built_in else 0
        back = at.trail[-1:] if self.goes_back else ()
        watched = tuple(sorted(path for path in self.watch if path in at.data))
        phase = self.guesses.phase(spot.clock)
        return (spot.who, at.state, at.ended, at.language, back, tries, watched, phase, *self._data(spot))

    def _side_key(self, spot: Spot) -> Key:
        at = spot.conversation
        state = self.compiled.flow.states.get(spot.state)
        counts = state is not None and state.question is not None and state.question.tries is not None
        tries = at.tries if at is not None and counts else 0
        due = sorted(spot.timers, key=lambda timer: (timer.due_at, timer.name))
        return (tries, tuple(timer.name for timer in due))

    def _data(self, spot: Spot) -> Iterator[object]:
        at = spot.conversation
        alive = self.found.live.waiting.get(spot.state)
        if at is None or not alive:
            return
        for path in sorted(alive):
            if path in at.data:
                yield path, self._abstract(path, at.data[path])
        tests = self.found.live.tests_of(spot.state)
        if not tests:
            return
        event = Received("", spot.clock, spot.clock)
        scene = Turn(self.compiled, at, event, spot.clock, spot.clock, []).model.scene
        for index, test in enumerate(tests):
            if len(test.paths) == 1 and not self._is_vague(at.data.get(next(iter(test.paths)))):
                continue  # the value itself tells
            try:
                yield index, test.expression.evaluate(scene.names(test.scope))
            except Fault:
                continue

    def _abstract(self, path: str, value: Value) -> object:
        if isinstance(value, bool | Choice | str | tuple):
            return str(value)
        if isinstance(value, int | Decimal):
            low, high = self.range.get(path, self.range[""])
            return max(low, min(high, value))
        return "set"

    def _is_vague(self, value: Value | None) -> bool:
        return value is None or not isinstance(value, bool | str | tuple | int | Decimal)


def _range(known: Live, flow: Flow) -> dict[str, tuple[Decimal, Decimal]]:
    """Return between which values a number matters: from 0 to just beyond what it is compared with.

    Where a number begins beyond that, its first value is the end: what counts down from it arrives.
    """
    found: dict[str, tuple[Decimal, Decimal]] = {}
    every: list[Decimal] = [Decimal(0), Decimal(1)]
    for path, texts in known.constants.items():
        numbers = [Decimal(text) for text in texts if text.replace(".", "", 1).isdecimal()]
        every += numbers
        if numbers:
            low, high = min(*numbers, Decimal(1)) - 1, max(numbers) + 1
            datum = flow.data.get(path)
            first = datum.first if datum is not None else None
            if (
                isinstance(first, int | Decimal)
                and not isinstance(first, bool)
                and low - FAR <= first <= high + FAR
            ):
                low, high = min(low, Decimal(first)), max(high, Decimal(first))
            found[path] = (low, high)
    found[""] = (min(every) - 1, max(every) + 1)
    return found


def says(hop: Hop) -> str:
    """Return what the sender wrote in a hop, "" where it was something else."""
    return hop.move.text if isinstance(hop.move, Says) else ""
