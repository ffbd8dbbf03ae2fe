"""One sender in one flow, and what can happen to it: the data that ``step`` takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from convo.flow.values import Value
from convo.messages import Address, Outbound


@dataclass(frozen=True, slots=True)
class Conversation:
    """One sender in one flow on one channel.

    ``number`` counts this sender's conversations on the channel from 1, so that channel, sender and
    number name it for ever. ``entry`` counts the states entered: a timer of an older entry is void.
    ``steps`` counts the steps taken. ``now_at`` is the ``now`` of the last step. ``version`` is the
    content hash of the flow file that the last step ran on. ``ended`` is the disposition, None while
    the conversation is open. ``closed_told`` says that the sender has been told that it is over.
    ``trail`` are the questions answered, for going back. ``heard`` is the folded text of the answer that
    was accepted last, ``leaving`` the keyword that has to be sent again to leave. ``kept`` is what this
    sender's conversations leave behind for later ones, by flow.
    """

    channel: str
    sender: Address = field(repr=False)
    number: int
    flow: str
    state: str
    opened_at: datetime
    now_at: datetime
    version: str = ""
    data: Mapping[str, Value] = field(default_factory=dict, repr=False)
    entry: int = 1
    tries: int = 0
    steps: int = 0
    language: str = "en"
    ended: str | None = None
    ended_at: datetime | None = None
    closed_told: bool = False
    trail: tuple[str, ...] = ()
    heard: str = field(default="", repr=False)
    leaving: str = ""
    kept: Mapping[str, Mapping[str, Value]] = field(default_factory=dict, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether it still waits for something."""
        return self.ended is None


@dataclass(frozen=True, slots=True)
class Received:
    """The sender wrote. ``sent_at`` is the provider's timestamp, None where it gave none.

    ``late``: it was sent before the question that waits now had been handed over.
    """

    text: str = field(repr=False)
    received_at: datetime
    sent_at: datetime | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer of the conversation's state came due.

    ``asked_at`` is when the question that waits was handed over, None where that is not known;
    ``pending`` says that it has not been yet.
    """

    name: str
    entry: int
    due_at: datetime
    asked_at: datetime | None = None
    pending: bool = False


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """A service answered, or did not: ``result`` is ok, error or timeout, ``values`` what it told us."""

    result: str
    entry: int
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """We open the conversation: ``flow`` names which, ``given`` is its data."""

    flow: str
    given: Mapping[str, Value] = field(default_factory=dict, repr=False)


Event = Received | TimerFired | CallAnswered | Started


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that a step sets: due once at ``due_at`` unless its state has been left by then."""

    name: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """A service that is to be asked after the commit: its name, and what it is told."""

    service: str
    given: Mapping[str, Value] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as it was taken: the text, the clean value, and how it matched."""

    name: str
    text: str = field(repr=False)
    value: Value = field(repr=False)
    how: str = ""


class ConsentKind(StrEnum):
    """An entry of the consent ledger."""

    OPT_OUT = "opt-out"
    OPT_IN = "opt-in"


@dataclass(frozen=True, slots=True)
class Consent:
    """One entry for the consent ledger. ``wording`` is what was said, ``source`` who said it."""

    channel: str
    number: Address = field(repr=False)
    kind: ConsentKind
    at: datetime
    wording: str = field(default="", repr=False)
    source: str = "sender"


@dataclass(frozen=True, slots=True)
class Step:
    """What one event did to one conversation; nothing has happened outside yet.

    ``conversation`` is how it stands afterwards. ``timers`` are those set by this step. ``event`` and
    ``now`` are what the step was made from, so that the journal can make it again. ``took`` names the
    transitions taken, in order, as ``source trigger dest``. ``notes`` are sentences for the
    journal, ``request`` is a service to be asked.
    ``fault`` is set where the step was undone.
    """

    conversation: Conversation
    event: Event
    now: datetime
    state_before: str = ""
    outbound: tuple[Outbound, ...] = ()
    timers: tuple[Timer, ...] = ()
    consent: tuple[Consent, ...] = ()
    request: Request | None = None
    answers: tuple[Answered, ...] = ()
    took: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fault: str | None = None
