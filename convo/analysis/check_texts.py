"""Findings about what is said: texts that are too long at their longest, and ends that say nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from convo.analysis.findings import Finding, Looking
from convo.analysis.moves import Says
from convo.flow.model import Effects, State
from convo.flow.problems import Position, Severity
from convo.flow.template import Template
from convo.flow.values import Type
from convo.sms import SUBSTITUTES, cheaper, cost, culprits, named

WIDEST: Mapping[Type, int] = {
    Type.NUMBER: 3,
    Type.MONEY: 8,
    Type.YES_NO: 3,
    Type.DATE: 11,
    Type.TIME: 5,
    Type.MOMENT: 18,
    Type.DURATION: 11,
}
"""How many characters a value takes that is longer than most of its type."""

_FILLED = re.compile(r"\$\{\s*(\w+)[^}]*\}")
_TAGS = re.compile(r"\{%.*?%\}", re.DOTALL)


def too_long(looking: Looking) -> Iterator[Finding]:
    """Find texts that take more segments than ``max_segments``, with every name at its longest."""
    most = looking.flow.max_segments
    if most is None:
        return
    for text, scope, wordings in _written(looking):
        for language, under, sure, full in wordings:
            price = cost(full)
            if price.segments <= most:
                continue
            certain = cost(sure).segments > most
            when = "" if certain else " where what it fills in is long"
            what = "this text with what stands below it" if under else "this text"
            message = (
                f"{what} takes {price.segments} segments ({price.encoding}){when}; max_segments is {most}"
            )
            at = text.source
            hint = f"its words in '{language}': {_shorter(full)}" if language else _shorter(full)
            level = Severity.ERROR if certain else Severity.WARNING
            chat = _chat_with(looking, text)
            yield looking.finding(
                "C005", message, scope, at.position, at.length, hint=hint, severity=level, chat=chat
            )
            break


def dear(looking: Looking) -> Iterator[Finding]:
    """Find texts that take more segments only for letters that can be written more cheaply."""
    for text, scope, wordings in _written(looking):
        for language, _, _, full in wordings:
            plain, most = cheaper(full), looking.flow.max_segments
            before, after = cost(full).segments, cost(plain).segments
            if plain == full or (most is not None and before > most):
                continue
            found = [letter for letter in culprits(full) if letter in SUBSTITUTES]
            other = f"in '{language}' " if language else ""
            message = f"this text {other}takes {before} segments, and {after} if written plainly"
            hint = "; ".join(named(letter) for letter in found[:3])
            at = text.source
            yield looking.finding("C018", message, scope, at.position, at.length, hint=hint)
            break


Wording = tuple[str, str, str, str]
"""A language ("" for the base) and in it: what stands below, the whole without names, and at its longest."""


def _written(looking: Looking) -> Iterator[tuple[Template, str, list[Wording]]]:
    """Yield each text with its scope and its wordings, the base language first."""
    longest, below = _longest(looking), _below(looking)
    for text, scope in _texts(looking):
        choices = below.get((scope, text.source.position), {})
        found: list[Wording] = []
        for language, spoken in (("", text), *text.twins.items()):
            under = choices.get(language, choices.get("", ""))
            written = f"{spoken.source}{under}"
            sure = _TAGS.sub("", _FILLED.sub("", written))
            full = _TAGS.sub("", _FILLED.sub(lambda each: "x" * longest.get(each[1], 0), written))
            found.append((language, under, sure, full))
        yield text, scope, found


def silent_ends(looking: Looking) -> Iterator[Finding]:
    """Find ends that leave somebody who wrote without a word."""
    if _is_a_part(looking):
        return  # where it ends, the flow that runs it goes on
    told: set[str] = set()
    for hop in looking.walk.hops():
        spot = hop.outcome.spot
        before = looking.walk.points[hop.source].spot
        if not isinstance(hop.move, Says) or hop.outcome.said or not hop.outcome.took or spot.is_open:
            continue
        if not before.is_open and before.conversation is not None:
            continue
        if spot.state in told:
            continue
        told.add(spot.state)
        state = looking.flow.states.get(spot.state)
        rows = {row.taken: row for row in looking.walk.machine}
        wrote_to = before.state or looking.flow.start
        message = f"the conversation ends without a word to somebody who wrote to '{wrote_to}'"
        hint = "say good bye: a 'reply' beside 'end', or where it is gone to"
        chat = looking.walk.chat(hop)
        if state is not None and not state.scope:
            yield looking.finding(
                "C013", message, state.scope, state.position, len(state.name), hint=hint, chat=chat
            )
        else:
            yield looking.of_row("C013", message, rows[hop.outcome.took[-1]], hint=hint, chat=chat)


def _is_a_part(looking: Looking) -> bool:
    """Return whether a flow beside this one runs it, and no keyword opens it by itself."""
    flow = looking.flow
    if flow.keywords or not flow.path:
        return False
    runs = re.compile(rf"^\s+run:\s*{re.escape(Path(flow.path).stem)}\s*$", re.MULTILINE)
    for beside in sorted(Path(flow.path).parent.glob("*.yaml")):
        try:
            if runs.search(beside.read_text(encoding="utf-8")):
                return True
        except (OSError, ValueError):
            continue
    return False


def _texts(looking: Looking) -> Iterator[tuple[Template, str]]:
    """Yield every text that is sent, each once, with the scope of its file."""
    flow, told = looking.flow, set[Position]()
    found: list[tuple[Template, str]] = [(flow.greeting, "")] if flow.greeting is not None else []
    for state in flow.states.values():
        found += [(text, state.scope) for text in _of_state(state)]
    for rule in flow.anywhere:
        for action in rule.actions:
            found += [(text, "") for text in _of_effects(action.effects)]
    for text, scope in found:
        if scope or text.source.position not in told:
            told |= {text.source.position} if not scope else set()
            yield text, scope


def _chat_with(looking: Looking, text: Template) -> tuple[str, ...]:
    """Return the shortest chat in which a text is said."""
    rows = {row.taken: row for row in looking.walk.machine}
    for hop in looking.walk.hops():
        for row in (rows[name] for name in hop.outcome.took):
            effects = [row.take.effects] if row.take is not None else []
            effects += [row.arm.effects] if row.arm is not None else []
            if any(text is each for one in effects for each in _of_effects(one)):
                return looking.walk.chat(hop)
        for name in (hop.outcome.spot.state, *(rows[name].dest or "" for name in hop.outcome.took)):
            state = looking.flow.states.get(name)
            asks = state is not None and state.question is not None and state.question.ask is text
            says = state is not None and any(text is each for each in _of_effects(state.entry))
            if (asks or says) and hop.outcome.said:
                return looking.walk.chat(hop)
    return ()


def _below(looking: Looking) -> dict[tuple[str, Position], dict[str, str]]:
    """Return what is written under each question, by language: its choices, a line each, and its hint."""
    found: dict[tuple[str, Position], dict[str, str]] = {}
    for state in looking.flow.states.values():
        question = state.question
        if question is None:
            continue
        by_language = {"": question.choices, **question.twin_choices}
        for language, choices in by_language.items():
            lines = [f"{number}. {choice.label}" for number, choice in enumerate(choices, 1)]
            if question.hint is not None:
                lines.append(str(question.hint.in_language(language).source))
            spot = (state.scope, question.ask.source.position)
            found.setdefault(spot, {})[language] = "".join(f"\n{line}" for line in lines)
    return found


def _of_state(state: State) -> Iterator[Template]:
    yield from _of_effects(state.entry)
    actions = [action for rule in state.rules for action in rule.actions]
    actions += [action for timer in state.timers for action in timer.actions]
    for action in actions:
        yield from _of_effects(action.effects)
    for arm in (*state.goto, *(arm for action in actions for arm in action.goto)):
        yield from _of_effects(arm.effects)
    question = state.question
    if question is not None:
        yield from (question.ask, *question.sorry, *question.silence.reminder)
        yield from _of_effects(question.then)


def _of_effects(effects: Effects) -> Iterator[Template]:
    yield from effects.reply
    for tell in effects.tell:
        yield from tell.texts


def _longest(looking: Looking) -> dict[str, int]:
    """Return how many characters each name can take, as far as that is known."""
    flow = looking.flow
    found = {path.rpartition("/")[2]: WIDEST.get(kind, 0) for path, kind in flow.types.items()}
    for state in flow.states.values():
        question = state.question
        if question is None or not question.save:
            continue
        if question.answer is not None:
            wide = [len(each) for each in (question.answer.low, question.answer.high) if each is not None]
            found[question.save] = max([question.answer.up_to or found.get(question.save, 0), *wide])
        elif question.choices:
            labels = sorted((len(choice.label) for choice in question.choices), reverse=True)
            count = 1 if question.many is None else question.many[1]
            found[question.save] = sum(labels[:count]) + 2 * (count - 1)
    return found


def _shorter(text: str) -> str:
    found = culprits(text)
    if not found:
        return "make it shorter"
    shown = "; ".join(map(named, found[:5]))
    return f"{shown}; with them a segment holds 70 characters instead of 160"
