"""How answer types are written in a flow, what is refused, patterns, and types from other packages."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from convo.flow import answer_pattern, answers
from convo.flow.answer_choices import ChoiceSpec, read_choice
from convo.flow.answer_sorry import SORRY
from convo.flow.answer_spec import AnswerKind, AnswerSpec, Outcome, Reading, Taken, Wrong
from convo.flow.answers import BUILT_IN, CODES, DEFAULT_SORRY, parse_answer, parse_many, sorry_for
from convo.flow.problems import FlowError, Position
from convo.flow.reader import MapNode, Node, Scalar, read_text
from convo.flow.template import parse_template
from convo.flow.values import Type


def node(source: str) -> Scalar | MapNode:
    """Return what stands behind ``answer:`` as the reader gives it."""
    root = read_text(f"answer: {source}\n").root
    assert isinstance(root, MapNode)
    found: Node = root[Scalar("answer")]
    assert isinstance(found, Scalar | MapNode)
    return found


def spec(source: str) -> AnswerSpec:
    """Return the spec, without where it stood."""
    return replace(parse_answer(node(source)), source=Scalar(""))


def problem(source: str) -> str:
    """Return the only problem of a spec as it is shown."""
    with pytest.raises(FlowError) as caught:
        parse_answer(node(source))
    assert {each.code for each in caught.value.problems} <= CODES.keys()
    assert [each.path for each in caught.value.problems] == [""]
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "twin"),
    [
        ("number", "{type: number}"),
        ("number 18 to 110", "{type: number, min: 18, max: 110}"),
        ("number from 18", "{type: number, from: 18}"),
        ("number above 18", "{type: number, above: 18}"),
        ("number up to 110", "{type: number, up_to: 110}"),
        ("number below 110", "{type: number, below: 110}"),
        ("number from 18 below 110", "{type: number, min: 18, below: 110}"),
        ("number above low and up to high", "{type: number, above: low, max: high}"),
        ("number from 1 to 5", "{type: number, min: 1, max: 5}"),
        ("yes or no", "{type: yes or no}"),
        ("date up to today", "{type: date, max: today}"),
        ("time 08:00 to 17:30", "{type: time, min: '08:00', max: 17:30}"),
        ("text up to 300", "{type: text, up_to: 300}"),
        ("pattern [A-Z]{3}", "{type: pattern, pattern: '[A-Z]{3}'}"),
        ("money above 0", "{type: money, above: 0}"),
    ],
)
def test_a_line_and_its_twin_mean_the_same(line: str, twin: str) -> None:
    assert spec(line) == spec(twin)


def test_what_a_spec_says() -> None:
    found = spec("number above 18 up to highest")
    assert (found.low, found.low_open, found.high, found.high_open) == ("18", True, "highest", False)
    assert spec("text up to 300").up_to == 300
    assert spec("pattern a b|c").regex == "a b|c"
    assert answers.names_of(spec("date first to today")) == {"first"}
    assert answers.names_of(spec("time from 8:00")) == frozenset()


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        ("numbre 1 to 5", "A001", "did you mean 'number'?"),
        ("integer", "A001", "did you mean 'number'?"),
        ("yes/no", "A001", "did you mean 'yes or no'?"),
        ("{type: texts}", "A001", "did you mean 'text'?"),
        ("number 1 - 5", "A002", "did you mean 'number 1 to 5'?"),
        ("number between 1 and 5", "A002", "did you mean 'number 1 to 5'?"),
        ("date to today", "A002", "did you mean 'date up to today'?"),
        ("number 18 to", "A002", "number A to B"),
        ("number 18.5 to 20", "A002", "'18.5' is neither a number nor a name of data"),
        ("time up to 25:00", "A002", "'25:00' is neither a time nor a name of data"),
        ("number up to today", "A002", "'today' is no bound of a number"),
        ("date from now", "A002", "'now' is no bound of a date"),
        ("text 300", "A002", "for example: text up to 300"),
        ("text up to 0", "A002", "says no length"),
        ("pattern", "A002", "a pattern is missing"),
        ("{min: 3}", "A002", "an answer needs its 'type'"),
        ("{type: number, min: [1]}", "A002", "'min' takes one text"),
        ("{type: text, up_to: lots}", "A002", "'lots' is no number of characters"),
        ("{type: pattern}", "A002", "a pattern is missing"),
        ("yes or no please", "A003", "'yes or no' takes nothing behind it"),
        ("phone from 3", "A003", "write 'phone' alone"),
        ("{type: number, mim: 3}", "A003", "did you mean 'min'?"),
        ("{type: number, min: 3, above: 3}", "A003", "'from' and 'above' at once"),
        ("{type: number, min: 3, from: 3}", "A003", "says again"),
        ("{type: email, max: 3}", "A003", "'email' takes no 'up_to'"),
        ("number 5 to 1", "A004", "did you mean 'number 1 to 5'?"),
        ("number above 3 below 3", "A004", "nothing lies between 3 and 3"),
        ("date 2026-05-01 to 2026-04-01", "A004", "nothing lies between"),
        ("pattern [A-", "A005", "the pattern cannot be read"),
    ],
)
def test_what_is_refused(source: str, code: str, says: str) -> None:
    shown = problem(source)
    assert f"  {code}  " in shown
    assert says in shown


def test_a_problem_stands_at_its_word() -> None:
    with pytest.raises(FlowError) as caught:
        parse_answer(node("'yes or no please'"))
    assert caught.value.problems[0].position == Position(1, 20)
    assert caught.value.problems[0].length == 6


@pytest.mark.parametrize(
    ("source", "many"), [("0 to 4", (0, 4)), ("2", (2, 2)), ("up to 3", (1, 3)), ("1 to 1", (1, 1))]
)
def test_how_many(source: str, many: tuple[int, int]) -> None:
    assert parse_many(Scalar(source)) == many


@pytest.mark.parametrize("source", ["4 to 0", "0", "some", "", "-1 to 3"])
def test_no_number_of_choices(source: str) -> None:
    with pytest.raises(FlowError, match="many: 0 to 4"):
        parse_many(Scalar(source))


@pytest.mark.parametrize(
    ("source", "language", "said"),
    [
        ("number", "en", "Please send a whole number."),
        ("number 18 to 110", "en", "Please send a whole number from 18 to 110."),
        ("number above low", "en", "Please send a whole number above ${low}."),
        ("number above 0 up to 5", "en", "Please send a whole number above 0 and up to 5."),
        ("date up to today", "en", "Please send a date up to ${today}, such as 4 March 2026."),
        ("text up to 30", "en", "Please send a text of at most 30 characters."),
        ("number 18 to 110", "sw", "Tafadhali tuma nambari kamili kuanzia 18 hadi 110."),
        ("number up to 5", "fr", "Please send a whole number up to 5."),
    ],
)
def test_the_built_in_sorry_tells_the_bounds(source: str, language: str, said: str) -> None:
    found = sorry_for(parse_answer(node(source)), language)
    assert found == said
    parse_template(Scalar(found))


def test_every_answer_type_has_a_sorry_in_every_language() -> None:
    assert DEFAULT_SORRY.keys() == BUILT_IN.keys()
    assert all(words.types.keys() == BUILT_IN.keys() for words in SORRY.values())
    assert not any("{" in said for said in DEFAULT_SORRY.values())


def test_a_near_miss_is_asked_about() -> None:
    choices = (ChoiceSpec("town", "Town"), ChoiceSpec("river", "Riverside"))
    found = read_choice(choices, "riversde", "en")
    assert isinstance(found, answers.Near)
    assert answers.near_question(found) == "Did you mean Riverside? Reply 2."
    assert answers.near_question(found, "sw") == "Je, ulimaanisha Riverside? Jibu 2."
    assert answers.near_question(answers.Near("{34}")) == "Did you mean {34}?"
    assert answers.sorry_for_choices(3) == "Please reply with a number from 1 to 3."


# -- patterns -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_re2")
@pytest.mark.parametrize(
    ("source", "fits", "fails"),
    [
        ("[A-Z]{3}[0-9]+", "ABC12", "ABC"),
        (r"\d{3}-?\d{4}", "123-4567", "123-456"),
        ("(red|green|blue)( light)?", "blue light", "blue lights"),
        (r"[^@\s]+@[^@\s]+", "a@b", "a@b@c"),
        (r"[]x\]]{2}", "]x", "]"),
        ("(?:[A-Z]{2} ?){2,4}", "AB CD", "AB C"),
        ("a|bc", "bc", "ac"),
        (r"\d", "3", "٣"),
    ],
)
def test_patterns_match_the_whole_text(source: str, fits: str, fails: str) -> None:
    matches = answer_pattern.compiled(source)
    assert matches(fits)
    assert not matches(fails)
    assert not matches(f"{fits}\n")


@pytest.mark.usefixtures("without_re2")
@pytest.mark.parametrize(
    "source",
    ["(a+)+", "(a|a)*b", "(a|b|ab)*c", ".*.*.*x", "(a*)*", r"(a)\1", "(?=x)x", "(?i)x", "(?P<n>x)",
     "a{300}", "((a{0,9}){0,9}){0,9}", "(" * 30 + "a" + ")" * 30, "x" * 301, "(a", "a)", "[a",
     "a**", "[[a]b]", "x{,}{,}*"],
)  # fmt: skip
def test_patterns_that_may_take_long_are_refused(source: str) -> None:
    with pytest.raises(answer_pattern.BadPattern):
        answer_pattern.compiled(source)
    found = problem(f"{{type: pattern, pattern: '{source}'}}")
    assert "A005" in found


@pytest.mark.usefixtures("without_re2")
@pytest.mark.parametrize("source", [".*a.*1", "[a-z]*[a-z]*1", "(a|b){0,14}c", "(a?){14}b", "(aa?b?){0,7}c"])
def test_the_slowest_patterns_let_in_are_quick(source: str) -> None:
    matches = answer_pattern.compiled(source)
    started = time.process_time()
    assert not matches("a" * 199 + "!")
    assert not matches("b" * 5000)
    assert time.process_time() - started < 1


def test_with_re2_every_pattern_is_linear() -> None:
    pytest.importorskip("re2")
    answer_pattern.compiled.cache_clear()
    assert answer_pattern.compiled("(a+)+b")("aab")
    assert not answer_pattern.compiled("(a+)+b")("a" * 199)
    assert not answer_pattern.compiled(r"\d")("٣")
    with pytest.raises(answer_pattern.BadPattern, match="cannot be read"):
        answer_pattern.compiled("(?=x)")


# -- answer types of other packages ---------------------------------------------------------------------

COLOURS = {"red", "green"}


def read_colour(text: str, spec: AnswerSpec, _reading: Reading) -> Outcome:
    """Read a colour, and those that the author adds."""
    word = text.strip().lower()
    return Taken(word, "colour") if word in COLOURS | set(spec.words.split()) else Wrong("no colour")


colour = AnswerKind(
    "colour", Type.TEXT, read_colour, settings=frozenset({"words"}), sorry="Please send a colour."
)
no_kind = "something else"


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return what lets a fake package offer an answer type; no package offers any before."""
    points: list[EntryPoint] = []
    module = ModuleType("fake_answers")
    vars(module).update(colour=colour, no_kind=no_kind)
    monkeypatch.setitem(sys.modules, "fake_answers", module)

    def found(group: str, name: str | None = None) -> list[EntryPoint]:
        return [each for each in points if each.group == group and name in (None, each.name)]

    def offer(name: str, value: str) -> None:
        points.append(EntryPoint(name, value, answers.GROUP))

    monkeypatch.setattr(answers, "entry_points", found)
    return offer


