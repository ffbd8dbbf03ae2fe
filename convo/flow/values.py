"""The values that data may hold, their types, and how they look in a text and in the store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from convo.errors import Fault

Value = str | int | Decimal | bool | date | time | datetime | timedelta | tuple[str, ...]
"""What a name may hold: never a float, never None; moments are aware, times of day are not."""


class Type(StrEnum):
    """The type of a name; each name has one throughout a flow."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    YES_NO = "yes or no"
    CHOICE = "choice"
    CHOICES = "choices"
    DATE = "date"
    TIME = "time"
    MOMENT = "moment"
    DURATION = "duration"
    HOURS = "opening hours"


class Money(Decimal):
    """An amount with two decimals: a third one rounds half away from zero."""

    def __new__(cls, value: Decimal | int | str) -> Money:
        """Make an amount; raises decimal.InvalidOperation for what is no finite number."""
        return super().__new__(cls, _finite(value).quantize(_CENT, context=_MONEY))


class Choice(str):
    """The choice that a sender made: the id in expressions, its ``label`` in texts."""

    __slots__ = ("label",)
    label: str

    def __new__(cls, identity: str, label: str = "") -> Choice:
        """Make a choice; without a label its id is shown."""
        choice = super().__new__(cls, identity)
        choice.label = label or identity
        return choice

    def __reduce__(self) -> tuple[type[Choice], tuple[str, str]]:
        """Let copies and pickles keep the label."""
        return (Choice, (str(self), self.label))


def type_of(value: Value) -> Type:
    """Return the type of a value; a Fault where it is none that data may hold."""
    found = _TYPES.get(type(value))
    if found is not None:
        return found
    for python_type, each in _TYPES.items():
        if isinstance(value, python_type):
            return each
    raise _no_value(value)


def _no_value(value: object) -> Fault:
    return Fault(f"a {type(value).__name__} is no value that data can hold")


