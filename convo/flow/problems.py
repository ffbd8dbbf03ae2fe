"""A problem of a file, written for the person who can mend it: where, what, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from convo.errors import ConvoError


class Severity(StrEnum):
    """How bad a problem is: an error stops the flow from running, the others do not."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Position:
    """A spot in a file; ``line`` and ``column`` count from 1, in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong at one spot.

    ``code`` is stable (``F012``). ``length`` is how many characters the caret underlines. ``hint`` is
    one sentence of advice, ``expected`` lists what would have been right there. ``path`` and
    ``source_line`` are filled in by whoever knows the file.
    """

    code: str
    message: str
    position: Position
    length: int = 1
    severity: Severity = Severity.ERROR
    hint: str = ""
    expected: tuple[str, ...] = ()
    path: str = ""
    source_line: str = ""

    def located(self, path: str, lines: list[str]) -> Problem:
        """Return this problem with the file's name and the text of its line."""
        text = lines[self.position.line - 1] if 0 < self.position.line <= len(lines) else ""
        return replace(self, path=path, source_line=text)

    def as_data(self) -> dict[str, object]:
        """Return the problem as plain data, for ``--format json``."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "path": self.path,
            "line": self.position.line,
            "column": self.position.column,
            "length": self.length,
            "message": self.message,
            "hint": self.hint,
            "expected": list(self.expected),
        }

    def __str__(self) -> str:
        """Return the problem as it is shown in a terminal."""
        where = f"{self.path or '<text>'}:{self.position.line}:{self.position.column}"
        kind = "" if self.severity is Severity.ERROR else f"{self.severity}: "
        lines = [f"{where}  {self.code}  {kind}{self.message}"]
        if self.source_line.strip():
            shown, column = _window(self.source_line, self.position.column)
            margin = f"    {self.position.line} | "
            lines.append(margin + shown)
            carets = "^" * max(1, min(self.length, len(shown) - column + 1))
            lines.append(" " * (len(margin) + column - 1) + carets)
        advice = "  ".join(part for part in (self.hint, _listed(self.expected)) if part)
        if advice:
            lines.append("    " + advice)
        return "\n".join(lines)


class FlowError(ConvoError):
    """A flow or test file has problems; ``problems`` holds all of them, in file order."""

    exit_code = 1

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(
            sorted(problems, key=lambda each: (each.path, each.position.line, each.position.column))
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the known name closest to ``word``, or nothing."""
    names = sorted(set(known))
    folded = {name.casefold(): name for name in names}
    # What is much longer or shorter only shares a few letters with it, unless it goes on from it.
    alike = [
        name
        for name in folded
        if abs(len(name) - len(word)) <= max(2, len(word) // 2) or name.startswith(word.casefold())
    ]
    close = difflib.get_close_matches(word.casefold(), alike, n=1, cutoff=0.6)
    return f"did you mean '{folded[close[0]]}'?" if close else ""


def _listed(expected: tuple[str, ...]) -> str:
    return f"(expected: {', '.join(expected)})" if expected else ""


def _window(line: str, column: int, width: int = 100) -> tuple[str, int]:
    """Cut a long line around ``column``; return what is shown and the column within it."""
    line = "".join(letter if letter.isprintable() else " " for letter in line)
    if len(line) <= width:
        return line, column
    start = max(0, min(column - 1 - width // 2, len(line) - width))
    return line[start : start + width], column - start
