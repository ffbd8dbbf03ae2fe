"""What happens in a simulation, drawn from one seed; and the shortest part of it that still fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from convo.runtime.policy import Unknowns
from tests.simulation.judge import verdict
from tests.simulation.world import PEOPLE, SENDS, WORDS, Event, Setting, World

EVENTS = 45


def drawn(seed: int) -> tuple[Setting, list[Event]]:
    """Return what a seed stands for. An event holds all its chances, so leaving one out changes no other."""
    random = Random(seed)
    askable = random.random() < 0.5
    setting = Setting(
        listed=random.random() < 0.5,
        askable=askable,
        unknowns=Unknowns.RESEND if not askable and random.random() < 0.3 else Unknowns.HOLD,
        batch=random.choice((1, 1, 2, 5)),
        limit=random.choice((1, 2, 256)),
        on_disk=random.random() < 0.05,
    )
    unlucky = random.choice((0.2, 1.0, 2.0))
    kinds: list[tuple[float, Callable[[Random], Event]]] = [
        (10, _text),
        (4, lambda r: ("loop", (r.randrange(4),))),
        (5, lambda r: ("work", ())),
        (3, lambda r: ("advance", (r.choice((1, 30, 90, 700, 4_000, 12_000)),))),
        (1, lambda r: ("open", (r.randrange(len(PEOPLE)), r.randrange(2)))),
        (2, lambda r: ("receipt", (r.randrange(9), r.randrange(4), r.randrange(5)))),
        (1.5 * unlucky, lambda r: ("again", (r.randrange(9),))),
        (0.5 * unlucky, lambda r: ("nonsense", ())),
        (1.0 * unlucky, lambda r: ("reorder", (r.randrange(1, 4),))),
        (1.0 * unlucky, lambda r: ("jump", (r.choice((-90_000, -3_700, -600, -5, 3_700, 90_000)),))),
        (3.0 * unlucky, lambda r: ("kill", (r.randrange(1, 25), r.randrange(2)))),
        (0.7 * unlucky, lambda r: ("full", (r.randrange(1, 12),))),
        (0.7 * unlucky, lambda r: ("poll", (r.randrange(3),))),
        (2.0 * unlucky, lambda r: ("send", (r.randrange(len(SENDS)),))),
        (0.7 * unlucky, lambda r: ("answer", (r.randrange(3),))),
    ]
    weights = [weight for weight, _ in kinds]
    events = [make(random) for _, make in random.choices(kinds, weights, k=EVENTS)]
    return setting, events


def _text(random: Random) -> Event:
    word = random.randrange(len(WORDS) * 2)
    return "text", (random.randrange(len(PEOPLE)), word, random.randrange(4), random.choice((0, 0, 1, 5)))


def judged(
    setting: Setting, events: Sequence[Event], place: Path | str | None = None, seed: int = 0
) -> list[str]:
    """Let it all happen and return what was promised and not kept."""
    world = World(setting, place, seed)
    try:
        for event in events:
            world.happen(event)
        world.heal()
        return verdict(world)
    finally:
        world.close()


def shortest(
    events: Sequence[Event], fails: Callable[[Sequence[Event]], bool], runs: int = 300
) -> list[Event]:
    """Return a part of ``events`` that still fails and of which nothing can be left out (Zeller's ddmin)."""
    kept = list(events)
    size = max(1, len(kept) // 2)
    while runs > 0:
        at, shorter = 0, False
        while at < len(kept) and runs > 0:
            tried = kept[:at] + kept[at + size :]
            runs -= 1
            if fails(tried):
                kept, shorter = tried, True
            else:
                at += size
        if size == 1 and not shorter:
            break
        size = max(1, size // 2) if not shorter else size
    return kept
