"""What a benchmark says, and how it is printed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure with its goal in words ("" where it is only for scale)."""

    name: str
    value: str
    goal: str = ""
    note: str = ""


def table(figures: list[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [("figure", "value", "goal", "how"), ("---", "---", "---", "---")]
    rows += [(each.name, each.value, each.goal, each.note) for each in figures]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def median(values: list[float]) -> float:
    """Return the middle of some values."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
