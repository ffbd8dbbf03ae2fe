"""A whole store copied into an empty one of another kind, or of the same: every row, and every id.

Both kinds have the same tables and columns, PostgreSQL's a partition beside them: rows go as they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from convo.errors import ConfigError, StoreError
from convo.store.address import is_postgres, shown
from convo.store.rows import storable, stored
from convo.store.sqlfiles import migrations
from convo.store.sqlite import SqliteStore
from convo.store.sqlite_access import telling
from convo.store.sqlite_views import connect

CHUNK = 2_000
"""So many rows are in memory at a time."""

PERSON = {
    "inbox": "sender",
    "conversations": "sender",
    "journal": "sender",
    "outbox": "recipient",
    "timers": "sender",
    "consent": "number",
    "calls": "sender",
}
"""The column that says to whom a row belongs, in the tables that are divided into partitions."""

Values = Sequence[Any]


class Source(Protocol):
    """What is copied, as of one moment."""

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Values]:
        """Yield every row of a table."""
        ...

    def last_id(self, table: str) -> int:
        """Return the highest id that the table has ever given."""
        ...


class Target(Protocol):
    """Where it goes, in one transaction."""

    def count(self, table: str) -> int:
        """Return how many rows are in a table."""
        ...

    def write(self, table: str, columns: Sequence[str], rows: Iterator[Values]) -> int:
        """Write rows; return how many."""
        ...

    def go_on_after(self, table: str, last: int) -> None:
        """Have the next id of a table be higher than ``last``."""
        ...


@cache
def tables() -> Mapping[str, tuple[str, ...]]:
    """Return the tables of a store with their columns, as the schema of today has them."""
    db = sqlite3.connect(":memory:")
    try:
        for script in migrations():
            db.executescript(script)
        found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        return {
            name: tuple(column for (column,) in db.execute("SELECT name FROM pragma_table_info(?)", (name,)))
            for (name,) in found.fetchall()
        }
    finally:
        db.close()


def copy_store(source: str, target: str) -> Mapping[str, int]:
    """Copy a store into one that is new or empty; return how many rows each table has.

    Nothing of it is there unless all of it is.

    Raises:
        StoreError: the source is no store, or a run is at work on it; the target holds something.
    """
    if "memory" in (source, target):
        raise ConfigError("a store in memory ends with its process; name a file, or a database")
    with ExitStack() as ends:
        opened = ends.enter_context(_source(source))
        made = ends.enter_context(_target(target))
        full = [table for table in tables() if made.count(table)]
        if full:
            raise StoreError(f"{shown(target)} holds something already ({full[0]}); name a new store")
        counts = {}
        for table, columns in tables().items():
            counts[table] = made.write(table, columns, opened.rows(table, columns))
            if made.count(table) != counts[table]:
                raise StoreError(f"{shown(target)}: {table} does not hold what was copied; nothing was kept")
            if "id" in columns:
                made.go_on_after(table, opened.last_id(table))
    return counts


def _source(spec: str) -> AbstractContextManager[Source]:
    if is_postgres(spec):
        from convo.store.postgres_copying import source

        return source(spec)
    return _from_file(spec)


def _target(spec: str) -> AbstractContextManager[Target]:
    if is_postgres(spec):
        from convo.store.postgres_copying import target

        return target(spec)
    return _into_file(Path(spec))


# -- SQLite ---------------------------------------------------------------------------------------------


class _File:
    """A SQLite store within a transaction, at either end."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Values]:
        """Yield every row of a table."""
        plain = _plain(table)
        for row in self._db.execute(f"SELECT {', '.join(columns)} FROM {table}"):  # noqa: S608 - our own names
            yield [plain(value) for value in row]

    def last_id(self, table: str) -> int:
        """Return the highest id that the table has ever given."""
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return int(found[0]) if found else 0

    def count(self, table: str) -> int:
        """Return how many rows are in a table."""
        return int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - our own names

    def write(self, table: str, columns: Sequence[str], rows: Iterator[Values]) -> int:
        """Write rows; return how many."""
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own names
        written = 0
        while chunk := list(islice(rows, CHUNK)):
            self._db.executemany(
                statement, [[storable(v) if isinstance(v, str) else v for v in row] for row in chunk]
            )
            written += len(chunk)
        return written

    def go_on_after(self, table: str, last: int) -> None:
        """Have the next id of a table be higher than ``last``."""
        self._db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        self._db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))


def _plain(table: str) -> Any:
    """Return what makes a value of SQLite's a plain one: a text that is not UTF-8 is kept as bytes there."""
    return (lambda value: value) if table == "secrets" else stored


@contextmanager
def _from_file(path: str) -> Iterator[Source]:
    db = connect(path, "ro")
    try:
        with telling(path), _alone(path):
            db.execute("BEGIN")
            yield _File(db)
    finally:
        db.close()


@contextmanager
def _alone(path: str) -> Iterator[None]:
    """See that no run is at work on a file: what it wrote later would be missing in the copy."""
    store = SqliteStore(path)
    try:
        store.lock_for_run()
        yield
    finally:
        store.close()


@contextmanager
def _into_file(path: Path) -> Iterator[Target]:
    there = path.exists()
    store = SqliteStore(path)
    try:
        store.lock_for_run()
        with store.transaction() as db:
            yield _File(db)
    except BaseException:
        store.close()
        if not there:
            for each in ("", "-wal", "-shm", ".lock"):
                Path(f"{path}{each}").unlink(missing_ok=True)
        raise
    finally:
        store.close()
