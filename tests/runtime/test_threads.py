"""The loops in threads: woken by each other, stopped in time, never ending without a word."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from convo.clock import SystemClock
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import CredentialsError, StoreError, TransportError
from convo.messages import Address, Outbound, Status
from convo.runtime.run import Channel, Runtime
from convo.store import open_store
from convo.store.base import Opening, Store
from convo.testing.fakes import FakeTransport
from convo.transports.base import Batch, GiveUp, SendResult

ANNA = "+61400000001"
HOUR = timedelta(hours=1)


def made(
    flow: CompiledFlow, transport: FakeTransport, *, store: Store | None = None, every: timedelta = HOUR
) -> Runtime:
    flows = {"fake": ChannelFlows("fake", {flow.flow.name: flow}, flow.flow.name)}
    channel = Channel("fake", transport, every)
    return Runtime(
        store or open_store("memory"), flows, [channel], SystemClock(), patience=timedelta(seconds=0)
    )


def test_a_reply_leaves_at_once(stopwatch: CompiledFlow) -> None:
    transport = FakeTransport(SystemClock())
    runtime = made(stopwatch, transport)
    runtime.start()
    try:
        for count in range(1, 4):
            transport.text(ANNA, "TIME")
            runtime.poll_now()
            # Nothing but being woken can do it: each loop would rest for an hour.
            assert runtime.wait_until_quiet(count, empty=True, timeout=10)
            assert len(transport.sent) == count
    finally:
        runtime.stop()
    assert transport.closed
    assert runtime.halt.error is None


@pytest.mark.parametrize(
    "error", [CredentialsError("no"), TransportError("never", final=True), StoreError("gone")]
)
def test_what_cannot_go_on_stops_the_run_and_says_why(stopwatch: CompiledFlow, error: Exception) -> None:
    transport = FakeTransport()
    transport.fail_poll(error)
    runtime = made(stopwatch, transport)
    runtime.start()
    assert runtime.halt.wait(10)
    runtime.stop()
    assert runtime.halt.error is error


def test_a_loop_that_breaks_down_stops_the_run(
    stopwatch: CompiledFlow, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("memory")
    broken = ZeroDivisionError("a secret")

    def claim(limit: int) -> object:
        raise broken

    monkeypatch.setattr(store, "claim", claim)
    runtime = made(stopwatch, FakeTransport(), store=store)
    runtime.start()
    assert runtime.halt.wait(10)
    runtime.stop()
    assert runtime.halt.error is broken
    assert "process loop broke down: ZeroDivisionError" in caplog.text
    assert "a secret" not in caplog.text


def test_a_store_that_fails_for_a_while_is_borne(
    stopwatch: CompiledFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("memory")
    real, failures = store.commit, [StoreError("locked")]

    def commit(*words: object) -> None:
        if failures:
            raise failures.pop()
        real(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "commit", commit)
    transport = FakeTransport(SystemClock())
    transport.text(ANNA, "START")
    flows = {"fake": ChannelFlows("fake", {"stopwatch": stopwatch}, "stopwatch")}
    runtime = Runtime(store, flows, [Channel("fake", transport, HOUR)], SystemClock())
    runtime.start()
    assert runtime.wait_until_quiet(1, empty=True, timeout=10)
    runtime.stop()
    assert len(transport.sent) == 1


def test_a_stop_does_not_wait_for_a_poll_that_hangs(stopwatch: CompiledFlow) -> None:
    hanging, release = threading.Event(), threading.Event()

    class Hanging(FakeTransport):
        def poll(self, cursor: str | None) -> Batch:
            hanging.set()
            release.wait(30)
            return Batch()

    runtime = made(stopwatch, Hanging())
    runtime.start()
    assert hanging.wait(10)
    stopped = threading.Thread(target=runtime.stop)
    stopped.start()
    stopped.join(2)
    assert not stopped.is_alive()
    release.set()


def test_nothing_is_sent_before_the_transport_is_ready(stopwatch: CompiledFlow) -> None:
    """An opening waits in the outbox at once, while the provider has no number of ours yet."""
    starting, release = threading.Event(), threading.Event()

    class Slow(FakeTransport):
        def start(self) -> None:
            starting.set()
            assert release.wait(10)
            self.ready = True

        def send(self, outbound: Outbound) -> SendResult:
            return super().send(outbound) if self.ready else GiveUp("there is no number to send from")

        ready = False

    store = open_store("memory")
    store.request([Opening("fake", Address(ANNA), "stopwatch", "1")], SystemClock().now())
    transport = Slow(SystemClock())
    runtime = made(stopwatch, transport, store=store)
    runtime.start()
    try:
        assert starting.wait(10)
        assert not runtime.wait_until_quiet(timeout=0.3)
        assert [row.status for row in store.outbox()] == [Status.QUEUED]
        release.set()
        assert runtime.wait_until_quiet(empty=True, timeout=10)
    finally:
        release.set()
        runtime.stop()
    assert transport.replies(Address(ANNA)) == ["Stopwatch online! I understand START, STOP and TIME."]


def test_once_answers_what_is_there_and_ends(stopwatch: CompiledFlow) -> None:
    transport = FakeTransport(SystemClock(), batch=1)
    for _ in range(3):
        transport.text(ANNA, "TIME")
    runtime = made(stopwatch, transport)
    runtime.start_once()
    assert runtime.halt.wait(10)
    runtime.stop()
    assert len(transport.sent) == 3


def test_once_says_that_the_provider_could_not_be_asked(stopwatch: CompiledFlow) -> None:
    transport = FakeTransport()
    transport.fail_poll(TransportError("down"))
    runtime = made(stopwatch, transport)
    runtime.start_once()
    assert runtime.halt.wait(10)
    assert isinstance(runtime.halt.error, TransportError)


def test_what_a_dead_run_left_sending_is_held(stopwatch: CompiledFlow) -> None:
    store = open_store("memory")
    transport = FakeTransport(SystemClock())
    transport.text(ANNA, "START")
    first = made(stopwatch, transport, store=store)
    first.start()
    assert first.wait_until_quiet(1, empty=True, timeout=10)
    first.stop()
    transport.text(ANNA, "TIME")
    # The dead run got as far as marking the reply.
    from convo.runtime.process import Processor
    from convo.runtime.receive import Receiver

    now = SystemClock().now()
    Receiver(store, transport, "fake", SystemClock()).once(now)
    Processor(store, {"fake": ChannelFlows("fake", {"stopwatch": stopwatch}, "stopwatch")}).once(now)
    assert store.mark_sending("fake", now, 1, lambda look: None)
    second = made(stopwatch, transport, store=store)
    second.start()
    assert second.wait_until_quiet(timeout=10)
    second.stop()
    assert [row.status for row in store.outbox()] == [Status.SENT, Status.UNKNOWN]
