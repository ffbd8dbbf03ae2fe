"""Durable work from end to end, against a floor: the very statements of the run, recorded and replayed."""

from __future__ import annotations

import cProfile
import os
import pstats
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, median
from tests.benchmarks.world import World

Statement = tuple[str, object, bool]
WRITES = ("BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE")
SENDERS = 256
"""So many people text in turn, each far below the budget of a day."""


ORDINARY = 0.00035
"""Seconds that a commit takes on the disk on which the goals were set."""
_OVERSLEPT = 0.00006
"""Seconds by which a sleep of less than a millisecond is longer than was asked for."""


class Connection(sqlite3.Connection):
    """A connection whose commits take at least ``slowest`` seconds, waiting as for a disk.

    It notes what it writes, while ``notes`` is a list.
    """

    slowest = 0.0
    notes: list[Statement] | None = None

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:  # type: ignore[override]
        if self.notes is not None and sql.lstrip().startswith(WRITES):
            self.notes.append((sql, parameters, False))
        if not self.slowest or sql != "COMMIT":
            return super().execute(sql, parameters)
        started = time.perf_counter()
        cursor = super().execute(sql, parameters)
        left = self.slowest - (time.perf_counter() - started) - _OVERSLEPT
        if left > 0:
            time.sleep(left)
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any]) -> sqlite3.Cursor:  # type: ignore[override]
        rows = list(parameters)
        if self.notes is not None and rows:
            self.notes.append((sql, rows, True))
        return super().executemany(sql, rows)


def figures(quick: bool) -> Iterator[Figure]:
    """Measure at batch 1 and 256, a piece of the run and its writes alone in turn."""
    yield Figure(
        "one fdatasync of 4 KiB", f"{_fdatasync() * 1000:.2f} ms", "", "what a commit waits for, on this disk"
    )
    for batch, must, aim, slowest in (
        (1, 0.75, 0.80, 0.0),
        (1, 0.75, 0.80, ORDINARY),
        (256, 0.40, 0.50, 0.0),
    ):
        piece = max(16, batch)
        pairs = _pairs(2 if quick else 48 if batch == 1 else 16, batch, piece, slowest)
        ratios = sorted(floor / took for took, floor in pairs)
        writes = median([floor for _, floor in pairs]) / piece * 1000
        beside = median([took for took, _ in pairs]) / piece * 1000 - writes
        low, high = ratios[len(ratios) // 4], ratios[len(ratios) * 3 // 4]
        yield Figure(
            f"durable end to end, batch {batch}"
            + (f", where a commit takes {slowest * 1000:.2f} ms" if slowest else ""),
            f"{median(ratios):.2f} of the floor ({writes:.2f} ms of writes and {beside:.2f} ms beside them)",
            f"must ≥ {must:.2f}, aim {aim:.2f}",
            f"median of {len(pairs)} × {piece} messages (quartiles {low:.2f}, {high:.2f}), SQLite FULL;"
            " floor: the run's own writes replayed",
        )


def _fdatasync() -> float:
    """Return the median of seconds that the disk takes to make 4 KiB durable."""
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(200):
            os.write(file.fileno(), bytes(4096))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - started)
    return median(took)


def _pairs(count: int, batch: int, piece: int, slowest: float) -> list[tuple[float, float]]:
    """Return, for so many pieces of a run, its seconds and those of the same writes on a store beside it.

    What is written is recorded in a third store, where the same is done: a recorder takes time of its own.
    """
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        world, run = _world(str(Path(folder) / "run.db"))
        twin, recorder = _world(str(Path(folder) / "twin.db"))
        floor = _bare(str(Path(folder) / "floor.db"))
        notes = recorder.notes = []
        # Everybody is there already: openings are not what a run consists of.
        for each in (world, twin):
            _work(each, 0, SENDERS, SENDERS)
        _write(floor, notes)
        run.slowest = floor.slowest = slowest
        for first in range(SENDERS, SENDERS + count * piece, piece):
            notes.clear()
            _work(twin, first, piece, batch)
            took = _work(world, first, piece, batch)
            started = time.perf_counter()
            _write(floor, notes)
            pairs.append((took, time.perf_counter() - started))
        floor.close()
        for each in (world, twin):
            each.store.close()
    return pairs


def _work(world: World, first: int, piece: int, batch: int) -> float:
    """Let a piece of the run happen; return the seconds that it took."""
    took = 0.0
    for one in range(first, first + piece, batch):
        world.texts(one, batch, SENDERS)
        started = time.perf_counter()
        world.work()
        took += time.perf_counter() - started
    return took


def _world(path: str) -> tuple[World, Connection]:
    """Return a world, and the connection of its store."""
    made: list[Connection] = []
    connect = sqlite3.connect

    def open_it(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, factory=Connection, **named)
        made.append(connection)
        return connection

    sqlite3.connect = open_it
    try:
        world = World(path)
    finally:
        sqlite3.connect = connect
    return world, made[0]


def _bare(path: str) -> Connection:
    """Return a new store as a connection with the settings of ours."""
    World(path).store.close()
    db = sqlite3.connect(path, isolation_level=None, factory=Connection)
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        db.execute(f"PRAGMA {setting}")
    return db


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
        world.texts(0, SENDERS, SENDERS)
        world.work()
        profile = cProfile.Profile()
        for first in range(SENDERS, SENDERS + count, SENDERS):
            world.texts(first, SENDERS, SENDERS)
            profile.runcall(world.work)
        world.store.close()
    stats = pstats.Stats(profile)
    total = stats.total_tt  # type: ignore[attr-defined]
    spent = {"engine, with rendering": 0.0, "rendering": 0.0, "store": 0.0}
    for (path, _, name), (_, _, own, cumulated, _) in stats.stats.items():  # type: ignore[attr-defined]
        if path.endswith("engine/opening.py") and name == "answer":
            spent["engine, with rendering"] = cumulated
        elif path.endswith("flow/template.py") and name in ("render", "evaluate"):
            spent["rendering"] += cumulated
        elif "/convo/store/" in path or "sqlite3" in name:
            spent["store"] += own
    return [
        Figure(f"share of a message's time: {name}", f"{seconds / total:.0%}", "", "profile at batch 256")
        for name, seconds in spent.items()
    ]
