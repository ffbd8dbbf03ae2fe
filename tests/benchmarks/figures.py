"""What a benchmark says, and how it is printed."""

from __future__ import annotations

from dataclasses import dataclass

HEADER = "| figure | value | goal | how |\n| --- | --- | --- | --- |\n"


@dataclass(frozen=True)
class Figure:
    """A figure with its goal in words ("" where it is only for scale)."""

    name: str
    value: str
    goal: str = ""
    note: str = ""


def row(figure: Figure) -> str:
    """Return a figure as a row of a Markdown table, under ``HEADER``."""
    return f"| {figure.name} | {figure.value} | {figure.goal} | {figure.note} |\n"


def median(values: list[float]) -> float:
    """Return the middle of some values."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
