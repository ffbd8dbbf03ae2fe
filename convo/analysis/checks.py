"""``convo check``: what is wrong, or odd, with a flow that can be read.

Every check reads the Machine that really runs, and a walk over all that can happen in it. Each is a
function from what is looked at to its findings; ``CHECKS`` is the table of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from convo.analysis.check_data import broken, unset_names
from convo.analysis.check_texts import dear, silent_ends, too_long
from convo.analysis.check_time import circles, endless, never_fired
from convo.analysis.check_words import carriers, heard_late, hidden, left_out, opted_out, same_text
from convo.analysis.findings import CODES, Finding, Ignore, Looking, ignores
from convo.analysis.walk import walk
from convo.engine.machine import CompiledFlow, MachineRow
from convo.engine.timing import NO_ANSWER
from convo.flow.model import Card
from convo.flow.problems import Position, Problem, Severity

__all__ = ["CHECKS", "CODES", "Checked", "check", "looked_over"]

AT_LEAST = 1_500
"""So many moves are made even where every transition has been taken."""


def unreached(looking: Looking) -> Iterator[Finding]:
    """Find states that nothing leads to, or that no chat comes to."""
    led = _led_to(looking)
    for state in looking.flow.states.values():
        if state.scope or state.returns or state.name in looking.reached:
            continue
        at, length = state.position, len(state.name)
        if state.name not in led:
            message, hint = f"nothing leads to the state '{state.name}'", "add a goto to it, or delete it"
            yield looking.finding("C001", message, "", at, length, hint=hint)
            continue
        ways = [
            row for row in looking.walk.missed if row.dest == state.name and row.source in looking.reached
        ]
        if looking.walk.cut or not ways or any(row.source in looking.explained for row in ways):
            continue  # it follows from something else that is told
        first = ways[0]
        when = f" where {first.condition}" if first.condition else ""
        message = f"no chat comes to the state '{state.name}'"
        hint = f"nothing that was tried takes '{first.trigger}' in '{first.source}'{when}"
        chat = looking.chat_in(first.source)
        yield looking.finding("C001", message, "", at, length, hint=hint, chat=chat)


def falls_through(looking: Looking) -> Iterator[Finding]:
    """Find steps that say something and come to an end only because it is the next state in the file."""
    states = looking.flow.states
    for state in states.values():
        if state.card is not Card.STEP or not state.entry.reply or len(state.goto) != 1:
            continue
        (arm,) = state.goto
        end = states.get(arm.to or "")
        if arm.position != state.position or end is None or end.end is None or not end.entry.reply:
            continue
        others = [row for row in looking.walk.machine if row.dest == end.name and row.source != state.name]
        if others:
            name = end.name.removeprefix(state.scope)
            message = (
                f"'{state.name}' says something and goes on to the end '{name}', the next state in the file"
            )
            hint = f"if it is an end itself, write 'end: …' below it; if this is meant, write 'goto: {name}'"
            chat = looking.chat_in(end.name) if end.name in looking.reached else ()
            at, length = state.position, len(state.name)
            yield looking.finding("C019", message, state.scope, at, length, hint=hint, chat=chat)


def never_left(looking: Looking) -> Iterator[Finding]:
    """Find states that people leave only by opting out, or by falling silent."""
    for state in looking.flow.states.values():
        if state.name not in looking.reached or state.card is Card.END:
            continue
        ways = [row for row in looking.rows_of(state.name) if row.dest not in (None, row.source)]
        if all(row.trigger == f"({NO_ANSWER})" for row in ways):
            hint = "people can leave it only by opting out" + (", or by falling silent" if ways else "")
            message = f"nothing leads out of the state '{state.name}'"
            chat = looking.chat_in(state.name)
            position, length = state.position, len(state.name)
            yield looking.finding("C002", message, state.scope, position, length, hint=hint, chat=chat)


def never_taken(looking: Looking) -> Iterator[Finding]:
    """Find transitions that no chat takes, from states that chats come to."""
    if looking.walk.cut:
        return
    timers = set(looking.compiled.recognisers.timers.values())
    found: dict[tuple[str, int, str], list[MachineRow]] = {}
    for row in looking.walk.missed:
        if row.source not in looking.reached or row.name in timers or row.source in looking.explained:
            continue
        if row.dest is not None and row.dest not in looking.reached:
            continue  # it follows from something else that is told
        scope = row.take.scope if row.take is not None else ""
        found.setdefault((scope, row.line, row.trigger), []).append(row)
    for rows in found.values():
        row = rows[0]
        when = f" if {row.condition}" if row.condition else ""
        more = f", and in {len(rows) - 1} other states" if len(rows) > 1 else ""
        message = f"no chat takes this in '{row.source}'{more}: {row.trigger}{when}"
        hint = "nothing that was tried makes it happen: it may never hold where this state is reached"
        chat = looking.chat_in(row.source)
        yield looking.of_row("C014", message, row, hint=hint, chat=chat)


def cut_short(looking: Looking) -> Iterator[Finding]:
    """Say that not everything was tried."""
    if looking.walk.cut:
        message = f"not everything was tried: the search was cut short {looking.walk.cut}"
        hint = "what was not tried may have problems that are not told here"
        yield looking.finding("C017", message, "", Position(1, 1), hint=hint)


Check = Callable[[Looking], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    *(never_left, unset_names, broken, opted_out, hidden, heard_late, same_text, left_out),
    *(
        too_long,
        dear,
        falls_through,
        silent_ends,
        circles,
        endless,
        never_fired,
        unreached,
        never_taken,
        cut_short,
    ),
)
"""Every check; those that may follow from others come last."""


class Checked:
    """What was found in a flow. ``ignored`` are the findings that a comment explains away."""

    def __init__(self, found: list[Finding | Problem], ignored: list[Finding | Problem], bound: str) -> None:
        self.found = found
        self.ignored = ignored
        self.bound = bound


def check(compiled: CompiledFlow, lines: list[str] | None = None) -> list[Problem]:
    """Return what is wrong, or odd, with a flow, in file order; ``lines`` is the file's text."""
    return list(looked_over(compiled, lines).found)


