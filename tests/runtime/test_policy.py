"""What may leave: nobody is spammed, no two machines talk for ever, and no person is ever stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from convo.engine.machine import CompiledFlow, compile_flow
from convo.engine.opening import ChannelFlows
from convo.flow.parse import load_flow
from convo.messages import Address, OutboundKind, Status
from convo.runtime.deliver import Deliverer
from convo.runtime.policy import Limits
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.run import drain
from convo.store import open_store
from convo.store.base import Opening, Store
from convo.testing.fakes import OUR_NUMBER, FakeClock, FakeTransport
from convo.transports.base import GiveUp, OptedOut, RetryLater, Unknown

ANNA, BEN = Address("+61400000001"), Address("+61400000002")
TALK = """flow: talk
greeting: Good day.
restart: any
data: {count: 0}
states:
  ready:
    triggers:
      text:
        set: {count: count + 1}
        reply: Got ${message}, the ${count}th.
"""


class World:
    """The three loops of one channel; a store given goes on with what is in it."""

    def __init__(
        self,
        flow: CompiledFlow,
        limits: Limits | None = None,
        *,
        store: Store | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.transport = FakeTransport(self.clock)
        self.store: Store = store or open_store("memory")
        flows = {"fake": ChannelFlows("fake", {flow.flow.name: flow}, flow.flow.name)}
        self.receiver = Receiver(self.store, self.transport, "fake", self.clock, random=Random(1))
        self.processor = Processor(self.store, flows)
        self.deliverer = Deliverer(
            self.store, self.transport, "fake", self.clock, random=Random(1), limits=limits
        )

    def drain(self) -> None:
        drain([self.receiver], self.processor, [self.deliverer], self.clock)

    def say(self, words: str, sender: Address = ANNA) -> None:
        self.transport.text(sender, words)
        self.drain()

    def reasons(self, status: Status = Status.BLOCKED) -> list[str]:
        return [row.reason for row in self.store.outbox() if row.status is status]


@pytest.fixture
def talk(compiled: Callable[[str], CompiledFlow]) -> CompiledFlow:
    return compiled(TALK)


def told(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


# -- consent ------------------------------------------------------------------------------------------


def test_only_the_last_word_about_consent_leaves_after_an_opt_out(talk: CompiledFlow) -> None:
    world = World(talk)
    for words in ("hello", "STOPALL"):
        world.say(words)
    world.transport.answer_sends(RetryLater("busy", timedelta(minutes=1)))
    for words in ("UNSTOP", "STOPALL"):
        world.say(words)
    world.clock.advance(120)
    world.drain()
    found = [row.status for row in world.store.outbox() if row.outbound.kind is OutboundKind.CONSENT]
    assert found == [Status.SENT, Status.BLOCKED, Status.SENT]
    assert world.reasons() == ["opted out"]


def test_after_the_carriers_refusal_not_even_a_confirmation_leaves(stopwatch: CompiledFlow) -> None:
    world = World(stopwatch)
    world.transport.answer_sends(RetryLater("busy"), OptedOut("the recipient has opted out"))
    for words in ("START", "TIME", "UNSUBSCRIBE"):
        world.transport.text(ANNA, words)
    for _ in range(5):
        world.drain()
        world.clock.advance(60)
    assert not world.transport.sent
    assert {row.status for row in world.store.outbox()} == {Status.BLOCKED}


# -- age ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "status"), [(5.9, Status.SENT), (6.1, Status.EXPIRED)])
def test_the_lifetime_of_a_reply_is_a_limit(talk: CompiledFlow, hours: float, status: Status) -> None:
    world = World(talk, Limits(lifetime=timedelta(hours=6)))
    world.transport.text(ANNA, "hello")
    world.receiver.once(world.clock.now())
    world.processor.once(world.clock.now())
    world.clock.advance(timedelta(hours=hours))
    world.drain()
    assert [row.status for row in world.store.outbox()] == [status]


def test_what_we_begin_by_ourselves_does_not_grow_stale(talk: CompiledFlow) -> None:
    world = World(talk, Limits(lifetime=timedelta(hours=6)))
    world.store.request([Opening("fake", ANNA, "talk", "first")], world.clock.now())
    world.transport.text(BEN, "hello")
    world.receiver.once(world.clock.now())
    world.processor.once(world.clock.now())
    opened = {row.outbound.recipient: row.outbound.kind for row in world.store.outbox()}
    assert opened[ANNA] is not OutboundKind.REPLY
    world.clock.advance(timedelta(hours=7))
    world.drain()
    assert {row.outbound.recipient: row.status for row in world.store.outbox()} == {
        ANNA: Status.SENT,
        BEN: Status.EXPIRED,
    }


def test_an_hour_without_the_provider_loses_nothing(talk: CompiledFlow) -> None:
    world = World(talk)
    world.transport.answer_sends(*[RetryLater("no such host")] * 30)
    world.transport.text(ANNA, "hello")
    for _ in range(6 * 60):
        world.drain()
        world.clock.advance(60)
    assert len(world.transport.sent) == 1


# -- budget -------------------------------------------------------------------------------------------


def test_a_number_has_a_budget_of_segments_for_the_day(
    talk: CompiledFlow, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(talk, Limits(to_one=5))
    world.say("x" * 200)
    for number in range(6):
        world.say(f"word {number}")
    world.say("hello", BEN)
    assert len(world.transport.replies(ANNA)) == 4, "two segments, and three of one"
    assert len(world.transport.replies(BEN)) == 1
    assert set(world.reasons()) == {"budget: 5 segments a day to one number"}
    assert told(caplog, "budget") == 1
    world.clock.advance(timedelta(hours=12))
    world.say("a new day")
    assert len(world.transport.replies(ANNA)) == 5


def test_a_channel_has_a_budget_for_the_day(talk: CompiledFlow, caplog: pytest.LogCaptureFixture) -> None:
    world = World(talk, Limits(on_channel=3))
    for number in range(6):
        world.say("hello", Address(f"+6140000000{number}"))
    assert len(world.transport.sent) == 3
    assert set(world.reasons()) == {"budget: 3 segments a day on this channel"}
    assert told(caplog, "budget") == 1


def test_a_budget_survives_a_restart(talk: CompiledFlow, tmp_path: Path) -> None:
    world = World(talk, Limits(to_one=3), store=open_store(tmp_path / "convo.db"))
    for _ in range(2):
        world.say("hello")
    world.store.close()
    again = World(talk, Limits(to_one=3), store=open_store(tmp_path / "convo.db"), clock=world.clock)
    for _ in range(3):
        again.say("hello")
    assert (len(world.transport.sent), len(again.transport.sent)) == (2, 1)
    again.store.close()


@pytest.mark.parametrize(
    ("result", "left"), [(RetryLater("busy"), 2), (GiveUp("no such number"), 2), (Unknown("line broke"), 1)]
)
def test_what_did_not_leave_costs_nothing(talk: CompiledFlow, result: GiveUp, left: int) -> None:
    world = World(talk, Limits(to_one=2))
    world.transport.answer_sends(result)
    for _ in range(3):
        world.say("hello")
        world.clock.advance(10)
    assert len(world.transport.sent) == left


# -- the loop guard -----------------------------------------------------------------------------------


def echo(_number: int, _clock: FakeClock, heard: str) -> str:
    return heard


def quoting(_number: int, _clock: FakeClock, heard: str) -> str:
    return f"You wrote: '{heard}'. I am away."


def counter(number: int, _clock: FakeClock, _heard: str) -> str:
    return f"Auto-reply #{number}"


def bare_counter(number: int, _clock: FakeClock, _heard: str) -> str:
    return str(number)


def clock_text(_number: int, clock: FakeClock, _heard: str) -> str:
    return f"It is {clock.now() + timedelta(hours=10):%H:%M:%S}"


def bare_clock(_number: int, clock: FakeClock, _heard: str) -> str:
    return f"{clock.now():%H:%M}"


def away(_number: int, _clock: FakeClock, _heard: str) -> str:
    return "I am driving now and will call you back as soon as I can."


def dated(number: int, clock: FakeClock, _heard: str) -> str:
    return f"Ticket {number * 7} of {clock.now():%d %b %H:%M}: thanks, we will look into your request."


def in_turn(number: int, _clock: FakeClock, _heard: str) -> str:
    sayings = (
        "Sorry, I did not understand that.",
        "Please answer with yes or no.",
        "Let us begin again, then.",
    )
    return sayings[number % 3]


def short(_number: int, _clock: FakeClock, _heard: str) -> str:
    return "Out of office"


MACHINES = [echo, quoting, counter, bare_counter, clock_text, bare_clock, away, dated, in_turn, short]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_a_machine_is_stopped_within_ten_replies(
    talk: CompiledFlow,
    machine: Callable[[int, FakeClock, str], str],
    seed: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world, random = World(talk), Random(seed)
    wait = random.uniform(1, 30)
    world.say("hello")
    for number in range(1, 40):
        replies = world.transport.replies(ANNA)
        world.clock.advance(wait + random.uniform(0, 1))
        if len(replies) < number:
            break
        world.say(machine(number, world.clock, replies[-1]))
    assert len(world.transport.replies(ANNA)) <= 10
    assert world.reasons()[0].startswith("loop: ")
    assert told(caplog, "loop") == 1
    world.say("hello", BEN)
    assert len(world.transport.replies(BEN)) == 1


@pytest.mark.parametrize("minutes", [2, 9])
def test_a_machine_that_takes_its_time_is_stopped_too(talk: CompiledFlow, minutes: int) -> None:
    """What makes a row is the pause from text to text, not how long all of them took."""
    world = World(talk)
    said = 0
    while len(world.transport.sent) == said < 30:
        world.say("I am out of the office until Monday.")
        world.clock.advance(timedelta(minutes=minutes))
        said += 1
    assert len(world.transport.sent) <= 10
    assert world.reasons() == ["loop: an auto-reply: it answers everything with the same words"]


def test_a_machine_that_goes_on_is_told_of_once(talk: CompiledFlow, caplog: pytest.LogCaptureFixture) -> None:
    world = World(talk)
    for _ in range(60):
        world.clock.advance(5)
        world.say("Your message is important to us, please hold the line.")
    assert len(world.transport.sent) <= 10
    assert len(world.reasons()) >= 50
    assert told(caplog, "loop") == 1


def test_our_own_number_is_not_answered_for_long(talk: CompiledFlow) -> None:
    world = World(talk)
    for number in range(20):
        world.clock.advance(7)
        world.say(f"something else, {'abcdefghijklmnopqrst'[number]}", OUR_NUMBER)
    assert len(world.transport.replies(OUR_NUMBER)) <= 3
    assert set(world.reasons()) == {"loop: our own number writes to us"}


def test_two_of_us_do_not_talk_for_ever(stopwatch: CompiledFlow, talk: CompiledFlow) -> None:
    clock = FakeClock()
    one, other = World(stopwatch, clock=clock), World(talk, clock=clock)
    one.say("TIME", BEN)
    for _ in range(100):
        clock.advance(3)
        for world, peer, us, them in ((one, other, ANNA, BEN), (other, one, BEN, ANNA)):
            mine = world.transport.replies(them)
            for text in mine[len([row for row in peer.store.inbox() if row.sender == us]) :]:
                peer.say(text, us)
    assert len(one.transport.sent) <= 10
    assert len(other.transport.sent) <= 10


def test_whoever_was_a_machine_is_answered_when_a_person_writes(talk: CompiledFlow) -> None:
    world = World(talk)
    for _ in range(12):
        world.clock.advance(5)
        world.say("I am driving now and will call you back as soon as I can.")
    assert world.reasons()
    before = len(world.transport.sent)
    world.clock.advance(5)
    world.say("Hi, I am back. When do you open?")
    assert len(world.transport.sent) == before + 1


def people(seed: int) -> list[tuple[str, float]]:
    """Return what a fast person sends and how many seconds later each time, by one of seven tempers."""
    random = Random(seed)
    kind = seed % 8
    words = ["START", "STOP", "TIME", "TIME", "TIME", "HELP"]
    sentence = "a bit of everything really my back hurts when the weather turns and the stairs are steep"
    long = sentence.split()
    made: list[str]
    if kind == 0:
        made = [random.choice(words) for _ in range(60)]
    elif kind == 1:
        made = ["TIME"] * 80
    elif kind == 2:  # numbers, as in a quiz or a menu that is looked through
        made = [str(random.randint(1, 9)) for _ in range(40)] + [str(each) for each in range(1, 10)]
    elif kind == 3:
        made = [" ".join(random.sample(long, random.randint(4, 12))) for _ in range(40)]
    elif kind == 4:  # readings of a diary, all in one go
        made = [
            f"BP {random.randint(110, 160)}/{random.randint(60, 95)} pulse {random.randint(50, 99)}"
            for _ in range(40)
        ]
    elif kind == 5:
        made = [
            random.choice(["yes", "no", "don't know", "no idea", "👍", "ok", "Yes please"]) for _ in range(60)
        ]
    elif kind == 6:  # in a rage
        made = ["I want to talk to a person now please!!"] * 6 + [random.choice(words) for _ in range(40)]
    else:  # opening hours, a value a text
        made = [f"{random.randint(6, 21)}:{random.choice(['00', '15', '30', '45'])}" for _ in range(28)]
    return [(text, random.uniform(0.8, 9)) for text in made]


@pytest.mark.parametrize("seed", range(64))
def test_a_fast_person_is_never_stopped(talk: CompiledFlow, stopwatch: CompiledFlow, seed: int) -> None:
    world = World(stopwatch if seed % 8 < 2 else talk)
    texts = [(text, wait) for text, wait in people(seed) if text != "STOP" or seed % 8 < 2]
    for text, wait in texts:
        world.clock.advance(wait)
        world.say(text)
    assert world.reasons() == []
    assert len(world.transport.sent) == len(world.store.outbox())


def test_a_heap_of_equal_texts_is_no_loop(talk: CompiledFlow) -> None:
    world = World(talk)
    for _ in range(30):
        world.transport.text(ANNA, "I could not send this until now, is it too late?")
    world.clock.advance(60)
    world.receiver.once(world.clock.now())
    for _ in range(40):
        world.clock.advance(2)
        world.drain()
    assert world.reasons() == []


def test_a_choice_that_was_offered_may_be_chosen_again_and_again(
    compiled: Callable[[str], CompiledFlow],
) -> None:
    flow = compiled(
        TALK.replace(
            "Got ${message}, the ${count}th.",
            "Question ${count}. Write one of these. "
            "Neither agree nor disagree at all. Agree. Disagree. Something else that you say yourself.",
        )
    )
    world = World(flow)
    world.say("hello")
    for _ in range(25):
        world.clock.advance(4)
        world.say("Neither agree nor disagree at all")
    assert world.reasons() == []


def test_limits_of_the_loop_guard_are_arguments(talk: CompiledFlow) -> None:
    world = World(talk, Limits(loop_texts=5))
    for _ in range(20):
        world.clock.advance(5)
        world.say("Your message is important to us, please hold the line.")
    assert len(world.transport.sent) == 4


def test_flows_that_are_shipped_are_not_slowed(root: Path) -> None:
    flow = compile_flow(load_flow(root / "flows" / "stopwatch.yaml"))
    world = World(flow)
    for number in range(50):
        world.clock.advance(2)
        world.say(("START", "TIME", "STOP")[number % 3])
    assert world.reasons() == []
