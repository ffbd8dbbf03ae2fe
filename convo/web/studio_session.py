"""What the studio's page shows and does: phones on the same World as tests use, and what was said.

One lock around everything: the page is one author's. Time stands still until it is told to pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from convo.analysis.checks import check
from convo.analysis.graph import Graph, graph_of
from convo.analysis.transcripts import SENDER, Text
from convo.engine.conversation import TimerFired
from convo.engine.machine import compile_flow
from convo.errors import ConvoError
from convo.flow.parse import load_flow
from convo.flow.problems import FlowError, Problem
from convo.flow.values import Value, encode, parse_duration, show
from convo.messages import Address, Inbound, to_address
from convo.sms import cost, culprits
from convo.testing.fakes import FakeClock
from convo.testing.phone import CHANNEL, Phone, World

LONGEST_TEXT = 2_000
MOST_PHONES = 12
LONGEST_WAIT = timedelta(days=400)
_FAR = datetime(9998, 1, 1, tzinfo=UTC)


class Refused(ConvoError):
    """The page asked for something that cannot be done; the message says why."""


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a chat. ``who`` is ``them``, ``us`` or ``note``."""

    who: str
    text: str
    at: datetime


@dataclass(slots=True)
class Line:
    """One phone of the page. ``held`` is a text that the next one overtakes, with when it was written."""

    number: str
    chat: list[Said] = field(default_factory=list)
    last: Inbound | None = None
    swapping: bool = False
    held: tuple[str, datetime] | None = None


