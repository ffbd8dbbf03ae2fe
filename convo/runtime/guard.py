"""The loop guard: whether the one who texts us is a machine that answers whatever we say. Pure.

A person may be fast, may send one word again and again, may count. What no person does is to answer ten
replies in a row with the same sentence, with our own words, with the next number or with the time of day.
The rules read the texts that came in, never how fast they came alone, so speed stops nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from difflib import SequenceMatcher
from itertools import pairwise

from convo.store.base import Line

LOOP_TEXTS = 10
"""So many texts in a row make a loop: nine replies have left by then."""
LOOP_WINDOW = timedelta(minutes=10)
"""A longer silence between two texts begins a new row."""

ECHOES = 4
"""So many of our own replies in a row, sent back to us, are an echo."""

_SENTENCE = 20
_SHORT_SENTENCE = 14
"""Bytes of letters, on average and at least, with which texts say something rather than choose or command."""
_ECHO = 8
_KINDS = 3
_COMPARED = 200
_ALIKE = 0.85
_REGULAR = timedelta(seconds=1.5)
_CLOCK_STEP = 30 * 60
_CLOCK_SLACK = 90
_CLOCK = re.compile(r"(?<![\d:.])([01]?\d|2[0-3])[:.h]([0-5]\d)(?:[:.]([0-5]\d))?(?![\d])", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}")


def is_a_short_word(text: str) -> bool:
    """Return whether a text is so little, as most commands and answers are, that no loop ends with it."""
    return not (len(_letters(text).encode()) >= _ECHO or len(text.split()) > 1 or _NUMBER.search(text))


def may_loop(heard: Sequence[Line], *, texts: int = LOOP_TEXTS, window: timedelta = LOOP_WINDOW) -> bool:
    """Return whether ``looping`` could find anything, by what they sent alone; mostly it could not."""
    row = _row(heard, window)
    few = min(ECHOES, texts)
    if len(row) >= few and all(len(_letters(line.text).encode()) >= _ECHO for line in row[:few]):
        return True
    row = row[:texts]
    return len(row) == texts and (
        _sentences(row) or _clock(row) or _counts(row) or (_wordy(row) and _same(row))
    )


def looping(
    heard: Sequence[Line],
    said: Sequence[Line],
    *,
    texts: int = LOOP_TEXTS,
    window: timedelta = LOOP_WINDOW,
) -> str | None:
    """Return why a sender is taken for a machine, None for a person.

    ``heard`` is what they sent and ``said`` what was marked for them, each newest first. The row that
    counts ends with the newest text and has no gap longer than ``window``.
    """
    row = _row(heard, window)
    if _echoes(row[: min(ECHOES, texts)], said, min(ECHOES, texts)):
        return "an echo: it sends our own replies back"
    row = row[:texts]
    if len(row) < texts or not _answered(row, said, strict=False) or _offered(row[0], heard, said):
        return None
    if _sentences(row):
        return "an auto-reply: it answers everything with the same words"
    if _clock(row):
        return "an auto-reply: it answers everything with the time of day"
    if not _answered(row, said, strict=True):
        return None
    if _counts(row):
        return "an auto-reply: it counts"
    if _wordy(row) and _same(row) and (_same(_between(row, said)) or _regular(row, said)):
        return "an auto-reply: it always sends the same"
    return None


def _row(heard: Sequence[Line], window: timedelta) -> list[Line]:
    row = list(heard[:1])
    for line in heard[1:]:
        if row[-1].at - line.at > window:
            break
        row.append(line)
    return row


def _between(row: Sequence[Line], said: Sequence[Line], *, strict: bool = False) -> list[Line]:
    """Return what we said after the first text of the row and before its last one."""
    first, last = row[-1].at, row[0].at
    return [line for line in said if first <= line.at and (line.at < last if strict else line.at <= last)]


def _answered(row: Sequence[Line], said: Sequence[Line], *, strict: bool) -> bool:
    """Whether the row went to and fro: texts that came in one heap are no answers to ours."""
    return len(_between(row, said, strict=strict)) * 3 >= (len(row) - 1) * 2


def _echoes(row: Sequence[Line], said: Sequence[Line], wanted: int) -> bool:
    if len(row) < wanted:
        return False
    ours = [(letters, line.at) for line in said if len((letters := _letters(line.text)).encode()) >= _ECHO]
    return all(
        any(at <= line.at and letters in theirs for letters, at in ours)
        for line in row
        for theirs in (_letters(line.text),)
    )


def _offered(line: Line, heard: Sequence[Line], said: Sequence[Line]) -> bool:
    """Whether a reply of ours offered these words, among others, before they first came.

    A long choice is an answer, and may be the answer to ten questions; our quoting it later offers nothing.
    """
    letters = _letters(line.text)
    if len(letters.encode()) < _ECHO:
        return False
    first = min(each.at for each in heard if _letters(each.text) == letters)
    before = (_letters(each.text) for each in said if each.left and each.at < first)
    return any(letters in each and len(letters) * 5 < len(each) * 4 for each in before)


def _sentences(row: Sequence[Line]) -> bool:
    """Whether at most three sentences, give or take a letter, are all that comes, each again and again."""
    kinds: dict[str, int] = {}
    total = 0
    for line in row:
        letters = _letters(line.text)[:_COMPARED]
        length = len(letters.encode())
        if length < _SHORT_SENTENCE:
            return False
        total += length
        kind = next((each for each in kinds if _alike(letters, each)), letters)
        kinds[kind] = kinds.get(kind, 0) + 1
        if len(kinds) > _KINDS:
            return False
    return total >= _SENTENCE * len(row) and min(kinds.values()) > 1


def _alike(one: str, other: str) -> bool:
    return one == other or SequenceMatcher(None, one, other, autojunk=False).ratio() >= _ALIKE


def _clock(row: Sequence[Line]) -> bool:
    """Whether each text holds the time at which it came, in whatever zone."""
    if len({_letters(line.text) for line in row}) > _KINDS:
        return False
    offsets = []
    for line in row:
        found = _CLOCK.search(line.text)
        if found is None:
            return False
        told = int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3] or 0)
        offsets.append((told - int(line.at.timestamp())) % _CLOCK_STEP)
    return all(min(each, _CLOCK_STEP - each) <= _CLOCK_SLACK for each in offsets)


def _counts(row: Sequence[Line]) -> bool:
    """Whether one number goes up by one from text to text and nothing else changes."""
    if len({_letters(line.text) for line in row}) > 1:
        return False
    numbers = [[int(each) for each in _NUMBER.findall(line.text)] for line in reversed(row)]
    if len({len(each) for each in numbers}) > 1 or not numbers[0]:
        return False
    steps = {tuple(b - a for a, b in zip(one, two, strict=True)) for one, two in pairwise(numbers)}
    return len(steps) == 1 and sorted(map(abs, steps.pop()))[-1] == 1


def _same(lines: Sequence[Line]) -> bool:
    return len(lines) > 1 and len({line.text.strip() for line in lines}) == 1


def _regular(row: Sequence[Line], said: Sequence[Line]) -> bool:
    """Whether each text came after our reply by the clock."""
    waits = []
    for line in row[:-1]:
        before = [each.at for each in said if each.at < line.at]
        if not before:
            return False
        waits.append(line.at - max(before))
    return max(waits) - min(waits) <= _REGULAR


def _wordy(row: Sequence[Line]) -> bool:
    """Whether the newest text is more than one short word: commands and answers are sent again and again."""
    return len(row[0].text.split()) > 1 or len(_letters(row[0].text).encode()) >= _ECHO


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalpha())
