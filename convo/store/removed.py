"""What a store says after it has removed people or what is old."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed for good: rows of each kind; ``opted_out``: that fact is kept, as a keyed hash."""

    conversations: int = 0
    steps: int = 0
    texts: int = 0
    outbounds: int = 0
    opted_out: bool = False

    def __add__(self, other: Removed) -> Removed:
        """Return both together."""
        return Removed(
            self.conversations + other.conversations,
            self.steps + other.steps,
            self.texts + other.texts,
            self.outbounds + other.outbounds,
            self.opted_out or other.opted_out,
        )

    def __bool__(self) -> bool:
        """Whether there was anything."""
        return self != Removed()
