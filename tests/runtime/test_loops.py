"""Each loop on its own: what it stores, steps and hands over, and what it does when something fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from random import Random

import pytest

from convo.engine.conversation import Received
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows, answer
from convo.errors import CredentialsError, StoreError, TransportError
from convo.messages import Address, OutboundKind, Receipt, Status
from convo.runtime.deliver import Deliverer
from convo.runtime.policy import backoff
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.run import drain
from convo.store import open_store
from convo.store.base import InboxStatus, Opening, Result, Store
from convo.testing.fakes import FakeClock, FakeTransport
from convo.transports.base import BadCredentials, GiveUp, OptedOut, RetryLater, Unknown

ANNA, BEN = Address("+61400000001"), Address("+61400000002")


class World:
    """The three loops of one channel on a store in memory."""

    def __init__(self, flow: CompiledFlow, *, batch: int = 256, limit: int = 256) -> None:
        self.clock = FakeClock()
        self.transport = FakeTransport(self.clock, batch=batch)
        self.store: Store = open_store("memory")
        self.flows = {"fake": ChannelFlows("fake", {flow.flow.name: flow}, flow.flow.name)}
        self.receiver = Receiver(self.store, self.transport, "fake", self.clock, random=Random(1))
        self.processor = Processor(self.store, self.flows, limit=limit)
        self.deliverer = Deliverer(self.store, self.transport, "fake", self.clock, random=Random(1), tries=3)

    def drain(self) -> None:
        drain([self.receiver], self.processor, [self.deliverer], self.clock)

    def statuses(self) -> list[Status]:
        return [row.status for row in self.store.outbox()]


@pytest.fixture
def world(stopwatch: CompiledFlow) -> World:
    return World(stopwatch)


# -- receive ------------------------------------------------------------------------------------------


def test_each_batch_is_stored_before_the_next_poll(stopwatch: CompiledFlow) -> None:
    world = World(stopwatch, batch=1)
    for _ in range(3):
        world.transport.text(ANNA, "TIME")
    for stored in (1, 2, 3):
        assert world.receiver.once(world.clock.now()) == (
            world.clock.now() if stored < 3 else world.clock.now() + timedelta(seconds=1)
        )
        assert len(world.store.inbox()) == stored


def test_a_text_that_comes_twice_is_answered_once(world: World) -> None:
    world.transport.again(world.transport.text(ANNA, "START"))
    world.drain()
    assert world.transport.replies(ANNA) == ["The stopwatch is running."]


def test_a_failing_poll_backs_off_says_so_and_goes_on(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.transport.fail_poll(TransportError("HTML"), TransportError("429", retry_after=timedelta(minutes=5)))
    first = world.receiver.once(world.clock.now())
    assert first is not None
    assert timedelta(0) < first - world.clock.now() <= timedelta(seconds=1)
    assert world.receiver.once(world.clock.now()) == first, "not asked again before then"
    assert world.transport.polls == 1
    world.clock.set(first)
    second = world.receiver.once(first)
    assert second == first + timedelta(minutes=5)
    world.transport.text(ANNA, "START")
    world.clock.set(second)
    world.receiver.once(second)
    assert len(world.store.inbox()) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_an_answer_that_makes_no_sense_is_kept_and_backed_off_from(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider whose site is closed answers each poll with a page: not one row a second for a weekend."""
    waits: list[timedelta] = []
    for _ in range(10):
        world.transport.nonsense("<html>closed</html>", whole=True)
        next_at = world.receiver.once(world.clock.now())
        assert next_at is not None
        assert str(world.receiver.trouble) == "its answer could not be read: not JSON"
        waits.append(next_at - world.clock.now())
        world.clock.set(next_at)
    assert timedelta(seconds=30) <= waits[-1] <= timedelta(seconds=60)
    assert [row.raw for row in world.store.inbox(InboxStatus.DEAD)] == ["<html>closed</html>"] * 10
    assert "cannot be polled (10 in a row): its answer could not be read" in caplog.text
    assert world.receiver.polled_at is None

    world.transport.text(ANNA, "START")
    world.transport.nonsense("{}", "an entry of a listing makes no sense")
    assert world.receiver.once(world.clock.now()) == world.clock.now() + timedelta(seconds=1)
    assert world.receiver.trouble is None, "one entry of an answer is not the whole of it"


def test_a_transport_that_breaks_its_word_does_not_end_the_loop(world: World) -> None:
    world.transport.fail_poll(KeyError("secret text"))
    world.receiver.once(world.clock.now())
    assert "secret text" not in str(world.receiver.trouble)


