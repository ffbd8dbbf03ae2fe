"""What a run has committed since its start, counted at the door of the store, for whoever asks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import cast

from convo.messages import Inbound, Status, Unreadable
from convo.store.base import Accepted, Expired, LastLook, OutboxRow, Result, Settlement, Store


class Tally:
    """Counts by name, channel and detail; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, name: str, channel: str, detail: str = "", by: int = 1) -> None:
        """Count ``by`` more of something."""
        with self._lock:
            self._counts[name, channel, detail] += by

    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """Return what was counted so far: name, channel and detail, and how often."""
        with self._lock:
            return dict(self._counts)


def counted(store: Store, tally: Tally) -> Store:
    """Return ``store`` with ``tally`` taking note of every commit that succeeded.

    ``received`` by new, duplicate and unreadable; ``stepped``, and ``set_aside`` for rows that no flow could
    step; ``outbound`` by the status in which a hand-over ended (``retried``: it will be tried again).
    """
    return cast(Store, _Counted(store, tally))


class _Counted:
    """A store in front of another; what is not counted goes straight through."""

    def __init__(self, store: Store, tally: Tally) -> None:
        self._store = store
        self._tally = tally
        self._channels: dict[int, str] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    @contextmanager
    def fenced(self, *partitions: int) -> Iterator[Store]:
        within = Tally()
        with self._store.fenced(*partitions) as store:
            yield counted(store, within)
        for (name, channel, detail), by in within.counts().items():
            self._tally.add(name, channel, detail, by)

    def accept(
        self,
        channel: str,
        messages: Sequence[Inbound],
        *,
        cursor: str | None,
        now: datetime,
        unreadable: Sequence[Unreadable] = (),
    ) -> Accepted:
        accepted = self._store.accept(channel, messages, cursor=cursor, now=now, unreadable=unreadable)
        self._tally.add("received", channel, "new", accepted.new)
        self._tally.add("received", channel, "duplicate", accepted.duplicates)
        self._tally.add("received", channel, "unreadable", len(unreadable))
        return accepted

    def commit(self, results: Sequence[Result], now: datetime) -> None:
        self._store.commit(results, now)
        for result in results:
            channel = result.waiting.channel
            self._tally.add("stepped", channel, by=len(result.steps))
            if result.dead is not None:
                self._tally.add("set_aside", channel)

    def mark_sending(
        self,
        channel: str,
        now: datetime,
        limit: int,
        allows: Callable[[LastLook], str | None],
        *,
        after_unknown: bool = True,
    ) -> list[OutboxRow]:
        stopped: list[Status] = []

        def last_look(look: LastLook) -> str | None:
            reason = allows(look)
            if reason is not None:
                stopped.append(Status.EXPIRED if isinstance(reason, Expired) else Status.BLOCKED)
            return reason

        rows = self._store.mark_sending(channel, now, limit, last_look, after_unknown=after_unknown)
        for status in stopped:
            self._tally.add("outbound", channel, status)
        self._channels |= {row.outbound.id: channel for row in rows}
        return rows

    def unknown(self, channel: str, before: datetime, limit: int) -> list[OutboxRow]:
        rows = self._store.unknown(channel, before, limit)
        self._channels |= {row.outbound.id: channel for row in rows}
        return rows

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> None:
        self._store.settle(settlements, now)
        for each in settlements:
            channel = self._channels.pop(each.id, None)
            if channel is not None:
                detail = "retried" if each.status is Status.QUEUED else str(each.status)
                self._tally.add("outbound", channel, detail)
