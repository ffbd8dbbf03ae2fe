"""What a worker takes in hand for one wake-up, and what of its steps a server that crashes still knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from convo.engine.conversation import Request
from convo.errors import StoreError
from convo.messages import Address
from convo.store import Store
from convo.store.base import PARTITIONS, Result, partition_of
from convo.store.postgres import PostgresStore
from convo.store.postgres_queue import OTHERS, wake
from tests.contract.pieces import ANN, BOB, CHANNEL, at, conversation, marked, put, step, text
from tests.postgres import Databases

ANNS, BOBS = partition_of(CHANNEL, ANN), partition_of(CHANNEL, BOB)


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    made = PostgresStore(postgres_url)
    yield made
    made.close()


def woken(postgres: Databases, url: str) -> list[int]:
    found = postgres.run("SELECT args->>'partition' FROM procrastinate_jobs ORDER BY id", url)
    return [int(part) for (part,) in found]


def everybody() -> list[str]:
    """Return somebody of each partition, by partition."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < PARTITIONS:
        sender = f"+614{number:08}"
        found.setdefault(partition_of(CHANNEL, sender), sender)
        number += 1
    return [found[part] for part in range(PARTITIONS)]


# -- what is taken --------------------------------------------------------------------------------------


def test_what_waits_longest_is_taken_along_and_needs_no_wake_up_any_more(
    postgres: Databases, postgres_url: str, store: PostgresStore
) -> None:
    people = everybody()
    order = [*range(40, PARTITIONS), *range(40)]
    for number, part in enumerate(order):
        put(store, text("hello", sender=Address(people[part]), identity=f"m{part}", sent=number))
    taken = store.take(3, at(2))
    assert sorted(taken) == sorted([3, *order[:OTHERS]])
    assert sorted(woken(postgres, postgres_url)) == sorted(set(range(PARTITIONS)) - set(taken))


def test_a_wake_up_that_a_commit_in_hand_relies_on_stays(
    postgres: Databases, postgres_url: str, store: PostgresStore
) -> None:
    put(store, text("hello", identity="a"), text("hello", sender=BOB, identity="b"))
    with psycopg.connect(postgres_url) as accepting:
        wake(accepting, [BOBS])
        assert sorted(store.take(ANNS, at(2))) == sorted([ANNS, BOBS])
    assert woken(postgres, postgres_url) == [BOBS]


def test_a_wake_up_for_which_nothing_is_left_takes_nothing(store: PostgresStore) -> None:
    assert store.take(5, at(2)) == []
    put(store, text("hello", identity="a"))
    assert store.take((ANNS + 1) % PARTITIONS, at(2)) == [ANNS]


def test_a_timer_that_is_due_is_taken_by_its_own_wake_up(store: PostgresStore) -> None:
    put(store, text("hello", identity="a"))
    (waiting,) = store.claim(10)
    store.commit([Result(waiting, (step(waiting, conversation(), timers={"1h": 60}),))], at(2))
    assert store.take(ANNS, at(59)) == []
    assert store.take(ANNS, at(60)) == [ANNS]


def test_only_free_fences_are_taken_and_nobody_is_waited_for(postgres_url: str, store: PostgresStore) -> None:
    other = PostgresStore(postgres_url)
    put(store, text("hello", identity="a"), text("hello", sender=BOB, identity="b"))
    with other.fenced(ANNS) as elsewhere:
        with store.fenced_free(ANNS) as none:
            assert none is None
        with store.fenced_free(ANNS, BOBS) as fence:
            assert fence is not None
            assert fence.partitions == [BOBS]
            assert [each.sender for each in fence.claim(10)] == [BOB]
        step_all(elsewhere)
    with store.fenced_free(ANNS, BOBS) as fence:
        assert fence is not None
        assert sorted(fence.partitions) == sorted([ANNS, BOBS])
        assert [each.sender for each in fence.claim(10)] == [BOB]
    other.close()


# -- what a crash leaves --------------------------------------------------------------------------------


@pytest.fixture
def slow_to_write(postgres: Databases, postgres_url: str) -> Iterator[Databases]:
    """The server, which writes what nobody waits for only after ten seconds."""
    for do in ("ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()"):
        postgres.run(do)
    yield postgres
    for do in ("ALTER SYSTEM RESET wal_writer_delay", "SELECT pg_reload_conf()"):
        postgres.run(do)


def step_all(fence: Store, request: Request | None = None) -> None:
    """Step what waits within a fence."""
    results = []
    for waiting in fence.claim(10):
        made = step(waiting, conversation(waiting.sender), says=("Hello.",))
        results.append(Result(waiting, (replace(made, request=request),)))
    fence.commit(results, at(2))


def crashed(postgres: Databases, store: PostgresStore) -> None:
    postgres.crash()
    postgres.start()
    for _ in range(20):
        try:
            store.busy(at(3))
            return
        except StoreError:
            continue


def test_a_step_that_a_crash_took_back_is_taken_again_and_its_text_is_there(
    slow_to_write: Databases, store: PostgresStore
) -> None:
    put(store, text("hello", identity="a"))
    with store.fenced(ANNS) as fence:
        step_all(fence)
    assert len(store.outbox()) == 1
    crashed(slow_to_write, store)
    assert (store.outbox(), store.conversation(CHANNEL, ANN)) == ([], None)
    assert store.busy(at(3)) == [ANNS]


def test_what_left_stands_on_a_step_that_a_crash_cannot_take_back(
    slow_to_write: Databases, store: PostgresStore
) -> None:
    put(store, text("hello", identity="a"))
    with store.fenced_free(ANNS) as fence:
        assert fence is not None
        step_all(fence)
    assert len(marked(store)) == 1
    crashed(slow_to_write, store)
    assert [row.status for row in store.outbox()] == ["sending"]
    assert store.conversation(CHANNEL, ANN) is not None
    assert store.claim(10) == []


def test_a_step_that_asks_a_service_is_on_the_disk_before_it_is_asked(
    slow_to_write: Databases, store: PostgresStore
) -> None:
    put(store, text("hello", identity="a"))
    with store.fenced(ANNS) as fence:
        step_all(fence, Request("weather", {"town": "Hobart"}))
    (call,) = store.calls(at(3), 10)
    crashed(slow_to_write, store)
    assert [each.key for each in store.calls(at(3), 10)] == [call.key]
