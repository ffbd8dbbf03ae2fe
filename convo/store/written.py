"""What came in, what steps did and what providers said, as rows; every store writes the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from convo.engine.conversation import CallAnswered, Conversation, TimerFired
from convo.flow.values import encode, packed
from convo.messages import Inbound, Status
from convo.store.base import InboxStatus, Opening, Result, Settlement
from convo.store.rows import consent_row, conversation_row, record, stamp, storable

Values = tuple[Any, ...]

SPENT_KEPT = timedelta(days=7)
"""How long it is known what was spent on a day."""

CLOCK_SET_BACK = timedelta(hours=1)
"""A row of the outbox dated so much ahead was written before the clock was set back."""

_DID_NOT_LEAVE = (Status.QUEUED, Status.FAILED, Status.BLOCKED, Status.EXPIRED)

TAKEN = ("drop_timer", "call_done", "finish")
"""The statements whose every row must be found: what was claimed is still there."""


@dataclass(slots=True)
class Written:
    """Rows by the statement that writes them. Those of people begin with channel and number."""

    timers_dropped: list[Values] = field(default_factory=list)
    conversations: list[Values] = field(default_factory=list)
    journal: list[Values] = field(default_factory=list)
    outbound: list[Values] = field(default_factory=list)
    timers: list[Values] = field(default_factory=list)
    left: list[Values] = field(default_factory=list)
    calls_done: list[Values] = field(default_factory=list)
    calls: list[Values] = field(default_factory=list)
    consent: list[Values] = field(default_factory=list)
    finished: list[Values] = field(default_factory=list)

    def statements(self) -> Iterator[tuple[str, list[Values]]]:
        """Yield the statements that have something to do, in the order in which they must run."""
        for name, rows in (
            ("drop_timer", self.timers_dropped),
            ("write_conversation", self.conversations),
            ("write_journal", self.journal),
            ("write_outbound", self.outbound),
            ("write_timer", self.timers),
            ("void_timers", self.left),
            ("void_calls", self.left),
            ("call_done", self.calls_done),
            ("write_call", self.calls),
            ("write_consent", self.consent),
            ("finish", self.finished),
        ):
            if rows:
                yield name, rows


def written(results: Sequence[Result], now: datetime) -> Written:
    """Return the rows of these results, all dated ``now``."""
    found = Written()
    last: dict[tuple[str, str, int], tuple[Conversation, Mapping[str, object]]] = {}
    at = stamp(now)
    for result in results:
        for step in result.steps:
            after = step.conversation
            name = (after.channel, after.sender, after.number)
            data = packed(after.data)
            last[name] = after, data
            found.journal.append((*name, after.steps, after.flow, stamp(step.now), record(step, data)))
            found.outbound += [
                (
                    *(o.channel, o.recipient, storable(o.text), o.kind, at, at),
                    *(stamp(o.not_before) if o.not_before else at, o.number, o.asks),
                )
                for o in step.outbound
            ]
            if step.request is not None:
                key = f"convo-{after.channel}-{after.sender}-{after.number}-{after.entry}"
                key = hashlib.sha256(key.encode()).hexdigest()[:32]
                asked = (step.request.service, encode(step.request.given), key, at, at)
                found.calls.append((*name, after.entry, *asked))
            found.timers += [(*name, after.entry, t.name, stamp(t.due_at)) for t in step.timers]
            found.consent += [consent_row(each) for each in step.consent]
        if isinstance(result.waiting.event, TimerFired):
            found.timers_dropped.append((result.waiting.id,))
        elif isinstance(result.waiting.event, CallAnswered):
            found.calls_done.append((result.waiting.id,))
        else:
            status = (
                InboxStatus.DEAD if result.dead else InboxStatus.WAITING if result.retry else InboxStatus.DONE
            )
            tried = int(bool(result.dead or result.retry))
            found.finished.append((status, tried, result.dead or result.retry or "", result.waiting.id))
    # An ended conversation is written before the one that was opened after it: one open at a time.
    for person, (conversation, packed_data) in sorted(last.items()):
        found.conversations.append(conversation_row(conversation, packed_data))
        found.left.append((*person, conversation.entry, int(not conversation.is_open)))
    return found


def texts(channel: str, messages: Sequence[Inbound]) -> list[Values]:
    """Return the rows of ``accept``, in the order in which the messages were sent."""
    return [
        (
            channel,
            each.sender,
            each.key,
            each.provider_id,
            each.recipient,
            storable(each.text),
            stamp(each.sent_at) if each.sent_at else None,
            stamp(each.received_at),
            storable(each.raw),
        )
        for each in sorted(messages, key=lambda each: each.sent_at or each.received_at)
    ]


def requests(openings: Sequence[Opening], now: datetime) -> list[Values]:
    """Return the rows of ``request``."""
    at = stamp(now)
    return [
        (each.channel, each.recipient, f"opening:{each.key}", each.flow, at, each.given) for each in openings
    ]


@dataclass(frozen=True, slots=True)
class Settled:
    """What providers said, as rows by the statement that writes them."""

    settle: list[Values]
    give_back: list[Values]
    asked: list[Values]
    consent: list[Values]


def settled(settlements: Sequence[Settlement], now: datetime) -> Settled:
    """Return the rows of these settlements, all dated ``now``."""
    at = stamp(now)
    return Settled(
        settle=[
            (
                each.status,
                each.provider_id,
                each.provider_id,
                each.reason,
                each.segments,
                stamp(each.retry_at) if each.retry_at else None,
                at,
                each.id,
            )
            for each in settlements
        ],
        give_back=[(each.id,) for each in settlements if each.status in _DID_NOT_LEAVE],
        asked=[(at, each.id) for each in settlements if each.asked],
        consent=[consent_row(each.consent) for each in settlements if each.consent is not None],
    )
