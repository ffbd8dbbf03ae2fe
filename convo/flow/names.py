"""The names of a flow: what they may be, which type each has, and whether texts and conditions fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from convo.flow.codes import problem
from convo.flow.model import Action, Assignment, Effects, Rule, State
from convo.flow.problems import FlowError, Problem
from convo.flow.reader import Scalar
from convo.flow.template import BUILT_IN, Expression, Template
from convo.flow.values import Type

RESERVED = frozenset(
    {
        "value",
        "not",
        "and",
        "or",
        "in",
        "is",
        "if",
        "else",
        "elif",
        "endif",
        "true",
        "false",
        "none",
        "yes",
        "no",
        "set",
        "unset",
        "open",
        "known",
        "default",
        "any",
    }
)
"""Words that mean something in expressions, beside the built-in names."""

NAME = re.compile(r"[^\W\d_]\w{0,63}")


def name_problem(name: Scalar, what: str) -> Problem | None:
    """Return what is wrong with how a name is written."""
    if NAME.fullmatch(name):
        return None
    hint = "a name begins with a letter; letters, digits and _ follow"
    return problem("F006", f"'{name}' is no name for {what}", name, hint=hint)


def reserved_problem(name: Scalar) -> Problem | None:
    """Return the problem of a name that an author cannot give a value."""
    if name in BUILT_IN:
        message = f"'{name}' is given by convo and cannot be set"
    elif name.casefold() in RESERVED:
        message = f"'{name}' means something in expressions and cannot be a name"
    else:
        return None
    return problem("F007", message, name, hint="take another name")


@dataclass(slots=True)
class Contents:
    """All that the states and ``anywhere`` of a flow read and write, in file order."""

    assignments: list[Assignment] = field(default_factory=list)
    templates: list[Template] = field(default_factory=list)
    conditions: list[Expression] = field(default_factory=list)

    @classmethod
    def of(cls, states: Iterable[State], anywhere: Iterable[Rule]) -> Contents:
        """Collect them."""
        found = cls()
        for state in states:
            found._effects(state.entry)
            found.conditions += [arm.condition for arm in state.goto if arm.condition is not None]
            for action in _actions(state.rules):
                found._action(action)
        for action in _actions(anywhere):
            found._action(action)
        return found

    def _action(self, action: Action) -> None:
        if action.condition is not None:
            self.conditions.append(action.condition)
        self._effects(action.effects)
        self.conditions += [arm.condition for arm in action.goto if arm.condition is not None]

    def _effects(self, effects: Effects) -> None:
        self.assignments += effects.set
        self.templates += effects.reply


def infer_types(
    declared: Mapping[str, Type],
    assignments: Iterable[Assignment],
    doubtful: set[str],
    problems: list[Problem],
) -> dict[str, Type]:
    """Return the type of each name: as declared, or as what is set to it says.

    A name gets its type as soon as all that an expression reads has one. Names that could not be typed
    are added to ``doubtful``: what reads them is not looked at, so that one mistake is told once.
    """
    types = dict(declared)
    waiting = list(assignments)
    given_by = {line.name for line in waiting}
    while waiting:
        known = types.keys() | BUILT_IN.keys() | doubtful
        ready = [line for line in waiting if _reads(line) <= known]
        if not ready:
            break
        waiting = [line for line in waiting if not _reads(line) <= known]
        for line in ready:
            _typed(line, types, doubtful, problems)
    for line in waiting:
        if line.name not in types:
            doubtful.add(line.name)
    for line in waiting:
        if not isinstance(line.value, Expression):
            continue
        unknown = _reads(line) - types.keys() - BUILT_IN.keys()
        if unknown - given_by - doubtful:
            problems += line.value.check({**types, **dict.fromkeys(unknown & given_by, Type.TEXT)})
        elif unknown <= given_by and line.name in unknown and line.name not in types:
            problems.append(
                problem(
                    "F009",
                    f"the type of '{line.name}' cannot be worked out: it is made from itself",
                    line.value.source,
                    hint=f"write its first value at the top: data: {{{line.name}: 0}}",
                )
            )
    return types


def check_names(
    contents: Contents, types: Mapping[str, Type], doubtful: set[str], extra: Iterable[Template | None]
) -> Iterator[Problem]:
    """Yield what is wrong in texts and conditions, given the types of all names."""
    texts = [line.value for line in contents.assignments if isinstance(line.value, Template)]
    for template in [*(text for text in extra if text is not None), *contents.templates, *texts]:
        if not template.names & doubtful:
            yield from template.check(types)
    for condition in contents.conditions:
        if condition.names & doubtful:
            continue
        found = condition.check(types)
        yield from found
        if not found and (kind := condition.infer(types)) is not Type.YES_NO:
            yield problem(
                "F022",
                f"'{condition.source}' is a {kind}, and a condition says yes or no",
                condition.source,
                hint="compare it with something, for example: score > 3",
            )


def _actions(rules: Iterable[Rule]) -> Iterator[Action]:
    for rule in rules:
        yield from rule.actions


def _reads(line: Assignment) -> frozenset[str]:
    return line.value.names if isinstance(line.value, Expression) else frozenset()


def _typed(line: Assignment, types: dict[str, Type], doubtful: set[str], problems: list[Problem]) -> None:
    kind = Type.TEXT
    if isinstance(line.value, Expression):
        if line.value.names & doubtful:
            doubtful.add(line.name)
            return
        found = line.value.check(types)
        if not found:
            try:
                kind = line.value.infer(types)
            except FlowError as error:
                found = list(error.problems)
        if found:
            problems += found
            if line.name not in types:
                doubtful.add(line.name)
            return
    known = types.setdefault(line.name, kind)
    if known is not kind:
        hint = "a name has one type in a flow; take two names"
        message = f"'{line.name}' is a {known} elsewhere and would be a {kind} here"
        problems.append(problem("F008", message, line.value.source, hint=hint))
