"""The webhook over real HTTP: what is stored, what is refused, and that nobody can hurt the others."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convo.errors import ConfigError, StoreError
from convo.messages import Address, Inbound, Status
from convo.store import open_store
from convo.store.base import Accepted, InboxStatus, Settlement, Store
from convo.transports.base import PushRequest
from convo.transports.telstra_v2_push import read_push
from convo.web import Hook, WebSettings, webhook_app
from convo.web.server import WebServer
from tests.web.conftest import NOON, NUMBER, SECRET, Open, Teller, Watch, World, call, text


class Standing:
    """A store in front of another, whose accept can be made to fail or to wait."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.failing = False
        self.go = threading.Event()
        self.go.set()
        self.reached = threading.Event()
        self.accepted = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def accept(self, *args: object, **named: object) -> Accepted:
        self.accepted += 1
        self.reached.set()
        assert self.go.wait(10)
        if self.failing:
            raise StoreError("the disk is full")
        return self._inner.accept(*args, **named)  # type: ignore[arg-type]


# What is stored


def test_a_push_is_stored_and_answered_204(open_web: Open) -> None:
    world = open_web()
    answer = world.post(text(body="START "))
    assert (answer.status_code, answer.content) == (204, b"")
    (row,) = world.inbox()
    assert (row.channel, row.sender, row.text, row.status) == (
        "sms",
        "+61400000001",
        "START ",
        InboxStatus.WAITING,
    )
    assert json.loads(row.raw)["messageId"] == "DMASApiA0000000001"
    assert len(world.stored) == 1


def test_the_same_push_again_is_answered_204_and_dropped(open_web: Open) -> None:
    world = open_web()
    assert [world.post(text(1)).status_code for _ in range(3)] == [204, 204, 204]
    assert len(world.inbox()) == 1
    assert len(world.stored) == 1


def test_no_2xx_before_the_commit(open_web: Open, store: Store) -> None:
    standing = Standing(store)
    standing.go.clear()
    world = open_web(over=standing)
    answers: list[int] = []
    caller = threading.Thread(target=lambda: answers.append(world.post(text()).status_code))
    caller.start()
    assert standing.reached.wait(10)
    assert answers == []
    standing.go.set()
    caller.join(10)
    assert answers == [204]
    assert len(world.inbox()) == 1


def test_pushes_at_once_share_a_commit_and_are_each_stored(open_web: Open, store: Store) -> None:
    standing = Standing(store)
    standing.go.clear()
    world = open_web(over=standing)
    answers: list[int] = []
    callers = [
        threading.Thread(target=lambda number=number: answers.append(world.post(text(number)).status_code))
        for number in range(4)
    ]
    callers[0].start()
    assert standing.reached.wait(10)
    for caller in callers[1:]:
        caller.start()
    assert world.app is not None
    together = world.app._together
    _until(lambda: sum(map(len, together._waiting.values())) == 3)
    assert answers == []
    standing.go.set()
    for caller in callers:
        caller.join(10)
    assert answers == [204] * 4
    assert len(world.inbox()) == 4
    assert standing.accepted == 2, "those that came while the first was written"


def test_pushes_at_once_are_each_refused_where_their_commit_fails(open_web: Open, store: Store) -> None:
    standing = Standing(store)
    standing.go.clear()
    standing.failing = True
    world = open_web(over=standing)
    answers: list[int] = []
    callers = [
        threading.Thread(target=lambda number=number: answers.append(world.post(text(number)).status_code))
        for number in range(4)
    ]
    for caller in callers:
        caller.start()
    assert standing.reached.wait(10)
    standing.go.set()
    for caller in callers:
        caller.join(10)
    assert answers == [503] * 4
    assert world.inbox() == []
    standing.failing = False
    assert [world.post(text(number)).status_code for number in range(4)] == [204] * 4
    assert len(world.inbox()) == 4


def test_a_store_that_fails_refuses_and_the_next_try_is_stored(open_web: Open, store: Store) -> None:
    standing = Standing(store)
    standing.failing = True
    world = open_web(over=standing)
    refused = world.post(text())
    assert (refused.status_code, refused.headers["Retry-After"], refused.content) == (503, "5", b"")
    standing.failing = False
    assert world.post(text()).status_code == 204
    assert [row.text for row in world.inbox()] == ["START"]


