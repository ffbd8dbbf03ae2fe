"""Several channels in one run: each has its pace and its failures; how that is told to a watcher."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from convo.clock import SystemClock
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import ConfigError, ConvoError, CredentialsError, StoreError, TransportError
from convo.messages import Address
from convo.runtime.channels import LOOK_AGAIN, Channel, ChannelState, Polling, Sending
from convo.runtime.config import read_config
from convo.runtime.deliver import Deliverer
from convo.runtime.health import SILENCE, Health, published
from convo.runtime.log import about_channel, configure
from convo.runtime.policy import Limits
from convo.runtime.process import Processor
from convo.runtime.push import WebConfig, WebSettings
from convo.runtime.receive import Receiver
from convo.runtime.run import Runtime, drain
from convo.store import open_store
from convo.store.base import Opening
from convo.testing.fakes import FakeClock, FakeTransport
from convo.transports.base import BadCredentials

ANNA = "+61400000001"
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
Made = Callable[..., Runtime]


@pytest.fixture
def two(stopwatch: CompiledFlow) -> Made:
    """Return what makes a run of the channels ``a`` and ``b``, polled when they are woken."""

    def made(a: FakeTransport, b: FakeTransport, every: timedelta = HOUR) -> Runtime:
        flows = {
            name: ChannelFlows(name, {"stopwatch": stopwatch}, "stopwatch", opt_out=()) for name in ("a", "b")
        }
        channels = [Channel("a", a, every), Channel("b", b, every)]
        return Runtime(open_store("memory"), flows, channels, SystemClock(), patience=timedelta(0))

    return made


def fakes() -> tuple[FakeTransport, FakeTransport]:
    return FakeTransport(SystemClock(), channel="a"), FakeTransport(SystemClock(), channel="b")


def test_a_dead_provider_leaves_the_other_channel_alone(two: Made) -> None:
    a, b = fakes()
    a.fail_start(*[TransportError("nobody answers")] * 50)
    runtime = two(a, b)
    b.text(ANNA, "TIME")
    runtime.start()
    try:
        assert runtime.wait_until_quiet(1, empty=True, timeout=10)
    finally:
        runtime.stop()
    assert len(b.sent) == 1
    assert runtime.halt.error is None
    assert [state.trouble for state in runtime.states] == ["nobody answers", ""]


def test_bad_credentials_at_the_start_end_the_run(two: Made) -> None:
    a, b = fakes()
    refused = CredentialsError("no")
    a.fail_start(refused)
    runtime = two(a, b)
    runtime.start()
    assert runtime.halt.wait(10)
    runtime.stop()
    assert runtime.halt.error is refused


def test_bad_credentials_later_on_rest_that_channel_alone(
    two: Made, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = fakes()
    a.answer_sends(BadCredentials("the secret is revoked"))
    runtime = two(a, b)
    runtime.start()
    try:
        while not runtime.states[0].asked:
            assert not runtime.halt.wait(0.01)
        a.text(ANNA, "START")
        runtime.poll_now()
        assert runtime.wait_until_quiet(1, timeout=10)
        assert list(runtime.states[0].refused) == ["sending"]
        b.text(ANNA, "TIME")
        runtime.poll_now()
        assert runtime.wait_until_quiet(2, timeout=10)
        assert len(b.sent) == 1
        assert not runtime.halt.asked()
        assert "the channel 'a': the secret is revoked; it rests" in caplog.text
        health = Health(runtime, SystemClock()).summary()
        assert health["status"] == "bad"
    finally:
        runtime.stop()


def test_the_run_ends_when_no_channel_is_left(two: Made) -> None:
    a, b = fakes()
    a.answer_sends(BadCredentials("a is revoked"))
    b.answer_sends(BadCredentials("b is revoked"))
    runtime = two(a, b)
    a.text(ANNA, "START")
    b.text(ANNA, "START")
    runtime.start()
    assert runtime.halt.wait(10)
    runtime.stop()
    assert isinstance(runtime.halt.error, CredentialsError)
    assert all(state.refused for state in runtime.states)


def test_once_serves_the_others_and_then_says_who_failed(two: Made) -> None:
    a, b = fakes()
    refused = CredentialsError("no")
    a.fail_start(refused)
    b.text(ANNA, "TIME")
    runtime = two(a, b)
    runtime.start_once()
    runtime.wait()
    runtime.stop()
    assert len(b.sent) == 1
    assert runtime.halt.error is refused


def test_a_channel_that_rests_is_not_asked_until_ten_minutes_are_over() -> None:
    clock, transport = FakeClock(), FakeTransport()
    state = ChannelState(Channel("a", transport))
    receiver = Receiver(open_store("memory"), transport, "a", clock)
    polling = Polling(receiver, state, clock, lambda state, problem: True)
    transport.fail_poll(CredentialsError("no"))
    assert polling.once(clock.now()) == clock.now() + LOOK_AGAIN
    assert "polling" in state.refused
    clock.advance(LOOK_AGAIN - SECOND)
    polls = transport.polls
    assert polling.once(clock.now()) == clock.now() + SECOND, "it was woken too early"
    assert transport.polls == polls
    clock.advance(SECOND)
    polling.once(clock.now())
    assert state.refused == {}
    assert state.last_good_poll_at == clock.now()


def test_the_time_between_polls_is_kept_whoever_wakes_the_loop() -> None:
    clock, transport = FakeClock(), FakeTransport()
    state = ChannelState(Channel("a", transport, timedelta(minutes=1)))
    receiver = Receiver(open_store("memory"), transport, "a", clock, every=timedelta(minutes=1))
    polling = Polling(receiver, state, clock, lambda state, problem: True)
    polled = []
    for _ in range(0, 121, 2):  # a loop looks around every two seconds
        polling.once(clock.now())
        polled.append(transport.polls)
        clock.advance(2)
    assert (polled[0], polled[29], polled[30], polled[-1]) == (1, 1, 2, 3)
    polling.hurry()
    polling.once(clock.now())
    assert transport.polls == 4, "somebody knows that a text waits there"
    polling.once(clock.now() - HOUR)
    assert transport.polls == 5, "a clock that was set back silences nobody"


def test_the_pace_of_a_channel(stopwatch: CompiledFlow) -> None:
    """One outbound a pace, whoever wakes the loop in between."""
    clock, transport, store = FakeClock(), FakeTransport(), open_store("memory")
    channel = Channel("a", transport, pace=timedelta(seconds=2))
    state = ChannelState(channel)
    flows = {"a": ChannelFlows("a", {"stopwatch": stopwatch}, "stopwatch")}
    numbers = [f"+6140000000{last}" for last in range(4)]
    store.request([Opening("a", Address(number), "stopwatch", number) for number in numbers], clock.now())
    sending = Sending(Deliverer(store, transport, "a", clock), state, clock, lambda state, problem: True)
    Processor(store, flows).once(clock.now())
    sent_at = {}
    for second in range(12):
        sending.once(clock.now())
        sent_at[second] = len(transport.sent)
        clock.advance(1)
    assert [sent_at[second] for second in range(8)] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_the_pace_holds_for_what_comes_after_the_last_one(stopwatch: CompiledFlow) -> None:
    clock, transport, store = FakeClock(), FakeTransport(), open_store("memory")
    state = ChannelState(Channel("a", transport, pace=timedelta(seconds=2)))
    processor = Processor(store, {"a": ChannelFlows("a", {"stopwatch": stopwatch}, "stopwatch")})
    sending = Sending(Deliverer(store, transport, "a", clock), state, clock, lambda state, problem: True)

    def opened(number: str) -> None:
        store.request([Opening("a", Address(number), "stopwatch", number)], clock.now())
        processor.once(clock.now())

    opened("+61400000001")
    assert sending.once(clock.now()) is None, "nothing is left to leave"
    clock.advance(1)
    opened("+61400000002")
    assert sending.once(clock.now()) == clock.now() + timedelta(seconds=1)
    assert len(transport.sent) == 1
    clock.advance(1)
    sending.once(clock.now())
    assert len(transport.sent) == 2


def test_once_waits_for_the_pace(two: Made, stopwatch: CompiledFlow) -> None:
    transport = FakeTransport(SystemClock(), channel="a")
    for last in range(3):
        transport.text(f"+6140000000{last}", "TIME")
    channel = Channel("a", transport, pace=timedelta(milliseconds=20))
    flows = {"a": ChannelFlows("a", {"stopwatch": stopwatch}, "stopwatch")}
    runtime = Runtime(open_store("memory"), flows, [channel], SystemClock())
    runtime.start_once()
    runtime.wait()
    runtime.stop()
    assert len(transport.sent) == 3


# What a file says

WRITTEN = """
web:
  listen: "[::1]:8443"
  public_url: https://sms.example.com/in
  proxies: [10.0.0.0/8, 192.0.2.7]
  largest_body: 2 KiB
  body_within: 5s
  rate: 30 per minute
  burst: 7
  metrics: 10.1.0.0/16, 127.0.0.1
