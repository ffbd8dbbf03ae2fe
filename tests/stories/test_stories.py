"""The failure stories of others that must not be ours, each under its name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from regex import findall

from convo.emulators.telstra_v2 import TelstraV2Emulator
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import TransportError
from convo.flow.parse import load_flow
from convo.flow.problems import FlowError
from convo.messages import Address, OutboundKind, Receipt, Status
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.run import drain
from convo.sms import cost, split
from convo.store import open_store
from convo.store.base import InboxStatus, Store
from convo.testing import FakeClock, FakeTransport, Phone
from convo.transports.base import Batch
from convo.transports.telstra_v2 import Settings, TelstraV2

Compile = Callable[[str], CompiledFlow]
ANNA, BEN = Address("+61400000001"), Address("+61400000002")
ECHO = """flow: echo
restart: any
data: {count: 0}
states:
  ready:
    triggers:
      text:
        set: {count: count + 1}
        reply: Got ${message}, the ${count}th.
"""
ASKS = """flow: asks
opt_out: [STOP]
anywhere:
  HELP:
    reply: Call 0800 123.
every_question: {tries: 2, out_of_tries: gave_up}
states:
  age:
    ask: How old are you?
    answer: number 1 to 120
  name:
    ask: Your name?
    answer: text
  done:
    reply: Thank you, ${name}.
    end: complete
  gave_up:
    reply: Let us stop here.
    end: gave up
