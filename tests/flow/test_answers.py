"""What texts mean as answers: the tables in the docstrings of the readers are the cases."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convo.errors import Fault
from convo.flow import answer_choices, answers
from convo.flow.answer_choices import ChoiceSpec, read_choice, read_many
from convo.flow.answers import BUILT_IN, Near, Outcome, Reading, Taken, Wrong, parse_answer, read
from convo.flow.reader import Scalar
from convo.flow.values import Money, Type, Value, show, type_of

NOW = datetime(2026, 11, 23, 16, 12, tzinfo=UTC)
CHOICES = (
    ChoiceSpec("town", "Town", ("city",)),
    ChoiceSpec("river", "Riverside"),
    ChoiceSpec("other", "Another"),
)


def reading(language: str = "en", country: str | None = None, zone: str = "UTC", **scope: Value) -> Reading:
    """Return what texts are read with here: Monday the 23rd of November 2026, 16:12 UTC."""
    return Reading(language, country, zone, NOW, scope)


def answer(spec: str, text: str, **more: str) -> Outcome:
    """Read a text by an answer type as an author writes it."""
    return read(parse_answer(Scalar(spec)), text, reading(**more))


def told(outcome: Outcome) -> str:
    """Return an outcome as the tables write it."""
    match outcome:
        case Taken(value):
            return show(value, "en", UTC) or "nothing"
        case Near(suggestion, None):
            return f"near {suggestion}"
        case Near(suggestion, number):
            return f"near {suggestion} {number}"
        case _:
            return "wrong"


def lines(function: object) -> Iterator[tuple[str, str]]:
    """Yield the lines of a docstring's tables, each below the heading that it belongs to."""
    heading = ""
    for line in (inspect.getdoc(function) or "").splitlines():
        row = re.fullmatch(r"    (.+?) -> (.+)", line)
        if row is None:
            heading += f" {line}"
        else:
            yield heading, line.strip()
        if not line:
            heading = "" if row is None and not heading.rstrip().endswith(":") else heading


def tables() -> Iterator[tuple[str, str, str, str, str]]:
    """Yield each line of the docstrings: answer type, spec, country, text, outcome."""
    for name, kind in BUILT_IN.items():
        for heading, line in lines(kind.parse):
            found = re.findall(rf"[Oo]f\s+``({name}[^`]*)``(?: in ([A-Z]{{2}}))?", heading)
            text, _, outcome = line.rpartition(" -> ")
            yield name, found[-1][0], found[-1][1], text, outcome


@pytest.mark.parametrize(("name", "spec", "country", "text", "outcome"), list(tables()))
def test_the_tables_of_the_answer_types_are_true(
    name: str, spec: str, country: str, text: str, outcome: str
) -> None:
    found = answer(spec, text, country=country)
    assert told(found) == outcome
    if isinstance(found, Taken):
        kind = answers.type_of(parse_answer(Scalar(spec)))
        assert type_of(found.value) is kind
        assert found.how


def test_every_answer_type_has_a_table() -> None:
    assert {name for name, *_ in tables()} == BUILT_IN.keys() - {"anything"}


@pytest.mark.parametrize(("_heading", "line"), list(lines(read_choice)))
def test_the_table_of_one_choice_is_true(_heading: str, line: str) -> None:
    text, _, outcome = line.rpartition(" -> ")
    assert told(read_choice(CHOICES, text, "en")) == outcome


@pytest.mark.parametrize(("_heading", "line"), list(lines(read_many)))
def test_the_table_of_several_choices_is_true(_heading: str, line: str) -> None:
    text, _, outcome = line.rpartition(" -> ")
    assert told(read_many(CHOICES, text, 0, 2, "en")) == outcome


@pytest.mark.parametrize(
    ("spec", "country", "text"),
    [row[1:4] for row in tables() if row[4].startswith("near ")],
)
def test_what_is_suggested_would_be_taken(spec: str, country: str, text: str) -> None:
    found = answer(spec, text, country=country)
    assert isinstance(found, Near)
    for suggestion in found.suggestion.split(" or "):
        again = answer(spec, suggestion, country=country)
        assert isinstance(again, Taken), suggestion


def test_anything_takes_the_text_as_it_is() -> None:
    assert answer("anything", "  a\n") == Taken("  a\n", "anything")
    assert answer("anything", "") == Taken("", "anything")
    assert answer("text", "  \u200b ") == Wrong("empty")


