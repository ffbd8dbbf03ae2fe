"""Cards, triggers and actions: from the shape of the file to the model."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from convo.flow.codes import problem
from convo.flow.file import (
    ActionFile,
    CardFile,
    CommandFile,
    EndCardFile,
    EndFile,
    FlowFile,
    StepFile,
)
from convo.flow.model import Action, Arm, Assignment, Card, Effects, Rule, State
from convo.flow.names import name_problem, reserved_problem
from convo.flow.problems import FlowError, Position, Problem, nearest
from convo.flow.reader import Scalar
from convo.flow.template import Expression, Template, parse_expression, parse_template
from convo.flow.triggers import Matcher, parse_words

Thing = TypeVar("Thing")
GotoFile = Scalar | dict[Scalar, Scalar | EndFile]


@dataclass(slots=True)
class CardReader:
    """Reads the cards of one file. ``known`` are its state names; problems are collected.

    ``doubtful`` are names whose value could not be read. ``cut`` are places of mappings of which
    something was left out already, so that what is missing there is not told a second time.
    """

    known: Collection[str]
    cut: Collection[Position] = ()
    problems: list[Problem] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)

    def states(self, file: FlowFile) -> dict[str, State]:
        """Return the states by name, in file order."""
        cards = file.states or {}
        found = {}
        for index, (name, card) in enumerate(cards.items()):
            self._add(name_problem(name, "a state"))
            following = next(iter(list(cards)[index + 1 :]), None)
            found[str(name)] = self._state(name, card, following)
        self._circles(found)
        return found

    def rules(
        self, triggers: dict[Scalar, Scalar | ActionFile | list[ActionFile]] | None
    ) -> tuple[Rule, ...]:
        """Return what is under ``triggers`` or ``anywhere``."""
        found: list[Rule] = []
        seen: dict[tuple[object, ...], Matcher] = {}
        for words, body in (triggers or {}).items():
            matchers = []
            for matcher in self._read(parse_words, words) or ():
                identity = (matcher.kind, matcher.word, matcher.low, matcher.high)
                before = seen.setdefault(identity, matcher)
                if before is matcher:
                    matchers.append(matcher)
                else:
                    self._twice(matcher, before)
            found.append(Rule(tuple(matchers), self._actions(body), words.position))
        return tuple(found)

    def text(self, source: Scalar | None) -> Template | None:
        """Return a text, or None where there is none or it cannot be read."""
        return None if source is None else self._read(parse_template, source)

    def goes_to(self, target: Scalar) -> str | None:
        """Return the name of the state, or None where there is no such state."""
        if target in self.known:
            return str(target)
        states = f"(states: {', '.join(self.known)})" if len(self.known) <= 20 else ""
        hint = "  ".join(filter(None, (nearest(target, self.known), states)))
        self._add(problem("F012", f"goto names '{target}', which is no state", target, hint=hint))
        return None

    def _add(self, found: Problem | None) -> None:
        if found is not None:
            self.problems.append(found)

    def _read(self, parse: Callable[[Scalar], Thing], source: Scalar) -> Thing | None:
        try:
            return parse(source)
        except FlowError as error:
            self.problems += error.problems
            return None

    def _twice(self, matcher: Matcher, before: Matcher) -> None:
        where = f"in line {before.position.line}"
        if before.label != matcher.label:
            where += f" as '{before.label}'"
        message = f"'{matcher.label}' is there already, {where}"
        hint = "for one word under several conditions write a list of actions with 'if'"
        self.problems.append(
            Problem("F011", message, matcher.position, max(1, len(matcher.label)), hint=hint)
        )

    def _state(self, name: Scalar, card: CardFile, following: Scalar | None) -> State:
        entry = self._effects(card.set, card.reply)
        about = str(card.about or "")
        if isinstance(card, CommandFile):
            rules = self.rules(card.triggers)
            if not rules and card.wait is None and card.position not in self.cut:
                self._add(problem("F023", f"nothing moves '{name}' on", name, hint="give it triggers"))
            return State(
                str(name),
                Card.COMMAND,
                name.position,
                entry,
                rules,
                anywhere=card.anywhere is None,
                about=about,
            )
        if isinstance(card, EndCardFile):
            return State(str(name), Card.END, name.position, entry, end=self._ending(card.end), about=about)
        goto = card.goto if isinstance(card, StepFile) else None
        arms = self._goto(goto)
        if goto is None and following is not None:
            arms = (Arm(str(following), name.position),)
        elif goto is None and card.position not in self.cut:
            hint = "give it 'goto', 'end' or 'triggers'"
            self._add(problem("F017", f"'{name}' is the last state and goes nowhere", name, hint=hint))
        return State(str(name), Card.STEP, name.position, entry, goto=arms, about=about)

    def _effects(self, lines: dict[Scalar, Scalar] | None, reply: Scalar | list[Scalar] | None) -> Effects:
        assignments = [self._assignment(name, value) for name, value in (lines or {}).items()]
        replies = [reply] if isinstance(reply, Scalar) else reply or []
        texts = [self.text(text) for text in replies]
        return Effects(
            tuple(line for line in assignments if line is not None),
            tuple(text for text in texts if text is not None),
        )

    def _assignment(self, name: Scalar, source: Scalar) -> Assignment | None:
        wrong = name_problem(name, "data") or reserved_problem(name)
        self._add(wrong)
        value: Expression | Template | None
        value = self._read(parse_template, source) if source.quoted else self._read(parse_expression, source)
        if value is None or wrong:
            self.doubtful.add(str(name))
            return None
        return Assignment(str(name), value, name.position)

    def _actions(self, body: Scalar | ActionFile | list[ActionFile]) -> tuple[Action, ...]:
        if isinstance(body, Scalar):
            return (Action(body.position, goto=self._goto(body)),)
        items = body if isinstance(body, list) else [body]
        actions = []
        for index, item in enumerate(items):
            actions.append(self._action(item))
            if item.condition is None and index + 1 < len(items):
                below = items[index + 1].position
                hint = "give the one above an 'if', or put it last"
                self._add(
                    problem("F014", "this action is never taken: the one above always is", below, hint=hint)
                )
                actions += [self._action(rest) for rest in items[index + 1 :]]
                break
        return tuple(actions)

    def _action(self, item: ActionFile) -> Action:
        condition = None if item.condition is None else self._read(parse_expression, item.condition)
        arms = self._goto(item.goto)
        if item.end is not None:
            if item.goto is not None:
                hint = "leave one of them out"
                self._add(problem("F019", "an action cannot both go to a state and end", item.end, hint=hint))
            arms = (Arm(None, item.end.position, end=self._ending(item.end)),)
        does = item.set or item.reply or item.goto or item.end
        if not does and item.position not in self.cut:
            hint = "give it 'reply', 'set', 'goto' or 'end'"
            self._add(problem("F023", "this action does nothing", item.position, hint=hint))
        return Action(item.position, condition, self._effects(item.set, item.reply), arms)

    def _ending(self, words: Scalar) -> str:
        if any(sign in words for sign in "${}%\n") or len(words) > 60:
            hint = "for example: complete"
            self._add(problem("F005", "an end is named in a few plain words", words, hint=hint))
        return " ".join(words.split())

    def _goto(self, goto: GotoFile | None) -> tuple[Arm, ...]:
        if goto is None:
            return ()
        if isinstance(goto, Scalar):
            to = self.goes_to(goto)
            return () if to is None else (Arm(to, goto.position),)
        arms: list[Arm] = []
        keys = list(goto)
        for index, (key, target) in enumerate(goto.items()):
            condition = None
            if key != "else":
                condition = self._read(parse_expression, key)
            elif index + 1 < len(keys):
                hint = "put 'else' last"
                self._add(
                    problem("F014", "what stands below 'else' is never looked at", keys[index + 1], hint=hint)
                )
            if isinstance(target, EndFile):
                arms.append(Arm(None, key.position, condition, self._ending(target.end)))
            elif (to := self.goes_to(target)) is not None:
                arms.append(Arm(to, key.position, condition))
        if "else" not in keys and keys:
            hint = "end the list with: else: NAME OF A STATE"
            self._add(
                problem("F013", "a goto with conditions has to say where else to go", keys[-1], hint=hint)
            )
        return tuple(arms)

    def _circles(self, states: dict[str, State]) -> None:
        """Find the circles of steps: nothing in them ever waits for a text."""
        steps = [state for state in states.values() if state.card is Card.STEP]
        order = {state.name: index for index, state in enumerate(steps)}
        edges = [(state.name, arm.to) for state in steps for arm in state.goto if arm.to in order]
        told: set[str] = set()
        while True:
            sorter: TopologicalSorter[str] = TopologicalSorter()
            for name, to in edges:
                if to is not None and name not in told and to not in told:
                    sorter.add(to, name)
            try:
                sorter.prepare()
            except CycleError as error:
                circle: list[str] = error.args[1][:-1]
                first = circle.index(min(circle, key=order.__getitem__))
                circle = circle[first:] + circle[:first]
                shown = " → ".join((*circle, circle[0]))
                message = f"a circle of steps that never waits: {shown}"
                hint = "let one of them wait for a text, with 'triggers'"
                self._add(problem("F018", message, states[circle[0]].position, hint=hint))
                told.update(circle)
            else:
                return
