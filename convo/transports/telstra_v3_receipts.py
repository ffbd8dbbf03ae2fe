"""What became of what we sent by v3: found by listing, seldom, and only while something is open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from convo.messages import Receipt, Status
from convo.transports.telstra_v3_answers import Entry
from convo.transports.telstra_v3_push import STATUS_OF

FIRST_LOOK = timedelta(seconds=10)
"""After a send: long enough for what Telstra answered to be stored before its receipt comes."""
SELDOM = timedelta(minutes=5)
GIVE_UP_AFTER = timedelta(hours=1)
"""Telstra tries for ten minutes (retryTimeout); receipts of other carriers may never come."""
UNTOLD_AFTER = timedelta(minutes=15)
"""Of what is ``sent`` by then, and whose delivery nobody asked to be told, Telstra says no more."""
TIMES = 2
"""So often a final status is told: the first time may be before what the send said was stored."""
MARGIN = timedelta(minutes=1)


class Receipts:
    """Which of our messages are open; threads may send and look.

    ``since`` is when the oldest open one was sent, None: none is; it is kept in the cursor, so that a
    restart goes on from there.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._told: dict[str, int] = {}
        self._sends = 0
        self._next_at: datetime | None = None
        self._wait = FIRST_LOOK
        self.since: datetime | None = None

    def resume(self, since: datetime | None) -> None:
        """Go on with what was open before this run."""
        with self._lock:
            if since is not None and (self.since is None or since < self.since):
                self.since = since

    def sent(self, now: datetime) -> None:
        """Something was handed over."""
        with self._lock:
            self._sends += 1
            self.since = self.since or now
            self._wait = FIRST_LOOK
            soon = now + FIRST_LOOK
            self._next_at = soon if self._next_at is None or self._next_at < now else min(self._next_at, soon)

    def due(self, now: datetime) -> datetime | None:
        """Return from when on to list, None where it is not time yet or nothing is open."""
        with self._lock:
            if self.since is None or (self._next_at is not None and now < self._next_at):
                return None
            return self.since - MARGIN

    def failed(self, now: datetime, wait: timedelta | None) -> None:
        """The listing did not work; texts matter more, so it is let be for a while."""
        with self._lock:
            self._next_at = now + max(wait or SELDOM, FIRST_LOOK)

    def look(self, listed: Callable[[], tuple[Entry, ...]], now: datetime) -> tuple[Receipt, ...]:
        """Return the receipts in a listing of what we sent, each final one in two looks."""
        with self._lock:
            sends = self._sends
        told: dict[str, int] = {}
        found: list[Receipt] = []
        open_since: datetime | None = None
        for each in listed():
            status = STATUS_OF.get(each.status, Status.SENT)
            if status is not Status.SENT:
                times = self._told.get(each.message_id, 0)
                told[each.message_id] = times + 1
                if not each.message_id or times >= TIMES:
                    continue
                found.append(Receipt(self._channel, each.message_id, status, None, each.raw))
            elif now - each.at > (GIVE_UP_AFTER if each.notified else UNTOLD_AFTER):
                continue
            if told.get(each.message_id, 0) < TIMES:
                open_since = each.at if open_since is None else min(open_since, each.at)
        with self._lock:
            self._told = told
            if self._sends == sends:
                self.since = open_since
                self._wait = FIRST_LOOK if found else min(self._wait * 2, SELDOM)
            self._next_at = now + self._wait
        return tuple(found)
