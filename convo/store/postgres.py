"""The memory in a PostgreSQL database, which many processes may use at once.

Each method is one transaction on a connection of a pool. Who steps takes the fence of a partition first, in a
statement of its own, and reads in a second one: under READ COMMITTED the second sees what was committed
while the first waited, and a single statement that locks and reads would not. The statements stand, named,
in ``sql/postgres/statements.sql`` and, where both stores use them, in the files above it.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg_pool import ConnectionPool

from convo.messages import Address, Inbound, Receipt, Unreadable
from convo.store.address import shown
from convo.store.base import (
    PARTITIONS,
    Accepted,
    LastLook,
    Opening,
    OutboxRow,
    Result,
    Settlement,
    Store,
)
from convo.store.forgotten import Vanished, recall, still_there
from convo.store.leaving import look_over
from convo.store.past import day
from convo.store.postgres_access import (
    CONNECT_SECONDS,
    Connection,
    ask,
    prepare,
    tell,
    tell_all,
    telling,
    whole,
)
from convo.store.postgres_queue import take, wake
from convo.store.postgres_schema import bring_up
from convo.store.privacy import forget, prune
from convo.store.reading import Reading
from convo.store.removed import Removed
from convo.store.rows import (
    Row,
    Run,
    stamp,
)
from convo.store.written import SPENT_KEPT, TAKEN, requests, settled, texts, written

if TYPE_CHECKING:
    from convo.store.postgres_views import PostgresViews

CONNECTIONS = 10
"""The most connections of one process."""

FORGETTING = PARTITIONS
"""The lock beside those of the partitions: who writes of people shares it, who removes them has it."""

Wake = Callable[[Connection, Sequence[int]], None]
"""Called within a transaction that left something to step, with the partitions in ascending order."""

# The pool tells of every connection that it cannot make; what matters of it is in our own errors.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


class PostgresStore(Reading):
    """A store in the schema of a database that the address names (its ``search_path``, usually public)."""

    divided = True

    def __init__(self, url: str, *, in_commit: Wake = wake, connections: int = CONNECTIONS) -> None:
        """Open or make the store, bringing an older schema up to date.

        Raises:
            ConfigError: ``url`` is no address of a database.
            StoreError: it cannot be opened, or is newer than this convo.
        """
        self.url = url
        self.path = shown(url)
        self.in_commit = in_commit
        self._bound: Connection | None = None
        self._within: Sequence[int] | None = None
        self._closed = False
        self.schema = bring_up(url)
        self._pool = ConnectionPool(
            whole(url),
            min_size=1,
            max_size=connections,
            timeout=2 * CONNECT_SECONDS,
            reconnect_timeout=CONNECT_SECONDS,
            configure=prepare,
            open=True,
        )
        self._purge = threading.Lock()

    def lock_for_run(self) -> None:
        """Do nothing: many processes may run on the store, and the fences keep them apart."""

    def close(self) -> None:
        """Let go of the connections; safe to call twice."""
        if not self._closed and self._bound is None:
            self._closed = True
            self._pool.close()

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
        odd = [(channel, "", stamp(each.received_at), each.raw, each.reason) for each in unreadable]
        new: list[Row] = []
        with self._write() as db:
            if rows:
                seen = {
                    row["dedup_key"]
                    for row in ask(db, "seen_of", (channel, [row[2] for row in rows if row[2] is not None]))
                }
                unseen = [row for row in rows if row[2] not in seen]
                new = tell_all(db, "accept", unseen, people=True).fetchall() if unseen else []
                recall(self._asking(db), ((channel, each.sender) for each in messages))
            if odd:
                tell_all(db, "accept_unreadable", odd, people=True)
            polled = None if any(each.whole for each in unreadable) else stamp(now)
            tell(db, "remember_poll", (channel, cursor, polled))
            self._wake(db, new)
        return Accepted(len(new), len(rows) - len(new))

    def request(self, openings: Sequence[Opening], now: datetime) -> int:
        """Put openings into the inbox; return how many are new."""
        rows = requests(openings, now)
        if not rows:
            return 0
        with self._write() as db:
            recall(self._asking(db), ((each.channel, each.recipient) for each in openings))
            new = tell_all(db, "request", rows, people=True).fetchall()
            self._wake(db, new)
        return len(new)

    # -- process ------------------------------------------------------------------------------------

    def busy(self, now: datetime, among: Sequence[int] = range(PARTITIONS)) -> Sequence[int]:
        """Return the partitions, of these, in which there is something to step."""
        return [row["part"] for row in self._rows("busy", list(among), stamp(now))]

    def take(self, partition: int, now: datetime) -> Sequence[int]:
        """Return in which partitions to step for a wake-up of one; their other wake-ups are done with.

        It is the one itself, where there is something to step, and some others in which texts wait.
        Whoever takes them has to step those that are free, and then look at them once more.
        """
        with self._connected() as db, self._telling():
            found = take(db, partition)
        if not found[partition] and not self.busy(now, (partition,)):
            del found[partition]
        return list(found)

    @contextlib.contextmanager
    def fenced(self, *partitions: int) -> Iterator[Store]:
        """Yield this store in one transaction that nobody else has in these partitions."""
        with self._connected() as db, self._telling(), db.transaction():
            tell(db, "fence_steps", (list(partitions),))
            yield self._in(db, partitions)

    @contextlib.contextmanager
    def fenced_free(self, *partitions: int) -> Iterator[PostgresStore | None]:
        """Yield this store within those of the fences that are free, as ``fenced``; None where none is.

        Nobody is waited for. ``partitions`` of what is yielded are those that were free.
        """
        with self._connected() as db, self._telling(), db.transaction():
            free = [row["part"] for row in ask(db, "fence_free", (list(partitions),))]
            yield self._in(db, free) if free else None

    @property
    def partitions(self) -> Sequence[int]:
        """The partitions in whose fences this is."""
        return self._within or ()

    def _in(self, db: Connection, partitions: Sequence[int]) -> PostgresStore:
        """Return this store within a transaction that has the fences of these partitions."""
        within = copy.copy(self)
        within._bound, within._within = db, partitions
        return within

    def call_again(self, call: int, at: datetime, note: str) -> None:
        """A service gave no answer; it is to be asked again."""
        with self._write() as db:
            tell(db, "call_again", (stamp(at), note, call))

    def call_answered(self, call: int, result: str, values: Mapping[str, str], note: str) -> None:
        """A service answered, or is asked no more."""
        with self._write() as db:
            found = ask(db, "call_answered", (result, json.dumps(dict(values)), note, call))
            self._wake(db, found)

    def commit(self, results: Sequence[Result], now: datetime) -> None:
        """Write what steps did, in one transaction."""
        try:
            self._commit(results, now, check=True)
        except Vanished:
            # Somebody was forgotten after the claim: nothing of theirs is written.
            self._commit(still_there(self._rows, results), now, check=False)

    def _commit(self, results: Sequence[Result], now: datetime, *, check: bool) -> None:
        rows_of = written(results, now)
        with self._write() as db:
            if rows_of.calls:
                # A service may be asked at once, without a commit before it.
                tell(db, "wait_for_disk")
            told = []
            # Sent one after another without waiting for the answers between.
            with db.pipeline():
                for statement, rows in rows_of.statements():
                    cursor = tell_all(db, statement, rows, people=statement not in TAKEN)
                    told.append((statement, cursor, len(rows)))
                forgotten = tell(db, "any_forgotten")
            for statement, cursor, wanted in told:
                if check and statement in TAKEN and cursor.rowcount < wanted:
                    raise Vanished
            if rows_of.outbound and forgotten.fetchall():
                recall(self._asking(db), ((row[0], row[1]) for row in rows_of.outbound))

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
            rows = ask(db, "sendable", (channel, stamp(now), limit, after_unknown, day(now)))
            leaving = look_over(rows, allows, self._asking(db), channel, now)
            if leaving.marks:
                tell_all(db, "mark", leaving.marks)
            if leaving.asked:
                tell_all(db, "asked", leaving.asked)
            if leaving.charged:
                tell_all(db, "charge", leaving.charged)
        return leaving.going

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> None:
        """Write what the provider said about rows that were marked sending."""
        if not settlements:
            return
        rows_of = settled(settlements, now)
        if not (rows_of.give_back or rows_of.asked or rows_of.consent):
            # The usual case: a transaction by itself. Of somebody who is being forgotten it finds no row.
            with self._connected() as db, self._telling():
                tell_all(db, "settle", rows_of.settle)
            return
        with self._write() as db:
            if rows_of.give_back:
                tell_all(db, "give_back", rows_of.give_back)
            tell_all(db, "settle", rows_of.settle)
            if rows_of.asked:
                tell_all(db, "asked", rows_of.asked)
            if rows_of.consent:
                tell_all(db, "write_consent", rows_of.consent, people=True)

    def receipts(self, receipts: Sequence[Receipt], now: datetime) -> int:
        """Apply delivery receipts, one after the other; a status never moves backwards."""
        with self._write() as db:
            return sum(
                tell(
                    db, "receipt", (each.status, stamp(now), each.channel, each.provider_id, each.status)
                ).rowcount
                for each in receipts
            )

    def recover(self, now: datetime, *, channel: str | None = None, before: datetime | None = None) -> int:
        """Turn rows that a dead process left ``sending`` into ``unknown``; return how many."""
        with self._write() as db:
            tell(db, "forget_spent", (day(now - SPENT_KEPT),))
            until = stamp(before) if before is not None else None
            return tell(db, "recover", (stamp(now), channel, until)).rowcount

    # -- looking ------------------------------------------------------------------------------------

    @property
    def views(self) -> PostgresViews:
        """What an operator sees of this store; see ``convo/store/views.py``."""
        from convo.store.postgres_views import PostgresViews  # seldom asked for

        return PostgresViews(self.url, self._connected)

    # -- privacy ------------------------------------------------------------------------------------

    def forget(self, number: Address, now: datetime) -> Removed:
        """Remove a person from every table of every channel, and their number from what others wrote."""
        with self._alone() as db:
            return forget(self._asking(db), number, now)

    def prune(self, before: datetime, now: datetime, limit: int) -> Removed:
        """Remove up to ``limit`` conversations untouched since ``before``, and inbox rows as old."""
        with self._alone() as db:
            return prune(self._asking(db), before, now, limit)

    def scrub(self) -> None:
        """Have the server write the tables anew without what was removed; nobody gets at them meanwhile.

        The samples that it keeps of each column, for its planner, are taken anew, too: a column that is given
        its own type again has none. The server's log of changes (WAL), its standbys and its backups go their
        own ways.
        """
        with self._connected() as db, self._telling():
            for table in (
                "inbox",
                "outbox",
                "journal",
                "conversations",
                "timers",
                "calls",
                "consent",
                "spent",
            ):
                anew = ", ".join(f"ALTER {row['name']} TYPE text" for row in ask(db, "texts_in", (table,)))
                db.execute(f"ALTER TABLE {table} {anew}".encode())
                db.execute(f"VACUUM (FULL, ANALYZE) {table}".encode())
            # Only the owner of the database may; to anybody else the server says so, and leaves it.
            db.execute("VACUUM (FULL) pg_catalog.pg_statistic")

    # -- transactions -------------------------------------------------------------------------------

    def _rows(self, name: str, *values: Any) -> list[Row]:
        with self._connected() as db, self._telling():
            return ask(db, name, values, self._within)

    def _asking(self, db: Connection) -> Run:
        """Return what runs named statements on this connection."""
        return lambda name, *values: ask(db, name, values, None)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Yield a connection: the fence's, or one of the pool."""
        if self._bound is not None:
            yield self._bound
            return
        with self._telling():
            db = self._pool.getconn()
        try:
            yield db
        finally:
            self._pool.putconn(db)

    @contextlib.contextmanager
    def _write(self) -> Iterator[Connection]:
        """Yield a connection within a transaction; within a fence it is a part of that one and may fail."""
        with self._connected() as db, self._telling(), db.transaction():
            if self._bound is None:
                tell(db, "fence_shared", (FORGETTING,))
            yield db

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Connection]:
        """Yield a connection within a transaction while nobody else writes of people or steps them."""
        with self._connected() as db, self._telling(), db.transaction():
            tell(db, "fence", ([FORGETTING],))
            tell(db, "fence", (list(range(PARTITIONS)),))
            yield db

    def _wake(self, db: Connection, rows: Iterable[Row]) -> None:
        """Have the partitions of these rows stepped once this transaction is committed."""
        wanted = sorted({row["partition"] for row in rows})
        if wanted:
            self.in_commit(db, wanted)

    def _telling(self) -> contextlib.AbstractContextManager[None]:
        return telling(self.url, self._lost)

    def _lost(self) -> None:
        """A connection broke: whichever of the others did, too, is thrown away, and new ones are made."""
        if self._purge.acquire(blocking=False):
            try:
                with contextlib.suppress(Exception):
                    self._pool.check()
            finally:
                self._purge.release()