def test_another_package_adds_an_answer_type(offered: Callable[[str, str], None]) -> None:
    offered("colour", "fake_answers:colour")
    found = parse_answer(node("colour pink"))
    assert answers.type_of(found) is Type.TEXT
    assert "colour" in answers.names()
    with_colours = Reading("en", None, "UTC", datetime(2026, 11, 23, tzinfo=UTC))
    assert answers.read(found, "Pink ", with_colours) == Taken("pink", "colour")
    assert answers.read(found, "blue", with_colours) == Wrong("no colour")
    assert sorry_for(found) == "Please send a colour."
    assert parse_answer(node("{type: colour, words: pink}")).words == "pink"


@pytest.mark.parametrize("value", ["fake_answers:no_kind", "fake_answers:missing", "no_such_module:x"])
def test_a_package_that_offers_no_answer_type(offered: Callable[[str, str], None], value: str) -> None:
    offered(f"broken_{value[-3:]}", value)
    assert "A006" in problem(f"broken_{value[-3:]}")


def test_packages_are_asked_only_for_unknown_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(**_wanted: str) -> list[EntryPoint]:
        raise AssertionError("looked for packages")

    monkeypatch.setattr(answers, "entry_points", asked)
    for kind in BUILT_IN.values():
        assert answers.kind_of(parse_answer(node(kind.example))) is kind
    with pytest.raises(AssertionError, match="looked for packages"):
        parse_answer(node("unheard_of"))
