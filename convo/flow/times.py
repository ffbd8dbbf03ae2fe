"""Times as authors write them: after a while, at a clock time, before a moment, quiet and opening hours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from itertools import pairwise

from convo.flow.codes import problem
from convo.flow.model import After, ClockTime, Hours, Moment
from convo.flow.problems import FlowError, nearest
from convo.flow.reader import Scalar
from convo.flow.values import parse_duration

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])")
_NAME = re.compile(r"[^\W\d_]\w{0,63}")


def parse_after(key: Scalar) -> list[tuple[str, After]]:
    """Return the times of a key of ``after``, each with its name.

    Raises:
        FlowError: a part of it is no duration.
    """
    found = []
    for part in _parts(key):
        found.append((f"after {part}", After(duration_of(part, key))))
    return found


def parse_at(key: Scalar, moments: Mapping[str, object]) -> list[tuple[str, ClockTime | Moment]]:
    """Return the times of a key of ``at``: clock times, and moments that names of ``moments`` hold.

    Raises:
        FlowError: a part of it is neither.
    """
    found: list[tuple[str, ClockTime | Moment]] = []
    for part in _parts(key):
        clock = clock_time(part)
        found.append((f"at {part}", clock if clock is not None else _moment(part, key, moments)))
    return found


def clock_time(text: str) -> ClockTime | None:
    """Return what ``08:00`` or ``mon-fri 08:00`` means, or None where it is something else."""
    days, _, clock = text.rpartition(" ")
    at = _time(clock)
    chosen = days_of(days) if days else frozenset(range(7))
    return None if at is None or chosen is None else ClockTime(at, chosen)


def days_of(text: str) -> frozenset[int] | None:
    """Return the days of ``mon``, ``mon-fri``, ``sat-mon`` or ``mon+thu``; None where it is none."""
    found: set[int] = set()
    for part in text.strip().casefold().split("+"):
        first, _, last = part.strip().partition("-")
        first, last = first.strip()[:3], (last.strip() or first.strip())[:3]
        if first not in DAYS or last not in DAYS:
            return None
        start, end = DAYS.index(first), DAYS.index(last)
        found |= {(start + offset) % 7 for offset in range((end - start) % 7 + 1)}
    return frozenset(found)


def duration_of(text: str, at: Scalar) -> timedelta:
    """Return the duration that is written there.

    Raises:
        FlowError: it is none, or shorter than a second.
    """
    duration = parse_duration(text)
    if duration is None or duration < timedelta(seconds=1):
        hint = "write 90s, 10m, 24h, 3d or 2w"
        raise FlowError([problem("F024", f"'{text}' is no duration", at, hint=hint)])
    return duration


def durations_of(listed: Scalar | list[Scalar] | None) -> tuple[timedelta, ...]:
    """Return the durations of a comma list or a list.

    Raises:
        FlowError: one of them is none, or they do not grow.
    """
    if listed is None:
        return ()
    items = listed if isinstance(listed, list) else [listed]
    found = [(duration_of(part, item), item) for item in items for part in _parts(item)]
    for (before, _), (after, item) in pairwise(found):
        if after <= before:
            hint = "each is counted from the question: 24h, 48h"
            raise FlowError([problem("F024", "the times of a list have to grow", item, hint=hint)])
    return tuple(duration for duration, _ in found)


def parse_quiet(source: Scalar) -> tuple[time, time]:
    """Return from when to when nothing is sent that nobody asked for.

    Raises:
        FlowError: it is not written like ``21:00 to 08:00``.
    """
    begins, to, ends = source.partition(" to ")
    first, last = _time(begins.strip()), _time(ends.strip())
    if not to or first is None or last is None or first == last:
        hint = "for example: 21:00 to 08:00"
        raise FlowError([problem("F024", f"'{source}' is no time of quiet", source, hint=hint)])
    return first, last


def parse_hours(source: Scalar) -> tuple[Hours, ...]:
    """Return opening hours: ``mon-fri 09:00 to 12:00, mon-fri 13:00 to 17:00``.

    Raises:
        FlowError: a part of them cannot be read.
    """
    found = []
    for part in _parts(source):
        shape = re.fullmatch(r"(.*?)\s*(\S+)\s+to\s+(\S+)", part)
        days = days_of(shape[1]) if shape and shape[1] else frozenset(range(7))
        opens = _time(shape[2]) if shape else None
        closes = _time(shape[3]) if shape else None
        if days is None or opens is None or closes is None or (closes <= opens and closes != time(0)):
            hint = "for example: mon-fri 09:00 to 17:00, sat 09:00 to 12:00"
            raise FlowError([problem("F024", f"'{part}' are no opening hours", source, hint=hint)])
        found.append(Hours(days, opens, closes))
    return tuple(found)


def parse_closed(listed: Scalar | list[Scalar]) -> frozenset[date]:
    """Return the days on which everything is closed.

    Raises:
        FlowError: one of them is no date like 2026-12-25.
    """
    found = []
    for item in listed if isinstance(listed, list) else [listed]:
        for part in _parts(item):
            try:
                found.append(date.fromisoformat(part))
            except ValueError:
                hint = "for example: 2026-12-25"
                raise FlowError([problem("F024", f"'{part}' is no date", item, hint=hint)]) from None
    return frozenset(found)


def _parts(source: Scalar) -> Iterator[str]:
    for part in source.split(","):
        if text := " ".join(part.split()):
            yield text


def _time(text: str) -> time | None:
    found = _CLOCK.fullmatch(text.strip())
    if found is None or (found[1] == "24" and found[2] != "00"):
        return None
    return time(int(found[1]) % 24, int(found[2]))


def _moment(part: str, key: Scalar, moments: Mapping[str, object]) -> Moment:
    shape = re.fullmatch(r"(\S+) (before|after) (\S+)", part)
    name = shape[3] if shape else part
    if not _NAME.fullmatch(name) or (shape is None and " " in part):
        known = ("08:00", "mon-fri 08:00", "24h before NAME", "NAME")
        raise FlowError(
            [problem("F024", f"'{part}' is neither a clock time nor a moment", key, expected=known)]
        )
    if name not in moments:
        hint = nearest(name, moments) or f"declare it: data: {{{name}: {{type: moment}}}}"
        raise FlowError([problem("F024", f"'{name}' is no moment of this flow's data", key, hint=hint)])
    if shape is None:
        return Moment(name)
    length = duration_of(shape[1], key)
    return Moment(name, length if shape[2] == "before" else -length)
