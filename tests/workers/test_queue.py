"""The queue of wake-ups by itself: procrastinate's real worker on a real server, and what it may do wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg

from convo.clock import SystemClock
from convo.errors import StoreError
from convo.runtime.process import Done
from convo.runtime.queue import STALLED, StepWorker
from convo.runtime.worker import Halt
from convo.store.postgres_queue import wake
from convo.store.postgres_shared import Shared


@dataclass(frozen=True)
class Fence:
    """The partitions that were free."""

    partitions: list[int]


class Steps:
    """Stands for the processor and the store: notes which partitions are stepped."""

    def __init__(self) -> None:
        self.stepped: list[int] = []
        self.waiting: list[int] = []
        self.elsewhere: set[int] = set()
        self.along: list[int] = []
        self.fails = 0
        self.lasts = 0.0

    def take(self, partition: int, now: datetime) -> list[int]:
        along, self.along = self.along, []
        return [partition, *along]

    @contextmanager
    def fenced_free(self, *partitions: int) -> Iterator[Fence | None]:
        free = [each for each in partitions if each not in self.elsewhere]
        yield Fence(free) if free else None

    def batch(self, store: Fence, now: datetime) -> Done:
        if self.fails:
            self.fails -= 1
            raise StoreError("away")
        time.sleep(self.lasts)
        self.stepped += store.partitions
        return Done(None, stepped=True)

    def busy(self, now: datetime, among: Sequence[int] = range(64)) -> list[int]:
        return [each for each in self.waiting if each in among]


@contextmanager
def working(postgres_url: str, shared: Shared, steps: Steps) -> Iterator[StepWorker]:
    worker = StepWorker(
        steps,  # type: ignore[arg-type]
        shared,
        steps,  # type: ignore[arg-type]
        SystemClock(),
        Halt(),
        url=postgres_url,
    )
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def until(done: object, within: float = 15.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if done():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def test_each_partition_that_is_woken_is_stepped_and_nothing_is_left(
    postgres_url: str, shared: Shared
) -> None:
    steps = Steps()
    shared.wake(list(range(64)))
    shared.wake([3, 3, 5])
    with working(postgres_url, shared, steps), shared.connect() as connection:
        assert until(lambda: len(set(steps.stepped)) == 64)
        shared.wake([9])
        assert until(lambda: steps.stepped.count(9) == 2)
        left = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'convo.process'"
        assert until(lambda: connection.execute(left).fetchone() == (0,))
    assert steps.stepped.count(3) == 1, "one wake-up a partition waits"


def test_a_wake_up_is_not_lost_between_its_check_and_the_commit(postgres_url: str, shared: Shared) -> None:
    shared.wake([7])
    steps = Steps()
    committed = threading.Event()
    with psycopg.connect(postgres_url) as accepting:
        # A wake-up waits already; what this transaction puts into the inbox must not be left without one.
        wake(accepting, [7])
        with working(postgres_url, shared, steps):
            assert not until(lambda: steps.stepped, 1.5), "it is taken only after the commit"
            accepting.commit()
            committed.set()
            assert until(lambda: steps.stepped == [7], 1.0)


def test_a_tick_wakes_what_nobody_was_told_of(postgres_url: str, shared: Shared) -> None:
    steps = Steps()
    with working(postgres_url, shared, steps):
        steps.waiting = [11]
        assert until(lambda: 11 in steps.stepped)
        steps.waiting = []


def test_what_somebody_else_steps_is_left_to_them_and_what_they_left_is_woken(
    postgres_url: str, shared: Shared
) -> None:
    steps = Steps()
    steps.elsewhere, steps.along = {3}, [3, 5]
    with working(postgres_url, shared, steps):
        shared.wake([7])
        assert until(lambda: steps.stepped == [7, 5])
        # More has come for one of them while it was in hand, for which nobody may have been told.
        steps.waiting = [5]
        shared.wake([5])
        assert until(lambda: steps.stepped.count(5) >= 3)
        steps.waiting = []
        assert 3 not in steps.stepped


def test_what_failed_is_woken_again_by_a_tick(postgres_url: str, shared: Shared) -> None:
    steps = Steps()
    steps.fails, steps.waiting = 1, [4]
    with working(postgres_url, shared, steps):
        shared.wake([4])
        assert until(lambda: 4 in steps.stepped)
        steps.waiting = []


def test_the_wake_up_of_a_dead_worker_is_finished_and_deferred_anew(
    postgres_url: str, shared: Shared
) -> None:
    with shared.connect() as connection:
        connection.execute(
            "WITH dead AS (INSERT INTO procrastinate_workers (last_heartbeat)"
            " VALUES (now() - interval '1 hour') RETURNING id)"
            " INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, worker_id)"
            " SELECT 'convo', 'convo.process', '{\"partition\": 9}', 'doing', id FROM dead"
        )
        # One waits for the same partition, which is what putting the dead one back in place would break on.
        shared.wake([9])
        steps = Steps()
        with working(postgres_url, shared, steps):
            assert until(lambda: 9 in steps.stepped, STALLED.total_seconds() + 10)
            left = "SELECT count(*) FROM procrastinate_jobs WHERE args->>'partition' = '9'"
            assert until(lambda: connection.execute(left).fetchone() == (0,))


def test_the_tick_of_a_dead_worker_holds_up_no_other(postgres_url: str, shared: Shared) -> None:
    with shared.connect() as connection:
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args, status)"
            " VALUES ('convo', 'convo.tick', 'convo tick', '{\"timestamp\": 1}', 'doing')"
        )
    steps = Steps()
    steps.waiting = [2]
    with working(postgres_url, shared, steps):
        assert until(lambda: 2 in steps.stepped)


def test_it_ends_within_two_seconds_and_wakes_what_it_leaves(postgres_url: str, shared: Shared) -> None:
    steps = Steps()
    steps.lasts, steps.waiting = 0.2, [1]
    with working(postgres_url, shared, steps) as worker, shared.connect() as connection:
        shared.wake([1])
        assert until(lambda: steps.stepped)
        began = time.monotonic()
        worker.stop()
        assert time.monotonic() - began < 2
        waits = "SELECT count(*) FROM procrastinate_jobs WHERE args->>'partition' = '1' AND status = 'todo'"
        assert connection.execute(waits).fetchone() == (1,)
