"""Pushes that come at the same time are one commit: the disk takes no longer for six than for one."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from convo.clock import Clock
from convo.runtime.receive import keep_texts
from convo.store.base import Store
from convo.transports.base import Batch


class Together:
    """Puts batches into the inbox; threads that call at once share a transaction, and its failure."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: dict[str, list[tuple[Batch, Future[int]]]] = {}

    def keep(self, channel: str, batch: Batch) -> int:
        """Return, once ``batch`` is safe, how many texts of the commit were new.

        Raises:
            StoreError: it is not stored.
        """
        done: Future[int] = Future()
        with self._lock:
            self._waiting.setdefault(channel, []).append((batch, done))
        with self._turn:
            if not done.done():
                self._commit(channel)
        return done.result()

    def _commit(self, channel: str) -> None:
        with self._lock:
            calls = self._waiting.pop(channel)
        whole = Batch(
            messages=tuple(one for batch, _ in calls for one in batch.messages),
            unreadable=tuple(one for batch, _ in calls for one in batch.unreadable),
        )
        try:
            new = keep_texts(self._store, channel, whole, self._clock.now(), "pushed to").new
        except BaseException as problem:
            for _, done in calls:
                done.set_exception(problem)
        else:
            for _, done in calls:
                done.set_result(new)
