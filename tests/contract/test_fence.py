"""The fence of a partition: who steps it, and what of a step that fails stays."""

from __future__ import annotations

import pytest

from convo.errors import StoreError
from convo.store import Store
from convo.store.base import InboxStatus, Result
from tests.contract.conftest import Opened
from tests.contract.pieces import ANN, BOB, at, conversation, put, step, text


def test_what_waits_is_in_a_partition_that_is_named_busy(opened: Opened) -> None:
    for sender in (ANN, BOB):
        put(opened.store, text("hello", sender=sender, identity=sender))
    store = opened.again()
    found = []
    for partition in store.busy(at(2)):
        with store.fenced(partition) as fenced:
            found += [row.sender for row in fenced.claim(10)]
    assert sorted(found) == [ANN, BOB], "each of them in one partition"


def test_a_timer_that_is_due_makes_its_partition_busy(opened: Opened) -> None:
    store = opened.store
    put(store, text("hello", identity="a"))
    (waiting,) = store.claim(1)
    store.commit([Result(waiting, (step(waiting, conversation(), timers={"after 1h": 3600}),))], at(2))
    store = opened.again()
    due, times = [], []
    for partition in store.busy(at(3600)):
        with store.fenced(partition) as fenced:
            due += fenced.due(at(3600), 10)
            times.append(fenced.next_timer())
    assert [row.sender for row in due] == [ANN]
    assert times == [at(3600)]


def test_a_step_within_the_fence_is_there_after_it(opened: Opened) -> None:
    put(opened.store, text("hello", identity="a"))
    (partition,) = opened.store.busy(at(2))
    with opened.store.fenced(partition) as fenced:
        (waiting,) = fenced.claim(10)
        fenced.commit([Result(waiting, (step(waiting, conversation(), says=("Hello.",)),))], at(2))
        assert fenced.claim(10) == [], "what was written is seen within"
        assert fenced.conversation(waiting.channel, ANN) is not None
    store = opened.again()
    assert [row.outbound.text for row in store.outbox()] == ["Hello."]
    assert [row.status for row in store.inbox()] == [InboxStatus.DONE]


def test_what_fails_within_the_fence_takes_nothing_else_with_it(store: Store) -> None:
    for index, sender in enumerate((ANN, BOB)):
        put(store, text("hello", sender=sender, identity=str(index)))
    for partition in store.busy(at(2)):
        with store.fenced(partition) as fenced:
            for waiting in fenced.claim(10):
                after = conversation(waiting.sender)
                broken = Result(
                    waiting, (step(waiting, after), step(waiting, conversation(waiting.sender, 2)))
                )
                with pytest.raises(StoreError):
                    fenced.commit([broken], at(2))
                fenced.commit([Result(waiting, (step(waiting, after, says=("Hello.",)),))], at(2))
    assert sorted(row.outbound.recipient for row in store.outbox()) == [ANN, BOB]
