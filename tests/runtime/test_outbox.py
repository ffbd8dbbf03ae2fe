"""What becomes of an outbound: never twice, never after its time, never against a carrier's opt-out."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from convo.engine.machine import compile_flow
from convo.engine.opening import ChannelFlows
from convo.errors import TransportError
from convo.flow.parse import load_flow
from convo.messages import Address, Outbound, Status
from convo.runtime.deliver import Deliverer
from convo.runtime.policy import Unknowns
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.run import drain
from convo.store import open_store
from convo.testing import FakeClock, FakeTransport
from convo.transports.base import OptedOut, RetryLater, SendResult, Sent, Unknown

ANN = "+61400000001"
FLOW = """flow: talk
restart: any
states:
  ready:
    triggers:
      LONG:
        reply: ${'word ' ~ long}
      text:
        reply: Hello.
data: {long: LONG}
"""


class Provider(FakeTransport):
    """A fake that answers sends as the test says, and knows what it was given."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, channel="fake")
        self.results: list[SendResult] = []
        self.given: list[Outbound] = []
        self.silent = False

    def send(self, outbound: Outbound) -> SendResult:
        """Take it, or do what the test says."""
        result = self.results.pop(0) if self.results else Sent(f"p{len(self.given)}")
        if isinstance(result, Sent):
            self.given.append(outbound)
        return result


class Listing(Provider):
    """A provider that can be asked what it was given."""

    def find_sent(
        self, outbound: Outbound, since: datetime, known: Container[str] = frozenset()
    ) -> Sent | None:
        """Look it up by its text."""
        if self.silent:
            raise TransportError("no answer")
        found = [each for each in self.given if each.text == outbound.text]
        return Sent("found") if found else None


class World:
    """One channel on a clock that stands."""

    def __init__(self, folder: Path, transport: type[Provider], unknowns: Unknowns = Unknowns.HOLD) -> None:
        path = folder / "talk.yaml"
        path.write_text(FLOW.replace("LONG}", "'" + "x" * 300 + " ' }"), encoding="utf-8")
        compiled = compile_flow(load_flow(path))
        self.clock = FakeClock()
        self.store = open_store("memory")
        self.provider = transport(self.clock)
        flows = {"fake": ChannelFlows("fake", {"talk": compiled}, "talk")}
        self.receiver = Receiver(self.store, self.provider, "fake", self.clock, random=Random(1))
        self.processor = Processor(self.store, flows)
        self.deliverer = Deliverer(
            self.store, self.provider, "fake", self.clock, random=Random(1), unknowns=unknowns
        )

    def work(self) -> None:
        """Do all there is to do."""
        drain([self.receiver], self.processor, [self.deliverer], self.clock)

    def text(self, words: str = "hello") -> None:
        """Ann writes."""
        self.provider.text(ANN, words)
        self.work()

    def later(self, **by: float) -> None:
        """Time passes."""
        self.clock.advance(timedelta(**by))
        self.work()

    @property
    def statuses(self) -> list[Status]:
        """How the outbox stands."""
        return [row.status for row in self.store.outbox()]


def test_a_carriers_opt_out_goes_into_the_ledger_and_stops_the_rest(tmp_path: Path) -> None:
    world = World(tmp_path, Provider)
    world.provider.results = [OptedOut("21610: the recipient has opted out")]
    world.text()
    assert world.statuses == [Status.BLOCKED]
    assert world.store.opted_out("fake", Address(ANN))
    world.text("anybody there?")
    assert world.statuses == [Status.BLOCKED]
    assert world.provider.given == []


def test_a_reply_that_could_not_leave_for_a_day_expires(tmp_path: Path) -> None:
    world = World(tmp_path, Provider)
    world.provider.results = [RetryLater("busy", after=timedelta(hours=23))]
    world.text()
    world.provider.results = [RetryLater("busy", after=timedelta(hours=2))]
    world.later(hours=23)
    assert world.statuses == [Status.QUEUED]
    world.later(hours=2)
    assert world.statuses == [Status.EXPIRED]
    assert "24 hours" in world.store.outbox()[0].reason
    world.text("again")
    assert world.statuses == [Status.EXPIRED, Status.SENT]


def test_an_unknown_row_is_settled_where_the_provider_can_be_asked(tmp_path: Path) -> None:
    world = World(tmp_path, Listing)
    world.provider.results = [Unknown("the line broke")]
    world.text()
    assert world.statuses == [Status.UNKNOWN]
    # It had not left: after a while it is known, and sent once.
    world.later(seconds=61)
    world.later(seconds=1)
    assert world.statuses == [Status.SENT]
    assert len(world.provider.given) == 1


def test_an_unknown_row_that_had_left_is_not_sent_again(tmp_path: Path) -> None:
    world = World(tmp_path, Listing)
    world.provider.results = [Unknown("the line broke")]
    world.text()
    world.provider.given.append(world.store.outbox()[0].outbound)
    world.provider.silent = True
    world.later(seconds=61)
    assert world.statuses == [Status.UNKNOWN], "while nobody can be asked it is held"
    world.provider.silent = False
    world.later(minutes=6)
    assert world.statuses == [Status.SENT]
    assert world.store.outbox()[0].provider_id == "found"
    assert len(world.provider.given) == 1


@pytest.mark.parametrize(("policy", "left"), [(Unknowns.HOLD, 0), (Unknowns.RESEND, 1)])
def test_elsewhere_it_is_held_or_sent_again_as_configured(
    tmp_path: Path, policy: Unknowns, left: int
) -> None:
    world = World(tmp_path, Provider, policy)
    world.provider.results = [Unknown("the line broke")]
    world.text()
    for _ in range(5):
        world.later(minutes=2)
    assert len(world.provider.given) == left
    assert world.statuses == [Status.SENT if left else Status.UNKNOWN]


def test_segments_are_counted_where_the_provider_does_not(tmp_path: Path) -> None:
    world = World(tmp_path, Provider)
    world.text("long")
    assert world.store.outbox()[0].segments == 2
    world.text()
    assert world.store.outbox()[1].segments == 1


def test_a_text_too_long_for_one_message_leaves_as_several(tmp_path: Path) -> None:
    world = World(tmp_path, Provider)
    path = tmp_path / "talk.yaml"
    path.write_text(
        "flow: talk\ndata: {a: 'AA'}\nrestart: any\nstates:\n  ready:\n    triggers:\n      text:\n"
        "        set: {a: a ~ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a}\n        reply: ${a}\n".replace(
            "AA", "né 👩‍👩‍👧‍👦 " * 5
        ),
        encoding="utf-8",
    )
    compiled = compile_flow(load_flow(path))
    flows = {"fake": ChannelFlows("fake", {"talk": compiled}, "talk")}
    world.processor = Processor(world.store, flows)
    world.text()
    world.text()
    texts = [row.outbound.text for row in world.store.outbox()]
    assert len(texts) > 3
    assert all(len(text) <= 1600 for text in texts)
    assert {piece for text in texts for piece in text.split()} == {"né", "👩‍👩‍👧‍👦"}
