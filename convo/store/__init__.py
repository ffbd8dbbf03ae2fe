"""The memory: what convo knows of every sender, in rows that survive it."""

from __future__ import annotations

from pathlib import Path

from convo.store.base import Store
from convo.store.sqlite import SqliteStore

__all__ = ["SqliteStore", "Store", "open_store"]


def open_store(spec: str | Path) -> SqliteStore:
    """Return the store that ``spec`` names: ``memory``, or the path of a SQLite file.

    Raises:
        StoreError: it cannot be opened.
    """
    return SqliteStore(":memory:" if str(spec) == "memory" else Path(spec))
