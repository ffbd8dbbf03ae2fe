"""What an answer type is, what an author asked for, and what came of reading a text by it.

    AnswerSpec   what stands behind ``answer:`` in a flow file
    Reading      what a text is read with: language, country, zone, the moment, the data
    Taken        the text is an answer: its value, and how it matched
    Near         it is almost one: what to ask back; never taken
    Wrong        it is none, and why

The types themselves are ``AnswerKind`` values; ``answers`` knows them by name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from convo.errors import Fault
from convo.flow.problems import Problem
from convo.flow.reader import Scalar
from convo.flow.values import Choice, Type, Value, show, type_of

BUILT_IN_BOUNDS = frozenset({"today", "now"})
"""Names that a bound may use without anybody setting them."""


@dataclass(frozen=True, slots=True)
class AnswerSpec:
    """What a question takes for an answer.

    ``low`` and ``high`` are as written: a constant of the type, a name of data, ``today`` or ``now``;
    ``low_open`` and ``high_open`` say that the bound itself is left out (``above 3``, ``below 3``).
    ``up_to`` is the most characters of a text. ``words`` is what follows the name of an answer type
    from another package.
    """

    kind: str
    source: Scalar
    low: str | None = None
    high: str | None = None
    low_open: bool = False
    high_open: bool = False
    up_to: int | None = None
    regex: str | None = None
    words: str = ""
    many: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text is read with. ``now`` is aware; ``country`` is two capital letters, or None.

    ``scope`` holds the data that bounds name; ``today`` and ``now`` come from it where it has them.
    """

    language: str
    country: str | None
    zone: str
    now: datetime
    scope: Mapping[str, Value] = field(default_factory=dict)

    @property
    def today(self) -> date:
        """The day in the zone."""
        given = self.scope.get("today")
        if isinstance(given, date) and not isinstance(given, datetime):
            return given
        return self.now.astimezone(ZoneInfo(self.zone)).date()


@dataclass(frozen=True, slots=True)
class Taken:
    """An answer: its clean value, and in a few fixed words ``how`` the text matched."""

    value: Value
    how: str


@dataclass(frozen=True, slots=True)
class Near:
    """Almost an answer: ``suggestion`` would be taken if it were sent; for a choice, so would ``number``."""

    suggestion: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Wrong:
    """No answer; ``reason`` is for the journal, in English, and holds nothing that the sender wrote."""

    reason: str


Outcome = Taken | Near | Wrong


@dataclass(frozen=True, slots=True)
class AnswerKind:
    """An answer type: how a text is read, into a value of which type, and what authors may add to it.

    ``settings`` are those of ``from``, ``above``, ``up_to``, ``below`` (bounds), ``length`` (``up to``
    counts characters), ``pattern`` and ``words`` that it takes. ``bound`` reads a bound that is a constant,
    None for what is none. ``check`` returns the problems of a spec that was just read. ``sorry`` is
    said to a wrong answer, with the bounds where ``{bounds}`` stands; types of ours have theirs in
    ``answer_sorry``. ``example`` shows authors how to write it, ``sample`` is a text that would be taken:
    ``convo explore`` sends it. A package offers one under the entry point group ``convo.answers``.
    """

    name: str
    type: Type
    parse: Callable[[str, AnswerSpec, Reading], Outcome]
    settings: frozenset[str] = frozenset()
    bound: Callable[[str], Value | None] | None = None
    check: Callable[[AnswerSpec], list[Problem]] | None = None
    sorry: str = "Please try again."
    example: str = ""
    sample: str = ""


BOUNDS = frozenset({"from", "above", "up_to", "below"})
"""The settings of a type whose values have an order."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a spec as values."""

    low: Any = None
    high: Any = None
    low_open: bool = False
    high_open: bool = False

    def complaint(self, value: Value) -> str:
        """Return why a value lies outside, or nothing."""
        if self.low is not None:
            mine, bound = _comparable(value, self.low)
            if mine < bound or (self.low_open and mine == bound):
                return f"{_side(bound, self.low_open, 'above', 'before', 'less than')} {show(bound)}"
        if self.high is not None:
            mine, bound = _comparable(value, self.high)
            if mine > bound or (self.high_open and mine == bound):
                return f"{_side(bound, self.high_open, 'below', 'after', 'more than')} {show(bound)}"
        return ""


