"""What every store promises. One contract suite (tests/contract/store.py) holds all of them to it.

Each method that writes is one transaction: after it returns the change survives a crash, and if it
raises nothing of it happened. All times are aware UTC datetimes. Failures raise ``StoreError``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from convo.engine.conversation import Consent, Conversation, Event, Step, TimerFired
from convo.messages import Address, Inbound, Outbound, Receipt, Status, Unreadable
from convo.store.removed import Removed


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a batch: rows that are new, and messages that we had already."""

    new: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class Opening:
    """A request to open ``flow`` with ``recipient``; stepped like a message, in the same order.

    ``key`` makes the request unique, so that asking twice opens once. ``given`` is JSON text of the
    data given, as ``convo.flow.values.encode`` writes it.
    """

    channel: str
    recipient: Address = field(repr=False)
    flow: str
    key: str
    given: str = field(default="{}", repr=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An inbox row, or a due timer, that waits for its step, with what the store knows of its sender.

    ``conversation`` is the sender's open conversation, else the one that ended last, else None.
    ``attempts`` counts the earlier tries of this row that raised. ``asked_at`` is when the question that
    the conversation waits with was handed over, None where it was not.
    """

    id: int
    channel: str
    sender: Address = field(repr=False)
    event: Event
    conversation: Conversation | None
    opted_out: bool
    attempts: int = 0
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A service that is to be asked. ``key`` names this request for ever: asking twice does it once.

    ``given`` is JSON text, as ``convo.flow.values.encode`` writes it.
    """

    id: int
    service: str
    given: str = field(repr=False)
    key: str
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a ``Waiting``: its steps (none where it changed nothing), or that it is dead.

    ``dead`` sets the row aside with its explanation; ``retry`` leaves it waiting with one more attempt.
    """

    waiting: Waiting
    steps: tuple[Step, ...] = ()
    dead: str | None = None
    retry: str | None = None


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An outbound in the outbox."""

    outbound: Outbound
    status: Status
    created_at: datetime
    attempts: int = 0
    next_at: datetime | None = None
    provider_id: str = ""
    reason: str = ""
    segments: int | None = None

    def marked(self) -> OutboxRow:
        """Return the row as it stands once it is marked sending."""
        return OutboxRow(
            self.outbound,
            Status.SENDING,
            self.created_at,
            self.attempts + 1,
            self.next_at,
            self.provider_id,
            self.reason,
            self.segments,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """A text of the past and its moment: when it came in, or when it left or (not ``left``) was stopped."""

    text: str = field(repr=False)
    at: datetime
    left: bool = True


class Past(Protocol):
    """What the policies may ask about a recipient, within the transaction of the last look."""

    def heard(self, limit: int) -> Sequence[Line]:
        """Return the latest texts from the recipient, newest first."""
        ...

    def said(self, limit: int) -> Sequence[Line]:
        """Return the latest texts for the recipient that left or were stopped, newest first."""
        ...

    def confirms(self) -> bool:
        """Return whether the row is the newest word about consent, and the carrier has not refused since."""
        ...


@dataclass(frozen=True, slots=True)
class LastLook:
    """What the policies may know about an outbound at the moment before it is marked sending.

    ``due_at`` is since when it might have left: its time of quiet is no waiting. ``to_one`` and
    ``on_channel`` are the segments handed over today (UTC) to the recipient and on the whole channel.
    ``newest`` is the latest text from the recipient, and ``to_itself`` says that it went to the number that
    it came from.
    """

    row: OutboxRow
    opted_out: bool
    due_at: datetime
    past: Past
    to_one: int = 0
    on_channel: int = 0
    newest: str = field(default="", repr=False)
    to_itself: bool = False


class Expired(str):
    """Why a row is not sent any more: it has waited too long."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Settlement:
    """What to write about an outbound after the provider has been asked.

    ``retry_at`` goes with the status QUEUED: not before then. ``asked``: it was a question, and the time
    of silence begins. ``consent`` goes into the ledger: the carrier knows of an opt-out.
    """

    id: int
    status: Status
    provider_id: str = ""
    reason: str = ""
    segments: int | None = None
    retry_at: datetime | None = None
    asked: bool = False
    consent: Consent | None = None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One step as the journal keeps it, append-only. ``record`` is the step as JSON text."""

    channel: str
    sender: Address = field(repr=False)
    number: int
    step: int
    flow: str
    at: datetime
    record: str = field(repr=False)


class InboxStatus(StrEnum):
    """Where an inbox row stands."""

    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A row of the inbox as it is shown to an operator."""

    id: int
    channel: str
    sender: Address = field(repr=False)
    text: str = field(repr=False)
    raw: str = field(repr=False)
    status: InboxStatus
    reason: str
    received_at: datetime


class Store(Protocol):
    """The memory. Safe to use from several threads of one process."""

    @property
    def divided(self) -> bool:
        """Whether its senders fall into partitions that several processes step apart."""
        ...

    # -- receive --------------------------------------------------------------------------------

    def accept(
        self,
        channel: str,
        messages: Sequence[Inbound],
        *,
        cursor: str | None,
        now: datetime,
        unreadable: Sequence[Unreadable] = (),
    ) -> Accepted:
        """Put a batch into the inbox and remember the channel's cursor and its good poll at ``now``.

        Messages are kept in order of their sent time (``received_at`` where that is missing), ties as
        given. A message whose ``key`` is in the inbox of that channel already is counted and dropped;
        one without a key is always new. What is unreadable becomes a dead row with its raw text; where
        that was the whole answer, the poll was no good one.
        """
        ...

    def request(self, openings: Sequence[Opening], now: datetime) -> int:
        """Put openings into the inbox; return how many are new."""
        ...

    def cursor(self, channel: str) -> str | None:
        """Return where the channel's last stored batch left off."""
        ...

    # -- process --------------------------------------------------------------------------------

    def busy(self, now: datetime) -> Sequence[int]:
        """Return the partitions of senders in which there may be something to step at ``now``.

        A store that is not divided has one, 0, and always names it.
        """
        ...

    def fenced(self, *partitions: int) -> AbstractContextManager[Store]:
        """Yield the store through which partitions are stepped, with nobody else within their fences.

        Whoever comes meanwhile, from whatever process, waits and then reads what was committed. Claims, due
        timers, answers and ``next_timer`` are those of the partitions alone. Where several processes may
        step, all of the block is one transaction: a method that raises did nothing and the others stand, and
        if the block raises nothing of it happened. A store that one process runs on may yield itself.
        """
        ...

    def claim(self, limit: int) -> list[Waiting]:
        """Return up to ``limit`` waiting inbox rows, oldest first. Changes nothing.

        Rows of a sender for whom a service is being asked wait until it has answered.
        """
        ...

    def due(self, now: datetime, limit: int) -> list[Waiting]:
        """Return up to ``limit`` timers due at ``now`` whose conversation is open and still in that entry.

        A timer waits while a text of its sender is in the inbox.
        """
        ...

    def next_timer(self) -> datetime | None:
        """Return when the next timer comes due, or None."""
        ...

    def calls(self, now: datetime, limit: int) -> list[PendingCall]:
        """Return up to ``limit`` services that are to be asked now, oldest first.

        One that was wanted later than ``now`` comes from a clock that was set back since, and is asked too.
        """
        ...

    def next_call(self) -> datetime | None:
        """Return when the next service is to be asked, or None."""
        ...

    def call_again(self, call: int, at: datetime, note: str) -> None:
        """A service gave no answer; it is to be asked again."""
        ...

    def call_answered(self, call: int, result: str, values: Mapping[str, str], note: str) -> None:
        """A service answered, or is asked no more: ``result`` is ok, error or timeout."""
        ...

    def answered(self, limit: int) -> list[Waiting]:
        """Return up to ``limit`` answers of services that wait for their step, oldest first."""
        ...

    def commit(self, results: Sequence[Result], now: datetime) -> None:
        """Write what steps did: conversations, journal, outbox, timers, consent, and the rows done.

        Several steps of one conversation may come in one call, in order; the last one stands. Timers
        of a conversation whose ``entry`` has gone on, or that has ended, are dropped. A ``Waiting``
        that came from ``due`` has its timer removed, one from ``answered`` its call done. A call whose state
        was left is not made any more.
        """
        ...

    # -- deliver --------------------------------------------------------------------------------

    def mark_sending(
        self,
        channel: str,
        now: datetime,
        limit: int,
        allows: Callable[[LastLook], str | None],
        *,
        after_unknown: bool = True,
    ) -> list[OutboxRow]:
        """Choose what may leave now and mark it ``sending``; return those rows, oldest first.

        A queued row is chosen when its time has come and no earlier row to the same recipient on the
        channel is queued or sending, nor, without ``after_unknown``, unknown. ``allows`` takes the last
        look inside the transaction: a sentence blocks the row with that reason (``Expired``: it has waited
        too long; a question counts as asked then), None lets it go. ``attempts`` counts this one too.
        """
        ...

    def unknown(self, channel: str, before: datetime, limit: int) -> list[OutboxRow]:
        """Return up to ``limit`` rows of the channel, unknown since ``before`` or longer, oldest first.

        A row dated an hour after ``before`` or later comes from a clock that was set back since, and counts.
        """
        ...

    def provider_ids(self, channel: str, recipient: Address) -> frozenset[str]:
        """Return the provider's ids of all that was handed over to that recipient, where it gave any."""
        ...

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> None:
        """Write what the provider said about rows that were marked sending."""
        ...

    def next_outbound(self, channel: str) -> datetime | None:
        """Return when the next queued row of the channel may leave (its ``next_at``), or None."""
        ...

    def receipts(self, receipts: Sequence[Receipt], now: datetime) -> int:
        """Apply delivery receipts; a status never moves backwards. Return how many were applied."""
        ...

    def recover(self, now: datetime, *, channel: str | None = None, before: datetime | None = None) -> int:
        """Turn rows that a dead process left ``sending`` into ``unknown``; return how many.

        Where other processes are at work, only those of a ``channel`` that nobody else serves, and that were
        marked ``before`` any call that may still be under way.
        """
        ...

    # -- consent --------------------------------------------------------------------------------

    def opted_out(self, channel: str, number: Address) -> bool:
        """Return whether the last entry of the ledger for that number is an opt-out."""
        ...

    # -- looking --------------------------------------------------------------------------------

    def conversation(self, channel: str, sender: Address) -> Conversation | None:
        """Return the sender's open conversation, else the one that ended last, else None."""
        ...

    def open_states(self) -> Mapping[tuple[str, str], int]:
        """Return how many open conversations wait in each (flow, state)."""
        ...

    def journal(self, channel: str, sender: Address) -> list[JournalEntry]:
        """Return every step of that sender on that channel, oldest first."""
        ...

    def outbox(self, channel: str | None = None) -> list[OutboxRow]:
        """Return the outbox, oldest first."""
        ...

    def inbox(self, status: InboxStatus | None = None) -> list[InboxRow]:
        """Return the inbox, oldest first."""
        ...

    # -- privacy --------------------------------------------------------------------------------

    def forget(self, number: Address, now: datetime) -> Removed:
        """Remove a person from every table of every channel, and their number from what others wrote.

        Counts go on counting them. Whoever had opted out stays so: when the number is met again (a text of
        theirs, an opening, something said to them), its opt-out is entered in the ledger anew.
        """
        ...

    def prune(self, before: datetime, now: datetime, limit: int) -> Removed:
        """Remove up to ``limit`` conversations in which nothing has happened since ``before``, open or not.

        Their journal and outbounds go with them, and inbox rows as old that no conversation left stands
        on. One stays while a timer of its, or something for its sender, waits, and a sender's last one while
        they still write. The consent ledger stays. Nothing removed: there is no more to remove.
        """
        ...

    def scrub(self) -> None:
        """Have no byte of what was removed left in any file of the store."""
        ...

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        ...


PARTITIONS = 64
"""Into so many parts the senders of a divided store fall: as many may step at one moment."""


def partition_of(channel: str, sender: str) -> int:
    """Return the partition of a sender; the same on every machine, and for ever, for it is stored."""
    return zlib.crc32(f"{channel}\n{sender}".encode("utf-8", "surrogatepass")) % PARTITIONS


def event_kind(event: Event) -> str:
    """Return the word under which an event is stored."""
    return "timer" if isinstance(event, TimerFired) else type(event).__name__.lower()
