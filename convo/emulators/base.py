"""A loopback HTTP server with switchable faults: what every emulated provider stands on.

It is made of the standard library's ``http.server``: one process, a few requests at a time, on this
machine only, and nothing to install. It is no server for the world and refuses to be one: it binds to
127.0.0.1 alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from convo.errors import ConfigError

LARGEST_REQUEST = 1_000_000
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_log = logging.getLogger(__name__)


class Ending(StrEnum):
    """How an answer goes out: whole, not at all (the line breaks), cut in the middle, or never."""

    WHOLE = "whole"
    DROPPED = "dropped"
    CUT = "cut"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came. Names of headers are in lower case; ``raw_query`` is behind the ``?``."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    raw_query: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """One answer and how it goes out; ``delay`` is in real seconds."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Ending = Ending.WHOLE
    delay: float = 0.0


def json_response(status: int, said: object, **headers: str) -> Response:
    """Return ``said`` as a JSON answer; ``Retry_After="9"`` becomes the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, json.dumps(said).encode(), {"Content-Type": "application/json", **named})


class FaultKind(StrEnum):
    """What goes wrong. Those marked * do what was asked first: a text is read, or sent, all the same."""

    ANSWER = "answer"  # another answer: status, body, headers
    HTML = "html"  # a page of HTML with status 200
    SPIKE = "spike"  # the provider's own words for "too fast"
    UNAUTHORIZED = "unauthorized"  # every token so far is void
    DROP = "drop"  # the line breaks before anything was done
    LOSE = "lose"  # * the line breaks before the answer
    HOLD = "hold"  # * the answer never comes
    SLOW = "slow"  # * the answer comes after `seconds`
    HALF = "half"  # * the answer is whole as HTTP, but half of its text
    CUT = "cut"  # * the answer stops in the middle
    REPEAT = "repeat"  # a polled text is handed out, and will be again


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong ``times`` times (0: until cleared) with the calls named by ``on``.

    ``on`` is ``token``, ``send``, ``poll``, ``status`` (a listing of what left, too), ``subscription`` (of
    Telstra v2, the number at Twilio), ``numbers`` (of Telstra v3) or ``any`` (of these).
    """

    kind: FaultKind
    on: str = "any"
    times: int = 1
    status: int = 500
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what JSON from outside may hold (ValueError)."""
        whole = isinstance(self.times, int) and self.times >= 0 and isinstance(self.status, int)
        named = isinstance(self.headers, Mapping) and all(
            isinstance(one, str) for one in self.headers.values()
        )
        if not (whole and named and 200 <= self.status <= 599 and isinstance(self.on, str)):
            raise ValueError("times, status, headers or on of a fault make no sense")
        if not isinstance(self.body, str | bytes) or not isinstance(self.seconds, int | float):
            raise ValueError("body is text and seconds a number")


class Faults:
    """The faults that are switched on, oldest first; threads may switch and meet them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        """Switch ``fault`` on."""
        with self._lock:
            self._waiting.append((fault, fault.times))

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._waiting.clear()

    def take(self, operation: str) -> Fault | None:
        """Return the fault that the next call of ``operation`` meets, and count it."""
        with self._lock:
            for place, (fault, left) in enumerate(self._waiting):
                if fault.on in (operation, "any"):
                    if left == 1:
                        del self._waiting[place]
                    elif left:
                        self._waiting[place] = (fault, left - 1)
                    return fault
        return None


def instead(fault: Fault) -> Response | None:
    """Return what is answered in place of doing what was asked; None for faults that do it."""
    match fault.kind:
        case FaultKind.ANSWER:
            body = fault.body.encode() if isinstance(fault.body, str) else fault.body
            return Response(fault.status, body, fault.headers)
        case FaultKind.HTML:
            page = b"<!DOCTYPE html><html><body><h1>Down for maintenance</h1></body></html>"
            return Response(200, page, {"Content-Type": "text/html"})
        case FaultKind.DROP:
            return Response(0, ending=Ending.DROPPED)
        case _:
            return None


def spoiled(fault: Fault, answer: Response) -> Response:
    """Return ``answer`` as it goes out after what was asked has been done."""
    half = answer.body[: len(answer.body) // 2]
    match fault.kind:
        case FaultKind.LOSE:
            return Response(answer.status, ending=Ending.DROPPED)
        case FaultKind.HOLD:
            return Response(answer.status, ending=Ending.HELD)
        case FaultKind.SLOW:
            return Response(answer.status, answer.body, answer.headers, delay=fault.seconds)
        case FaultKind.HALF:
            return Response(answer.status, half, answer.headers)
        case FaultKind.CUT:
            return Response(answer.status, answer.body, answer.headers, Ending.CUT)
        case _:
            return answer


class LoopbackServer:
    """Answers requests to ``url`` with ``answer``, each in a thread of its own, until stopped.

    Raises:
        ConfigError: on ``start``, where the port is taken or not allowed.
    """

    def __init__(self, answer: Callable[[Request], Response], *, port: int = 0) -> None:
        self._answer = answer
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address, without a slash at its end; the port is known once it has started."""
        if self._server is None:
            raise RuntimeError("the emulator has no address before start()")
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Listen; once this returns, a request will be answered."""
        if self._server is not None:
            return
        try:
            self._server = _Server(self._port, self._answer)
        except (OSError, OverflowError) as problem:
            why = (getattr(problem, "strerror", None) or "there is no such port").lower()
            raise ConfigError(f"cannot listen on 127.0.0.1:{self._port}: {why}") from problem
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="emulator", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and break every connection; held answers end here. Safe to call twice."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is None or thread is None:
            return
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.break_connections()
        server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them: nothing outlives stop()
    request_queue_size = 128

    def __init__(self, port: int, answer: Callable[[Request], Response]) -> None:
        self.answer = answer
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Exchange)

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def break_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's
        """Note it instead of printing a traceback: clients that go away are what faults are for."""
        _log.debug("a connection ended early", exc_info=True)


class _Exchange(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one write; two would wait for each other (Nagle, delayed ACK)
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def version_string(self) -> str:
        return "convo-emulator"

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the tests and the terminal belong to others."""

    def _exchange(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdigit()):
            self._write(Response(411, b"a Content-Length, please"), close=True)
            return
        if int(length[:9]) > LARGEST_REQUEST:
            self._write(Response(413, b"too long"), close=True)
            return
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
            raw_query=parts.query,
        )
        self._write(self.server.answer(request))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _exchange

    def _write(self, response: Response, close: bool = False) -> None:
        if response.delay:
            self.server.stopping.wait(response.delay)
        if response.ending is Ending.HELD:
            self.server.stopping.wait()
        if response.ending in (Ending.HELD, Ending.DROPPED):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.close_connection = True
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Length", str(len(response.body)))
        if close or response.ending is Ending.CUT:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if response.status != 204:
            whole = response.ending is Ending.WHOLE
            self.wfile.write(response.body if whole else response.body[: len(response.body) // 2])
