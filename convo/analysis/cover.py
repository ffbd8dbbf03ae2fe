"""Which transitions of a flow its transcripts take: every row of the Machine, or the lines that are left."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from convo.analysis.places import Places
from convo.engine.machine import CompiledFlow, MachineRow, rows


@dataclass(frozen=True, slots=True)
class Cover:
    """How much of a Machine was taken. ``missed`` are the rows that no step took, in the Machine's order.

    ``files`` are the files that they stand in, as sub-flows have files of their own.
    """

    flow: str
    path: str
    total: int
    missed: tuple[MachineRow, ...]
    files: tuple[str, ...] = ()

    @property
    def percent(self) -> float:
        """The share of the transitions that were taken, in percent."""
        return 100.0 if not self.total else 100.0 * (self.total - len(self.missed)) / self.total

    def lines(self) -> list[str]:
        """Return it in words, a line for each transition that was missed."""
        said = [f"{self.flow}: {self.percent:.0f}% of {self.total} transitions"]
        files = self.files or (self.path,) * len(self.missed)
        for row, file in zip(self.missed, files, strict=True):
            where, dest = f"{file}:{row.line}", row.dest or "stays"
            when = f" if {row.condition}" if row.condition else ""
            said.append(f"  {where}  {row.source}: {row.trigger}{when} → {dest}")
        return said


def cover_of(compiled: CompiledFlow, taken: Collection[str]) -> Cover:
    """Return how much of the Machine was taken; ``taken`` are the names that steps gave."""
    machine = rows(compiled)
    missed = tuple(row for row in machine if row.taken not in taken)
    places = Places(compiled.flow)
    files = tuple(places.file_of(row.take.scope if row.take is not None else "") for row in missed)
    return Cover(compiled.flow.name, compiled.flow.path, len(machine), missed, files)
