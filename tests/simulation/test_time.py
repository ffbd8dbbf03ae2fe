"""Clocks that jump, clocks that are changed twice a year everywhere, and a month without the program."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo, available_timezones

import pytest

from convo.engine.conversation import TimerFired
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.engine.timing import quiet_until, timers_of
from convo.errors import TransportError
from convo.messages import Address
from convo.runtime.calls import Caller
from convo.runtime.channels import Channel, ChannelState, Sending
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.timers import Heard
from convo.store import open_store
from convo.store.base import Store
from convo.testing.fakes import FakeClock, FakeTransport
from tests.simulation.provider import Service

Compile = Callable[[str], CompiledFlow]
YEARS = 10
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CLOCKS = [time(hour, minute) for hour in (0, 1, 2, 3, 8, 23) for minute in (0, 30)]


@cache
def changes() -> tuple[tuple[str, tuple[datetime, ...]], ...]:
    """Return one zone for each way in which clocks are changed within ten years, and the moments."""
    weeks = [BEGIN + timedelta(weeks=week) for week in range(52 * YEARS + 2)]
    kinds: dict[tuple[object, ...], str] = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        kinds.setdefault(
            tuple(zone.utcoffset(week) and week.astimezone(zone).utcoffset() for week in weeks), name
        )
    found = []
    for name in kinds.values():
        zone = ZoneInfo(name)
        offsets = [week.astimezone(zone).utcoffset() for week in weeks]
        moments = []
        for at in range(len(weeks) - 1):
            if offsets[at] != offsets[at + 1]:
                low, high = weeks[at], weeks[at + 1]
                while high - low > timedelta(seconds=1):
                    middle = low + (high - low) / 2
                    low, high = (
                        (low, middle)
                        if middle.astimezone(zone).utcoffset() != offsets[at]
                        else (middle, high)
                    )
                moments.append(high.replace(microsecond=0))
        found.append((name, tuple(moments)))
    return tuple(found)


def test_every_zone_is_looked_at() -> None:
    found = dict(changes())
    assert len(found) > 50
    assert sum(map(len, found.values())) > 400
    # The one that goes by half an hour is among them.
    assert any(
        len(moments) == 2 * YEARS
        for name, moments in found.items()
        if name in ("Australia/LHI", "Australia/Lord_Howe")
    )


def test_a_time_of_day_comes_once_a_day_in_every_zone(compiled: Compile) -> None:
    """Daily timers around every change of the clocks: one each local day, none missed, none early."""
    source = "flow: f\nzone: ZONE\nstates:\n  a:\n    triggers: {A: a}\n    at:\n"
    source += "".join(f"      {at:%H:%M}: {{reply: x}}\n" for at in CLOCKS)
    wrongs = []
    for name, moments in changes():
        flow = compiled(source.replace("ZONE", name)).flow
        state, zone = flow.states["a"], ZoneInfo(name)
        for change in moments[:4] + moments[-2:]:
            now = (change - timedelta(hours=36)).replace(second=0)
            due = {timer.name: timer.due_at for timer in timers_of(state, flow, now, {})}
            end = change + timedelta(hours=36)
            while (nearest := min(due.items(), key=lambda each: each[1]))[1] < end:
                timer, at = nearest
                local = at.astimezone(zone)
                shown = f"at {local:%H:%M}"
                # A time that is skipped comes as much later as the clocks go forward.
                if shown != timer and not timedelta(0) <= at - change <= timedelta(hours=2):
                    wrongs.append(f"{name}: {timer} comes at {local}")
                again = {each.name: each.due_at for each in timers_of(state, flow, at, {})}[timer]
                if not timedelta(hours=20) <= again - at <= timedelta(hours=28):
                    wrongs.append(f"{name}: {timer} comes at {at} and then at {again}")
                due[timer] = again
    assert wrongs == []


def test_a_time_of_quiet_ends_in_every_zone(compiled: Compile) -> None:
    """Whatever the clocks do, what is held is held until later than now, and less than a day."""
    wrongs = []
    for begins, ends in (("21:00", "08:00"), ("22:00", "02:30"), ("01:30", "02:00"), ("00:00", "01:30")):
        source = f"flow: f\nzone: ZONE\nquiet: '{begins} to {ends}'\nstates: {{a: {{triggers: {{A: a}}}}}}\n"
        for name, moments in changes():
            flow = compiled(source.replace("ZONE", name)).flow
            for change in moments[:4] + moments[-2:]:
                for minutes in range(-180, 181, 10):
                    now = change + timedelta(minutes=minutes)
                    until = quiet_until(flow, now)
                    if until is not None and not now < until <= now + timedelta(hours=13):
                        wrongs.append(f"{name}, {begins} to {ends}: at {now} it is quiet until {until}")
    assert wrongs == []


# -- the loops -----------------------------------------------------------------------------------------

WAITS = """flow: waits
states:
  ready:
    triggers:
      text: {reply: Hello., goto: waiting}
  waiting:
    triggers: {OK: ready}
    after:
      1h: {reply: An hour.}
      7d: {reply: A week.}
      29d:
        reply: A month.
        goto: over
  over:
    end: complete