@pytest.mark.parametrize(
    "body", [b"[]", b"no json", b'{"from": "+61400000001"}', b'{"body": "x"}', b"\xff\x00"]
)
def test_what_cannot_be_read_is_set_aside_as_it_came(open_web: Open, body: bytes) -> None:
    world = open_web()
    assert requests.post(world.url, data=body, timeout=10).status_code == 204
    (row,) = world.inbox()
    assert row.status is InboxStatus.DEAD
    assert row.raw.replace("\\u0000", "\0").encode("latin-1", "replace")[:1] == body[:1]
    assert world.post(text()).status_code == 204


def test_a_push_of_nothing_is_refused(open_web: Open) -> None:
    world = open_web()
    assert requests.post(world.url, timeout=10).status_code == 400
    assert requests.post(world.url, data=b" \n", timeout=10).status_code == 400
    assert world.inbox() == []


@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=20)),
            lambda inner: st.dictionaries(
                st.sampled_from(["to", "from", "body", "messageId", "deliveryStatus", "sentTimestamp"]), inner
            ),
            max_leaves=8,
        ).map(lambda said: json.dumps(said).encode()),
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_body_is_read_or_set_aside(body: bytes) -> None:
    result = read_push(PushRequest("POST", "", {}, "", body), "sms", NUMBER, NOON)
    store = open_store("memory")
    batch = result.batch
    found = len(batch.messages) + len(batch.unreadable) + bool(batch.receipts)
    assert (result.status, found) == ((204, 1) if body.strip() else (400, 0))
    store.accept("sms", batch.messages, cursor=None, now=NOON, unreadable=batch.unreadable)
    store.close()


# Who may call


@pytest.mark.parametrize(
    "secret", ["", "short", "a" * 40, "abababababababababababab", "has/a/slash/in/it-and-more!"]
)
def test_it_does_not_start_without_a_good_secret(secret: str) -> None:
    with pytest.raises(ConfigError, match="secret") as caught:
        Hook("sms", Teller(), secret)
    assert not secret or secret not in str(caught.value)


def test_a_provider_that_signs_needs_no_secret_but_a_bad_one_is_refused() -> None:
    assert Hook("sms", Teller(signs_pushes=True)).path == "/sms"
    with pytest.raises(ConfigError, match="secret"):
        Hook("sms", Teller(signs_pushes=True), "short")


def test_two_hooks_of_one_path_are_refused(store: Store, watch: Watch) -> None:
    hooks = [Hook("sms", Teller(), SECRET), Hook("sms", Teller(), SECRET)]
    with pytest.raises(ConfigError, match="same path"):
        webhook_app(hooks, store, watch)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sms",
        "/sms/",
        f"/other/{SECRET}",
        f"/sms/{SECRET}x",
        f"/sms/{SECRET}/",
        f"/sms/{SECRET[:-1]}",
        "/%00",
        "/sms/é",
    ],
)
def test_another_path_is_404_and_says_nothing(open_web: Open, path: str) -> None:
    world = open_web()
    url = f"http://127.0.0.1:{world.server.port}{path}"
    for method in ("GET", "POST", "DELETE"):
        answer = requests.request(method, url, data=json.dumps(text()), timeout=10)
        assert (answer.status_code, answer.content) == (404, b"")
    assert world.teller.requests == []
    assert "server" not in requests.get(url, timeout=10).headers


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"])
def test_another_method_is_405(open_web: Open, method: str) -> None:
    world = open_web()
    answer = requests.request(method, world.url, json=text(), timeout=10)
    assert (answer.status_code, answer.content, answer.headers["Allow"]) == (405, b"", "POST")
    assert world.inbox() == []


# Too much, too slow


def test_a_huge_body_is_413_announced_or_not(open_web: Open) -> None:
    world = open_web(largest_body=2000)
    with world.line() as line:
        line.sendall(f"POST /sms/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")
    with world.line() as line:
        line.sendall(
            f"POST /sms/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: {'9' * 4000}\r\n\r\n".encode()
        )
        assert line.recv(100)[:12] in (b"HTTP/1.1 413", b"HTTP/1.1 400")
    chunks = (b"x" * 1000 for _ in range(3))
    assert requests.post(world.url, data=chunks, timeout=10).status_code == 413
    assert world.post(text()).status_code == 204
    assert len(world.inbox()) == 1


