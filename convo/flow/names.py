"""The names of a flow: what they may be, which type each has, and whether texts and conditions fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from convo.flow.answer_spec import AnswerSpec
from convo.flow.answers import names_of, type_of
from convo.flow.codes import problem
from convo.flow.fence import problem_at
from convo.flow.model import Action, Arm, Assignment, Effects, Question, Rule, State
from convo.flow.problems import FlowError, Problem, nearest
from convo.flow.template import BUILT_IN, Expression, Template
from convo.flow.triggers import Matcher, MatcherKind
from convo.flow.values import Type


@dataclass(frozen=True, slots=True)
class Spot:
    """A text, a condition or a line of ``set``, with the types of the names that only exist there."""

    thing: Template | Expression | Assignment
    local: Mapping[str, Type] = field(default_factory=dict)


@dataclass(slots=True)
class Contents:
    """All that the states and ``anywhere`` of a flow read and write, in file order."""

    assignments: list[Spot] = field(default_factory=list)
    templates: list[Spot] = field(default_factory=list)
    conditions: list[Spot] = field(default_factory=list)
    values: list[Spot] = field(default_factory=list)
    bounds: list[tuple[str, AnswerSpec]] = field(default_factory=list)
    saves: dict[str, tuple[Type, State]] = field(default_factory=dict)
    clashes: list[tuple[str, Type, Type, State]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        states: Iterable[State],
        anywhere: Iterable[Rule],
        start: str | None = None,
        brought: Iterable[Matcher] = (),
    ) -> Contents:
        """Collect them; ``brought`` are the values that keywords bring to the state ``start``."""
        found = cls()
        came = {"value": _kind(brought)} if brought else {}
        for state in states:
            local = entry = came if state.name == start else {}
            if state.question is not None:
                found._question(state, state.question, entry)
                if (kind := answer_type(state.question)) is not None:
                    local = {"value": kind}
            found._effects(state.entry, entry)
            found._arms(state.goto, local)
            found._rules(state.rules)
            for timer in state.timers:
                found._actions(timer.actions, {})
            for lines in (state.run, state.call):
                found.values += [Spot(line.value, entry) for line in lines.given] if lines else []
        found._rules(anywhere)
        return found

    def _question(self, state: State, question: Question, entry: Mapping[str, Type]) -> None:
        kind = answer_type(question)
        if question.save and question.save != "language" and kind is not None:
            known = self.saves.setdefault(question.save, (kind, state))[0]
            if known is not kind:
                self.clashes.append((question.save, known, kind, state))
        if question.answer is not None:
            self.bounds += [(name, question.answer) for name in names_of(question.answer)]
        texts = [question.ask, *question.sorry, *question.silence.reminder]
        self.templates += [Spot(text) for text in (*texts, *([question.hint] if question.hint else []))]
        if question.skip is not None:
            self.conditions.append(Spot(question.skip, entry))
        self._effects(question.then, {} if kind is None else {"value": kind})

    def _rules(self, rules: Iterable[Rule]) -> None:
        for rule in rules:
            self._actions(rule.actions, {"value": _kind(rule.matchers)})

    def _actions(self, actions: Iterable[Action], local: Mapping[str, Type]) -> None:
        for action in actions:
            if action.condition is not None:
                self.conditions.append(Spot(action.condition, local))
            self._effects(action.effects, local)
            self._arms(action.goto, local)

    def _arms(self, arms: Iterable[Arm], local: Mapping[str, Type]) -> None:
        for arm in arms:
            if arm.condition is not None:
                self.conditions.append(Spot(arm.condition, local))
            self._effects(arm.effects, local)

    def _effects(self, effects: Effects, local: Mapping[str, Type]) -> None:
        self.assignments += [Spot(line, local) for line in effects.set]
        self.templates += [Spot(text, local) for text in effects.reply]
        self.templates += [Spot(text, local) for tell in effects.tell for text in tell.texts]


def _kind(matchers: Iterable[Matcher]) -> Type:
    """Return the type of ``value`` where one of these has matched."""
    return Type.NUMBER if all(each.kind is MatcherKind.NUMBER for each in matchers) else Type.TEXT


def answer_type(question: Question) -> Type | None:
    """Return the type of what a question saves; None for a menu of words."""
    if question.answer is not None:
        return type_of(question.answer)
    if not question.choices and question.choices_from is None:
        return None
    return Type.CHOICE if question.many is None else Type.CHOICES


def infer_types(
    declared: Mapping[str, Type],
    assignments: Iterable[Spot],
    doubtful: set[str],
    problems: list[Problem],
) -> dict[str, Type]:
    """Return the type of each name: as declared, or as what is set to it says.

    A name gets its type as soon as all that an expression reads has one. Names that could not be typed
    are added to ``doubtful``: what reads them is not looked at, so that one mistake is told once.
    """
    types = dict(declared)
    waiting = [(spot.thing, spot.local) for spot in assignments if isinstance(spot.thing, Assignment)]
    given_by = {line.name for line, _ in waiting}
    while waiting:
        known = types.keys() | BUILT_IN.keys() | doubtful
        ready = [each for each in waiting if _reads(*each) <= known]
        if not ready:
            break
        waiting = [each for each in waiting if not _reads(*each) <= known]
        for line, local in ready:
            _typed(line, local, types, doubtful, problems)
    for line, _ in waiting:
        if line.name not in types:
            doubtful.add(line.name)
    for line, local in waiting:
        if not isinstance(line.value, Expression):
            continue
        unknown = _reads(line, local) - types.keys() - BUILT_IN.keys()
        if unknown - given_by - doubtful:
            guessed = dict.fromkeys(unknown & given_by, Type.TEXT)
            problems += line.value.check({**types, **guessed, **local})
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
    lines = [(spot.thing, spot.local) for spot in contents.assignments]
    texts = [Spot(text) for text in extra if text is not None] + contents.templates + contents.values
    # What expressions under `set` have wrong has been told when their types were worked out.
    texts += [
        Spot(line.value, local)
        for line, local in lines
        if isinstance(line, Assignment) and isinstance(line.value, Template)
    ]
    for spot in texts:
        if not isinstance(spot.thing, Assignment) and not spot.thing.names & doubtful:
            yield from spot.thing.check({**types, **spot.local})
    for spot in contents.conditions:
        condition, known = spot.thing, {**types, **spot.local}
        if not isinstance(condition, Expression) or condition.names & doubtful:
            continue
        found = condition.check(known)
        yield from found
        if not found and (kind := condition.infer(known)) is not Type.YES_NO:
            yield problem(
                "F022",
                f"'{condition.source}' is a {kind}, and a condition says yes or no",
                condition.source,
                hint="compare it with something, for example: score > 3",
            )


def check_bounds(contents: Contents, types: Mapping[str, Type], doubtful: set[str]) -> Iterator[Problem]:
    """Yield the bounds of answers that name no data, or data of another type."""
    for name, spec in contents.bounds:
        kind, wanted = types.get(name), type_of(spec)
        if name in doubtful and kind is None:
            continue
        if kind is None:
            hint = "write 'date above today'" if name == "tomorrow" else nearest(name, types)
            yield problem("F025", f"nothing sets '{name}', which bounds this answer", spec.source, hint=hint)
        elif kind is not wanted and not {kind, wanted} <= {Type.NUMBER, Type.MONEY}:
            message = f"'{name}' is a {kind} and cannot bound an answer that is a {wanted}"
            yield problem("F008", message, spec.source)


def check_choices(
    contents: Contents, states: Iterable[State], hidden: Iterable[str] = ()
) -> Iterator[Problem]:
    """Yield texts that an answer to a question with choices is compared with, and that are none of its ids.

    ``hidden`` are names that get a value elsewhere, too: nothing is said of those.
    """
    choices: dict[str, dict[str, str]] = {}
    open_ended = {*hidden, *(s.thing.name for s in contents.assignments if isinstance(s.thing, Assignment))}
    for state in states:
        question = state.question
        if question is not None and question.save and not question.confirms:
            if question.choices:
                choices.setdefault(question.save, {}).update({c.id: c.label for c in question.choices})
            else:
                open_ended.add(question.save)
    for spot in (*contents.conditions, *contents.assignments, *contents.templates, *contents.values):
        thing = spot.thing.value if isinstance(spot.thing, Assignment) else spot.thing
        for name, text, offset in thing.compared:
            known = choices.get(name)
            if known is None or name in open_ended or name in spot.local or text in known:
                continue
            meant = next(
                (each for each, label in known.items() if text.casefold() in _folded(each, label)), ""
            )
            hint = f"write '{meant}': in a comparison a choice is its id" if meant else nearest(text, known)
            yield problem_at(
                "F025",
                f"'{text}' is none of the choices of '{name}'",
                thing.source,
                offset,
                len(text) + 2,
                hint=hint,
                expected=() if meant else tuple(known),
            )


def _folded(*words: str) -> tuple[str, ...]:
    return tuple(word.casefold() for word in words)


def spread(private: Iterable[str], contents: Contents) -> frozenset[str]:
    """Return the private names, and all that is set from them."""
    found = set(private)
    lines = [spot.thing for spot in contents.assignments if isinstance(spot.thing, Assignment)]
    while True:
        more = {line.name for line in lines if line.value.names & found} - found
        if not more:
            return frozenset(found)
        found |= more


def _reads(line: Assignment, local: Mapping[str, Type]) -> frozenset[str]:
    return line.value.names - local.keys() if isinstance(line.value, Expression) else frozenset()


def _typed(
    line: Assignment,
    local: Mapping[str, Type],
    types: dict[str, Type],
    doubtful: set[str],
    problems: list[Problem],
) -> None:
    kind = Type.TEXT
    if isinstance(line.value, Expression):
        if line.value.names & doubtful:
            doubtful.add(line.name)
            return
        known_types = {**types, **local}
        found = line.value.check(known_types)
        if not found:
            try:
                kind = line.value.infer(known_types)
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
