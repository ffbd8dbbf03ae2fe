"""What the studio's page shows and does: phones on the same World as tests use, and what was said.

One lock around everything: the page is one author's. Time stands still until it is told to pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

from convo.analysis.checks import check
from convo.analysis.graph import Graph, graph_of
from convo.analysis.transcripts import SENDER
from convo.engine.machine import compile_flow
from convo.errors import ConvoError
from convo.flow.cards import CALL_RESULTS
from convo.flow.parse import load_flow
from convo.flow.problems import FlowError
from convo.flow.values import parse_duration, show
from convo.messages import to_address
from convo.testing.fakes import FakeClock
from convo.testing.phone import Phone, World
from convo.web.studio_picture import Line, Said, picture_of, problem_as_data, services_of

LONGEST_TEXT = 2_000
MOST_PHONES = 12
LONGEST_WAIT = timedelta(days=400)


class Refused(ConvoError):
    """The page asked for something that cannot be done; the message says why."""


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
        self._answers: dict[str, str] = {}
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
        self.problems = [problem_as_data(each) for each in check(compiled, lines)]

    def _broken(self, problem: ConvoError) -> None:
        if isinstance(problem, FlowError):
            self.problems = [problem_as_data(each) for each in problem.problems]
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
            "calls": self._calls,
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
        given = {name: value for name, value in _texts(what, "given").items() if value.strip()}
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
        self.script.append(("wait", _as_written(by)))
        self._pass(by)

    def _pass(self, by: timedelta) -> None:
        """Let time pass as a test's phone does, stopping at each timer so that replies get their time."""
        phone = Phone(self._world)
        end = self._clock.now() + by
        for line in self.lines.values():
            line.chat.append(Said("note", f"{show(by)} later", end))
        while (due := self._world.next_at()) is not None and self._clock.now() < due < end:
            phone.pass_time(due - self._clock.now())
            self._collect()
        phone.pass_time(end - self._clock.now())

    def _calls(self, what: Mapping[str, Any]) -> None:
        service, result = _text(what, "service", 100), _text(what, "result", 20)
        if service not in services_of(self._world) or result not in CALL_RESULTS:
            raise Refused("there is no such service, or it cannot answer so")
        told = _texts(what, "values") if result == "ok" else {}
        values = {name: value for name, value in told.items() if value.strip()}
        self._world.services.answer(service, result, values)
        self._answers[service] = result
        self.script.append(("calls", service, result, *(part for pair in values.items() for part in pair)))
        due, now = self._world.store.next_call(), self._clock.now()
        if due is not None:  # one that had no answer so far is asked again a little later
            seconds = max(1, ceil((due - now).total_seconds()))
            self.script.append(("wait", f"{seconds}s"))
            self._pass(timedelta(seconds=seconds))

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
            wrote = str(add_case(self.path, name, case).name)
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
            return {
                "version": self.version,
                "drawn": self.drawn_at,
                "file": self.path.name,
                "problems": self.problems,
                "services": [
                    {"name": name, "saves": saves, "answers": self._answers.get(name, "")}
                    for name, saves in services_of(self._world).items()
                ],
                **picture_of(self._world, self.graph, self.lines.values()),
            }


def _text(what: Mapping[str, Any], name: str, most: int) -> str:
    found = what.get(name, "")
    if not isinstance(found, str):
        raise Refused(f"'{name}' has to be a text")
    if len(found) > most:
        raise Refused(f"'{name}' is longer than {most} characters")
    return _whole(found)


def _texts(what: Mapping[str, Any], name: str) -> dict[str, str]:
    found = what.get(name, {})
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise Refused(f"'{name}' has to be texts under names")
    return {_whole(key): _whole(value) for key, value in found.items()}


def _whole(text: str) -> str:
    """Return a text without halves of letters, which JSON can carry and no SMS can."""
    return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)


def _as_written(by: timedelta) -> str:
    seconds = int(by.total_seconds())
    for letter, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{letter}"
    return f"{seconds}s"
