"""A real Kannel (Debian: apt-get install kannel) in front of our webhook, its fake SMSC as the phone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from convo.clock import SystemClock
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import ConfigError
from convo.messages import Address, Outbound, Status
from convo.runtime.run import Channel, Runtime
from convo.store import open_store
from convo.store.base import Store
from convo.transports.base import BadCredentials, PushRequest, PushResult
from convo.transports.kannel import Kannel, Settings, create
from convo.web import Hook, WebSettings, serve, webhook_app

SECRET = "vBq1x9-Lm3Tz_8RwKd5Y"


def settings(port: int = 13013, password: str = "canary") -> Settings:
    return Settings(f"http://127.0.0.1:{port}/cgi-bin/sendsms", "convo", password, Address("12345"))


def test_settings_and_polling_are_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="KANNEL_USERNAME"):
        create(channel="sms", clock=SystemClock(), environ={})
    with pytest.raises(ConfigError, match="cannot be polled"):
        Kannel(settings(), channel="sms", clock=SystemClock()).start()
    assert "canary" not in repr(settings())


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("from=%2B61400000001&to=12345&text=TIME&coding=0&charset=UTF-8&id=a", "TIME"),
        ("from=%2B61400000001&text=%D8%3D%DE%00&coding=2&charset=UTF-16BE&id=a", "\U0001f600"),
        ("from=%2B61400000001&text=%00%e9&coding=2&id=a", "é"),
        ("from=%2B61400000001&text=%E9&coding=0&charset=UTF-8&id=a", "é"),
    ],
)
def test_a_text_in_its_charset(query: str, text: str) -> None:
    result = Kannel(settings(), channel="sms", clock=SystemClock()).received(
        PushRequest("GET", "", {}, query, b"")
    )
    (found,) = result.batch.messages
    assert (result.status, found.text, found.sender, found.provider_id) == (200, text, "+61400000001", "a")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("1", Status.DELIVERED), ("2", Status.FAILED), ("8", Status.SENT), ("16", Status.FAILED)],
)
def test_a_receipt(kind: str, status: Status) -> None:
    request = PushRequest("GET", "", {}, f"receipt=1-2&type={kind}", b"")
    (found,) = Kannel(settings(), channel="sms", clock=SystemClock()).received(request).batch.receipts
    assert (found.provider_id, found.status) == ("1-2", status)


def free_ports(count: int) -> list[int]:
    with ExitStack() as ends:
        held = [ends.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Noting(Kannel):
    """A Kannel that notes with what it was called."""

    def __init__(self, made: Settings) -> None:
        super().__init__(made, channel="sms", clock=SystemClock())
        self.queries: list[str] = []

    def received(self, request: PushRequest) -> PushResult:
        self.queries.append(request.query)
        return super().received(request)


class Boxes:
    """A running bearerbox and smsbox, a store and the stopwatch behind them."""

    def __init__(self, folder: Path, flow: CompiledFlow, ends: ExitStack) -> None:
        admin, inner, self.sendsms, self.smsc = free_ports(4)
        self.store: Store = open_store("memory")
        ends.callback(self.store.close)
        clock = SystemClock()
        self.transport = Noting(settings(self.sendsms))
        runtime = Runtime(
            self.store,
            {"sms": ChannelFlows("sms", {flow.flow.name: flow}, flow.flow.name)},
            [Channel("sms", self.transport)],
            clock,
        )
        hook = Hook("sms", self.transport, SECRET)
        app = webhook_app([hook], self.store, clock, on_stored=runtime._wake_processor)
        server = ends.enter_context(serve(app, port=0))
        url = WebSettings(public_url=f"http://127.0.0.1:{server.port}").url_of(hook)
        self.transport.push_to(url)
        (folder / "kannel.conf").write_text(
            f"""
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = x
smsbox-port = {inner}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
store-type = file
store-location = {folder}/kannel.store

group = smsc
smsc = fake
port = {self.smsc}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {inner}
sendsms-port = {self.sendsms}
sendsms-interface = 127.0.0.1
mo-recode = true

group = sendsms-user
username = convo
password = canary
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
omit-empty = true
max-messages = 0
get-url = "{url}?from=%p&to=%P&text=%b&coding=%c&charset=%C&epoch=%T&id=%I"
"""
        )
        for box, port in (("bearerbox", inner), ("smsbox", self.sendsms)):
            process = subprocess.Popen(
                [shutil.which(box) or box, "-v", "4", str(folder / "kannel.conf")],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
            )
            ends.callback(process.wait, 20)
            ends.callback(process.terminate)
            until(lambda port=port: listens(port))  # type: ignore[misc]
        runtime.start()
        ends.callback(runtime.stop)
        self.phone = ends.enter_context(socket.create_connection(("127.0.0.1", self.smsc), timeout=20))
        self.lines = ends.enter_context(self.phone.makefile("rb"))

    def text(self, text: str) -> bytes:
        self.phone.sendall(f"+61400000001 12345 text {text}\n".encode())
        return self.lines.readline()


@pytest.fixture
def boxes(tmp_path: Path, stopwatch: CompiledFlow) -> Iterator[Boxes]:
    if shutil.which("bearerbox") is None:
        why = "Kannel is not installed (apt-get install kannel)"
        # In CI (env CI set) a test that does not run is a failure.
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    with ExitStack() as ends:
        yield Boxes(tmp_path, stopwatch, ends)


def test_a_conversation_through_a_real_kannel(boxes: Boxes) -> None:
    assert b"The+stopwatch+is+running" in boxes.text("START").replace(b" ", b"+")
    assert b"so+far" in boxes.text("TIME").replace(b" ", b"+")
    assert [row.text for row in boxes.store.inbox()] == ["START", "TIME"]
    # The fake SMSC of Kannel says that it took a text (8), and of a delivery nothing.
    until(lambda: sum("type=8" in query for query in boxes.transport.queries) == 2)
    boxes.transport.send(Outbound("sms", Address("+61400000001"), "x" * 200, id=7))
    assert len(boxes.lines.readline() + boxes.lines.readline()) > 200
    bad = Kannel(settings(boxes.sendsms, "wrong"), channel="sms", clock=SystemClock())
    assert isinstance(bad.send(Outbound("sms", Address("+61400000001"), "x")), BadCredentials)
