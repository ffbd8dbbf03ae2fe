"""A SQLite store opened to look at it, or to decide about its rows.

The command line opens the file apart from ``convo run``: read-only to look, so that nothing it does
can disturb the run.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from convo.errors import StoreError
from convo.store.ledger import Breach, audit
from convo.store.looking import Deciding, Looking
from convo.store.rows import Row
from convo.store.sqlfiles import migrations, statements
from convo.store.sqlite import APPLICATION_ID, BUSY_SECONDS
from convo.store.sqlite_access import Asking, telling, told

_SQL = statements("views.sql")


class SqliteViews(Looking):
    """Reads on one connection behind ``lock``; ``path`` names the store in messages."""

    def __init__(
        self, db: sqlite3.Connection, lock: AbstractContextManager[Any] | None = None, path: str = "the store"
    ) -> None:
        self._db = db
        self._ask = Asking(_SQL)
        self._lock = lock or threading.RLock()
        self._path = path

    def close(self) -> None:
        """Let go of the file; for views that were opened by themselves."""
        with suppress(sqlite3.Error):
            self._db.close()

    # -- soundness ----------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return what the database itself finds damaged, nothing where it is sound."""
        with self._lock, telling(self._path):
            return [row[0] for row in self._db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]

    def schema(self) -> int:
        """Return the version of the schema."""
        with self._lock, telling(self._path):
            return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def audit(self, now: datetime, examples: int = 20) -> list[Breach]:
        """Return every invariant of the ledger with how often it is broken, and some of the rows."""
        with self._snapshot():
            return audit(lambda sql, bound: self._db.execute(sql, bound).fetchall(), now, examples)

    def copy_to(self, path: Path) -> None:
        """Write a whole and compact copy of the store, as of this moment, to a file that is new."""
        with self._lock, telling(self._path):
            self._db.execute("VACUUM INTO ?", (str(path),))

    # -- inside -------------------------------------------------------------------------------------

    def _run(self, name: str, *values: object) -> list[Row]:
        with self._lock, telling(self._path):
            return self._ask(self._db, name, values)

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Let every statement see the same moment."""
        with self._lock, telling(self._path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                with suppress(sqlite3.Error):
                    self._db.execute("COMMIT")


class SqliteByHand(SqliteViews, Deciding):
    """What a person decides, beside what they see."""

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, telling(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise


@contextmanager
def open_views(path: str) -> Iterator[SqliteViews]:
    """Open a store that exists to look at it; ``convo run`` may be at work on it.

    Raises:
        StoreError: there is no such store, or it is not one that this convo can read.
    """
    views = SqliteViews(connect(path, "ro"), path=path)
    try:
        yield views
    finally:
        views.close()


@contextmanager
def open_by_hand(path: str) -> Iterator[SqliteByHand]:
    """Open a store that exists to decide about its rows. Raises as ``open_views``."""
    desk = SqliteByHand(connect(path, "rw"), path=path)
    try:
        yield desk
    finally:
        desk.close()


def connect(path: str, mode: str) -> sqlite3.Connection:
    """Connect to a store that is there, to read (``ro``) or to write (``rw``). Raises as ``open_views``."""
    if path == "memory":
        raise StoreError("a store in memory ends with its process; name a file with --store")
    if not Path(path).is_file():
        raise StoreError(f"{path}: there is no such store; name one with --store (convo run makes it)")
    uri = f"file:{quote(str(Path(path).absolute()))}?mode={mode}"
    try:
        try:
            return _recognised(uri, path)
        except sqlite3.OperationalError:
            # A folder that we may not write to, and no run at work: the file is all there is.
            if mode != "ro" or Path(path + "-wal").exists():
                raise
            return _recognised(uri + "&immutable=1", path)
    except sqlite3.Error as wrong:
        raise StoreError(f"{path}: {told(wrong)}") from wrong


def _recognised(uri: str, path: str) -> sqlite3.Connection:
    """Connect, and see that it is a store of ours with the schema that the statements are made for."""
    db = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if owner != APPLICATION_ID:
            raise StoreError(f"{path} is no store of convo's; name another file with --store")
        known = len(migrations())
        if version > known:
            raise StoreError(
                f"{path} was written by a newer convo (schema {version}; this one knows {known})"
            )
        if version < known:
            raise StoreError(
                f"{path} has the schema of an older convo ({version}; this one has {known});"
                " the next convo run brings it up to date"
            )
    except BaseException:
        db.close()
        raise
    return db
