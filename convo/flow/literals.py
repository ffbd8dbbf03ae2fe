"""Constants of expressions that Jinja2 has no words for: durations, exact decimals, times of day."""

from __future__ import annotations

from datetime import time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any


class ClockText(str):
    """A text constant like ``11:30`` in a comparison: equal to the text, and to the time it names."""

    __slots__ = ("clock",)
    clock: time

    def __eq__(self, other: object) -> bool:
        return self.clock == other if isinstance(other, time) else str(self) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return bool(self.clock < other)

    def __le__(self, other: Any) -> bool:
        return bool(self.clock <= other)

    def __gt__(self, other: Any) -> bool:
        return bool(self.clock > other)

    def __ge__(self, other: Any) -> bool:
        return bool(self.clock >= other)

    __hash__ = str.__hash__


def clock_time(text: str) -> time | None:
    """Return the time of day that ``11:30`` stands for; else None."""
    hour, colon, minute = text.partition(":")
    if not (colon and len(minute) == 2 and 1 <= len(hour) <= 2 and (hour + minute).isdecimal()):
        return None
    return time(int(hour), int(minute)) if int(hour) < 24 and int(minute) < 60 else None


@lru_cache(1024)
def clock_text(text: str) -> ClockText:
    """Return the constant for a text that ``clock_time`` understands."""
    found = ClockText(text)
    found.clock = clock_time(text) or time(0)
    return found


@lru_cache(1024)
def decimal(text: str) -> Decimal:
    """Return the number that was written, without rounding."""
    return Decimal(text)


@lru_cache(1024)
def duration(seconds: int) -> timedelta:
    """Return a duration of whole seconds."""
    return timedelta(seconds=seconds)
