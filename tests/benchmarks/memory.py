"""Resident memory, and the cost of a message, with a thousand and a million senders in the store."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Figure, median
from tests.benchmarks.world import World

PAGE = 4096
NUMBER = "+614%08d"
PAST = {
    "conversations": {"sender": NUMBER},
    "journal": {"sender": NUMBER},
    "inbox": {"sender": NUMBER, "provider_id": "a%d", "dedup_key": "a%d"},
    "outbox": {"recipient": NUMBER, "provider_id": "a%d"},
}
"""What each sender has in the store: a row of each table, with values of its own in these columns."""


def figures(quick: bool) -> list[Figure]:
    """Measure each in a process of its own, twice in turn."""
    few, many = 1_000, 20_000 if quick else 1_000_000
    count = 200 if quick else 2_000
    with tempfile.TemporaryDirectory() as folder:
        paths = {senders: Path(folder) / f"{senders}.db" for senders in (few, many)}
        for senders, path in paths.items():
            _fill(path, senders)
        # What was filled in is on the disk before anything waits for the disk.
        os.sync()
        found: dict[int, list[dict[str, float]]] = {few: [], many: []}
        for _ in range(2 if quick else 5):
            for senders, path in paths.items():
                command = [
                    sys.executable,
                    "-m",
                    "tests.benchmarks.memory",
                    str(path),
                    str(senders),
                    str(count),
                ]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[senders].append(json.loads(said))
    resident = {n: median([each["resident"] for each in runs]) for n, runs in found.items()}
    cost = {n: median([each["seconds"] for each in runs]) for n, runs in found.items()}
    return [
        Figure(
            f"resident memory, {many:,} senders against {few:,}",
            f"{resident[many] / resident[few]:.2f}× ({resident[many] / 1e6:.0f} MB)",
            "must ≤ 1.1×",
            "after stepping",
        ),
        Figure(
            f"cost of a message, {many:,} senders against {few:,}",
            f"{cost[many] / cost[few]:.2f}×",
            "must ≤ 1.3×",
            f"{count} messages of random senders, batch 1",
        ),
    ]


def _fill(path: Path, senders: int) -> None:
    """Make a store in which so many senders wait, each with the past of one who came by himself."""
    world = World(str(path))
    world.texts(0, 1, 1)
    world.work()
    world.store.close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    for table, changed in PAST.items():
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
        others = ", ".join(column for column in columns if column not in changed)
        made = ", ".join(f"printf('{form}', i)" for form in changed.values())
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            f" INSERT INTO {table} ({', '.join(changed)}, {others})"
            f" SELECT {made}, {others} FROM (SELECT * FROM {table} LIMIT 1), n",
            (senders - 1,),
        )
    db.commit()
    db.close()


def _measure(path: str, senders: int, count: int) -> dict[str, float]:
    world = World(path)
    step = max(1, senders // count)
    seconds = []
    for index in range(count):
        world.transport.text(
            f"+614{index * step * 7919 % senders:08d}", "TIME", provider_id=f"x{time.time_ns()}"
        )
        started = time.perf_counter()
        world.work()
        seconds.append(time.perf_counter() - started)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    world.store.close()
    return {"resident": resident, "seconds": median(seconds)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
