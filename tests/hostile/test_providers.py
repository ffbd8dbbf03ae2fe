"""Every transport against a server on this machine that answers as no provider should.

Whatever it says, and however it falls silent: a poll gives a batch or one of our errors, a send gives a
result, each within its time, and what may have left is never called unsent.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from convo.clock import SystemClock
from convo.emulators.telstra_v2 import TelstraV2Emulator
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import ConvoError, TransportError
from convo.messages import Address, Outbound, Status
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.store import open_store
from convo.testing.fakes import FakeClock
from convo.transports import kannel, telstra_v2, telstra_v3, twilio
from convo.transports.base import BadCredentials, Batch, GiveUp, OptedOut, RetryLater, Sent, Unknown
from convo.transports.http import Door

CONNECT, SILENCE, TOTAL = 1.0, 0.1, 0.15
"""Seconds: to connect, between two bytes, and for one answer."""
LONGEST = 4 * (SILENCE + 2 * TOTAL) + 2 * CONNECT
"""A call may make a few requests: a token, a number, the thing itself, and once more with a new token."""
EXCHANGES = int(os.environ.get("CONVO_EXCHANGES", "150"))
"""So many mutated answers for each transport, and each for every call that there is."""
OUTBOUND = Outbound("sms", Address("+61400000001"), "hello", id=7)
RESULTS = (Sent, RetryLater, GiveUp, Unknown, OptedOut, BadCredentials)

Act = Callable[[socket.socket, threading.Event], None]


def said(status: int | str, body: bytes = b"", headers: str = "", length: int | None = None) -> Act:
    """Answer in one piece; ``length`` is what is announced."""
    announced = len(body) if length is None else length
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {announced}\r\nContent-Type: application/json\r\n"
    head += "Connection: close\r\n"

    def act(connection: socket.socket, _stop: threading.Event) -> None:
        connection.sendall((head + headers + "\r\n").encode() + body)

    return act


def raw(content: bytes) -> Act:
    """Answer with these bytes and hang up."""
    return lambda connection, _stop: connection.sendall(content)


def silent(_connection: socket.socket, stop: threading.Event) -> None:
    """Say nothing."""
    stop.wait(10)


def dripping(start: bytes) -> Act:
    """Answer a letter at a time, each in time, and never come to an end."""

    def act(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(start)
        while not stop.wait(0.05):
            connection.sendall(b"x")

    return act


def dripping_lines(connection: socket.socket, stop: threading.Event) -> None:
    """Ask for patience again and again."""
    while not stop.wait(0.05):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def resetting(start: bytes = b"") -> Act:
    """Break the connection off in the hardest way."""

    def act(connection: socket.socket, _stop: threading.Event) -> None:
        connection.sendall(start)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return act


class Mean:
    """A server that answers what ``act`` does; where ``honest_token``, tokens are given all the same."""

    def __init__(self) -> None:
        self.act: Act = silent
        self.honest_token = True
        self.asked: list[str] = []
        self._stop = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while request := self._read(connection):
                    self.asked.append(request.partition(" HTTP")[0])
                    if self.honest_token and "/oauth/token" in self.asked[-1]:
                        token = {"access_token": "t", "expires_in": "3599", "token_type": "Bearer"}
                        said(200, json.dumps(token).encode())(connection, self._stop)
                        continue
                    self.act(connection, self._stop)
                    return
            except OSError:
                pass

    @staticmethod
    def _read(connection: socket.socket) -> str:
        """Read one request whole, so that a reset comes after it was taken."""
        got = b""
        while b"\r\n\r\n" not in got:
            part = connection.recv(65536)
            if not part:
                return ""
            got += part
        head, _, body = got.partition(b"\r\n\r\n")
        wanted = 0
        for line in head.decode("latin-1").split("\r\n"):
            if line.lower().startswith("content-length:"):
                wanted = int(line.partition(":")[2])
        while len(body) < wanted:
            body += connection.recv(65536)
        return head.decode("latin-1")

    def close(self) -> None:
        """Fall silent for good."""
        self._stop.set()
        self._server.close()


def door(*, hasty: bool = False) -> Door:
    """Return a door; a ``hasty`` one has little patience."""
    silence, total = (SILENCE, TOTAL) if hasty else (5.0, 5.0)
    return Door(SystemClock(), timeout=(CONNECT, silence), total=total, limit=200_000)


def made(name: str, url: str, *, hasty: bool = False) -> Any:
    """Return a transport that asks the server."""
    keys = {
        "telstra_v2": {
            "TELSTRA_CLIENT_ID": "a",
            "TELSTRA_CLIENT_SECRET": "b",
            "TELSTRA_BASE_URL": f"{url}/v2",
        },
        "telstra_v3": {
            "TELSTRA_CLIENT_ID": "a",
            "TELSTRA_CLIENT_SECRET": "b",
            "TELSTRA_BASE_URL": f"{url}/messaging/v3",
            "TELSTRA_TOKEN_URL": f"{url}/v2/oauth/token",
            "TELSTRA_NUMBER": "+61480000001",
        },
        "twilio": {
            "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
            "TWILIO_AUTH_TOKEN": "x" * 32,
            "TWILIO_NUMBER": "+61480000001",
            "TWILIO_BASE_URL": url,
        },
        "kannel": {
            "KANNEL_SENDSMS_URL": f"{url}/cgi-bin/sendsms",
            "KANNEL_USERNAME": "u",
            "KANNEL_PASSWORD": "p",
            "KANNEL_NUMBER": "+61480000001",
        },
    }[name]
    module, kind = {
        "telstra_v2": (telstra_v2, telstra_v2.TelstraV2),
        "telstra_v3": (telstra_v3, telstra_v3.TelstraV3),
        "twilio": (twilio, twilio.Twilio),
        "kannel": (kannel, kannel.Kannel),
    }[name]
    return kind(
        module.Settings.from_environ(keys), channel="sms", clock=SystemClock(), door=door(hasty=hasty)
    )


@pytest.fixture
def mean() -> Iterator[Mean]:
    server = Mean()
    yield server
    server.close()


NAMES = ("telstra_v2", "telstra_v3", "twilio", "kannel")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SILENCES: Mapping[str, Act] = {
    "silent": silent,
    "a head that drips": dripping(HEAD + b"X-A: "),
    "headers without end": dripping_lines,
    "a body that drips": dripping(HEAD + b"Content-Length: 100000\r\n\r\n{"),
    "reset at once": resetting(),
    "reset in the headers": resetting(HEAD[:20]),
    "reset in the body": resetting(HEAD + b"Content-Length: 100\r\n\r\n{"),
    "half a body": said(200, b'{"messages": [', length=500),
    "hung up": raw(b""),
}
NONSENSE: Mapping[str, Act] = {
    "no http": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "zeros": raw(b"\0" * 2_000),
    "no length": raw(HEAD + b"\r\n{}"),
    "a wrong length": raw(HEAD + b"Content-Length: soon\r\n\r\n{}"),
    "a length below zero": raw(HEAD + b"Content-Length: -5\r\n\r\n{}"),
    "bad chunks": raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "a status out of range": raw(b"HTTP/1.1 9999 OK\r\n\r\n"),
    "many headers": raw(HEAD + b"X: y\r\n" * 500 + b"\r\n{}"),
    "a long header": raw(HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n{}"),
    "html": said(200, b"<html><body>Sign in</body></html>"),
    "empty": said(200),
    "204": said(204),
    "huge": said(200, b'{"a": "' + b"x" * 400_000 + b'"}'),
    "deep": said(200, b"[" * 100_000),
    "latin-1": said(200, '{"messages": "é"}'.encode("latin-1")),
    "utf-16": said(200, '{"messages": []}'.encode("utf-16")),
    "gzip that is none": said(200, b"\x1f\x8b\x08nothing", "Content-Encoding: gzip\r\n"),
    "elsewhere": said(302, b"", "Location: http://192.0.2.1/\r\n"),
    "round and round": said(301, b"", "Location: /\r\n"),
    "a number": said(200, b"5"),
    "nothing": said(200, b"null"),
    "a list": said(200, b"[1, {}, null]"),
    "a big number": said(200, b'{"messages": ' + b"9" * 6_000 + b"}"),
    "not a number": said(200, b'{"messages": NaN}'),
    "half a surrogate": said(200, b'{"status": "\\ud800", "message": "\\udfff", "messages": ["\\ud800"]}'),
    "wrong types": said(200, b'{"messages": {"a": 1}, "message": [], "status": {}, "sid": 3, "paging": 7}'),
    **{f"status {status}": said(status, b"{}") for status in (400, 401, 403, 404, 409, 418, 422, 500, 503)},
}


PIECES = (b"", b"null", b"[]", b"{}", b'"', b"-1", b"\xff", b"\\u0000")


def every_call(transport: Any, longest: float = 20.0) -> None:
    """Make every call that there is; none may take long, and none may raise what is not ours."""
    began = time.monotonic()
    result = transport.send(OUTBOUND)
    assert isinstance(result, RESULTS)
    assert time.monotonic() - began < longest
    calls = (
        [transport.start] if transport.name == "kannel" else [transport.start, lambda: transport.poll(None)]
    )
    if hasattr(transport, "find_sent"):
        calls.append(lambda: transport.find_sent(OUTBOUND, SystemClock().now() - timedelta(hours=1)))
    for call in calls:
        began = time.monotonic()
        with contextlib.suppress(ConvoError):
            assert isinstance(call(), Batch | Sent | None)
        assert time.monotonic() - began < longest


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("act", SILENCES.values(), ids=SILENCES)
def test_a_socket_that_hangs_drips_or_breaks(mean: Mean, name: str, act: Act) -> None:
    mean.act = act
    transport = made(name, mean.url, hasty=True)
    began = time.monotonic()
    result = transport.send(OUTBOUND)
    assert time.monotonic() - began < LONGEST
    if any("oauth" not in each for each in mean.asked):
        assert not isinstance(result, Sent | GiveUp), "it may have been taken"
        taken = any("sms" in each.lower() or "message" in each.lower() for each in mean.asked)
        assert isinstance(result, Unknown) or not taken or name == "telstra_v2", result
    every_call(transport, LONGEST)
    transport.close()


@pytest.mark.parametrize("name", NAMES)
def test_answers_that_make_no_sense(mean: Mean, name: str) -> None:
    for honest in (True, False):
        mean.honest_token = honest
        for what, act in NONSENSE.items():
            mean.act = act
            transport = made(name, mean.url)
            try:
                every_call(transport)
            except Exception as problem:
                raise AssertionError(f"{what}, token {honest}") from problem
            finally:
                transport.close()
    assert not any("192.0.2.1" in each for each in mean.asked)


@pytest.mark.parametrize("name", ["telstra_v2", "telstra_v3", "twilio"])
@pytest.mark.parametrize(
    ("written", "least", "most"),
    [
        ("7", 6, 7),
        ("0", 0, 0),
        ("99999999999999999999", 86_400, 86_400),
        ("soon", None, None),
        ("", None, None),
    ],
)
def test_a_provider_that_wants_less(
    mean: Mean, name: str, written: str, least: int | None, most: int | None
) -> None:
    """429 and Telstra's SpikeArrest, with and without Retry-After."""
    body = json.dumps(
        {"fault": {"faultstring": "Spike arrest violation. Allowed rate : 5ps", "detail": {"errorcode": "x"}}}
    ).encode()
    mean.act = said(429, body, f"Retry-After: {written}\r\n" if written else "")
    transport = made(name, mean.url)
    result = transport.send(OUTBOUND)
    assert isinstance(result, RetryLater), "it did not leave, and may leave later"
    with pytest.raises(TransportError) as refused:
        transport.poll(None)
    assert not refused.value.final
    for after in (result.after, refused.value.retry_after):
        if least is None or most is None:
            assert after is None
        else:
            assert after is not None
            assert least <= after.total_seconds() <= most
    transport.close()


