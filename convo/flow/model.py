"""What a flow file means once it has been read: frozen data, no YAML and no code in it.

A ``Flow`` is a set of named states. Everything an author can write under a state is one of the
classes below; ``engine/machine.py`` makes the transitions Machine out of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from convo.flow.problems import Position, Problem
from convo.flow.template import Expression, Template
from convo.flow.triggers import Matcher
from convo.flow.values import Type, Value


@dataclass(frozen=True, slots=True)
class Assignment:
    """One line of ``set``: a name and the expression (or quoted text) that it gets."""

    name: str
    value: Expression | Template
    position: Position


@dataclass(frozen=True, slots=True)
class Effects:
    """What happens beside moving: ``set`` top to bottom, then each text of ``reply`` a message."""

    set: tuple[Assignment, ...] = ()
    reply: tuple[Template, ...] = ()


@dataclass(frozen=True, slots=True)
class Arm:
    """One line of a ``goto``: where to, and under which condition (None: always, or ``else``).

    ``to`` is a state's name; None with ``end`` given means that the conversation ends there.
    """

    to: str | None
    position: Position
    condition: Expression | None = None
    end: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """What a trigger does. No arms: stay in the state."""

    position: Position
    condition: Expression | None = None
    effects: Effects = field(default_factory=Effects)
    goto: tuple[Arm, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A line under ``triggers``: what matches, and the actions of which the first that holds is taken."""

    matchers: tuple[Matcher, ...]
    actions: tuple[Action, ...]
    position: Position


class Card(StrEnum):
    """How a state is written."""

    COMMAND = "command"
    STEP = "step"
    END = "end"


@dataclass(frozen=True, slots=True)
class State:
    """A card under ``states``. ``entry`` happens on entering; ``goto`` is where a step goes on to."""

    name: str
    card: Card
    position: Position
    entry: Effects = field(default_factory=Effects)
    rules: tuple[Rule, ...] = ()
    goto: tuple[Arm, ...] = ()
    end: str | None = None
    anywhere: bool = True
    about: str = ""

    @property
    def speaks(self) -> bool:
        """Whether entering the state says something."""
        return bool(self.entry.reply)


@dataclass(frozen=True, slots=True)
class Datum:
    """A declared name: its type, whether it is given at the opening or kept, and its first value."""

    name: str
    type: Type
    given: bool = False
    keep: bool = False
    first: Value | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """A conversation as its author wrote it. ``version`` is a hash of the file's content.

    ``texts`` holds every built-in sentence, the author's where there is one. ``warnings`` are the
    problems that do not stop it from running.
    """

    name: str
    start: str
    states: Mapping[str, State]
    version: str
    path: str = ""
    about: str = ""
    greeting: Template | None = None
    anywhere: tuple[Rule, ...] = ()
    keywords: tuple[str, ...] = ()
    opt_out: tuple[str, ...] | None = None
    opt_in: tuple[str, ...] | None = None
    data: Mapping[str, Datum] = field(default_factory=dict)
    types: Mapping[str, Type] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    restart: bool = False
    zone: str = "UTC"
    country: str = ""
    language: str = "en"
    texts: Mapping[str, Template] = field(default_factory=dict)
    max_segments: int | None = None
    warnings: tuple[Problem, ...] = ()

    @property
    def needs_data(self) -> bool:
        """Whether somebody must give data before the conversation can open."""
        return any(datum.given and datum.first is None for datum in self.data.values())