@pytest.mark.parametrize("error", [CredentialsError("no"), TransportError("never", final=True)])
@pytest.mark.parametrize("when", ["start", "poll"])
def test_what_a_person_has_to_mend_is_raised(world: World, error: Exception, when: str) -> None:
    (world.transport.fail_start if when == "start" else world.transport.fail_poll)(error)
    with pytest.raises(type(error)):
        world.receiver.once(world.clock.now())


def test_a_start_that_fails_is_tried_again(world: World) -> None:
    world.transport.fail_start(TransportError("not yet"))
    world.transport.text(ANNA, "START")
    with pytest.raises(TransportError, match="not yet"):
        world.drain()
    world.clock.advance(1)
    world.drain()
    assert world.transport.replies(ANNA) == ["The stopwatch is running."]


class Failing:
    """A store of which one method raises so many times."""

    def __init__(self, store: Store, method: str, *errors: Exception) -> None:
        self._store, self._method, self._errors = store, method, list(errors)

    def __getattr__(self, name: str) -> object:
        return self._fail if name == self._method and self._errors else getattr(self._store, name)

    @contextmanager
    def fenced(self, *partitions: int) -> Iterator[Failing]:
        with self._store.fenced(*partitions):
            yield self

    def _fail(self, *_: object, **__: object) -> None:
        raise self._errors.pop(0)


def test_what_could_not_be_stored_is_kept_and_nothing_more_is_asked_for(world: World) -> None:
    store = Failing(world.store, "accept", StoreError("full"), StoreError("full"))
    receiver = Receiver(store, world.transport, "fake", world.clock)  # type: ignore[arg-type]
    world.transport.text(ANNA, "START")
    for _ in range(2):
        with pytest.raises(StoreError):
            receiver.once(world.clock.now())
        assert receiver.in_hand == 1
    receiver.once(world.clock.now())
    assert (receiver.in_hand, world.transport.polls, len(world.store.inbox())) == (0, 1, 1)


def test_a_message_no_store_can_take_is_set_aside_alone(world: World) -> None:
    poison = ValueError("bad")
    store = Failing(world.store, "accept", poison, poison)
    receiver = Receiver(store, world.transport, "fake", world.clock)  # type: ignore[arg-type]
    world.transport.text(ANNA, "bad")
    world.transport.text(BEN, "START")
    receiver.once(world.clock.now())
    assert sorted(row.status for row in world.store.inbox()) == [InboxStatus.DEAD, InboxStatus.WAITING]


def test_answers_nobody_can_read_and_receipts_are_kept(world: World) -> None:
    world.transport.text(ANNA, "START")
    world.drain()
    sent = world.store.outbox()[0]
    world.transport.nonsense("<html>")
    world.transport.receipt(Receipt("fake", sent.provider_id, Status.DELIVERED, world.clock.now()))
    world.drain()
    assert [row.raw for row in world.store.inbox(InboxStatus.DEAD)] == ["<html>"]
    assert world.statuses() == [Status.DELIVERED]


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "", "😀" * 500, "\u202e", "${1/0}", "{{ 7*7 }}"])
def test_odd_texts_block_nobody(world: World, text: str) -> None:
    world.transport.text(ANNA, text)
    world.transport.text(BEN, "START")
    world.drain()
    assert world.transport.replies(BEN) == ["The stopwatch is running."]
    assert not world.store.claim(10)


# -- process ------------------------------------------------------------------------------------------


def test_several_texts_of_one_sender_in_one_batch_are_chained(world: World) -> None:
    for seconds, text in ((0, "START"), (90, "TIME"), (120, "STOP"), (130, "TIME")):
        world.transport.text(
            ANNA, text, sent_at=world.clock.now() - timedelta(minutes=5) + timedelta(seconds=seconds)
        )
    world.transport.text(BEN, "TIME")
    world.drain()
    assert world.transport.replies(ANNA) == [
        "The stopwatch is running.",
        "1 min 30 s so far.",
        "Stopped after 2 min.",
        "Your time was 2 min.",
    ]
    assert world.transport.replies(BEN) == ["The stopwatch is not running yet. Send START first."]


def test_more_than_a_batch(stopwatch: CompiledFlow) -> None:
    world = World(stopwatch, limit=2)
    for _ in range(7):
        world.transport.text(ANNA, "TIME")
    world.drain()
    assert len(world.transport.sent) == 7


