"""What every store reads in the same way: named statements, whose rows become what the callers know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from convo.engine.conversation import Conversation
from convo.messages import Address
from convo.store.base import InboxRow, InboxStatus, JournalEntry, OutboxRow, PendingCall, Waiting
from convo.store.forgotten import is_forgotten
from convo.store.rows import (
    Row,
    conversation_of,
    inbox_row,
    journal_entry,
    optional,
    outbox_row,
    pending_call,
    stamp,
    waiting_answer,
    waiting_text,
    waiting_timer,
)
from convo.store.written import CLOCK_SET_BACK


class Reading(ABC):
    """The reads of a store; see ``Store`` for what they promise."""

    @abstractmethod
    def _rows(self, name: str, *values: Any) -> list[Row]:
        """Run a named statement, and return what it found."""

    def cursor(self, channel: str) -> str | None:
        """Return where the channel's last stored batch left off."""
        found = self._rows("cursor", channel)
        return found[0]["cursor"] if found else None

    def claim(self, limit: int) -> list[Waiting]:
        """Return up to ``limit`` waiting inbox rows, oldest first."""
        return [waiting_text(row) for row in self._rows("claim", limit)]

    def due(self, now: datetime, limit: int) -> list[Waiting]:
        """Return up to ``limit`` timers due whose conversation is open and still in that entry."""
        return [waiting_timer(row) for row in self._rows("due", stamp(now), limit)]

    def next_timer(self) -> datetime | None:
        """Return when the next timer comes due, or None."""
        return optional(self._rows("next_timer")[0]["at"])

    def calls(self, now: datetime, limit: int) -> list[PendingCall]:
        """Return up to ``limit`` services that are to be asked now, oldest first."""
        return [pending_call(row) for row in self._rows("calls_to_make", stamp(now), limit)]

    def next_call(self) -> datetime | None:
        """Return when the next service is to be asked, or None."""
        return optional(self._rows("next_call")[0]["at"])

    def answered(self, limit: int) -> list[Waiting]:
        """Return up to ``limit`` answers of services that wait for their step, oldest first."""
        return [waiting_answer(row) for row in self._rows("answered", limit)]

    def unknown(self, channel: str, before: datetime, limit: int) -> list[OutboxRow]:
        """Return rows of the channel that have been unknown since ``before``, oldest first."""
        ahead = stamp(before + CLOCK_SET_BACK)
        return [outbox_row(row) for row in self._rows("unknown", channel, stamp(before), ahead, limit)]

    def provider_ids(self, channel: str, recipient: Address) -> frozenset[str]:
        """Return the provider's ids of all that was handed over to that recipient."""
        return frozenset(row["provider_id"] for row in self._rows("provider_ids", channel, recipient))

    def next_outbound(self, channel: str) -> datetime | None:
        """Return when the next queued row of the channel may leave, or None."""
        return optional(self._rows("next_outbound", channel)[0]["at"])

    def opted_out(self, channel: str, number: Address) -> bool:
        """Return whether the last entry of the ledger for that number is an opt-out."""
        found = self._rows("opted_out", channel, number)
        if not found:
            return is_forgotten(self._rows, channel, number)
        return bool(found[0]["opted_out"])

    def conversation(self, channel: str, sender: Address) -> Conversation | None:
        """Return the sender's open conversation, else the one that ended last, else None."""
        found = self._rows("conversation", channel, sender)
        return conversation_of(found[0]) if found else None

    def open_states(self) -> Mapping[tuple[str, str], int]:
        """Return how many open conversations wait in each (flow, state)."""
        return {(row["flow"], row["state"]): row["found"] for row in self._rows("open_states")}

    def journal(self, channel: str, sender: Address) -> list[JournalEntry]:
        """Return every step of that sender on that channel, oldest first."""
        return [journal_entry(row) for row in self._rows("journal", channel, sender)]

    def outbox(self, channel: str | None = None) -> list[OutboxRow]:
        """Return the outbox, oldest first."""
        return [outbox_row(row) for row in self._rows("outbox", channel, channel)]

    def inbox(self, status: InboxStatus | None = None) -> list[InboxRow]:
        """Return the inbox, oldest first."""
        return [inbox_row(row) for row in self._rows("inbox", status, status)]
