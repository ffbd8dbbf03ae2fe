"""People who are forgotten, and conversations that are old: what every store does about them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from convo.engine.conversation import ConsentKind
from convo.messages import Address, Outbound, OutboundKind, Status
from convo.store import Store
from convo.store.base import Opening, Result, Settlement
from convo.store.removed import Removed
from tests.contract.conftest import Opened
from tests.contract.pieces import ANN, BOB, CHANNEL, anything, at, conversation, put, step, stepped, text

DAY = timedelta(days=1)


def opt_out(store: Store, sender: Address = ANN, kind: ConsentKind = ConsentKind.OPT_OUT) -> None:
    """Have somebody write STOP, or come back."""
    put(store, text("STOP", sender=sender, identity=f"{kind} {len(store.inbox())}"))
    waiting = next(each for each in store.claim(10) if each.sender == sender)
    steps = (waiting.conversation.steps if waiting.conversation else 0) + 1
    after = conversation(sender, steps=steps, ended="opted out", ended_at=at(1))
    store.commit([Result(waiting, (step(waiting, after, says=("Bye.",), consent=kind),))], at(2))


def test_a_forgotten_person_is_in_no_table_and_others_stay(opened: Opened) -> None:
    store = opened.store
    for sender in (ANN, BOB):
        put(store, text(f"I am {sender}", sender=sender, identity=f"hello {sender}"))
        stepped(store, sender, says=("How old are you?",))
    removed = store.forget(ANN, at(5))
    assert removed == Removed(conversations=1, steps=1, texts=1, outbounds=1)
    store = opened.again()
    assert store.conversation(CHANNEL, ANN) is None
    assert store.journal(CHANNEL, ANN) == []
    assert [row.sender for row in store.inbox()] == [BOB]
    assert [row.outbound.recipient for row in store.outbox()] == [BOB]
    assert store.conversation(CHANNEL, BOB) is not None
    assert not store.forget(ANN, at(6))


def test_what_others_wrote_loses_the_number(store: Store) -> None:
    put(store, text("hello", identity="a"))
    stepped(store)
    put(store, text(f"call {ANN}, or 61400000001, or 0400000001!", sender=BOB, identity="b"))
    stepped(store, BOB, says=(f"Noted: {ANN}",), data={"friend": str(ANN), "age": 34})
    store.forget(ANN, at(5))
    (row,) = store.inbox()
    assert row.text == "call (forgotten), or (forgotten), or (forgotten)!"
    assert [each.outbound.text for each in store.outbox()] == ["Noted: (forgotten)"]
    found = store.conversation(CHANNEL, BOB)
    assert found is not None
    assert found.data == {"friend": "(forgotten)", "age": 34}
    (entry,) = store.journal(CHANNEL, BOB)
    assert str(ANN) not in entry.record


def test_an_opt_out_outlives_its_person(opened: Opened) -> None:
    opt_out(opened.store)
    assert opened.store.forget(ANN, at(5)).opted_out
    store = opened.again()
    assert store.opted_out(CHANNEL, ANN)
    assert not store.opted_out(CHANNEL, BOB)
    # Whatever brings the number back brings the opt-out back.
    store.request([Opening(CHANNEL, ANN, "visit", "k1")], at(6))
    (waiting,) = store.claim(10)
    assert waiting.opted_out
    store.forget(ANN, at(7))
    put(store, text("hello again", identity="b"))
    assert [each.opted_out for each in store.claim(10)] == [True]


def test_what_is_said_to_a_forgotten_number_is_stopped(store: Store) -> None:
    opt_out(store)
    store.forget(ANN, at(5))
    put(store, text("tell Ann", sender=BOB, identity="b"))
    (waiting,) = store.claim(10)
    after = conversation(BOB)
    made = step(waiting, after)
    made = replace(made, outbound=(Outbound(CHANNEL, ANN, "Bob says hello", OutboundKind.TELL),))
    store.commit([Result(waiting, (made,))], at(6))
    seen: list[bool] = []

    def look(found: object) -> str | None:
        seen.append(bool(getattr(found, "opted_out", False)))
        return anything(found)  # type: ignore[arg-type]

    store.mark_sending(CHANNEL, at(7), 10, look)
    assert seen == [True]


def test_who_came_back_before_being_forgotten_is_not_opted_out(store: Store) -> None:
    opt_out(store)
    store.forget(ANN, at(5))
    put(store, text("START", identity="b"))
    (waiting,) = store.claim(10)
    assert waiting.opted_out
    after = conversation(ANN, ended="opted out", ended_at=at(6))
    store.commit([Result(waiting, (step(waiting, after, consent=ConsentKind.OPT_IN),))], at(6))
    assert not store.forget(ANN, at(7)).opted_out
    assert not store.opted_out(CHANNEL, ANN)


def test_a_text_that_was_forgotten_does_not_come_a_second_time(store: Store) -> None:
    first = text("hello", identity="a")
    put(store, first)
    stepped(store)
    store.forget(ANN, at(5))
    accepted = store.accept(CHANNEL, (first,), cursor=None, now=at(6))
    assert (accepted.new, accepted.duplicates) == (0, 1)
    put(store, text("hello", identity="b"))
    assert len(store.claim(10)) == 1


def test_a_step_in_hand_writes_nothing_of_who_was_forgotten_meanwhile(store: Store) -> None:
    put(store, text("hello", identity="a"), text("hello", sender=BOB, identity="b", sent=1))
    waiting = store.claim(10)
    store.forget(ANN, at(2))
    store.commit(
        [
            Result(each, (step(each, conversation(each.sender), says=("Hi.",), timers={"after 1h": 60}),))
            for each in waiting
        ],
        at(3),
    )
    assert store.conversation(CHANNEL, ANN) is None
    assert [row.outbound.recipient for row in store.outbox()] == [BOB]
    assert [row.status for row in store.inbox()] == ["done"]


def test_what_is_old_goes_and_what_is_young_stays(opened: Opened) -> None:
    store = opened.store
    put(store, text("hello", identity="a"))
    stepped(store, says=("How old are you?",))
    later = at(0) + 100 * DAY
    young = text("hello", sender=BOB, identity="b", sent=100 * 86400, received=100 * 86400)
    store.accept(CHANNEL, (young,), cursor=None, now=later)
    stepped(store, BOB, opened_at=later, now_at=later)
    sent = store.mark_sending(CHANNEL, later, 10, anything)
    assert len(sent) == 1
    assert not store.prune(at(0) + 10 * DAY, later, 10), "something for Ann is on its way"
    store.settle([Settlement(sent[0].outbound.id, Status.SENT)], later)
    removed = store.prune(at(0) + 10 * DAY, later, 10)
    assert removed == Removed(conversations=1, steps=1, texts=1, outbounds=1)
    assert not store.prune(at(0) + 10 * DAY, later, 10)
    store = opened.again()
    assert store.conversation(CHANNEL, ANN) is None
    assert store.conversation(CHANNEL, BOB) is not None
    assert [row.sender for row in store.inbox()] == [BOB]


def test_a_timer_that_waits_keeps_its_conversation(store: Store) -> None:
    put(store, text("in a year", identity="a"))
    (waiting,) = store.claim(10)
    made = step(waiting, conversation(), timers={"after 365d": 365 * 86400})
    store.commit([Result(waiting, (made,))], at(2))
    assert not store.prune(at(0) + 200 * DAY, at(0) + 300 * DAY, 10).conversations
    assert store.conversation(CHANNEL, ANN) is not None


def test_the_last_conversation_of_who_still_writes_is_kept(store: Store) -> None:
    put(store, text("hello", identity="a"))
    stepped(store, ended="done", ended_at=at(2))
    young = 100 * 86400.0
    put(store, text("thanks", identity="b", sent=young, received=young), now=young)
    (waiting,) = store.claim(10)
    store.commit([Result(waiting)], at(young))
    assert not store.prune(at(0) + 50 * DAY, at(young), 10)
    assert store.prune(at(0) + 150 * DAY, at(0) + 200 * DAY, 10) == Removed(conversations=1, steps=1, texts=2)


def test_a_scrubbed_store_is_as_it_was(opened: Opened) -> None:
    for sender in (ANN, BOB):
        put(opened.store, text("hello", sender=sender, identity=f"hello {sender}"))
        stepped(opened.store, sender, says=("How old are you?",))
    opened.store.forget(ANN, at(5))
    opened.store.scrub()
    store = opened.again()
    store.scrub()
    assert [row.sender for row in store.inbox()] == [BOB]
    assert len(store.journal(CHANNEL, BOB)) == 1
    assert [row.outbound.recipient for row in store.mark_sending(CHANNEL, at(9), 10, anything)] == [BOB]


def test_an_opt_out_is_not_pruned(store: Store) -> None:
    opt_out(store)
    sent = store.mark_sending(CHANNEL, at(3), 10, anything)
    store.settle([Settlement(each.outbound.id, Status.SENT) for each in sent], at(4))
    assert store.prune(at(0) + 50 * DAY, at(0) + 100 * DAY, 10).conversations == 1
    assert store.opted_out(CHANNEL, ANN)
