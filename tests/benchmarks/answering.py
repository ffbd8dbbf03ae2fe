"""The time from the poll that brought a message to its reply being handed over, at 100 messages a second."""

from __future__ import annotations

import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

from convo.clock import SystemClock
from convo.engine.machine import compile_flow
from convo.engine.opening import ChannelFlows
from convo.flow.parse import load_flow
from convo.messages import Address, Inbound, Outbound
from convo.runtime.run import Channel, Runtime
from convo.store import open_store
from convo.testing import FakeTransport
from convo.transports.base import Batch, SendResult, Sent
from tests.benchmarks.figures import Figure
from tests.benchmarks.world import STOPWATCH

RATE = 100


class Timed(FakeTransport):
    """A provider in which texts come at a rate, and that notes when each was handed out and answered."""

    def __init__(self, clock: SystemClock) -> None:
        super().__init__(clock, channel="timed")
        self.clock = clock
        self.began = time.perf_counter()
        self.handed: dict[str, float] = {}
        self.took: list[float] = []
        self.count = 0
        self.lock = threading.Lock()

    def poll(self, cursor: str | None) -> Batch:
        """Hand out what has come since the last poll."""
        due = int((time.perf_counter() - self.began) * RATE)
        now = self.clock.now()
        messages = []
        for index in range(self.count, due):
            sender = Address(f"+614{index:08d}")
            self.handed[sender] = time.perf_counter()
            messages.append(
                Inbound("timed", sender, Address("+61400000001"), "START", now, now, f"m{index}", "")
            )
        self.count = max(self.count, due)
        return Batch(tuple(messages))

    def send(self, outbound: Outbound) -> SendResult:
        """Note how long it took."""
        began = self.handed.pop(outbound.recipient, None)
        with self.lock:
            if began is not None:
                self.took.append(time.perf_counter() - began)
        return Sent("p")


def figures(quick: bool) -> list[Figure]:
    """Measure the real threads on a real store."""
    clock = SystemClock()
    transport = Timed(clock)
    compiled = compile_flow(load_flow(STOPWATCH))
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "run.db"))
        flows = {"timed": ChannelFlows("timed", {"stopwatch": compiled}, "stopwatch")}
        runtime = Runtime(store, flows, [Channel("timed", transport, timedelta(milliseconds=10))], clock)
        runtime.start()
        time.sleep(2 if quick else 20)
        runtime.stop()
        store.close()
    took = sorted(transport.took)
    p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
    return [
        Figure(
            f"poll to reply handed over at {RATE} messages/s",
            f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms",
            "must p99 ≤ 50 ms",
            f"{len(took)} messages, real threads, SQLite FULL",
        )
    ]
