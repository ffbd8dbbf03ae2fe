"""What may leave, and how long to wait before trying again. Pure."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from convo.messages import OutboundKind
from convo.store.base import LastLook

SEND_TRIES = 12
"""So often an outbound is handed over before it counts as failed: with the waits below, about an hour."""

FIRST_WAIT = timedelta(seconds=1)
LONGEST_POLL_WAIT = timedelta(seconds=60)
LONGEST_SEND_WAIT = timedelta(minutes=10)
STEP_TRIES = 3
"""So often an inbox row may raise before it is set aside."""


def allows(look: LastLook) -> str | None:
    """Take the last look at an outbound before it is marked sending: None, or why it may not leave."""
    if look.opted_out and look.row.outbound.kind is not OutboundKind.CONSENT:
        return "opted out"
    return None


def backoff(
    failures: int,
    random: Random,
    *,
    first: timedelta = FIRST_WAIT,
    longest: timedelta = LONGEST_POLL_WAIT,
    at_least: timedelta | None = None,
) -> timedelta:
    """Return how long to wait after so many failures in a row, from 1.

    It doubles from ``first`` up to ``longest``; the upper half of each wait is random, so that many
    programs that lost one provider do not come back to it at one moment. ``at_least`` is what the
    provider asked for and goes before ``longest``.
    """
    doubled = min(longest, first * (1 << min(max(failures - 1, 0), 30)))
    wait = doubled * (0.5 + random.random() / 2)
    return wait if at_least is None else max(wait, at_least)