def test_a_slow_body_ends_with_408_and_holds_up_nobody(open_web: Open) -> None:
    world = open_web(body_within=0.3)
    with world.line() as slow:
        slow.sendall(f"POST /sms/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert world.post(text()).status_code == 204
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
    assert len(world.inbox()) == 1


def test_more_slow_callers_than_may_be_at_once_are_told_to_wait(open_web: Open) -> None:
    world = open_web(at_once=2, body_within=30.0)
    head = f"POST /sms/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
    lines = [world.line() for _ in range(2)]
    for line in lines:
        line.sendall(head)
    _until(lambda: world.post(text()).status_code == 503)
    for line in lines:
        line.close()
    _until(lambda: world.post(text()).status_code == 204)


def test_a_connection_that_says_nothing_is_closed(open_web: Open) -> None:
    world = open_web(silence=0.2)
    with world.line() as silent, world.line() as dripping:
        dripping.sendall(b"POST /sms")
        assert silent.recv(10) == b""
        assert dripping.recv(10) == b""
    assert world.post(text()).status_code == 204


def test_a_caller_that_hangs_up_in_the_middle_leaves_nothing(open_web: Open) -> None:
    world = open_web()
    with world.line() as line:
        line.sendall(f"POST /sms/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert world.post(text()).status_code == 204
    assert len(world.inbox()) == 1


@pytest.mark.parametrize(
    "head", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nX: " + b"y" * 40000]
)
def test_garbage_is_refused(open_web: Open, head: bytes) -> None:
    world = open_web()
    with world.line() as line:
        line.sendall(head)
        assert line.recv(100).startswith(b"HTTP/1.1 400 ")
    assert world.post(text()).status_code == 204


def test_too_many_calls_are_429_until_time_has_passed(open_web: Open, watch: Watch) -> None:
    world = open_web(rate=0.5, burst=3)
    assert [world.post(text(one)).status_code for one in range(4)] == [204, 204, 204, 429]
    assert world.post(text(4)).headers["Retry-After"] == "2"
    watch.go_on(seconds=2)
    assert [world.post(text(one)).status_code for one in (4, 5)] == [204, 429]
    assert len(world.inbox()) == 4


# Behind proxies


def seen(watch: Watch, scope: dict[str, object], **given: object) -> str:
    teller, store = Teller(), open_store("memory")
    app = webhook_app([Hook("sms", teller, SECRET)], store, watch, settings=WebSettings(**given))  # type: ignore[arg-type]
    assert call(app, scope, json.dumps(text()).encode()) == 204
    store.close()
    return teller.requests[0].url


FORWARDED = [
    (b"host", b"10.0.0.7:8080"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"sms.example.com"),
    (b"x-forwarded-for", b"203.0.113.9, 198.51.100.4"),
]
SCOPE: dict[str, object] = {
    "path": f"/sms/{SECRET}",
    "scheme": "http",
    "client": ("10.0.0.1", 5),
    "headers": FORWARDED,
    "query_string": b"a=%20b",
}


def test_forwarded_headers_are_believed_of_our_proxies_only(watch: Watch) -> None:
    assert seen(watch, SCOPE) == f"http://10.0.0.7:8080/sms/{SECRET}?a=%20b"
    assert seen(watch, SCOPE, proxies=("192.168.0.0/16",)) == f"http://10.0.0.7:8080/sms/{SECRET}?a=%20b"
    assert seen(watch, SCOPE, proxies=("10.0.0.0/8",)) == f"https://sms.example.com/sms/{SECRET}?a=%20b"


def test_the_public_url_decides_whatever_proxies_say(watch: Watch) -> None:
    url = "https://public.example.com/in/"
    wanted = f"https://public.example.com/in/sms/{SECRET}?a=%20b"
    assert seen(watch, SCOPE, public_url=url) == wanted
    assert seen(watch, SCOPE, public_url=url, proxies=("10.0.0.0/8",)) == wanted


def test_mounted_below_another_app(watch: Watch) -> None:
    path = f"/hooks/sms/{SECRET}"
    scope = {**SCOPE, "path": path, "raw_path": path.encode(), "root_path": "/hooks"}
    assert seen(watch, scope) == f"http://10.0.0.7:8080{path}?a=%20b"
    assert seen(watch, scope, public_url="https://x.org/h") == f"https://x.org/h/sms/{SECRET}?a=%20b"


def test_the_rate_is_counted_for_the_caller_behind_our_proxy(watch: Watch, store: Store) -> None:
    app = webhook_app(
        [Hook("sms", Teller(), SECRET)],
        store,
        watch,
        settings=WebSettings(burst=1, rate=0.01, proxies=("10.0.0.1", "198.51.100.4")),
    )

    def status(caller: bytes) -> int:
        headers = [(b"x-forwarded-for", b"1.1.1.1, " + caller + b", 198.51.100.4")]
        return call(app, {**SCOPE, "headers": headers}, json.dumps(text()).encode())

    assert [status(b"203.0.113.9"), status(b"203.0.113.9"), status(b"203.0.113.8")] == [204, 429, 204]


@pytest.mark.parametrize(
    "url", ["sms.example.com", "ftp://x", "https://me@x", "https://x/?a", "https://[", "https://x/#f"]
)
def test_a_public_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="public_url"):
        WebSettings(public_url=url)


def test_other_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="proxies"):
        WebSettings(proxies=("my-proxy",))
    with pytest.raises(ConfigError, match="more than 0"):
        WebSettings(rate=0)
    with pytest.raises(ConfigError, match="public_url"):
        WebSettings().url_of(Hook("sms", Teller(), SECRET))
    assert WebSettings(public_url="https://x.org/").url_of(Hook("s ms", Teller(), SECRET)) == (
        f"https://x.org/s%20ms/{SECRET}"
    )


