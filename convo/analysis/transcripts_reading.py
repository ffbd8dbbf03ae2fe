"""A test file becomes ``Transcripts``, or every problem that it has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from convo.analysis.transcripts_model import (
    BEFOREHAND,
    KINDS,
    OF_SOMEBODY,
    SENDER,
    Case,
    Line,
    Text,
    Transcripts,
)
from convo.flow.cards import CALL_RESULTS
from convo.flow.parse import load_flow
from convo.flow.problems import FlowError, Position, Problem, nearest
from convo.flow.reader import Document, ListNode, MapNode, Node, Scalar, read_file
from convo.flow.values import parse_duration

CODES: Mapping[str, str] = MappingProxyType(
    {
        "X001": "a key that means nothing in a transcript",
        "X002": "something that has to be there is missing",
        "X003": "a text where a mapping or a list belongs, or the other way round",
        "X004": "a value that cannot be read",
        "X005": "the flow that is tested cannot be found",
        "X006": "a step that stands only at the beginning of a chat",
    }
)


def read_transcripts(path: Path) -> Transcripts:
    """Return the cases of a test file.

    Raises:
        FlowError: with every problem of the file.
    """
    document = read_file(path)
    return _Reading(document, path).transcripts()


class _Reading:
    def __init__(self, document: Document, path: Path) -> None:
        self.document = document
        self.path = path
        self.problems: list[Problem] = []

    def transcripts(self) -> Transcripts:
        root = self.document.root
        cases: list[Case] = []
        flow = self.path
        if isinstance(root, MapNode) and Scalar("tests") not in root and Scalar("flow") in root:
            key = next(each for each in root if each == "flow")
            beside = self.path.with_name(f"{self.path.stem}.test.yaml")
            hint = f"its transcripts are in {beside}" if beside.exists() else f"write some into {beside}"
            self._problem("X002", "this is a flow; 'convo test' plays its transcripts", key, hint)
        elif isinstance(root, MapNode):
            for key in root:
                if key not in ("tests", "cases"):
                    self._problem(
                        "X001", f"'{key}' means nothing here", key, nearest(key, ("tests", "cases"))
                    )
            name = root.get(Scalar("tests"))
            if isinstance(name, Scalar):
                flow = self._flow()
                if not flow.is_file():
                    names = [each.stem for each in flow.parent.glob("*.yaml") if "." not in each.stem]
                    hint = nearest(name.removesuffix(".yaml"), names)
                    self._problem("X005", f"there is no flow file {flow.name} beside this file", name, hint)
            else:
                self._problem("X002", "'tests: NAME' has to say which flow is tested", root.position)
            written = root.get(Scalar("cases"))
            if isinstance(written, MapNode):
                cases = [self._case(key, value) for key, value in written.items()]
            else:
                at = root.position if written is None else written.position
                hint = "write each as 'a name:', and its steps below it, each with '- '"
                self._problem("X002", "'cases' has to hold the chats, each under a name", at, hint)
        if self.problems:
            raise FlowError(each.located(self.document.path, self.document.lines) for each in self.problems)
        return Transcripts(self.path, flow, tuple(cases), self.document.lines)

    def _case(self, name: Scalar, node: Node) -> Case:
        if not isinstance(node, ListNode):
            self._problem("X003", f"'{name}' has to be a list of steps, each with '- '", name)
            return Case(str(name), name.position, ())
        lines = [line for each in node if (line := self._line(each)) is not None]
        begun = False
        for line in lines:
            if line.kind == "kept" and begun:
                self._problem(
                    "X006",
                    "'kept' is what was there before the chat, and the chat has begun",
                    line.position,
                    "put it first in the case; 'saved' looks at what the conversation remembers now",
                )
            begun = begun or line.kind not in BEFOREHAND
        return Case(str(name), name.position, tuple(lines))

    def _line(self, node: Node) -> Line | None:
        if not isinstance(node, MapNode) or not node:
            hint = f"write '{node}: yes'" if isinstance(node, Scalar) and node in ONLY_YES else ""
            self._problem("X003", "a step looks like 'them: hello'", _spot(node), hint)
            return None
        key, value = next(iter(node.items()))
        kind, who = str(key), SENDER
        if match := re.fullmatch(r"from (\+\d{5,15})", kind):
            kind, who = "them", match.group(1)
        elif match := re.fullmatch(r"(us(?: starts| contains| like)?) to (.+)|to (.+)", kind):
            kind, who = match.group(1) or "us", self._person(key, match.group(2) or match.group(3))
        elif match := re.fullmatch(rf"({'|'.join(OF_SOMEBODY)}) (?:of )?(\+\d{{5,15}})", kind):
            kind, who = match.group(1), match.group(2)
        elif match := re.fullmatch(rf"(from|(?:{'|'.join(OF_SOMEBODY)}) of) (.+)", kind):
            said, who = match.group(1).removesuffix(" of"), self._person(key, match.group(2))
            kind = "them" if said == "from" else said
        if kind not in KINDS:
            word = kind.partition(" ")[0].casefold()
            hint = f"did you mean '{_OTHER_WORDS[word]}'?" if word in _OTHER_WORDS else nearest(kind, KINDS)
            self._problem("X001", f"'{key}' is no step of a transcript", key, hint, KINDS)
            return None
        for other in list(node)[1:]:
            if not (other == "sent" and kind == "them"):
                self._problem("X001", f"'{other}' means nothing beside '{key}'", other)
        return self._checked(Line(kind, value, key.position, who), node)

    def _person(self, key: Scalar, named: str) -> str:
        """Return the number of whom a step names: a number, or one of the people of the flow."""
        if re.fullmatch(r"\+\d{5,15}", named):
            return named
        try:
            people = load_flow(self._flow()).people
        except FlowError:
            return SENDER  # What is wrong with the flow is told when it is played.
        if named in people:
            return str(people[named].number)
        expected = (*people, "+61400000002")
        self._problem(
            "X001", f"'{named}' is no number, and nobody of the flow", key, nearest(named, people), expected
        )
        return SENDER

    def _flow(self) -> Path:
        """Return the path of the flow that is tested."""
        root = self.document.root
        return self.path.parent / f"{root.get(Scalar('tests')) if isinstance(root, MapNode) else ''}.yaml"

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
        if line.kind == "calls" and not services_told(value):
            message = "'calls' says what services answer: {bus_times: {ok: {first_bus: \"10:42\"}}}"
            self._problem("X003", message, line.position)
            return None
        if line.kind in ONLY_YES and value != "yes":
            hint = f"write '{line.kind}: yes', or leave the step out"
            self._problem("X004", f"'{line.kind}' is done or left out", _spot(value), hint)
            return None
        if line.kind == "calls" and (odd := _odd_result(value)) is not None:
            hint = nearest(odd, CALL_RESULTS)
            self._problem("X004", f"'{odd}' is no way in which a call comes out", odd, hint, CALL_RESULTS)
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


def services_told(node: Node) -> dict[str, dict[str, dict[str, str]]]:
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


def _odd_result(node: Node) -> Scalar | None:
    """Return the first result of a service that is none."""
    for said in node.values() if isinstance(node, MapNode) else ():
        results = list(said) if isinstance(said, MapNode) else [said]
        odd = next((each for each in results if isinstance(each, Scalar) and each not in CALL_RESULTS), None)
        if odd is not None:
            return odd
    return None


ONLY_YES = ("nothing", "again", "restart")
"""Steps that have nothing to say but that they are there."""

_OTHER_WORDS = {
    **dict.fromkeys(("user", "they", "me", "sender", "client", "customer", "person", "send", "in"), "them"),
    **dict.fromkeys(("bot", "we", "reply", "replies", "expect", "system", "convo", "out", "answer"), "us"),
    **dict.fromkeys(("data", "value", "values"), "saved"),
    **dict.fromkeys(("time", "now", "date"), "clock"),
    **dict.fromkeys(("sleep", "pause", "later", "after"), "wait"),
    **dict.fromkeys(("end", "end", "result"), "ended"),
}
"""What people call a step."""


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
