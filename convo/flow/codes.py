"""The numbers of what can be wrong with the meaning of a flow file: stable, one line each.

A code keeps its meaning for ever; a new kind of problem gets a new number. Each has a flow in
``tests/golden/flows`` that shows it. What is no YAML at all has its codes in ``reader``, what is wrong
within a text or an expression in ``template``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from convo.flow.problems import Position, Problem
from convo.flow.reader import Scalar

CODES: Mapping[str, str] = MappingProxyType(
    {
        "F001": "a key that means nothing there",
        "F003": "something that has to be there is missing",
        "F004": "a text where a mapping or a list belongs, or the other way round",
        "F005": "a value that is not one of those possible",
        "F006": "a name that is not written like a name",
        "F007": "a name that belongs to the language",
        "F008": "one name, two types",
        "F009": "a name whose type cannot be worked out",
        "F010": "words of a trigger that cannot be read",
        "F011": "the same word twice",
        "F012": "a goto to a state that is not there",
        "F013": "a goto without its 'else'",
        "F014": "something below what always holds",
        "F015": "a start that is no state",
        "F016": "moved: from a state that is still there, or to one that is not",
        "F017": "a last step that goes nowhere",
        "F018": "a circle of steps that never waits",
        "F019": "goto and end at the same time",
        "F020": "a first value that is not one of its type",
        "F021": "a built-in sentence that does not exist, or a name it cannot say",
        "F022": "a condition that is neither yes nor no",
        "F023": "something that does nothing",
        "F024": "a time or a duration that cannot be read",
        "F025": "somebody or something that is not declared",
        "F026": "keys of a question that do not go together",
        "F027": "two choices that mean the same text",
        "F028": "a sub-flow that cannot be run here",
        "F029": "a result that nobody takes, or that does not exist",
        "F030": "a twin in another language that does not fit",
    }
)


def problem(
    code: str,
    message: str,
    at: Scalar | Position,
    *,
    hint: str = "",
    expected: Iterable[str] = (),
) -> Problem:
    """Return a problem with the meaning of a file, underlining ``at``."""
    position, length = (at, 1) if isinstance(at, Position) else (at.position, max(1, at.length))
    return Problem(code, message, position, length, hint=hint, expected=tuple(expected))