def parse_duration(text: str) -> timedelta | None:
    """Return the duration that ``90s``, ``10m``, ``24h``, ``3d`` or ``2w`` stands for; else None."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text.strip())
    if found is None:
        return None
    try:
        return int(found[1]) * _UNITS[found[2]]
    except OverflowError:
        return None


def encode(data: Mapping[str, Value]) -> str:
    """Return data as JSON text from which ``decode`` makes the same values of the same types.

    Plain JSON for texts, whole numbers, yes/no and lists of choices; anything else is an object whose
    one key names the type. A Fault where a value is none that data may hold.
    """
    return encode_packed(packed(data))


def encode_packed(data: Mapping[str, object]) -> str:
    """Return data that are packed already as ``encode`` does."""
    return _ENCODER.encode(data)


def packed(data: Mapping[str, Value]) -> dict[str, object]:
    """Return data as ``encode`` writes it, for what is written around it; a Fault as from ``encode``."""
    try:
        return {name: _packed(value) for name, value in data.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise Fault(f"data cannot be stored ({type(error).__name__})") from None


def decode(text: str) -> dict[str, Value]:
    """Return the data that ``encode`` wrote; a Fault where the text is something else."""
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise TypeError
        return {name: _unpacked(value) for name, value in found.items()}
    except (TypeError, ValueError, LookupError, ArithmeticError, RecursionError, OSError) as error:
        raise Fault(f"stored data cannot be read ({type(error).__name__})") from None


def show(value: Value, language: str = "en", zone: tzinfo | None = None) -> str:
    """Return a value as people read it in a text: ``1 min 32 s``, ``23 Nov 2026, 16:12``, ``5.50``.

    Durations are cut to whole seconds, towards zero. A moment is told in ``zone``, or else in the zone
    it carries. A language without words of its own gets the English ones.
    """
    words = WORDS.get(language, WORDS["en"])
    kind = type_of(value)
    if isinstance(value, Choice):
        return value.label
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return words.yes if value else words.no
    if isinstance(value, int | Decimal):
        return _shown_number(value, words, money=kind is Type.MONEY)
    if isinstance(value, timedelta):
        return _shown_duration(value, words)
    if isinstance(value, datetime):
        local = value if zone is None else value.astimezone(zone)
        return f"{_shown_date(local, words)}, {local:%H:%M}"
    if isinstance(value, date):
        return _shown_date(value, words)
    if isinstance(value, time):
        return f"{value:%H:%M}"
    return ", ".join(show(each, language) for each in value)


@dataclass(frozen=True, slots=True)
class Words:
    """How a language writes values. Each unit of time: one of it, and several."""

    yes: str
    no: str
    point: str
    months: tuple[str, ...]
    long_months: tuple[str, ...]
    weekdays: tuple[str, ...]
    units: tuple[tuple[timedelta, str, str], ...]


_SECOND, _MINUTE, _HOUR, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(1)
_UNITS = {"s": _SECOND, "m": _MINUTE, "h": _HOUR, "d": _DAY, "w": 7 * _DAY}
_LONG_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

WORDS: Mapping[str, Words] = MappingProxyType(
    {
        "en": Words(
            yes="yes",
            no="no",
            point=".",
            months=tuple(month[:3] for month in _LONG_MONTHS),
            long_months=_LONG_MONTHS,
            weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
            units=((_DAY, "day", "days"), (_HOUR, "h", "h"), (_MINUTE, "min", "min"), (_SECOND, "s", "s")),
        ),
        "sw": Words(
            yes="ndiyo",
            no="hapana",
            point=".",
            months=("Jan", "Feb", "Mac", "Apr", "Mei", "Jun", "Jul", "Ago", "Sep", "Okt", "Nov", "Des"),
            long_months=(
                *("Januari", "Februari", "Machi", "Aprili", "Mei", "Juni"),
                *("Julai", "Agosti", "Septemba", "Oktoba", "Novemba", "Desemba"),
            ),
            weekdays=("Jumatatu", "Jumanne", "Jumatano", "Alhamisi", "Ijumaa", "Jumamosi", "Jumapili"),
            units=(
                *((_DAY, "siku", "siku"), (_HOUR, "saa", "saa")),
                *((_MINUTE, "dak", "dak"), (_SECOND, "sek", "sek")),
            ),
        ),
        "es": Words(
            yes="sí",
            no="no",
            point=",",
            months=("ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic"),
            long_months=(
                *("enero", "febrero", "marzo", "abril", "mayo", "junio"),
                *("julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
            ),
            weekdays=("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
            units=((_DAY, "día", "días"), (_HOUR, "h", "h"), (_MINUTE, "min", "min"), (_SECOND, "s", "s")),
        ),
        "fr": Words(
            yes="oui",
            no="non",
            point=",",
            months=(
                *("janv.", "févr.", "mars", "avr.", "mai", "juin"),
                *("juil.", "août", "sept.", "oct.", "nov.", "déc."),
            ),
            long_months=(
                *("janvier", "février", "mars", "avril", "mai", "juin"),
                *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
            ),
            weekdays=("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
            units=((_DAY, "jour", "jours"), (_HOUR, "h", "h"), (_MINUTE, "min", "min"), (_SECOND, "s", "s")),
        ),
        "de": Words(
            yes="ja",
            no="nein",
            point=",",
            months=(
                *("Jan.", "Febr.", "März", "Apr.", "Mai", "Juni"),
                *("Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."),
            ),
            long_months=(
                *("Januar", "Februar", "März", "April", "Mai", "Juni"),
                *("Juli", "August", "September", "Oktober", "November", "Dezember"),
            ),
            weekdays=("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
            units=(
                (_DAY, "Tag", "Tage"),
                (_HOUR, "Std.", "Std."),
                (_MINUTE, "Min.", "Min."),
                (_SECOND, "s", "s"),
            ),
        ),
    }
)
"""The words of each language that has its own, by language code."""

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_TORN = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_CENT = Decimal("0.01")
_MONEY = Context(prec=60, rounding=ROUND_HALF_UP, traps=[InvalidOperation])

# The more special type first: a bool is an int, a datetime is a date, and so on.
_TYPES: dict[type, Type] = {
    bool: Type.YES_NO,
    Choice: Type.CHOICE,
    Money: Type.MONEY,
    str: Type.TEXT,
    int: Type.NUMBER,
    Decimal: Type.NUMBER,
    datetime: Type.MOMENT,
    date: Type.DATE,
    time: Type.TIME,
    timedelta: Type.DURATION,
    tuple: Type.CHOICES,
}


def _shown_number(value: int | Decimal, words: Words, *, money: bool) -> str:
    if isinstance(value, int):
        return str(value)
    text = f"{value:.2f}" if money else f"{value:f}"
    if not money and "." in text:
        text = text.rstrip("0").rstrip(".")
    if text.startswith("-") and not text.strip("-0."):
        text = text[1:]
    return text.replace(".", words.point)


def _shown_duration(value: timedelta, words: Words) -> str:
    rest = abs(value)
    parts = []
    for unit, one, several in words.units:
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count} {one if count == 1 else several}")
    if not parts:
        return f"0 {words.units[-1][2]}"
    return ("-" if value < timedelta(0) else "") + " ".join(parts)


def _shown_date(value: date, words: Words) -> str:
    return f"{value.day} {words.months[value.month - 1]} {value.year}"


def _packed(value: Value) -> object:
    """Return a value as what json can write."""
    packer = _PACKERS.get(type(value))
    if packer is None:
        packer = next((each for kind, each in _PACKERS.items() if isinstance(value, kind)), None)
        if packer is None:
            raise _no_value(value)
    return packer(value)


def _packed_text(value: str) -> object:
    # JSON would join two lone halves of a surrogate pair that stand side by side.
    torn = not value.isascii() and _TORN.search(value)
    return {"text": value.encode("utf-8", "surrogatepass").hex()} if torn else str(value)


def _packed_number(value: Decimal) -> object:
    if not value.is_finite():
        raise Fault("a number that is not finite cannot be stored")
    return {"money" if isinstance(value, Money) else "number": str(value)}


def _packed_moment(value: datetime) -> object:
    if value.tzinfo is UTC:
        return {"moment": value.isoformat()}
    if value.utcoffset() is None:
        raise Fault("a moment without a time zone cannot be stored")
    key = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
    return {"moment": value.isoformat() + (f"[{key}]" if key else "")}


def _packed_time(value: time) -> object:
    if value.tzinfo is not None:
        raise Fault("a time of day with a time zone cannot be stored")
    return {"time": value.isoformat()}


def _packed_choices(value: tuple[str, ...]) -> object:
    if not all(isinstance(each, str) for each in value):
        raise Fault("a list of anything but choices cannot be stored")
    return [_packed(each) for each in value]


_PACKERS: dict[type, Callable[[Any], object]] = {
    Choice: lambda value: {"choice": [_packed_text(str(value)), _packed_text(value.label)]},
    str: _packed_text,
    bool: lambda value: value,
    int: lambda value: value,
    Money: _packed_number,
    Decimal: _packed_number,
    timedelta: lambda value: {"duration": value // timedelta(microseconds=1)},
    datetime: _packed_moment,
    date: lambda value: {"date": value.isoformat()},
    time: _packed_time,
    tuple: _packed_choices,
}
"""How a value of each type is written; a type stands before those that it is a kind of."""


def _unpacked(packed: object) -> Value:
    if isinstance(packed, str | bool | int):
        return packed
    if isinstance(packed, list):
        return tuple(_text(each) for each in packed)
    if not isinstance(packed, dict):
        raise TypeError
    ((kind, inner),) = packed.items()
    if kind == "choice":
        identity, label = inner
        return Choice(_text(identity), _text(label))
    if kind == "duration":
        return timedelta(microseconds=inner)
    if not isinstance(inner, str):
        raise TypeError
    return _READERS[kind](inner)


def _text(packed: object) -> str:
    value = _unpacked(packed)
    if not isinstance(value, str):
        raise TypeError
    return value


def _moment(text: str) -> datetime:
    written, _, key = text.partition("[")
    moment = datetime.fromisoformat(written)
    if not key:
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    # When clocks are put back an hour comes twice: the offset tells which one it was.
    first = moment.replace(tzinfo=ZoneInfo(key.rstrip("]")))
    return first if first.utcoffset() == moment.utcoffset() else first.replace(fold=1)


def _finite(value: Decimal | int | str) -> Decimal:
    number = Decimal(value)
    if not number.is_finite():
        raise InvalidOperation
    return number


def _torn(written: str) -> str:
    return bytes.fromhex(written).decode("utf-8", "surrogatepass")


_READERS: dict[str, Callable[[str], Value]] = {
    "text": _torn,
    "number": _finite,
    "money": Money,
    "moment": _moment,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}
