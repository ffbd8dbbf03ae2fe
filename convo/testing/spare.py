"""Stores in memory whose connections are used again, emptied: a new one has to prepare each statement anew.

That took longer than the steps of a short test.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

from convo.store import SqliteStore

MOST = 4
"""So many connections are kept for the next store."""

_spare: list[sqlite3.Connection] = []


class SpareStore(SqliteStore):
    """A store in memory, with nothing in it to begin with."""

    def __init__(self) -> None:
        """Make it."""
        super().__init__(":memory:")

    def _prepare(self) -> None:
        try:
            spare = _spare.pop()
        except IndexError:
            super()._prepare()
            return
        self._db.close()
        self._db = spare

    def save_to(self, path: Path) -> None:
        """Write what has been committed into a new file."""
        with self._lock, closing(sqlite3.connect(path)) as file:
            self._db.backup(file)

    def close(self) -> None:
        """Let go of everything that is in it; safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            used, self._db = self._db, _closed()
            try:
                _empty(used)
            except sqlite3.Error:
                used.close()
                return
        if len(_spare) < MOST:
            _spare.append(used)
        else:
            used.close()


@cache
def _closed() -> sqlite3.Connection:
    """Return a connection that refuses everything, as that of a store that is closed does."""
    made = sqlite3.connect(":memory:", check_same_thread=False)
    made.close()
    return made


def _empty(db: sqlite3.Connection) -> None:
    """Remove every row. No PRAGMA here: one that sets something expires what has been prepared."""
    if db.in_transaction:
        db.execute("ROLLBACK")
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    db.execute("BEGIN")
    for table in tables:
        db.execute(f'DELETE FROM "{table}"')  # noqa: S608 - the names of our own tables
    db.execute("COMMIT")
