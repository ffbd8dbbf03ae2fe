"""What every transport is: a way to poll inbound texts and to hand over outbound ones.

A transport knows one provider's protocol and nothing of flows, stores or retries. What a failed
send means for the future is *data* (one of the ``SendResult`` classes); the runtime acts on it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from convo.messages import Inbound, Outbound, Receipt, Unreadable


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll brought: messages in the provider's order, and where to go on from.

    ``more`` says that the provider may have more right now: ask again at once, but store this first.
    """

    messages: tuple[Inbound, ...] = ()
    cursor: str | None = None
    more: bool = False
    unreadable: tuple[Unreadable, ...] = ()
    receipts: tuple[Receipt, ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider took it. ``segments`` is the provider's own count, None where it gives none."""

    provider_id: str
    segments: int | None = None


@dataclass(frozen=True, slots=True)
class RetryLater:
    """It certainly did not leave; try again, not before ``after`` where the provider named a time."""

    reason: str
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It did not leave and never will; ``reason`` is for the operator."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have left: the line broke between asking and hearing."""

    reason: str


@dataclass(frozen=True, slots=True)
class OptedOut:
    """The carrier refuses because the recipient has opted out there."""

    reason: str


@dataclass(frozen=True, slots=True)
class BadCredentials:
    """It did not leave, and nothing will until the operator mends the named setting."""

    reason: str


SendResult = Sent | RetryLater | GiveUp | Unknown | OptedOut | BadCredentials


class Transport(Protocol):
    """One provider. Calls block, end by their timeout, and never raise but as documented here."""

    name: str
    reserved_words: frozenset[str]
    """Words that the carrier takes as opt-out or help before we see them, in upper case."""

    def start(self) -> None:
        """Make ready before the first poll (fetch a token, create or extend a subscription).

        Raises:
            CredentialsError, ConfigError: it cannot work until the operator changes a setting.
            TransportError: it did not work this time; ``final`` where waiting does not help.
        """
        ...

    def poll(self, cursor: str | None) -> Batch:
        """Ask once for inbound texts, going on from ``cursor`` (None: from the beginning).

        Raises:
            CredentialsError, TransportError: as for ``start``. Nothing that the provider handed out
                is lost by it: what cannot be understood comes back as ``Batch.unreadable``.
        """
        ...

    def send(self, outbound: Outbound) -> SendResult:
        """Hand one outbound over to the provider, once; never raises for what the provider does."""
        ...

    def close(self) -> None:
        """Let go of connections; safe to call twice and while another thread polls."""
        ...


@dataclass(frozen=True, slots=True)
class PushRequest:
    """A call of the provider to our webhook. Names of headers are in lower case.

    ``url`` is the address as the provider called it, query and all, whatever proxies stand between:
    signatures cover it. ``query`` is the text behind the ``?``, as it came.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    query: str = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeldCall:
    """A call to our webhook whose answer can be a reply to the text it brought.

    The webhook waits ``within`` seconds for ``reply``, which ``Transport.send`` sets, and then says by
    ``written`` whether that went out. A ``reply`` that is cancelled is waited for no longer.
    """

    within: float
    reply: Future[PushResult] = field(default_factory=Future, repr=False)
    written: Future[bool] = field(default_factory=Future, repr=False)


@dataclass(frozen=True, slots=True)
class PushResult:
    """What a call to our webhook brought, and what to answer once ``batch`` is stored.

    A status other than 2xx refuses the call: ``batch`` is then empty, and the provider may try again.
    ``held``: a reply that comes soon is the answer; this one is for when none comes.
    """

    batch: Batch = Batch()
    status: int = 204
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    held: HeldCall | None = None


class Pushed(Protocol):
    """What a transport adds to ``Transport`` whose provider can call us instead of being polled.

    One that cannot be polled at all says so by ``only_pushed = True``.
    """

    signs_pushes: bool
    """Whether ``received`` can tell the provider from a stranger; if not, the path must be a secret."""
    push_methods: frozenset[str]

    def push_to(self, url: str | None) -> None:
        """Say before ``start`` where texts and receipts shall go: pushed to ``url``, or polled (None).

        Nothing is asked of the provider yet; ``start`` and the polls after it change its setting, and
        only if this was called. With pushes, a poll brings what was still waiting, or nothing.
        """
        ...

    def received(self, request: PushRequest) -> PushResult:
        """Read a call to our webhook; pure but for the clock, from any thread, and never raises."""
        ...


class Reconciling(Protocol):
    """What a transport adds to ``Transport`` whose provider can be asked afterwards what it was given."""

    def find_sent(
        self, outbound: Outbound, since: datetime, known: Container[str] = frozenset()
    ) -> Sent | None:
        """Look for an outbound of which nobody knows whether it left; None: it never did.

        ``since`` is when it was handed over, ``known`` are the provider's ids of other outbounds. What was
        taken a moment ago may not be listed yet: ask a minute later, not at once.

        Raises:
            CredentialsError, TransportError: as for ``Transport.poll``; nothing is known then.
        """
        ...
