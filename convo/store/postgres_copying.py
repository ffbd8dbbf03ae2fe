"""A PostgreSQL store at either end of a copy; see ``convo/store/copying.py``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from convo.store.base import partition_of
from convo.store.copying import CHUNK, PERSON, Source, Target, Values
from convo.store.postgres_access import Connection, connect, telling, unspelled
from convo.store.postgres_schema import bring_up
from convo.store.postgres_views import open_views


class _Database:
    """A store within a transaction, at either end."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Values]:
        """Yield every row of a table."""
        query = sql.SQL("SELECT {} FROM {}").format(_names(columns), sql.Identifier(table))
        with psycopg.ServerCursor(self._db, "copied") as cursor:
            cursor.itersize = CHUNK
            for row in cursor.execute(query):
                yield [unspelled(value) if isinstance(value, str) else value for value in row]

    def last_id(self, table: str) -> int:
        """Return the highest id that the table has ever given."""
        sequence = self._one(sql.SQL("SELECT pg_get_serial_sequence({}, 'id')").format(table))
        query = sql.SQL("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}")
        return int(self._one(query.format(sql.SQL(sequence))))

    def count(self, table: str) -> int:
        """Return how many rows are in a table."""
        return int(self._one(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))))

    def write(self, table: str, columns: Sequence[str], rows: Iterator[Values]) -> int:
        """Write rows, each into the partition of its person; return how many."""
        person = PERSON.get(table)
        whose = (columns.index("channel"), columns.index(person)) if person else None
        names = _names([*columns, "partition"] if person else columns)
        written = 0
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
        with self._db.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                values = list(row)
                if whose is not None:
                    values.append(partition_of(values[whose[0]], values[whose[1]]))
                copy.write_row(values)
                written += 1
        return written

    def go_on_after(self, table: str, last: int) -> None:
        """Have the next id of a table be higher than ``last``."""
        query = sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), {}, {})")
        self._db.execute(query.format(table, max(last, 1), last > 0))

    def _one(self, query: sql.Composed) -> Any:
        found = self._db.execute(query).fetchone()
        return found[0] if found is not None else None


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


@contextmanager
def source(url: str) -> Iterator[Source]:
    """Open a store to be copied, as of this moment."""
    with open_views(url):
        pass  # it is there, and has the schema of today
    with connect(url) as db, telling(url), db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield _Database(db)


@contextmanager
def target(url: str) -> Iterator[Target]:
    """Open, and where it is new make, a store to copy into: in one transaction, alone."""
    bring_up(url)
    with connect(url) as db, telling(url), db.transaction():
        db.execute("LOCK TABLE channels, inbox, outbox, conversations IN ACCESS EXCLUSIVE MODE")
        yield _Database(db)
