"""What every emulated provider has: a server, a phone beside it, faults, counts of what was asked for.

A provider adds its own calls (``_operation_of``, ``_act``), its words for what goes wrong, and the texts.
What the phone is told, and tells, stands in docs/emulators.md.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Protocol, Self

from convo.clock import Clock
from convo.emulators.base import (
    Fault,
    FaultKind,
    Faults,
    LoopbackServer,
    Request,
    Response,
    instead,
    json_response,
    spoiled,
)
from convo.emulators.pushing import Pusher


class Left(Protocol):
    """One SMS that left through an emulator."""

    @property
    def recipient(self) -> str:
        """To whom, in E.164."""
        ...

    @property
    def text(self) -> str:
        """What was said."""
        ...


class Emulator(ABC):
    """One account; everything in memory, time from ``clock``; requests come in threads of their own.

    ``calls_per_second`` None: never too fast. ``pusher`` makes the provider's own calls, None: it makes none.
    """

    name = ""

    def __init__(
        self, clock: Clock, *, port: int, calls_per_second: int | None, pusher: Pusher | None = None
    ) -> None:
        self._clock = clock
        self._calls_per_second = calls_per_second
        self._server = LoopbackServer(self._answer, port=port)
        self._pusher = pusher
        self._faults = Faults()
        self._changed = threading.Condition()  # guards everything below, and all that subclasses keep
        self._calls: deque[datetime] = deque()
        self._counts: dict[str, int] = {}

    @property
    def url(self) -> str:
        """The address, without a slash at its end; known once started."""
        return self._server.url

    def start(self) -> None:
        """Begin to listen, and to push where it does (ConfigError: the port is taken)."""
        self._server.start()
        if self._pusher is not None:
            self._pusher.start()

    def stop(self) -> None:
        """Stop pushing and listening, and break every connection."""
        if self._pusher is not None:
            self._pusher.stop()
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def environ(self) -> dict[str, str]:
        """Return the settings with which the transport talks to this emulator."""

    @abstractmethod
    def text(self, sender: str, text: str, *, message_id: str | None = None) -> str:
        """Text our number as ``sender`` and return the id that the text has."""

    def sent(self, after: int = 0, *, wait: float = 0.0) -> Sequence[Any]:
        """Return what left, from the ``after``-th on; waits up to ``wait`` real seconds for one such."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: len(self._left()) > after, wait)
            return tuple(self._left()[after:])

    def fault(self, kind: FaultKind | str, on: str = "any", **settings: object) -> None:
        """Switch a fault on; ``settings`` are the other fields of ``Fault``."""
        self._faults.add(Fault(FaultKind(kind), on, **settings))  # type: ignore[arg-type]

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self._faults.clear()

    def calls(self, operation: str) -> int:
        """Return how often an operation (see ``Fault``) was asked for."""
        with self._changed:
            return self._counts.get(operation, 0)

    def wait_for_calls(self, operation: str, count: int, seconds: float) -> bool:
        """Wait up to ``seconds`` of real time until ``operation`` was asked for ``count`` times."""
        with self._changed:
            return self._changed.wait_for(lambda: self._counts.get(operation, 0) >= count, seconds)

    # -- what a provider says for itself -----------------------------------------------------------

    @abstractmethod
    def _left(self) -> Sequence[Left]:
        """Return all that left, oldest first."""

    @abstractmethod
    def _printed(self, text: Any) -> Mapping[str, object]:
        """Return one of them as the phone shows it."""

    @abstractmethod
    def _operation_of(self, request: Request) -> str | None:
        """Return which call of the API this is, None where there is none."""

    @abstractmethod
    def _nowhere(self, request: Request) -> Response:
        """Return the answer to what is no call of the API."""

    @abstractmethod
    def _spike(self) -> Response:
        """Return the provider's words for "too fast"."""

    @abstractmethod
    def _void_tokens(self) -> Response | None:
        """Forget every token; return an answer only where there are none to forget."""

    @abstractmethod
    def _act(self, operation: str, request: Request, repeat: bool) -> Response:
        """Do what was asked; ``repeat``: hand out a polled text and keep it."""

    def _texted(self, said: Mapping[str, Any]) -> str:
        """Let a person text us, as the phone was told."""
        return self.text(said["from"], said["text"], message_id=said.get("id"))

    # -- a request ---------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Response:
        if request.path.startswith("/phone/"):
            return self._phone(request)
        operation = self._operation_of(request)
        if operation is None:
            return self._nowhere(request)
        fault = self._faults.take(operation)
        kind = None if fault is None else fault.kind
        with self._changed:
            self._counts[operation] = self._counts.get(operation, 0) + 1
            self._changed.notify_all()
            replaced = None if fault is None else instead(fault)
            if replaced is not None:
                return replaced
            if kind is FaultKind.SPIKE or self._too_fast():
                return self._spike()
            refused = self._void_tokens() if kind is FaultKind.UNAUTHORIZED else None
            if refused is not None:
                return refused
            answer = self._act(operation, request, kind is FaultKind.REPEAT)
        return answer if fault is None else spoiled(fault, answer)

    def _too_fast(self) -> bool:
        if self._calls_per_second is None:
            return False
        now = self._clock.now()
        while self._calls and now - self._calls[0] >= timedelta(seconds=1):
            self._calls.popleft()
        if len(self._calls) >= self._calls_per_second:
            return True
        self._calls.append(now)
        return False

    def _phone(self, request: Request) -> Response:
        try:
            said = json.loads(request.body) if request.body else {}
            match request.method, request.path:
                case "POST", "/phone/texts":
                    if not all(isinstance(said.get(one, ""), str | None) for one in ("from", "text", "id")):
                        raise TypeError
                    return json_response(201, {"id": self._texted(said)})
                case "GET", "/phone/sent":
                    after, wait = int(request.query.get("after", "0")), float(request.query.get("wait", "0"))
                    sent = self.sent(max(after, 0), wait=min(max(wait, 0.0), 30.0))
                    return json_response(200, {"sent": [self._printed(one) for one in sent]})
                case "POST", "/phone/faults":
                    self.fault(said.pop("kind"), said.pop("on", "any"), **said)
                    return json_response(201, {})
                case "DELETE", "/phone/faults":
                    self.clear_faults()
                    return Response(204)
        except (ValueError, KeyError, TypeError, AttributeError):
            return json_response(400, {"error": "what to post stands in docs/emulators.md"})
        return json_response(404, {"error": "the phone has /phone/texts, /phone/sent and /phone/faults"})