def test_texts_of_another_channel_wait_for_their_own_run(stopwatch: CompiledFlow) -> None:
    world = World(stopwatch, limit=2)
    other = FakeTransport(world.clock, channel="other")
    for _ in range(5):
        other.text(BEN, "START")
    world.store.accept("other", other.poll(None).messages, cursor=None, now=world.clock.now())
    world.transport.text(ANNA, "START")
    world.drain()
    assert world.transport.replies(ANNA) == ["The stopwatch is running."]
    assert len(world.store.claim(10)) == 5


def test_a_step_that_raises_is_tried_three_times_and_then_set_aside(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = []

    def broken(flows: object, sender: str, *rest: object, **more: object) -> object:
        if sender == ANNA:
            tries.append(sender)
            raise ZeroDivisionError("a secret text")
        return answer(flows, sender, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("convo.runtime.process.answer", broken)
    world.transport.text(ANNA, "START")
    world.transport.text(BEN, "START")
    world.drain()
    assert len(tries) == 3
    (dead,) = world.store.inbox(InboxStatus.DEAD)
    assert "ZeroDivisionError" in dead.reason
    assert world.transport.replies(BEN) == ["The stopwatch is running."]
    assert "a secret text" not in caplog.text
    assert ANNA not in caplog.text


def test_a_state_that_is_gone_sets_only_its_own_senders_messages_aside(
    world: World, compiled: Callable[[str], CompiledFlow], caplog: pytest.LogCaptureFixture
) -> None:
    for text in ("START", "STOP"):
        world.transport.text(ANNA, text)
    world.drain()
    edited = compiled("flow: stopwatch\nstates:\n  ready:\n    triggers:\n      START: {reply: Go.}\n")
    flows = {"fake": ChannelFlows("fake", {"stopwatch": edited}, "stopwatch")}
    world.processor = Processor(world.store, flows)
    for _ in range(3):
        world.transport.text(ANNA, "TIME")
    world.transport.text(BEN, "START")
    world.drain()
    assert world.transport.replies(BEN) == ["Go."]
    dead = world.store.inbox(InboxStatus.DEAD)
    assert len(dead) == 3
    assert all("moved: {stopped: NEW_STATE}" in row.reason for row in dead)
    assert sum(record.levelname == "ERROR" for record in caplog.records) == 1


def test_a_commit_that_fails_leaves_everything_to_the_next_call(world: World) -> None:
    store = Failing(world.store, "commit", StoreError("locked"))
    world.processor = Processor(store, world.flows)  # type: ignore[arg-type]
    world.transport.text(ANNA, "START")
    with pytest.raises(StoreError):
        world.drain()
    world.drain()
    assert world.transport.replies(ANNA) == ["The stopwatch is running."]


class Picky:
    """A store that cannot take the step of one text."""

    def __init__(self, store: Store, refused: str) -> None:
        self._store, self._refused = store, refused

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    @contextmanager
    def fenced(self, *partitions: int) -> Iterator[Picky]:
        with self._store.fenced(*partitions):
            yield self

    def commit(self, results: Sequence[Result], now: datetime) -> None:
        for result in results:
            event = result.waiting.event
            if result.dead is None and isinstance(event, Received) and event.text == self._refused:
                raise ValueError("this cannot be stored")
        self._store.commit(results, now)


def test_what_follows_a_step_that_cannot_be_stored_is_stepped_without_it(world: World) -> None:
    processor = Processor(Picky(world.store, "STOP"), world.flows)  # type: ignore[arg-type]
    for who, words in ((ANNA, "START"), (ANNA, "STOP"), (BEN, "TIME"), (ANNA, "TIME")):
        world.transport.text(who, words)
        world.clock.advance(60)
    drain([world.receiver], processor, [world.deliverer], world.clock)
    first, apology, last = world.transport.replies(ANNA)
    assert (first, last) == ("The stopwatch is running.", "3 min so far.")
    assert "Sorry" in apology
    assert world.transport.replies(BEN) == ["The stopwatch is not running yet. Send START first."]
    (dead,) = world.store.inbox(InboxStatus.DEAD)
    assert dead.text == "STOP"


def test_an_opening_greets_once(world: World) -> None:
    opening = Opening("fake", ANNA, "stopwatch", "k1")
    for _ in range(2):
        world.store.request([opening], world.clock.now())
        world.drain()
    assert world.transport.replies(ANNA) == ["Stopwatch online! I understand START, STOP and TIME."]


# -- deliver ------------------------------------------------------------------------------------------


def test_a_retry_waits_and_keeps_the_order(world: World) -> None:
    world.transport.answer_sends(RetryLater("busy", timedelta(seconds=30)))
    world.transport.text(ANNA, "START")
    world.transport.text(ANNA, "TIME")
    world.transport.text(BEN, "TIME")
    world.drain()
    assert [outbound.recipient for outbound in world.transport.sent] == [BEN]
    world.clock.advance(29)
    world.drain()
    assert len(world.transport.sent) == 1
    world.clock.advance(1)
    world.drain()
    assert world.transport.replies(ANNA) == ["The stopwatch is running.", "0 s so far."]


def test_after_so_many_tries_it_has_failed(world: World) -> None:
    world.transport.answer_sends(*[RetryLater("busy")] * 3)
    world.transport.text(ANNA, "START")
    for _ in range(4):
        world.drain()
        world.clock.advance(600)
    assert world.statuses() == [Status.FAILED]


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (GiveUp("no such number"), Status.FAILED),
        (Unknown("line broke"), Status.UNKNOWN),
        (OptedOut("carrier says no"), Status.BLOCKED),
    ],
)
def test_what_is_written_about_a_send(
    world: World, result: GiveUp | Unknown | OptedOut, status: Status
) -> None:
    world.transport.answer_sends(result)
    world.transport.text(ANNA, "START")
    world.drain()
    world.clock.advance(86400)
    world.drain()
    (row,) = world.store.outbox()
    assert (row.status, row.reason) == (status, result.reason)
    assert not world.transport.sent


