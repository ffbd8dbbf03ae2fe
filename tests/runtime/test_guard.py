"""The loop guard asks what we said only where what they sent alone could make a machine of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

from convo.runtime.guard import is_a_short_word, looping, may_loop
from convo.store.base import Line

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
TEXTS = [
    "YES",
    "2",
    "Thank you for your message, we will answer soon.",
    "Thank you for your message, we will answer soon!",
    "Message 1 of ours",
    "Message 2 of ours",
    "Message 3 of ours",
    "It is 12:00 now",
    "It is 12:01 now",
    "What is your name, please?",
    "a longer word",
]


def newest_first(found: list[tuple[str, int]]) -> list[Line]:
    at, lines = NOON, []
    for text, seconds in found:
        at += timedelta(seconds=seconds)
        lines.append(Line(text, at))
    return lines[::-1]


def test_nothing_is_missed_by_looking_at_their_texts_first() -> None:
    found = 0
    for kinds in (1, 2, 3):
        for few in permutations(TEXTS, kinds):
            theirs = newest_first([(few[index % kinds], 5) for index in range(12)])
            for asked in ("What is your name, please?", few[0]):
                ours = newest_first([(asked, 5) for _ in range(12)])
                if looping(theirs, ours) is not None:
                    found += 1
                    assert may_loop(theirs), (few, asked)
                if may_loop(theirs):
                    assert not is_a_short_word(theirs[0].text), (few, asked)
    assert found > 50


def test_a_command_is_a_short_word_and_what_machines_send_is_none() -> None:
    assert all(map(is_a_short_word, ("YES", "stop", " Time ", "", "👍", "ja!")))
    assert not any(map(is_a_short_word, ("2", "12:30", "oh no", "stopwatch", "Ευχαριστώ", "٣")))


def test_whoever_sends_short_answers_is_not_looked_into() -> None:
    theirs = newest_first([("YES", 5), ("2", 5), ("12:30", 5), ("no", 5)] * 5)
    assert not may_loop(theirs)


def test_an_auto_reply_is() -> None:
    theirs = newest_first([("Thank you for your message, we will answer soon.", 5)] * 10)
    ours = newest_first([("What is your name, please?", 5)] * 10)
    assert may_loop(theirs)
    assert looping(theirs, ours) is not None
