"""The whole runtime in one thread from one seed, under everything that goes wrong outside of it.

``CONVO_SEEDS`` says how many seeds (500 without it) and ``CONVO_SEED`` from which on; a seed that fails is
shown in its shortest form, and ``CONVO_SEED=… CONVO_SEEDS=1`` plays it again. ``CONVO_SEEDS_ON_POSTGRES``
(20) is how many of them are played on PostgreSQL as well.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import pytest

from convo.store import SqliteStore
from tests.postgres import Databases
from tests.simulation.plan import drawn, judged, shortest
from tests.simulation.world import Event, Setting, World

SEEDS = int(os.environ.get("CONVO_SEEDS", "500"))
FIRST = int(os.environ.get("CONVO_SEED", "1"))
ON_POSTGRES = int(os.environ.get("CONVO_SEEDS_ON_POSTGRES", "20"))
PARTS = 10 if SEEDS >= 10 else 1


@pytest.fixture(autouse=True)
def _quietly() -> Iterator[None]:
    """What the loops would say of a thousand faults is said nowhere."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_promise_is_broken_whatever_happens(part: int, tmp_path: Path) -> None:
    for seed in range(FIRST + part, FIRST + SEEDS, PARTS):
        setting, events = drawn(seed)
        folder = tmp_path / str(seed) if setting.on_disk else None
        if folder is not None:
            folder.mkdir()
        wrongs = judged(setting, events, folder, seed)
        if wrongs:
            _show(setting, events, wrongs, seed)


@pytest.mark.parametrize("part", range(4))
def test_nor_on_postgresql(part: int, postgres: Databases) -> None:
    for seed in range(FIRST + part, FIRST + ON_POSTGRES, 4):
        postgres.take_back()
        setting, events = drawn(seed)
        wrongs = judged(setting, events, postgres.new(), seed)
        if wrongs:
            _show(setting, events, wrongs, seed)


def _show(setting: Setting, events: Sequence[Event], wrongs: Sequence[str], seed: int) -> NoReturn:
    """Fail with the shortest form of what went wrong, where it does in memory, too."""
    short = shortest(events, lambda tried: bool(judged(setting, tried, None, seed)))
    left = judged(setting, short, None, seed)
    steps = "\n".join(f"    {event}" for event in (short if left else events))
    told = "\n".join(left or wrongs)
    pytest.fail(f"CONVO_SEED={seed} CONVO_SEEDS=1: {setting}\n{steps}\n{told}", pytrace=False)


def test_a_seed_does_the_same_again() -> None:
    for seed in (3, 4):
        setting, events = drawn(seed)
        assert (setting, events) == drawn(seed)
        books = []
        for _ in range(2):
            world = World(setting, None, seed)
            for event in events:
                world.happen(event)
            books.append((world.provider.left, world.fuse.names, world.clock.now()))
            world.close()
        assert books[0] == books[1]


def test_what_fails_is_shown_in_its_shortest_form() -> None:
    _, events = drawn(5)
    wanted = [events[7], events[8], events[30]]

    def fails(tried: Sequence[Event]) -> bool:
        at = iter(tried)
        return all(each in at for each in wanted)

    assert shortest(events, fails) == wanted


def test_a_bug_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a dead run left sending is queued again, without asking anybody: some seed shows it."""
    monkeypatch.setattr(SqliteStore, "recover", _queued_again)
    assert any(judged(*drawn(seed), None, seed) for seed in range(1, 120))


def _queued_again(store: SqliteStore, now: datetime) -> int:
    with store._write() as database:
        return database.execute("UPDATE outbox SET status = 'queued' WHERE status = 'sending'").rowcount
