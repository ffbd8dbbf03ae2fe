"""What a test file holds: cases, each a chat written step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from convo.flow.problems import Position
from convo.flow.reader import Node

SENDER = "+61400000000"
"""Who ``them`` is."""

KINDS = (
    *("them", "together", "again", "us", "us starts", "us contains", "us like", "nothing"),
    *("wait", "clock", "start", "state", "saved", "ended", "restart", "calls", "kept", "language"),
)
"""What a step of a transcript may be."""

OF_SOMEBODY = ("state", "saved", "ended", "start", "again", "language", "kept")
"""Steps that may name whom they are about: ``state of +61400000002``."""

BEFOREHAND = ("clock", "calls", "language", "kept")
"""Steps that set the scene: after any other one, ``kept`` would change what the journal tells."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that somebody sends. ``sent`` is how long before now, None where the provider says nothing."""

    sender: str
    text: str
    sent: timedelta | None = timedelta(0)


@dataclass(frozen=True, slots=True)
class Line:
    """One step of a case: its kind, its value as written, who it concerns, and the texts it sends."""

    kind: str
    value: Node
    position: Position
    who: str = SENDER
    texts: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One chat under a name."""

    name: str
    position: Position
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Transcripts:
    """A test file: the flow it tests and its cases."""

    path: Path
    flow: Path
    cases: tuple[Case, ...]
    source: list[str] = field(default_factory=list)
