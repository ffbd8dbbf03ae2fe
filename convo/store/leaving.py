"""The last look at what may leave, within the transaction that marks it; every store looks alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from convo.messages import Status
from convo.sms import cost
from convo.store.base import Expired, LastLook, OutboxRow
from convo.store.past import RecipientPast, charges
from convo.store.rows import Row, Run, optional, outbox_row, stamp, stored


@dataclass(slots=True)
class Leaving:
    """What goes, and what is written of it: rows of ``mark``, ``asked`` and ``charge``."""

    going: list[OutboxRow] = field(default_factory=list)
    marks: list[tuple[Any, ...]] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    charged: list[tuple[Any, ...]] = field(default_factory=list)


def look_over(
    rows: Iterable[Row], allows: Callable[[LastLook], str | None], run: Run, channel: str, now: datetime
) -> Leaving:
    """Take the last look at rows of ``sendable``."""
    at = stamp(now)
    found = Leaving()
    charged: list[tuple[str, str, int]] = []
    for each in rows:
        segments = cost(stored(each["text"])).segments
        row = outbox_row(each, segments)
        due_at = optional(each["due_at"]) if row.attempts else row.next_at
        look = LastLook(
            row,
            bool(each["opted_out"]),
            due_at or row.created_at,
            RecipientPast(run, channel, row.outbound.recipient, row.outbound.id),
            each["to_one"],
            each["on_channel"],
            stored(each["newest"]) or "",
            bool(each["to_itself"]),
        )
        reason = allows(look)
        if reason is None:
            found.going.append(row.marked())
            found.marks.append((Status.SENDING, 1, "", at, at, segments, 1, row.outbound.id))
            charged.append((channel, row.outbound.recipient, segments))
        else:
            stopped = Status.EXPIRED if isinstance(reason, Expired) else Status.BLOCKED
            found.marks.append((stopped, 0, str(reason), at, at, segments, 0, row.outbound.id))
            if row.outbound.asks:
                found.asked.append((at, row.outbound.id))
    found.charged = charges(charged, now)
    return found
