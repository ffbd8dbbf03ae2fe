"""Sub-flows: the states of another flow, put under the card that runs it.

A position is one path, such as ``consent/question``; there is no stack. The states of the sub-flow see
only their own data, which is kept under the same path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from convo.flow.codes import problem
from convo.flow.model import (
    Action,
    Arm,
    Card,
    Flow,
    Moment,
    Question,
    Rule,
    Run,
    State,
    TimerRule,
)
from convo.flow.problems import Problem, nearest
from convo.flow.template import Expression
from convo.flow.values import Type


def results_of(child: Flow) -> tuple[str, ...]:
    """Return the results that a flow can end with, in file order."""
    found: dict[str, None] = {}
    for state in child.states.values():
        if state.end is not None and not state.returns:
            found[state.end] = None
        for arm in arms_of(state):
            if arm.end is not None:
                found[arm.end] = None
    for rule in child.anywhere:
        for action in rule.actions:
            found |= {arm.end: None for arm in action.goto if arm.end is not None}
    return tuple(found)


def arms_of(state: State) -> Iterable[Arm]:
    """Yield every line of every goto of a state."""
    yield from state.goto
    rules: list[Rule] = list(state.rules)
    for actions in [rule.actions for rule in rules] + [timer.actions for timer in state.timers]:
        for action in actions:
            yield from action.goto
    if state.question is not None:
        for arm in (state.question.out_of_tries, state.question.silence.no_answer):
            if arm is not None:
                yield arm


def inlined(card: State, child: Flow) -> dict[str, State]:
    """Return the states of ``child`` as they stand under ``card``, each way out going on as it says."""
    return _Inlining(card, child).states()


class _Inlining:
    def __init__(self, card: State, child: Flow) -> None:
        self.card = card
        self.child = child
        self.prefix = f"{card.name}/"

    def states(self) -> dict[str, State]:
        found = {}
        for state in self.child.states.values():
            made = self._state(state)
            found[made.name] = made
        for result in results_of(self.child):
            name = self._end(result)
            found[name] = self._way_out(name, result)
        return found

    def _state(self, state: State) -> State:
        made = replace(
            state,
            name=self.prefix + state.name,
            rules=self._rules(state.rules),
            goto=self._arms(state.goto),
            question=self._question(state.question),
            timers=tuple(self._timer(timer) for timer in state.timers),
            scope=self.prefix + state.scope,
            returns=self.prefix + state.returns if state.returns else "",
            inherited=self._rules(state.inherited),
        )
        if made.run is not None:
            made = replace(made, run=replace(made.run, start=self.prefix + made.run.start))
        if state.end is not None and not state.returns:
            arm = Arm(self._end(state.end), state.position)
            return replace(made, card=Card.STEP, goto=(arm,), end=None)
        return made

    def _end(self, result: str) -> str:
        return f"{self.prefix}end: {result}"

    def _way_out(self, name: str, result: str) -> State:
        """Return the state in which the sub-flow is over: its caller goes on from there."""
        own: list[Arm] = []
        for arm in self.card.goto:
            if arm.outcome in (None, result):
                own.append(arm)
                if arm.condition is None:
                    # What stands below is never looked at.
                    break
        return State(
            name,
            Card.STEP,
            self.card.position,
            goto=tuple(replace(arm, outcome=None, outcome_test=None) for arm in own),
            scope=self.card.scope,
            returns=self.card.name,
        )

    def _arms(self, arms: Iterable[Arm]) -> tuple[Arm, ...]:
        return tuple(self._arm(arm) for arm in arms)

    def _arm(self, arm: Arm) -> Arm:
        if arm.end is not None:
            return replace(arm, to=self._end(arm.end), end=None)
        return arm if arm.to is None else replace(arm, to=self.prefix + arm.to)

    def _rules(self, rules: Iterable[Rule]) -> tuple[Rule, ...]:
        return tuple(replace(rule, actions=self._actions(rule.actions)) for rule in rules)

    def _actions(self, actions: Iterable[Action]) -> tuple[Action, ...]:
        return tuple(
            replace(action, goto=self._arms(action.goto), scope=self.prefix + action.scope)
            for action in actions
        )

    def _timer(self, timer: TimerRule) -> TimerRule:
        when = timer.when
        if isinstance(when, Moment):
            when = replace(when, name=self.prefix + when.name)
        return replace(timer, when=when, actions=self._actions(timer.actions))

    def _question(self, question: Question | None) -> Question | None:
        if question is None:
            return None
        silence = question.silence
        given_up = silence.no_answer
        out = question.out_of_tries
        return replace(
            question,
            out_of_tries=None if out is None else self._arm(out),
            confirms=self.prefix + question.confirms if question.confirms else "",
            silence=replace(silence, no_answer=None if given_up is None else self._arm(given_up)),
        )


def inheriting(states: Iterable[State], rules: tuple[Rule, ...]) -> dict[str, State]:
    """Return the states with the rules of ``anywhere`` that hold in each, below those it has already.

    A word that a sub-flow has itself is not taken by its caller.
    """
    found = {}
    for state in states:
        own = state.inherited
        if state.anywhere and rules:
            taken = {matcher.identity for rule in own for matcher in rule.matchers}
            left = [
                replace(rule, matchers=tuple(each for each in rule.matchers if each.identity not in taken))
                for rule in rules
            ]
            own = (*own, *(rule for rule in left if rule.matchers))
        found[state.name] = replace(state, inherited=own)
    return found


def fits(card: State, run: Run, child: Flow, types: Mapping[str, Type]) -> Iterator[Problem]:
    """Yield what is wrong between a card and the flow that it runs."""
    given = {name for name, datum in child.data.items() if datum.given}
    for line in run.given:
        if line.name not in given:
            hint = (
                nearest(line.name, given)
                or f"in {run.flow}: data: {{{line.name}: {{type: text, given: yes}}}}"
            )
            message = f"'{run.flow}' is not given '{line.name}'"
            yield problem("F028", message, line.position, hint=hint)
        elif isinstance(line.value, Expression):
            if line.value.check(types):
                continue
            kind, wanted = line.value.infer(types), child.types[line.name]
            if kind is not wanted:
                message = f"'{line.name}' is a {wanted} in '{run.flow}' and would be given a {kind}"
                yield problem("F028", message, line.value.source)
    told = {line.name for line in run.given}
    for name in sorted(given - told):
        if child.data[name].first is None:
            hint = f"with: {{{name}: …}}"
            yield problem("F028", f"'{run.flow}' has to be given '{name}'", card.position, hint=hint)
    for name in run.save:
        if name not in child.types:
            hint = nearest(name, child.types)
            yield problem("F029", f"'{run.flow}' has no '{name}' to save", card.position, hint=hint)
    taken = {arm.outcome for arm in card.goto}
    if None not in taken:
        results = results_of(child)
        for result in results:
            if result not in taken:
                message = f"'{run.flow}' can end with '{result}', which nothing takes"
                hint = f"write under goto: {result}: STATE (or else: STATE)"
                yield problem("F029", message, card.position, hint=hint)
