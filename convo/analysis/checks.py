"""What can be said of a flow by looking at its Machine, beyond what the file itself shows.

Every check reads the transitions of the stock Machine, so it speaks of what really runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from convo.analysis.unset import unset
from convo.engine.machine import CompiledFlow, MachineRow, rows
from convo.engine.opening import OPT_OUT_WORDS
from convo.flow.model import Card
from convo.flow.problems import Problem, Severity
from convo.flow.triggers import MatcherKind, fold
from convo.sms import cost, culprits

CODES: Mapping[str, str] = MappingProxyType(
    {
        "C001": "a state that nothing leads to",
        "C002": "a state that nothing leads out of",
        "C003": "a name that is read where it may not be set",
        "C004": "a word that never arrives, because it means opting out",
        "C005": "a text that takes more segments than max_segments allows",
    }
)


def check(compiled: CompiledFlow, lines: list[str] | None = None) -> list[Problem]:
    """Return what is wrong, or odd, with the machine, in file order; ``lines`` is the file's text."""
    machine = rows(compiled)
    reached = _reached(compiled, machine)
    found = [
        *_unreached(compiled, reached),
        *_never_left(compiled, machine, reached),
        *unset(compiled, machine),
        *_opt_out_words(compiled),
        *_too_long(compiled),
    ]
    placed = [problem.located(compiled.flow.path, lines or []) for problem in found]
    return sorted(placed, key=lambda each: (each.position.line, each.position.column, each.code))


def _reached(compiled: CompiledFlow, machine: list[MachineRow]) -> set[str]:
    start = str(compiled.machine.initial)
    reached, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        for row in machine:
            if row.source == here and row.dest is not None and row.dest not in reached:
                reached.add(row.dest)
                waiting.append(row.dest)
    # Where old conversations are moved to is reached by them.
    return reached | set(compiled.flow.moved.values())


def _unreached(compiled: CompiledFlow, reached: set[str]) -> Iterable[Problem]:
    for state in compiled.flow.states.values():
        if state.name not in reached and not state.scope and not state.returns:
            yield Problem(
                "C001",
                f"nothing leads to the state '{state.name}'",
                state.position,
                len(state.name),
                Severity.WARNING,
                hint="add a goto to it, or delete it",
            )


def _never_left(compiled: CompiledFlow, machine: list[MachineRow], reached: set[str]) -> Iterable[Problem]:
    ends = {state.name for state in compiled.flow.states.values() if state.card is Card.END}
    left = {row.source for row in machine if row.dest is not None and row.dest != row.source}
    for state in compiled.flow.states.values():
        if state.name in reached and state.name not in left and state.name not in ends:
            yield Problem(
                "C002",
                f"nothing leads out of the state '{state.name}'",
                state.position,
                len(state.name),
                Severity.ADVICE,
                hint="people can leave it only by opting out",
            )


def _opt_out_words(compiled: CompiledFlow) -> Iterable[Problem]:
    flow = compiled.flow
    words = {fold(word) for word in (OPT_OUT_WORDS if flow.opt_out is None else flow.opt_out)}
    rules = [*(rule for state in flow.states.values() for rule in state.rules), *flow.anywhere]
    for matcher in (matcher for rule in rules for matcher in rule.matchers):
        if matcher.kind is MatcherKind.WORD and matcher.word in words:
            yield Problem(
                "C004",
                f"'{matcher.label}' means opting out here, so this trigger never hears it",
                matcher.position,
                len(matcher.label),
                Severity.WARNING,
                hint="choose another word, or give this flow its own 'opt_out: [UNSUBSCRIBE]'",
            )


def _too_long(compiled: CompiledFlow) -> Iterable[Problem]:
    """Count what is certain: the words of a text, without what its placeholders will add."""
    flow, most = compiled.flow, compiled.flow.max_segments
    rules = [*(rule for state in flow.states.values() for rule in state.rules), *flow.anywhere]
    effects = [action.effects for rule in rules for action in rule.actions]
    effects += [state.entry for state in flow.states.values()]
    texts = [text for each in effects for text in each.reply] + [flow.greeting] * (flow.greeting is not None)
    for text in texts if most is not None else ():
        if text is not None and most is not None:
            sure = re.sub(r"\$\{.*?\}|\{%.*?%\}", "", str(text.source), flags=re.DOTALL)
            price = cost(sure)
            if price.segments > most:
                yield Problem(
                    "C005",
                    f"this text takes {price.segments} segments ({price.encoding}); max_segments is {most}",
                    text.source.position,
                    text.source.length,
                    hint=_cheaper(sure),
                )


def _cheaper(text: str) -> str:
    found = culprits(text)
    shown = " ".join(found[:5])
    return f"{shown} make every segment 70 characters instead of 160" if found else "make it shorter"
