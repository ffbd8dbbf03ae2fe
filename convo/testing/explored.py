"""Chats that a walk has planned, played on a phone and written down as transcripts.

What is written is what the real runtime did, so that the transcripts pass as they are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from convo.analysis.explore import Plan, name_of
from convo.analysis.moves import Answers, Move, Opens, Says, Waits, length
from convo.analysis.transcripts import read_transcripts
from convo.analysis.transcripts_model import SENDER, Text
from convo.analysis.transcripts_writing import case_of, new_file, quoted
from convo.analysis.walk import START, Hop, Walk, walk
from convo.engine.machine import CompiledFlow
from convo.engine.opening import OPT_OUT_WORDS
from convo.errors import ConvoError
from convo.messages import Address
from convo.testing.phone import CHANNEL, Phone
from convo.testing.play import ENDING, play_case

AT_LEAST = 3_000
"""So many moves are made before chats are chosen, so that there are ways to choose from."""

MOST_WAITS = 12
"""So many times is waited for one timer, which quiet hours may hold."""

Line = tuple[str, ...]

Planned = tuple[Move, tuple[str, ...]]
"""A move, and the transitions that it is to take."""


@dataclass(frozen=True, slots=True)
class Explored:
    """A test file, and in words the transitions that it does not take; ``cut`` is the bound that was hit."""

    text: str
    total: int
    missed: tuple[str, ...] = ()
    cut: str = ""


def explored(path: Path, compiled: CompiledFlow, *, missing: bool = False) -> Explored:
    """Return transcripts that take every transition, or with ``missing`` those that others beside it leave.

    Raises:
        ConvoError: transcripts beside the flow cannot be read.
    """
    found = walk(compiled, at_least=AT_LEAST)
    plan = Plan(found)
    left = set(plan.rows) - (taken_beside(path, compiled) if missing else set())
    unreached = set(left)
    cases: list[tuple[str, Sequence[Line]]] = []
    chats: list[_Chat] = []
    while (target := plan.farthest(left)) is not None:
        chat = _played(path, compiled, plan.chat(target, left), found)
        if target not in chat.taken:
            # What was put before it got in its way.
            chat = _played(path, compiled, plan.shortest(target), found)
        new = chat.taken & unreached
        if new:
            chats.append(replace(chat, name=name_of(plan.rows[target], len(new))))
        unreached -= new
        left -= {target, *new}
    cases += [(chat.name, chat.script) for chat in _needed(chats)]
    if not missing:
        for language in compiled.flow.languages:
            if language != compiled.flow.language and (hops := plan.in_language(language)):
                cases.append((f"in {language}", _played(path, compiled, hops, found).script))
        if leaving := _leaving(path, compiled, found):
            cases.append(("opting out", leaving))
    where = [row for name, row in plan.rows.items() if name in unreached]
    return Explored(
        _file(path, cases),
        len(plan.rows),
        tuple(f"{row.source}: {row.trigger} → {row.dest or 'stays'} (line {row.line})" for row in where),
        found.cut,
    )


def taken_beside(path: Path, compiled: CompiledFlow) -> set[str]:
    """Return the transitions that the transcripts beside a flow take, those that fail as far as they go.

    Raises:
        ConvoError: a test file cannot be read.
    """
    taken: set[str] = set()
    for beside in sorted(path.parent.glob(f"*{ENDING}")):
        if not beside.stat().st_size:
            continue  # a shell has just made it, for what is written now
        transcripts = read_transcripts(beside)
        if transcripts.flow.resolve() != path.resolve():
            continue
        for case in transcripts.cases:
            try:
                play_case(case, transcripts, taken, machine=compiled, reloads=False)
            except (AssertionError, ConvoError):
                continue  # 'convo test' tells of it
    return taken


def _file(path: Path, cases: list[tuple[str, Sequence[Line]]]) -> str:
    """Return the test file, its cases apart from each other and no name twice."""
    if not cases:
        return f"# The transcripts beside {path.name} take every transition.\n{new_file(path, ())}"
    counts: Counter[str] = Counter()
    texts = []
    for name, script in cases:
        counts[name] += 1
        texts.append(case_of(name if counts[name] == 1 else f"{name}, {counts[name]}", script))
    together = "\n".join(texts)
    return f"# Written by convo explore, to be read and changed.\n{new_file(path, [together])}"


def _leaving(path: Path, compiled: CompiledFlow, found: Walk) -> Sequence[Line]:
    """Return the chat of somebody who is in a conversation and wants no more of it."""
    words = OPT_OUT_WORDS if compiled.flow.opt_out is None else compiled.flow.opt_out
    first = next((hop for hop in found.points[0].hops if hop.outcome.spot.is_open), None)
    if first is None or not words:
        return ()
    playing = _Playing(Phone(path, machine=compiled))
    try:
        playing.all([(first.move, first.outcome.took), (Says(words[0]), ()), (Says("hello"), ())])
        return playing.script
    finally:
        playing.phone.close()


@dataclass(frozen=True, slots=True)
class _Chat:
    """A chat as it went: its lines, and the transitions that it took."""

    script: Sequence[Line]
    taken: set[str]
    name: str = ""


def _needed(chats: Sequence[_Chat]) -> list[_Chat]:
    """Return the chats without those that take nothing that no other takes."""
    counts = Counter(name for chat in chats for name in chat.taken)
    found = list(chats)
    for chat in sorted(chats, key=lambda each: len(each.script)):
        if all(counts[name] > 1 for name in chat.taken):
            counts.subtract(chat.taken)
            found.remove(chat)
    return found


def _played(path: Path, compiled: CompiledFlow, hops: Sequence[Hop], found: Walk) -> _Chat:
    """Play a chat; it ends early where it does not go as planned."""
    playing = _Playing(Phone(path, machine=compiled))
    try:
        begins = found.points[hops[0].source].spot.clock
        if begins != START:
            playing.clock(begins)
        playing.all([(hop.move, hop.outcome.took) for hop in hops])
        return _Chat(playing.script, playing.phone.world.taken())
    finally:
        playing.phone.close()


@dataclass(slots=True)
class _Playing:
    """Makes moves on a phone, and writes down what came of them."""

    phone: Phone
    script: list[Line] = field(default_factory=list)
    heard: int = 0
    read: int = 0
    taken: Counter[str] = field(default_factory=Counter)

    def clock(self, at: datetime) -> None:
        """Put the clock there."""
        self.phone.set_clock(at)
        local = at.astimezone(ZoneInfo(self.phone.world.flow.zone))
        self.script.append(("clock", f"{local:%Y-%m-%d %H:%M}"))

    def all(self, moves: Sequence[Planned]) -> None:
        """Make the moves, and say at the end where that led."""
        for index, (move, expected) in enumerate(moves):
            if isinstance(move, Answers):
                continue  # it was said beforehand what the service answers
            wanted = Counter(expected)
            for following, took in moves[index + 1 :]:
                if not isinstance(following, Answers):
                    break
                wanted += Counter(took)
                self._service(following)
            before = self._taken()
            self._move(move, wanted)
            self._listen(speaks=not isinstance(move, Opens))
            if wanted - (self._taken() - before):
                break  # it did not go as planned: what follows would not either
        who = self._who()
        of = "" if who == SENDER else f" of {who}"
        state, _, ended = self.phone.position(who)
        if ended is not None:
            self.script.append((f"ended{of}", quoted(ended)))
        elif state:
            self.script.append((f"state{of}", state))

    def _move(self, move: Move, wanted: Counter[str]) -> None:
        match move:
            case Says():
                self.script.append(("them", move.who, move.text, ""))
                self.phone.receive([Text(move.who, move.text)])
            case Opens():
                given = [part for pair in move.given for part in pair]
                self.script.append(("start", SENDER, *given))
                self.phone.open(SENDER, dict(move.given))
            case Waits():
                self._wait(move.by, wanted)
            case Answers():
                raise AssertionError("services answer by themselves")

    def _wait(self, by: timedelta | None, wanted: Counter[str]) -> None:
        """Let time pass: so long, or until the timers have done what was planned."""
        began, before = self.phone.world.clock.now(), self._taken()
        if by is not None:
            self.phone.pass_time(by)
        for _ in range(MOST_WAITS):
            due = self.phone.world.store.next_timer()
            if due is None or not wanted - (self._taken() - before):
                break
            self.phone.pass_time(max(timedelta(0), due - self.phone.world.clock.now()))
        self.script.append(("wait", length(self.phone.world.clock.now() - began)))

    def _service(self, move: Answers) -> None:
        values = dict(move.values)
        self.phone.calls({move.service: {move.result: values}})
        self.script.append(
            ("calls", move.service, move.result, *(part for pair in move.values for part in pair))
        )

    def _listen(self, *, speaks: bool) -> None:
        """Write down what was said since."""
        sent = self.phone.world.transport.sent
        for outbound in sent[self.heard :]:
            self.script.append(("us", str(outbound.recipient), outbound.text))
        if speaks and len(sent) == self.heard:
            self.script.append(("nothing", "yes"))
        self.heard = len(sent)

    def _taken(self) -> Counter[str]:
        """Return how often each transition has been taken."""
        records = [each.record for each in self.phone.world.store.journal(CHANNEL, self._who())]
        for record in records[self.read :]:
            self.taken.update(json.loads(record)["took"])
        self.read = len(records)
        return self.taken.copy()

    def _who(self) -> Address:
        return Address(next((line[1] for line in self.script if line[0] in ("them", "start")), SENDER))
