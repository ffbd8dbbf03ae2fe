"""What a step looked at on its way, in order. Kept only where somebody asks why; see ``watched``.

A trace changes nothing: what decides is the Machine and the same conditions as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from convo.flow.triggers import Matcher
from convo.flow.values import Value

if TYPE_CHECKING:
    from convo.engine.machine import CompiledFlow, Take


@dataclass(frozen=True, slots=True)
class Read:
    """A text is compared with what ``state`` takes; ``late``: it was sent before the question was there."""

    state: str
    text: str = field(repr=False)
    language: str
    late: bool


@dataclass(frozen=True, slots=True)
class WordFound:
    """The whole text is the word of this trigger, which ``state`` may have or not."""

    state: str
    trigger: str


@dataclass(frozen=True, slots=True)
class KindTried:
    """The text was compared with a kind of text; ``anywhere``: one of those of every state."""

    state: str
    matcher: Matcher
    fits: bool
    anywhere: bool


@dataclass(frozen=True, slots=True)
class AnswerRead:
    """The text was read as an answer. ``value`` is None where it is none; ``near`` is what it may mean."""

    state: str
    value: Value | None
    how: str
    near: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Keyword:
    """The text is a keyword of the channel, which is looked at after the words of the state."""

    state: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The Machine was asked for the transitions of a trigger from ``state``; ``found`` is how many it has."""

    state: str
    trigger: str
    found: int


@dataclass(frozen=True, slots=True)
class Tested:
    """A condition of one transition was worked out, with the values of the names that it reads."""

    take: Take | None
    condition: str
    held: bool
    values: Mapping[str, Value | None]


@dataclass(frozen=True, slots=True)
class Took:
    """A transition was taken; ``dest`` is None for staying."""

    source: str
    take: Take
    dest: str | None


Note = Read | WordFound | KindTried | AnswerRead | Keyword | Asked | Tested | Took


@dataclass(slots=True)
class Trace:
    """What was looked at, in order."""

    notes: list[Note] = field(default_factory=list)

    def add(self, note: Note) -> None:
        """Note one thing more."""
        self.notes.append(note)


def watched(compiled: CompiledFlow, trace: Trace) -> CompiledFlow:
    """Return the same Machine, with steps that note in ``trace`` what they look at."""
    return replace(compiled, trace=trace)