"""


class Program:
    """The loops on a store and a provider, both of which outlive it."""

    def __init__(
        self,
        flow: CompiledFlow,
        store: Store,
        transport: FakeTransport,
        clock: FakeClock,
        plain: bool = False,
    ) -> None:
        flows = {"fake": ChannelFlows("fake", {flow.flow.name: flow}, flow.flow.name)}
        store.recover(clock.now())
        self.clock = clock
        self.receiver = Receiver(store, transport, "fake", clock, random=Random(1))
        self.processor = Processor(store, flows)
        self.deliverer = Deliverer(store, transport, "fake", clock, random=Random(1), plain=plain)

    def work(self) -> None:
        drain([self.receiver], self.processor, [self.deliverer], self.clock)


class Listing(FakeTransport):
    """A provider whose list is read on from a position."""

    def poll(self, cursor: str | None) -> Batch:
        found = list(self._waiting)[int(cursor or 0) :]
        return Batch(tuple(found[:1]), str(int(cursor or 0) + len(found[:1])), len(found) > 1)  # type: ignore[arg-type]


@pytest.fixture
def echo(compiled: Compile) -> CompiledFlow:
    return compiled(ECHO)


@pytest.fixture
def asks(tmp_path: Path) -> Phone:
    path = tmp_path / "asks.yaml"
    path.write_text(ASKS, encoding="utf-8")
    return Phone(path)


def test_a_position_kept_in_memory_so_that_a_restart_drops_or_repeats_messages(
    echo: CompiledFlow, tmp_path: Path
) -> None:
    clock = FakeClock()
    provider = Listing(clock)
    words = ("one", "two", "three", "four")
    for word in words:
        provider.text(ANNA, word)
    for _ in range(4):
        # Each program polls once and is gone.
        store = open_store(tmp_path / "convo.db")
        program = Program(echo, store, provider, clock)
        program.receiver.once(clock.now())
        store.close()
    store = open_store(tmp_path / "convo.db")
    Program(echo, store, provider, clock).work()
    assert provider.replies(ANNA) == [f"Got {word}, the {n}th." for n, word in enumerate(words, 1)]
    assert store.cursor("fake") == "4"
    store.close()


def test_a_poller_that_is_dead_while_the_process_looks_alive(echo: CompiledFlow) -> None:
    clock = FakeClock()
    provider, store = FakeTransport(clock), open_store("memory")
    program = Program(echo, store, provider, clock)
    wrongs = [TransportError("away"), ValueError("a mistake of the transport"), KeyError("x"), OSError("dns")]
    provider.fail_poll(*wrongs)
    provider.text(ANNA, "hello")
    for _ in wrongs:
        program.receiver.once(clock.now())
        assert program.receiver.trouble is not None, "it says that it could not poll"
        clock.advance(61)
    program.work()
    assert program.receiver.trouble is None
    assert provider.replies(ANNA) == ["Got hello, the 1th."]


@pytest.mark.parametrize("bad", ["\ud800", "\x00", "a\x00b", "x" * 65_536, "\u202e", "\udfff\ud800"])
def test_one_bad_message_that_blocks_all(echo: CompiledFlow, bad: str) -> None:
    clock = FakeClock()
    provider, store = FakeTransport(clock, batch=3), open_store("memory")
    provider.text(BEN, "before")
    provider.text(ANNA, bad)
    provider.text(BEN, "after")
    Program(echo, store, provider, clock).work()
    assert provider.replies(BEN) == ["Got before, the 1th.", "Got after, the 2th."]
    assert not store.inbox(InboxStatus.WAITING)


def test_a_token_that_is_never_renewed() -> None:
    clock = FakeClock()
    with TelstraV2Emulator(clock) as telstra:
        transport = TelstraV2(Settings.from_environ(telstra.environ()), channel="sms", clock=clock)
        transport.start()
        for hour in range(48):
            clock.advance(timedelta(hours=1))
            telstra.text(ANNA, f"hour {hour}")
            assert [each.text for each in transport.poll(None).messages] == [f"hour {hour}"]
        assert telstra.calls("token") > 40
        transport.close()


def test_check_then_mark_that_lets_a_second_delivery_through(echo: CompiledFlow) -> None:
    clock = FakeClock()
    provider, store = FakeTransport(clock), open_store("memory")
    first, second = (Program(echo, store, provider, clock) for _ in range(2))
    provider.text(ANNA, "hello")
    first.receiver.once(clock.now())
    first.processor.once(clock.now())
    inner = provider.send

    def send(outbound: object) -> object:
        # While the one hands it over, the other looks for something to send.
        second.deliverer.once(clock.now())
        return inner(outbound)  # type: ignore[arg-type]

    provider.send = send  # type: ignore[assignment, method-assign]
    first.deliverer.once(clock.now())
    assert len(provider.sent) == 1


def test_the_same_id_that_swallows_a_later_receipt(echo: CompiledFlow) -> None:
    clock = FakeClock()
    provider, store = FakeTransport(clock), open_store("memory")
    program = Program(echo, store, provider, clock)
    inbound = provider.text(ANNA, "hello")
    program.work()
    (row,) = store.outbox()
    # The text comes a second time, and under its id, and the outbound's, come two receipts.
    provider.again(inbound)
    for status in (Status.SENT, Status.DELIVERED):
        provider.receipt(Receipt("fake", inbound.provider_id, status))
        provider.receipt(Receipt("fake", row.provider_id, status))
    program.work()
    assert [each.status for each in store.outbox()] == [Status.DELIVERED]


def test_two_auto_repliers_that_run_up_a_bill(compiled: Compile) -> None:
    clock = FakeClock()
    flow = compiled(
        "flow: away\nrestart: any\nstates:\n  on:\n    triggers:\n"
        "      text: {reply: 'I am away until Monday and will read this then.'}\n"
    )
    ours, theirs = FakeTransport(clock), FakeTransport(clock)
    us, them = (Program(flow, open_store("memory"), each, clock) for each in (ours, theirs))
    ours.text(BEN, "hello")
    passed = [0, 0]
    for _ in range(200):
        us.work()
        them.work()
        clock.advance(5)
        for at, (said, heard, who) in enumerate(((ours, theirs, ANNA), (theirs, ours, BEN))):
            for outbound in said.sent[passed[at] :]:
                heard.text(who, outbound.text)
            passed[at] = len(said.sent)
    assert len(ours.sent) <= 10
    assert len(theirs.sent) <= 10


def test_receipts_that_go_backwards(echo: CompiledFlow) -> None:
    clock = FakeClock()
    every = [Status.SENT, Status.DELIVERED, Status.FAILED, Status.EXPIRED]
    for seed in range(40):
        provider, store = FakeTransport(clock), open_store("memory")
        program = Program(echo, store, provider, clock)
        chance = Random(seed)
        # One comes before anything was sent, and one of an outbound that nobody knows.
        store.receipts([Receipt("fake", "nobody", chance.choice(every))], clock.now())
        provider.text(ANNA, "hello")
        program.work()
        final: Status | None = None
        for _ in range(8):
            status = chance.choice(every)
            (row,) = store.outbox()
            provider.receipt(Receipt("fake", row.provider_id, status))
            program.work()
            final = final or (status if status is not Status.SENT else None)
            assert store.outbox()[0].status is (final or Status.SENT)
        store.close()


def test_stop_that_is_taken_as_an_answer(asks: Phone) -> None:
    asks.send("hi").expect("How old are you?").send("34").expect("Your name?")
    asks.send("STOP")
    said = [each for each in asks.world.transport.sent if each.recipient == asks.number]
    assert said[-1].kind is OutboundKind.CONSENT
    assert asks.world.store.opted_out("fake", Address(asks.number))
    assert not any("Thank you" in each.text for each in said)


def test_help_that_costs_a_try(asks: Phone) -> None:
    asks.send("hi").expect("How old are you?")
    for _ in range(5):
        asks.send("HELP").expect_contains("Call 0800 123.")
        asks.expect_state("age")
    asks.send("old").send("older")
    assert asks.world.transport.replies(asks.number)[-1] == "Let us stop here."


def test_a_curly_quote_that_turns_one_segment_into_three(compiled: Compile) -> None:
    words = "It’s " + "a" * 145
    assert (cost(words).segments, cost(words.replace("’", "'")).segments) == (3, 1)
    clock = FakeClock()
    provider, store = FakeTransport(clock), open_store("memory")
    flow = compiled(f"flow: quote\nstates:\n  a:\n    triggers:\n      text: {{reply: '{words}'}}\n")
    program = Program(flow, store, provider, clock, plain=True)
    provider.text(ANNA, "hello")
    program.work()
    assert [cost(each.text).segments for each in provider.sent] == [1]


def test_an_emoji_that_is_cut_in_half() -> None:
    family = "👩‍👩‍👧‍👦"
    for ahead in range(75):
        text = "x" * ahead + (family + "é🇦🇺") * 30
        parts = split(text, 200)
        assert "".join(parts) == text
        whole = findall(r"\X", text)
        assert [each for part in parts for each in findall(r"\X", part)] == whole


@pytest.mark.parametrize("line", ["Hello ${naem}!", "Hello ${ name | uper }!", "Hello ${name.first}!"])
def test_a_mistyped_variable_that_is_sent_to_people_literally(tmp_path: Path, line: str) -> None:
    path = tmp_path / "typo.yaml"
    path.write_text(ASKS.replace("Thank you, ${name}.", f"'{line}'"), encoding="utf-8")
    with pytest.raises(FlowError):
        load_flow(path)


def test_a_live_edit_that_strands_the_people_who_wait_in_a_state_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "asks.yaml"
    path.write_text(ASKS, encoding="utf-8")
    phone = Phone(path, reload=True)
    phone.send("hi").expect("How old are you?")
    path.write_text(
        ASKS.replace("  age:\n", "  years:\n").replace("states:\n", "moved: {age: years}\nstates:\n", 1),
        encoding="utf-8",
    )
    phone.send("34").expect("Your name?")
    # Without 'moved' nothing is dropped in silence either: the text is set aside with the reason.
    path.write_text(
        ASKS.replace("  name:\n", "  called:\n").replace("${name}", "${called}"), encoding="utf-8"
    )
    phone.send("Ann")
    (dead,) = phone.world.store.inbox(InboxStatus.DEAD)
    assert "'name'" in dead.reason
    path.write_text(ASKS, encoding="utf-8")
    phone.send("Ann")
    assert phone.world.transport.replies(phone.number)[-1] == "Thank you, Ann."
    phone.world.close()
