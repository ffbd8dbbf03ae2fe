"""The loop that removes, once a day, what is older than a store is to keep."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from convo.runtime.log import count
from convo.store.base import Store
from convo.store.removed import Removed

EVERY = timedelta(days=1)
CHUNK = 200
"""So many conversations at most go in one transaction: texts are answered between two of them."""

_log = logging.getLogger(__name__)


class Retention:
    """Removes conversations in which nothing has happened for ``keep``; at the start, then once a day."""

    def __init__(self, store: Store, keep: timedelta) -> None:
        self._store = store
        self._keep = keep
        self._next_at: datetime | None = None
        self._removed = Removed()

    def once(self, now: datetime) -> datetime | None:
        """Remove the next few if it is time; return when to be called again.

        Raises:
            StoreError: nothing of these few was removed; the next call tries again.
        """
        # Further away than a day it can only be by a clock that was set back.
        if self._next_at is not None and now < self._next_at <= now + EVERY:
            return self._next_at
        removed = self._store.prune(now - self._keep, now, CHUNK)
        self._removed += removed
        if removed:
            return now
        if self._removed:
            _log.info(
                "retention: %s and %s older than %s removed",
                count(self._removed.conversations, "conversation"),
                count(self._removed.texts, "text"),
                count(self._keep.days, "day") if self._keep.days else str(self._keep),
            )
        self._removed = Removed()
        self._next_at = now + EVERY
        return self._next_at


def prune_all(store: Store, keep: timedelta, now: datetime) -> Removed:
    """Remove at once all that is older than ``keep``.

    Raises:
        StoreError: what is left of it could not be removed.
    """
    removed = Removed()
    while part := store.prune(now - keep, now, CHUNK):
        removed += part
    return removed
