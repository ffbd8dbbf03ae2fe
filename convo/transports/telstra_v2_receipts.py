"""What became of what we sent by v2: asked message by message, seldom, one question a poll at most.

Fact: Telstra's v2 descriptions. The answer is a list of one object with a ``deliveryStatus``; a message that
is older than seven days, or is none, is answered by 404 OLD-NONEXISTANT-MESSAGE-ID.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from convo.messages import Receipt, Status
from convo.transports.http import Answer, NotJSON
from convo.transports.telstra_v2_answers import read_stamp
from convo.transports.telstra_v2_push import STATUS_OF

FIRST_LOOK = timedelta(seconds=10)
"""After a send: long enough for what Telstra answered to be stored before its receipt comes."""
SELDOM = timedelta(minutes=10)
GIVE_UP_AFTER = timedelta(days=2)
"""Receipts of other carriers may never come."""
MOST = 1000
"""So many are looked after at a time; the oldest is let go for a new one."""
REST = timedelta(minutes=1)
"""After a question that was not answered; texts matter more."""


@dataclass(slots=True)
class _Open:
    sent_at: datetime
    next_at: datetime
    wait: timedelta


class Statuses:
    """Which of our messages are open, in this process; threads may send and look."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._rests_until: datetime | None = None

    def sent(self, message_id: str, now: datetime) -> None:
        """Something was handed over; a blank id cannot be asked about."""
        with self._lock:
            if message_id:
                self._open[message_id] = _Open(now, now + FIRST_LOOK, FIRST_LOOK)
            while len(self._open) > MOST:
                del self._open[next(iter(self._open))]

    def due(self, now: datetime) -> str | None:
        """Return the message to ask about now, the one that has waited longest; None: none yet."""
        with self._lock:
            if self._rests_until is not None and now < self._rests_until:
                return None
            due = [(one.next_at, name) for name, one in self._open.items() if one.next_at <= now]
            return min(due)[1] if due else None

    def rest(self, now: datetime, wait: timedelta | None = None) -> None:
        """Ask nothing for a while."""
        with self._lock:
            self._rests_until = now + max(wait or REST, REST)

    def gone(self, message_id: str) -> None:
        """Telstra does not know it, or not any more."""
        with self._lock:
            self._open.pop(message_id, None)

    def told(self, message_id: str, answer: Answer, now: datetime) -> tuple[Receipt, ...]:
        """Return the receipt in a 200 to a question, none where nothing is settled yet."""
        said = _first(answer)
        status = STATUS_OF.get(str(said.get("deliveryStatus")).strip().upper(), Status.SENT)
        with self._lock:
            one = self._open.get(message_id)
            if one is None:
                return ()
            if status is not Status.SENT or now - one.sent_at > GIVE_UP_AFTER:
                del self._open[message_id]
            else:
                one.wait = min(one.wait * 2, SELDOM)
                one.next_at = now + one.wait
        if status is Status.SENT:
            return ()
        return (
            Receipt(self._channel, message_id, status, read_stamp(said.get("sentTimestamp")), answer.text),
        )


def _first(answer: Answer) -> dict[str, object]:
    """Return the object in the answer, empty where there is none."""
    try:
        said = answer.json()
    except NotJSON:
        return {}
    first = said[0] if isinstance(said, list) and said else said
    return first if isinstance(first, dict) else {}
