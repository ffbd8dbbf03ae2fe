"""The memory in one SQLite file (WAL, synchronous=FULL), or in this process alone.

Each method is one transaction on one connection behind a lock. The statements stand, named, in
``sql/statements.sql``, the schema in numbered files beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convo.engine.conversation import (
    CallAnswered,
    Consent,
    Conversation,
    Event,
    Received,
    Started,
    TimerFired,
)
from convo.errors import StoreError
from convo.flow.values import decode, encode
from convo.messages import Address, Inbound, Outbound, OutboundKind, Receipt, Status, Unreadable
from convo.sms import cost
from convo.store.base import (
    Accepted,
    Expired,
    InboxRow,
    InboxStatus,
    JournalEntry,
    LastLook,
    Opening,
    OutboxRow,
    PendingCall,
    Result,
    Settlement,
    Store,
    Waiting,
)
from convo.store.removed import Removed
from convo.store.rows import conversation_of, conversation_row, moment, record, stamp, storable, stored
from convo.store.sqlite_access import Transaction, by_name, make_private, raise_told, statements, telling
from convo.store.sqlite_forgotten import Vanished, is_forgotten, not_seen, recall, still_there
from convo.store.sqlite_past import SqlitePast, charges, day

if TYPE_CHECKING:
    from convo.store.sqlite_views import SqliteViews

APPLICATION_ID = 0x434F4E56
"""Marks the file as convo's: the letters CONV in SQLite's header."""

_DID_NOT_LEAVE = (Status.QUEUED, Status.FAILED, Status.BLOCKED, Status.EXPIRED)
_SPENT_KEPT = timedelta(days=7)

CLOCK_SET_BACK = timedelta(hours=1)
"""A row of the outbox dated so much ahead was written before the clock was set back."""

_SQL = statements("statements.sql")

BUSY_SECONDS = 10.0
"""How long a statement waits for another process before it gives up."""


class SqliteStore:
    """A store in one file; ``":memory:"`` keeps it in this process."""

    def __init__(self, path: Path | str) -> None:
        """Open or make the store, bringing an older schema up to date.

        Raises:
            StoreError: it cannot be opened, is no store of convo's, or is newer than this convo.
        """
        self.path = str(path)
        self._lock = threading.RLock()
        self._run_lock: int | None = None
        self._closed = False
        with telling(self.path):
            if self.path != ":memory:":
                make_private(Path(self.path))
            self._db = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._db.row_factory = sqlite3.Row
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
        migrations = _migrations()
        if version > len(migrations):
            raise StoreError(
                f"{self.path} was written by a newer convo (schema {version}; this one knows"
                f" {len(migrations)}); install that version, or name another file with --store"
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        for number, script in enumerate(migrations[version:], version + 1):
            settings = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
            try:
                self._db.executescript(f"BEGIN IMMEDIATE;\n{script}\n{settings}\nCOMMIT;")
            except sqlite3.OperationalError:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                # Another process may have brought the file up to date at the same moment.
                if self._db.execute("PRAGMA user_version").fetchone()[0] < number:
                    raise

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
        ordered = sorted(messages, key=lambda each: each.sent_at or each.received_at)
        rows = [
            (
                channel,
                each.key,
                each.provider_id,
                each.sender,
                each.recipient,
                storable(each.text),
                stamp(each.sent_at) if each.sent_at else None,
                stamp(each.received_at),
                storable(each.raw),
            )
            for each in ordered
        ]
        with self._write() as db:
            new = max(0, db.executemany(_SQL["accept"], not_seen(db, channel, rows)).rowcount) if rows else 0
            recall(db, ((channel, each.sender) for each in messages))
            odd = [(channel, stamp(each.received_at), storable(each.raw), each.reason) for each in unreadable]
            if odd:
                db.executemany(_SQL["accept_unreadable"], odd)
            polled = None if any(each.whole for each in unreadable) else stamp(now)
            db.execute(_SQL["remember_poll"], (channel, cursor, polled))
        return Accepted(new, len(rows) - new)

    def request(self, openings: Sequence[Opening], now: datetime) -> int:
        """Put openings into the inbox; return how many are new."""
        rows = [
            (each.channel, f"opening:{each.key}", each.recipient, each.flow, stamp(now), each.given)
            for each in openings
        ]
        with self._write() as db:
            recall(db, ((each.channel, each.recipient) for each in openings))
            return db.executemany(_SQL["request"], rows).rowcount if rows else 0

    def cursor(self, channel: str) -> str | None:
        """Return where the channel's last stored batch left off."""
        found = self._rows("cursor", channel)
        return found[0]["cursor"] if found else None

    # -- process ------------------------------------------------------------------------------------

    def busy(self, now: datetime) -> Sequence[int]:  # noqa: ARG002 - the file is not divided
        """Return the one partition that there is."""
        return (0,)

    @contextlib.contextmanager
    def fenced(self, partition: int) -> Iterator[Store]:  # noqa: ARG002 - the file is not divided
        """Yield this store: one process runs on the file, and one of its threads steps (``lock_for_run``)."""
        yield self

    def claim(self, limit: int) -> list[Waiting]:
        """Return up to ``limit`` waiting inbox rows, oldest first."""
        return [
            Waiting(
                id=row["id"],
                channel=row["channel"],
                sender=Address(row["sender"]),
                event=_event(row),
                conversation=conversation_of(row) if row["number"] is not None else None,
                opted_out=bool(row["opted_out"]),
                attempts=row["attempts"],
                asked_at=_optional(row["asked_at"]),
            )
            for row in map(by_name, self._rows("claim", limit))
        ]

    def due(self, now: datetime, limit: int) -> list[Waiting]:
        """Return up to ``limit`` timers due whose conversation is open and still in that entry."""
        return [
            Waiting(
                id=row["id"],
                channel=row["channel"],
                sender=Address(row["sender"]),
                event=TimerFired(
                    row["name"],
                    row["timer_entry"],
                    moment(row["due_at"]),
                    _optional(row["asked_at"]),
                    bool(row["pending"]),
                ),
                conversation=conversation_of(by_name(row)),
                opted_out=bool(row["opted_out"]),
            )
            for row in self._rows("due", stamp(now), limit)
        ]

    def calls(self, now: datetime, limit: int) -> list[PendingCall]:
        """Return up to ``limit`` services that are to be asked now, oldest first."""
        return [
            PendingCall(
                row["id"],
                row["service"],
                row["given"],
                row["key"],
                row["attempts"],
                moment(row["created_at"]),
            )
            for row in self._rows("calls_to_make", stamp(now), limit)
        ]

    def next_call(self) -> datetime | None:
        """Return when the next service is to be asked, or None."""
        return _optional(self._rows("next_call")[0][0])

    def call_again(self, call: int, at: datetime, note: str) -> None:
        """A service gave no answer; it is to be asked again."""
        with self._write() as db:
            db.execute(_SQL["call_again"], (stamp(at), note, call))

    def call_answered(self, call: int, result: str, values: Mapping[str, str], note: str) -> None:
        """A service answered, or is asked no more."""
        with self._write() as db:
            db.execute(_SQL["call_answered"], (result, json.dumps(dict(values)), note, call))

    def answered(self, limit: int) -> list[Waiting]:
        """Return up to ``limit`` answers of services that wait for their step, oldest first."""
        return [
            Waiting(
                id=row["id"],
                channel=row["channel"],
                sender=Address(row["sender"]),
                event=CallAnswered(row["result"], row["call_entry"], json.loads(row["answer"]), row["note"]),
                conversation=conversation_of(by_name(row)),
                opted_out=bool(row["opted_out"]),
            )
            for row in self._rows("answered", limit)
        ]

    def next_timer(self) -> datetime | None:
        """Return when the next timer comes due, or None."""
        return _optional(self._rows("next_timer")[0][0])

    def commit(self, results: Sequence[Result], now: datetime) -> None:
        """Write what steps did, in one transaction."""
        try:
            self._commit(results, now, check=True)
        except Vanished:
            # Somebody was forgotten after the claim: nothing of theirs is written.
            with self._lock, telling(self.path):
                results = still_there(self._db, results)
            self._commit(results, now, check=False)

    def _commit(self, results: Sequence[Result], now: datetime, *, check: bool) -> None:
        last: dict[tuple[str, str, int], Conversation] = {}
        journal, outbound, timers, consent, finished, fired = [], [], [], [], [], []
        calls, answered = [], []
        at = stamp(now)
        for result in results:
            for step in result.steps:
                after = step.conversation
                name = (after.channel, after.sender, after.number)
                last[name] = after
                journal.append((*name, after.steps, after.flow, stamp(step.now), record(step)))
                outbound += [
                    (
                        *(o.channel, o.recipient, storable(o.text), o.kind, at, at),
                        *(stamp(o.not_before) if o.not_before else at, o.number, o.asks),
                    )
                    for o in step.outbound
                ]
                if step.request is not None:
                    key = f"convo-{after.channel}-{after.sender}-{after.number}-{after.entry}"
                    key = hashlib.sha256(key.encode()).hexdigest()[:32]
                    asked = (step.request.service, encode(step.request.given), key, at, at)
                    calls.append((*name, after.entry, *asked))
                timers += [(*name, after.entry, t.name, stamp(t.due_at)) for t in step.timers]
                consent += [_consent_row(each) for each in step.consent]
            if isinstance(result.waiting.event, TimerFired):
                fired.append((result.waiting.id,))
            elif isinstance(result.waiting.event, CallAnswered):
                answered.append((result.waiting.id,))
            else:
                status = "dead" if result.dead else "waiting" if result.retry else "done"
                tried = int(bool(result.dead or result.retry))
                finished.append((status, tried, result.dead or result.retry or "", result.waiting.id))
        # An ended conversation is written before the one that was opened after it: one open at a time.
        written = sorted(last.values(), key=lambda each: each.number)
        with self._write() as db:
            left = [(e.channel, e.sender, e.number, e.entry, int(not e.is_open)) for e in written]
            for statement, rows in (
                ("drop_timer", fired),
                ("write_conversation", [conversation_row(each) for each in written]),
                ("write_journal", journal),
                ("write_outbound", outbound),
                ("write_timer", timers),
                ("void_timers", left),
                ("void_calls", left),
                ("call_done", answered),
                ("write_call", calls),
                ("write_consent", consent),
                ("finish", finished),
            ):
                if rows:
                    found = db.executemany(_SQL[statement], rows).rowcount
                    if check and statement in ("drop_timer", "call_done", "finish") and found < len(rows):
                        raise Vanished
            if outbound:
                recall(db, ((row[0], row[1]) for row in outbound))

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
        at = stamp(now)
        going: list[OutboxRow] = []
        marks, charged, asked = [], [], []
        with self._write() as db:
            for found in db.execute(_SQL["sendable"], (channel, at, limit, after_unknown)).fetchall():
                segments = cost(stored(found["text"])).segments
                row = _outbox_row(found, segments)
                past = SqlitePast(self._rows, channel, row.outbound.recipient, row.outbound.id, now)
                due_at = _optional(found["due_at"]) if row.attempts else row.next_at
                reason = allows(LastLook(row, bool(found["opted_out"]), due_at or row.created_at, past))
                if reason is None:
                    going.append(replace(row, status=Status.SENDING, attempts=row.attempts + 1))
                    marks.append((Status.SENDING, 1, "", at, at, segments, 1, row.outbound.id))
                    charged.append((channel, row.outbound.recipient, segments))
                else:
                    stopped = Status.EXPIRED if isinstance(reason, Expired) else Status.BLOCKED
                    marks.append((stopped, 0, str(reason), at, at, segments, 0, row.outbound.id))
                    if row.outbound.asks:
                        asked.append((at, row.outbound.id))
            if marks:
                db.executemany(_SQL["mark"], marks)
            if asked:
                db.executemany(_SQL["asked"], asked)
            if charged:
                db.executemany(_SQL["charge"], charges(charged, now))
        return going

    def unknown(self, channel: str, before: datetime, limit: int) -> list[OutboxRow]:
        """Return rows of the channel that have been unknown since ``before``, oldest first."""
        ahead = stamp(before + CLOCK_SET_BACK)
        return [_outbox_row(row) for row in self._rows("unknown", channel, stamp(before), ahead, limit)]

    def provider_ids(self, channel: str, recipient: Address) -> frozenset[str]:
        """Return the provider's ids of all that was handed over to that recipient."""
        return frozenset(row["provider_id"] for row in self._rows("provider_ids", channel, recipient))

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> None:
        """Write what the provider said about rows that were marked sending."""
        rows = [
            (
                each.status,
                each.provider_id,
                each.provider_id,
                each.reason,
                each.segments,
                stamp(each.retry_at) if each.retry_at else None,
                stamp(now),
                each.id,
            )
            for each in settlements
        ]
        asked = [(stamp(now), each.id) for each in settlements if each.asked]
        consent = [_consent_row(each.consent) for each in settlements if each.consent is not None]
        left_not = [(each.id,) for each in settlements if each.status in _DID_NOT_LEAVE]
        with self._write() as db:
            if left_not:
                db.executemany(_SQL["give_back"], left_not)
            db.executemany(_SQL["settle"], rows)
            if asked:
                db.executemany(_SQL["asked"], asked)
            if consent:
                db.executemany(_SQL["write_consent"], consent)

    def next_outbound(self, channel: str) -> datetime | None:
        """Return when the next queued row of the channel may leave, or None."""
        return _optional(self._rows("next_outbound", channel)[0][0])

    def receipts(self, receipts: Sequence[Receipt], now: datetime) -> int:
        """Apply delivery receipts; a status never moves backwards."""
        rows = [(each.status, stamp(now), each.channel, each.provider_id, each.status) for each in receipts]
        with self._write() as db:
            return db.executemany(_SQL["receipt"], rows).rowcount if rows else 0

    def recover(self, now: datetime, *, channel: str | None = None, before: datetime | None = None) -> int:
        """Turn rows that a dead process left ``sending`` into ``unknown``; return how many."""
        with self._write() as db:
            db.execute(_SQL["forget_spent"], (day(now - _SPENT_KEPT),))
            until = stamp(before) if before is not None else None
            return db.execute(_SQL["recover"], (stamp(now), channel, until)).rowcount

    # -- looking ------------------------------------------------------------------------------------

    def opted_out(self, channel: str, number: Address) -> bool:
        """Return whether the last entry of the ledger for that number is an opt-out."""
        found = self._rows("opted_out", channel, number)
        if not found:
            with self._lock, telling(self.path):
                return is_forgotten(self._db, channel, number)
        return bool(found[0][0])

    def conversation(self, channel: str, sender: Address) -> Conversation | None:
        """Return the sender's open conversation, else the one that ended last, else None."""
        found = self._rows("conversation", channel, sender)
        return conversation_of(by_name(found[0])) if found else None

    def open_states(self) -> Mapping[tuple[str, str], int]:
        """Return how many open conversations wait in each (flow, state)."""
        return {(flow, state): count for flow, state, count in self._rows("open_states")}

    def journal(self, channel: str, sender: Address) -> list[JournalEntry]:
        """Return every step of that sender on that channel, oldest first."""
        return [
            JournalEntry(
                row["channel"],
                Address(row["sender"]),
                row["number"],
                row["step"],
                row["flow"],
                moment(row["at"]),
                row["record"],
            )
            for row in self._rows("journal", channel, sender)
        ]

    def outbox(self, channel: str | None = None) -> list[OutboxRow]:
        """Return the outbox, oldest first."""
        return [_outbox_row(row) for row in self._rows("outbox", channel, channel)]

    def inbox(self, status: InboxStatus | None = None) -> list[InboxRow]:
        """Return the inbox, oldest first."""
        return [
            InboxRow(
                id=row["id"],
                channel=row["channel"],
                sender=Address(row["sender"]),
                text=stored(row["text"]),
                raw=stored(row["raw"]),
                status=InboxStatus(row["status"]),
                reason=row["reason"],
                received_at=moment(row["received_at"]),
            )
            for row in self._rows("inbox", status, status)
        ]

    @property
    def views(self) -> SqliteViews:
        """What an operator sees of this store; see ``convo/store/views.py``."""
        from convo.store.sqlite_views import SqliteViews  # which knows this module

        return SqliteViews(self._db, self._lock, self.path)

    # -- privacy ------------------------------------------------------------------------------------

    def forget(self, number: Address, now: datetime) -> Removed:
        """Remove a person from every table of every channel, and their number from what others wrote."""
        from convo.store.sqlite_privacy import forget  # seldom asked for

        with self._overwriting(), self._write() as db:
            return forget(db, number, now)

    def prune(self, before: datetime, now: datetime, limit: int) -> Removed:
        """Remove up to ``limit`` conversations untouched since ``before``, and inbox rows as old."""
        from convo.store.sqlite_privacy import prune  # seldom asked for

        with self._overwriting(), self._write() as db:
            return prune(db, before, now, limit)

    def scrub(self) -> None:
        """Have no byte of what was removed left in any file of the store."""
        from convo.store.sqlite_privacy import scrub  # seldom asked for

        with self._lock, telling(self.path):
            scrub(self._db)

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

    def _rows(self, name: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            try:
                return self._db.execute(_SQL[name], values).fetchall()
            except (sqlite3.Error, OSError) as wrong:
                raise_told(self.path, wrong)
                raise

    def _write(self) -> Transaction:
        return Transaction(self._db, self._lock, self.path)


@cache
def _migrations() -> tuple[str, ...]:
    folder = resources.files("convo.store").joinpath("sql")
    names = sorted(each.name for each in folder.iterdir() if re.match(r"\d{4}_", each.name))
    return tuple(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def _optional(text: str | None) -> datetime | None:
    return moment(text) if text else None


def _event(row: Mapping[str, Any]) -> Event:
    if row["kind"] == "opening":
        return Started(stored(row["text"]), decode(stored(row["raw"])))
    return Received(stored(row["text"]), moment(row["received_at"]), _optional(row["sent_at"]))


def _consent_row(entry: Consent) -> tuple[Any, ...]:
    return (entry.channel, entry.number, entry.kind, stamp(entry.at), storable(entry.wording), entry.source)


def _outbox_row(found: sqlite3.Row, segments: int | None = None) -> OutboxRow:
    row = by_name(found)
    return OutboxRow(
        outbound=Outbound(
            row["channel"],
            Address(row["recipient"]),
            stored(row["text"]),
            OutboundKind(row["kind"]),
            row["id"],
            None,
            row["number"],
            row["asks"],
        ),
        status=Status(row["status"]),
        created_at=moment(row["created_at"]),
        attempts=row["attempts"],
        next_at=_optional(row["next_at"]),
        provider_id=row["provider_id"],
        reason=row["reason"],
        segments=row["segments"] if segments is None else segments,
    )
