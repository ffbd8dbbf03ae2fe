"""What an author may write after ``|`` in a text or an expression; other packages add their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from importlib.metadata import entry_points

from convo.errors import ConfigError, Fault
from convo.flow.arithmetic import rounded
from convo.flow.values import WORDS, Type, Value


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter: ``function(value, *arguments)`` gives the new value.

    ``takes`` are the types it can be given, ``arguments`` the types of what stands in its parentheses,
    of which the first ``required`` must be there. ``result`` None means the type that it was given.
    ``complaint`` looks at the arguments that are written out and says what is wrong, or nothing.
    A moment comes in the zone of the flow. Whatever the function raises undoes the step.
    """

    function: Callable[..., Value]
    takes: frozenset[Type]
    result: Type | None = None
    arguments: tuple[Type, ...] = ()
    required: int = 0
    complaint: Callable[..., str] | None = None


def _default(value: Value, _otherwise: Value) -> Value:
    return value


def _title(value: str) -> str:
    return re.sub(r"\S+", lambda word: word[0][:1].upper() + word[0][1:].lower(), value)


def _first_word(value: str) -> str:
    words = value.split(None, 1)
    return words[0] if words else ""


def _round(value: int | Decimal, decimals: int | Decimal = 0) -> Value:
    if decimals != int(decimals):
        raise Fault("the decimals to round to are a whole number")
    return rounded(value, int(decimals))


def _round_complaint(decimals: Value = 0) -> str:
    fine = isinstance(decimals, int) and 0 <= decimals <= 20
    return "" if fine else "numbers are rounded to 0 to 20 decimals"


def _date_format(value: date | time, pattern: str) -> str:
    """Write a date, time or moment by a pattern of ``%`` letters, the same on every machine."""
    if complaint := _date_complaint(pattern):
        raise Fault(complaint)
    words = WORDS["en"]

    def written(letter: str) -> str:
        if letter == "%":
            return "%"
        if letter in "HMSI":
            if isinstance(value, date) and not isinstance(value, datetime):
                raise Fault(f"a date has no time of day for %{letter}")
            hour = value.hour % 12 or 12 if letter == "I" else value.hour
            return f"{ {'M': value.minute, 'S': value.second}.get(letter, hour):02d}"
        if letter == "p":
            if isinstance(value, date) and not isinstance(value, datetime):
                raise Fault("a date has no time of day for %p")
            return "am" if value.hour < 12 else "pm"
        if not isinstance(value, date):
            raise Fault(f"a time of day has no date for %{letter}")
        weekday = words.weekdays[value.weekday()]
        return {
            "d": f"{value.day:02d}",
            "e": f"{value.day}",
            "m": f"{value.month:02d}",
            "b": words.months[value.month - 1],
            "B": words.long_months[value.month - 1],
            "y": f"{value.year % 100:02d}",
            "Y": f"{value.year:04d}",
            "a": weekday[:3],
            "A": weekday,
        }[letter]

    return re.sub("%(.)", lambda found: written(found[1]), pattern, flags=re.DOTALL)


def _date_complaint(pattern: Value) -> str:
    rest = re.sub(f"%[{DATE_LETTERS}%]", "", str(pattern))
    if rest == str(pattern):
        return f"'{pattern}' holds nothing of a date; write for example '%d/%m' or '%H:%M'"
    if "%" not in rest:
        return ""
    letter = rest.partition("%")[2][:1]
    return f"%{letter} is no part of a date; there are " + " ".join(f"%{each}" for each in DATE_LETTERS)


DATE_LETTERS = "dembByYaAHMSIp"
"""What ``date_format`` knows: as in strftime, and ``%e`` is the day without a zero before it."""

_ANY = frozenset(Type)
_WORDS = frozenset((Type.TEXT, Type.CHOICE))

FILTERS: dict[str, Filter] = {
    # The one filter that may be given a name that is not set: template.py looks after that.
    "default": Filter(_default, _ANY, None, (Type.TEXT,), 1),
    "round": Filter(
        _round, frozenset((Type.NUMBER, Type.MONEY)), None, (Type.NUMBER,), complaint=_round_complaint
    ),
    "upper": Filter(str.upper, _WORDS, Type.TEXT),
    "lower": Filter(str.lower, _WORDS, Type.TEXT),
    "title": Filter(_title, _WORDS, Type.TEXT),
    "first_word": Filter(_first_word, _WORDS, Type.TEXT),
    "date_format": Filter(
        _date_format,
        frozenset((Type.DATE, Type.TIME, Type.MOMENT)),
        Type.TEXT,
        (Type.TEXT,),
        1,
        _date_complaint,
    ),
}
"""The filters of this package by name."""

GROUP = "convo.filters"
"""The entry point group in which other packages offer filters."""

_loaded: dict[str, Filter] = {}


def filter_of(name: str) -> Filter | None:
    """Return the filter of that name: ours, or one that another package offers, loaded when first named.

    Raises:
        ConfigError: a package offers it and it cannot be loaded.
    """
    known = FILTERS.get(name) or _loaded.get(name)
    if known is not None:
        return known
    for point in entry_points(group=GROUP, name=name):
        try:
            found = point.load()
        except Exception as wrong:
            what = f"the filter '{name}' ({point.value}) cannot be loaded: {type(wrong).__name__}"
            raise ConfigError(f"{what}; see to the package that offers it") from wrong
        if not isinstance(found, Filter):
            raise ConfigError(f"the filter '{name}' ({point.value}) is no Filter; see to its package")
        _loaded[name] = found
        return found
    return None


def loaded() -> dict[str, Filter]:
    """Return every filter that is known so far."""
    return {**FILTERS, **_loaded}
