"""What goes out: in order, marked before it leaves, and never backwards."""

from __future__ import annotations

import pytest

from convo.engine.conversation import ConsentKind
from convo.messages import OutboundKind, Receipt, Status
from convo.store import Store
from convo.store.base import LastLook, Result, Settlement
from tests.contract.conftest import Opened
from tests.contract.pieces import ANN, BOB, CHANNEL, at, conversation, marked, put, say, step, text


def texts(store: Store, now: float = 3.0, limit: int = 10) -> list[str]:
    """Mark what may leave and return its words."""
    return [row.outbound.text for row in marked(store, now, limit)]


def status(store: Store, index: int = 0) -> Status:
    """Return the status of a row of the outbox."""
    return store.outbox()[index].status


def settle(store: Store, row: int, to: Status, **more: object) -> None:
    """Write what the provider said."""
    store.settle([Settlement(row, to, **more)], at(4))  # type: ignore[arg-type]


def test_a_row_is_marked_before_it_leaves(opened: Opened) -> None:
    say(opened.store, "Hello.")
    (row,) = marked(opened.store)
    assert (row.status, row.attempts) == (Status.SENDING, 1)
    assert row.outbound.id > 0
    assert status(opened.again()) is Status.SENDING
    assert marked(opened.store) == []


def test_replies_to_one_person_leave_in_order(store: Store) -> None:
    say(store, "one", "two")
    say(store, "other", sender=BOB)
    (first, other) = marked(store)
    assert (first.outbound.text, other.outbound.text) == ("one", "other")
    settle(store, first.outbound.id, Status.QUEUED, retry_at=at(50))
    assert texts(store, 10) == [], "a later one waits for an earlier one that is tried again"
    assert texts(store, 50) == ["one"]
    settle(store, first.outbound.id, Status.SENT, provider_id="p1")
    assert texts(store, 50) == ["two"]


@pytest.mark.parametrize("end", [Status.SENT, Status.FAILED, Status.UNKNOWN, Status.BLOCKED, Status.EXPIRED])
def test_what_is_settled_lets_the_next_one_go(store: Store, end: Status) -> None:
    say(store, "one", "two")
    (first,) = marked(store)
    settle(store, first.outbound.id, end, reason="so it is")
    assert texts(store) == ["two"]
    assert status(store) is end
    assert store.outbox()[0].reason == "so it is"


def test_the_limit_holds_and_the_oldest_goes_first(store: Store) -> None:
    say(store, "for Bob", sender=BOB)
    say(store, "for Ann")
    assert texts(store, limit=1) == ["for Bob"]
    assert texts(store, limit=1) == ["for Ann"]


def test_the_last_look_may_block(opened: Opened) -> None:
    put(opened.store, text("STOP", identity="x"))
    waiting = opened.store.claim(1)[0]
    opened.store.commit(
        [
            Result(
                waiting,
                (
                    step(
                        waiting,
                        conversation(ended="opted out", ended_at=at(2), number=1),
                        consent=ConsentKind.OPT_OUT,
                    ),
                ),
            )
        ],
        at(2),
    )
    put(opened.store, text("hello", identity="y"))
    (again,) = opened.store.claim(1)
    opened.store.commit([Result(again, (step(again, conversation(number=2), says=("Hello.",)),))], at(2))
    looks: list[LastLook] = []

    def block(look: LastLook) -> str | None:
        looks.append(look)
        return "opted out" if look.opted_out else None

    assert marked(opened.store, allows=block) == []
    assert [look.row.outbound.text for look in looks] == ["Hello."]
    store = opened.again()
    assert (status(store), store.outbox()[0].reason) == (Status.BLOCKED, "opted out")


def test_a_dead_process_leaves_unknown_rows(opened: Opened) -> None:
    say(opened.store, "one", "two")
    marked(opened.store)
    store = opened.again()
    assert store.recover(at(10)) == 1
    assert [row.status for row in store.outbox()] == [Status.UNKNOWN, Status.QUEUED]
    assert store.recover(at(11)) == 0


def test_where_others_are_at_work_only_what_nobody_can_be_sending_is_recovered(opened: Opened) -> None:
    say(opened.store, "one")
    marked(opened.store, now=3.0)
    store = opened.again()
    assert store.recover(at(10), channel="another") == 0, "another channel's may be under way"
    assert store.recover(at(10), channel=CHANNEL, before=at(3)) == 0, "it may be under way still"
    assert status(store) is Status.SENDING
    assert store.recover(at(10), channel=CHANNEL, before=at(4)) == 1
    assert status(store) is Status.UNKNOWN


@pytest.mark.parametrize("first", [Status.DELIVERED, Status.FAILED])
@pytest.mark.parametrize("second", [Status.SENT, Status.DELIVERED, Status.FAILED])
def test_a_receipt_never_moves_a_status_backwards(store: Store, first: Status, second: Status) -> None:
    say(store, "Hello.")
    (row,) = marked(store)
    settle(store, row.outbound.id, Status.SENT, provider_id="p1")
    assert store.receipts([Receipt(CHANNEL, "p1", Status.SENT)], at(5)) == 0
    assert store.receipts([Receipt(CHANNEL, "p1", first)], at(5)) == 1
    assert store.receipts([Receipt(CHANNEL, "p1", second)], at(6)) == 0
    assert status(store) is first


