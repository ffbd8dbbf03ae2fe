"""What is set aside because its step raised or cannot be made: what journal and sender hear of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime

from convo.engine.conversation import Conversation, Received, Started, Step, TimerFired
from convo.engine.opening import ChannelFlows
from convo.engine.said import built_in_text
from convo.engine.step import moment_of, opened
from convo.messages import Outbound, OutboundKind
from convo.store.base import Store, Waiting

SET_ASIDE = "set aside: "
"""How the fault of such a step begins in the journal."""


@dataclass(slots=True)
class Unfinished:
    """Timers, or answers of services, that raised; by id, for as long as this process lives.

    ``held`` are those whose state is gone: they wait until a run has a flow that knows it.
    """

    held: set[int] = field(default_factory=set)
    _tries: Counter[int] = field(default_factory=Counter)

    def tried(self, row: int) -> int:
        """Count one more try and return how many there have been."""
        self._tries[row] += 1
        return self._tries[row]


@dataclass(slots=True)
class Aside:
    """The timers and the answers that raised."""

    timers: Unfinished = field(default_factory=Unfinished)
    answers: Unfinished = field(default_factory=Unfinished)

    def of(self, waiting: Waiting) -> Unfinished:
        """Return those of the same kind."""
        return self.timers if isinstance(waiting.event, TimerFired) else self.answers


def apology(
    store: Store,
    flows: ChannelFlows,
    waiting: Waiting,
    conversation: Conversation | None,
    reason: str,
    now: datetime,
    opted_out: bool,
) -> Step | None:
    """Return the step that enters into the journal why a row is set aside, and says sorry to who wrote.

    A sender hears it once, until a step of theirs has worked again. None where there is no conversation to
    tell of, and none that the text would open.
    """
    if opted_out or isinstance(waiting.event, Started):
        return None
    if conversation is None or not conversation.is_open:
        conversation = _would_open(flows, waiting, conversation, now)
    compiled = flows.flows.get(conversation.flow) if conversation is not None else None
    if conversation is None or compiled is None:
        return None
    moment, notes = moment_of(waiting.event, now, conversation)
    outbound: tuple[Outbound, ...] = ()
    if isinstance(waiting.event, Received) and not _has_heard(store, waiting):
        try:
            text = built_in_text(compiled, "apology", None, conversation.language)
        except Exception:
            # Words of the flow's own may be what raises.
            text = ""
        if text.strip():
            outbound = (
                Outbound(
                    conversation.channel,
                    conversation.sender,
                    text,
                    OutboundKind.APOLOGY,
                    number=conversation.number,
                ),
            )
    return Step(
        conversation=replace(conversation, steps=conversation.steps + 1),
        event=waiting.event,
        now=moment,
        state_before=conversation.state,
        outbound=outbound,
        notes=tuple(notes),
        fault=SET_ASIDE + reason,
    )


def _would_open(
    flows: ChannelFlows, waiting: Waiting, last: Conversation | None, now: datetime
) -> Conversation | None:
    """Return the conversation that a text would have opened, before its first state."""
    if not isinstance(waiting.event, Received):
        return None
    keyword = flows.keyword_of(waiting.event.text)
    compiled = flows.flows.get((keyword.flow if keyword is not None else flows.default) or "")
    if compiled is None or compiled.flow.needs_data:
        return None
    moment, _ = moment_of(waiting.event, now, None)
    number = last.number + 1 if last is not None else 1
    return opened(compiled, flows.channel, waiting.sender, number, waiting.event, moment, last)


def _has_heard(store: Store, waiting: Waiting) -> bool:
    """Return whether the sender's last step was set aside, too."""
    entries = store.journal(waiting.channel, waiting.sender)
    return bool(entries) and is_aside(json.loads(entries[-1].record)["fault"])


def is_aside(fault: str | None) -> bool:
    """Return whether a step of the journal was set aside instead of being made."""
    return fault is not None and fault.startswith(SET_ASIDE)
