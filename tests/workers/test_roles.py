"""Two processes that share a store: who polls and delivers a channel, and what a take-over respects."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import ConvoError, StoreError
from convo.messages import Address, Status
from convo.runtime.channels import Channel, ChannelState, Polling, Sending
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.together import LONGEST_CALL, STAND_BY
from convo.store import Store, open_store
from convo.testing import FakeClock, FakeTransport
from convo.transports.base import Batch, SendResult

ANNA, BEN = Address("+61400000001"), Address("+61400000002")
SECOND = timedelta(seconds=1)


class Passed:
    """A role that a test passes from one process to another."""

    def __init__(self) -> None:
        self.turns = 0
        self.alone = True
        self.ours = False

    def give(self, *, alone: bool) -> None:
        self.ours, self.alone = True, alone
        self.turns += 1

    def held(self) -> bool:
        return self.ours

    def release(self) -> None:
        self.ours = False


class Provider(FakeTransport):
    """A provider in which something may happen in the middle of a call."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.meanwhile: Callable[[], None] = lambda: None

    def poll(self, cursor: str | None) -> Batch:
        batch = super().poll(cursor)
        self.meanwhile()
        return batch

    def send(self, outbound: object) -> SendResult:
        result = super().send(outbound)  # type: ignore[arg-type]
        self.meanwhile()
        return result


class Process:
    """The loops of one process on a store that others share."""

    def __init__(
        self,
        store: Store,
        flows: dict[str, ChannelFlows],
        provider: Provider,
        clock: FakeClock,
        **more: object,
    ) -> None:
        self.clock, self.role = clock, Passed()
        channel = Channel("fake", provider, **more)  # type: ignore[arg-type]
        self.state = ChannelState(channel)
        self.receiver = Receiver(store, provider, "fake", clock)
        self.processor = Processor(store, flows)
        self.polling = Polling(self.receiver, self.state, clock, _goes_on, self.role)
        self.sending = Sending(
            Deliverer(store, provider, "fake", clock),
            self.state,
            clock,
            _goes_on,
            self.receiver.is_ready,
            self.role,
            lambda now, before: self.recovered.append(store.recover(now, channel="fake", before=before)),
        )
        self.recovered: list[int] = []

    def work(self) -> None:
        for loop in (self.polling, self.processor, self.sending):
            for _ in range(20):
                next_at = loop.once(self.clock.now())  # type: ignore[attr-defined]
                if next_at is None or next_at > self.clock.now():
                    break


def _goes_on(_state: ChannelState, _problem: ConvoError) -> bool:
    return False


class Town:
    """Two processes, one provider, one store."""

    def __init__(self, flows: dict[str, ChannelFlows], **more: object) -> None:
        self.clock, self.store = FakeClock(), open_store("memory")
        self.provider = Provider(self.clock)
        self.one, self.other = (
            Process(self.store, flows, self.provider, self.clock, **more) for _ in range(2)
        )

    def statuses(self) -> list[Status]:
        return [row.status for row in self.store.outbox()]


@pytest.fixture
def flows(stopwatch: CompiledFlow) -> dict[str, ChannelFlows]:
    return {"fake": ChannelFlows("fake", {"stopwatch": stopwatch}, "stopwatch")}


@pytest.fixture
def town(flows: dict[str, ChannelFlows]) -> Town:
    return Town(flows)


def test_who_stands_by_neither_polls_nor_sends(town: Town) -> None:
    town.one.role.give(alone=True)
    town.provider.text(ANNA, "START")
    town.other.work()
    assert town.provider.polls == 0
    assert town.other.state.standby
    town.one.polling.once(town.clock.now())
    town.other.work()
    assert town.statuses() == [Status.QUEUED], "anybody may step"
    town.one.work()
    assert town.provider.replies(ANNA) == ["The stopwatch is running."]
    town.one.role.release()
    assert town.one.polling.once(town.clock.now() + SECOND) == town.clock.now() + SECOND + STAND_BY
    town.other.role.give(alone=True)
    town.clock.advance(60)
    town.provider.text(ANNA, "TIME")
    town.other.work()
    assert town.provider.replies(ANNA)[1:] == ["1 min so far."]
    assert not town.other.state.standby


