"""What a provider's stand-in can do, for the list of checks in ``conformance``. Public.

A stand-in answers on this machine as the provider would, and does what a check asks of it. Subclass
``StandIn``, or ``HttpStandIn`` for a provider that is spoken to by HTTP (docs/adding_a_transport.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Self

from convo.emulators.base import Ending, LoopbackServer, Request, Response, json_response
from convo.messages import Address, Status
from convo.testing.fakes import FakeClock
from convo.transports.base import PushRequest, Transport

SENDER = Address("+61400000001")
"""Who texts in the checks: one of the numbers that Australia keeps for fiction."""
WEBHOOK = "https://sms.example.com/sms/vBq1x9-Lm3Tz_8RwKd5Y"
"""The address that a stand-in calls, and signs for."""
PATIENCE = (2.0, 0.3)
"""Seconds for the ``Door`` of a transport under test: to connect, and for an answer to come."""


class Trouble(StrEnum):
    """What the next call of the transport meets, whether it polls or sends."""

    TOO_FAST = "too_fast"
    """429; nothing is done."""
    SILENT = "silent"
    """What is asked is done, and never answered."""
    BROKEN = "broken"
    """What is asked is done, and half of the answer comes."""
    PAGE = "page"
    """A page of HTML with status 200; nothing is done."""


@dataclass(frozen=True, slots=True)
class Said:
    """A text to our number. ``sent_at`` None: now; ``id`` None: one that the provider makes, "": none."""

    text: str = field(repr=False)
    sender: str = field(default=SENDER, repr=False)
    sent_at: datetime | None = None
    id: str | None = None


class StandIn(ABC):
    """One provider with one number of ours, fresh for each check; ``with`` it is there, after it is gone.

    ``clock`` is the only time there is. ``secrets`` must never be seen. ``read_once``: a text that was
    polled is not handed out again. ``takes_credentials``: not everybody may send. ``writes`` are the ways
    in which the provider writes ``SENDER``.
    """

    clock: FakeClock
    secrets: Sequence[str] = ()
    read_once = False
    takes_credentials = True
    writes: Sequence[str] = (SENDER,)

    @abstractmethod
    def connect(self, *, wrong: bool = False) -> Transport:
        """Return a transport of the channel ``sms``, as after a restart, with a Door of ``PATIENCE``.

        ``wrong``: with credentials that the provider refuses.
        """

    @abstractmethod
    def sent(self) -> Sequence[tuple[str, str]]:
        """Return recipient (like ``SENDER``) and text of all that the provider took, oldest first."""

    @abstractmethod
    def trouble(self, kind: Trouble) -> None:
        """Let the next call meet ``kind``."""

    @abstractmethod
    def leave(self) -> None:
        """Answer nobody from now on; safe to call twice."""

    def text(self, said: Said) -> None:
        """Have a text wait to be polled. For providers that can be polled."""
        raise NotImplementedError

    def pushed_text(self, said: Said) -> PushRequest:
        """Return the call of ``WEBHOOK`` that brings a text. For providers that call a webhook."""
        raise NotImplementedError

    def pushed_receipt(self, provider_id: str, status: Status) -> PushRequest | None:
        """Return the call of ``WEBHOOK`` that says what became of a send; None: it never says that."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class HttpStandIn(StandIn):
    """A stand-in that listens on this machine and meets troubles by itself; ``answer`` does what is asked.

    ``url`` is where it listens, ``taken`` what it was handed: recipient and text. A call of ``token_path``
    meets no trouble: tokens are no matter of the checks.
    """

    token_path = ""

    def __init__(self) -> None:
        """Listen."""
        self.clock = FakeClock()
        self.taken: list[tuple[str, str]] = []
        self._trouble: Trouble | None = None
        self._server = LoopbackServer(self._answer)
        self._server.start()
        self.url = self._server.url

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """Do what is asked, and return the provider's answer."""

    def sent(self) -> Sequence[tuple[str, str]]:
        """Return what was taken."""
        return self.taken

    def trouble(self, kind: Trouble) -> None:
        """Note what the next call meets."""
        self._trouble = kind

    def leave(self) -> None:
        """Stop listening."""
        self._server.stop()

    def _answer(self, request: Request) -> Response:
        if self.token_path and request.path == self.token_path:
            return self.answer(request)
        kind, self._trouble = self._trouble, None
        match kind:
            case Trouble.TOO_FAST:
                return json_response(429, {}, Retry_After="9")
            case Trouble.PAGE:
                page = b"<!DOCTYPE html><html><body><h1>Down for maintenance</h1></body></html>"
                return Response(200, page, {"Content-Type": "text/html"})
        endings = {None: Ending.WHOLE, Trouble.SILENT: Ending.HELD, Trouble.BROKEN: Ending.CUT}
        return replace(self.answer(request), ending=endings[kind])
