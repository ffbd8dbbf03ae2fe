"""What comes in: each message once, in order, and nothing lost."""

from __future__ import annotations

import pytest

from convo.engine.conversation import ConsentKind, Received, Started
from convo.messages import Address, Unreadable
from convo.store import Store
from convo.store.base import InboxStatus, Opening, Result
from tests.contract.conftest import Opened
from tests.contract.pieces import ANN, BOB, CHANNEL, at, conversation, put, step, text


def words(store: Store) -> list[str]:
    """Return the texts that wait."""
    return [each.event.text for each in store.claim(100) if isinstance(each.event, Received)]


def test_a_text_is_kept_as_it_came(opened: Opened) -> None:
    put(opened.store, text("hello", identity="a"), cursor="c1")
    store = opened.again()
    (waiting,) = store.claim(10)
    assert waiting.event == Received("hello", at(1), at(0))
    assert (waiting.sender, waiting.channel, waiting.conversation, waiting.opted_out) == (
        ANN,
        CHANNEL,
        None,
        False,
    )
    (row,) = store.inbox()
    assert (row.raw, row.status) == ("raw hello", InboxStatus.WAITING)
    assert store.cursor(CHANNEL) == "c1"
    assert store.cursor("other") is None


def test_a_message_that_comes_again_is_counted_and_dropped(opened: Opened) -> None:
    put(opened.store, text("hello", identity="a"))
    store = opened.again()
    again = store.accept(
        CHANNEL, [text("hello", identity="a"), text("more", identity="b")], cursor=None, now=at(2)
    )
    assert (again.new, again.duplicates) == (1, 1)
    assert words(store) == ["hello", "more"]


def test_the_same_id_on_another_channel_is_another_message(store: Store) -> None:
    put(store, text("hello", identity="a"))
    other = store.accept("pizza", [text("hello", identity="a", channel="pizza")], cursor=None, now=at(2))
    assert other.new == 1


@pytest.mark.parametrize(
    ("second", "new"),
    [
        (text("1", sent=0.0), 0),
        (text("2", sent=0.0), 1),
        (text("1", sent=1.0), 1),
        (text("1", sent=0.0, sender=BOB), 1),
        (text("1 ", sent=0.0), 1),
    ],
)
def test_without_an_id_a_fingerprint_tells_texts_apart(store: Store, second: object, new: int) -> None:
    put(store, text("1", sent=0.0))
    assert store.accept(CHANNEL, [second], cursor=None, now=at(2)).new == new  # type: ignore[list-item]


def test_without_an_id_and_a_sent_time_every_text_is_new(store: Store) -> None:
    put(store, text("TIME", sent=None))
    put(store, text("TIME", sent=None))
    assert words(store) == ["TIME", "TIME"]


def test_one_batch_is_kept_by_sent_time_and_ties_as_given(store: Store) -> None:
    put(
        store,
        text("third", identity="c", sent=5),
        text("first", identity="a", sent=1),
        text("second", identity="b", sent=1),
    )
    put(store, text("later", identity="d", sent=0))
    assert words(store) == ["first", "second", "third", "later"]


def test_claiming_changes_nothing_and_takes_the_oldest(store: Store) -> None:
    put(store, *(text(str(each), identity=str(each), sent=each) for each in range(5)))
    assert [each.id for each in store.claim(2)] == [each.id for each in store.claim(2)]
    assert len(store.claim(2)) == 2
    assert words(store) == ["0", "1", "2", "3", "4"]


def test_what_cannot_be_read_is_set_aside_with_its_text(opened: Opened) -> None:
    odd = Unreadable("<html>", "not JSON", at(1))
    opened.store.accept(CHANNEL, (), cursor="c2", now=at(1), unreadable=[odd])
    store = opened.again()
    (row,) = store.inbox(InboxStatus.DEAD)
    assert (row.raw, row.reason) == ("<html>", "not JSON")
    assert store.claim(10) == []
    assert store.cursor(CHANNEL) == "c2"


def test_a_poll_that_brought_nothing_keeps_the_cursor(store: Store) -> None:
    put(store, cursor="c1")
    put(store)
    assert store.cursor(CHANNEL) == "c1"


def test_openings_wait_in_the_same_order_and_come_once(opened: Opened) -> None:
    put(opened.store, text("hello", identity="a"))
    opening = Opening(CHANNEL, BOB, "visit", "k1", '{"age":34}')
    assert opened.store.request([opening], at(2)) == 1
    store = opened.again()
    assert store.request([opening], at(3)) == 0
    first, second = store.claim(10)
    assert isinstance(first.event, Received)
    assert second.event == Started("visit", {"age": 34})
    assert second.sender == BOB


@pytest.mark.parametrize(
    "strange",
    [
        "",
        "\x00",
        "a\x00b",
        "\ud800",
        "x" * 65_536,
        "'; DROP TABLE inbox; --",
        "👩‍👩‍👧‍👦",
        "\u202eabc",
        "${7*7}",
    ],
    ids=["empty", "nul", "nul inside", "half a pair", "64 KB", "sql", "family", "right to left", "template"],
)
def test_a_text_stays_the_text_that_was_sent(opened: Opened, strange: str) -> None:
    put(opened.store, text(strange, identity="a"))
    assert words(opened.again()) == [strange]


def test_done_dead_and_tried_again(opened: Opened) -> None:
    put(opened.store, *(text(name, identity=name, sent=index) for index, name in enumerate("abc")))
    done, dead, again = opened.store.claim(10)
    opened.store.commit(
        [Result(done), Result(dead, dead="it raised"), Result(again, retry="it raised once")], at(2)
    )
    store = opened.again()
    (left,) = store.claim(10)
    assert (left.id, left.attempts) == (again.id, 1)
    (aside,) = store.inbox(InboxStatus.DEAD)
    assert (aside.id, aside.reason) == (dead.id, "it raised")
    assert [row.id for row in store.inbox(InboxStatus.DONE)] == [done.id]


def test_a_waiting_row_knows_its_sender(opened: Opened) -> None:
    put(opened.store, text("hello", identity="a"))
    (waiting,) = opened.store.claim(1)
    after = conversation(data={"age": 34})
    opened.store.commit([Result(waiting, (step(waiting, after, consent=ConsentKind.OPT_OUT),))], at(2))
    put(opened.store, text("again", identity="b"), text("other", identity="c", sender=BOB))
    first, second = opened.again().claim(10)
    assert first.conversation == after
    assert first.opted_out
    assert (second.conversation, second.opted_out) == (None, False)


def test_many_senders_do_not_see_each_other(store: Store) -> None:
    people = [Address(f"+6140000{number:04d}") for number in range(50)]
    put(store, *(text(who, sender=who, identity=who, sent=index) for index, who in enumerate(people)))
    assert [each.sender for each in store.claim(100)] == people
