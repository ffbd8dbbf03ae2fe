"""A real Kannel (Debian: apt-get install kannel) in front of our webhook, its fake SMSC as the phone."""

from __future__ import annotations

import os
import queue
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
import requests

from convo.clock import SystemClock
from convo.emulators.base import LoopbackServer, Request, Response
from convo.engine.machine import CompiledFlow, compile_flow
from convo.engine.opening import ChannelFlows
from convo.errors import ConfigError
from convo.flow.parse import load_flow
from convo.messages import Address, Outbound, Status
from convo.runtime.run import Channel, Runtime
from convo.store import open_store
from convo.store.base import Store
from convo.transports.base import BadCredentials, PushRequest, PushResult, RetryLater, SendResult, Sent
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
        self.by_sendsms = 0

    def received(self, request: PushRequest) -> PushResult:
        self.queries.append(request.query)
        return super().received(request)

    def _by_sendsms(self, outbound: Outbound, message_id: str) -> SendResult:
        self.by_sendsms += 1
        return super()._by_sendsms(outbound, message_id)


PAGE = (Path(__file__).parents[2] / "docs" / "kannel.md").read_text(encoding="utf-8")
OURS, SMPP = re.findall(r"^```\n(group = .*?)^```", PAGE, re.DOTALL | re.MULTILINE)
"""Kannel's own file as docs/kannel.md has people write it, and its group for a carrier."""


