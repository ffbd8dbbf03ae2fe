"""What ``convo check`` finds in a flow that can be read: the codes, and the chats that show them.

Every code has a flow in ``tests/golden/flows`` that has it and a sound twin without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from convo.analysis.guesses import Guesses
from convo.analysis.places import Places
from convo.analysis.walk import Walk
from convo.engine.machine import CompiledFlow, MachineRow
from convo.flow.model import Flow
from convo.flow.problems import Position, Problem, Severity

CODES: Mapping[str, str] = MappingProxyType(
    {
        "C001": "a state that nothing leads to",
        "C002": "a state that nothing leads out of",
        "C003": "a name that is read where it may not be set",
        "C004": "a word that never arrives, because it means opting out",
        "C005": "a text that takes more segments than max_segments allows",
        "C006": "a circle that goes on by itself without waiting for anybody",
        "C007": "words that are left without an answer where no 'if' holds",
        "C008": "two triggers, or a trigger and an answer, that take the same text",
        "C009": "a word of anywhere, or a keyword, that hides an answer",
        "C010": "a timer that never does anything",
        "C011": "a timer that never stops",
        "C012": "a word that belongs to the carrier",
        "C013": "an end that says nothing to somebody who wrote",
        "C014": "a transition that no chat takes",
        "C015": "an 'ignore' that gives no reason, or ignores nothing",
        "C016": "a chat that breaks down",
        "C017": "not everything could be tried",
        "C018": "a text that takes more segments only for its typography",
        "C019": "a step that goes on to an end because that is the next state",
    }
)
"""What each code means. A code keeps its meaning for ever."""

LEVELS: Mapping[str, Severity] = MappingProxyType(
    {
        "C003": Severity.ERROR,
        "C016": Severity.ERROR,
        "C002": Severity.ADVICE,
        "C014": Severity.ADVICE,
        "C017": Severity.ADVICE,
        "C018": Severity.ADVICE,
        "C019": Severity.ADVICE,
    }
)
"""How bad a finding is; those that are not named here are warnings, but for C005, which is an error."""

LONGEST_CHAT = 14
"""Of longer chats only the beginning and the end are shown."""


@dataclass(frozen=True, slots=True)
class Finding(Problem):
    """A problem of a flow that runs, with the shortest chat that shows it."""

    chat: tuple[str, ...] = ()

    def as_data(self) -> dict[str, object]:
        """Return the finding as plain data, for ``--format json``."""
        return {**Problem.as_data(self), "chat": list(self.chat)}

    def __str__(self) -> str:
        """Return the finding as it is shown in a terminal."""
        lines = [Problem.__str__(self)]
        if self.chat:
            lines.append("    the shortest chat that shows it:")
            lines += [f"      {line}" for line in shortened(self.chat)]
        return "\n".join(lines)


def shortened(chat: tuple[str, ...]) -> list[str]:
    """Return a chat for a terminal: of a long one the beginning and the end."""
    if len(chat) <= LONGEST_CHAT:
        return list(chat)
    left = len(chat) - LONGEST_CHAT + 1
    return [*chat[:4], f"… ({left} lines)", *chat[4 + left :]]


@dataclass(slots=True)
class Looking:
    """A flow that is looked at: its Machine, what a walk found, and where things stand in which file.

    ``explained`` are the states of which something is told that keeps chats from what leads out of them,
    ``answers`` what is known of texts as answers to questions.
    """

    compiled: CompiledFlow
    walk: Walk
    places: Places = field(init=False)
    guesses: Guesses = field(init=False)
    reached: frozenset[str] = field(init=False)
    explained: set[str] = field(default_factory=set)
    answers: dict[tuple[object, ...], bool] = field(default_factory=dict)
    _rows: dict[str, list[MachineRow]] = field(init=False)

    def __post_init__(self) -> None:
        """Work out which states some chat comes to."""
        self.places = Places(self.flow)
        self.guesses = Guesses(self.compiled, self.walk.live)
        self._rows = {}
        for row in self.walk.machine:
            self._rows.setdefault(row.source, []).append(row)
        seen = {str(self.compiled.machine.initial)}
        for row in self.walk.machine:
            if row.taken in self.walk.taken:
                seen |= {row.source} | ({row.dest} if row.dest is not None else set())
        self.reached = frozenset(seen)

    @property
    def flow(self) -> Flow:
        """The flow."""
        return self.compiled.flow

    def finding(
        self,
        code: str,
        message: str,
        scope: str,
        position: Position,
        length: int = 1,
        *,
        hint: str = "",
        chat: Iterable[str] = (),
        severity: Severity | None = None,
        keeps: str = "",
    ) -> Finding:
        """Return a finding at a spot of the file of a scope; it ``keeps`` chats from going on in a state."""
        self.explained |= {keeps}
        level = severity or LEVELS.get(code, Severity.WARNING)
        at = self.places.at(scope, position.line, decided=False)
        return Finding(code, message, position, length, level, hint, (), at.path, at.text, chat=tuple(chat))

    def of_row(self, code: str, message: str, row: MachineRow, **more: object) -> Finding:
        """Return a finding at the line of a transition."""
        scope = row.take.scope if row.take is not None else ""
        text = self.places.at(scope, row.line, decided=False).text
        indent = len(text) - len(text.lstrip())
        position = Position(row.line, indent + 1)
        return self.finding(code, message, scope, position, max(1, len(text.strip())), **more)  # type: ignore[arg-type]

    def rows_of(self, state: str) -> list[MachineRow]:
        """Return the transitions that lead out of a state, or stay in it."""
        return self._rows.get(state, [])

    def chat_in(self, state: str) -> tuple[str, ...]:
        """Return the shortest chat that ends in a state that waits."""
        point = self.walk.states.get(state)
        return () if point is None else self.walk.chat_to(point)


_IGNORE = re.compile(r"#\s*convo:\s*(.*\S)?\s*$")
_WRITTEN = re.compile(r"ignore\s+([A-Z][0-9]{3}(?:\s*,\s*[A-Z][0-9]{3})*)(?:\s+because\s+(\S.*))?")


@dataclass(slots=True)
class Ignore:
    """A comment ``# convo: ignore C011 because …``: from which line to which it holds, for which codes."""

    line: int
    column: int
    text: str
    first: int
    last: int
    codes: frozenset[str] = frozenset()
    reason: str = ""
    used: bool = False

    def covers(self, problem: Problem) -> bool:
        """Return whether it is about that problem."""
        return problem.code in self.codes and self.first <= problem.position.line <= self.last


def ignores(lines: list[str]) -> list[Ignore]:
    """Return the comments of a file that say what to ignore.

    One holds for the line below it and all that is indented below that line; above the first key, for the
    whole file.
    """
    found = []
    for index, line in enumerate(lines):
        if not line.lstrip().startswith("#") or (match := _IGNORE.search(line)) is None:
            continue
        first, last = _held(lines, index)
        said = _WRITTEN.fullmatch(match[1] or "")
        codes = frozenset(re.findall(r"[A-Z][0-9]{3}", said[1])) if said is not None else frozenset[str]()
        reason = (said[2] or "") if said is not None else ""
        column = line.index("#") + 1
        found.append(Ignore(index + 1, column, line.strip(), first, last, codes, reason))
    return found


def _held(lines: list[str], index: int) -> tuple[int, int]:
    """Return from which line to which a comment holds."""
    below = [number for number in range(index + 1, len(lines)) if _says_something(lines[number])]
    if not any(_says_something(line) for line in lines[:index]) or not below:
        return 1, len(lines)
    first = below[0]
    depth = _indent(lines[first])
    last = next((number for number in below[1:] if _indent(lines[number]) <= depth), len(lines))
    return first + 1, last


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
