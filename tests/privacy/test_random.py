"""Texts, timers, opt-outs, forgetting and retention in any order: the ledger stays even."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from convo.messages import Address
from convo.store.sqlite_views import open_views
from convo.testing.world import CHANNEL, World
from tests.privacy.test_forget import FLOW, bytes_with

PEOPLE = [Address(f"+6149157{number:04}") for number in range(1000, 1005)]
TEXTS = ("hello", "Ann", "34", "STOP", "START", "what?", "call {other}", "9" * 40)


@pytest.mark.parametrize("seed", range(40))
def test_any_order_keeps_the_ledger_even(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    flow = tmp_path / "visit.yaml"
    flow.write_text(FLOW, encoding="utf-8")
    world = World(flow, on_disk=True)
    path = Path(world.store.path)  # type: ignore[attr-defined]
    opted_out: set[Address] = set()
    try:
        for _ in range(60):
            who = random.choice(PEOPLE)
            match random.randrange(8):
                case 0:
                    world.store.forget(who, world.clock.now())
                    assert world.store.opted_out(CHANNEL, who) == (who in opted_out)
                    world.store.scrub()
                    assert bytes_with(path, who, who[1:]) == []
                case 1:
                    now = world.clock.now()
                    before = now - timedelta(days=random.randrange(1, 10))
                    while random.randrange(9) and world.store.prune(before, now, 3):
                        pass
                case 2:
                    world.clock.advance(timedelta(hours=random.randrange(1, 100)))
                    world.work()
                case 3:
                    world.open(who, {})
                case _:
                    text = random.choice(TEXTS).format(other=random.choice(PEOPLE))
                    world.clock.advance(random.randrange(1, 600))
                    said = len(world.transport.replies(who))
                    world.text(who, text)
                    world.work()
                    if who in opted_out and text != "START":
                        assert len(world.transport.replies(who)) == said
                    if text == "STOP":
                        opted_out.add(who)
                    elif text == "START":
                        opted_out.discard(who)
        with open_views(str(path)) as views:
            broken = [each for each in views.audit(world.clock.now()) if each.rows]
        assert [(each.invariant.name, [str(row) for row in each.examples]) for each in broken] == []
    finally:
        world.close()