def start_box(box: str, port: int, folder: Path, ends: ExitStack) -> None:
    """Start bearerbox or smsbox on the file in ``folder``, and wait until it listens."""
    process = subprocess.Popen(
        [shutil.which(box) or box, "-v", "4", str(folder / "kannel.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    ends.callback(process.wait, 20)
    ends.callback(process.kill)  # a polite end takes it ten seconds
    until(lambda: listens(port) or process.poll() is not None)
    assert process.poll() is None, f"{box} does not take the file"


def written(folder: Path, changes: dict[str, str], more: str) -> None:
    """Write the file of the page with other ports and secrets, and a group more."""
    text = OURS
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "kannel.conf").write_text(f"{text}\n{more}\n")


class Boxes:
    """A running bearerbox and smsbox with a stopwatch behind them, and a phone on the other side.

    The phone is Kannel's fake SMSC, a line of text a message; or, with ``carrier``, an SMSC spoken to by
    HTTP, which has codings, parts and receipts.
    """

    def __init__(
        self,
        folder: Path,
        flow: CompiledFlow,
        ends: ExitStack,
        *,
        carrier: bool = False,
        reply: str = "sendsms",
    ) -> None:
        admin, inner, self.sendsms, self.smsc = free_ports(4)
        self.store: Store = open_store("memory")
        ends.callback(self.store.close)
        clock = SystemClock()
        self.transport = Noting(replace(settings(self.sendsms), in_response=reply == "response"))
        ends.callback(self.transport.close)
        runtime = Runtime(
            self.store,
            {"sms": ChannelFlows("sms", {flow.flow.name: flow}, flow.flow.name)},
            [Channel("sms", self.transport)],
            clock,
        )
        hook = Hook("sms", self.transport, SECRET)
        app = webhook_app([hook], self.store, clock, on_stored=runtime.texts_stored)
        server = ends.enter_context(serve(app, port=0))
        url = WebSettings(public_url=f"http://127.0.0.1:{server.port}").url_of(hook)
        self.transport.push_to(url)
        self.left: queue.Queue[Request] = queue.Queue()
        smsc = f"smsc = fake\nport = {self.smsc}"
        if carrier:
            far = ends.enter_context(LoopbackServer(self._carry))
            smsc = f"""smsc = http
system-type = kannel
port = {self.smsc}
smsc-username = box
smsc-password = box
send-url = {far.url}/cgi-bin/sendsms
dlr-url = "http://127.0.0.1:{self.smsc}/?username=box&password=box\""""
        changes = {
            "13000": f"{admin}",
            "13001": f"{inner}",
            "13013": f"{self.sendsms}",
            "/var/spool/kannel": f"{folder}",
            "password = PASSWORD": "password = canary",
            "http://127.0.0.1:8080/kannel/SECRET": url,
        }
        written(folder, changes, f"group = smsc\n{smsc}\nsmsc-id = one\nconnect-allow-ip = 127.0.0.1")
        start_box("bearerbox", inner, folder, ends)
        start_box("smsbox", self.sendsms, folder, ends)
        runtime.start()
        ends.callback(runtime.stop)
        if not carrier:
            self.phone = ends.enter_context(socket.create_connection(("127.0.0.1", self.smsc), timeout=20))
            self.lines = ends.enter_context(self.phone.makefile("rb"))

    def _carry(self, request: Request) -> Response:
        self.left.put(request)
        return Response(202, b"0: Accepted for delivery")

    def text(self, text: str) -> bytes:
        """Text from the phone of the fake SMSC, and return what it is answered."""
        self.phone.sendall(f"+61400000001 12345 text {text}\n".encode())
        return self.lines.readline()

    def bring(self, **fields: bytes | str) -> None:
        """Bring a text, a part of one or a receipt, as a carrier does."""
        given = {"username": "box", "password": "box", "from": "61400000001", "to": "12345", **fields}
        url = f"http://127.0.0.1:{self.smsc}/?{urlencode(given)}"
        assert requests.get(url, timeout=10).status_code in (200, 202)

    def carried(self) -> tuple[str, list[str]]:
        """Return the next text that the carrier is given, its parts put together, and where receipts go.

        The parts of a text are on their way at the same time, so they come in any order.
        """
        parts: dict[int, str] = {}
        urls: list[str] = []
        total = 1
        while len(parts) < total:
            given = dict(parse_qsl(self.left.get(timeout=20).raw_query, encoding="latin-1"))
            charset = "utf-16-be" if given["coding"] == "2" else "utf-8"
            header = given.get("udh", "").encode("latin-1")
            number, total = (header[-1], header[-2]) if header else (1, 1)
            parts[number] = given["text"].encode("latin-1").decode(charset, "surrogatepass")
            urls += [given["dlr-url"]] if "dlr-url" in given else []
        text = "".join(parts[number] for number in sorted(parts))
        return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be"), urls


def need_kannel() -> None:
    """Skip where there is none; in CI (env CI set) a test that does not run is a failure."""
    if shutil.which("bearerbox") is None:
        why = "Kannel is not installed (apt-get install kannel)"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


@pytest.fixture
def open_boxes(tmp_path: Path, stopwatch: CompiledFlow) -> Iterator[Callable[..., Boxes]]:
    need_kannel()
    with ExitStack() as ends:
        yield lambda **how: Boxes(tmp_path, how.pop("flow", stopwatch), ends, **how)


def test_a_conversation_through_a_real_kannel(open_boxes: Callable[..., Boxes]) -> None:
    boxes = open_boxes()
    assert b"The+stopwatch+is+running" in boxes.text("START").replace(b" ", b"+")
    assert b"so+far" in boxes.text("TIME").replace(b" ", b"+")
    assert [row.text for row in boxes.store.inbox()] == ["START", "TIME"]
    # The fake SMSC of Kannel says that it took a text (8), and of a delivery nothing.
    until(lambda: sum("type=8" in query for query in boxes.transport.queries) == 2)
    boxes.transport.send(Outbound("sms", Address("+61400000001"), "x" * 200, id=7))
    assert len(boxes.lines.readline() + boxes.lines.readline()) > 200
    bad = Kannel(settings(boxes.sendsms, "wrong"), channel="sms", clock=SystemClock())
    assert isinstance(bad.send(Outbound("sms", Address("+61400000001"), "x")), BadCredentials)


ECHO = """flow: echo
states: {a: {triggers: {text: {reply: "${message}"}}}}
"""
LONG = "नमस्ते 🙂 " * 19 + "ok"


@pytest.mark.parametrize("reply", ["sendsms", "response"])
def test_codings_parts_and_receipts_through_a_real_kannel(
    open_boxes: Callable[..., Boxes], tmp_path: Path, reply: str
) -> None:
    (tmp_path / "echo.yaml").write_text(ECHO)
    boxes = open_boxes(carrier=True, reply=reply, flow=compile_flow(load_flow(tmp_path / "echo.yaml")))
    boxes.bring(text="hello €", charset="UTF-8", coding="0")
    text, (url,) = boxes.carried()
    assert text == "hello €"

    def delivered() -> bool:
        # Kannel knows the id only once it has read our answer, so one that reports at once reports again.
        assert requests.get(url.replace("%d", "1"), timeout=10).status_code == 202
        return boxes.store.outbox()[0].status is Status.DELIVERED

    until(delivered)
    boxes.bring(text="é 😀 नमस्ते".encode("utf-16-be"), charset="UTF-16BE", coding="2")
    assert boxes.carried()[0] == "é 😀 नमस्ते"
    octets = LONG.encode("utf-16-be")
    for number, first in enumerate(range(0, len(octets), 120), 1):
        header = bytes([5, 0, 3, 42, -(-len(octets) // 120), number])
        boxes.bring(text=octets[first : first + 120], udh=header, charset="UTF-16BE", coding="2")
    assert boxes.carried()[0] == LONG
    assert [row.text for row in boxes.store.inbox()] == ["hello €", "é 😀 नमस्ते", LONG]
    assert {row.sender for row in boxes.store.inbox()} == {"+61400000001"}
    until(lambda: Status.SENDING not in {row.status for row in boxes.store.outbox()})
    assert boxes.transport.by_sendsms == (0 if reply == "response" else 3)


def test_kannel_takes_the_group_for_a_carrier(tmp_path: Path) -> None:
    """It refuses a file with a key that it does not know; that nobody is there yet is no matter."""
    need_kannel()
    admin, inner, nobody = free_ports(3)
    changes = {"13000": f"{admin}", "13001": f"{inner}", "/var/spool/kannel": f"{tmp_path}"}
    with ExitStack() as ends:
        written(tmp_path, changes, SMPP.replace("2775", f"{nobody}"))
        start_box("bearerbox", admin, tmp_path, ends)
        status = requests.get(f"http://127.0.0.1:{admin}/status.txt?password=ADMIN", timeout=10).text
    assert f"SMPP:127.0.0.1:{nobody}" in status
    assert "carrier" in status


# A reply in the answer, without any Kannel


@contextmanager
def answering(store: Store, held: float = 10.0) -> Iterator[tuple[Kannel, str]]:
    """Serve the webhook of a Kannel whose replies go in the answer; yield it and its address."""
    clock = SystemClock()
    transport = Kannel(replace(settings(1), in_response=True), channel="sms", clock=clock, held=held)
    hook = Hook("sms", transport, SECRET)
    with serve(webhook_app([hook], store, clock), port=0) as server:
        url = f"http://127.0.0.1:{server.port}{hook.path}"
        transport.push_to(url)
        yield transport, url
    transport.close()


@pytest.fixture
def store() -> Iterator[Store]:
    made = open_store("memory")
    yield made
    made.close()


TIME = {"from": "61400000001", "to": "12345", "text": "TIME", "coding": "0", "charset": "UTF-8"}
REPLY = Outbound("sms", Address("+61400000001"), "é नमस्ते", id=7)


def calling(url: str, answers: list[requests.Response], **fields: str) -> threading.Thread:
    """Call the get-url in a thread of its own; its answer is in ``answers`` afterwards."""
    caller = threading.Thread(
        target=lambda: answers.append(requests.get(url, params={**TIME, **fields}, timeout=20))
    )
    caller.start()
    return caller


def test_a_reply_goes_in_the_answer_to_the_call(store: Store) -> None:
    answers: list[requests.Response] = []
    with answering(store) as (transport, url):
        caller = calling(url, answers, id="a")
        until(lambda: store.inbox())
        assert answers == [], "the answer waits for the reply"
        sent = transport.send(REPLY)
        caller.join(20)
        assert isinstance(sent, Sent)
        (answer,) = answers
        assert (answer.status_code, answer.content.decode()) == (200, "é नमस्ते")
        assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
        assert answer.headers["X-Kannel-Coding"] == "2"
        assert answer.headers["X-Kannel-DLR-Url"] == f"{url}?receipt={sent.provider_id}&type=%d"
        # A second reply finds no call, and sendsms is not there.
        assert isinstance(transport.send(REPLY), RetryLater)


def test_a_call_without_a_reply_ends_and_later_ones_go_by_sendsms(store: Store) -> None:
    with answering(store, held=0.1) as (transport, url):
        answer = requests.get(url, params={**TIME, "id": "a"}, timeout=20)
        assert (answer.status_code, answer.content) == (200, b"")
        assert isinstance(transport.send(REPLY), RetryLater)


def test_a_call_that_comes_again_is_answered_at_once(store: Store) -> None:
    with answering(store, held=0.1) as (transport, url):
        assert requests.get(url, params={**TIME, "id": "a"}, timeout=20).status_code == 200
    with answering(store, held=30) as (transport, url):
        assert requests.get(url, params={**TIME, "id": "a"}, timeout=20).content == b""
        assert isinstance(transport.send(REPLY), RetryLater)


def test_of_two_calls_of_one_sender_the_later_one_is_answered(store: Store) -> None:
    first: list[requests.Response] = []
    second: list[requests.Response] = []
    with answering(store) as (transport, url):
        callers = [calling(url, first, id="a")]
        until(lambda: len(store.inbox()) == 1)
        callers.append(calling(url, second, id="b"))
        until(lambda: len(store.inbox()) == 2)
        callers[0].join(20)
        assert isinstance(transport.send(REPLY), Sent)
        callers[1].join(20)
    assert (first[0].content, second[0].content.decode()) == (b"", "é नमस्ते")


def test_a_caller_that_has_hung_up_gets_no_reply_into_the_void(store: Store) -> None:
    with answering(store) as (transport, url):
        host, _, path = url.removeprefix("http://").partition("/")
        with socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), timeout=10) as line:
            line.sendall(f"GET /{path}?{urlencode({**TIME, 'id': 'a'})} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            until(lambda: store.inbox())
        # It goes by sendsms, which is not there: it did not leave.
        threading.Event().wait(0.1)
        assert isinstance(transport.send(REPLY), RetryLater)


def test_a_call_that_is_held_while_the_server_stops_hears_that_its_text_is_stored(store: Store) -> None:
    answers: list[requests.Response] = []
    with answering(store, held=30) as (_, url):
        caller = calling(url, answers, id="a")
        until(lambda: store.inbox())
    caller.join(20)
    assert [(each.status_code, each.content) for each in answers] == [(200, b"")]


def test_other_settings_that_make_no_sense() -> None:
    environ = {
        "KANNEL_SENDSMS_URL": "http://127.0.0.1:1/x",
        "KANNEL_USERNAME": "u",
        "KANNEL_PASSWORD": "p",
        "KANNEL_NUMBER": "12345",
    }
    assert Settings.from_environ({**environ, "KANNEL_REPLY": "response"}).in_response
    for name, value in (("KANNEL_REGION", "Australia"), ("KANNEL_REPLY", "fax")):
        with pytest.raises(ConfigError, match=name):
            Settings.from_environ({**environ, name: value})
