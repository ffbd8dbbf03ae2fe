"""A server for the webhook, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from convo.errors import ConfigError

SILENCE = 15.0
"""Seconds after which a connection that has brought no whole request is closed."""
LONGEST_HEAD = 16 * 1024
MOST_CONNECTIONS = 500
LAST_ANSWERS = 1
"""Seconds that a stop leaves to the calls in hand."""


class WebServer:
    """Serves ``app`` from ``start`` to ``stop``. Put a proxy that speaks TLS before it.

    ``silence`` is in seconds: how long a connection may take to bring the head of a request. ``on_broken`` is
    told, from its thread, if it ends though nobody has asked for that.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        silence: float = SILENCE,
        on_broken: Callable[[Exception], None] = lambda _problem: None,
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._silence = silence
        self._on_broken = on_broken
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on; known once started."""
        if self._socket is None:
            raise RuntimeError("the web server has no port before start()")
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Listen; once this returns, a request will be answered.

        Raises:
            ConfigError: the address is taken, not ours or not allowed.
        """
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._socket = socket.create_server((self._host, self._port), family=family, backlog=512)
        except (OSError, OverflowError) as problem:
            why = (getattr(problem, "strerror", None) or "there is no such address").lower()
            raise ConfigError(f"the webhook cannot listen on {self._host}:{self._port}: {why}") from problem
        config = uvicorn.Config(
            self._app,
            http=_impatient(self._silence),
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,  # the app believes its own proxies only
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=LONGEST_HEAD,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=LAST_ANSWERS,
        )
        self._server = uvicorn.Server(config)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._server, ready), name="convo web", daemon=True
        )
        self._thread.start()
        ready.wait()

    def end(self) -> None:
        """Begin to stop, and return at once: no more calls are taken, those in hand are answered."""
        if self._server is not None:
            self._server.should_exit = True

    def stop(self) -> None:
        """Take no more calls and answer those in hand, for about a second; safe to call twice."""
        self.end()
        if self._thread is not None:
            # A commit that hangs is not waited for: its call gets no answer, and comes again.
            self._thread.join(LAST_ANSWERS + 0.5)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, server: uvicorn.Server, ready: threading.Event) -> None:
        problem: Exception | None = None
        try:
            asyncio.run(self._serve(server, ready))
        except Exception as raised:
            problem = raised
        finally:
            ready.set()
        if not server.should_exit:
            self._on_broken(problem or RuntimeError("the web server ended by itself"))

    async def _serve(self, server: uvicorn.Server, ready: threading.Event) -> None:
        # The socket listens already: a call that comes before the loop turns waits in its queue.
        ready.set()
        assert self._socket is not None
        await server.serve(sockets=[self._socket])


def _impatient(silence: float) -> type[H11Protocol]:
    """Return uvicorn's protocol with an end to connections that begin no request."""

    class Impatient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.loop.call_later(silence, self._look, None)

        def _look(self, seen: RequestResponseCycle | None) -> None:
            if self.transport.is_closing():
                return
            if self.cycle is seen and (seen is None or seen.response_complete):
                self.transport.close()
            else:
                self.loop.call_later(silence, self._look, self.cycle)

    return Impatient