channels:
  pushed:
    transport: twilio
    flows: [flow.yaml]
    push: yes
    expire: 6h
    limits: {to_one: 30 segments a day, on_channel: none, loop: 5 texts within 2m}
  back:
    transport: telstra_v2
    flows: [flow.yaml]
    push: {wanted: no, secret: {file: secret.txt}}
  plain: {transport: kannel, flows: [flow.yaml], push: no, poll: 7s}
"""


def test_web_push_and_limits_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(DEADLINE, encoding="utf-8")
    (tmp_path / "secret.txt").write_text("the-secret\n", encoding="utf-8")
    (tmp_path / "convo.yaml").write_text(WRITTEN, encoding="utf-8")
    config = read_config(tmp_path / "convo.yaml", {})
    settings = WebSettings(
        public_url="https://sms.example.com/in",
        proxies=("10.0.0.0/8", "192.0.2.7"),
        largest_body=2048,
        body_within=5.0,
        rate=0.5,
        burst=7,
    )
    assert config.web == WebConfig("::1", 8443, settings, ("10.1.0.0/16", "127.0.0.1"))
    pushed, back, plain = config.channels
    assert (pushed.push, pushed.hook, pushed.secret, pushed.poll) == (True, True, "", timedelta(minutes=1))
    assert (back.push, back.hook, back.secret, back.poll) == (False, True, "the-secret", SECOND)
    assert (plain.push, plain.hook, plain.secret, plain.poll) == (False, False, "", 7 * SECOND)
    assert pushed.limits == Limits(
        lifetime=timedelta(hours=6),
        to_one=30,
        on_channel=None,
        loop_texts=5,
        loop_window=timedelta(minutes=2),
    )
    assert back.limits == Limits()
    assert "the-secret" not in repr(config)


@pytest.mark.parametrize(
    ("listen", "found"),
    [("8080", ("127.0.0.1", 8080)), ("sms.internal:80", ("sms.internal", 80)), ("none", ("127.0.0.1", None))],
)
def test_where_it_listens(tmp_path: Path, listen: str, found: tuple[str, int | None]) -> None:
    (tmp_path / "flow.yaml").write_text(DEADLINE, encoding="utf-8")
    channel = "channels: {a: {transport: console, flows: flow.yaml}}"
    (tmp_path / "convo.yaml").write_text(f"web: {{listen: {listen}}}\n{channel}\n", encoding="utf-8")
    web = read_config(tmp_path / "convo.yaml", {}).web
    assert web is not None
    assert (web.host, web.port) == found


# After a time in which nobody listened

DEADLINE = """
flow: deadline
states:
  ready: {triggers: {GO: asked}}
  asked:
    triggers:
      DONE: {reply: In time., goto: ready}
    after: {10m: {reply: Too late., goto: ready}}
