"""Builds the Machine of a flow: each method adds the transitions of one row of the language's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from transitions import Machine, State

from convo.engine.machine import (
    ONWARD,
    SKIP,
    WRONG,
    CameFrom,
    CompiledFlow,
    Does,
    Guard,
    Take,
    TriesSpent,
    end_state,
)
from convo.engine.recognise import Recognisers
from convo.engine.timing import NO_ANSWER, reminder_name
from convo.errors import Fault
from convo.flow import model
from convo.flow.answer_words import NO, YES, understood
from convo.flow.cards import CALL_RESULTS
from convo.flow.inline import arms_of
from convo.flow.model import NOTHING, Action, Arm, Card, Flow, Question, Rule
from convo.flow.template import Expression
from convo.flow.triggers import Matcher, MatcherKind, fold

Condition = Callable[..., bool | None]


class Compiler:
    """Builds one Machine."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.known = Recognisers()
        self.count = 0
        ends = {arm.end for arm in self._arms() if arm.end is not None}
        states = [State(name, final=state.card is Card.END) for name, state in flow.states.items()]
        states += [State(end_state(end), final=True) for end in sorted(ends)]
        self.machine = Machine(
            model=None,
            states=states,
            initial=flow.start,
            auto_transitions=False,
            send_event=True,
            ignore_invalid_triggers=True,
        )
        self.before = dict.fromkeys(flow.states, ()) if not self._goes_back() else self._questions_before()

    def compiled(self) -> CompiledFlow:
        """Return the flow with its Machine."""
        states = self.flow.states.values()
        waiting = [state for state in states if state.card in (Card.COMMAND, Card.QUESTION)]
        for state in waiting:
            for rule in state.rules:
                self._rule(rule, state.name)
            if state.question is not None:
                self._question(state, state.question)
            self._timers(state)
        for state in waiting:
            for rule in _left_of_anywhere(state, self.flow.languages):
                self._rule(rule, state.name, prefix="anywhere_")
        for state in states:
            if state.card in (Card.STEP, Card.RUN):
                self._onward(state)
            elif state.call is not None:
                self._results(state)
        for names in self.known.words.values():
            names.sort(key=lambda each: each[0].startswith("anywhere_"))
        return CompiledFlow(self.flow, self.machine, self.known)

    def _arms(self) -> Iterator[Arm]:
        for state in self.flow.states.values():
            yield from arms_of(state)
            for rule in state.inherited:
                for action in rule.actions:
                    yield from action.goto

    # -- words, answers, silence --------------------------------------------------------------------

    def _rule(self, rule: Rule, source: str, prefix: str = "") -> None:
        for trigger, label in self._triggers(rule, source, prefix):
            self._actions(trigger, label, source, rule.actions)

    def _actions(self, trigger: str, label: str, source: str, actions: Iterable[Action]) -> None:
        for action in actions:
            for arm in action.goto or (None,):
                self._add(trigger, source, Take(trigger, label, (arm or action).position.line, action, arm))

    def _question(self, state: model.State, question: Question) -> None:
        if question.skip is not None:
            self._passed_over(SKIP, "(passed over)", state, question.skip)
        if question.optional is not None:
            for trigger, label in self._triggers(question.optional, state.name, ""):
                self._passed_over(trigger, label, state, None)
        if question.back is not None:
            for trigger, label in self._triggers(question.back, state.name, ""):
                self._back(trigger, label, state, question)
        if question.has_answer:
            self._answers(state, question)
        self._wrong(state, question)
        self._silence(state, question)

    def _answers(self, state: model.State, question: Question) -> None:
        action = Action(state.position, None, question.then, state.goto, state.scope)
        found = self.known.answers.setdefault(state.name, {})
        for index, outcome in enumerate(question.outcomes or ("",)):
            trigger = found[outcome] = self._new("answer")
            if question.confirms and outcome == "no":
                again = Action(state.position, scope=state.scope)
                arm = Arm(question.confirms, state.position)
                self._add(
                    trigger, state.name, Take(trigger, "no", arm.position.line, again, arm, Does.ANSWER)
                )
                continue
            label = _label(question, outcome, index)
            for arm, tests in _arms_for(state.goto, "" if question.confirms else outcome):
                take = Take(trigger, label, arm.position.line, action, arm, Does.ANSWER)
                self._add(trigger, state.name, take, tests)

    def _passed_over(
        self, trigger: str, label: str, state: model.State, condition: Expression | None
    ) -> None:
        confirmation = self.flow.states.get(f"{state.name}/confirm")
        confirms = confirmation is not None and confirmation.question and confirmation.question.confirms
        goto = confirmation.goto if confirms and confirmation is not None else state.goto
        action = Action(state.position, condition, NOTHING, goto, state.scope)
        if condition is None and not _may_be_answered(state):
            # Entering has unset the answer: a line of the goto that asks for one never holds.
            goto = tuple(arm for arm in goto if not _asks_for_answer(arm, state.question)) or goto
        for arm, tests in _arms_for(goto, ""):
            take = Take(trigger, label, arm.position.line, action, arm, Does.PASS_OVER)
            self._add(trigger, state.name, take, tests)

    def _wrong(self, state: model.State, question: Question) -> None:
        if question.answer is not None and question.answer.kind == "anything":
            return  # there is no wrong answer
        action = Action(state.position, scope=state.scope)
        if question.tries is not None and question.out_of_tries is not None:
            arm = question.out_of_tries
            take = Take(WRONG, "(last wrong answer)", arm.position.line, action, arm)
            if question.tries == 1:
                self._add(WRONG, state.name, take)
                return  # the first wrong answer is the last one
            self._add(WRONG, state.name, take, more=[TriesSpent(question.tries)])
        line = state.position.line
        self._add(WRONG, state.name, Take(WRONG, "(wrong answer)", line, action, None, Does.SORRY))

    def _back(self, trigger: str, label: str, state: model.State, question: Question) -> None:
        action = Action(state.position, scope=state.scope)
        rule = question.back
        line = rule.position.line if rule is not None else state.position.line
        earlier = [name for name in self.before[state.name] if name]
        first = "" in self.before[state.name] or not earlier
        for name in earlier:
            take = Take(trigger, label, line, action, Arm(name, state.position), Does.BACK)
            # Where some question always comes before, the last of them needs no condition.
            only = not first and name == earlier[-1]
            self._add(trigger, state.name, take, more=() if only else [CameFrom(name)])
        if first:
            self._add(trigger, state.name, Take(trigger, label, line, action, None, Does.NOTHING_BEFORE))

    def _silence(self, state: model.State, question: Question) -> None:
        action = Action(state.position, scope=state.scope)
        silence = question.silence
        for index in range(len(silence.remind)):
            trigger = self._timer(state.name, reminder_name(index))
            label = f"({reminder_name(index)})"
            self._add(
                trigger, state.name, Take(trigger, label, state.position.line, action, None, Does.REMIND)
            )
        if silence.no_answer is not None:
            trigger = self._timer(state.name, NO_ANSWER)
            line = silence.no_answer.position.line
            self._add(trigger, state.name, Take(trigger, f"({NO_ANSWER})", line, action, silence.no_answer))

    # -- time, services, going on -------------------------------------------------------------------

    def _timers(self, state: model.State) -> None:
        for timer in state.timers:
            trigger = self._timer(state.name, timer.name)
            self._actions(trigger, f"({timer.name})", state.name, timer.actions)

    def _timer(self, source: str, name: str) -> str:
        trigger = self._new("timer")
        self.known.timers[source, name] = trigger
        return trigger

    def _results(self, state: model.State) -> None:
        action = Action(state.position, None, NOTHING, state.goto, state.scope)
        for result in CALL_RESULTS:
            trigger = self._new("result")
            self.known.results[state.name, result] = trigger
            for arm, tests in _arms_for(state.goto, result):
                take = Take(trigger, f"({result})", arm.position.line, action, arm)
                self._add(trigger, state.name, take, tests)

    def _onward(self, state: model.State) -> None:
        action = Action(state.position, None, NOTHING, state.goto, state.scope)
        goto = state.goto
        if state.run is not None:
            goto = (Arm(state.run.start, state.position),)
        for arm in goto:
            tests = (arm.condition,) if arm.condition is not None else ()
            take = Take(ONWARD, "(goes on)", arm.position.line, action, arm)
            self._add(ONWARD, state.name, take, tests)

    # -- names and transitions ----------------------------------------------------------------------

    def _new(self, kind: str) -> str:
        self.count += 1
        return f"{kind}_{self.count}"

    def _triggers(self, rule: Rule, source: str, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the generated triggers of a rule; one per word, shared by all states."""
        found: list[str] = []
        for matcher in rule.matchers:
            trigger = self._trigger(matcher, source, prefix)
            found.append(trigger)
            yield trigger, matcher.label
        for language, matchers in rule.twins.items():
            for index, matcher in enumerate(matchers):
                # The words of another language mean what the rule's first word means.
                trigger = found[min(index, len(found) - 1)]
                spoken = (trigger, language)
                names = self.known.words.setdefault(matcher.word, [])
                if spoken not in names:
                    names.append(spoken)
                self.known.twin_labels.setdefault(language, {}).setdefault(trigger, matcher.label)

    def _trigger(self, matcher: Matcher, source: str, prefix: str) -> str:
        known = self.known
        if matcher.kind is MatcherKind.ELSE:
            return prefix + "else"
        if matcher.kind is MatcherKind.WORD:
            names = known.words.setdefault(matcher.word, [])
            mine = [name for name, spoken in names if not spoken and name.startswith(prefix + "word")]
            if not mine:
                mine = [self._new(prefix + "word")]
                names.append((mine[0], ""))
                known.labels[mine[0]] = matcher.label
            return mine[0]
        peers = (known.anywhere_kinds if prefix else known.kinds).setdefault(source, [])
        for name, peer in peers:
            if peer.identity == matcher.identity:
                return name
        name = self._new(prefix + "kind")
        known.labels[name] = matcher.label
        peers.append((name, matcher))
        return name

    def _add(
        self,
        trigger: str,
        source: str,
        take: Take,
        tests: tuple[Expression, ...] | None = None,
        more: Iterable[Condition] = (),
    ) -> None:
        arm, action = take.arm, take.action
        dest = None if arm is None else end_state(arm.end) if arm.end is not None else arm.to
        if tests is None:
            tests = (arm.condition,) if arm is not None and arm.condition is not None else ()
        conditions: list[str | Condition] = list(more)
        before = action.condition if action is not None else None
        if before is not None or tests:
            conditions.append(Guard(before, tests, take.effects, take.scope, take.scope))
        self.machine.add_transition(trigger, source, dest, conditions=conditions or None, before=[take])

    # -- going back ---------------------------------------------------------------------------------

    def _goes_back(self) -> bool:
        states = self.flow.states.values()
        return any(state.question is not None and state.question.back is not None for state in states)

    def _questions_before(self) -> dict[str, tuple[str, ...]]:
        """Return for each state the questions that may be the one answered last there ("" for none)."""
        states = self.flow.states
        found: dict[str, set[str]] = {name: set() for name in states}
        found[self.flow.start].add("")
        nexts = {name: self._nexts(state) for name, state in states.items()}
        waiting = [self.flow.start]
        while waiting:
            here = waiting.pop()
            for to, answered in nexts[here]:
                last = {here} if answered else found[here]
                if to in found and not last <= found[to]:
                    found[to] |= last
                    waiting.append(to)
        order = {name: index for index, name in enumerate(("", *states))}
        return {name: tuple(sorted(last, key=order.__getitem__)) for name, last in found.items()}

    def _nexts(self, state: model.State) -> list[tuple[str, bool]]:
        """Return where a state leads, and whether its question counts as answered on that way."""
        question = state.question
        answers = question is not None and not question.confirms
        passed = self.flow.states.get(f"{state.name}/confirm")
        skipped = passed.goto if passed is not None and passed.question is not None else state.goto
        found = [(arm, answers) for arm in state.goto]
        found += [(arm, answers) for rule in state.rules for each in rule.actions for arm in each.goto]
        anywhere = state.inherited if state.card in (Card.COMMAND, Card.QUESTION) else ()
        found += [(arm, False) for rule in anywhere for each in rule.actions for arm in each.goto]
        found += [(arm, False) for timer in state.timers for each in timer.actions for arm in each.goto]
        if question is not None:
            found += [(arm, False) for arm in skipped if question.skip is not None]
            found += [(arm, True) for arm in skipped if question.optional is not None]
            ways = (question.out_of_tries, question.silence.no_answer)
            found += [(arm, False) for arm in ways if arm is not None]
        nexts = [(arm.to, answered) for arm, answered in found if arm.to is not None]
        return [*nexts, (state.run.start, False)] if state.run is not None else nexts


def _left_of_anywhere(state: model.State, languages: Iterable[str]) -> Iterator[Rule]:
    """Yield the rules of ``anywhere`` without what the state itself always takes.

    A question has no use for an ``else``: what fits nothing is a wrong answer. While it asks back, the
    words that mean yes or no in all languages of the flow are its own.
    """
    always = [rule for rule in state.rules if any(each.condition is None for each in rule.actions)]
    own = {matcher.identity for rule in always for matcher in rule.matchers}
    answers = set[str]()
    if state.question is not None and state.question.confirms:
        known = [set(understood(language)) for language in languages]
        both = set.intersection(*known) if known else set()
        answers = {fold(word) for each in both for word in (*YES.get(each, ()), *NO.get(each, ()))}
    for rule in state.inherited:
        if state.question is not None and rule.matchers[0].kind is MatcherKind.ELSE:
            continue
        left = tuple(each for each in rule.matchers if each.identity not in own and each.word not in answers)
        if rule.twins or len(left) == len(rule.matchers):
            yield rule
        elif left:
            yield replace(rule, matchers=left)


def _may_be_answered(state: model.State) -> bool:
    """Return whether a question that waits may have its answer already: from before, or set meanwhile."""
    question = state.question
    if question is None or question.back is not None:
        return True
    rules = (*state.rules, *state.inherited)
    actions = [each for rule in rules for each in rule.actions]
    actions += [each for timer in state.timers for each in timer.actions]
    lines = [line for each in actions for line in each.effects.set]
    lines += [line for each in actions for arm in each.goto for line in arm.effects.set]
    return any(line.name == question.save for line in lines)


def _asks_for_answer(arm: Arm, question: Question | None) -> bool:
    """Return whether a line of a goto cannot hold while the question has no answer."""
    if arm.outcome_test is not None:
        return True
    if arm.condition is None or question is None or arm.condition.names != {question.save}:
        return False
    try:
        return arm.condition.evaluate({}) is False
    except Fault:
        return False  # It asks for the answer without looking whether there is one: that is told elsewhere.


def _arms_for(arms: Iterable[Arm], outcome: str) -> Iterator[tuple[Arm, tuple[Expression, ...]]]:
    """Yield the arms that an outcome can take, each with its conditions ("" where it is not one alone)."""
    for arm in arms:
        if outcome and arm.outcome not in (None, outcome):
            continue
        tests = (arm.condition,) if outcome else (arm.outcome_test, arm.condition)
        left = tuple(test for test in tests if test is not None)
        yield arm, left
        if not left:
            return


def _label(question: Question, outcome: str, index: int) -> str:
    if question.choices and outcome:
        return f"{index + 1} {question.choices[index].label}"
    return outcome or "(answer)"
