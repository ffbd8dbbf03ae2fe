"""What the tests of the webhook share: a store, a transport that pushes, and ways to call."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import requests

from convo.messages import Address
from convo.store import open_store
from convo.store.base import InboxRow, InboxStatus, Store
from convo.transports.base import PushRequest, PushResult
from convo.transports.telstra_v2_push import read_push
from convo.web import Hook, WebSettings, serve, webhook_app
from convo.web.hooks import Webhooks
from convo.web.server import WebServer

NOON = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
SECRET = "vBq1x9-Lm3Tz_8RwKd5Y"
NUMBER = Address("+61491570156")


class Watch:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment

    def go_on(self, **time: float) -> None:
        self.moment += timedelta(**time)


class Teller:
    """A transport that reads pushes as Telstra v2 writes them and notes the requests."""

    push_methods = frozenset({"POST"})

    def __init__(self, signs_pushes: bool = False) -> None:
        self.signs_pushes = signs_pushes
        self.requests: list[PushRequest] = []

    def push_to(self, url: str | None) -> None: ...

    def received(self, request: PushRequest) -> PushResult:
        self.requests.append(request)
        return read_push(request, "sms", NUMBER, NOON)


@dataclass
class World:
    """A running webhook for the channel ``sms``, and what came of it."""

    store: Store
    teller: Teller
    server: WebServer
    stored: list[None] = field(default_factory=list)
    app: Webhooks | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/sms/{SECRET}"

    def post(self, said: object, **options: object) -> requests.Response:
        return requests.post(self.url, json=said, timeout=10, **options)  # type: ignore[arg-type]

    def line(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=10)

    def inbox(self, status: InboxStatus | None = None) -> list[InboxRow]:
        return self.store.inbox(status)


def text(number: int = 1, body: str = "START") -> dict[str, str]:
    return {
        "to": NUMBER,
        "from": "+61400000001",
        "body": body,
        "sentTimestamp": "2026-03-04T12:00:00",
        "messageId": f"DMASApiA{number:010d}",
    }


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def store() -> Iterator[Store]:
    made = open_store("memory")
    yield made
    made.close()


Open = Callable[..., World]


@pytest.fixture
def open_web(store: Store, watch: Watch) -> Iterator[Open]:
    """Return a function that starts a webhook with the given settings."""
    with ExitStack() as ends:

        def start(*, over: Store | None = None, silence: float = 15.0, **settings: object) -> World:
            world = World(over or store, Teller(), None)  # type: ignore[arg-type]
            app = webhook_app(
                [Hook("sms", world.teller, SECRET)],
                world.store,
                watch,
                settings=WebSettings(**settings),  # type: ignore[arg-type]
                on_stored=lambda: world.stored.append(None),
            )
            world.app = app
            server = serve(app, port=0) if silence == 15.0 else WebServer(app, port=0, silence=silence)
            world.server = ends.enter_context(server)
            return world

        yield start


def call(app: Webhooks, scope: dict[str, object], body: bytes = b"{}") -> int:
    """Call an ASGI app without a server and return the status of its answer."""
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    whole = {"type": "http", "method": "POST", "query_string": b"", "headers": [], **scope}
    whole.setdefault("raw_path", str(whole["path"]).encode())
    asyncio.run(app(whole, receive, send))  # type: ignore[arg-type]
    status = sent[0]["status"]
    assert isinstance(status, int)
    return status
