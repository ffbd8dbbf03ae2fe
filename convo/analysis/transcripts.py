"""Transcripts: tests of a flow, written as the chat itself, read from ``*.test.yaml`` and played.

What plays them is a ``Phone``; ``convo.testing`` has one that runs the real thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from convo.flow.problems import FlowError, Position, Problem, nearest
from convo.flow.reader import Document, ListNode, MapNode, Node, Scalar, read_file
from convo.flow.values import Value, parse_duration, show

SENDER = "+61400000000"
"""Who ``them`` is."""

CODES: Mapping[str, str] = MappingProxyType(
    {
        "X001": "a key that means nothing in a transcript",
        "X002": "something that has to be there is missing",
        "X003": "a text where a mapping or a list belongs, or the other way round",
        "X004": "a value that cannot be read",
        "X005": "the flow that is tested cannot be found",
    }
)

KINDS = (
    *("them", "together", "us", "us starts", "us contains", "us like", "nothing"),
    *("wait", "clock", "start", "state", "saved", "ended", "restart", "calls", "kept"),
)
"""What a step of a transcript may be."""


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


class TranscriptFailure(AssertionError):
    """A case did not go as written; the message shows the chat as it went."""


def read_transcripts(path: Path) -> Transcripts:
    """Return the cases of a test file.

    Raises:
        FlowError: with every problem of the file.
    """
    document = read_file(path)
    return _Reading(document, path).transcripts()


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
            self._line(line)
        last = self.case.lines[-1] if self.case.lines else None
        self._nothing_left(last.position if last else self.case.position)

    def _line(self, line: Line) -> None:
        if line.kind in ("them", "together", "wait", "start", "restart", "clock"):
            self._nothing_left(line.position)
        match line.kind:
            case "them" | "together":
                for text in line.texts:
                    self.chat.append(f"{_name(text.sender, 'them')}: {text.text}")
                self.phone.receive(line.texts)
            case "wait":
                self.chat.append(f"({line.value} later)")
                self.phone.pass_time(parse_duration(str(line.value)) or timedelta(0))
            case "calls":
                self.phone.calls(_answers(line.value))
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
            self._fail(line.position, f"expected {line.kind}: {expected}", "but nothing was said")
        actual = _collapsed(texts.pop(0))
        fits = {
            "us": actual == expected,
            "us starts": actual.startswith(expected),
            "us contains": expected in actual,
            "us like": line.kind == "us like" and re.fullmatch(str(line.value), actual) is not None,
        }
        if not fits[line.kind]:
            self._fail(line.position, f"expected {line.kind}: {expected}", f"but it was: {actual}")

    def _stands(self, line: Line) -> None:
        state, data, ended = self.phone.position(line.who)
        if line.kind == "state" and state != line.value:
            self._fail(line.position, f"expected state: {line.value}", f"but it is: {state or 'none'}")
        if line.kind == "ended" and ended != line.value:
            self._fail(line.position, f"expected ended: {line.value}", f"but it is: {ended or 'open'}")
        if isinstance(line.value, MapNode):
            for name, expected in line.value.items():
                found = data.get(str(name))
                actual = "(not set)" if found is None else show(found)
                if str(expected) not in (actual, str(found)):
                    self._fail(name.position, f"expected saved {name}: {expected}", f"but it is: {actual}")

    def _nothing_left(self, position: Position) -> None:
        for who, texts in self.waiting.items():
            if texts:
                self._fail(
                    position, f"expected nothing more to {_name(who, 'them')}", f"but it was: {texts[0]}"
                )

    def _fail(self, position: Position, expected: str, actual: str) -> None:
        line = self.file.source[position.line - 1].strip() if self.file.source else ""
        chat = "\n".join("    " + part for said in self.chat for part in said.split("\n"))
        raise TranscriptFailure(
            f"{self.file.path}:{position.line}: {self.case.name}\n  {expected}\n  {actual}\n"
            f"  line {position.line}: {line}\n  the chat so far:\n{chat}"
        )


def _name(who: str, me: str, prefix: str = "") -> str:
    return me if who == SENDER else prefix + who


def _collapsed(text: str) -> str:
    return " ".join(text.split())


class _Reading:
    def __init__(self, document: Document, path: Path) -> None:
        self.document = document
        self.path = path
        self.problems: list[Problem] = []

    def transcripts(self) -> Transcripts:
        root = self.document.root
        cases: list[Case] = []
        flow = self.path
        if isinstance(root, MapNode):
            for key in root:
                if key not in ("tests", "cases"):
                    self._problem(
                        "X001", f"'{key}' means nothing here", key, nearest(key, ("tests", "cases"))
                    )
            name = root.get(Scalar("tests"))
            if isinstance(name, Scalar):
                flow = self.path.parent / f"{name}.yaml"
                if not flow.is_file():
                    self._problem("X005", f"there is no flow file {flow.name} beside this file", name)
            else:
                self._problem("X002", "'tests: NAME' has to say which flow is tested", root.position)
            written = root.get(Scalar("cases"))
            if isinstance(written, MapNode):
                cases = [self._case(key, value) for key, value in written.items()]
            else:
                self._problem("X002", "'cases' has to hold the chats, each under a name", root.position)
        if self.problems:
            raise FlowError(each.located(self.document.path, self.document.lines) for each in self.problems)
        return Transcripts(self.path, flow, tuple(cases), self.document.lines)

    def _case(self, name: Scalar, node: Node) -> Case:
        if not isinstance(node, ListNode):
            self._problem("X003", f"'{name}' has to be a list of steps, each with '- '", name)
            return Case(str(name), name.position, ())
        lines = [line for each in node if (line := self._line(each)) is not None]
        return Case(str(name), name.position, tuple(lines))

    def _line(self, node: Node) -> Line | None:
        if not isinstance(node, MapNode) or not node:
            self._problem("X003", "a step looks like 'them: hello'", _spot(node))
            return None
        key, value = next(iter(node.items()))
        kind, who = str(key), SENDER
        match = re.fullmatch(r"(from|to|us to) (\+\d{5,15})", kind)
        if match:
            kind, who = ("them" if match.group(1) == "from" else "us"), match.group(2)
        elif match := re.fullmatch(r"(state|saved|ended|start) (?:of )?(\+\d{5,15})", kind):
            kind, who = match.group(1), match.group(2)
        if kind not in KINDS:
            self._problem("X001", f"'{key}' is no step of a transcript", key, nearest(kind, KINDS), KINDS)
            return None
        for other in list(node)[1:]:
            if not (other == "sent" and kind == "them"):
                self._problem("X001", f"'{other}' means nothing beside '{key}'", other)
        return self._checked(Line(kind, value, key.position, who), node)

    def _checked(self, line: Line, node: MapNode) -> Line | None:
        value = line.value
        if line.kind == "them":
            if not isinstance(value, Scalar):
                self._problem("X003", "'them' has to be a text", _spot(value))
                return None
            sent = self._sent(node)
            return Line(line.kind, value, line.position, line.who, (Text(line.who, str(value), sent),))
        if line.kind == "together":
            inner = [self._line(each) for each in value] if isinstance(value, ListNode) else []
            texts = tuple(text for each in inner if each is not None for text in each.texts)
            if not texts:
                self._problem("X003", "'together' has to be a list of 'them' steps", line.position)
            return Line(line.kind, value, line.position, line.who, texts)
        if line.kind == "calls" and not _answers(value):
            message = "'calls' says what services answer: {bus_times: {ok: {first_bus: \"10:42\"}}}"
            self._problem("X003", message, line.position)
            return None
        if line.kind in ("saved", "start", "kept") and not isinstance(value, MapNode):
            self._problem("X003", f"'{line.kind}' has to be names with values in {{ }}", line.position)
        if line.kind not in ("saved", "start", "kept", "calls") and not isinstance(value, Scalar):
            self._problem("X003", f"'{line.kind}' has to be a text", line.position)
        if line.kind == "wait" and parse_duration(str(value)) is None:
            self._problem("X004", f"'{value}' is no duration", _spot(value), "write 90s, 10m, 24h, 3d or 2w")
        if line.kind == "clock" and not _is_moment(str(value)):
            self._problem("X004", f"'{value}' is no moment", _spot(value), "write 2026-03-04 12:00")
        if line.kind == "us like" and not _is_pattern(str(value)):
            self._problem("X004", f"'{value}' is no pattern", _spot(value))
        return line

    def _sent(self, node: MapNode) -> timedelta | None:
        written = node.get(Scalar("sent"))
        if written is None:
            return timedelta(0)
        text = str(written)
        if text == "missing":
            return None
        match = re.fullmatch(r"(?:(in) )?(\w+)(?: (ago))?", text)
        duration = (
            parse_duration(match.group(2)) if match and bool(match.group(1)) != bool(match.group(3)) else None
        )
        if match is None or duration is None:
            hint = "write 'sent: 70s ago', 'sent: in 5m' or 'sent: missing'"
            self._problem("X004", f"'{text}' is no time of sending", _spot(written), hint)
            return timedelta(0)
        return -duration if match.group(1) else duration

    def _problem(
        self, code: str, message: str, at: Scalar | Position, hint: str = "", expected: Sequence[str] = ()
    ) -> None:
        position, length = (at.position, at.length) if isinstance(at, Scalar) else (at, 1)
        self.problems.append(Problem(code, message, position, length, hint=hint, expected=tuple(expected)))


def _spot(node: Node) -> Scalar | Position:
    return node if isinstance(node, Scalar) else node.position


def _answers(node: Node) -> dict[str, dict[str, dict[str, str]]]:
    """Return what each service answers: a result, with values or without."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for service, said in node.items() if isinstance(node, MapNode) else ():
        if isinstance(said, Scalar):
            found[str(service)] = {str(said): {}}
        elif isinstance(said, MapNode):
            for result, values in said.items():
                pairs = values.items() if isinstance(values, MapNode) else ()
                found[str(service)] = {str(result): {str(name): str(value) for name, value in pairs}}
    return found


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True
