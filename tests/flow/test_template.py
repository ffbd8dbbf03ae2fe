"""Texts and expressions: what they may contain, what they mean, and what they say when they cannot."""

from __future__ import annotations

import time as clock
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convo.errors import Fault
from convo.flow.filters import FILTERS, Filter
from convo.flow.problems import FlowError, Position, Severity
from convo.flow.reader import Scalar
from convo.flow.template import CODES, parse_expression, parse_template
from convo.flow.values import Choice, Money, Type, Value, type_of

NOW = datetime(2026, 11, 23, 16, 12, 32, tzinfo=UTC)
SCOPE: dict[str, Value] = {
    "now": NOW,
    "today": NOW.date(),
    "language": "en",
    "started": NOW - timedelta(seconds=92),
    "score": 7,
    "half": Decimal("0.5"),
    "name": "ann LEE o'hara",
    "price": Money("5.5"),
    "opens": time(11, 30),
    "clinic": Choice("town", "Town hall"),
    "many": ("a", "b"),
    "ok": True,
    "day": date(2026, 3, 1),
    "wait": timedelta(hours=2),
}
TYPES = {name: type_of(value) for name, value in SCOPE.items()} | {"unset": Type.NUMBER}


def rendered(text: str) -> str:
    template = parse_template(Scalar(text))
    assert template.check(TYPES) == []
    return template.render(SCOPE)


def worth(text: str) -> Value:
    expression = parse_expression(Scalar(text))
    assert expression.check(TYPES) == []
    result = expression.evaluate(SCOPE)
    assert type_of(result) is expression.infer(TYPES) or expression.infer(TYPES) is Type.TEXT
    assert expression.evaluate(SCOPE) == result
    return result


def code_of(text: str, *, expression: bool = True) -> str:
    """Return the code of the first problem, found while reading or while checking types."""
    try:
        parsed = (parse_expression if expression else parse_template)(Scalar(text))
    except FlowError as error:
        found = list(error.problems)
    else:
        found = parsed.check(TYPES)
    assert found, text
    assert all(problem.code in CODES for problem in found)
    return found[0].code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${now - started} so far.", "1 min 32 s so far."),
        ("${price} ${clinic} ${many} ${ok} ${day} ${opens}", "5.50 Town hall a, b yes 1 Mar 2026 11:30"),
        ("${ -score} ${'${'}x} ${'}'}${'%}'}", "-7 ${x} }%}"),
        ("${10 / 4} ${1.10} ${score / 7} ${1 / 3}", "2.5 1.1 1 0.33333333333333333333"),
        ("{% if ok %}yes{% elif score > 3 %}maybe{% else %}no{% endif %}.", "yes."),
        ("a\n{% if ok %}\nb\n{% endif %}\nc", "a\nb\nc"),
        ("{% if not ok %}\nb\n{% endif %}\nc\n", "c\n"),
        ("one{% if ok %} two{% endif %}\nthree", "one two\nthree"),
        ("{% if unset is set %}${unset}{% else %}nothing{% endif %}", "nothing"),
        ("${unset | default(3)} ${score | default(3)}", "3 7"),
        ("${name | title} ${name | first_word | upper} ${name | lower}", "Ann Lee O'hara ANN ann lee o'hara"),
        ("${2.345 | round(2)} ${2.5 | round} ${price | round} ${ -2.5 | round}", "2.35 3 6.00 -3"),
        ("${now | date_format('%A %e %B %Y, %I:%M %p')}", "Monday 23 November 2026, 04:12 pm"),
        ("${opens | date_format('%H h')} ${day | date_format('%d/%m/%y %a %%')}", "11 h 01/03/26 Sun %"),
        ("${'took ' ~ (now - started) ~ ' ' ~ 1.50 ~ clinic}", "took 1 min 32 s 1.5Town hall"),
        ("{# no comment #} #} 50% } $5", "{# no comment #} #} 50% } $5"),
        ("${'a' if ok else 'b'}${\"it's\"}${'it\\'s'}", "ait'sit's"),
        ("x\r\n${score}", "x\n7"),
    ],
)
def test_rendering(text: str, expected: str) -> None:
    assert rendered(text) == expected


def test_a_text_without_placeholders_is_never_rendered() -> None:
    template = parse_template(Scalar("Hello {you} }% 100%"))
    assert template.constant == "Hello {you} }% 100%" == template.render({})
    assert template.names == frozenset()
    assert parse_template(Scalar("${now}")).constant is None