"""


class Program:
    """The loops on a store and a provider, both of which outlive it; sending at a pace."""

    def __init__(self, flow: CompiledFlow, store: Store, transport: FakeTransport, clock: FakeClock) -> None:
        flows = {"fake": ChannelFlows("fake", {flow.flow.name: flow}, flow.flow.name)}
        store.recover(clock.now())
        self.clock = clock
        channel = Channel("fake", transport, pace=timedelta(seconds=1))
        self.receiver = Receiver(store, transport, "fake", clock, random=Random(1))
        self.processor = Processor(store, flows, hearing=lambda _name: Heard(self.receiver.polled_at))
        deliverer = Deliverer(store, transport, "fake", clock, random=Random(1))
        self.sending = Sending(deliverer, ChannelState(channel), clock, lambda _state, _problem: False)

    def work(self, seconds: int) -> None:
        """Go on for so many seconds."""
        for _ in range(seconds):
            self.receiver.once(self.clock.now())
            for loop in (self.processor, self.sending):
                while (at := loop.once(self.clock.now())) is not None and at <= self.clock.now():
                    pass
            self.clock.advance(1)


@pytest.fixture
def waits(compiled: Compile) -> CompiledFlow:
    return compiled(WAITS)


@pytest.fixture(autouse=True)
def _quietly() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("days", [0.02, 1, 8, 30])
def test_after_a_downtime_every_timer_fires_once_and_the_backlog_is_paced(
    waits: CompiledFlow, days: float
) -> None:
    clock = FakeClock()
    store, provider = open_store("memory"), FakeTransport(clock)
    people = [Address(f"+614000001{number:02}") for number in range(40)]
    for who in people:
        provider.text(who, "hello")
    Program(waits, store, provider, clock).work(60)
    assert all(provider.replies(who) == ["Hello."] for who in people)
    clock.advance(timedelta(days=days))
    before = len(provider.sent)
    program = Program(waits, store, provider, clock)
    begun = clock.now()
    spoken: list[tuple[datetime, int]] = []
    for _ in range(400):
        program.work(1)
        spoken.append((clock.now(), len(provider.sent) - before))
    due = [text for at, text in ((1 / 24, "An hour."), (7, "A week."), (29, "A month.")) if days >= at]
    assert all(provider.replies(who) == ["Hello.", *due] for who in people)
    # One a second, and not all at once.
    assert all(count <= (at - begun).total_seconds() + 1 for at, count in spoken)
    fired = [
        (each.sender, event)
        for each in store.due(clock.now(), 1_000)
        if isinstance(event := each.event, TimerFired)
    ]
    assert fired == []
    store.close()


ASKS = """flow: asks
states:
  age:
    ask: How old are you?
    answer: number
    remind: 1h, 2h
    reminder: [First., Second.]
    no_answer_after: 5h
    no_answer: gone
    goto: gone
  gone:
    end: gone
