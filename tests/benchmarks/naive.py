"""For scale: a program that keeps a Machine object a sender in memory and forgets everything at a restart."""

from __future__ import annotations

import time

from transitions import Machine

from tests.benchmarks.figures import Figure
from tests.benchmarks.world import World


class Watch:
    """A stopwatch by hand."""


def figures(quick: bool) -> list[Figure]:
    """Measure what a sender costs there, and what a step costs here, without a store of any use."""
    senders = 200 if quick else 2_000
    started = time.perf_counter()
    watches = []
    for _ in range(senders):
        watch = Watch()
        machine = Machine(watch, ["ready", "running", "stopped"], initial="ready", auto_transitions=False)
        machine.add_transition("start", ["ready", "running", "stopped"], "running")
        machine.add_transition("stop", "running", "stopped")
        watches.append(watch)
    made = (time.perf_counter() - started) / senders
    started = time.perf_counter()
    for watch in watches:
        watch.start()  # type: ignore[attr-defined]
    fired = (time.perf_counter() - started) / senders
    world = World("memory")
    started = time.perf_counter()
    for first in range(0, senders, 200):
        world.texts(first, 200, senders)
        world.work()
    ours = (time.perf_counter() - started) / senders
    return [
        Figure(
            "a naive program",
            f"{made * 1e6:.0f} µs to make a sender's Machine, {fired * 1e6:.0f} µs a trigger",
            "",
            f"forgets everything; convo in memory, poll to reply: {ours * 1e6:.0f} µs",
        )
    ]
