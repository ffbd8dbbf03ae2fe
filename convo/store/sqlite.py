"""The memory in one SQLite file (WAL, synchronous=FULL), or in this process alone.

Each method is one transaction on one connection behind a lock. The statements stand, named, in
``sql/statements.sql``, the schema in numbered files beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convo.errors import StoreError
from convo.messages import Address, Inbound, Receipt, Unreadable
from convo.store.base import (
    Accepted,
    LastLook,
    Opening,
    OutboxRow,
    Result,
    Settlement,
    Store,
)
from convo.store.forgotten import Vanished, not_seen, recall, still_there
from convo.store.leaving import look_over
from convo.store.past import day
from convo.store.reading import Reading
from convo.store.removed import Removed
from convo.store.rows import (
    Row,
    stamp,
    storable,
)
from convo.store.sqlfiles import migrations, statements
from convo.store.sqlite_access import Asking, Transaction, make_private, raise_told, telling
from convo.store.written import SPENT_KEPT, TAKEN, requests, settled, texts, written

if TYPE_CHECKING:
    from convo.store.sqlite_views import SqliteViews

APPLICATION_ID = 0x434F4E56
"""Marks the file as convo's: the letters CONV in SQLite's header."""

_SQL = statements("statements.sql", "privacy.sql")

BUSY_SECONDS = 10.0
"""How long a statement waits for another process before it gives up."""


class SqliteStore(Reading):
    """A store in one file; ``":memory:"`` keeps it in this process."""

    divided = False

    def __init__(self, path: Path | str) -> None:
        """Open or make the store, bringing an older schema up to date.

        Raises:
            StoreError: it cannot be opened, is no store of convo's, or is newer than this convo.
        """
        self.path = str(path)
        self._lock = threading.RLock()
        self._run_lock: int | None = None
        self._closed = False
        self._ask = Asking(_SQL)
        with telling(self.path):
            if self.path != ":memory:":
                make_private(Path(self.path))
            self._db = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    # -- opening ------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (owner,) = self._db.execute("PRAGMA application_id").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and owner != APPLICATION_ID:
            raise StoreError(
                f"{self.path} is the database of another program; name another file with --store"
            )
        scripts = migrations()
        if version > len(scripts):
            raise StoreError(
                f"{self.path} was written by a newer convo (schema {version}; this one knows"
                f" {len(scripts)}); install that version, or name another file with --store"
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        if self.path == ":memory:":
            with _EMPTY_LOCK:
                _empty().backup(self._db)
        else:
            _migrate(self._db, version)

    def lock_for_run(self) -> None:
        """Make this process the one that runs on the file.

        Raises:
            StoreError: another process runs on it.
        """
        if self.path == ":memory:" or self._run_lock is not None:
            return
        try:
            import fcntl
        except ImportError:  # no such lock on this platform: SQLite's own locks remain
            return
        # By another name, a link, it is the same store.
        handle = os.open(os.path.realpath(self.path) + ".lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            os.close(handle)
            raise StoreError(
                f"another convo runs on {self.path}; stop it first, or name another file with --store"
            ) from taken
        self._run_lock = handle

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                with contextlib.suppress(sqlite3.Error):
                    self._db.close()
                if self._run_lock is not None:
                    os.close(self._run_lock)

    # -- receive ------------------------------------------------------------------------------------

    def accept(
        self,
        channel: str,
        messages: Sequence[Inbound],
        *,
        cursor: str | None,
        now: datetime,
        unreadable: Sequence[Unreadable] = (),
    ) -> Accepted:
        """Put a batch into the inbox and remember the channel's cursor and its good poll."""
        rows = texts(channel, messages)
        with self._write() as db:
            new = (
                max(0, db.executemany(_SQL["accept"], not_seen(self._rows, channel, rows)).rowcount)
                if rows
                else 0
            )
            recall(self._rows, ((channel, each.sender) for each in messages))
            odd = [(channel, stamp(each.received_at), storable(each.raw), each.reason) for each in unreadable]
            if odd:
                db.executemany(_SQL["accept_unreadable"], odd)
            polled = None if any(each.whole for each in unreadable) else stamp(now)
            db.execute(_SQL["remember_poll"], (channel, cursor, polled))
        return Accepted(new, len(rows) - new)

    def request(self, openings: Sequence[Opening], now: datetime) -> int:
        """Put openings into the inbox; return how many are new."""
        rows = requests(openings, now)
        with self._write() as db:
            recall(self._rows, ((each.channel, each.recipient) for each in openings))
            return db.executemany(_SQL["request"], rows).rowcount if rows else 0

    # -- process ------------------------------------------------------------------------------------

    def busy(self, now: datetime) -> Sequence[int]:  # noqa: ARG002 - the file is not divided
        """Return the one partition that there is."""
        return (0,)

    @contextlib.contextmanager
    def fenced(self, *partitions: int) -> Iterator[Store]:  # noqa: ARG002 - the file is not divided
        """Yield this store: one process runs on the file, and one of its threads steps (``lock_for_run``)."""
        yield self

    def call_again(self, call: int, at: datetime, note: str) -> None:
        """A service gave no answer; it is to be asked again."""
        with self._write() as db:
            db.execute(_SQL["call_again"], (stamp(at), note, call))

    def call_answered(self, call: int, result: str, values: Mapping[str, str], note: str) -> None:
        """A service answered, or is asked no more."""
        with self._write() as db:
            db.execute(_SQL["call_answered"], (result, json.dumps(dict(values)), note, call))

    def commit(self, results: Sequence[Result], now: datetime) -> None:
        """Write what steps did, in one transaction."""
        try:
            self._commit(results, now, check=True)
        except Vanished:
            # Somebody was forgotten after the claim: nothing of theirs is written.
            with self._lock:
                results = still_there(self._rows, results)
            self._commit(results, now, check=False)

    def _commit(self, results: Sequence[Result], now: datetime, *, check: bool) -> None:
        rows_of = written(results, now)
        with self._write() as db:
            for statement, rows in rows_of.statements():
                found = db.executemany(_SQL[statement], rows).rowcount
                if check and statement in TAKEN and found < len(rows):
                    raise Vanished
            if rows_of.outbound:
                recall(self._rows, ((row[0], row[1]) for row in rows_of.outbound))

    # -- deliver ------------------------------------------------------------------------------------

    def mark_sending(
        self,
        channel: str,
        now: datetime,
        limit: int,
        allows: Callable[[LastLook], str | None],
        *,
        after_unknown: bool = True,
    ) -> list[OutboxRow]:
        """Choose what may leave now and mark it ``sending``; return those rows, oldest first."""
        with self._write() as db:
            found = self._ask(db, "sendable", (channel, stamp(now), limit, after_unknown, day(now)))
            leaving = look_over(found, allows, self._rows, channel, now)
            if leaving.marks:
                db.executemany(_SQL["mark"], leaving.marks)
            if leaving.asked:
                db.executemany(_SQL["asked"], leaving.asked)
            if leaving.charged:
                db.executemany(_SQL["charge"], leaving.charged)
        return leaving.going

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> None:
        """Write what the provider said about rows that were marked sending."""
        rows_of = settled(settlements, now)
        with self._write() as db:
            if rows_of.give_back:
                db.executemany(_SQL["give_back"], rows_of.give_back)
            db.executemany(_SQL["settle"], rows_of.settle)
            if rows_of.asked:
                db.executemany(_SQL["asked"], rows_of.asked)
            if rows_of.consent:
                db.executemany(_SQL["write_consent"], rows_of.consent)

    def receipts(self, receipts: Sequence[Receipt], now: datetime) -> int:
        """Apply delivery receipts; a status never moves backwards."""
        rows = [(each.status, stamp(now), each.channel, each.provider_id, each.status) for each in receipts]
        with self._write() as db:
            return db.executemany(_SQL["receipt"], rows).rowcount if rows else 0

    def recover(self, now: datetime, *, channel: str | None = None, before: datetime | None = None) -> int:
        """Turn rows that a dead process left ``sending`` into ``unknown``; return how many."""
        with self._write() as db:
            db.execute(_SQL["forget_spent"], (day(now - SPENT_KEPT),))
            until = stamp(before) if before is not None else None
            return db.execute(_SQL["recover"], (stamp(now), channel, until)).rowcount

    # -- looking ------------------------------------------------------------------------------------

    @property
    def views(self) -> SqliteViews:
        """What an operator sees of this store; see ``convo/store/views.py``."""
        from convo.store.sqlite_views import SqliteViews  # which knows this module

        return SqliteViews(self._db, self._lock, self.path)

    # -- privacy ------------------------------------------------------------------------------------

    def forget(self, number: Address, now: datetime) -> Removed:
        """Remove a person from every table of every channel, and their number from what others wrote."""
        from convo.store.privacy import forget  # seldom asked for

        with self._overwriting(), self._write():
            return forget(self._rows, number, now)

    def prune(self, before: datetime, now: datetime, limit: int) -> Removed:
        """Remove up to ``limit`` conversations untouched since ``before``, and inbox rows as old."""
        from convo.store.privacy import prune  # seldom asked for

        with self._overwriting(), self._write():
            return prune(self._rows, before, now, limit)

    def scrub(self) -> None:
        """Write the file anew without what was removed, and empty the log beside it.

        Raises:
            StoreError: another program reads the file right now.
        """
        with self._lock, telling(self.path):
            for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                found = self._db.execute(statement).fetchone()
                if found is not None and found[0]:
                    raise StoreError(
                        "what was to be removed is removed, but another program reads the file and older"
                        " bytes may still stand in it; do the same again when that program is done"
                    )

    @contextlib.contextmanager
    def _overwriting(self) -> Iterator[None]:
        """Have SQLite write zeros over what is removed."""
        with self._lock, telling(self.path):
            self._db.execute("PRAGMA secure_delete = ON")
            try:
                yield
            finally:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("PRAGMA secure_delete = OFF")

    # -- transactions -------------------------------------------------------------------------------

    def _rows(self, name: str, *values: Any) -> list[Row]:
        with self._lock:
            try:
                return self._ask(self._db, name, values)
            except (sqlite3.Error, OSError) as wrong:
                raise_told(self.path, wrong)
                raise

    def transaction(self) -> Transaction:
        """Return a transaction for whoever writes rows of its own: a copy of another store."""
        return self._write()

    def _write(self) -> Transaction:
        return Transaction(self._db, self._lock, self.path)


_EMPTY_LOCK = threading.Lock()


@cache
def _empty() -> sqlite3.Connection:
    """Return a store without rows: to copy it takes a tenth of the time of making its tables anew."""
    made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _migrate(made, 0)
    return made


def _migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring the tables from a version of the schema to this convo's."""
    for number, script in enumerate(migrations()[version:], version + 1):
        settings = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
        try:
            db.executescript(f"BEGIN IMMEDIATE;\n{script}\n{settings}\nCOMMIT;")
        except sqlite3.OperationalError:
            if db.in_transaction:
                db.execute("ROLLBACK")
            # Another process may have brought the file up to date at the same moment.
            if db.execute("PRAGMA user_version").fetchone()[0] < number:
                raise