"""


@pytest.mark.parametrize(("hours", "said"), [(1.5, ["First."]), (3, ["Second."]), (6, [])])
def test_of_what_is_overdue_the_last_reminder_speaks_and_giving_up_beats_it(
    compiled: Compile, hours: float, said: list[str]
) -> None:
    clock = FakeClock()
    store, provider = open_store("memory"), FakeTransport(clock)
    flow, ann = compiled(ASKS), Address("+61400000101")
    provider.text(ann, "hello")
    Program(flow, store, provider, clock).work(60)
    clock.advance(timedelta(hours=hours))
    Program(flow, store, provider, clock).work(60)
    replies = [text.split("\n")[0] for text in provider.replies(ann)]
    assert replies == ["How old are you?", *said]
    conversation = store.conversation("fake", ann)
    assert conversation is not None
    assert conversation.is_open == bool(said)
    store.close()


@pytest.mark.parametrize("minutes", [3, 9])
def test_while_a_channel_cannot_be_polled_its_deadlines_wait(compiled: Compile, minutes: int) -> None:
    """What was sent in time goes before the deadline, though it is read after it."""
    source = WAITS.replace("{OK: ready}", "{OK: {reply: In time., goto: ready}}").replace(
        "An hour.", "Too late."
    )
    clock = FakeClock()
    store, provider = open_store("memory"), FakeTransport(clock)
    ann = Address("+61400000101")
    program = Program(compiled(source), store, provider, clock)
    provider.text(ann, "hello")
    program.work(60)
    clock.advance(timedelta(minutes=58))
    provider.text(ann, "OK")
    provider.fail_poll(TransportError("away", retry_after=timedelta(minutes=minutes)))
    program.work(60 * minutes - 1)
    assert provider.replies(ann) == ["Hello."]
    program.work(120)
    assert provider.replies(ann) == ["Hello.", "In time."]
    store.close()


@pytest.mark.parametrize("back", [5, 600, 90_000])
def test_a_clock_that_is_set_back_neither_reorders_nor_holds_replies(waits: CompiledFlow, back: int) -> None:
    clock = FakeClock()
    store, provider = open_store("memory"), FakeTransport(clock)
    who = Address("+61400000001")
    program = Program(waits, store, provider, clock)
    provider.text(who, "hello")
    program.receiver.once(clock.now())
    program.processor.once(clock.now())
    clock.advance(-back)
    provider.text(who, "what?")
    program.work(5)
    replies = provider.replies(who)
    assert replies[0] == "Hello."
    assert len(replies) == 2
    store.close()


def test_a_clock_that_jumps_ahead_fires_each_timer_once(waits: CompiledFlow) -> None:
    clock = FakeClock()
    store, provider = open_store("memory"), FakeTransport(clock)
    who = Address("+61400000001")
    program = Program(waits, store, provider, clock)
    provider.text(who, "hello")
    program.work(5)
    for jump in (4_000, -4_000, 8 * 86_400, -8 * 86_400, 8 * 86_400, 4_000):
        clock.advance(jump)
        program.work(5)
    assert provider.replies(who) == ["Hello.", "An hour.", "A week."]
    store.close()


CALLS = """flow: calls
restart: any
data: {sky: {type: text}}
states:
  ready:
    triggers:
      text: asking
  asking:
    call: weather
    save: [sky]
    goto: {ok: told, else: told}
  told:
    reply: "The sky is ${sky | default('hidden')}."
    goto: ready
"""


@pytest.mark.parametrize("faults", [[], ["not yet"], ["not yet"] * 50])
@pytest.mark.parametrize("back", [5, 90_000])
def test_a_clock_that_is_set_back_keeps_nobody_waiting_for_a_service(
    compiled: Compile, back: int, faults: list[str]
) -> None:
    clock, service = FakeClock(), Service()
    store, provider = open_store("memory"), FakeTransport(clock)
    service.faults.extend(faults)
    who = Address("+61400000001")
    program = Program(compiled(CALLS), store, provider, clock)
    caller = Caller(store, service, clock, random=Random(1))
    provider.text(who, "hello")
    program.work(1)
    clock.advance(-back)
    for _ in range(130):
        caller.once(clock.now())
        program.work(1)
    assert len(provider.replies(who)) == 1
    store.close()