def test_a_port_that_is_taken(open_web: Open, store: Store, watch: Watch) -> None:
    from convo.web import serve

    taken = open_web().server.port
    with pytest.raises(ConfigError, match=str(taken)):
        serve(webhook_app([], store, watch), port=taken).start()


# Receipts and logs


def receipt(message_id: str) -> dict[str, str]:
    return {"to": "+61400000001", "messageId": message_id, "deliveryStatus": "DELIVRD"}


def sent(store: Store, provider_id: str) -> None:
    """Put one outbound through the store's own doors until it is marked sending; settle it if named."""
    (row,) = store.mark_sending("sms", NOON, 1, lambda look: None)
    store.settle([Settlement(row.outbound.id, Status.SENT, provider_id)], NOON)


def test_a_receipt_that_overtakes_its_send_is_applied_afterwards(open_web: Open) -> None:
    world = open_web(receipt_again=(0.05,) * 100)
    queue_one(world)
    assert world.post(receipt("ABC")).status_code == 204
    sent(world.store, "ABC")
    _until(lambda: world.store.outbox()[0].status is Status.DELIVERED)


def test_the_two_ways_of_writing_an_id(open_web: Open) -> None:
    world = open_web()
    queue_one(world)
    sent(world.store, f"{'cccb0' * 8}-1261418123456")
    assert world.post(receipt(f"/{'cccb0' * 8}/1261418123456")).status_code == 204
    assert world.store.outbox()[0].status is Status.DELIVERED


def queue_one(world: World) -> None:
    """Queue an outbound by stepping a text through the shipped stopwatch."""
    from pathlib import Path

    from convo.engine.machine import compile_flow
    from convo.engine.opening import ChannelFlows
    from convo.flow.parse import load_flow
    from convo.runtime.process import Processor

    flow = compile_flow(load_flow(Path(__file__).parents[2] / "flows" / "stopwatch.yaml"))
    stamped = Inbound("sms", Address("+61400000001"), NUMBER, "TIME", NOON, NOON, "1")
    world.store.accept("sms", [stamped], cursor=None, now=NOON)
    Processor(world.store, {"sms": ChannelFlows("sms", {flow.flow.name: flow}, flow.flow.name)}).once(NOON)


def test_logs_hold_no_secret_number_or_text(
    open_web: Open, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="convo")
    standing = Standing(store)
    world = open_web(over=standing)
    world.post(text(body="canary in a text"))
    requests.post(world.url, data=b"canary, no json", timeout=10)
    requests.post(world.url + "canary", data=b"x", timeout=10)
    standing.failing = True
    world.post(text(2, body="canary in a text"))
    assert "pushed to sms: 1 new" in caplog.text
    assert "could not be stored" in caplog.text
    for leak in ("canary", SECRET, "61400000001", "400000001"):
        assert leak not in caplog.text
    assert SECRET not in repr(Hook("sms", Teller(), SECRET)) + repr(world.teller.requests)
    assert "canary" not in repr(world.teller.requests)


def _until(true: Callable[[], bool]) -> None:
    """Wait for something that another thread is about to do."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_ends_by_itself_tells_it(store: Store, watch: Watch) -> None:
    told: list[Exception] = []

    async def breaking(scope: object, receive: object, send: object) -> None:
        asyncio.get_running_loop().stop()

    with WebServer(breaking, port=0, on_broken=told.append) as server:
        with suppress(requests.RequestException):
            requests.get(f"http://127.0.0.1:{server.port}/", timeout=10)
        _until(lambda: bool(told))
    assert isinstance(told[0], RuntimeError)
    with WebServer(webhook_app([], store, watch), port=0, on_broken=told.append):
        pass
    assert len(told) == 1, "asked to end, it is not broken"
