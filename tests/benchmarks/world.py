"""The stopwatch on a store with a fake provider, its loops called one after another."""

from __future__ import annotations

from pathlib import Path
from random import Random

from convo.engine.machine import compile_flow
from convo.engine.opening import ChannelFlows
from convo.flow.parse import load_flow
from convo.messages import Address, Outbound
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.store import open_store
from convo.testing import FakeClock, FakeTransport
from convo.transports.base import SendResult, Sent

STOPWATCH = Path(__file__).resolve().parents[2] / "flows" / "stopwatch.yaml"
WORDS = ("START", "TIME", "TIME", "STOP")


class Provider(FakeTransport):
    """A fake that keeps nothing of what it sent: its own memory is not what is measured."""

    sent = 0

    def send(self, outbound: Outbound) -> SendResult:
        """Take it."""
        self.sent += 1
        return Sent(f"p{self.sent}")


class World:
    """One channel with the stopwatch."""

    def __init__(self, store: str) -> None:
        self.clock = FakeClock()
        self.store = open_store(store)
        self.transport = Provider(self.clock, channel="fake")
        compiled = compile_flow(load_flow(STOPWATCH))
        self.compiled = compiled
        flows = {"fake": ChannelFlows("fake", {compiled.flow.name: compiled}, compiled.flow.name)}
        self.receiver = Receiver(self.store, self.transport, "fake", self.clock, random=Random(1))
        self.processor = Processor(self.store, flows)
        self.deliverer = Deliverer(self.store, self.transport, "fake", self.clock, random=Random(1))

    def texts(self, first: int, count: int, senders: int) -> None:
        """Let so many texts wait at the provider."""
        for index in range(first, first + count):
            sender = Address(f"+614{index % senders:08d}")
            self.transport.text(sender, WORDS[(index // senders) % len(WORDS)], provider_id=f"m{index}")

    def work(self) -> None:
        """Receive, step and deliver all there is, each loop until it has nothing more to do."""
        for loop in (self.receiver, self.processor, self.deliverer):
            while True:
                next_at = loop.once(self.clock.now())
                if next_at is None or next_at > self.clock.now():
                    break
