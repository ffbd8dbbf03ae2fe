"""One scenario, killed at every call of the store, the transport and the clock, and while it recovers.

On PostgreSQL at every tenth call; ``CONVO_FUSE_ON_POSTGRES=1`` is at every one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from convo.runtime.policy import Unknowns
from tests.postgres import Databases
from tests.simulation.judge import verdict
from tests.simulation.world import Event, Setting, World

SCENARIO: list[Event] = [
    ("text", (0, 15, 0, 0)),
    ("text", (1, 3, 0, 0)),
    ("text", (0, 16, 0, 1)),
    ("again", (0,)),
    ("text", (2, 2, 0, 0)),
    ("text", (3, 1, 0, 0)),
    ("open", (1, 0)),
    ("send", (0,)),
    ("work", ()),
    ("text", (0, 6, 0, 0)),
    ("text", (1, 17, 0, 0)),
    ("receipt", (0, 1, 1)),
    ("advance", (700,)),
    ("work", ()),
]
"""Texts, one of them twice, two replies at once, a service, timers, an opening, a retry, an opt-out."""

WORLDS = {
    "listed and askable": Setting(listed=True, askable=True),
    "read once, held": Setting(),
    "read once, sent again": Setting(batch=2, unknowns=Unknowns.RESEND),
}
CALLED = {
    *("accept", "cursor", "request", "claim", "due", "answered", "commit", "calls", "call_answered"),
    *("mark_sending", "settle", "receipts", "recover", "next_timer", "next_call", "next_outbound"),
    *("start", "poll", "send", "now"),
}
"""What the scenario has to come past, at least."""


EVERY = int(os.environ.get("CONVO_FUSE_ON_POSTGRES", "10"))


@pytest.fixture(autouse=True)
def _quietly() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def played(
    setting: Setting, *kills: tuple[int, bool], full: int = 0, place: Path | str | None = None
) -> tuple[World, int, list[str]]:
    """Play the scenario, killed at these calls, and go on to the end; return its calls and what is wrong."""
    world = World(setting, place)
    begun = world.fuse.calls
    for calls, after in kills:
        world.fuse.arm(calls, after=after)
    if full:
        world.fuse.fail(full)
    for event in SCENARIO:
        world.happen(event)
    calls = world.fuse.calls - begun
    world.heal()
    wrongs = verdict(world)
    world.close()
    return world, calls, wrongs


@pytest.mark.parametrize("name", WORLDS)
def test_the_scenario_comes_past_every_seam(name: str) -> None:
    world, calls, wrongs = played(WORLDS[name])
    assert wrongs == []
    assert set(world.fuse.names[:calls]) >= CALLED
    # Nothing that somebody wrote is without an answer, and nothing was said twice.
    assert len(world.provider.left) == len({each.id for each in world.provider.left}) > 6


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", WORLDS)
def test_killed_at_every_call(name: str, after: bool) -> None:
    setting = WORLDS[name]
    _, calls, _ = played(setting)
    assert calls > 150
    wrongs = {}
    for at in range(1, calls + 1):
        world, _, found = played(setting, (at, after))
        assert world.fuse.kills == 1
        if found:
            wrongs[at, world.fuse.names[at]] = found
        most = setting.batch if not setting.listed else 0
        assert len(world.lost) <= most, "more than what was in flight"
    assert wrongs == {}


@pytest.mark.parametrize("name", WORLDS)
def test_killed_again_while_it_recovers(name: str) -> None:
    setting = WORLDS[name]
    _, calls, _ = played(setting)
    wrongs = {}
    for at in range(1, calls - 4, 5):
        for again in (1, 4):
            world, _, found = played(setting, (at, True), (at + again, again % 2 == 0))
            assert world.fuse.kills == 2
            if found:
                wrongs[at, again] = found
    assert wrongs == {}


def test_a_full_disk_at_every_call() -> None:
    setting = WORLDS["read once, held"]
    _, calls, _ = played(setting)
    wrongs = {at: found for at in range(1, calls + 1) if (found := played(setting, full=at)[2])}
    assert wrongs == {}


def test_killed_with_a_store_on_disk(tmp_path: Path) -> None:
    setting = WORLDS["listed and askable"]
    wrongs = {}
    for at in range(5, 150, 12):
        folder = tmp_path / str(at)
        folder.mkdir()
        found = played(setting, (at, at % 2 == 0), place=folder)[2]
        if found:
            wrongs[at] = found
    assert wrongs == {}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", WORLDS)
def test_killed_on_postgresql(name: str, after: bool, postgres: Databases) -> None:
    setting = WORLDS[name]
    _, calls, found = played(setting, place=postgres.new())
    assert (found, calls > 150) == ([], True)
    wrongs = {}
    for at in range(1 + after * EVERY // 2, calls + 1, EVERY):
        postgres.take_back()
        world, _, found = played(setting, (at, after), place=postgres.new())
        assert world.fuse.kills == 1
        if found:
            wrongs[at, world.fuse.names[at]] = found
        assert len(world.lost) <= (setting.batch if not setting.listed else 0), "more than what was in flight"
    assert wrongs == {}
