"""What may leave, and how long to wait before trying again. Pure.

``allows`` is asked in the commit that marks a row ``sending``: consent, age, budget and the loop guard are
judged at the last moment, by what the store knows then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random

from convo.engine.conversation import Step
from convo.messages import OutboundKind
from convo.runtime.guard import LOOP_TEXTS, LOOP_WINDOW, is_a_short_word, looping, may_loop
from convo.sms import cost, split
from convo.store.base import Expired, LastLook

SEND_TRIES = 40
"""So often an outbound is handed over before it counts as failed: with the waits below, about four hours."""

FIRST_WAIT = timedelta(seconds=1)
LONGEST_POLL_WAIT = timedelta(seconds=60)
LONGEST_SEND_WAIT = timedelta(minutes=10)
STEP_TRIES = 3
"""So often an inbox row may raise before it is set aside."""


REPLY_LIFETIME = timedelta(hours=24)
"""A reply that could not leave for so long is not sent any more: it would answer what nobody remembers."""

LONGEST_MESSAGE = 1600
"""The most characters of one message unless a channel says otherwise: what Telstra and Twilio take."""


class Unknowns(StrEnum):
    """What becomes of an outbound that may have left, where the provider cannot be asked."""

    HOLD = "hold"
    RESEND = "resend"


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds what leaves on a channel.

    ``tries``: so often one outbound is handed over. ``lifetime``: how long a reply may wait from the moment
    it might have left. ``to_one`` and ``on_channel``: segments handed over in a day of UTC, to one number and
    in all; None: no limit. ``loop_texts`` alike in a row, none later than ``loop_window`` after the last,
    make a sender a machine.
    """

    tries: int = SEND_TRIES
    lifetime: timedelta = REPLY_LIFETIME
    to_one: int | None = 500
    on_channel: int | None = 20_000
    loop_texts: int = LOOP_TEXTS
    loop_window: timedelta = LOOP_WINDOW


ANSWERS = (OutboundKind.REPLY, OutboundKind.APOLOGY)
"""What is said because somebody wrote: it grows stale, and may be half of a loop."""

_GUARDED_FROM = 3
"""Segments to one number in a day before the guard looks at texts at all."""


def allows(look: LastLook, now: datetime, limits: Limits | None = None) -> str | None:
    """Take the last look at an outbound before it is marked sending: None, or why it may not leave."""
    bounds = limits or Limits()
    outbound, past = look.row.outbound, look.past
    if look.opted_out:
        return None if outbound.kind is OutboundKind.CONSENT and past.confirms() else "opted out"
    if outbound.kind in ANSWERS and now - look.due_at > bounds.lifetime:
        return Expired(f"it could not leave within {bounds.lifetime.total_seconds() / 3600:g} hours")
    price = look.row.segments or cost(outbound.text).segments
    if bounds.to_one is not None and look.to_one + price > bounds.to_one:
        return f"budget: {bounds.to_one} segments a day to one number"
    if bounds.on_channel is not None and look.on_channel + price > bounds.on_channel:
        return f"budget: {bounds.on_channel} segments a day on this channel"
    if outbound.kind in ANSWERS and look.to_one >= _GUARDED_FROM:
        if look.to_itself:
            return "loop: our own number writes to us"
        if is_a_short_word(look.newest):
            return None
        texts, window = bounds.loop_texts, bounds.loop_window
        heard = past.heard(2 * texts)
        if may_loop(heard, texts=texts, window=window):
            looks = looping(heard, past.said(3 * texts), texts=texts, window=window)
            return None if looks is None else f"loop: {looks}"
    return None


def in_parts(step: Step, longest: int = LONGEST_MESSAGE) -> Step:
    """Return the step with texts of more than ``longest`` characters in several, cut inside no character."""
    if all(len(each.text) <= longest for each in step.outbound):
        return step
    parts = [replace(each, text=part) for each in step.outbound for part in split(each.text, longest)]
    return replace(step, outbound=tuple(parts))


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
