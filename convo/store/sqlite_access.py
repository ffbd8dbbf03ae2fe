"""A SQLite connection as the store uses it: transactions, rows, and failures in words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from convo.errors import StoreError


class Asking:
    """Runs named statements of one schema, and returns what they find as dicts by column."""

    __slots__ = ("_columns", "_statements")

    def __init__(self, statements: Mapping[str, str]) -> None:
        self._statements = statements
        self._columns: dict[str, tuple[str, ...]] = {}

    def __call__(self, db: sqlite3.Connection, name: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """Run a statement. Raises: sqlite3.Error."""
        cursor = db.execute(self._statements[name], values)
        found = cursor.fetchall()
        if not found:
            return found
        columns = self._columns.get(name)
        if columns is None:
            columns = self._columns[name] = tuple(each[0] for each in cursor.description)
        return [dict(zip(columns, row, strict=True)) for row in found]


class Transaction:
    """One transaction that writes, behind the lock of its connection; undone where anything is raised."""

    __slots__ = ("_db", "_lock", "_path")

    def __init__(self, db: sqlite3.Connection, lock: threading.RLock, path: str) -> None:
        self._db = db
        self._lock = lock
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        """Begin."""
        self._lock.acquire()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException as wrong:
            self._lock.release()
            raise_told(self._path, wrong)
            raise
        return self._db

    def __exit__(
        self, kind: type[BaseException] | None, wrong: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit, or undo."""
        try:
            if wrong is None:
                self._db.execute("COMMIT")
                return
            self._undo()
        except BaseException as failed:
            self._undo()
            raise_told(self._path, failed)
            raise
        finally:
            self._lock.release()
        raise_told(self._path, wrong)

    def _undo(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")


def raise_told(path: str, wrong: BaseException) -> None:
    """Raise a StoreError in place of what SQLite or the system says; return where it is something else.

    Raises:
        StoreError: what the operator can do.
    """
    if isinstance(wrong, sqlite3.Error):
        raise StoreError(f"{path}: {told(wrong)}") from wrong
    if isinstance(wrong, OSError):
        raise StoreError(f"{path}: {(wrong.strerror or str(wrong)).lower()}") from wrong


@contextlib.contextmanager
def telling(path: str) -> Iterator[None]:
    """Turn what SQLite and the system say into what the operator can do."""
    try:
        yield
    except (sqlite3.Error, OSError) as wrong:
        raise_told(path, wrong)


def told(wrong: sqlite3.Error) -> str:
    """Return what the operator can do about it, else what SQLite says."""
    known = {
        "SQLITE_NOTADB": "this file is no database; name another file with --store",
        "SQLITE_CORRUPT": "the database is damaged; restore a copy, or move the file away to begin anew",
        "SQLITE_READONLY": "the file or its folder is read-only; convo must be able to write there",
        "SQLITE_FULL": "the disk is full; make room: a run then goes on, and nothing that was read is lost",
        "SQLITE_BUSY": "another program holds the database; close it and start again",
        "SQLITE_CANTOPEN": "the file cannot be opened; is its folder there, and may convo write to it?",
        "SQLITE_IOERR": "the disk does not do what it should",
    }
    name = getattr(wrong, "sqlite_errorname", "") or ""
    for code, text in known.items():
        if name.startswith(code):
            return text
    return str(wrong)


def make_private(path: Path) -> None:
    """Make a new file readable by its owner alone; SQLite gives its -wal and -shm the same mode."""
    if path.is_dir():
        raise StoreError(f"{path} is a folder; name a file with --store")
    if not path.exists():
        if not path.parent.is_dir():
            raise StoreError(f"{path}: there is no folder {path.parent}")
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
