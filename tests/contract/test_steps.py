"""What a step leaves behind: all of it in one transaction, or nothing."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from convo.engine.conversation import CallAnswered, ConsentKind, Request, Step, TimerFired
from convo.errors import StoreError
from convo.flow.values import Choice, Money, Value
from convo.messages import Outbound
from convo.store import Store
from convo.store.base import Result
from tests.contract.conftest import Opened
from tests.contract.pieces import ANN, BOB, CHANNEL, at, conversation, marked, put, step, stepped, text


def test_a_conversation_comes_back_as_it_was(opened: Opened) -> None:
    data: dict[str, Value] = {
        "age": 34,
        "score": Decimal("1.5"),
        "price": Money("4.50"),
        "clinic": Choice("town", "Town"),
        "pets": (Choice("dog", "Dog"),),
        "visited": date(2026, 3, 4),
        "took": timedelta(minutes=3),
        "when": at(5),
        "done": True,
        "name": "Ann \ud800",
        "consent/agreed": "yes",
    }
    put(opened.store, text("hello", identity="a"))
    after = stepped(
        opened.store,
        data=data,
        state="consent/question",
        entry=3,
        tries=2,
        language="sw",
        trail=("age", "clinic"),
        heard="34",
        leaving="pizza",
        kept={"quiz": {"best": 7}},
    )
    found = opened.again().conversation(CHANNEL, ANN)
    assert found == after
    assert found is not None
    assert [type(value) for value in found.data.values()] == [type(value) for value in data.values()]


def test_each_step_is_in_the_journal(opened: Opened) -> None:
    for number in (1, 2, 3):
        put(opened.store, text("hello", identity=str(number)))
        stepped(opened.store, steps=number)
    store = opened.again()
    assert [entry.step for entry in store.journal(CHANNEL, ANN)] == [1, 2, 3]
    assert store.journal(CHANNEL, BOB) == []


def test_a_commit_that_fails_leaves_nothing(opened: Opened) -> None:
    store = opened.store
    put(store, text("hello", identity="a"))
    (waiting,) = store.claim(1)
    good = step(waiting, conversation(), says=("Hello.",), timers={"after 1h": 3600})
    broken = step(waiting, conversation(number=2))
    with pytest.raises(StoreError):
        # Two open conversations of one sender: found out in the middle of the transaction.
        store.commit([Result(waiting, (good, broken))], at(2))
    store = opened.again()
    assert len(store.claim(10)) == 1
    assert store.conversation(CHANNEL, ANN) is None
    assert store.outbox() == []
    assert store.next_timer() is None
    assert store.journal(CHANNEL, ANN) == []


def test_one_open_conversation_a_sender(store: Store) -> None:
    put(store, text("hello", identity="a"))
    stepped(store)
    put(store, text("pizza", identity="b"))
    (waiting,) = store.claim(1)
    ended = conversation(ended="left", ended_at=at(2), steps=2)
    opened_anew = conversation(number=2, flow="pizza")
    store.commit([Result(waiting, (step(waiting, ended), step(waiting, opened_anew)))], at(2))
    assert store.conversation(CHANNEL, ANN) == opened_anew
    assert store.open_states() == {("pizza", "age"): 1}


def test_the_last_one_that_ended_is_returned_where_none_is_open(store: Store) -> None:
    put(store, text("hello", identity="a"))
    after = stepped(store, ended="complete", ended_at=at(2), closed_told=True)
    assert store.conversation(CHANNEL, ANN) == after
    assert store.open_states() == {}


def test_a_timer_is_due_at_its_time_and_once(opened: Opened) -> None:
    put(opened.store, text("hello", identity="a"))
    (waiting,) = opened.store.claim(1)
    opened.store.commit(
        [Result(waiting, (step(waiting, conversation(), timers={"late": 20, "soon": 10}),))], at(2)
    )
    store = opened.again()
    assert store.next_timer() == at(10)
    assert store.due(at(9.9), 10) == []
    (due,) = store.due(at(10), 10)
    assert due.event == TimerFired("soon", 1, at(10))
    assert due.conversation == conversation()
    store.commit([Result(due, (step(due, conversation(steps=2)),))], at(10))
    store = opened.again()
    assert store.next_timer() == at(20)
    assert [each.event.name for each in store.due(at(30), 10) if isinstance(each.event, TimerFired)] == [
        "late"
    ]


def test_timers_are_void_when_their_state_is_left_or_the_conversation_ends(store: Store) -> None:
    for identity, before, after in (
        ("a", conversation(), conversation(entry=2, steps=2)),
        ("b", conversation(entry=3, steps=3), conversation(entry=3, ended="x", ended_at=at(3), steps=4)),
    ):
        put(store, text("hello", identity=identity + "1"))
        (waiting,) = store.claim(1)
        store.commit([Result(waiting, (step(waiting, before, timers={"soon": 10}),))], at(2))
        put(store, text("hello", identity=identity + "2"))
        (waiting,) = store.claim(1)
        store.commit([Result(waiting, (step(waiting, after),))], at(3))
        assert store.due(at(100), 10) == []
        assert store.next_timer() is None


def test_setting_a_timer_again_moves_it(store: Store) -> None:
    put(store, text("hello", identity="a"))
    (waiting,) = store.claim(1)
    store.commit([Result(waiting, (step(waiting, conversation(), timers={"soon": 10}),))], at(2))
    (due,) = store.due(at(10), 10)
    store.commit([Result(due, (step(due, conversation(steps=2), timers={"soon": 50}),))], at(10))
    assert store.next_timer() == at(50)


def test_a_timer_waits_while_a_text_of_its_sender_is_in_the_inbox(store: Store) -> None:
    put(store, text("hello", identity="a"))
    (waiting,) = store.claim(1)
    store.commit([Result(waiting, (step(waiting, conversation(), timers={"soon": 10}),))], at(2))
    put(store, text("an answer", identity="b"))
    assert store.due(at(100), 10) == []
    put(store, text("of somebody else", identity="c", sender=BOB))
    store.commit([Result(store.claim(1)[0])], at(100))
    assert len(store.due(at(100), 10)) == 1


def test_a_question_that_is_not_handed_over_is_pending(opened: Opened) -> None:
    store = opened.store
    put(store, text("hello", identity="a"))
    (waiting,) = store.claim(1)
    asked = step(waiting, conversation(), says=("How old are you?",), timers={"reminder 1": 10}, asks=1)
    store.commit([Result(waiting, (asked,))], at(2))
    (due,) = store.due(at(10), 10)
    assert isinstance(due.event, TimerFired)
    assert (due.event.pending, due.event.asked_at) == (True, None)
    (row,) = marked(store)
    from convo.messages import Status
    from convo.store.base import Settlement

    store.settle([Settlement(row.outbound.id, Status.SENT, "p1", asked=True)], at(4))
    (due,) = opened.again().due(at(10), 10)
    assert isinstance(due.event, TimerFired)
    assert (due.event.pending, due.event.asked_at) == (False, at(4))


def test_the_consent_ledger_only_grows(opened: Opened) -> None:
    for identity, kind in (("a", ConsentKind.OPT_OUT), ("b", ConsentKind.OPT_IN), ("c", ConsentKind.OPT_OUT)):
        put(opened.store, text("STOP", identity=identity))
        waiting = opened.store.claim(10)[0]
        opened.store.commit(
            [Result(waiting, (step(waiting, conversation(steps=ord(identity)), consent=kind),))], at(2)
        )
        assert opened.again().opted_out(CHANNEL, ANN) is (kind is ConsentKind.OPT_OUT)
    assert not opened.store.opted_out(CHANNEL, BOB)
    assert not opened.store.opted_out("pizza", ANN)


def test_a_service_is_asked_and_its_answer_waits_for_a_step(opened: Opened) -> None:
    store = opened.store
    put(store, text("hello", identity="a"))
    (waiting,) = store.claim(1)
    asks = Step(
        conversation=conversation(state="asking", entry=2),
        event=waiting.event,
        now=at(0),
        request=Request("bus_times", {"stop": "Town", "seats": 3}),
    )
    store.commit([Result(waiting, (asks,))], at(2))
    put(store, text("are you there?", identity="b"))
    store = opened.again()
    assert store.claim(10) == [], "a text waits while a service is being asked"
    assert store.next_call() == at(2)
    assert len(store.calls(at(-3_600), 10)) == 1, "the clock was set back, and somebody waits"
    (call,) = store.calls(at(2), 10)
    assert (call.service, call.given, call.attempts) == ("bus_times", '{"stop":"Town","seats":3}', 0)
    store.call_again(call.id, at(7), "it answered 503")
    assert store.calls(at(6), 10) == []
    (again,) = store.calls(at(7), 10)
    assert (again.key, again.attempts) == (call.key, 1)
    store.call_answered(call.id, "ok", {"first_bus": "10:42"}, "bus_times: ok")
    store = opened.again()
    assert store.calls(at(99), 10) == []
    (answered,) = store.answered(10)
    assert answered.event == CallAnswered("ok", 2, {"first_bus": "10:42"}, "bus_times: ok")
    assert store.claim(10) == []
    store.commit([Result(answered, (step(answered, conversation(entry=3, steps=2)),))], at(8))
    assert store.answered(10) == []
    assert len(store.claim(10)) == 1


def test_a_call_whose_state_was_left_is_not_made(store: Store) -> None:
    put(store, text("hello", identity="a"))
    (waiting,) = store.claim(1)
    asks = Step(conversation(entry=2), waiting.event, at(0), request=Request("bus_times"))
    store.commit(
        [Result(waiting, (asks, step(waiting, conversation(ended="x", ended_at=at(2), steps=2))))], at(2)
    )
    assert len(store.calls(at(99), 10)) == 1 or store.next_call() is None
    put(store, text("hello", identity="b"))


def test_a_text_that_is_held_waits_for_its_time(store: Store) -> None:
    put(store, text("hello", identity="a"))
    (waiting,) = store.claim(1)
    held = Outbound(CHANNEL, ANN, "Still there?", not_before=at(100))
    made = Step(conversation(), waiting.event, at(0), outbound=(held, Outbound(CHANNEL, ANN, "Hello.")))
    store.commit([Result(waiting, (made,))], at(2))
    assert [row.outbound.text for row in marked(store, 3)] == ["Hello."], "what is held holds nothing up"
    assert store.next_outbound(CHANNEL) == at(100)
