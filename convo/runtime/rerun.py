"""The journal made again: step by step by the flow that wrote it, or from the start by another one.

``verified`` says which steps the same flow would not make as it did then, of which there are none.
``compared`` has another flow answer the same events and says where it would have gone otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from convo.engine.conversation import (
    CallAnswered,
    ConsentKind,
    Conversation,
    Event,
    Received,
    Started,
    Step,
    TimerFired,
)
from convo.engine.opening import ChannelFlows, answer
from convo.errors import ConvoError
from convo.messages import Address
from convo.runtime.aside import is_aside
from convo.runtime.log import origin
from convo.runtime.replay import as_served, of_one_event, recorded
from convo.store.base import JournalEntry
from convo.store.rows import event_of, record


@dataclass(frozen=True, slots=True)
class Side:
    """Where an event led: the state after it, how it ended, what was said; or why no step was made."""

    state: str
    ended: str | None
    said: tuple[str, ...] = field(repr=False)
    trouble: str = ""
    data: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """One event with what came of it then and what would come of it now."""

    step: int
    event: Event
    then: Side
    now: Side

    @property
    def alike(self) -> bool:
        """Whether both went the same way."""
        return self.then == self.now


@dataclass(frozen=True, slots=True)
class Otherwise:
    """A conversation that would have gone otherwise: its events from the first that differs."""

    channel: str
    sender: Address = field(repr=False)
    number: int
    flow: str
    pairs: tuple[Pair, ...]


@dataclass(slots=True)
class Replayed:
    """What came of a replay. ``elsewhere`` counts steps of flows, or versions, that were not at hand."""

    conversations: int = 0
    steps: int = 0
    elsewhere: int = 0
    aside: int = 0
    otherwise: list[Otherwise] = field(default_factory=list)


def verified(entries: Sequence[JournalEntry], flows: ChannelFlows, into: Replayed) -> None:
    """Make every step of one sender again as it stood then, and add to ``into`` what differs.

    A step that another version of its flow made is counted as elsewhere: nothing is known of it.
    """
    found: dict[int, list[Pair]] = {}
    into.conversations += len({entry.number for entry in entries})
    for each in recorded(entries, flows):
        into.steps += 1
        compiled = flows.flows.get(each.entry.flow)
        if is_aside(each.record["fault"]):
            into.aside += 1
        elif compiled is None or compiled.flow.version != each.record["version"]:
            into.elsewhere += 1
        elif each.made is None or json.loads(record(each.made)) != each.record:
            now = _side(each.made) if each.made is not None else Side("", None, (), "no step is made")
            then = _then([each.record], flows, whole=True)
            found.setdefault(each.entry.number, []).append(Pair(each.entry.step, each.event, then, now))
    _note(entries, found, into)


def compared(entries: Sequence[JournalEntry], flows: ChannelFlows, into: Replayed) -> None:
    """Have ``flows`` answer every event of one sender from the first on, and add where they go otherwise.

    Timers and answers of services come when they came then, if the conversation waits where it waited.
    """
    found: dict[int, list[Pair]] = {}
    into.conversations += len({entry.number for entry in entries})
    current: Conversation | None = None
    opted_out = False
    index = 0
    while index < len(entries):
        taken = of_one_event(entries, index)
        records = [json.loads(entry.record) for entry in taken]
        index += len(taken)
        into.steps += len(taken)
        if is_aside(records[0]["fault"]):
            into.aside += 1
            continue
        then = _then(records, flows)
        event, steps, trouble = event_of(records[0]), list[Step](), ""
        if isinstance(event, TimerFired | CallAnswered) and current is not None:
            event = replace(event, entry=current.entry)
        try:
            if _comes(event, records[0], current, flows):
                at = taken[0].at
                served = as_served(flows, taken)
                steps = [*answer(served, taken[0].sender, current, event, at, opted_out=opted_out)]
        except ConvoError as problem:
            trouble = str(problem)
        except Exception as problem:
            trouble = f"the step raises {origin(problem)}"
        for step in steps:
            current = step.conversation
            for entry in step.consent:
                opted_out = entry.kind is ConsentKind.OPT_OUT
        now = _now(steps, current, trouble)
        pairs = found.setdefault(taken[-1].number, [])
        pairs.append(Pair(taken[-1].step, event, then, now))
    _note(entries, {number: _from_the_first(pairs) for number, pairs in found.items()}, into)


def _comes(event: Event, was: dict[str, Any], current: Conversation | None, flows: ChannelFlows) -> bool:
    """Return whether the event would come at all, as the conversation stands now."""
    if isinstance(event, Received | Started):
        return True
    if current is None or not current.is_open:
        return False
    return current.state in (was["before"], _moved(was["before"], current.flow, flows))


def _moved(state: str, flow: str, flows: ChannelFlows) -> str:
    """Return the name that a state of then has now."""
    compiled = flows.flows.get(flow)
    if compiled is None or compiled.has_state(state):
        return state
    return compiled.flow.moved_to(state) or state


def _then(records: Sequence[dict[str, Any]], flows: ChannelFlows, *, whole: bool = False) -> Side:
    last = records[-1]
    said = tuple(text for each in records for _, _, text in each["said"])
    flow = next((name for name in flows.flows if last["after"] in flows.flows[name].flow.moved), "")
    state = last["after"] if whole else _moved(last["after"], flow, flows)
    return Side(state, last["ended"], said, data=_rest(last) if whole else "")


def _side(step: Step) -> Side:
    after = step.conversation
    said = tuple(each.text for each in step.outbound)
    return Side(after.state, after.ended, said, data=_rest(json.loads(record(step))))


def _rest(found: dict[str, Any]) -> str:
    """Return what a record says beside state, end and texts, to be held against another."""
    names = ("data", "entry", "tries", "language", "timers", "request", "answers", "took", "notes", "fault")
    return json.dumps({name: found.get(name) for name in names}, sort_keys=True)


def _now(steps: Sequence[Step], current: Conversation | None, trouble: str) -> Side:
    said = tuple(each.text for step in steps for each in step.outbound)
    if trouble or current is None:
        return Side("", None, said, trouble or "nothing is opened")
    return Side(current.state, current.ended, said)


def _from_the_first(pairs: Sequence[Pair]) -> list[Pair]:
    first = next((at for at, pair in enumerate(pairs) if not pair.alike), len(pairs))
    return list(pairs[first:])


def _note(entries: Sequence[JournalEntry], found: dict[int, list[Pair]], into: Replayed) -> None:
    for number, pairs in sorted(found.items()):
        if pairs:
            entry = next(each for each in entries if each.number == number)
            into.otherwise.append(Otherwise(entry.channel, entry.sender, number, entry.flow, tuple(pairs)))
