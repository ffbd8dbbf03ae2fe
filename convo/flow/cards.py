"""Cards, triggers and actions: from the shape of the file to the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from convo.flow.answer_choices import ChoiceSpec
from convo.flow.codes import problem
from convo.flow.file import (
    ActionFile,
    CallFile,
    CardFile,
    CommandFile,
    EndCardFile,
    FlowFile,
    OutcomeFile,
    QuestionFile,
    RunFile,
    StepFile,
    WaitingFile,
)
from convo.flow.model import (
    NOTHING,
    Action,
    After,
    Arm,
    Assignment,
    Call,
    Card,
    ClockTime,
    Effects,
    Moment,
    Person,
    Rule,
    Run,
    State,
    Tell,
    TimerRule,
)
from convo.flow.naming import name_problem, reserved_problem
from convo.flow.outcomes import ELSE, odd_key, several
from convo.flow.problems import FlowError, Position, Problem, nearest
from convo.flow.reader import Scalar
from convo.flow.template import Expression, Template, parse_expression, parse_template
from convo.flow.times import parse_after, parse_at
from convo.flow.triggers import Matcher, lookalikes, parse_trigger

Thing = TypeVar("Thing")
GotoFile = Scalar | dict[Scalar, Scalar | OutcomeFile]
ActionsFile = Scalar | ActionFile | list[ActionFile]

CALL_RESULTS = ("ok", "error", "timeout")
"""How a call can come out."""


@dataclass(slots=True)
class CardReader:
    """Reads the cards of one file. ``known`` are its state names; problems are collected.

    ``doubtful`` are names whose value could not be read. ``cut`` are places of mappings of which
    something was left out already, so that what is missing there is not told a second time. ``texts``,
    ``words`` and ``choices`` are by their place, where those of other languages are put beside them.
    ``run`` returns the results of the flow that a card runs, None where it cannot be read.
    """

    known: Collection[str]
    cut: Collection[Position] = ()
    problems: list[Problem] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)
    people: Mapping[str, Person] = field(default_factory=dict)
    names: Collection[str] = ()
    run: Callable[[Scalar, Scalar], tuple[str, ...] | None] = lambda _name, _card: None
    texts: dict[Position, Template] = field(default_factory=dict)
    words: dict[Position, dict[str, tuple[Matcher, ...]]] = field(default_factory=dict)
    choices: dict[Position, dict[str, tuple[ChoiceSpec, ...]]] = field(default_factory=dict)

    def states(self, file: FlowFile) -> dict[str, State]:
        """Return the states by name, in file order."""
        from convo.flow.questions import read_question

        cards = file.states or {}
        found: dict[str, State] = {}
        for index, (name, card) in enumerate(cards.items()):
            self.add(name_problem(name, "a state"))
            following = next(iter(list(cards)[index + 1 :]), None)
            if isinstance(card, QuestionFile):
                for state in read_question(self, name, card, following, file.every_question):
                    found[state.name] = state
            else:
                found[str(name)] = self._state(name, card, following)
        return found

    def rules(self, triggers: dict[Scalar, ActionsFile] | None) -> tuple[Rule, ...]:
        """Return what is under ``triggers`` or ``anywhere``."""
        found: list[Rule] = []
        seen: dict[tuple[object, ...], Matcher] = {}
        for words, body in (triggers or {}).items():
            matchers = self.new_matchers(self.read(parse_trigger, words) or (), seen)
            self.problems += lookalikes(matchers, words)
            twins = self.words.setdefault(words.position, {})
            found.append(Rule(matchers, self.actions(body), words.position, twins))
        return tuple(found)

    def new_matchers(
        self, matchers: Iterable[Matcher], seen: dict[tuple[object, ...], Matcher]
    ) -> tuple[Matcher, ...]:
        """Return the matchers without those that are there already, which are problems."""
        found = []
        for matcher in matchers:
            before = seen.setdefault(matcher.identity, matcher)
            if before is matcher:
                found.append(matcher)
            else:
                self._twice(matcher, before)
        return tuple(found)

    def text(self, source: Scalar | None) -> Template | None:
        """Return a text, or None where there is none or it cannot be read."""
        found = None if source is None else self.read(parse_template, source)
        if found is not None and source is not None:
            self.texts[source.position] = found
        return found

    def listed(self, sources: Scalar | list[Scalar] | None) -> tuple[Template, ...]:
        """Return the texts of one text or of a list."""
        items = [sources] if isinstance(sources, Scalar) else sources or []
        return tuple(text for item in items if (text := self.text(item)) is not None)

    def goes_to(self, target: Scalar, key: str = "goto") -> str | None:
        """Return the name of the state, or None where there is no such state."""
        if target in self.known:
            return str(target)
        hint = self.near_states(target)
        if meant := self._meant(target):
            hint = f"write '{meant}'"
        elif " " in target:
            hint = f"to say that, write below it: reply: {' '.join(target.split())[:40]}"
        self.add(problem("F012", f"{key} names '{target}', which is no state", target, hint=hint))
        return None

    def _meant(self, target: Scalar) -> str:
        """Return the state that is named with something around it, or with spaces for its _; else nothing."""
        plain = "".join(
            letter for letter in target if letter.isprintable() and (letter == " " or not letter.isspace())
        )
        plain = re.sub(r"^(?:->|=>|\u2192|goto\b:?|go to\b)\s*", "", plain.strip())
        slug = re.sub(r"[\s-]+", "_", plain).casefold()
        return next((each for each in self.known if slug == each.casefold() and each != target), "")

    def near_states(self, name: Scalar) -> str:
        """Return what to say of a name that is no state: the nearest one, and all where they are few."""
        states = f"(states: {', '.join(self.known)})" if len(self.known) <= 20 else ""
        return "  ".join(filter(None, (nearest(name, self.known), states)))

    def add(self, found: Problem | None) -> None:
        """Note a problem."""
        if found is not None:
            self.problems.append(found)

    def read(self, parse: Callable[[Scalar], Thing], source: Scalar) -> Thing | None:
        """Return what ``parse`` makes of a text, or None where it has problems, which are noted."""
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
        entry = self.effects(card.set, card.reply, card.tell)
        about = str(card.about or "")
        at = name.position
        if isinstance(card, CommandFile):
            rules, timers = self.rules(card.triggers), self.timers(card)
            if not rules and not timers and card.wait is None and card.position not in self.cut:
                self.add(problem("F023", f"nothing moves '{name}' on", name, hint="give it triggers"))
            here = card.anywhere is None
            return State(str(name), Card.COMMAND, at, entry, rules, anywhere=here, about=about, timers=timers)
        if isinstance(card, EndCardFile):
            return State(str(name), Card.END, at, entry, end=self.ending(card.end), about=about)
        if isinstance(card, RunFile):
            run = Run(str(card.run), self.assignments(card.given), save=self.saved(card.save))
            arms = self.goto(card.goto, following, outcomes=self.run(card.run, name), open_ended=True)
            return State(
                str(name),
                Card.RUN,
                at,
                entry,
                goto=self.onward(name, card, arms, following),
                run=run,
                about=about,
            )
        if isinstance(card, CallFile):
            if re.search(r"[\s:/]", card.call):
                hint = "a service is named here; its address stands in the configuration"
                self.add(problem("F006", f"'{card.call}' is no name for a service", card.call, hint=hint))
            call = Call(str(card.call), self.assignments(card.given), save=self.saved(card.save))
            arms = self.goto(card.goto, following, outcomes=CALL_RESULTS)
            return State(
                str(name),
                Card.CALL,
                at,
                entry,
                goto=self.onward(name, card, arms, following),
                call=call,
                about=about,
            )
        arms = self.goto(card.goto if isinstance(card, StepFile) else None, following)
        return State(
            str(name), Card.STEP, at, entry, goto=self.onward(name, card, arms, following), about=about
        )

    def onward(
        self, name: Scalar, card: CardFile, arms: tuple[Arm, ...], following: Scalar | None
    ) -> tuple[Arm, ...]:
        """Return the arms, or the one to the next card; a problem where there is none."""
        if getattr(card, "goto", None) is not None or arms:
            return arms
        if following is not None:
            return (Arm(str(following), name.position),)
        if card.position not in self.cut:
            hint = "give it 'goto', 'end' or 'triggers'"
            self.add(problem("F017", f"'{name}' is the last state and goes nowhere", name, hint=hint))
        return ()

    def timers(self, card: WaitingFile) -> tuple[TimerRule, ...]:
        """Return what is under ``after`` and ``at``."""
        found: dict[str, TimerRule] = {}
        lines = [(key, body, True) for key, body in (card.after or {}).items()]
        lines += [(key, body, False) for key, body in (card.at or {}).items()]
        for key, body, after in lines:
            times: list[tuple[str, After | ClockTime | Moment]] = []
            if after:
                times += self.read(parse_after, key) or []
            else:
                times += self.read(self._parse_at, key) or []
            actions = self.actions(body)
            for name, when in times:
                if name in found:
                    self.add(problem("F011", f"'{name}' is there already", key, hint="one is enough"))
                found[name] = TimerRule(name, when, actions, key.position)
        return tuple(found.values())

    def _parse_at(self, key: Scalar) -> list[tuple[str, ClockTime | Moment]]:
        return parse_at(key, dict.fromkeys(self.names))

    def saved(self, listed: Scalar | list[Scalar] | None) -> tuple[str, ...]:
        """Return the names of a ``save``."""
        found = []
        for item in [listed] if isinstance(listed, Scalar) else listed or []:
            for part in item.split(","):
                name = Scalar(part.strip(), position=item.position)
                wrong = name_problem(name, "data") or reserved_problem(name)
                self.add(wrong)
                if wrong is None:
                    found.append(str(name))
        return tuple(found)

    def effects(
        self,
        lines: dict[Scalar, Scalar] | None,
        reply: Scalar | list[Scalar] | None,
        tell: dict[Scalar, Scalar | list[Scalar]] | None = None,
    ) -> Effects:
        """Return what ``set``, ``reply`` and ``tell`` do."""
        told = []
        for name, texts in (tell or {}).items():
            person = self.people.get(str(name))
            if person is None:
                hint = nearest(name, self.people) or f"declare the number: people: {{{name}: +61400000009}}"
                self.add(problem("F025", f"'{name}' is nobody declared under people", name, hint=hint))
            else:
                told.append(Tell(person, self.listed(texts)))
        if not (lines or reply or told):
            return NOTHING
        return Effects(self.assignments(lines), self.listed(reply), tuple(told))

    def assignments(self, lines: dict[Scalar, Scalar] | None) -> tuple[Assignment, ...]:
        """Return the lines of a ``set`` or ``with``."""
        made = [self._assignment(name, value) for name, value in (lines or {}).items()]
        return tuple(line for line in made if line is not None)

    def _assignment(self, name: Scalar, source: Scalar) -> Assignment | None:
        wrong = name_problem(name, "data") or reserved_problem(name)
        self.add(wrong)
        value: Expression | Template | None
        value = self.read(parse_template, source) if source.quoted else self.read(parse_expression, source)
        if value is None or wrong:
            self.doubtful.add(str(name))
            return None
        return Assignment(str(name), value, name.position)

    def actions(self, body: ActionsFile) -> tuple[Action, ...]:
        """Return what a line of ``triggers``, ``after`` or ``at`` does."""
        if isinstance(body, Scalar):
            return (Action(body.position, goto=self.goto(body)),)
        items = body if isinstance(body, list) else [body]
        actions = []
        for index, item in enumerate(items):
            actions.append(self._action(item))
            if item.condition is None and index + 1 < len(items):
                below = items[index + 1].position
                hint = "give the one above an 'if', or put it last"
                self.add(
                    problem("F014", "this action is never taken: the one above always is", below, hint=hint)
                )
                actions += [self._action(rest) for rest in items[index + 1 :]]
                break
        return tuple(actions)

    def _action(self, item: ActionFile) -> Action:
        condition = None if item.condition is None else self.read(parse_expression, item.condition)
        arms = self.goto(item.goto)
        if item.end is not None:
            self._either(item.goto, item.end)
            arms = (Arm(None, item.end.position, end=self.ending(item.end)),)
        self._does_something(item)
        return Action(item.position, condition, self.effects(item.set, item.reply, item.tell), arms)

    def _either(self, goto: object, end: Scalar) -> None:
        if goto is not None:
            hint = "leave one of them out"
            self.add(problem("F019", "an action cannot both go to a state and end", end, hint=hint))

    def _does_something(self, item: ActionFile | OutcomeFile) -> None:
        does = item.set or item.reply or item.tell or item.goto or item.end
        if not does and item.position not in self.cut:
            hint = "give it 'reply', 'set', 'tell', 'goto' or 'end'"
            self.add(problem("F023", "this action does nothing", item.position, hint=hint))

    def ending(self, words: Scalar) -> str:
        """Return a disposition: a few plain words."""
        if any(sign in words for sign in "${}%\n") or len(words) > 60:
            hint = "for example: complete"
            self.add(problem("F005", "an end is named in a few plain words", words, hint=hint))
        return " ".join(words.split())

    def goto(
        self,
        goto: GotoFile | None,
        following: Scalar | None = None,
        outcomes: Collection[str] | None = (),
        saved: str = "",
        *,
        open_ended: bool = False,
        covered: Collection[str] = (),
    ) -> tuple[Arm, ...]:
        """Return the lines of a goto.

        ``outcomes`` are the ids that mean a choice, a yes or no or a result, one or several with commas; None
        where any plain name is a result. ``following`` is where a line goes on that has neither goto nor end.
        ``saved`` is the name that holds the outcome afterwards. ``covered`` outcomes go on elsewhere;
        ``open_ended`` lines need no else: that is judged
        elsewhere.
        """
        if goto is None:
            return ()
        if isinstance(goto, Scalar):
            to = self.goes_to(goto)
            return () if to is None else (Arm(to, goto.position),)
        arms: list[Arm] = []
        keys = list(goto)
        for index, (key, target) in enumerate(goto.items()):
            condition, outcome, test = None, None, None
            if key == "else":
                if index + 1 < len(keys):
                    message, hint = "what stands below 'else' is never looked at", "put 'else' last"
                    self.add(problem("F014", message, keys[index + 1], hint=hint))
            elif listed := several(key, outcomes or ()):
                shared = self._arm(key, target, None, following)
                for each in listed:
                    if each not in (outcomes or ()):
                        near = nearest(each, outcomes or ())
                        self.add(problem("F025", f"'{each}' is none of the answers", key, hint=near))
                    elif shared is not None:
                        one = Scalar(each, position=key.position, length=key.length)
                        arms.append(replace(shared, outcome=each, outcome_test=self.outcome_test(one, saved)))
                continue
            elif outcomes is None or key in outcomes:
                outcome = str(key)
                test = self.outcome_test(key, saved)
            elif odd := odd_key(key, outcomes, self.names, results=open_ended):
                self.add(odd[0])
                outcome = odd[1]
            else:
                condition = self.read(parse_expression, key)
            if (arm := self._arm(key, target, condition, following)) is not None:
                arms.append(replace(arm, outcome=outcome, outcome_test=test))
        told = {str(key) for key in keys} | {arm.outcome for arm in arms} | set(covered)
        all_told = bool(outcomes) and set(outcomes or ()) <= told
        has_else = any(key.casefold() in ELSE for key in keys)
        if not has_else and keys and not (all_told or open_ended or outcomes is None):
            message, hint = (
                "a goto with conditions has to say where else to go",
                "end the list with: else: NAME OF A STATE",
            )
            if left := [each for each in outcomes or () if each not in told]:
                message = f"this goto does not say where to go for {', '.join(left)}"
                hint = "give each a line, or end the list with: else: NAME OF A STATE"
            self.add(problem("F013", message, keys[-1], hint=hint))
        return tuple(arms)

    def outcome_test(self, outcome: Scalar, saved: str) -> Expression | None:
        """Return the expression that says whether a name holds the outcome; None where nothing does."""
        if not saved:
            return None
        if outcome in ("yes", "no"):
            words = f"{saved} is set and {saved}" if outcome == "yes" else f"{saved} is set and not {saved}"
        else:
            words = f"{saved} is set and {saved} == '{outcome}'"
        return parse_expression(Scalar(words, position=outcome.position))

    def _arm(
        self,
        key: Scalar,
        target: Scalar | OutcomeFile,
        condition: Expression | None,
        following: Scalar | None,
    ) -> Arm | None:
        if isinstance(target, Scalar):
            to = self.goes_to(target)
            return None if to is None else Arm(to, key.position, condition)
        self._does_something(target)
        effects = self.effects(target.set, target.reply, target.tell)
        if target.end is not None:
            self._either(target.goto, target.end)
            return Arm(None, key.position, condition, self.ending(target.end), effects=effects)
        if target.goto is not None:
            to = self.goes_to(target.goto)
            return None if to is None else Arm(to, key.position, condition, effects=effects)
        return Arm(
            str(following) if following is not None else None, key.position, condition, effects=effects
        )
