"""A step of the journal made again: how the conversation stood before it, and what came.

What the journal holds is taken from there; what it does not hold (the questions answered before, say)
comes from stepping the entries before it once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convo.engine.conversation import (
    CallAnswered,
    ConsentKind,
    Conversation,
    Event,
    Received,
    Step,
    TimerFired,
)
from convo.engine.opening import ChannelFlows, answer
from convo.flow.values import decode
from convo.runtime.aside import is_aside
from convo.store.base import JournalEntry
from convo.store.rows import event_of

NOT_SERVED = "this channel does not serve"
"""How the journal says that a conversation was left because its flow is not run any more."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One step of the journal, and how the sender stood when its event came.

    ``before`` is the sender's open conversation then, else the last that had ended, else None. ``record``
    is what the journal says of the step, ``made`` the step as the flows make it now, if they do.
    """

    entry: JournalEntry
    event: Event
    before: Conversation | None
    opted_out: bool
    record: dict[str, Any]
    made: Step | None = None


def recorded(entries: Sequence[JournalEntry], flows: ChannelFlows) -> Iterator[Recorded]:
    """Yield the steps of one sender, oldest first, which ``entries`` are all of."""
    conversation: Conversation | None = None
    opted_out = False
    index = 0
    while index < len(entries):
        entry = entries[index]
        first = json.loads(entry.record)
        event = event_of(first)
        if conversation is not None and isinstance(event, TimerFired | CallAnswered):
            # A record has the entry after its step. What was stepped belonged to the one before.
            event = replace(event, entry=conversation.entry)
        taken = of_one_event(entries, index)
        steps: tuple[Step, ...] = ()
        if not is_aside(first["fault"]):
            try:
                served = as_served(flows, taken)
                steps = answer(served, entry.sender, conversation, event, entry.at, opted_out=opted_out)
            except Exception:
                # A flow of today may break on what one of yesterday wrote; that is a step that is not made.
                steps = ()
        before = conversation
        for at, each in enumerate(taken):
            record = json.loads(each.record)
            made = steps[at] if at < len(steps) else None
            yield Recorded(each, event, before, opted_out, record, made)
            after = made.conversation if made is not None else conversation
            conversation = _as_recorded(after, each, record)
            notes = record["notes"]
            if isinstance(event, Received) and ConsentKind.OPT_OUT in notes:
                opted_out = True
            elif isinstance(event, Received) and ConsentKind.OPT_IN in notes:
                opted_out = False
        index += len(taken)


def of_one_event(entries: Sequence[JournalEntry], index: int) -> Sequence[JournalEntry]:
    """Return the steps of one event: two where a conversation is left and another one opens."""
    if index + 1 == len(entries) or entries[index + 1].step != 1:
        return entries[index : index + 1]
    one, other = (json.loads(each.record) for each in entries[index : index + 2])
    same = all(
        one.get(name) == other.get(name) for name in ("event", "text", "sent_at", "received_at", "flow")
    )
    return entries[index : index + (2 if one["ended"] == "left" and same else 1)]


def as_served(flows: ChannelFlows, taken: Sequence[JournalEntry]) -> ChannelFlows:
    """Return the flows as the channel must have served them for an event to open, and leave, what it did."""
    first, last = json.loads(taken[0].record), taken[-1]
    served = dict(flows.flows)
    if len(taken) > 1 and any(NOT_SERVED in note for note in first["notes"]):
        served.pop(taken[0].flow, None)
    default = last.flow if last.step == 1 and last.flow in served else flows.default
    if default == flows.default and len(served) == len(flows.flows):
        return flows
    return replace(flows, flows=served, default=default if default in served else None)


def _as_recorded(made: Conversation | None, entry: JournalEntry, record: dict[str, Any]) -> Conversation:
    """Return the conversation after a step, the journal's word going before what was made again."""
    if made is None:
        made = Conversation(
            channel=entry.channel,
            sender=entry.sender,
            number=entry.number,
            flow=entry.flow,
            state=record["after"],
            opened_at=entry.at,
            now_at=entry.at,
        )
    return replace(
        made,
        number=entry.number,
        flow=entry.flow,
        state=record["after"],
        data=decode(json.dumps(record["data"])),
        entry=record["entry"],
        steps=entry.step,
        ended=record["ended"],
        ended_at=entry.at if record["ended"] is not None else None,
        language=record.get("language", made.language),
        tries=record.get("tries", made.tries),
    )
