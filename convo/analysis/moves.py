"""What can happen to a conversation: a text, time passing, a service answering, our opening it.

A ``Spot`` is a conversation as it stands at one moment; ``happen`` makes a move in it, by the same
``answer`` that the runtime asks, and says what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from convo.analysis.transcripts_model import SENDER
from convo.engine.conversation import (
    CallAnswered,
    Conversation,
    Event,
    Received,
    Request,
    Started,
    Step,
    Timer,
    TimerFired,
)
from convo.engine.opening import ChannelFlows, answer
from convo.engine.timing import chosen
from convo.flow.given import read_given
from convo.flow.model import Flow
from convo.messages import Address

CHANNEL = "walk"

MOST_FIRINGS = 12
"""So many timers may come due in one wait before it is given up."""


@dataclass(frozen=True, slots=True)
class Says:
    """The sender writes."""

    text: str
    who: str = SENDER


@dataclass(frozen=True, slots=True)
class Waits:
    """Time passes: so long, or (None) until the next timer does something."""

    by: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """A service answers."""

    service: str
    result: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Opens:
    """We open the conversation, giving it data."""

    given: tuple[tuple[str, str], ...] = ()


Move = Says | Waits | Answers | Opens


@dataclass(frozen=True, slots=True)
class Spot:
    """A conversation at one moment. ``clock`` is the time, ``who`` the sender."""

    conversation: Conversation | None
    clock: datetime
    who: str = SENDER
    timers: tuple[Timer, ...] = ()
    request: Request | None = None
    opted_out: bool = False

    @property
    def state(self) -> str:
        """The state of the conversation, "" where there is none."""
        return self.conversation.state if self.conversation is not None else ""

    @property
    def is_open(self) -> bool:
        """Whether a conversation waits for something."""
        return self.conversation is not None and self.conversation.is_open


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a move: where it led, the transitions taken, what was said, and a fault if there was one.

    ``waited`` is how much time passed.
    """

    spot: Spot
    took: tuple[str, ...] = ()
    said: tuple[tuple[str, str], ...] = ()
    fault: str | None = None
    waited: timedelta = timedelta(0)
    steps: tuple[Step, ...] = field(default=(), repr=False)


def happen(flows: ChannelFlows, spot: Spot, move: Move) -> Outcome:
    """Make a move."""
    match move:
        case Says():
            event = Received(move.text, spot.clock, spot.clock)
            return _after(flows, spot, event, who=move.who)
        case Waits():
            return _wait(flows, spot, move.by)
        case Answers():
            entry = spot.conversation.entry if spot.conversation is not None else 0
            return _after(flows, spot, CallAnswered(move.result, entry, dict(move.values)))
        case Opens():
            flow = _flow(flows)
            given = read_given(flow, dict(move.given), partial=True)
            return _after(flows, spot, Started(flow.name, given))


def _wait(flows: ChannelFlows, spot: Spot, by: timedelta | None) -> Outcome:
    """Let time pass, and fire what comes due on the way, one after another."""
    began, until = spot.clock, None if by is None else spot.clock + by
    found = Outcome(spot)
    for _ in range(MOST_FIRINGS):
        due = min((timer.due_at for timer in spot.timers), default=None)
        if due is None or (until is not None and due > until):
            break
        entry = spot.conversation.entry if spot.conversation is not None else 0
        ripe = [TimerFired(each.name, entry, each.due_at) for each in spot.timers if each.due_at <= due]
        left = tuple(timer for timer in spot.timers if timer.due_at > due)
        spot = Spot(spot.conversation, max(spot.clock, due), spot.who, left, spot.request)
        for event in chosen(ripe):
            found = _joined(found, _after(flows, spot, event))
            spot = found.spot
        if until is None and (found.took or found.fault is not None):
            break
    else:
        return Outcome(spot)
    clock = spot.clock if until is None else until
    spot = Spot(spot.conversation, clock, spot.who, spot.timers, spot.request)
    return Outcome(spot, found.took, found.said, found.fault, clock - began, found.steps)


def _after(flows: ChannelFlows, spot: Spot, event: Event, who: str = "") -> Outcome:
    sender = Address(who or spot.who)
    steps = answer(flows, sender, spot.conversation, event, spot.clock, opted_out=spot.opted_out)
    at = spot
    for step in steps:
        at = _moved(at, step)
    return Outcome(
        at,
        tuple(name for step in steps for name in step.took),
        tuple((str(each.recipient), each.text) for step in steps for each in step.outbound),
        next((step.fault for step in steps if step.fault is not None), None),
        steps=steps,
    )


def _moved(spot: Spot, step: Step) -> Spot:
    before, after = spot.conversation, step.conversation
    stays = before is not None and (before.number, before.entry) == (after.number, after.entry)
    timers: Mapping[str, Timer] = {timer.name: timer for timer in spot.timers} if stays else {}
    timers = {**timers, **{timer.name: timer for timer in step.timers}}
    request = step.request if step.request is not None or not stays else spot.request
    return Spot(
        after,
        spot.clock,
        spot.who,
        tuple(timers.values()) if after.is_open else (),
        request if after.is_open else None,
        spot.opted_out or any(each.kind == "opt-out" for each in step.consent),
    )


def _joined(first: Outcome, second: Outcome) -> Outcome:
    return Outcome(
        second.spot,
        first.took + second.took,
        first.said + second.said,
        first.fault or second.fault,
        steps=first.steps + second.steps,
    )


def _flow(flows: ChannelFlows) -> Flow:
    return next(iter(flows.flows.values())).flow


def told(move: Move, outcome: Outcome) -> list[str]:
    """Return a move and what came of it as a chat would show it."""
    match move:
        case Says():
            lines = [f"{'them' if move.who == SENDER else move.who}: {move.text}"]
        case Waits():
            lines = [f"({length(outcome.waited)} later)"]
        case Answers():
            values = ", ".join(f"{name}: {value}" for name, value in move.values)
            lines = [f"({move.service} answers {move.result}{f', {values}' if values else ''})"]
        case Opens():
            values = ", ".join(f"{name}: {value}" for name, value in move.given)
            lines = [f"(we start{f', {values}' if values else ''})"]
    lines += [f"{_person(who)}: {' '.join(text.split())}" for who, text in outcome.said]
    return lines


def length(by: timedelta) -> str:
    """Return a duration as flows and transcripts write it, in its largest unit that fits."""
    seconds = int(by.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0 and (unit != "d" or seconds > 2 * size):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _person(who: str) -> str:
    return "us" if who == SENDER else f"us to {who}"


def chat_of(hops: Sequence[tuple[Move, Outcome]]) -> tuple[str, ...]:
    """Return a whole chat."""
    return tuple(line for move, outcome in hops for line in told(move, outcome))