@pytest.mark.parametrize(
    ("spec", "inside", "outside"),
    [
        ("number 18 to 110", ["18", "110"], ["17", "111", "-18"]),
        ("number from 18", ["18", "19"], ["17"]),
        ("number above 18", ["19"], ["18"]),
        ("number up to 18", ["18", "-4"], ["19"]),
        ("number below 18", ["17"], ["18"]),
        ("number above 0 below 3", ["1", "2"], ["0", "3"]),
        ("number -5 to -2", ["-5", "-2"], ["-6", "2"]),
        ("decimal 34.5 to 43", ["34.5", "43"], ["34.49", "43.01"]),
        ("money above 0", ["0.01"], ["0", "-1"]),
        ("date 2026-01-01 to 2026-12-31", ["1/1", "31/12/2026"], ["31/12/2025", "1/1/2027"]),
        ("date from tomorrow_", ["25/11/2026"], ["24/11/2026"]),
        ("date above today", ["tomorrow"], ["today"]),
        ("time 08:00 to 17:30", ["8", "17:30"], ["7:59am", "17:31"]),
        (
            "moment 2026-12-01 to 2026-12-02T08:30",
            ["1/12 0:00", "2/12 8:30"],
            ["2/12/2026 8:31", "30/11/2026 23:59"],
        ),
        ("moment up to today", ["23/11 23:59"], ["24/11/2026 0:00"]),
        ("duration 10m to 8h", ["10m", "8 hours"], ["9m", "8h1"]),
    ],
)
def test_bounds(spec: str, inside: list[str], outside: list[str]) -> None:
    parsed = parse_answer(Scalar(spec))
    given_data = reading(tomorrow_=date(2026, 11, 25))
    for text in inside:
        assert isinstance(read(parsed, text, given_data), Taken), text
    for text in outside:
        assert isinstance(read(parsed, text, given_data), Wrong), text


def test_bounds_may_be_names_of_data() -> None:
    spec = parse_answer(Scalar("number above low up to 10"))
    assert answers.names_of(spec) == {"low"}
    assert read(spec, "3", reading(low=3)) == Wrong("not above 3")
    assert read(spec, "4", reading(low=3)) == Taken(4, "number")
    assert read(spec, "4", reading(low=Decimal("3.5"))) == Taken(4, "number")
    with pytest.raises(Fault, match="'low' of an answer is not set"):
        read(spec, "4", reading())
    with pytest.raises(Fault, match="cannot be compared"):
        read(spec, "4", reading(low="3"))


def test_today_is_the_day_in_the_zone() -> None:
    assert answer("date", "today", zone="Pacific/Auckland") == Taken(date(2026, 11, 24), "day word")
    spec = parse_answer(Scalar("date up to today"))
    assert read(spec, "today", reading(today=date(2020, 2, 2))) == Taken(date(2020, 2, 2), "day word")


def test_values_are_exact_and_of_their_types() -> None:
    assert answer("decimal", "0.1") == Taken(Decimal("0.1"), "number")
    found = answer("money", "5")
    assert isinstance(found, Taken)
    assert isinstance(found.value, Money)
    assert answer("duration", "1h30") == Taken(timedelta(minutes=90), "duration")
    assert answer("time", "8") == Taken(time(8), "time")
    moment = answer("moment", "4 March 2026 8:30", zone="Africa/Nairobi")
    assert moment == Taken(datetime(2026, 3, 4, 5, 30, tzinfo=UTC), "day and month")


def test_daylight_saving() -> None:
    assert answer("moment", "29 March 2026 2:30", zone="Europe/Berlin") == Wrong("the clocks skip this time")
    twice = answer("moment", "25 October 2026 2:30", zone="Europe/Berlin")
    assert isinstance(twice, Taken)
    assert isinstance(twice.value, datetime)
    assert twice.value.astimezone(UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "spec", "text", "outcome"),
    [
        ("sw", "yes or no", "Ndiyo!", "yes"),
        ("sw", "yes or no", "la", "no"),
        ("sw", "yes or no", "yes", "yes"),
        ("es", "yes or no", "Sí", "yes"),
        ("de", "yes or no", "nein", "no"),
        ("fr", "yes or no", "d’accord", "yes"),
        ("en", "yes or no", "oui", "wrong"),
        ("sw", "number", "kumi na mbili", "12"),
        ("es", "number", "once", "11"),
        ("en", "number", "once", "wrong"),
        ("sw", "date", "jana", "22 Nov 2026"),
        ("sw", "date", "4 Machi", "4 Mar 2027"),
        ("de", "date", "4. März 2026", "4 Mar 2026"),
        ("es", "date", "4 de marzo de 2026", "4 Mar 2026"),
        ("fr", "date", "1er mai 2026", "1 May 2026"),
        ("fr", "time", "midi", "12:00"),
        ("de", "duration", "2 Stunden und 5 Minuten", "2 h 5 min"),
        ("pt-BR", "yes or no", "yes", "yes"),
    ],
)
def test_other_languages(language: str, spec: str, text: str, outcome: str) -> None:
    assert told(answer(spec, text, language=language)) == outcome