def limits(spec: AnswerSpec, bound: Callable[[str], Value | None], reading: Reading) -> Limits:
    """Return the bounds of a spec; a Fault where one names data that is not set."""
    return Limits(
        _resolved(spec.low, bound, reading),
        _resolved(spec.high, bound, reading),
        spec.low_open,
        spec.high_open,
    )


def bounded(value: Value, how: str, limit: Limits) -> Taken | Wrong:
    """Take a value that lies within the bounds."""
    complaint = limit.complaint(value)
    return Wrong(complaint) if complaint else Taken(value, how)


def plain(text: str) -> str:
    """Return an answer as the types read it.

    Trimmed; NFKC; invisible characters dropped; digits of any script as 0-9; quotes and minus signs
    straightened; spaces collapsed; case and signs kept.
    """
    letters = []
    # NFKC would make 52 of 5² and 171⁄2 of 17½.
    runs = re.split(_NO_DIGIT, text)
    for letter in "".join(
        run if _NO_DIGIT.match(run) else unicodedata.normalize("NFKC", run) for run in runs
    ):
        digit = unicodedata.decimal(letter, None)
        if digit is not None:
            letters.append(str(digit))
        elif letter.isspace() or unicodedata.category(letter) not in ("Cf", "Cc"):
            letters.append(_STRAIGHT.get(letter, letter))
    return " ".join("".join(letters).split())


def bare(text: str) -> str:
    """Return ``plain`` text without what people put around an answer: ``(18)``, ``"18"``, ``18!``."""
    found = plain(text).strip(" \"'()[]*")
    return found.rstrip(" .!?,;:…").strip(" \"'()[]*")


_NO_DIGIT = re.compile("([\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2089\u2150-\u215f])")
_STRAIGHT = {
    **dict.fromkeys("\u2018\u2019\u02bc\u2032", "'"),
    **dict.fromkeys("\u201c\u201d\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014", "-"),
    "\u066b": ".",
    "\u066c": ",",
}


def _resolved(source: str | None, bound: Callable[[str], Value | None], reading: Reading) -> Value | None:
    if source is None:
        return None
    if source in BUILT_IN_BOUNDS:
        return reading.today if source == "today" else reading.now.astimezone(ZoneInfo(reading.zone))
    constant = bound(source)
    if constant is not None:
        return constant
    if source not in reading.scope:
        raise Fault(f"the bound '{source}' of an answer is not set")
    return reading.scope[source]


def _comparable(value: Value, bound: Value) -> tuple[Any, Any]:
    """Return both as values of one order; a moment beside a date is compared by its day."""
    if isinstance(value, datetime) and isinstance(bound, date) and not isinstance(bound, datetime):
        return value.date(), bound
    numbers = (int, Decimal)
    fits = type_of(value) is type_of(bound) or (isinstance(value, numbers) and isinstance(bound, numbers))
    if not fits or isinstance(bound, bool | Choice):
        raise Fault(f"a {type_of(value)} cannot be compared with a bound that is a {type_of(bound)}")
    return value, bound


def _side(bound: Value, is_open: bool, beyond: str, in_time: str, in_size: str) -> str:
    if is_open:
        return f"not {beyond}"
    return in_time if type_of(bound) in (Type.DATE, Type.TIME, Type.MOMENT) else in_size


__all__ = [
    "BOUNDS",
    "BUILT_IN_BOUNDS",
    "AnswerKind",
    "AnswerSpec",
    "Limits",
    "Near",
    "Outcome",
    "Reading",
    "Taken",
    "Wrong",
    "bare",
    "bounded",
    "limits",
    "plain",
]
