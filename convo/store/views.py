"""What an operator sees of a store, and what is wrong with it: frozen data.

``Views`` only reads, in a snapshot of its own, so it may look while ``convo run`` works on the store.
``ByHand`` is what a person decides about rows that convo will not decide alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from convo.engine.conversation import Conversation
from convo.messages import Address
from convo.store.base import InboxRow, JournalEntry, OutboxRow, Store
from convo.store.ledger import Breach


@dataclass(frozen=True, slots=True)
class Reason:
    """Rows that stand where they do for one reason. ``last_at`` is when the newest of them came there."""

    status: str
    reason: str
    rows: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ChannelView:
    """One channel: its last good poll, what waits, and what went wrong.

    ``oldest_in`` is when the oldest waiting inbox row came, ``oldest_out`` when the oldest queued
    outbound was said. ``outbox`` counts its rows by status, ``reasons`` tells of the unknown, failed,
    blocked and expired ones that nobody has dropped and of the queued ones that have been handed over in
    vain, ``dead`` of inbox rows set aside.
    """

    name: str
    last_good_poll_at: datetime | None
    waiting_in: int
    oldest_in: datetime | None
    oldest_out: datetime | None
    outbox: Mapping[str, int]
    reasons: tuple[Reason, ...]
    dead: tuple[Reason, ...]
    timers: int
    next_timer_at: datetime | None
    opted_out: int


@dataclass(frozen=True, slots=True)
class FlowView:
    """The conversations of one flow: the open ones by state, the ended ones by how they ended."""

    name: str
    open: Mapping[str, int]
    ended: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Overview:
    """A store at one moment."""

    at: datetime
    channels: tuple[ChannelView, ...]
    flows: tuple[FlowView, ...]


@dataclass(frozen=True, slots=True)
class TimerView:
    """A timer that waits."""

    name: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ConsentView:
    """An entry of the consent ledger."""

    kind: str
    at: datetime
    source: str
    wording: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PersonView:
    """Everything about one number on one channel. ``steps`` are the last ones, oldest first, of ``of``."""

    channel: str
    number: Address = field(repr=False)
    conversations: tuple[Conversation, ...]
    steps: tuple[JournalEntry, ...]
    of: int
    timers: tuple[TimerView, ...]
    consent: tuple[ConsentView, ...]
    outbox: tuple[OutboxRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is wrong: silence of a channel, and how long a row may wait."""

    silence: timedelta = timedelta(minutes=10)
    waiting: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that a person should look at. ``code`` is for programs, ``sentence`` for people."""

    code: str
    channel: str
    sentence: str


NOT_POLLED = frozenset({"console"})
"""Channels that are silent for good reasons: nobody sits at a console all day."""


def troubles(overview: Overview, limits: Limits, polled: Collection[str] | None = None) -> list[Trouble]:
    """Return what is wrong, most pressing first: silent channels, rows unknown or dead, rows that wait.

    ``polled`` are the channels that ought to have good polls; None: those of the store, one at least.
    """
    found: list[Trouble] = []
    known = {each.name: each.last_good_poll_at for each in overview.channels}
    if polled is None and not known:
        found.append(Trouble("silent", "", "no good poll ever: is a run at work, and what does its log say?"))
    for name in polled if polled is not None else [each for each in known if each not in NOT_POLLED]:
        since = known.get(name)
        if since is None or overview.at - since > limits.silence:
            what = "no good poll ever" if since is None else f"no good poll for {brief(overview.at - since)}"
            found.append(Trouble("silent", name, f"{name}: {what}"))
    for each in overview.channels:
        unknown = sum(reason.rows for reason in each.reasons if reason.status == "unknown")
        if unknown:
            what = f"{unknown} sent or not, nobody knows; look at: convo outbox"
            found.append(Trouble("unknown", each.name, f"{each.name}: {what}"))
        dead = sum(reason.rows for reason in each.dead)
        if dead:
            what = f"{dead} set aside in the inbox; look at: convo inbox"
            found.append(Trouble("dead", each.name, f"{each.name}: {what}"))
    for each in overview.channels:
        for code, oldest, what in (
            ("inbox", each.oldest_in, "a text has waited {} for its answer"),
            ("outbox", each.oldest_out, "an outbound has waited {} to leave"),
        ):
            if oldest is not None and overview.at - oldest > limits.waiting:
                told = what.format(brief(overview.at - oldest))
                found.append(Trouble(f"{code} waits", each.name, f"{each.name}: {told}"))
    return found


def brief(length: timedelta) -> str:
    """Return a duration in its largest unit: ``12 s``, ``5 min``, ``3 h``, ``4 days``."""
    whole = max(int(length.total_seconds()), 0)
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if whole >= 2 * size or (whole >= size and unit != "days"):
            return f"{whole // size} {unit}"
    return f"{whole} s"


class Views(Protocol):
    """What may be looked at. Failures raise ``StoreError``."""

    def overview(self, now: datetime) -> Overview:
        """Return how the whole store stands."""
        ...

    def served(self) -> list[str]:
        """Return the channels that a run has received on."""
        ...

    def person(self, number: Address, *, channel: str | None = None, steps: int = 10) -> list[PersonView]:
        """Return what is known of a number, a view for each channel that knows it."""
        ...

    def people(self) -> list[tuple[str, Address]]:
        """Return everybody of whom the journal tells, by channel."""
        ...

    def flows_told(self) -> list[tuple[str, str]]:
        """Return every flow of which the journal tells, by channel."""
        ...

    def outbox_rows(self, statuses: Sequence[str], channel: str | None = None) -> list[OutboxRow]:
        """Return the outbounds with one of these statuses that nobody has dropped, oldest first."""
        ...

    def dead_rows(self, channel: str | None = None) -> list[InboxRow]:
        """Return the inbox rows that were set aside, oldest first."""
        ...

    def opening_waits(self, channel: str, number: Address) -> bool:
        """Return whether a request to open a conversation with that number waits in the inbox."""
        ...

    def inbox_id(self, channel: str, opening_key: str) -> int | None:
        """Return the id of the inbox row of an ``Opening``."""
        ...

    def inbox_row(self, row: int) -> InboxRow | None:
        """Return one row of the inbox."""
        ...

    def check(self) -> list[str]:
        """Return what the database itself finds damaged, nothing where it is sound."""
        ...

    def schema(self) -> int:
        """Return the version of the schema."""
        ...

    def audit(self, now: datetime, examples: int = 20) -> list[Breach]:
        """Return every invariant of the ledger with how often it is broken, and some of the rows."""
        ...


class ByHand(Protocol):
    """What a person decides. Each call is one transaction that also checks how the row stands."""

    def resend(self, row: int, now: datetime) -> str:
        """Queue an outbound that is unknown, failed, blocked or expired; return what it was.

        Raises:
            ConfigError: there is no such row, or it is on its way, or has been sent.
        """
        ...

    def drop(self, row: int, now: datetime) -> str:
        """Give up an outbound that has not been sent; return what it was. Raises as ``resend``."""
        ...

    def retry_message(self, row: int) -> None:
        """Have a message that was set aside stepped again. Raises as ``resend``."""
        ...

    def drop_message(self, row: int) -> None:
        """Leave a message that was set aside unanswered for good. Raises as ``resend``."""
        ...


class Viewed(Store, Protocol):
    """A store that can be looked at without being opened anew. ``path`` names it, without any password."""

    path: str

    @property
    def views(self) -> Views:
        """What an operator sees of it."""
        ...

    def lock_for_run(self) -> None:
        """Make this process one that runs on the store, where only one may.

        Raises:
            StoreError: another process runs on it.
        """
        ...
