"""What a store is to do, written down once more and without SQL: the judge of random operations."""

from __future__ import annotations

from dataclasses import dataclass, field

from convo.messages import Inbound, Status

FINAL = (Status.DELIVERED, Status.FAILED)


@dataclass
class In:
    """A row of the inbox."""

    sender: str
    text: str
    key: str | None
    status: str = "waiting"
    attempts: int = 0


@dataclass
class Out:
    """A row of the outbox."""

    recipient: str
    text: str
    status: Status = Status.QUEUED
    next_at: float = 0.0
    attempts: int = 0
    provider_id: str = ""


@dataclass
class Model:
    """One channel."""

    inbox: list[In] = field(default_factory=list)
    outbox: list[Out] = field(default_factory=list)
    opted_out: dict[str, bool] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    cursor: str | None = None

    def accept(self, messages: list[Inbound], cursor: str | None) -> tuple[int, int]:
        """Return how many are new and how many were known."""
        new = 0
        for message in sorted(messages, key=lambda each: each.sent_at or each.received_at):
            if message.key is not None and any(row.key == message.key for row in self.inbox):
                continue
            self.inbox.append(In(message.sender, message.text, message.key))
            new += 1
        self.cursor = cursor if cursor is not None else self.cursor
        return new, len(messages) - new

    def waiting(self) -> list[In]:
        """Return the rows that wait."""
        return [row for row in self.inbox if row.status == "waiting"]

    def mark(self, now: float, limit: int) -> list[Out]:
        """Return the rows that may leave, now marked."""
        chosen: list[Out] = []
        before: set[str] = set()
        ready = []
        for row in self.outbox:
            if row.status is Status.QUEUED and row.next_at <= now and row.recipient not in before:
                ready.append(row)
            held = row.status is Status.QUEUED and row.attempts == 0 and row.next_at > now
            if row.status in (Status.QUEUED, Status.SENDING) and not held:
                before.add(row.recipient)
        for row in ready[:limit]:
            if self.opted_out.get(row.recipient):
                row.status = Status.BLOCKED
            else:
                row.status, row.attempts = Status.SENDING, row.attempts + 1
                chosen.append(row)
        return chosen

    def receipt(self, provider_id: str, status: Status) -> int:
        """Return how many rows it moved."""
        moved = 0
        for row in self.outbox:
            if row.provider_id != provider_id or not provider_id:
                continue
            early = row.status in (Status.SENDING, Status.UNKNOWN)
            if early or (row.status is Status.SENT and status is not Status.SENT):
                row.status = status
                moved += 1
        return moved

    def recover(self) -> int:
        """Return how many rows became unknown."""
        lost = [row for row in self.outbox if row.status is Status.SENDING]
        for row in lost:
            row.status = Status.UNKNOWN
        return len(lost)