@given(st.text())
def test_what_a_sender_wrote_stays_text(text: str) -> None:
    for wrapped in (text, "${score} {% if ok %}{{ now }}" + text):
        assert parse_template(Scalar("<${name}>")).render({"name": wrapped}) == f"<{wrapped}>"
        assert parse_expression(Scalar("name ~ '!'")).evaluate({"name": wrapped}) == wrapped + "!"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3),
        ("'x'", "x"),
        ("1.50", Decimal("1.50")),
        ("10m", timedelta(minutes=10)),
        ("yes", True),
        ("not no", True),
        ("1 < 2", True),
        ("'1' ~ 2", "12"),
        ("score + 1", 8),
        ("0.1 + 0.2 == 0.3", True),
        ("score / 2", Decimal("3.5")),
        ("half * 4", 2),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("-7.5 // 2", -4),
        ("-7.5 % 2", Decimal("0.5")),
        ("7 % -3", -2),
        ("price * 1.1", Money("6.05")),
        ("price + 1", Money("6.5")),
        ("price / price", 1),
        ("-price", Money("-5.5")),
        ("now - started", timedelta(seconds=92)),
        ("now - started > 1m and score > 3", True),
        ("started + 24h > now", True),
        ("wait * 1.5", timedelta(hours=3)),
        ("wait / 4", timedelta(minutes=30)),
        ("wait / 30m", 4),
        ("wait % 50m", timedelta(minutes=20)),
        ("day + 3d", date(2026, 3, 4)),
        ("today - day", timedelta(days=267)),
        ("opens == '11:30'", True),
        ("'9:00' < opens", True),
        ("opens >= '11:31'", False),
        ("opens in ('08:00', '11:30')", True),
        ("name == '11:30'", False),
        ("clinic == 'town' and clinic != 'river'", True),
        ("clinic in ('town', 'river')", True),
        ("score not in [1, 2]", True),
        ("'a' in many and 'c' not in many", True),
        ("unset is set", False),
        ("unset is not set", True),
        ("score if unset is not set else unset", 7),
        ("ok == yes", True),
        ("1 < score < 9", True),
        ("(\n score\n + 1)", 8),
    ],
)
def test_evaluating(text: str, expected: Value) -> None:
    result = worth(text)
    assert result == expected
    assert type(result) is type(expected)


def test_moments_are_counted_in_real_time() -> None:
    zone = ZoneInfo("Europe/Berlin")
    before = datetime(2026, 10, 25, 1, 30, tzinfo=zone)
    later = parse_expression(Scalar("at + 24h")).evaluate({"at": before})
    assert later == datetime(2026, 10, 26, 0, 30, tzinfo=zone)
    assert parse_expression(Scalar("b - a")).evaluate({"a": before, "b": later}) == timedelta(hours=24)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{{ name }}", "T004"),
        ("${-score}", "T005"),
        ("${+score}", "T005"),
        ("${score -}", "T005"),
        ("{%- if ok %}{% endif %}", "T005"),
        ("${score", "T001"),
        ("${}", "T001"),
        ("${score +}", "T001"),
        ("${'abc}", "T001"),
        ("{% if ok %}a", "T001"),
        ("{% endif %}", "T001"),
        ("{% if ok", "T001"),
        ("{% for x in many %}{% endfor %}", "T006"),
        ("{% set x = 1 %}", "T006"),
        ("{% include 'x' %}", "T006"),
        ("{% raw %}x{% endraw %}", "T006"),
        ("${name.upper()}", "T006"),
        ("${now, now}", "T006"),
        ("{% if score %}a{% endif %}", "T012"),
        ("${nmae}", "T010"),
        ("${self}", "T013"),
        ("${range(5)}", "T006"),
        ("\ufdd0\ufdd1 ${score}", "T001"),
        ("${name | center(9)}", "T007"),
        ("${now | date_format('%Q')}", "T008"),
        ("{% if ok %}" * 21 + "{% endif %}" * 21, "T002"),
        ("${score}" * 34, "T002"),
    ],
)
def test_refused_in_texts(text: str, code: str) -> None:
    assert code_of(text, expression=False) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "T001"),
        ("()", "T006"),
        ("a b", "T001"),
        ("score = 3", "T001"),
        ("${score} > 3", "T001"),
        ("score ! 3", "T001"),
        ("score}", "T001"),
        ("(score", "T001"),
        ("score)", "T001"),
        ("score if", "T001"),
        ("1 if ok", "T006"),
        ("none", "T006"),
        ("now.year", "T006"),
        ("name[0]", "T006"),
        ("name[0:2]", "T006"),
        ("{'a': 1}", "T006"),
        ("2 ** 3", "T006"),
        ("(1, 2)", "T006"),
        ("score in (score, 2)", "T006"),
        ("''.__class__", "T006"),
        ("name is open", "T009"),
        ("3 is set", "T009"),
        ("score is set(3)", "T009"),
        ("name | uper", "T007"),
        ("name | default", "T008"),
        ("name | default('x', yes)", "T008"),
        ("name | default(value='x')", "T008"),
        ("score | upper", "T008"),
        ("score | round('x')", "T008"),
        ("score | round(99)", "T008"),
        ("score | default('x')", "T015"),
        ("1 if ok else 'a'", "T015"),
        ("yess", "T010"),
        ("name + 'x'", "T011"),
        ("name * 3", "T011"),
        ("'%0100000000d' % 1", "T011"),
        ("score / 0", "T011"),
        ("now + now", "T011"),
        ("now * 2", "T011"),
        ("-name", "T011"),
        ("name < 'x'", "T011"),
        ("today == now", "T011"),
        ("score == 'x'", "T011"),
        ("'x' in name", "T011"),
        ("score in many", "T011"),
        ("score in ('a', 'b')", "T011"),
        ("score and ok", "T012"),
        ("not score", "T012"),
        ("opens > '25:00'", "T013"),
        ("10mm", "T013"),
        ("1.5h", "T013"),
        ("1_000", "T013"),
        ("0x10", "T013"),
        ("1e999999999", "T013"),
        ("9" * 31, "T013"),
        ("+".join(["score"] * 51), "T002"),
        ("(" * 21 + "score" + ")" * 21, "T003"),
        ("not " * 21 + "ok", "T003"),
        ("-" * 21 + "score", "T003"),
        ("- " * 40 + "score", "T003"),
    ],
)
def test_refused_in_expressions(text: str, code: str) -> None:
    assert code_of(text) == code