def test_choices_in_other_languages() -> None:
    assert told(read_choice(CHOICES, "mbili", "sw")) == "Riverside"
    assert told(read_choice(CHOICES, "mbili", "en")) == "wrong"
    assert told(read_many(CHOICES, "moja na tatu", 0, 3, "sw")) == "Town, Another"


def test_a_label_that_is_a_number_without_a_place_is_a_label() -> None:
    sizes = (ChoiceSpec("small", "10"), ChoiceSpec("large", "20"))
    assert read_choice(sizes, "20", "en") == Taken("large", "label")
    assert read_choice(sizes, "2", "en") == Taken("large", "number")


def test_a_beginning_that_two_labels_have_is_asked_about() -> None:
    places = (ChoiceSpec("a", "Riverside"), ChoiceSpec("b", "Rivertown"), ChoiceSpec("c", "Hill"))
    assert read_choice(places, "river", "en") == Near("Riverside (1) or Rivertown (2)")
    assert read_choice(places, "rivert", "en") == Taken("b", "beginning")


@pytest.mark.parametrize(
    ("low", "high", "text", "outcome"),
    [
        (1, 3, "none", "wrong"),
        (1, 3, "2", "Riverside"),
        (2, 2, "2", "wrong"),
        (2, 2, "1 2", "Town, Riverside"),
        (0, 3, "", "wrong"),
        (0, 3, "1 Riverside", "wrong"),
        (0, 3, "Town; Another", "Town, Another"),
    ],
)
def test_how_many(low: int, high: int, text: str, outcome: str) -> None:
    assert told(read_many(CHOICES, text, low, high, "en")) == outcome


def test_choices_that_would_mislead() -> None:
    found = answer_choices.choice_problems(
        (
            ChoiceSpec("first", "2"),
            ChoiceSpec("two", "Second"),
            ChoiceSpec("third", "One", ("SECOND!",)),
            ChoiceSpec("ten", "10"),
        )
    )
    assert sorted(found) == [
        (0, "'2' would choose number 2, which is 'Second'"),
        (2, "'One' would choose number 1, which is '2'"),
        (2, "'SECOND!' is also a name of 'Second'"),
    ]
    assert answer_choices.choice_problems(CHOICES) == []
    assert answer_choices.choice_problems((ChoiceSpec("mbili", "Mbili"), ChoiceSpec("b", "B")), "sw") != []
    assert answer_choices.choice_problems((ChoiceSpec("mbili", "Mbili"), ChoiceSpec("b", "B")), "en") == []


SPECS = [parse_answer(Scalar(each.example)) for each in BUILT_IN.values()]


@given(st.text(max_size=60), st.sampled_from(["en", "sw", "xx"]), st.sampled_from([None, "US", "DE", "CA"]))
def test_no_text_breaks_a_reader(text: str, language: str, country: str | None) -> None:
    for spec in SPECS:
        found = read(spec, text, reading(language, country))
        if isinstance(found, Taken):
            assert type_of(found.value) is answers.type_of(spec)
    for outcome in (read_choice(CHOICES, text, language), read_many(CHOICES, text, 0, 3, language)):
        assert isinstance(outcome, Taken | Near | Wrong)


@given(st.text("0123456789/-. :,hmapM+€$and", max_size=20))
def test_no_figures_break_a_reader(text: str) -> None:
    for spec in SPECS:
        assert isinstance(read(spec, text, reading()), Taken | Near | Wrong)


@given(st.integers(-(10**15) + 1, 10**15 - 1))
def test_every_whole_number_is_itself(number: int) -> None:
    assert answer("number", str(number)) == Taken(number, "number")
    assert answer("number", f" {number:,}. ") == Taken(number, "number")


@given(st.dates(date(1947, 1, 1), date(2106, 1, 1)))
def test_every_date_is_itself(day: date) -> None:
    for text in (day.isoformat(), f"{day:%d/%m/%Y}", show(day), f"{day:%B} {day.day}, {day.year}"):
        found = answer("date", text)
        assert isinstance(found, Taken)
        assert found.value == day


def test_types() -> None:
    found = {name: answers.type_of(parse_answer(Scalar(kind.example))) for name, kind in BUILT_IN.items()}
    assert found["email"] is found["phone"] is found["pattern"] is Type.TEXT
    assert found["decimal"] is Type.NUMBER
    assert found["yes or no"] is Type.YES_NO
