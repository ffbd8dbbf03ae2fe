"""Durable work from end to end, against a floor: the very statements of the run, recorded and replayed."""

from __future__ import annotations

import cProfile
import pstats
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, median
from tests.benchmarks.world import World

Statement = tuple[str, object, bool]
WRITES = ("BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE")


class Recording(sqlite3.Connection):
    """A connection that notes what it writes, while ``notes`` is a list."""

    notes: list[Statement] | None = None

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:  # type: ignore[override]
        if self.notes is not None and sql.lstrip().startswith(WRITES):
            self.notes.append((sql, parameters, False))
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> sqlite3.Cursor:  # type: ignore[override]
        rows = list(parameters)
        if self.notes is not None and rows:
            self.notes.append((sql, rows, True))
        return super().executemany(sql, rows)


def figures(quick: bool) -> list[Figure]:
    """Measure at batch 1 and 256, run and floor in turn."""
    found = []
    for batch, must, aim in ((1, 0.75, 0.80), (256, 0.40, 0.50)):
        count = (64 if quick else 600) if batch == 1 else (512 if quick else 2048)
        ratios, rates = [], []
        for _ in range(2 if quick else 5):
            took, warm, notes = _run(count, batch)
            floor = _replay(notes[:warm], notes[warm:])
            ratios.append(floor / took)
            rates.append(count / took)
        found.append(
            Figure(
                f"durable end to end, batch {batch}",
                f"{median(ratios):.2f} of the floor ({median(rates):.0f} messages/s)",
                f"must {must:.2f}, aim {aim:.2f}",
                f"{count} messages, SQLite FULL; floor: its own writes replayed",
            )
        )
    return found


def _run(count: int, batch: int) -> tuple[float, int, list[Statement]]:
    """Return the seconds that the run took, and what it wrote, before it was timed and then."""
    notes: list[Statement] = []
    with tempfile.TemporaryDirectory() as folder:
        connect = sqlite3.connect
        sqlite3.connect = _recorded(connect)  # type: ignore[assignment]
        try:
            world = World(str(Path(folder) / "run.db"))
        finally:
            sqlite3.connect = connect
        # Everybody is there already: openings are not what a run consists of.
        connection = _connections.pop()
        connection.notes = notes
        world.texts(0, batch, batch)
        world.work()
        warm = len(notes)
        world_took = 0.0
        for first in range(batch, batch + count, batch):
            world.texts(first, batch, batch)
            started = time.perf_counter()
            world.work()
            world_took += time.perf_counter() - started
        connection.notes = None
        world.store.close()
    return world_took, warm, notes


_connections: list[Recording] = []


def _recorded(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    def open_it(*arguments: Any, **named: Any) -> sqlite3.Connection:
        made = connect(*arguments, factory=Recording, **named)
        assert isinstance(made, Recording)
        _connections.append(made)
        return made

    return open_it


def _replay(before: list[Statement], timed: list[Statement]) -> float:
    """Return the seconds that the same writes take by themselves on a new store, from the same start."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "floor.db")
        World(path).store.close()
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _write(db, before)
        started = time.perf_counter()
        _write(db, timed)
        took = time.perf_counter() - started
        db.close()
    return took


def _write(db: sqlite3.Connection, notes: list[Statement]) -> None:
    for sql, parameters, many in notes:
        if many:
            db.executemany(sql, parameters)  # type: ignore[arg-type]
        else:
            db.execute(sql, parameters)  # type: ignore[arg-type]


def shares(quick: bool) -> list[Figure]:
    """Say where the time of a message goes, by a profile of a run at batch 256."""
    count = 512 if quick else 2048
    with tempfile.TemporaryDirectory() as folder:
        world = World(str(Path(folder) / "run.db"))
        world.texts(0, 256, 256)
        world.work()
        profile = cProfile.Profile()
        for first in range(256, 256 + count, 256):
            world.texts(first, 256, 256)
            profile.runcall(world.work)
        world.store.close()
    stats = pstats.Stats(profile)
    total = stats.total_tt  # type: ignore[attr-defined]
    spent = {"engine": 0.0, "rendering": 0.0, "store": 0.0}
    for (path, _, name), (_, _, own, cumulated, _) in stats.stats.items():  # type: ignore[attr-defined]
        if path.endswith("engine/opening.py") and name == "answer":
            spent["engine"] = cumulated
        elif path.endswith("flow/template.py") and name in ("render", "evaluate"):
            spent["rendering"] += cumulated
        elif "/convo/store/" in path or "sqlite3" in name:
            spent["store"] += own
    return [
        Figure(f"share of a message's time: {name}", f"{seconds / total:.0%}", "", "profile at batch 256")
        for name, seconds in spent.items()
    ]
