"""What may leave, and how long to wait before trying again. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from random import Random

from convo.messages import OutboundKind
from convo.store.base import Expired, LastLook

SEND_TRIES = 12
"""So often an outbound is handed over before it counts as failed: with the waits below, about an hour."""

FIRST_WAIT = timedelta(seconds=1)
LONGEST_POLL_WAIT = timedelta(seconds=60)
LONGEST_SEND_WAIT = timedelta(minutes=10)
STEP_TRIES = 3
"""So often an inbox row may raise before it is set aside."""


REPLY_LIFETIME = timedelta(hours=24)
"""A reply that could not leave for so long is not sent any more: it would answer what nobody remembers."""

LONGEST_MESSAGE = 1600
"""The most characters of one message: what Telstra and Twilio take. Longer texts leave as several."""


class Unknowns(StrEnum):
    """What becomes of an outbound that may have left, where the provider cannot be asked."""

    HOLD = "hold"
    RESEND = "resend"


def allows(look: LastLook, now: datetime, lifetime: timedelta = REPLY_LIFETIME) -> str | None:
    """Take the last look at an outbound before it is marked sending: None, or why it may not leave."""
    row = look.row
    if look.opted_out and row.outbound.kind is not OutboundKind.CONSENT:
        return "opted out"
    if row.outbound.kind in (OutboundKind.REPLY, OutboundKind.APOLOGY) and now - row.created_at > lifetime:
        return Expired(f"it could not leave within {lifetime.total_seconds() / 3600:.0f} hours")
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
