"""Answers that name a time: dates, times of day, moments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from convo.flow.answer_spec import (
    BOUNDS,
    AnswerKind,
    AnswerSpec,
    Limits,
    Near,
    Outcome,
    Reading,
    Taken,
    Wrong,
    bare,
    limits,
)
from convo.flow.answer_words import BOTH_ORDERS, CLOCK, DAYS, MONTH_FIRST, MONTHS, understood
from convo.flow.literals import clock_time
from convo.flow.triggers import fold
from convo.flow.values import WORDS, Type, Value, show


@dataclass(frozen=True, slots=True)
class _Day:
    """A way to read a date: the day and month that were named, the years it may be in, and how.

    ``sure`` is False where the country writes it the other way round, or either way.
    """

    day: int
    month: int
    years: tuple[int, ...]
    how: str
    sure: bool = True

    def dates(self) -> Iterable[date]:
        """Yield the dates that there are."""
        for year in self.years:
            try:
                yield date(year, self.month, self.day)
            except ValueError:
                continue


def read_date(text: str, spec: AnswerSpec, reading: Reading) -> Outcome:
    """Read a date.

    Whether day or month comes first is the custom of the country, the day where none is known; what
    only makes sense the other way round is asked about. Without a year it is the date nearest to today
    that the bounds admit, asked about if that is over a year away; with two digits of a year the
    nearest such year, asked about if over 80 years away. Of ``date up to today``, on 23 Nov 2026:

        4/3 -> 4 Mar 2026
        04-03-2026 -> 4 Mar 2026
        4.3.26 -> 4 Mar 2026
        2026-03-04 -> 4 Mar 2026
        4 March -> 4 Mar 2026
        4th of Mar -> 4 Mar 2026
        March 4, 2026 -> 4 Mar 2026
        24/11 -> 24 Nov 2025
        5/6/85 -> 5 Jun 1985
        today -> 23 Nov 2026
        yesterday -> 22 Nov 2026
        4/13 -> near 13 Apr 2026
        29/2 -> near 29 Feb 2024
        tomorrow -> wrong
        24/11/2026 -> wrong
        31/2 -> wrong
        in spring -> wrong

    Of ``date from today`` in US:

        4/3 -> 3 Apr 2027
        23/11 -> near 23 Nov 2026

    Of ``date`` in CA:

        4/3/2026 -> near 4 Mar 2026 or 3 Apr 2026
        13/3/2026 -> 13 Mar 2026
    """
    limit = limits(spec, _date, reading)
    found = _days(bare(text), reading)
    return _chosen([(day, each, each) for day in found for each in day.dates()], bool(found), limit, reading)


def read_time(text: str, spec: AnswerSpec, reading: Reading) -> Outcome:
    """Read a time of day; a bare hour is one of 24.

    Where only the evening's hour fits the bounds, that is asked about. Of ``time 08:00 to 21:00``:

        8 -> 08:00
        8am -> 08:00
        8 p.m. -> 20:00
        8:30 -> 08:30
        20.30 -> 20:30
        20h30 -> 20:30
        0830 -> 08:30
        noon -> 12:00
        7 -> near 19:00
        midnight -> wrong
        13pm -> wrong
        24:00 -> wrong
    """
    limit = limits(spec, clock_time, reading)
    found = _clock(bare(text), reading.language)
    if found is None:
        return Wrong("not a time of day")
    complaint = limit.complaint(found)
    if not complaint:
        return Taken(found, "time")
    if re.search("[a-z]", text.casefold()) is None and 1 <= found.hour < 12:
        later = found.replace(hour=found.hour + 12)
        if not limit.complaint(later):
            return Near(show(later))
    return Wrong(complaint)


def read_moment(text: str, spec: AnswerSpec, reading: Reading) -> Outcome:
    """Read a date and a time of day, in the zone of the flow.

    A time that the clocks skip that day is none; of one that comes twice it is the first. Of
    ``moment from now``, on 23 Nov 2026 at 16:12:

        4/3 8:30 -> 4 Mar 2027, 08:30
        4 March at 8pm -> 4 Mar 2027, 20:00
        8:30 on 4 March -> 4 Mar 2027, 08:30
        tomorrow 9am -> 24 Nov 2026, 09:00
        2027-03-04T08:30 -> 4 Mar 2027, 08:30
        today 17:00 -> 23 Nov 2026, 17:00
        4 March 20 -> near 4 Mar 2027, 20:00 or 20 Mar 2027, 04:00
        today 16:00 -> wrong
        tomorrow -> wrong
        8pm -> wrong
    """
    limit = limits(spec, _moment_in(reading.zone), reading)
    zone = ZoneInfo(reading.zone)
    said = bare(text)
    written = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2})(?::[0-9]{2})?", said)
    words = f"{written[1]} {written[2]}".split() if written is not None else said.replace(",", " ").split()
    found: list[tuple[_Day, date, datetime]] = []
    skipped = some = False
    for first in range(1, len(words)):
        for one, other in ((words[:first], words[first:]), (words[first:], words[:first])):
            clock = _clock(_without_joins(other), reading.language)
            days = _days(_without_joins(one), reading) if clock is not None else []
            for day in days:
                some = True
                for each in day.dates():
                    moment = datetime.combine(each, clock or time(0), zone)
                    back = moment.astimezone(UTC).astimezone(zone)
                    if back.replace(tzinfo=None) != moment.replace(tzinfo=None):
                        skipped = True
                    else:
                        found.append((day, each, moment))
    if not found and skipped:
        return Wrong("the clocks skip this time")
    if not some and (_days(said, reading) or _clock(said, reading.language)):
        return Wrong("a date and a time are needed")
    return _chosen(found, some, limit, reading)


def _chosen(
    found: Sequence[tuple[_Day, date, date]], understood_some: bool, limit: Limits, reading: Reading
) -> Outcome:
    """Choose among the ways to read a date, and the years that each may be in."""
    if not found:
        return Wrong("no such day" if understood_some else "not a date")
    fit = [each for each in found if not limit.complaint(each[2])]
    if not fit:
        nearest = min(found, key=lambda each: abs(each[1] - reading.today))
        return Wrong(limit.complaint(nearest[2]))
    ways = {(day.day, day.month, getattr(value, "hour", 0)) for day, _, value in fit}
    best = []
    for way in ways:
        same = [each for each in fit if (each[0].day, each[0].month, getattr(each[2], "hour", 0)) == way]
        best.append(min(same, key=lambda each: (abs(each[1] - reading.today), each[1] < reading.today)))
    day, when, value = best[0]
    far = len(day.years) > 1 and abs(when - reading.today) > (_FAR if len(day.years) == 2 else _YEAR)
    if len(best) == 1 and day.sure and not far:
        return Taken(value, day.how)
    best.sort(key=lambda each: each[1])
    zone = ZoneInfo(reading.zone)
    return Near(" or ".join(show(each[2], reading.language, zone) for each in best))


def _days(said: str, reading: Reading) -> list[_Day]:
    """Return the ways to read a date: usually none or one."""
    today = reading.today
    word = fold(said)
    for language in understood(reading.language):
        if word in DAYS.get(language, {}):
            day = today + timedelta(DAYS[language][word])
            return [_Day(day.day, day.month, (day.year,), "day word")]
    iso = re.fullmatch(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})", said)
    if iso is not None:
        return [_Day(int(iso[4]), int(iso[3]), (int(iso[1]),), "year-month-day")]
    figures = re.fullmatch(r"([0-9]{1,2}) ?([-/.]) ?([0-9]{1,2})(?: ?\2 ?([0-9]{4}|[0-9]{2}))?", said)
    figures = figures or re.fullmatch(r"([0-9]{1,2})( )([0-9]{1,2}) ([0-9]{4})", said)
    if figures is not None:
        return _ordered(int(figures[1]), int(figures[3]), _years(figures[4], today), reading.country)
    joined = r"(?:st|nd|rd|th|er|\.|º)?(?: of| de|-|)? ?"
    named = re.fullmatch(
        rf"([0-9]{{1,2}}){joined}([^\W\d_]{{3,}})\.?(?:[ ,-]+(?:de )?([0-9]{{4}}|[0-9]{{2}}))?", word
    )
    if named is not None:
        number, month, year = named[1], _month(named[2], reading.language), named[3]
    else:
        named = re.fullmatch(r"([^\W\d_]{3,})[. -]*([0-9]{1,2})(?:st|nd|rd|th)?(?:[ ,]+([0-9]{4}))?", word)
        if named is None:
            return []
        number, month, year = named[2], _month(named[1], reading.language), named[3]
    return [] if month is None else [_Day(int(number), month, _years(year, today), "day and month")]


def _ordered(first: int, second: int, years: tuple[int, ...], country: str | None) -> list[_Day]:
    """Return ``4/3`` as its country reads it, else the other way round and not sure."""
    place = (country or "").upper()
    day_first = _Day(first, second, years, "day/month")
    month_first = _Day(second, first, years, "month/day")
    usual, other = (month_first, day_first) if place in MONTH_FIRST else (day_first, month_first)
    if place in BOTH_ORDERS and first != second and any(usual.dates()) and any(other.dates()):
        return [_unsure(usual), _unsure(other)]
    if usual.month <= 12:
        return [usual]
    return [_unsure(other) if place not in BOTH_ORDERS else other]


def _unsure(day: _Day) -> _Day:
    return _Day(day.day, day.month, day.years, day.how, sure=False)


def _years(written: str | None, today: date) -> tuple[int, ...]:
    """Return the years that may be meant; two of them mean that the century was left out."""
    if written is None:
        # The 29th of February may be up to eight years away.
        return tuple(year for year in range(today.year - 8, today.year + 9) if 1 <= year <= 9999)
    if len(written) == 2:
        century = today.year // 100 * 100
        near = sorted(
            (century + more + int(written) for more in (-100, 0, 100)),
            key=lambda year: abs(year - today.year),
        )
        return tuple(near[:2])
    return (int(written),)


def _month(word: str, language: str) -> int | None:
    for each in understood(language):
        fit = [
            number
            for number, month in enumerate(map(fold, MONTHS.get(each, ())), 1)
            if month.startswith(word)
        ]
        if len(fit) == 1:
            return fit[0]
        shown = WORDS[each].months if each in WORDS else ()
        for number, short in enumerate(map(fold, shown), 1):
            if word == short:
                return number
    return None


def _clock(said: str, language: str) -> time | None:
    word = fold(said)
    for each in understood(language):
        if word in CLOCK.get(each, {}):
            return time(CLOCK[each][word])
    lower = said.casefold().replace("o'clock", "").strip()
    half = re.fullmatch(r"(.*?) ?([ap]) ?\.? ?m\.?", lower)
    if half is not None:
        found = _hands(half[1])
        if found is None or not 1 <= found.hour <= 12:
            return None
        return found.replace(hour=found.hour % 12 + (12 if half[2] == "p" else 0))
    return _hands(lower)


def _hands(written: str) -> time | None:
    shape = re.fullmatch(r"([0-9]{1,2})(?:(?: ?[:.h] ?|)([0-9]{2})| ?h)?", written)
    if shape is None or (shape[2] and written.isdecimal() and len(written) != 4):
        return None
    hour, minute = int(shape[1]), int(shape[2] or 0)
    return time(hour, minute) if hour < 24 and minute < 60 else None


def _without_joins(words: list[str]) -> str:
    """Return the words without ``at``, ``on`` and their like at the ends."""
    joins = {"at", "on", "the", "a", "à", "um", "el", "las", "le", "saa", "am", "den"}
    start, end = 0, len(words)
    while start < end and words[start].casefold() in joins:
        start += 1
    while end > start and words[end - 1].casefold() in joins - {"am"}:
        end -= 1
    return " ".join(words[start:end])


def _date(source: str) -> Value | None:
    try:
        return date.fromisoformat(source) if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", source) else None
    except ValueError:
        return None


def _moment(source: str) -> Value | None:
    """Read a bound: ``2026-03-04T08:30``, ``2026-03-04 08:30``, or a whole day."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2})?", source) is None:
        return None
    try:
        return datetime.fromisoformat(source).replace(tzinfo=UTC) if len(source) > 10 else _date(source)
    except ValueError:
        return None


def _moment_in(zone: str) -> Callable[[str], Value | None]:
    """Return what reads bounds of moments as times in a zone."""

    def bound(source: str) -> Value | None:
        found = _moment(source)
        return found.replace(tzinfo=ZoneInfo(zone)) if isinstance(found, datetime) else found

    return bound


_YEAR = timedelta(days=366)
_FAR = 80 * _YEAR

KINDS = (
    AnswerKind(
        "date",
        Type.DATE,
        read_date,
        settings=BOUNDS,
        bound=_date,
        example="date up to today",
    ),
    AnswerKind(
        "time",
        Type.TIME,
        read_time,
        settings=BOUNDS,
        bound=clock_time,
        example="time 08:00 to 17:30",
    ),
    AnswerKind(
        "moment",
        Type.MOMENT,
        read_moment,
        settings=BOUNDS,
        bound=_moment,
        example="moment from now",
    ),
)
"""The answer types of this module."""