"""


@pytest.mark.parametrize("pushed", [False, True])
def test_a_deadline_that_passed_while_nobody_listened_waits_for_what_was_said(
    compiled: Callable[[str], CompiledFlow], pushed: bool
) -> None:
    flow, store = compiled(DEADLINE), open_store("memory")
    flows = {"fake": ChannelFlows("fake", {"deadline": flow}, "deadline")}
    now = SystemClock().now()
    clock = FakeClock(now - HOUR)
    before = FakeTransport(clock)
    for words in ("hello", "GO"):
        before.text(ANNA, words)
    drain(
        [Receiver(store, before, "fake", clock)],
        Processor(store, flows),
        [Deliverer(store, before, "fake", clock)],
        clock,
    )
    # The answer came in time, but nobody was there; and at the start the provider is away for a moment.
    transport = FakeTransport(SystemClock())
    transport.text(ANNA, "DONE", sent_at=now - HOUR + timedelta(minutes=5))
    transport.fail_start(TransportError("away", retry_after=timedelta(milliseconds=300)))
    channel = Channel("fake", transport, pushed=pushed)
    runtime = Runtime(store, flows, [channel], SystemClock())
    runtime.start()
    try:
        assert runtime.wait_until_quiet(1, empty=True, timeout=10)
    finally:
        runtime.stop()
    assert transport.replies(ANNA) == ["In time."]


# Health


def test_a_silent_channel_is_bad(two: Made) -> None:
    a, b = fakes()
    clock = FakeClock()
    runtime = two(a, b, every=SECOND)
    health = Health(runtime, clock)
    for state in runtime.states:
        state.last_good_poll_at = clock.now()
    clock.advance(SILENCE)
    assert health.summary()["status"] == "ok"
    runtime.states[1].last_good_poll_at = clock.now()
    clock.advance(1)
    summary = health.summary()
    assert summary["status"] == "bad"
    channels = summary["channels"]
    assert isinstance(channels, dict)
    assert [each["status"] for each in channels.values()] == ["bad", "ok"]


def test_ready_means_that_each_channel_has_answered_and_the_store_works(
    stopwatch: CompiledFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, store = FakeTransport(SystemClock(), channel="a"), open_store("memory")
    flows = {"a": ChannelFlows("a", {"stopwatch": stopwatch}, "stopwatch")}
    runtime = Runtime(store, flows, [Channel("a", transport, timedelta(milliseconds=10))], SystemClock())
    health = Health(runtime, SystemClock())
    assert (health.alive(), health.ready()) == (True, False), "nobody has answered yet"

    def becomes(ready: bool) -> None:
        while health.ready() is not ready:
            assert not runtime.halt.wait(0.01)

    def full(*args: object, **named: object) -> None:
        raise StoreError("the disk is full")

    runtime.start()
    try:
        becomes(ready=True)
        with monkeypatch.context() as broken:
            broken.setattr(store, "accept", full)
            becomes(ready=False)
            assert health.alive()
        becomes(ready=True)
    finally:
        runtime.stop()
    assert (health.alive(), health.ready()) == (False, False)


def test_the_file_and_the_endpoint_say_the_same(two: Made, tmp_path: Path) -> None:
    a, b = fakes()
    runtime = two(a, b)
    health = Health(runtime, SystemClock())
    file, port = tmp_path / "health.json", free_port()

    def asked(path: str = "/health") -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()

    with published(health, file, port):
        status, body = asked()
        assert status == 200
        assert json.loads(body)["channels"].keys() == {"a", "b"}
        assert json.loads(file.read_text())["status"] == "ok"
        runtime.states[0].refused["polling"] = CredentialsError("no")
        status, body = asked()
        assert (status, json.loads(body)["channels"]["a"]["reason"]) == (503, "polling: no")
        assert asked("/else")[0] == 404
        runtime.halt.stop()
        assert asked()[0] == 503
    assert json.loads(file.read_text())["status"] == "stopped"
    assert list(tmp_path.iterdir()) == [file]


def test_health_that_cannot_be_published(two: Made, tmp_path: Path) -> None:
    health = Health(two(*fakes()), SystemClock())
    port = free_port()
    with (
        pytest.raises(ConfigError, match="cannot be written"),
        published(health, tmp_path / "no" / "health.json", port),
    ):
        raise AssertionError
    with (
        published(health, None, port),
        pytest.raises(ConfigError, match=f"port {port}"),
        published(health, None, port),
    ):
        raise AssertionError


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    assert isinstance(number, int)
    return number


# JSON logs


def test_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    try:
        with about_channel("clinic"):
            logging.getLogger("convo.x").warning(
                "retry: an outbound to %s\ndid not leave", ANNA, extra={"attempt": 3}
            )
        logging.getLogger("convo.x").info("%s is ready", "b", extra={"channel": "b", "event": "ready"})
    finally:
        configure("warning")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "warning",
        "event": "retry",
        "channel": "clinic",
        "message": "retry: an outbound to +61…01 did not leave",
        "attempt": 3,
    }
    assert (second["event"], second["channel"]) == ("ready", "b")


def test_an_error_names_channel_and_sources() -> None:
    state = ChannelState(Channel("clinic", FakeTransport(), sources="'client_id' from CLINIC_ID"))
    problem: ConvoError = CredentialsError("refused")
    assert state.explained(problem) == "the channel 'clinic': refused  ('client_id' from CLINIC_ID)"