def looked_over(
    compiled: CompiledFlow,
    lines: list[str] | None = None,
    reserved: Mapping[str, frozenset[str]] | None = None,
) -> Checked:
    """Return what was found. ``reserved`` are words that carriers take, by the transport's name."""
    looking = Looking(compiled, walk(compiled, at_least=AT_LEAST))
    found: list[Finding | Problem] = [each for look in CHECKS for each in look(looking)]
    found += carriers(looking, reserved or {})
    found += compiled.flow.warnings
    # Words of carriers are looked for only where a carrier is named.
    comments = _Comments(looking, lines, frozenset() if reserved else frozenset({"C012"}))
    left = [each for each in _once(found) if not comments.explain(each)]
    ignored = [each for each in found if each not in left]
    left += comments.complaints()
    order = sorted(left, key=lambda each: (each.path, each.position.line, each.position.column, each.code))
    return Checked(order, ignored, looking.walk.bound)


def _once(found: Iterable[Finding | Problem]) -> Iterator[Finding | Problem]:
    """Yield each finding once: a line that stands for several transitions is told of once."""
    told: set[tuple[str, str, Position, str]] = set()
    for each in found:
        key = (each.code, each.path, each.position, each.message)
        if key not in told:
            told.add(key)
            yield each


class _Comments:
    """The comments that say what to ignore, of every file that a finding stands in."""

    def __init__(self, looking: Looking, lines: list[str] | None, untold: frozenset[str]) -> None:
        self.looking = looking
        self.untold = untold
        own = lines
        if own is None:
            own = _lines(looking.flow.path)
        self.files: dict[str, list[Ignore]] = {looking.flow.path: ignores(own)}

    def explain(self, problem: Problem) -> bool:
        """Return whether a comment gives the reason for a finding."""
        if problem.severity is Severity.ERROR and not problem.code.startswith("C"):
            return False
        if problem.path not in self.files:
            self.files[problem.path] = ignores(_lines(problem.path))
        for comment in self.files[problem.path]:
            if comment.covers(problem):
                comment.used = True
                if comment.reason:
                    return True
        return False

    def complaints(self) -> Iterator[Finding]:
        """Yield what is wrong with the comments of the flow's own file."""
        for comment in self.files[self.looking.flow.path]:
            hint = "write: # convo: ignore C011 because the diary is kept for years"
            if not comment.codes:
                message = "this says nothing that can be ignored"
            elif not comment.reason:
                message = "an 'ignore' has to give its reason"
            elif not comment.used:
                if comment.codes <= self.untold:
                    continue
                codes = ", ".join(sorted(comment.codes))
                message, hint = f"there is no {codes} here to ignore", "delete the comment"
            else:
                continue
            position = Position(comment.line, comment.column)
            yield self.looking.finding("C015", message, "", position, len(comment.text), hint=hint)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        return []


def _led_to(looking: Looking) -> set[str]:
    """Return the states that the Machine's transitions lead to from the start, whatever their conditions."""
    start = str(looking.compiled.machine.initial)
    reached, waiting = {start}, [start]
    nexts: dict[str, set[str]] = {}
    for row in looking.walk.machine:
        if row.dest is not None:
            nexts.setdefault(row.source, set()).add(row.dest)
    while waiting:
        for to in nexts.get(waiting.pop(), ()):
            if to not in reached:
                reached.add(to)
                waiting.append(to)
    # Where old conversations are moved to is reached by them.
    return reached | set(looking.flow.moved.values())
