"""Workers killed and cut off in the middle of their work; the ledger and the provider are the judges.

``CONVO_WORKERS`` workers (4 without it), ``CONVO_PEOPLE`` people (40) and ``CONVO_TEXTS`` texts of each (15);
``CONVO_KILLS_ON_POSTGRES`` (25) is how many runs and workers are killed while people write, ``CONVO_SEED``
says when. The figure of docs/scaling.md is CONVO_WORKERS=8 CONVO_PEOPLE=200 CONVO_TEXTS=50.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import psycopg
import pytest

from convo.clock import SystemClock
from convo.emulators.twilio import TwilioEmulator
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.runtime.process import Processor
from convo.store import open_store
from tests.postgres import Databases
from tests.workers.crowd import (
    FLOW,
    OURS,
    Crowd,
    broken,
    configured,
    person,
    statuses,
    until,
    words,
    written_by,
    wrong_with,
)

WORKERS = int(os.environ.get("CONVO_WORKERS", "4"))
PEOPLE = int(os.environ.get("CONVO_PEOPLE", "40"))
TEXTS = int(os.environ.get("CONVO_TEXTS", "15"))
KILLS = int(os.environ.get("CONVO_KILLS_ON_POSTGRES", "25"))
SEED = int(os.environ.get("CONVO_SEED", "20261125"))


def counted(url: str, what: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(what.encode()).fetchone()
    return int(found[0]) if found else 0


DONE = "SELECT count(*) FROM inbox WHERE status = 'done'"
AT_WORK = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '5 s'"


def test_half_of_the_workers_are_killed_and_nothing_is_lost_doubled_or_reordered(
    postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(SEED)
    texts = written_by(PEOPLE, TEXTS)
    store = open_store(postgres_url)
    with Crowd(configured(tmp_path, postgres_url)) as crowd:
        for _ in range(WORKERS):
            crowd.start("worker", "--at-once", "2")
        assert until(lambda: counted(postgres_url, AT_WORK) == WORKERS, 60), crowd.told()
        began = time.monotonic()
        victims = random.sample(crowd.processes, WORKERS // 2)
        moments = sorted(random.randrange(len(texts)) for _ in victims)
        handed = 0
        while handed < len(texts):
            size = random.randint(1, 3 * PEOPLE)
            store.accept("sms", texts[handed : handed + size], cursor=None, now=SystemClock().now())
            handed += size
            while moments and moments[0] < handed:
                # Somewhere in the middle of what it does with them.
                time.sleep(random.uniform(0.0, 0.05))
                crowd.kill(victims.pop())
                moments.pop(0)
        last_kill = time.monotonic()
        drained = until(lambda: counted(postgres_url, DONE) == len(texts), 60 + len(texts) / 50)
        took = time.monotonic() - last_kill
        assert drained, crowd.told()
        ends = crowd.end_in_peace()
    said = [(row.outbound.recipient, row.outbound.text) for row in store.outbox()]
    store.close()
    with capsys.disabled():
        print(
            f"\n    {WORKERS} workers, {WORKERS // 2} killed, seed {SEED}: {len(texts)} texts of {PEOPLE}"
            f" people, drained {took:.1f} s after the last kill, {time.monotonic() - began:.1f} s in all"
        )
    assert wrong_with(said, PEOPLE, TEXTS) == {}
    assert broken(postgres_url) == []
    assert max(ends) < 2


def test_a_wake_up_that_is_run_many_times_at_once_steps_once(
    postgres_url: str, compiled: Callable[[str], CompiledFlow]
) -> None:
    flow = compiled(FLOW)
    flows = {"sms": ChannelFlows("sms", {"echo": flow}, "echo")}
    store = open_store(postgres_url)
    texts = written_by(6, 60)
    errors: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        # Each a processor of its own, as on a machine of its own; nothing of the queue is between them.
        mine = open_store(postgres_url)
        processor = Processor(mine, flows, limit=7)
        try:
            while not ended.is_set():
                for partition in mine.busy(SystemClock().now()):
                    with mine.fenced(partition) as fence:
                        processor.batch(fence, SystemClock().now())
        except BaseException as problem:
            errors.append(problem)
        finally:
            mine.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for first in range(0, len(texts), 24):
        store.accept("sms", texts[first : first + 24], cursor=None, now=SystemClock().now())
    assert until(lambda: errors or counted(postgres_url, DONE) == len(texts), 60)
    ended.set()
    for thread in threads:
        thread.join(20)
    said = [(row.outbound.recipient, row.outbound.text) for row in store.outbox()]
    store.close()
    assert errors == []
    assert wrong_with(said, 6, 60) == {}
    assert broken(postgres_url) == []


def test_the_server_crashes_and_restarts_and_everybody_is_killed_while_people_write(
    postgres: Databases, postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(SEED + 1)
    people, texts = 8, 3 * KILLS
    with (
        TwilioEmulator(SystemClock(), number=OURS) as twilio,
        Crowd(configured(tmp_path, postgres_url), twilio.environ()) as crowd,
    ):
        kinds = [("run", "--no-steps", "--poll", "0.05"), ("run", "--poll", "0.05"), ("worker",), ("worker",)]
        at_work = [crowd.start(*kind) for kind in kinds]
        assert until(lambda: counted(postgres_url, AT_WORK) == 2, 60), crowd.told()

        def sent() -> list[tuple[str, str]]:
            return [(each.recipient, each.text) for each in twilio.sent()]

        for index in range(texts):
            before = len(sent())
            for who in range(people):
                twilio.text(person(who), words(index))
            if index == texts // 4:
                postgres.crash()
                postgres.start()
            if index == texts // 2:
                postgres.restart()
            if index % 3 == 2:
                # Something is at work by then, though not always all of it.
                assert until(lambda: len(sent()) > before, 60), crowd.told()  # noqa: B023
                time.sleep(random.uniform(0.0, 0.3))
                which = index // 3 % len(kinds)
                crowd.kill(at_work[which])
                at_work[which] = crowd.start(*kinds[which])
        began = time.monotonic()
        answered = until(lambda: len(sent()) >= people * texts, 60 + texts)
        took = time.monotonic() - began
        found = sent()
        with capsys.disabled():
            print(
                f"\n    {KILLS} kills, a crash and a restart of the server, seed {SEED + 1}:"
                f" {people * texts} texts,",
                end="",
            )
            print(f" {len(found)} replies, the last {took:.1f} s after the last text")
        assert answered, f"{statuses(postgres_url)}\n{crowd.told()}"
        # What is unknown has been asked about by then; nothing more may come of it.
        assert until(lambda: set(statuses(postgres_url)) <= {"sent", "delivered"}, 30), statuses(postgres_url)
        found = sent()
        ends = crowd.end_in_peace()
    assert wrong_with(found, people, texts) == {}
    assert broken(postgres_url) == []
    assert max(ends) < 2
