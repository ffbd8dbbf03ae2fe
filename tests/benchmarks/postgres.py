"""A store in PostgreSQL: stepping by batch and by workers, its share of the processor, the time to a reply.

The server writes through (fsync on), on the same cores as everything else: its share of them is shown.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg

from convo.clock import SystemClock
from convo.engine.machine import compile_flow
from convo.engine.opening import ChannelFlows
from convo.flow.parse import load_flow
from convo.messages import Address, Inbound
from convo.runtime.process import Processor
from convo.runtime.run import Channel, Runtime
from convo.runtime.together import Others
from convo.store import Store, open_store
from convo.store.postgres_shared import Shared
from tests.benchmarks.answering import RATE, Timed
from tests.benchmarks.figures import Figure, median
from tests.benchmarks.world import STOPWATCH, WORDS
from tests.postgres import Databases, started

PEOPLE = 1_000
_EVERY = timedelta(milliseconds=10)
_TICK = os.sysconf("SC_CLK_TCK")


def figures(quick: bool) -> Iterator[Figure]:
    """Measure each on databases of one server."""
    with tempfile.TemporaryDirectory(prefix="convo-pg-", ignore_cleanup_errors=True) as folder:
        databases = started(Path(folder))
        try:
            for setting in ("fsync", "full_page_writes"):
                databases.run(f"ALTER SYSTEM RESET {setting}")
            databases.restart()
            yield from _by_batch(databases, quick)
            yield from _by_workers(databases, quick, Path(folder))
            yield from _answering(databases, quick, Path(folder))
        finally:
            databases.server.cleanup()


# -- throughput ---------------------------------------------------------------------------------------------


def _by_batch(databases: Databases, quick: bool) -> Iterator[Figure]:
    """Step a backlog in this process; the sizes take turns, on a database of their own each."""
    sizes = {1: 64 if quick else 512, 16: 256 if quick else 2048, 256: 512 if quick else 8192}
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    shares: dict[int, list[float]] = {size: [] for size in sizes}
    for turn in range(2 if quick else 5):
        for size, count in sizes.items():
            url = databases.new()
            store = open_store(url)
            processor = Processor(store, _flows("sms"), limit=size)
            _accept(store, count, f"{turn}")
            server, ours, began = _spent(databases), time.process_time(), time.perf_counter()
            while (next_at := processor.once(SystemClock().now())) is not None:
                if next_at > SystemClock().now():
                    break
            took = time.perf_counter() - began
            ours, server = time.process_time() - ours, _spent(databases) - server
            rates[size].append(count / took)
            shares[size].append(server / (server + ours))
            store.close()
            databases.take_back()
    for size in sizes:
        yield Figure(
            f"PostgreSQL: stepping, batch {size}",
            f"{median(rates[size]):.0f} messages/s, {median(rates[size]) / median(rates[1]):.1f}× batch 1"
            f" (the server had {median(shares[size]):.0%} of the processor time)",
            "",
            f"median of {len(rates[size])} × {sizes[size]} texts of {PEOPLE} people, one process, fsync on",
        )


def _by_workers(databases: Databases, quick: bool, folder: Path) -> Iterator[Figure]:
    """Have real workers step a backlog that is accepted while they wait."""
    count = 1_000 if quick else 10_000
    alone = 0.0
    for workers in (1, 2) if quick else (1, 2, 4, 8):
        url = databases.new()
        store = open_store(url)
        with _working(url, "sms", workers, folder) as cost:
            server, ours, began = _spent(databases), cost(), time.perf_counter()
            _accept(store, count, f"w{workers}")
            _until(lambda url=url: not _waiting(url))  # type: ignore[misc]
            took = time.perf_counter() - began
            ours, server = cost() - ours, _spent(databases) - server
        store.close()
        databases.take_back()
        alone = alone or count / took
        yield Figure(
            f"PostgreSQL: accept and step, {workers} {'worker' if workers == 1 else 'workers'}",
            f"{count / took:.0f} messages/s, {count / took / alone:.2f}× one worker"
            f" (the server had {server / (server + ours):.0%} of the processor time)",
            "",
            f"{count} texts of {PEOPLE} people, accepted 256 at a time beside it; fsync on",
        )


# -- time to a reply ----------------------------------------------------------------------------------------


def _answering(databases: Databases, quick: bool, folder: Path) -> Iterator[Figure]:
    """Measure the real threads, with the steps in the same process and in two workers."""
    for workers in (0, 2):
        url, clock = databases.new(), SystemClock()
        store = open_store(url)
        transport = Timed(clock)
        with _working(url, "timed", workers, folder) as cost:
            transport.began = time.perf_counter()
            runtime = Runtime(
                store,
                _flows("timed"),
                [Channel("timed", transport, _EVERY)],
                clock,
                together=Others(Shared(url)),
                steps=workers == 0,
            )
            runtime.start()
            # What came while connections were being made is no figure of the day's work.
            time.sleep(2)
            with transport.lock:
                transport.took.clear()
            spent = cost() + _spent(databases)
            time.sleep(1 if quick else 20)
            spent = cost() + _spent(databases) - spent
            runtime.stop()
        store.close()
        databases.take_back()
        took = sorted(transport.took)
        p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
        where = "convo run alone" if workers == 0 else f"convo run and {workers} workers"
        yield Figure(
            f"PostgreSQL: text to reply handed over at {RATE} messages/s, {where}",
            f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"
            f" ({spent / len(took) * 1000:.1f} ms of the processor a message, the server's included)",
            "must p99 ≤ 100 ms",
            f"{len(took)} messages, polled every {_EVERY.total_seconds() * 1000:.0f} ms, fsync on",
        )


# -- parts --------------------------------------------------------------------------------------------------


def _flows(channel: str) -> dict[str, ChannelFlows]:
    return {channel: ChannelFlows(channel, {"stopwatch": compile_flow(load_flow(STOPWATCH))}, "stopwatch")}


def _accept(store: Store, count: int, series: str) -> None:
    now = SystemClock().now()
    texts = [
        Inbound(
            "sms",
            Address(f"+614{index % PEOPLE:08d}"),
            Address("+61400000001"),
            WORDS[index // PEOPLE % len(WORDS)],
            now,
            now,
            f"{series}-{index}",
            "",
        )
        for index in range(count)
    ]
    for first in range(0, count, 256):
        store.accept("sms", texts[first : first + 256], cursor=None, now=now)


@contextmanager
def _working(url: str, channel: str, workers: int, folder: Path) -> Iterator[Callable[[], float]]:
    """Run workers; yield what says how many seconds of the processor they and we have had."""
    config = folder / f"{channel}.yaml"
    config.write_text(
        f"channels:\n  {channel}: {{transport: twilio, number: '+61480000001', flows: ['{STOPWATCH}']}}\n"
        f"store: '{url}'\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "convo", "worker", "--config", str(config), "--log-level", "error"]
    processes = [subprocess.Popen(command) for _ in range(workers)]
    try:
        _until(lambda: _registered(url) >= workers)
        yield lambda: time.process_time() + sum(_cpu(each.pid) for each in processes)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


def _registered(url: str) -> int:
    with psycopg.connect(url) as db:
        found = db.execute("SELECT count(*) FROM procrastinate_workers").fetchone()
    return int(found[0]) if found else 0


def _waiting(url: str) -> bool:
    with psycopg.connect(url) as db:
        found = db.execute("SELECT EXISTS (SELECT 1 FROM inbox WHERE status = 'waiting')").fetchone()
    return bool(found and found[0])


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert time.monotonic() < deadline, "it does not come to an end"
        time.sleep(0.02)


def _spent(databases: Databases) -> float:
    """Return how many seconds of the processor the server has had, the processes that ended included."""
    postmaster = databases.server.get_pid()
    total = _cpu(postmaster, ended=True)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _stat(int(folder.name))[1:2] == [str(postmaster)]:
            total += _cpu(int(folder.name))
    return total


def _stat(pid: int) -> list[str]:
    """Return what Linux says of a process after its name; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu(pid: int, *, ended: bool = False) -> float:
    found = _stat(pid)
    return sum(int(each) for each in found[11 : 15 if ended else 13]) / _TICK