def no_name(*_given: object, **_named: object) -> object:
    """Stand where names of hosts are looked up."""
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dns", [True, False], ids=["nobody listens", "no DNS"])
def test_nobody_is_there(name: str, dns: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What certainly did not leave is tried again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    if not dns:
        monkeypatch.setattr(socket, "getaddrinfo", no_name)
    transport = made(name, f"http://127.0.0.1:{port}")
    assert isinstance(transport.send(OUTBOUND), RetryLater)
    if name != "kannel":
        with pytest.raises(TransportError) as away:
            transport.poll(None)
        assert not away.value.final
    transport.close()


def test_an_hour_without_dns(stopwatch: CompiledFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls grow rarer, nothing is lost, and a minute after it is back all has been answered."""
    clock, store = FakeClock(), open_store("memory")
    flows = {"sms": ChannelFlows("sms", {"stopwatch": stopwatch}, "stopwatch")}
    with TelstraV2Emulator(clock) as telstra:
        transport = telstra_v2.TelstraV2(
            telstra_v2.Settings.from_environ(telstra.environ()), channel="sms", clock=clock, door=door()
        )
        receiver = Receiver(store, transport, "sms", clock, random=Random(1))
        processor = Processor(store, flows)
        deliverer = Deliverer(store, transport, "sms", clock, random=Random(1))

        def seconds(count: int) -> None:
            for _ in range(count):
                receiver.once(clock.now())
                while processor.once(clock.now()) is not None:
                    pass
                deliverer.once(clock.now())
                clock.advance(1)

        telstra.text("+61400000001", "START")
        receiver.once(clock.now())
        polls = telstra.calls("poll")
        with monkeypatch.context() as cut:
            cut.setattr(socket, "getaddrinfo", no_name)
            looked_up = []
            cut.setattr(socket, "getaddrinfo", lambda *given, **_named: looked_up.append(given) or no_name())
            transport._door._session.close()
            telstra.text("+61400000001", "TIME")
            seconds(3_600)
        assert telstra.calls("poll") == polls
        assert receiver.trouble is not None
        assert 60 <= len(looked_up) <= 400
        seconds(120 + 600)
        said = [each.text for each in telstra.sent()]
        assert len(said) == 2
        assert said[0] == "The stopwatch is running."
        assert {row.status for row in store.outbox()} == {Status.DELIVERED}
        transport.close()
    store.close()


@pytest.mark.parametrize("name", NAMES)
def test_mutated_answers(mean: Mean, name: str) -> None:
    """Good-looking answers with a few bytes changed, cut off or doubled."""
    chance = Random(7)
    good = [
        b'{"status": "RCVD", "destinationAddress": "+61480000001", "senderAddress": "+61400000001",'
        b' "message": "hello", "messageId": "m1", "sentTimestamp": "2026-03-04T12:00:00+10:00"}',
        b'{"messages": [{"to": "+61400000001", "deliveryStatus": "MessageWaiting", "messageId": "7"}]}',
        b'{"messages": [{"messageId": "m2", "status": "received", "from": "+61400000001",'
        b' "to": "+61480000001", "messageContent": "hello", "receivedTimestamp": "2026-03-04T02:00:00Z",'
        b' "tags": []}],'
        b' "paging": {"nextPage": null, "totalCount": 1}}',
        b'{"messages": [{"sid": "SM1", "from": "+61400000001", "to": "+61480000001", "body": "hello",'
        b' "date_sent": "Wed, 04 Mar 2026 02:00:00 +0000", "direction": "inbound", "status": "received",'
        b' "num_segments": "1"}], "next_page_uri": null, "incoming_phone_numbers": [{"sid": "PN1"}]}',
        b"0: Accepted for delivery",
    ]
    transport = made(name, mean.url)
    for _ in range(EXCHANGES):
        body = chance.choice(good)
        for _ in range(chance.randrange(1, 4)):
            at, size = chance.randrange(len(body)), chance.randrange(1, 30)
            piece = chance.choice((*PIECES, body[at : at + size] * 2))
            body = body[:at] + piece + body[at + size :]
        mean.act = said(chance.choice((200, 200, 200, 201, 202)), body or b"x")
        every_call(transport)
    transport.close()
