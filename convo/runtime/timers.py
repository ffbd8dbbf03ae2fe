"""Which due timers may fire now: an answer that was sent before a deadline goes before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from convo.engine.conversation import TimerFired
from convo.engine.timing import chosen
from convo.messages import Address
from convo.store.base import Result, Store, Waiting

PUSH_GRACE = timedelta(minutes=1)
"""How long a timer of a channel that is pushed to waits for a text that is on its way."""

DEAD_GRACE = timedelta(minutes=10)
"""How long a timer waits for a channel that cannot be polled; then the silence counts."""

LOOK_AGAIN = timedelta(seconds=1)

BATCH = 256
"""The most timers that are stepped and committed together."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a channel's texts: when it was last polled without error, or that it is pushed.

    ``since`` is when we began to listen: what was sent while nobody did may still be on its way.
    """

    polled_at: datetime | None = None
    pushed: bool = False
    since: datetime | None = None

    def covers(self, due_at: datetime, now: datetime) -> bool:
        """Return whether every text sent before ``due_at`` can be taken to be here."""
        heard_from = due_at if self.since is None else max(due_at, self.since)
        if self.pushed:
            return now >= heard_from + PUSH_GRACE
        polled = self.polled_at is not None and self.polled_at >= due_at
        return polled or now >= heard_from + DEAD_GRACE


Hearing = Callable[[str], Heard]
"""Says of a channel what is known of its texts."""


@dataclass(frozen=True, slots=True)
class Due:
    """Timers to be stepped, results for those that are left out, and when to look again."""

    fire: tuple[Waiting, ...]
    dropped: tuple[Result, ...]
    next_at: datetime | None


def due_timers(
    store: Store,
    hearing: Hearing,
    channels: Sequence[str],
    now: datetime,
    held: frozenset[int] = frozenset(),
) -> Due:
    """Return which timers are to be stepped now; those ``held`` are left where they are.

    Of several that are overdue in one state the last reminder speaks, and giving up beats reminders.
    """
    next_at = store.next_timer()
    if next_at is None or next_at > now:
        return Due((), (), next_at)
    rows = [row for row in store.due(now, BATCH + len(held)) if row.id not in held]
    groups: dict[tuple[str, Address, int], list[Waiting]] = {}
    heard = {channel: hearing(channel) for channel in {row.channel for row in rows} & set(channels)}
    for row in rows:
        event = row.event
        if not isinstance(event, TimerFired) or row.channel not in channels:
            continue
        if not heard[row.channel].covers(event.due_at, now):
            continue
        groups.setdefault((row.channel, row.sender, event.entry), []).append(row)
    fire: list[Waiting] = []
    dropped: list[Result] = []
    for group in groups.values():
        events = {id(row.event): row for row in group}
        kept = [events[id(event)] for event in chosen([_fired(row) for row in group])]
        fire += kept
        dropped += [Result(row) for row in group if row not in kept]
    # One that is due and not stepped waits for something that nobody tells us of.
    return Due(tuple(fire), tuple(dropped), None if fire or dropped else now + LOOK_AGAIN)


def _fired(row: Waiting) -> TimerFired:
    if not isinstance(row.event, TimerFired):
        raise AssertionError("a due row is a timer")
    return row.event
