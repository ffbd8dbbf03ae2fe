"""A server for the webhook, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
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


class WebServer:
    """Serves ``app`` from ``start`` to ``stop``. Put a proxy that speaks TLS before it.

    ``silence`` is in seconds: how long a connection may take to bring the head of a request.
    """

    def __init__(
        self, app: ASGIApp, *, host: str = "127.0.0.1", port: int = 8080, silence: float = SILENCE
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._silence = silence
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
            raise ConfigError(
                f"the webhook cannot listen on {self._host}:{self._port}: {problem}"
            ) from problem
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
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(self._server, ready),), name="convo web", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Take no more calls and answer those in hand, for two seconds at most; safe to call twice."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
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