class Down:
    """A store that is away for a while."""

    def __init__(self, store: Store) -> None:
        self._store, self.away = store, False

    def __getattr__(self, name: str) -> object:
        if self.away:
            raise StoreError("the server restarts")
        return getattr(self._store, name)


def test_what_was_read_is_stored_by_whoever_read_it_though_the_role_has_gone_on(
    flows: dict[str, ChannelFlows],
) -> None:
    town = Town(flows)
    down = Down(town.store)
    one = Process(down, flows, town.provider, town.clock)  # type: ignore[arg-type]
    one.role.give(alone=True)
    town.provider.text(ANNA, "START")
    town.provider.meanwhile = lambda: setattr(down, "away", True)
    with pytest.raises(StoreError):
        one.polling.once(town.clock.now())
    one.role.release()
    town.provider.meanwhile, down.away = lambda: None, False
    polls = town.provider.polls
    one.polling.once(town.clock.now())
    assert len(town.store.inbox()) == 1
    assert town.provider.polls == polls, "and nothing more was asked for"


def test_what_the_provider_said_is_written_down_though_the_role_has_gone_on(
    flows: dict[str, ChannelFlows],
) -> None:
    town = Town(flows)
    down = Down(town.store)
    one = Process(down, flows, town.provider, town.clock)  # type: ignore[arg-type]
    one.role.give(alone=True)
    town.provider.text(ANNA, "START")
    one.polling.once(town.clock.now())
    one.processor.once(town.clock.now())
    town.provider.meanwhile = lambda: setattr(down, "away", True)
    with pytest.raises(StoreError):
        one.sending.once(town.clock.now())
    one.role.release()
    down.away = False
    assert town.statuses() == [Status.SENDING]
    one.sending.once(town.clock.now())
    assert town.statuses() == [Status.SENT]


def half_sent(town: Town) -> None:
    """Have the first process die, as far as anybody knows, in the middle of the first of two sends."""
    town.one.role.give(alone=True)
    town.provider.text(ANNA, "START")
    town.provider.text(ANNA, "TIME")
    town.one.polling.once(town.clock.now())
    town.one.processor.once(town.clock.now())
    town.store.mark_sending("fake", town.clock.now(), 1, lambda _look: None)
    town.one.role.release()
    town.clock.advance(10)


def test_what_may_be_under_way_in_another_process_is_waited_for(town: Town) -> None:
    half_sent(town)
    town.other.role.give(alone=False)
    town.other.work()
    assert town.statuses() == [Status.SENDING, Status.QUEUED], "nothing overtakes it"
    town.clock.advance(LONGEST_CALL.total_seconds() - 11)
    town.other.work()
    assert town.statuses() == [Status.SENDING, Status.QUEUED]
    town.clock.advance(2)
    town.other.work()
    assert town.statuses() == [Status.UNKNOWN, Status.SENT]
    assert sum(town.other.recovered) == 1


def test_what_a_process_that_is_certainly_dead_left_is_unknown_at_once(town: Town) -> None:
    half_sent(town)
    town.other.role.give(alone=True)
    town.other.work()
    assert town.statuses() == [Status.UNKNOWN, Status.SENT]


def test_the_pace_of_a_channel_is_kept_over_a_take_over(flows: dict[str, ChannelFlows]) -> None:
    town = Town(flows, pace=timedelta(seconds=5))
    town.one.role.give(alone=True)
    town.other.role.give(alone=True)
    for process in (town.one, town.other):
        process.receiver.once(town.clock.now())
    for who in (ANNA, BEN):
        town.provider.text(who, "START")
    left: list[datetime] = []
    town.provider.meanwhile = lambda: left.append(town.clock.now())
    town.one.polling.once(town.clock.now() + SECOND)
    town.one.processor.once(town.clock.now())
    left.clear()
    town.other.role.release()
    for _ in range(6):
        town.one.sending.once(town.clock.now())
        town.clock.advance(1)
    assert len(left) == 1
    town.one.role.release()
    town.other.role.give(alone=True)
    for _ in range(6):
        town.other.sending.once(town.clock.now())
        town.clock.advance(1)
    assert len(left) == 2
    assert left[1] - left[0] >= timedelta(seconds=5)
