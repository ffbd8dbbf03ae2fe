"""A text that is too long is cut where a reader would cut it, and nowhere else."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from convo.sms import cost, graphemes, split

FAMILY, FLAG, HAND = "👩‍👩‍👧‍👦", "🇦🇺", "👍🏽"
CLUSTERS = [
    *("a", "b", " ", "\n", "\r\n", "€", "é", "ш", "中", FAMILY, FLAG, HAND, "❤️", "1️⃣", "क्षि", "각", "각"),
    *("กำ", "ส้", "a\u200d", "\u0600ا", "ｶﾞ", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\u0301", "\u200b", "ñ", "\U0001f1e6"),
]
WORDS = st.lists(st.sampled_from(CLUSTERS), max_size=120).map("".join)
TEXTS = st.one_of(WORDS, st.text(max_size=200))


def boundaries(text: str) -> set[int]:
    """Return where Unicode's extended grapheme clusters begin and end."""
    return {0, *(found.end() for found in regex.finditer(r"\X", text))}


@settings(max_examples=800, deadline=None)
@given(TEXTS)
def test_pieces_never_part_what_unicode_keeps_together(text: str) -> None:
    pieces = graphemes(text)
    assert "".join(pieces) == text
    allowed, place = boundaries(text), 0
    for piece in pieces:
        place += len(piece)
        assert place in allowed


@pytest.mark.parametrize("cluster", [each for each in CLUSTERS if each not in ("\u0301", "a\u200d")])
def test_each_kind_of_grapheme_is_one_piece(cluster: str) -> None:
    assert graphemes("x" + cluster + "y") == (["x", cluster, "y"] if cluster != "\u0301" else [])


def place_of(parts: list[str], text: str) -> list[tuple[int, int]]:
    """Return where each part stands in the text."""
    found, place = [], 0
    for part in parts:
        start = text.index(part, place)
        place = start + len(part)
        found.append((start, place))
    return found


@settings(max_examples=800, deadline=None)
@given(TEXTS, st.integers(20, 60), st.one_of(st.none(), st.integers(1, 2)))
def test_a_split_loses_nothing_cuts_no_grapheme_and_fits(text: str, limit: int, segments: int | None) -> None:
    parts = split(text, limit, segments)
    assert all(part and len(part) <= limit for part in parts)
    assert segments is None or all(cost(part).segments <= segments for part in parts)
    whole = all(len(piece) <= limit for piece in graphemes(text))
    left = 0
    for start, end in place_of(parts, text):
        assert text[left:start].strip() == "", "only blanks are left out"
        if whole and len(parts) > 1 and end < len(text):
            assert start in boundaries(text) or text[start - 1] in " \n"
        left = end
    assert text[left:].strip() == ""


@settings(max_examples=300, deadline=None)
@given(st.text("a€{ш ", min_size=100, max_size=900), st.integers(1, 3))
def test_an_escape_pair_is_never_parted(text: str, segments: int) -> None:
    for part in split(text, 1600, segments):
        assert cost(part).segments <= segments


@pytest.mark.parametrize("cluster", [FAMILY, FLAG, HAND, "é", "क्षि", "각", "\r\n"])
@pytest.mark.parametrize("before", range(8))
def test_no_grapheme_is_cut_wherever_the_edge_falls(cluster: str, before: int) -> None:
    text = "x" * before + cluster * 40
    parts = split(text, 30)
    assert [piece for part in parts for piece in graphemes(part)].count(cluster) >= 40 - text.count("\r\n")
    assert "".join(parts).replace("\r\n", "") == text.replace("\r\n", "")


def test_it_is_cut_after_a_line_or_else_after_a_word() -> None:
    assert split("One two three.\nFour five six seven.", 22) == ["One two three.", "Four five six seven."]
    assert split("one two three four", 10) == ["one two", "three four"]
    assert split("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert split("one two", 3) == ["one", "two"]


def test_a_space_with_an_accent_of_its_own_is_no_place_to_cut() -> None:
    assert split("abcdef \u0301ghijkl", 9) == ["abcdef \u0301g", "hijkl"]


def test_segments_bound_a_part_too() -> None:
    text = "Ответьте да или нет, пожалуйста. " * 10
    parts = split(text, 1600, 1)
    assert all(cost(part).segments == 1 for part in parts)
    assert " ".join(parts).strip() == text.strip()
    assert split("a" * 161, 1600, 1) == ["a" * 160, "a"]


def test_one_emoji_in_a_long_text_costs_only_its_own_part_more() -> None:
    text = "a" * 160 + "😀"
    assert split(text, 1600, 1) == ["a" * 160, "😀"]


def test_a_grapheme_longer_than_a_message_is_cut_because_nothing_else_can_be_done() -> None:
    tower = "z" + "\u0301" * 50
    assert "".join(split(tower, 20)) == tower
    assert all(len(part) <= 20 for part in split(tower, 20))


@pytest.mark.parametrize(("limit", "segments"), [(0, None), (10, 0)])
def test_a_message_needs_room(limit: int, segments: int | None) -> None:
    with pytest.raises(ValueError, match="room"):
        split("text", limit, segments)
