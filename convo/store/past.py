"""What the last look may ask about the past of a recipient, within the transaction that marks the row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from convo.messages import Address
from convo.store.base import Line
from convo.store.rows import Run, moment, stamp, stored

_STOPPED = ("blocked", "expired", "queued")


class RecipientPast:
    """The past of one recipient on one channel; looked up when asked for."""

    __slots__ = ("_row", "_run", "_who")

    def __init__(self, run: Run, channel: str, recipient: Address, row: int) -> None:
        self._run = run
        self._who = (channel, recipient)
        self._row = row

    def heard(self, limit: int) -> list[Line]:
        """Return the latest texts from the recipient, newest first."""
        return [
            Line(stored(each["text"]), moment(each["received_at"]))
            for each in self._run("heard", *self._who, limit)
        ]

    def said(self, limit: int) -> list[Line]:
        """Return the latest texts for the recipient that left or were stopped, newest first."""
        return [
            Line(stored(each["text"]), moment(each["marked_at"]), each["status"] not in _STOPPED)
            for each in self._run("said", *self._who, limit)
        ]

    def confirms(self) -> bool:
        """Return whether the row is the newest word about consent, and the carrier has not refused since."""
        return not self._run("unconfirmed", *self._who, self._row)


def day(now: datetime) -> str:
    """Return the day of UTC in which a moment lies."""
    return stamp(now)[:10]


def charges(rows: Sequence[tuple[str, str, int]], now: datetime) -> list[tuple[Any, ...]]:
    """Return the values of ``charge``, to recipient and channel, of (channel, recipient, segments)."""
    return [
        (channel, day(now), who, segments) for channel, recipient, segments in rows for who in (recipient, "")
    ]