@pytest.mark.parametrize("name", ["nmae", "nam"])
def test_an_unknown_name_gets_the_nearest_one(name: str) -> None:
    (problem,) = parse_template(Scalar(f"Hi ${{{name}}}")).check(TYPES)
    assert problem.code == "T010"
    assert problem.hint == "did you mean 'name'?"
    assert problem.position == Position(1, 6)
    assert problem.length == len(name)


@pytest.mark.parametrize("text", ["a {score} b", "a $score b", "a { score } b ${ok}"])
def test_a_forgotten_delimiter_is_warned_of(text: str) -> None:
    (problem,) = parse_template(Scalar(text)).check(TYPES)
    assert problem.code == "T014"
    assert problem.severity is Severity.WARNING
    assert problem.position.column == 3
    assert parse_template(Scalar("{nothing} $5 $nothing")).check(TYPES) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Scalar("Hi ${nmae}", Position(3, 10)), Position(3, 15)),
        (Scalar("Hi ${nmae}", Position(3, 10), quoted=True, length=12), Position(3, 16)),
        (Scalar("Hi ${nmae}", Position(3, 10), quoted=True, length=15), Position(3, 10)),
        (Scalar("Hi ${nmae}", Position(3, 10), length=3), Position(3, 10)),
        (Scalar("Hi\n${nmae}", Position(3, 10), quoted=True, block=True, length=1), Position(3, 10)),
    ],
)
def test_a_problem_points_at_the_word_where_the_file_shows_it(source: Scalar, expected: Position) -> None:
    (problem,) = parse_template(source).check(TYPES)
    assert problem.position == expected


