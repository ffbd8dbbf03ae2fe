"""A PostgreSQL store opened to look at it, or to decide about its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from convo.errors import StoreError
from convo.store.address import shown
from convo.store.ledger import Breach, audit
from convo.store.looking import Deciding, Looking
from convo.store.postgres_access import VIEWS, Connection, ask, connect, query, telling
from convo.store.postgres_queue import wake
from convo.store.postgres_schema import FOLDER, refuse_newer, schema_of, version_of
from convo.store.rows import Row
from convo.store.sqlfiles import migrations

Connected = Callable[[], AbstractContextManager[Connection]]
"""Lends a connection."""


class PostgresViews(Looking):
    """Reads on a connection that is lent for each, or for one snapshot."""

    def __init__(self, url: str, connected: Connected) -> None:
        self._url = url
        self._connected = connected
        self._within: Connection | None = None

    # -- soundness ----------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return nothing: the server itself answers for its files (see ``pg_amcheck``)."""
        return []

    def schema(self) -> int:
        """Return the version of the schema."""
        with self._lent() as db:
            return version_of(db)

    def audit(self, now: datetime, examples: int = 20) -> list[Breach]:
        """Return every invariant of the ledger with how often it is broken, and some of the rows."""
        with self._snapshot(), self._lent() as db:
            return audit(lambda sql, bound: query(db, sql, bound), now, examples)

    # -- inside -------------------------------------------------------------------------------------

    def _run(self, name: str, *values: object) -> list[Row]:
        with self._lent() as db:
            return ask(db, name, values, files=VIEWS)

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        if self._within is not None:
            with telling(self._url):
                yield self._within
            return
        with self._connected() as db, telling(self._url):
            yield db

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Let every statement see the same moment."""
        with self._lent() as db, db.transaction():
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            with self._held(db):
                yield

    @contextmanager
    def _held(self, db: Connection) -> Iterator[None]:
        self._within = db
        try:
            yield
        finally:
            self._within = None


class PostgresByHand(PostgresViews, Deciding):
    """What a person decides, beside what they see."""

    def _retry(self, row: int) -> None:
        found = self._run("retry_message", row)
        if self._within is not None:
            wake(self._within, [each["partition"] for each in found])

    def _hold(self, table: str, row: int) -> None:
        self._run(f"lock_{table}", row)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lent() as db, db.transaction(), self._held(db):
            yield


@contextmanager
def open_views(url: str) -> Iterator[PostgresViews]:
    """Open a store that exists to look at it; others may be at work on it.

    Raises:
        StoreError: there is no such store, or it is not one that this convo can read.
    """
    with _connected(url) as db:
        yield PostgresViews(url, _lender(db))


@contextmanager
def open_by_hand(url: str) -> Iterator[PostgresByHand]:
    """Open a store that exists to decide about its rows. Raises as ``open_views``."""
    with _connected(url) as db:
        yield PostgresByHand(url, _lender(db))


def _lender(db: Connection) -> Connected:
    @contextmanager
    def lend() -> Iterator[Connection]:
        yield db

    return lend


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """Connect, and see that there is a store with the schema that the statements are made for."""
    db = connect(url)
    try:
        with telling(url):
            schema_of(db, url)
            version, known = version_of(db), len(migrations(FOLDER))
        if version == 0:
            raise StoreError(
                f"{shown(url)} holds no store of convo's; name another with --store (convo run makes it)"
            )
        refuse_newer(url, version)
        if version < known:
            raise StoreError(
                f"{shown(url)} has the schema of an older convo ({version}; this one has {known});"
                " the next convo run, or convo store migrate, brings it up to date"
            )
        yield db
    finally:
        db.close()
