"""How often somebody may call: a bucket for each, filled at a steady rate."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from math import ceil

from convo.clock import Clock

MOST_CALLERS = 10_000
"""Callers that are remembered; whoever has not called for the longest time is forgotten first."""


class Rate:
    """Buckets of ``burst`` calls that fill by ``rate`` calls a second; not for several threads."""

    def __init__(self, clock: Clock, rate: float, burst: int) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def wait(self, caller: str) -> int | None:
        """Count a call and return None, or the whole seconds after which it may come again."""
        now = self._clock.now()
        left, then = self._buckets.pop(caller, (self._burst, now))
        passed = max((now - then).total_seconds(), 0.0)
        left = min(self._burst, left + passed * self._rate)
        granted = left >= 1.0
        self._buckets[caller] = (left - 1.0 if granted else left, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return None if granted else max(1, ceil((1.0 - left) / self._rate))
