"""What a state of the Machine still depends on: names that later decide something, and their constants.

A walk over all that can happen only has to tell two conversations apart where they may go different
ways from here on; what is merely said does not count.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from convo.engine.machine import CompiledFlow, Does, Guard, MachineRow, Take, rows
from convo.flow.answers import names_of
from convo.flow.model import Effects, Moment, State
from convo.flow.template import Expression, Template

_CONSTANT = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![\w.])[0-9]+(?:\.[0-9]+)?[smhdw]?(?!\w)")


@dataclass(frozen=True, slots=True)
class Test:
    """A condition of the Machine, and the scope in which it reads its names."""

    expression: Expression
    scope: str

    @property
    def paths(self) -> frozenset[str]:
        """The names that it reads, under their paths."""
        return frozenset(self.scope + name for name in self.expression.names)


@dataclass(slots=True)
class Live:
    """What decides where a conversation goes.

    ``waiting`` gives for each state the paths of data that may decide something from there on,
    ``tests`` every condition, ``constants`` the literals that stand in a condition with each path.
    """

    waiting: dict[str, frozenset[str]]
    tests: tuple[Test, ...]
    constants: dict[str, tuple[str, ...]] = field(default_factory=dict)
    built_in: frozenset[str] = frozenset()

    def tests_of(self, state: str) -> tuple[Test, ...]:
        """Return the conditions that what is live in a state can settle by itself."""
        alive = self.waiting.get(state, frozenset())
        return tuple(test for test in self.tests if test.paths & alive)


def live(compiled: CompiledFlow, machine: list[MachineRow] | None = None) -> Live:
    """Work out backwards, until nothing changes, what each state depends on."""
    return _Backwards(compiled, machine if machine is not None else rows(compiled)).found()


def guards(compiled: CompiledFlow) -> Iterator[tuple[str, Take | None, tuple[Guard, ...], str | None]]:
    """Yield every transition: its source, what it does, its conditions, where it leads."""
    for event in compiled.machine.events:
        for transition in compiled.machine.get_transitions(trigger=event):
            take = next((hook for hook in transition.before if isinstance(hook, Take)), None)
            found = tuple(each.func for each in transition.conditions if isinstance(each.func, Guard))
            yield transition.source, take, found, transition.dest


def literals(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the numbers, durations and quoted texts that stand in expressions."""
    found = (each.strip("'\"") for text in texts for each in _CONSTANT.findall(text))
    return tuple(dict.fromkeys(found))


class _Backwards:
    def __init__(self, compiled: CompiledFlow, machine: list[MachineRow]) -> None:
        self.flow = compiled.flow
        self.machine = machine
        self.kept = frozenset(name for name, datum in self.flow.data.items() if datum.keep)
        self.tests: dict[tuple[str, str], Test] = {}
        self.leaving: dict[str, list[tuple[Take | None, tuple[Guard, ...], str | None]]] = defaultdict(list)
        for source, take, found, dest in guards(compiled):
            self.leaving[source].append((take, found, dest))
            for guard in found:
                for test in _tests(guard):
                    self.tests.setdefault((test.scope, str(test.expression.source)), test)
        self.waiting: dict[str, frozenset[str]] = {}
        self.entering: dict[str, frozenset[str]] = {}

    def found(self) -> Live:
        order = list(self.flow.states.values())[::-1]
        changed = True
        while changed:
            changed = False
            for state in order:
                waiting = self._waiting(state)
                if waiting != self.waiting.get(state.name):
                    changed = True
                    self.waiting[state.name] = waiting
                    self.entering[state.name] = self._entering(state, waiting)
        texts: dict[str, list[str]] = defaultdict(list)
        for test in self.tests.values():
            for path in test.paths:
                texts[path].append(str(test.expression.source))
        for state in self.flow.states.values():
            for when in (timer.when for timer in state.timers):
                if isinstance(when, Moment):
                    texts[when.name].append(f"{int(abs(when.before).total_seconds())}s")
        self._handed_on(texts)
        built_in = {name for test in self.tests.values() for name in test.expression.names}
        return Live(
            self.waiting,
            tuple(self.tests.values()),
            {path: literals(each) for path, each in texts.items()},
            frozenset(built_in),
        )

    def _handed_on(self, texts: dict[str, list[str]]) -> None:
        """Let what a name is compared with count for the names that it is worked out from, too."""
        sources: list[tuple[str, str]] = []
        for state in self.flow.states.values():
            question = state.question
            if question is not None and question.choices_from is not None:
                sources.append((state.scope + question.save, state.scope + question.choices_from))
            takes = [take for take, _, _ in self.leaving[state.name] if take is not None]
            found = [(state.entry, state.scope), *((take.effects, take.scope) for take in takes)]
            found += [(take.arm.effects, take.scope) for take in takes if take.arm is not None]
            for effects, scope in found:
                for line in effects.set:
                    sources += [(scope + line.name, scope + name) for name in line.value.names]
        for _ in range(3):
            for path, source in sources:
                texts[source] += [each for each in texts.get(path, ()) if each not in texts[source]]

    def _waiting(self, state: State) -> frozenset[str]:
        found = self.waiting.get(state.name, frozenset())
        question = state.question
        if question is not None:
            names = names_of(question.answer) if question.answer is not None else frozenset[str]()
            names |= {question.choices_from} if question.choices_from is not None else set()
            found |= {state.scope + name for name in names}
        for take, tests, dest in self.leaving[state.name]:
            after = found if dest is None else self.entering.get(dest, frozenset())
            if take is not None and take.arm is not None:
                after = _before(take.arm.effects, take.scope, after)
            for guard in tests:
                after |= _paths(guard.after, guard.goto_scope)
            if take is not None:
                after = _before(take.effects, take.scope, after)
                if take.does is Does.ANSWER and question is not None and question.save:
                    after -= {state.scope + question.save}
            for guard in tests:
                after |= _paths([guard.before] if guard.before is not None else [], guard.scope)
            found |= after
        if state.end is not None and self.kept:
            # What is kept meets the sender's next conversation.
            found |= self.entering.get(self.flow.start, frozenset()) & self.kept
        return found

    def _entering(self, state: State, after: frozenset[str]) -> frozenset[str]:
        if state.run is not None:
            inside = {f"{state.name}/{name}" for name in state.run.first}
            for line in state.run.given[::-1]:
                path = f"{state.name}/{line.name}"
                if path in after:
                    after = (after - {path}) | _paths([line.value], state.scope)
            after = after - inside - {state.scope + name for name in state.run.save}
        if state.call is not None:
            after -= {state.scope + name for name in state.call.save}
        after = _before(state.entry, state.scope, after)
        if state.returns:
            card = self.flow.states[state.returns]
            for name in card.run.save if card.run is not None else ():
                if card.scope + name in after:
                    after |= {f"{state.returns}/{name}"}
        return after


def _tests(guard: Guard) -> Iterator[Test]:
    if guard.before is not None:
        yield Test(guard.before, guard.scope)
    for expression in guard.after:
        yield Test(expression, guard.goto_scope)


def _before(effects: Effects, scope: str, after: frozenset[str]) -> frozenset[str]:
    """Return what matters before ``set`` has worked, given what matters after it."""
    for line in reversed(effects.set):
        path = scope + line.name
        if path in after:
            after = (after - {path}) | _paths([line.value], scope)
    return after


def _paths(expressions: Iterable[Expression | Template], scope: str) -> frozenset[str]:
    return frozenset(scope + name for each in expressions for name in each.names)
