"""The pattern of a trigger: what ``answer_pattern`` compiles, with its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from convo.flow.answer_pattern import BadPattern, compiled
from convo.flow.codes import problem
from convo.flow.problems import FlowError
from convo.flow.reader import Scalar


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern and what tells whether the whole of a text matches it."""

    source: str
    matches: Callable[[str], bool] = field(compare=False, repr=False)


def compile_pattern(source: str, at: Scalar) -> Pattern:
    """Return the pattern.

    Raises:
        FlowError: it cannot be read, or could take too long.
    """
    try:
        return Pattern(source, compiled(source))
    except BadPattern as wrong:
        raise FlowError([problem("F010", str(wrong), at)]) from None
