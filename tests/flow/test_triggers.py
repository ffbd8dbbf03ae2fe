"""How texts are compared, and what authors can write under ``triggers``."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convo.flow.problems import FlowError
from convo.flow.reader import MapNode, Scalar, read_text
from convo.flow.triggers import Matcher, MatcherKind, fold, matches, parse_words


def key(source: str) -> Scalar:
    """Return a YAML key as the reader gives it."""
    root = read_text(f"{source}: there\n").root
    assert isinstance(root, MapNode)
    return next(iter(root))


def words(source: str) -> tuple[Matcher, ...]:
    """Return what a YAML key matches."""
    return parse_words(key(source))


SAME = [
    ("stop", "STOP"),
    ("stop", "  Stop. "),
    ("stop", "“STOP”!!"),
    ("stop", "stop…"),
    ("stop", "s\u200bt\u00adop\ufe0f"),
    ("stop", "ＳＴＯＰ"),
    ("stop", "STOP\x00"),
    ("two words", "TWO \t\n words"),
    ("two words", "two\u00a0words"),
    ("don't", "DON’T"),
    ("1", "(1)"),
    ("1", "1."),
    ("12", "١٢"),
    ("12", "१२"),
    ("strasse", "Straße"),
    ("ναιξ", "ΝΑΙΞ"),
    ("café", "CAFE\u0301"),
    ("?", "?"),
    ("!?", "!?"),
    ("c++", "C++"),
    ("", " \u200b "),
]


@pytest.mark.parametrize(("folded", "text"), SAME)
def test_what_people_mean_as_the_same_word_folds_to_the_same_text(folded: str, text: str) -> None:
    assert fold(text) == folded


def test_different_words_stay_different() -> None:
    assert len({fold(word) for word in ("stop", "stopp", "st op", "stop1", "5", "$5", "👍", "👎")}) == 8


@given(st.text(max_size=40))
@example("! ?")
@example("a¨")
def test_folding_a_folded_text_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=40))
def test_the_short_way_for_ascii_gives_what_the_long_way_gives(text: str) -> None:
    # An invisible character sends the same text the long way round.
    assert fold(text) == fold(f"{text}\u200b")


def test_a_comma_list_is_several_words() -> None:
    assert [(each.kind, each.word, each.label) for each in words("STOP, Time out")] == [
        (MatcherKind.WORD, "stop", "STOP"),
        (MatcherKind.WORD, "time out", "Time out"),
    ]


def test_each_word_knows_where_it_stands() -> None:
    assert [each.position.column for each in words("STOP, TIME")] == [1, 7]
    assert [each.position.column for each in words("'STOP, TIME'")] == [2, 8]


@pytest.mark.parametrize("kind", ["else", "text", "number"])
def test_a_kind_in_lower_case_stands_alone(kind: str) -> None:
    assert [each.kind for each in words(kind)] == [MatcherKind(kind)]
    assert [each.kind for each in words(kind.upper())] == [MatcherKind.WORD]
    assert [each.kind for each in words(f"'\"{kind}\"'")] == [MatcherKind.WORD]
    with pytest.raises(FlowError, match="cannot be one of several words"):
        words(f"{kind}, STOP")


def test_quoted_words_are_literal() -> None:
    assert [each.word for each in words("""'"yes, please", "number", no'""")] == [
        "yes, please",
        "number",
        "no",
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("'STOP,'", "an empty word"),
        ("'a, , b'", "an empty word"),
        ("""'"yes, no'""", "not closed"),
        ("number 5 to 1", "number 1 to 5"),
        ("number 1 to x", "not a range"),
        ("number from 3", "not a range"),
        ("pattern (a+", "cannot be read|closes|bracket"),
    ],
)
def test_words_that_cannot_be_read(source: str, message: str) -> None:
    with pytest.raises(FlowError, match=message):
        words(source)


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("STOP", "stop!", True),
        ("STOP", "stop it", False),
        ("number", "42", True),
        ("number", " -5 ", True),
        ("number", "٤٢", True),
        ("number", "\u22125", True),
        ("number", "4.2", False),
        ("number", "four", False),
        ("number", "9" * 16, False),
        ("number 1 to 5", "1", True),
        ("number 1 to 5", "5", True),
        ("number 1 to 5", "6", False),
        ("number -3 to -1", "-2", True),
        ("number plate", "Number plate", True),
        ("text", "anything", True),
        ("text", "   ", False),
        ("else", "", True),
    ],
)
def test_what_matches(source: str, text: str, expected: bool) -> None:
    (matcher,) = words(source)
    assert matches(matcher, text) is expected