def test_a_receipt_of_nobody_knows_what_changes_nothing(store: Store) -> None:
    say(store, "Hello.")
    (row,) = marked(store)
    settle(store, row.outbound.id, Status.SENT, provider_id="p1")
    for stranger in (
        Receipt(CHANNEL, "p2", Status.DELIVERED),
        Receipt("pizza", "p1", Status.DELIVERED),
        Receipt(CHANNEL, "", Status.DELIVERED),
    ):
        assert store.receipts([stranger], at(5)) == 0
    assert status(store) is Status.SENT


def test_a_receipt_settles_what_was_unknown(store: Store) -> None:
    say(store, "Hello.")
    (row,) = marked(store)
    settle(store, row.outbound.id, Status.UNKNOWN, provider_id="p1")
    assert store.receipts([Receipt(CHANNEL, "p1", Status.DELIVERED)], at(5)) == 1
    assert status(store) is Status.DELIVERED


def test_what_is_not_sending_is_not_settled(store: Store) -> None:
    say(store, "Hello.")
    row = store.outbox()[0]
    settle(store, row.outbound.id, Status.SENT, provider_id="p1")
    assert status(store) is Status.QUEUED


def test_when_the_next_one_may_leave(opened: Opened) -> None:
    assert opened.store.next_outbound(CHANNEL) is None
    say(opened.store, "Hello.", kind=OutboundKind.OPENING)
    store = opened.again()
    assert store.next_outbound(CHANNEL) == at(2)
    assert store.next_outbound("pizza") is None
    (row,) = marked(store)
    assert row.outbound.kind is OutboundKind.OPENING
    settle(store, row.outbound.id, Status.QUEUED, retry_at=at(30), reason="busy")
    assert store.next_outbound(CHANNEL) == at(30)


def test_segments_and_ids_are_kept(opened: Opened) -> None:
    say(opened.store, "Hello.")
    (row,) = marked(opened.store)
    settle(opened.store, row.outbound.id, Status.SENT, provider_id="p1", segments=2)
    (found,) = opened.again().outbox(CHANNEL)
    assert (found.provider_id, found.segments, found.outbound.recipient) == ("p1", 2, ANN)
    assert opened.store.outbox("pizza") == []


def test_nothing_overtakes_what_is_unknown_where_that_is_wanted(store: Store) -> None:
    say(store, "one", "two")
    say(store, "other", sender=BOB)
    (first, _) = marked(store)
    settle(store, first.outbound.id, Status.UNKNOWN)
    assert store.mark_sending(CHANNEL, at(5), 10, lambda _look: None, after_unknown=False) == []
    settle(store, first.outbound.id, Status.QUEUED, retry_at=at(6))
    assert texts(store, 6) == ["one"]
    settle(store, first.outbound.id, Status.SENT)
    assert texts(store, 6) == ["two"]


def test_a_clock_that_is_set_back_reorders_and_holds_nothing(opened: Opened) -> None:
    """Written at 2 s, and then it is a minute less: what nobody holds leaves, in the order it was said."""
    store = opened.store
    say(store, "first", "second")
    (first,) = marked(store, now=-60)
    assert first.outbound.text == "first"
    store.settle([Settlement(first.outbound.id, Status.QUEUED, "busy", retry_at=at(-50))], at(-60))
    assert marked(store, now=-59) == []
    assert [row.outbound.text for row in marked(store, now=-49)] == ["first"]


def test_a_clock_that_is_set_back_by_hours_does_not_hide_what_is_unknown(opened: Opened) -> None:
    store = opened.store
    say(store, "hello")
    (row,) = marked(store)
    store.settle([Settlement(row.outbound.id, Status.UNKNOWN, reason="the line broke")], at(4))
    assert store.unknown(CHANNEL, at(3), 10) == []
    assert [each.outbound.id for each in store.unknown(CHANNEL, at(4 - 3_601), 10)] == [row.outbound.id]


def test_what_the_provider_called_the_outbounds_of_one_recipient(store: Store) -> None:
    say(store, "one")
    say(store, "other", sender=BOB)
    say(store, "no id", sender=BOB)
    rows = {row.outbound.text: row.outbound.id for row in marked(store)}
    settle(store, rows["one"], Status.SENT, provider_id="p1")
    settle(store, rows["other"], Status.DELIVERED, provider_id="p2")
    (last,) = marked(store, 5)
    settle(store, last.outbound.id, Status.UNKNOWN, reason="nobody knows")
    assert store.provider_ids(CHANNEL, BOB) == {"p2"}
    assert store.provider_ids("another", BOB) == frozenset()