@pytest.mark.parametrize(
    "text",
    ["unset", "unset + 1", "-unset", "unset ~ 'x'", "unset | round", "unset == 1", "not unset", "unset < 1",
     "unset in many", "1 if unset else 2", "unset | default(unset)"],
)  # fmt: skip
def test_an_unset_name_is_a_fault_that_names_it(text: str) -> None:
    with pytest.raises(Fault, match="'unset' is not set"):
        parse_expression(Scalar(text)).evaluate(SCOPE)
    with pytest.raises(Fault, match="'unset' is not set"):
        parse_template(Scalar(f"${{ {text} }}")).render(SCOPE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("score / (score - 7)", "division by zero"),
        ("score % (score - 7)", "division by zero"),
        ("wait / (score - 7)", "division by zero"),
        ("wait // (wait - wait)", "division by zero"),
        ("*".join(["score"] * 45), "too large"),
        ("0.5 * " + "9" * 30 + " * 10", "too large"),
        ("now + 99999999w", "calendar"),
        ("wait * 99999999999999", "longest"),
        ("day + 5h", "whole days"),
        ("name + 1", "does not work"),
        ("ok + 1", "does not work"),
        ("name < 3", "cannot be worked out"),
        ("long ~ long", "longer than"),
    ],
)
def test_what_has_no_result_is_a_fault(text: str, reason: str) -> None:
    scope = {**SCOPE, "long": "x" * 6000}
    with pytest.raises(Fault, match=reason) as caught:
        parse_expression(Scalar(text)).evaluate(scope)
    assert "LEE" not in str(caught.value)
    with pytest.raises(Fault, match=reason):
        parse_template(Scalar(f"${{ {text} }}")).render(scope)


def test_numbers_never_grow_without_end() -> None:
    doubled, squared = parse_expression(Scalar("x + x / 3")), parse_expression(Scalar("x * x"))
    start: Value = Decimal("1.1")
    with pytest.raises(Fault, match="too large"):
        reduce(lambda value, _: doubled.evaluate({"x": value}), range(10_000), start)
    value = reduce(lambda value, _: doubled.evaluate({"x": value}), range(200), start)
    assert len(str(value)) < 60
    with pytest.raises(Fault, match="too large"):
        squared.evaluate({"x": squared.evaluate({"x": 10**20})})


def test_names_and_types() -> None:
    expression = parse_expression(Scalar("now - started > 10m and unset is set"))
    assert expression.names == {"now", "started", "unset"}
    assert expression.infer(TYPES) is Type.YES_NO
    with pytest.raises(FlowError):
        parse_expression(Scalar("yess")).infer(TYPES)
    assert parse_template(Scalar("{% if ok %}${name}{% endif %}")).names == {"ok", "name"}
    assert parse_expression(Scalar("tries + 1")).infer({}) is Type.NUMBER


def test_a_filter_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    backwards = Filter(lambda text: text[::-1], frozenset((Type.TEXT,)), Type.TEXT)
    monkeypatch.setitem(FILTERS, "backwards", backwards)
    assert rendered("${name | backwards}") == "arah'o EEL nna"
    bad = Filter(lambda text: 1 / 0, frozenset((Type.TEXT,)), Type.TEXT)
    monkeypatch.setitem(FILTERS, "bad", bad)
    monkeypatch.setitem(FILTERS, "worse", Filter(lambda text: 1.5, frozenset((Type.TEXT,)), Type.TEXT))
    for name in ("bad", "worse"):
        with pytest.raises(Fault):
            parse_template(Scalar(f"${{name | {name}}}")).render(SCOPE)


PARTS = st.one_of(
    st.sampled_from(
        ["${", "}", "{%", "%}", "if", "else", "elif", "endif", "for", "set", "raw", "{{", "}}", "{#"]
    ),
    st.sampled_from(["score", "name", "now", "ok", "wait", "many", "1", "2.5", "10m", "'x'", "self", "none"]),
    st.sampled_from(
        [*"()[]{},.:|~+-*/%<=\"'\\\n", "//", "**", "==", "in", "is", "not", "and", "or", "range"]
    ),
)


@settings(max_examples=400, deadline=1000)
@given(st.lists(PARTS, max_size=60).map(" ".join), st.booleans())
def test_any_text_is_read_or_refused(text: str, expression: bool) -> None:
    began = clock.perf_counter()
    try:
        parsed = (parse_expression if expression else parse_template)(Scalar(text))
        if not parsed.check(TYPES):
            parsed.evaluate(SCOPE) if expression else parsed.render(SCOPE)
    except (FlowError, Fault):
        pass
    assert clock.perf_counter() - began < 1


@pytest.mark.parametrize(
    "text",
    ["score" + " + score" * 49, "score" + " | round" * 49, "1" + " ~ 1" * 49, "1 if ok else " * 24 + "2",
     "(" * 20 + "score" + ")" * 20, "not " * 20 + "ok", "score == " * 49 + "score", "ok and " * 49 + "ok"],
)  # fmt: skip
def test_the_largest_expressions_compile_quickly(text: str) -> None:
    began = clock.perf_counter()
    worth(text)
    assert clock.perf_counter() - began < 0.5