def test_wrong_credentials_stop_and_keep_the_outbound(world: World) -> None:
    world.transport.answer_sends(BadCredentials("check TELSTRA_CLIENT_ID"))
    world.transport.text(ANNA, "START")
    with pytest.raises(CredentialsError, match="TELSTRA_CLIENT_ID"):
        world.drain()
    assert world.statuses() == [Status.QUEUED]
    world.drain()
    assert len(world.transport.sent) == 1


def test_what_the_provider_said_is_written_even_if_the_store_fails_first(world: World) -> None:
    store = Failing(world.store, "settle", StoreError("full"))
    world.deliverer = Deliverer(store, world.transport, "fake", world.clock)  # type: ignore[arg-type]
    world.transport.text(ANNA, "START")
    with pytest.raises(StoreError):
        world.drain()
    assert world.statuses() == [Status.SENDING]
    world.drain()
    assert (world.statuses(), len(world.transport.sent)) == ([Status.SENT], 1)


def test_after_an_opt_out_only_the_confirmation_leaves(world: World) -> None:
    world.transport.answer_sends(RetryLater("busy", timedelta(seconds=9)))
    world.transport.text(ANNA, "START")
    world.drain()
    world.transport.text(ANNA, "UNSUBSCRIBE")
    world.clock.advance(1)
    world.drain()
    world.clock.advance(60)
    world.drain()
    assert [outbound.kind for outbound in world.transport.sent] == [OutboundKind.CONSENT]
    assert world.statuses() == [Status.BLOCKED, Status.SENT]


def test_what_comes_right_behind_an_opt_out_is_not_answered(world: World) -> None:
    for words in ("START", "UNSUBSCRIBE", "TIME", "stop"):
        world.transport.text(ANNA, words)
        world.clock.advance(1)
    world.drain()
    assert [row.outbound.kind for row in world.store.outbox()] == [OutboundKind.REPLY, OutboundKind.CONSENT]
    conversation = world.store.conversation("fake", ANNA)
    assert conversation is not None
    assert (conversation.number, conversation.is_open) == (1, False)


def test_backoff_doubles_to_its_cap_and_honours_what_was_asked() -> None:
    random = Random(7)
    waits = [backoff(failures, random).total_seconds() for failures in range(1, 40)]
    assert all(0.5 * min(60, 2**n) <= wait <= min(60, 2**n) for n, wait in enumerate(waits))
    assert backoff(1, random, at_least=timedelta(minutes=3)) == timedelta(minutes=3)


def test_no_log_line_holds_a_number_or_a_text(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "convo")
    world.transport.answer_sends(RetryLater("busy"), GiveUp("no"))
    world.transport.text(ANNA, "START canary")
    world.drain()
    world.clock.advance(60)
    world.drain()
    assert "canary" not in caplog.text
    assert ANNA not in caplog.text
    assert "stopwatch" in caplog.text
