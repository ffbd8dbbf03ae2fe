"""What an operator sees of a SQLite store, and decides by hand; see ``convo/store/views.py``.

The command line opens the file apart from ``convo run``: read-only to look, so that nothing it does
can disturb the run. The statements stand, named, in ``sql/views.sql``.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from convo.errors import ConfigError, StoreError
from convo.messages import Address, Outbound, OutboundKind, Status
from convo.store.base import InboxRow, InboxStatus, JournalEntry, OutboxRow
from convo.store.ledger import Breach, audit
from convo.store.rows import conversation_of, moment, stamp, stored
from convo.store.sqlite import APPLICATION_ID, BUSY_SECONDS, _migrations
from convo.store.sqlite_access import by_name, statements, telling, told
from convo.store.views import ChannelView, ConsentView, FlowView, Overview, PersonView, Reason, TimerView

_SQL = statements("views.sql")
_SETTLED = {
    "queued": "it waits to be sent already",
    "sending": "it is on its way now; if no run is at work, the next one makes it unknown",
    "sent": "it has been sent",
    "delivered": "it has arrived",
}


class SqliteViews:
    """Reads on one connection behind ``lock``; ``path`` names the store in messages."""

    def __init__(
        self, db: sqlite3.Connection, lock: AbstractContextManager[Any] | None = None, path: str = "the store"
    ) -> None:
        """Look through ``db``, whose rows must be ``sqlite3.Row``."""
        self._db = db
        self._lock = lock or threading.RLock()
        self._path = path

    def close(self) -> None:
        """Let go of the file; for views that were opened by themselves."""
        with suppress(sqlite3.Error):
            self._db.close()

    # -- the whole store ----------------------------------------------------------------------------

    def overview(self, now: datetime) -> Overview:
        """Return how the whole store stands."""
        with self._snapshot():
            waiting = {row["channel"]: row for row in self._rows("waiting")}
            timers = {row["channel"]: row for row in self._rows("timers")}
            opted_out = {row["channel"]: row["found"] for row in self._rows("opted_out")}
            outbox: dict[str, dict[str, int]] = defaultdict(dict)
            oldest_out = {}
            for row in self._rows("statuses"):
                outbox[row["channel"]][row["status"]] = row["found"]
                if row["status"] == "queued":
                    oldest_out[row["channel"]] = row["oldest"]
            reasons = self._reasons("reasons", "status")
            dead = self._reasons("dead", "kind")
            channels = tuple(
                ChannelView(
                    name=name,
                    last_good_poll_at=_optional(polled),
                    waiting_in=waiting[name]["waiting"] if name in waiting else 0,
                    oldest_in=_optional(waiting[name]["oldest"]) if name in waiting else None,
                    oldest_out=_optional(oldest_out.get(name)),
                    outbox=outbox.get(name, {}),
                    reasons=tuple(reasons.get(name, ())),
                    dead=tuple(dead.get(name, ())),
                    timers=timers[name]["found"] if name in timers else 0,
                    next_timer_at=_optional(timers[name]["next"]) if name in timers else None,
                    opted_out=opted_out.get(name, 0),
                )
                for name, polled in self._rows("channels")
            )
            return Overview(now, channels, self._flows())

    def _reasons(self, name: str, status: str) -> dict[str, list[Reason]]:
        found: dict[str, list[Reason]] = defaultdict(list)
        for row in self._rows(name):
            found[row["channel"]].append(
                Reason(row[status], row["reason"], row["found"], moment(row["last"]))
            )
        return found

    def _flows(self) -> tuple[FlowView, ...]:
        flows: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
        for row in self._rows("flows"):
            waiting, ended = flows.setdefault(row["flow"], ({}, {}))
            if row["ended"] is None:
                waiting[row["state"]] = row["found"]
            else:
                ended[row["ended"]] = row["found"]
        return tuple(FlowView(name, waiting, ended) for name, (waiting, ended) in flows.items())

    def served(self) -> list[str]:
        """Return the channels that a run has received on."""
        return [row["channel"] for row in self._rows("served")]

    # -- one person ---------------------------------------------------------------------------------

    def person(self, number: Address, *, channel: str | None = None, steps: int = 10) -> list[PersonView]:
        """Return what is known of a number, a view for each channel that knows it."""
        with self._snapshot():
            known = [row["channel"] for row in self._rows("channels_of", {"number": number})]
            return [self._person(number, each, steps) for each in known if channel in (None, each)]

    def _person(self, number: Address, channel: str, steps: int) -> PersonView:
        who = (channel, number)
        last = [_entry(row) for row in self._rows("steps_of", (*who, steps))]
        return PersonView(
            channel=channel,
            number=number,
            conversations=tuple(conversation_of(by_name(row)) for row in self._rows("conversations_of", who)),
            steps=tuple(reversed(last)),
            of=self._rows("count_steps_of", who)[0][0],
            timers=tuple(
                TimerView(row["name"], moment(row["due_at"])) for row in self._rows("timers_of", who)
            ),
            consent=tuple(
                ConsentView(row["kind"], moment(row["at"]), row["source"], stored(row["wording"]))
                for row in self._rows("consent_of", who)
            ),
            outbox=tuple(_outbox_row(row) for row in self._rows("outbox_of", who)),
        )

    def people(self) -> list[tuple[str, Address]]:
        """Return everybody of whom the journal tells, by channel."""
        return [(row["channel"], Address(row["sender"])) for row in self._rows("people")]

    def flows_told(self) -> list[tuple[str, str]]:
        """Return every flow of which the journal tells, by channel."""
        return [(row["channel"], row["flow"]) for row in self._rows("flows_told")]

    # -- rows ---------------------------------------------------------------------------------------

    def outbox_rows(self, statuses: Sequence[str], channel: str | None = None) -> list[OutboxRow]:
        """Return the outbounds with one of these statuses that nobody has dropped, oldest first."""
        wanted = {"statuses": json.dumps(list(statuses)), "channel": channel}
        return [_outbox_row(row) for row in self._rows("outbox_rows", wanted)]

    def dead_rows(self, channel: str | None = None) -> list[InboxRow]:
        """Return the inbox rows that were set aside, oldest first."""
        return [_inbox_row(row) for row in self._rows("dead_rows", {"channel": channel})]

    def opening_waits(self, channel: str, number: Address) -> bool:
        """Return whether a request to open a conversation with that number waits in the inbox."""
        return bool(self._rows("opening_waits", (channel, number)))

    def inbox_id(self, channel: str, opening_key: str) -> int | None:
        """Return the id of the inbox row of an ``Opening``."""
        found = self._rows("inbox_id", (channel, f"opening:{opening_key}"))
        return found[0]["id"] if found else None

    def inbox_row(self, row: int) -> InboxRow | None:
        """Return one row of the inbox."""
        found = self._rows("inbox_row", (row,))
        return _inbox_row(found[0]) if found else None

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

    def _rows(self, name: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        with self._lock, telling(self._path):
            return self._db.execute(_SQL[name], values).fetchall()

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


class SqliteByHand(SqliteViews):
    """What a person decides, beside what they see."""

    def resend(self, row: int, now: datetime) -> str:
        """Queue an outbound that is unknown, failed, blocked or expired; return what it was."""
        with self._row("outbox", row) as (was, db):
            if was in _SETTLED:
                raise ConfigError(f"outbox row {row} cannot be sent again: {_SETTLED[was]}")
            db.execute(_SQL["resend"], (stamp(now), stamp(now), row))
        return was

    def drop(self, row: int, now: datetime) -> str:
        """Give up an outbound that has not been sent; return what it was."""
        with self._row("outbox", row) as (was, db):
            if was in _SETTLED and was != Status.QUEUED:
                raise ConfigError(f"outbox row {row} cannot be dropped: {_SETTLED[was]}")
            db.execute(_SQL["drop"], (stamp(now), row))
        return was

    def retry_message(self, row: int) -> None:
        """Have a message that was set aside stepped again."""
        with self._dead(row, "retried") as (kind, db):
            if kind == "unreadable":
                raise ConfigError(
                    f"inbox row {row} cannot be retried: what came could not be read (convo inbox list"
                    f" --texts shows it raw); look after it yourself, then: convo inbox drop {row}"
                )
            db.execute(_SQL["retry_message"], (row,))

    def drop_message(self, row: int) -> None:
        """Leave a message that was set aside unanswered for good."""
        with self._dead(row, "dropped") as (_, db):
            db.execute(_SQL["drop_message"], (row,))

    @contextmanager
    def _dead(self, row: int, verb: str) -> Iterator[tuple[str, sqlite3.Connection]]:
        with self._row("inbox", row) as (status, db):
            if status != InboxStatus.DEAD:
                said = "waits for its step" if status == InboxStatus.WAITING else "is done"
                raise ConfigError(f"inbox row {row} cannot be {verb}: it {said}; only dead rows can")
            yield db.execute(_SQL["inbox_row"], (row,)).fetchone()["kind"], db

    @contextmanager
    def _row(self, table: str, row: int) -> Iterator[tuple[str, sqlite3.Connection]]:
        """Yield the status of a row, inside the transaction that will change it."""
        with self._lock, telling(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                name = "outbox_status" if table == "outbox" else "inbox_row"
                found = self._db.execute(_SQL[name], (row,)).fetchone()
                if found is None:
                    raise ConfigError(f"there is no row {row} in the {table}; see: convo {table} list")
                yield found["status"], self._db
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
    views = SqliteViews(_connect(path, "ro"), path=path)
    try:
        yield views
    finally:
        views.close()


@contextmanager
def open_by_hand(path: str) -> Iterator[SqliteByHand]:
    """Open a store that exists to decide about its rows. Raises as ``open_views``."""
    desk = SqliteByHand(_connect(path, "rw"), path=path)
    try:
        yield desk
    finally:
        desk.close()


def _connect(path: str, mode: str) -> sqlite3.Connection:
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
        db.row_factory = sqlite3.Row
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if owner != APPLICATION_ID:
            raise StoreError(f"{path} is no store of convo's; name another file with --store")
        known = len(_migrations())
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


def _optional(text: str | None) -> datetime | None:
    return moment(text) if text else None


def _entry(row: sqlite3.Row) -> JournalEntry:
    return JournalEntry(
        row["channel"],
        Address(row["sender"]),
        row["number"],
        row["step"],
        row["flow"],
        moment(row["at"]),
        row["record"],
    )


def _inbox_row(row: sqlite3.Row) -> InboxRow:
    return InboxRow(
        id=row["id"],
        channel=row["channel"],
        sender=Address(row["sender"]),
        text=stored(row["text"]),
        raw=stored(row["raw"]),
        status=InboxStatus(row["status"]),
        reason=row["reason"],
        received_at=moment(row["received_at"]),
    )


def _outbox_row(row: sqlite3.Row) -> OutboxRow:
    outbound = Outbound(
        row["channel"],
        Address(row["recipient"]),
        stored(row["text"]),
        OutboundKind(row["kind"]),
        row["id"],
    )
    return OutboxRow(
        outbound=outbound,
        status=Status(row["status"]),
        created_at=moment(row["created_at"]),
        attempts=row["attempts"],
        next_at=_optional(row["next_at"]),
        provider_id=row["provider_id"],
        reason=row["reason"],
        segments=row["segments"],
    )
