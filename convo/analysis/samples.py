"""Texts that a sender might write to a state: good answers, bad ones, and what conditions compare with.

Nothing is decided here. These are guesses, and the engine says what becomes of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from convo.analysis.pattern_texts import text_of
from convo.engine.asking import read_answer
from convo.engine.said import choices_of
from convo.errors import Fault
from convo.flow.answers import kind_of
from convo.flow.model import Flow, Question
from convo.flow.triggers import Matcher, MatcherKind
from convo.flow.values import Type, Value, parse_duration

BAD = ("hm?", "", "0", "zzz", "12345678901234567890", "no idea at all", "?" * 40)
"""Texts that hardly any question takes, the most readable first."""

NUMBERS = ("1", "2", "5", "10", "20", "34", "50", "100", "0", "1000")


def answers_to(
    question: Question,
    flow: Flow,
    names: dict[str, Value],
    language: str,
    now: datetime,
    compared: Sequence[str],
) -> Iterator[tuple[str, Value]]:
    """Yield texts that the question takes, each with its value; no value twice.

    ``compared`` are the literals that conditions compare the answer with: their neighbours are tried too.
    """
    seen: set[str] = set()
    for text in _guesses(question, flow, names, language, now, compared):
        try:
            value = read_answer(question, text, names, flow, language, now).value
        except Fault:
            return
        if value is not None and repr(value) not in seen:
            seen.add(repr(value))
            yield text, value


def wrong_for(
    question: Question, flow: Flow, names: dict[str, Value], language: str, now: datetime
) -> Iterator[str]:
    """Yield texts that the question does not take."""
    spec = question.answer
    # A length is counted in characters, so one word too many is no answer any more.
    long = ["long " * (spec.up_to // 5 + 1)] if spec is not None and spec.up_to else []
    for text in (*BAD, *(each.strip() + "!" * 5 for each in long)):
        try:
            if read_answer(question, text, names, flow, language, now).value is None:
                yield text
        except Fault:
            return


def of_kind(matcher: Matcher, compared: Sequence[str]) -> Iterator[str]:
    """Yield texts of a kind that stands under ``triggers``."""
    match matcher.kind:
        case MatcherKind.NUMBER:
            bounds = [str(each) for each in (matcher.low, matcher.high) if each is not None]
            low, high = matcher.low, matcher.high
            for text in dict.fromkeys((*_near(compared), *bounds, *NUMBERS)):
                if re.fullmatch(r"-?[0-9]{1,15}", text) and (
                    (low is None or int(text) >= low) and (high is None or int(text) <= high)
                ):
                    yield text
        case MatcherKind.PATTERN if matcher.pattern is not None:
            made = text_of(matcher.pattern.source)
            yield from [made] if made is not None else []
        case _:
            yield from dict.fromkeys((*(each for each in compared if each), "a few words"))


def values_of(kind: Type, now: datetime, zone: str, compared: Sequence[str]) -> Iterator[str]:
    """Yield values of a type as a service, or whoever opens a conversation, would write them."""
    local = now.astimezone(ZoneInfo(zone))
    match kind:
        case Type.NUMBER:
            yield from (text for text in (*_near(compared), "3") if re.fullmatch(r"-?[0-9]+", text))
        case Type.MONEY:
            yield from (*(text for text in _near(compared) if _is_number(text)), "12.50")
        case Type.YES_NO:
            yield from ("yes", "no")
        case Type.DATE:
            yield from (each.isoformat() for each in _days(local.date(), compared))
        case Type.TIME:
            yield from (*(each for each in compared if ":" in each), "10:00")
        case Type.MOMENT:
            yield from (f"{each:%Y-%m-%d %H:%M}" for each in _moments(local, compared))
        case Type.DURATION:
            yield from (*(each for each in compared if parse_duration(each)), "30m")
        case _:
            yield from (*(each for each in compared if each), "something")


def _guesses(
    question: Question,
    flow: Flow,
    names: dict[str, Value],
    language: str,
    now: datetime,
    compared: Sequence[str],
) -> Iterator[str]:
    spec = question.answer
    if spec is None:
        labels = [choice.label for choice in choices_of(question, names, language)]
        yield from labels
        if question.many is not None:
            low, high = question.many
            for count in range(max(low, 1), min(high, len(labels)) + 1):
                yield " ".join(str(number + 1) for number in range(count))
            yield "none"
        return
    bounds = [str(names.get(each, each)) for each in (spec.low, spec.high) if each is not None]
    local = now.astimezone(ZoneInfo(flow.zone))
    try:
        kind = kind_of(spec)
    except Exception:  # a package that is gone was told of where the flow was loaded
        return
    if kind.sample:
        yield kind.sample
    match spec.kind:
        case "number":
            inner = [*bounds[:1], *NUMBERS] if not compared else []
            yield from dict.fromkeys((*inner, *_near((*compared, *bounds)), *bounds, *NUMBERS))
        case "decimal" | "money":
            yield from dict.fromkeys((*_near((*compared, *bounds)), *bounds, "2.50", *NUMBERS))
        case "yes or no":
            yield from ("yes", "no")
        case "date":
            for day in _days(local.date(), (*compared, *bounds)):
                yield day.isoformat()
        case "time":
            yield from (*(each for each in compared if ":" in each), "09:30", *bounds, *_hours())
        case "moment":
            yield from (f"{each:%Y-%m-%d %H:%M}" for each in _moments(local, (*compared, *bounds)))
        case "duration":
            yield from (*(each for each in _near((*compared, *bounds)) if parse_duration(each)), "30m")
            yield from ("2h", "1h", "10m", "1d", "3d", "1w", "30s")
        case "phone":
            yield from ("+61491570156", "+12125550123", "+254712345678")
        case "email":
            yield "ann@example.org"
        case "pattern":
            made = text_of(spec.regex or "")
            yield from [made] if made is not None else []
        case "text" | "anything":
            yield from (*(each for each in compared if each), "A few words", "words", "x")
        case _:
            days = (f"{each:%Y-%m-%d}" for each in _days(local.date(), ()))
            yield from (*compared, kind.example, "A few words", *NUMBERS, *days)


def _near(compared: Iterable[str]) -> Iterator[str]:
    """Yield the numbers and durations among the literals, with those just beside them."""
    for text in compared:
        if re.fullmatch(r"-?[0-9]+", text):
            yield from (text, str(int(text) + 1), str(int(text) - 1))
        elif _is_number(text):
            yield from (text, str(Decimal(text) + 1), str(max(Decimal(0), Decimal(text) - 1)))
        elif (duration := parse_duration(text)) is not None:
            seconds = int(duration.total_seconds())
            yield from (text, f"{seconds + 60}s", f"{max(1, seconds - 60)}s")


def _days(today: date, compared: Iterable[str]) -> Iterator[date]:
    near = [timedelta(0)]
    for text in compared:
        duration = parse_duration(text)
        if duration is not None and duration >= timedelta(days=1):
            near += [sign * (duration + off) for sign in (-1, 1) for off in _A_DAY]
        else:
            try:
                near += [date.fromisoformat(text) - today + off for off in _A_DAY]
            except ValueError:
                continue
    year = timedelta(days=365)
    near += [timedelta(1), timedelta(-1), timedelta(7), -30 * year, 2 * year]
    for distance in dict.fromkeys(near):
        try:
            yield today + distance
        except OverflowError:
            continue


def _moments(local: datetime, compared: Iterable[str]) -> Iterator[datetime]:
    morning, soon = time(10), timedelta(minutes=10)
    yield datetime.combine(local.date() + timedelta(days=3), morning, tzinfo=UTC)
    for text in compared:
        duration = parse_duration(text)
        if duration is not None:
            for sign in (1, -1):
                yield local + sign * (duration + soon)
                yield local + sign * max(duration - soon, soon)
        else:
            try:
                yield datetime.fromisoformat(text)
            except ValueError:
                continue
    for days in (1, 14, -1):
        yield datetime.combine(local.date() + timedelta(days=days), morning, tzinfo=UTC)


def _hours() -> Iterator[str]:
    yield from (f"{hour:02}:00" for hour in (12, 8, 18, 20, 0))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) is not None


_A_DAY = (timedelta(0), timedelta(1), timedelta(-1))