class Session:
    """The conversations of one page. Safe to use from several threads."""

    def __init__(self, path: Path, *, clock: FakeClock | None = None) -> None:
        """Open the flow.

        Raises:
            FlowError: it has problems.
        """
        self.path = path
        self._lock = threading.RLock()
        self._clock = clock or FakeClock()
        self._begin = self._clock.now()
        self._world = World(path, clock=self._clock)
        self._listeners: dict[int, Callable[[], None]] = {}
        self.version = 0
        self.closed = False
        self._empty()
        self._seen_files = self._files()
        self._look_over()

    def _empty(self) -> None:
        self.lines = {SENDER: Line(SENDER)}
        self.script: list[tuple[str, ...]] = []
        self._shown = 0

    # -- who listens --------------------------------------------------------------------------------

    def listen(self, told: Callable[[], None]) -> Callable[[], None]:
        """Have ``told`` called after each change; return what ends that."""
        with self._lock:
            key = max(self._listeners, default=0) + 1
            self._listeners[key] = told
        return lambda: self._forget(key)

    def _forget(self, key: int) -> None:
        with self._lock:
            self._listeners.pop(key, None)

    def _changed(self) -> None:
        self.version += 1
        for told in list(self._listeners.values()):
            told()

    def close(self) -> None:
        """Let go of the world, and let every listener go."""
        with self._lock:
            self.closed = True
            self._changed()
            self._world.close()

    # -- the file -----------------------------------------------------------------------------------

    def look(self) -> bool:
        """Read the flow again where a file beside it was saved; return whether one was.

        Conversations go on where their state still exists. A flow with problems changes nothing but the
        problems shown.
        """
        with self._lock:
            files = self._files()
            if files == self._seen_files:
                return False
            self._seen_files = files
            try:
                self._world.restart()
            except ConvoError as problem:
                self._broken(problem)
            else:
                self._look_over()
            self._changed()
            return True

    def _files(self) -> tuple[tuple[str, int, int], ...]:
        found = []
        for each in sorted(self.path.resolve().parent.glob("*.yaml")):
            try:
                stat = each.stat()
            except OSError:
                continue
            if not each.name.endswith(".test.yaml"):
                found.append((each.name, stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    def _look_over(self) -> None:
        compiled = compile_flow(load_flow(self.path))
        self.graph: Graph = graph_of(compiled)
        self.drawn_at = self.version + 1
        self._compiled = compiled
        try:
            lines = self.path.read_text(encoding="utf-8-sig").splitlines()
        except OSError:
            lines = []
        self.problems = [_problem(each) for each in check(compiled, lines)]

    def _broken(self, problem: ConvoError) -> None:
        if isinstance(problem, FlowError):
            self.problems = [_problem(each) for each in problem.problems]
        else:
            self.problems = [{"severity": "error", "code": "", "text": str(problem), "where": ""}]

    # -- what the page does -------------------------------------------------------------------------

    def act(self, what: Mapping[str, Any]) -> dict[str, Any]:
        """Do what the page asks for; return what it should show beside the change.

        Raises:
            Refused: it cannot be done, or makes no sense.
        """
        acts: dict[str, Callable[[Mapping[str, Any]], dict[str, Any] | None]] = {
            "send": self._send,
            "open": self._open,
            "phone": self._phone,
            "wait": self._wait,
            "again": self._again,
            "swap": self._swap,
            "restart": self._restart,
            "new": self._new,
            "save": self._save,
        }
        name = what.get("act")
        if not isinstance(name, str) or name not in acts:
            raise Refused("the page asked for something that the studio does not know")
        with self._lock:
            try:
                found = acts[name](what)
                self._collect()
            finally:
                self._changed()
            return found or {}

    def _send(self, what: Mapping[str, Any]) -> None:
        line = self._line(what)
        text = _text(what, "text", LONGEST_TEXT)
        if not text.strip():
            raise Refused("there is nothing to send")
        now = self._clock.now()
        if line.swapping and line.held is None:
            line.held = (text, now)
            line.chat.append(Said("them", text, now))
            line.chat.append(Said("note", "on its way; your next text overtakes it", now))
            return
        line.chat.append(Said("them", text, now))
        if line.held is None:
            self._hand_in(line, text, now)
            return
        # What was held comes after what was written later, with the time at which it was written.
        held, written_at = line.held
        line.held, line.swapping = None, False
        for each, sent_at in ((text, None), (held, written_at)):
            self._clock.advance(1)
            self.script.append(("wait", "1s"))
            self._hand_in(line, each, sent_at or self._clock.now())
            self._collect()

    def _hand_in(self, line: Line, text: str, sent_at: datetime) -> None:
        ago = int((self._clock.now() - sent_at).total_seconds())
        self.script.append(("them", line.number, text, f"{ago}s ago" if ago else ""))
        line.last = self._world.transport.text(line.number, text, sent_at=sent_at)
        self._world.work()

    def _open(self, what: Mapping[str, Any]) -> None:
        line = self._line(what)
        written = what.get("given", {})
        if not isinstance(written, dict) or not all(isinstance(each, str) for each in written.values()):
            raise Refused("the data given has to be texts")
        given = {name: value for name, value in written.items() if value.strip()}
        for name, datum in self._world.flow.data.items():
            if datum.given and datum.first is None and name not in given:
                raise Refused(f"'{name}' has to be given before the conversation can open")
        self._world.open(line.number, given)
        self.script.append(("start", line.number, *(part for pair in given.items() for part in pair)))
        line.chat.append(Said("note", "we open the conversation", self._clock.now()))

    def _phone(self, what: Mapping[str, Any]) -> None:
        if len(self.lines) >= MOST_PHONES:
            raise Refused(f"there are {MOST_PHONES} phones already")
        written = _text(what, "number", 30).strip()
        if written:
            try:
                number = str(to_address(written, self._world.flow.country or "AU"))
            except ValueError as problem:
                raise Refused(str(problem)) from None
        else:
            first = int(SENDER)
            number = next(n for k in range(100) if (n := f"+{first + k}") not in self.lines)
        self.lines.setdefault(number, Line(number))

    def _wait(self, what: Mapping[str, Any]) -> None:
        written = _text(what, "for", 20).strip()
        now = self._clock.now()
        if written == "next":
            due = self._world.next_at()
            if due is None:
                raise Refused("no timer is waiting")
            by = max(due - now, timedelta(0))
        else:
            found = parse_duration(written)
            if found is None or found > LONGEST_WAIT:
                raise Refused("write a time like 90s, 10m, 24h, 3d or 2w")
            by = found
        if by > LONGEST_WAIT:
            raise Refused("the next timer is more than a year away")
        self._pass(by)
        self.script.append(("wait", _as_written(by)))

    def _pass(self, by: timedelta) -> None:
        """Let time pass as a test's phone does, stopping at each timer so that replies get their time."""
        phone = Phone(self._world)
        end = self._clock.now() + by
        while (due := self._world.next_at()) is not None and self._clock.now() < due < end:
            phone.pass_time(due - self._clock.now())
            self._collect()
        phone.pass_time(end - self._clock.now())
        for line in self.lines.values():
            line.chat.append(Said("note", f"{show(by)} later", end))

    def _again(self, what: Mapping[str, Any]) -> None:
        line = self._line(what)
        if line.last is None:
            raise Refused("this phone has sent nothing yet")
        self._world.transport.again(line.last)
        self._world.work()
        self.script.append(("comment", "here the provider handed out the last text a second time"))
        line.chat.append(Said("note", "the provider hands that text out a second time", self._clock.now()))

    def _swap(self, what: Mapping[str, Any]) -> None:
        line = self._line(what)
        if line.held is not None:
            raise Refused("a text is held already; send the one that overtakes it")
        line.swapping = not line.swapping

    def _restart(self, _: Mapping[str, Any]) -> None:
        try:
            self._world.restart()
        except ConvoError as problem:
            self._broken(problem)
            raise Refused("the flow has problems; convo would not start again") from None
        self._look_over()
        self._world.work()
        self.script.append(("restart",))
        for line in self.lines.values():
            line.chat.append(Said("note", "convo was stopped and started again", self._clock.now()))

    def _new(self, _: Mapping[str, Any]) -> None:
        self._clock.set(self._begin)
        try:
            world = World(self.path, clock=self._clock)
        except ConvoError as problem:
            self._broken(problem)
            raise Refused("the flow has problems; a new chat cannot begin") from None
        self._world.close()
        self._world = world
        numbers = list(self.lines)
        self._empty()
        for number in numbers:
            self.lines.setdefault(number, Line(number))
        self._look_over()

    def _save(self, what: Mapping[str, Any]) -> dict[str, Any]:
        from convo.web.studio_saving import add_case, case_of

        name = " ".join(_text(what, "name", 80).split()) or "a chat"
        case = case_of(name, self.script)
        wrote = ""
        if what.get("write") is True:
            wrote = str(add_case(self.path, self._world.flow.name, name, case).name)
        return {"case": case, "wrote": wrote}

    def _line(self, what: Mapping[str, Any]) -> Line:
        found = self.lines.get(_text(what, "phone", 30))
        if found is None:
            raise Refused("there is no such phone")
        return found

    def _collect(self) -> None:
        """Put what has left into the chats, a phone for each number that has none."""
        sent = self._world.transport.sent
        for outbound in sent[self._shown :]:
            number = str(outbound.recipient)
            line = self.lines.setdefault(number, Line(number))
            line.chat.append(Said("us", outbound.text, self._clock.now()))
            self.script.append(("us", number, outbound.text))
        self._shown = len(sent)

    # -- what the page shows ------------------------------------------------------------------------

    def picture(self) -> dict[str, Any]:
        """Return everything that the page shows but the diagram, as plain data."""
        with self._lock:
            flow, zone = self._world.flow, ZoneInfo(self._world.flow.zone)
            now = self._clock.now()
            waiting = self._timers()
            return {
                "version": self.version,
                "drawn": self.drawn_at,
                "flow": flow.name,
                "about": flow.about,
                "file": self.path.name,
                "now": f"{now.astimezone(zone):%a %d %b %Y, %H:%M:%S}",
                "zone": flow.zone,
                "given": [
                    {"name": name, "type": str(datum.type), "needed": datum.first is None}
                    for name, datum in flow.data.items()
                    if datum.given
                ],
                "problems": self.problems,
                "phones": [self._phone_as_data(line, waiting, zone) for line in self.lines.values()],
            }

    def _timers(self) -> list[tuple[str, TimerFired]]:
        far = self._world.store.due(_FAR, 1_000)
        return [(str(each.sender), each.event) for each in far if isinstance(each.event, TimerFired)]

    def _phone_as_data(
        self, line: Line, waiting: list[tuple[str, TimerFired]], zone: ZoneInfo
    ) -> dict[str, Any]:
        found = self._world.store.conversation(CHANNEL, Address(line.number))
        now = self._clock.now()
        state = found.state if found is not None else ""
        gone = found is not None and found.is_open and not self._compiled.has_state(state)
        return {
            "number": line.number,
            "state": state,
            "node": next((node.id for node in self.graph.nodes if node.state == state), ""),
            "gone": gone and state not in self._world.flow.moved,
            "ended": found.ended if found is not None else None,
            "tries": found.tries if found is not None else 0,
            "language": found.language if found is not None else "",
            "data": [{"name": name, "value": _shown(value, zone)} for name, value in found.data.items()]
            if found is not None
            else [],
            "timers": [
                {
                    "name": event.name,
                    "at": f"{event.due_at.astimezone(zone):%a %d %b, %H:%M}",
                    "in": show(event.due_at - now),
                }
                for number, event in waiting
                if number == line.number
            ],
            "taken": self._taken(line.number),
            "swapping": line.swapping,
            "held": line.held is not None,
            "chat": [_bubble(said, zone) for said in line.chat],
        }

    def _taken(self, number: str) -> list[str]:
        """Return the ids of the arrows that the last step followed."""
        import json

        journal = self._world.store.journal(CHANNEL, Address(number))
        took = json.loads(journal[-1].record).get("took", []) if journal else []
        return [edge.id for edge in self.graph.edges if edge.taken.intersection(took)]


def _text(what: Mapping[str, Any], name: str, most: int) -> str:
    found = what.get(name, "")
    if not isinstance(found, str):
        raise Refused(f"'{name}' has to be a text")
    if len(found) > most:
        raise Refused(f"'{name}' is longer than {most} characters")
    return found


def _shown(value: Value, zone: ZoneInfo) -> str:
    return show(value, zone=zone) if not isinstance(value, tuple) or value else "(none)"


def _bubble(said: Said, zone: ZoneInfo) -> dict[str, Any]:
    found: dict[str, Any] = {"who": said.who, "text": said.text, "at": f"{said.at.astimezone(zone):%H:%M}"}
    if said.who != "note":
        price = cost(said.text)
        found |= {
            "segments": price.segments,
            "encoding": str(price.encoding),
            "units": price.units,
            "culprits": culprits(said.text)[:6],
        }
    return found


def _problem(problem: Problem) -> dict[str, str]:
    hint = problem.hint or (f"expected: {', '.join(problem.expected)}" if problem.expected else "")
    where = f"{Path(problem.path).name}:{problem.position.line}" if problem.path else ""
    return {
        "severity": str(problem.severity),
        "code": problem.code,
        "text": problem.message + (f" — {hint}" if hint else ""),
        "where": where,
    }


def _as_written(by: timedelta) -> str:
    seconds = int(by.total_seconds())
    for letter, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{letter}"
    return f"{seconds}s"
