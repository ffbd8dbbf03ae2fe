"""Transcripts: tests of a flow, written as the chat itself, read from ``*.test.yaml`` and played.

What plays them is a ``Phone``; ``convo.testing`` has one that runs the real thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from convo.analysis.transcripts_model import KINDS, SENDER, Case, Line, Text, Transcripts
from convo.analysis.transcripts_reading import CODES, read_transcripts, services_told
from convo.errors import ConfigError
from convo.flow.problems import Position
from convo.flow.reader import MapNode
from convo.flow.values import Value, parse_duration, show

__all__ = [
    "CODES",
    "KINDS",
    "SENDER",
    "Case",
    "Line",
    "Phone",
    "Text",
    "TranscriptFailure",
    "Transcripts",
    "play",
    "read_transcripts",
]


class Phone(Protocol):
    """What a transcript needs of the thing it talks to."""

    def receive(self, texts: Sequence[Text]) -> None:
        """Hand in texts in one poll, and let everything happen that follows."""
        ...

    def replies(self, who: str) -> list[str]:
        """Return what has been sent to that number and was not returned before."""
        ...

    def pass_time(self, by: timedelta) -> None:
        """Let time pass, firing what comes due on the way."""
        ...

    def set_clock(self, now: datetime) -> None:
        """Put the clock there."""
        ...

    def open(self, who: str, given: Mapping[str, str]) -> None:
        """Open the conversation from our side."""
        ...

    def again(self, who: str) -> None:
        """Have the provider hand out the last text of that sender a second time."""
        ...

    def speak(self, who: str, language: str) -> None:
        """Have that sender's conversation go on in another language."""
        ...

    def restart(self) -> None:
        """Stop, and go on from the store."""
        ...

    def calls(self, answers: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
        """Say what services answer from now on: by name, the result and its values."""
        ...

    def keep(self, who: str, values: Mapping[str, str]) -> None:
        """Say what an earlier conversation of that sender has left behind."""
        ...

    def position(self, who: str) -> tuple[str, Mapping[str, Value], str | None]:
        """Return that sender's state, data and disposition."""
        ...

    def why(self, who: str, said: str = "") -> Sequence[str]:
        """Return why that sender's last step went as it did, or the last one that said ``said``."""
        ...


class TranscriptFailure(AssertionError):
    """A case did not go as written; the message shows the chat as it went."""


def play(case: Case, phone: Phone, transcripts: Transcripts) -> None:
    """Play a case on a phone that is new.

    Raises:
        TranscriptFailure: something else was said, or was so.
    """
    _Play(case, phone, transcripts).play()


class _Play:
    def __init__(self, case: Case, phone: Phone, transcripts: Transcripts) -> None:
        self.case = case
        self.phone = phone
        self.file = transcripts
        self.chat: list[str] = []
        self.waiting: dict[str, list[str]] = {}
        self.people = [SENDER, *dict.fromkeys(line.who for line in case.lines if line.who != SENDER)]

    def play(self) -> None:
        for line in self.case.lines:
            try:
                self._line(line)
            except ConfigError as problem:
                self._fail(line.position, "expected this step to be possible", f"but {problem}", line.who)
        last = self.case.lines[-1] if self.case.lines else None
        self._nothing_left(last.position if last else self.case.position)

    def _line(self, line: Line) -> None:
        if line.kind in ("them", "together", "again", "wait", "start", "restart", "clock"):
            self._nothing_left(line.position)
        match line.kind:
            case "them" | "together":
                for text in line.texts:
                    self.chat.append(f"{_name(text.sender, 'them')}: {text.text}")
                self.phone.receive(line.texts)
            case "again":
                self.chat.append(f"({_name(line.who, 'them')} again)")
                self.phone.again(line.who)
            case "language":
                self.chat.append(f"({_name(line.who, 'them')} in {line.value})")
                self.phone.speak(line.who, str(line.value))
            case "wait":
                self.chat.append(f"({line.value} later)")
                self.phone.pass_time(parse_duration(str(line.value)) or timedelta(0))
            case "calls":
                self.phone.calls(services_told(line.value))
            case "kept":
                kept = line.value if isinstance(line.value, MapNode) else {}
                self.phone.keep(line.who, {str(name): str(value) for name, value in kept.items()})
            case "clock":
                self.phone.set_clock(datetime.fromisoformat(str(line.value)))
            case "start":
                given = line.value if isinstance(line.value, MapNode) else {}
                self.chat.append("(we start)")
                self.phone.open(line.who, {str(key): str(value) for key, value in given.items()})
            case "restart":
                self.chat.append("(restart)")
                self.phone.restart()
            case "nothing":
                self._hear()
                self._nothing_left(line.position)
            case "state" | "saved" | "ended":
                self._stands(line)
            case _:
                self._said(line)
        self._hear()

    def _hear(self) -> None:
        for who in self.people:
            for text in self.phone.replies(who):
                self.chat.append(f"{_name(who, 'us', 'us to ')}: {text}")
                self.waiting.setdefault(who, []).append(text)

    def _said(self, line: Line) -> None:
        self._hear()
        texts = self.waiting.get(line.who, [])
        expected = _collapsed(str(line.value))
        if not texts:
            self._fail(line.position, f"expected {line.kind}: {expected}", "but nothing was said", line.who)
        actual = _collapsed(texts.pop(0))
        fits = {
            "us": actual == expected,
            "us starts": actual.startswith(expected),
            "us contains": expected in actual,
            "us like": line.kind == "us like" and re.fullmatch(str(line.value), actual) is not None,
        }
        if not fits[line.kind]:
            why = (line.who, actual)
            self._fail(line.position, f"expected {line.kind}: {expected}", f"but it was: {actual}", *why)

    def _stands(self, line: Line) -> None:
        state, data, ended = self.phone.position(line.who)
        if line.kind == "state" and state != line.value:
            actual = f"but it is: {state or 'none'}"
            self._fail(line.position, f"expected state: {line.value}", actual, line.who)
        if line.kind == "ended" and ended != line.value:
            actual = f"but it is: {ended or 'open'}"
            self._fail(line.position, f"expected ended: {line.value}", actual, line.who)
        if isinstance(line.value, MapNode):
            for name, expected in line.value.items():
                found = data.get(str(name))
                actual = "(not set)" if found is None else show(found)
                if str(expected) not in (actual, str(found)):
                    wanted = f"expected saved {name}: {expected}"
                    self._fail(name.position, wanted, f"but it is: {actual}", line.who)

    def _nothing_left(self, position: Position) -> None:
        for who, texts in self.waiting.items():
            if texts:
                wanted = f"expected nothing more to {_name(who, 'them')}"
                self._fail(position, wanted, f"but it was: {texts[0]}", who, texts[0])

    def _fail(self, position: Position, expected: str, actual: str, who: str, said: str = "") -> None:
        line = self.file.source[position.line - 1].strip() if self.file.source else ""
        parts = [
            f"{self.file.path}:{position.line}: {self.case.name}",
            f"  {expected}",
            f"  {actual}",
            f"  line {position.line}: {line}",
            "  the chat so far:",
            *("    " + part for each in self.chat for part in each.split("\n")),
        ]
        if why := self.phone.why(who, said):
            parts += ["  why:", *("    " + part for part in why)]
        raise TranscriptFailure("\n".join(parts))


def _name(who: str, me: str, prefix: str = "") -> str:
    return me if who == SENDER else prefix + who


def _collapsed(text: str) -> str:
    return " ".join(text.split())
