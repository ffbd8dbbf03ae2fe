"""Values keep their type through the store, and look in a text as people write them."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convo.errors import Fault
from convo.flow.values import Choice, Money, Type, decode, encode, parse_duration, show, type_of

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ZONES = st.sampled_from(["Africa/Nairobi", "Australia/Sydney", "Europe/Berlin", "UTC"]).map(ZoneInfo)
TEXTS = st.text(st.characters(codec=None))
VALUES = st.one_of(
    TEXTS,
    st.integers(),
    st.booleans(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.decimals(-(10**9), 10**9, places=2).map(Money),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.datetimes(
        min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone itself
        timezones=st.one_of(st.just(UTC), OFFSETS, ZONES),
    ),
    st.lists(TEXTS).map(tuple),
    st.builds(Choice, TEXTS, TEXTS),
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES))
def test_data_comes_back_from_the_store_as_it_was(data: dict[str, object]) -> None:
    back = decode(encode(data))
    assert back == data
    for name, value in data.items():
        assert type(back[name]) is type(value)
        if isinstance(value, datetime):
            assert back[name].isoformat() == value.isoformat()
            assert str(back[name].tzinfo) == str(value.tzinfo)
        elif not isinstance(value, time):  # its 'fold' means nothing without a zone
            assert repr(back[name]) == repr(value)
        assert type_of(back[name]) is type_of(value)


def test_lone_surrogates_stay_apart() -> None:
    torn = "\ud83d" + "\ude00"
    assert decode(encode({"text": torn, "half": "\ud83d"})) == {"text": torn, "half": "\ud83d"}
    assert len(decode(encode({"text": torn}))["text"]) == 2


def test_an_hour_that_comes_twice_stays_the_one_it_was() -> None:
    second = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    back = decode(encode({"at": second}))["at"]
    assert back.astimezone(UTC) == second.astimezone(UTC)


@pytest.mark.parametrize(
    "value",
    [1.5, None, Decimal("NaN"), Decimal("Infinity"), datetime(2026, 1, 1), time(1, tzinfo=UTC), (1,), {}],  # noqa: DTZ001
)
def test_what_is_no_value_cannot_be_stored(value: object) -> None:
    with pytest.raises(Fault):
        encode({"x": value})


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "1", '{"a": null}', '{"a": 1.5}', '{"a": {"moon": "x"}}', '{"a": {"number": "x"}}',
     '{"a": {"money": "NaN"}}', '{"a": {"number": "Infinity"}}',
     '{"a": {"duration": 1e99}}', '{"a": {"duration": "x"}}', '{"a": {}}',
     '{"a": {"moment": "2026-01-01T00:00:00+00:00[No/Zone]"}}', '{"a": [1]}', '{"a": {"text": "zz"}}',
     '{"a": {"choice": ["x"]}}'],
)  # fmt: skip
def test_damaged_data_is_a_fault(text: str) -> None:
    with pytest.raises(Fault, match="stored data cannot be read"):
        decode(text)


MOMENT = datetime(2026, 11, 23, 16, 12, 32, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (timedelta(seconds=92), "1 min 32 s"),
        (timedelta(0), "0 s"),
        (timedelta(seconds=-5), "-5 s"),
        (timedelta(milliseconds=999), "0 s"),
        (timedelta(milliseconds=-999), "0 s"),
        (timedelta(milliseconds=-1999), "-1 s"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
        (timedelta(days=3, hours=4), "3 days 4 h"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=1, seconds=7), "1 day 7 s"),
        (MOMENT, "23 Nov 2026, 16:12"),
        (MOMENT.astimezone(ZoneInfo("Africa/Nairobi")), "23 Nov 2026, 19:12"),
        (date(2026, 3, 4), "4 Mar 2026"),
        (time(6, 5), "06:05"),
        (1234567, "1234567"),
        (-3, "-3"),
        (Decimal("1.50"), "1.5"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.0"), "0"),
        (Decimal("2.00"), "2"),
        (Money("5"), "5.00"),
        (Money("-0.001"), "0.00"),
        (Money("2.675"), "2.68"),
        (True, "yes"),
        (False, "no"),
        ("as it is", "as it is"),
        (Choice("town", "Town hall"), "Town hall"),
        (Choice("town"), "town"),
        (("a", Choice("b", "Bee")), "a, Bee"),
    ],
)
def test_show(value: object, shown: str) -> None:
    assert show(value) == shown
    assert show(value, "xx") == shown


def test_a_moment_is_shown_in_the_zone_asked_for() -> None:
    assert show(MOMENT, "en", ZoneInfo("Australia/Sydney")) == "24 Nov 2026, 03:12"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("24h", 86400), ("3d", 259200), ("2w", 1209600), (" 1s ", 1), ("0s", 0)],
)
def test_parse_duration(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "m", "1.5h", "-5s", "10 m", "1h30m", "999999999w", "٣d", "5S"])
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


def test_types() -> None:
    assert type_of(True) is Type.YES_NO
    assert type_of(1) is Type.NUMBER
    assert type_of(MOMENT) is Type.MOMENT
    assert type_of(MOMENT.date()) is Type.DATE
    assert type_of(Money(1)) is Type.MONEY
    assert type_of(("a",)) is Type.CHOICES
    with pytest.raises(Fault):
        type_of(1.5)


def test_a_choice_is_its_id_and_survives_copies() -> None:
    choice = Choice("town", "Town")
    assert choice == "town"
    for other in (copy.copy(choice), copy.deepcopy(choice), pickle.loads(pickle.dumps(choice))):
        assert other == "town"
        assert other.label == "Town"
