"""What a flow file means once it has been read: frozen data, no YAML and no code in it.

A ``Flow`` is a set of named states. Everything an author can write under a state is one of the
classes below; ``engine/machine.py`` makes the transitions Machine out of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from enum import StrEnum

from convo.flow.answer_choices import ChoiceSpec
from convo.flow.answer_spec import AnswerSpec
from convo.flow.problems import Position, Problem
from convo.flow.template import Expression, Template
from convo.flow.triggers import Matcher
from convo.flow.values import Type, Value
from convo.messages import Address


@dataclass(frozen=True, slots=True)
class Assignment:
    """One line of ``set``: a name and the expression (or quoted text) that it gets."""

    name: str
    value: Expression | Template
    position: Position


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody declared under ``people``: ``tell`` sends to them."""

    name: str
    number: Address = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tell:
    """Texts for somebody else."""

    person: Person
    texts: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class Effects:
    """What happens beside moving: ``set`` top to bottom, each text of ``reply`` a message, then ``tell``."""

    set: tuple[Assignment, ...] = ()
    reply: tuple[Template, ...] = ()
    tell: tuple[Tell, ...] = ()


NOTHING = Effects()


@dataclass(frozen=True, slots=True)
class Arm:
    """One line of a ``goto``: where to, and under which condition (None: always, or ``else``).

    ``to`` is a state's name; None with ``end`` given means that the conversation ends there.
    ``outcome`` is the choice, the yes or no, or the result that the line is for, and ``outcome_test`` says
    from the data whether it holds, for where no transition stands for that outcome alone. ``effects``
    happen where the line is taken.
    """

    to: str | None
    position: Position
    condition: Expression | None = None
    end: str | None = None
    outcome: str | None = None
    outcome_test: Expression | None = None
    effects: Effects = NOTHING


@dataclass(frozen=True, slots=True)
class Action:
    """What a trigger does. No arms: stay in the state. ``scope`` is the path of its flow."""

    position: Position
    condition: Expression | None = None
    effects: Effects = NOTHING
    goto: tuple[Arm, ...] = ()
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A line under ``triggers``: what matches, and the actions of which the first that holds is taken.

    ``twins`` are the words of the same rule in other languages.
    """

    matchers: tuple[Matcher, ...]
    actions: tuple[Action, ...]
    position: Position
    twins: Mapping[str, tuple[Matcher, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class After:
    """A time since entering the state."""

    duration: timedelta


@dataclass(frozen=True, slots=True)
class ClockTime:
    """A time of day in the flow's zone, on the days of the week given (Monday is 0)."""

    at: time
    days: frozenset[int] = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment that a name of the data holds, ``before`` it or (negative) after it."""

    name: str
    before: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class TimerRule:
    """A line under ``after`` or ``at``. ``name`` says when, and stays the same while the file is edited."""

    name: str
    when: After | ClockTime | Moment
    actions: tuple[Action, ...]
    position: Position


class Late(StrEnum):
    """What becomes of a text that was sent before the question was handed over."""

    ACCEPT = "accept"
    ASK_AGAIN = "ask again"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Silence:
    """What happens where nothing is said: reminders, and giving up."""

    remind: tuple[timedelta, ...] = ()
    reminder: tuple[Template, ...] = ()
    no_answer_after: timedelta | None = None
    no_answer: Arm | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a question card asks. ``answer`` and ``choices`` both missing: a menu of words.

    ``choices`` may be the name of a list in the data. ``save`` is the name that the answer gets ("" for
    none). ``then`` happens after a good answer. ``keeps_tries``: entered from a question that goes on
    counting its wrong answers here.
    """

    ask: Template
    answer: AnswerSpec | None = None
    choices: tuple[ChoiceSpec, ...] = ()
    choices_from: str | None = None
    many: tuple[int, int] | None = None
    save: str = ""
    then: Effects = NOTHING
    sorry: tuple[Template, ...] = ()
    hint: Template | None = None
    tries: int | None = None
    out_of_tries: Arm | None = None
    skip: Expression | None = None
    optional: Rule | None = None
    back: Rule | None = None
    private: bool = False
    late: Late = Late.ASK_AGAIN
    silence: Silence = field(default_factory=Silence)
    confirms: str = ""
    twin_choices: Mapping[str, tuple[ChoiceSpec, ...]] = field(default_factory=dict)

    @property
    def has_answer(self) -> bool:
        """Whether there is an answer beside words."""
        return self.answer is not None or bool(self.choices) or self.choices_from is not None

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes that have a transition each: the ids of one choice to make, or yes and no."""
        if self.choices and self.many is None:
            return tuple(choice.id for choice in self.choices)
        return ("yes", "no") if self.answer is not None and self.answer.kind == "yes or no" else ()

    def choices_in(self, language: str) -> tuple[ChoiceSpec, ...]:
        """Return the choices with the labels of a language, or those of the base language."""
        return self.twin_choices.get(language, self.choices)


@dataclass(frozen=True, slots=True)
class Run:
    """A sub-flow under its card: what it is given, its first values, and what comes out."""

    flow: str
    given: tuple[Assignment, ...] = ()
    first: Mapping[str, Value] = field(default_factory=dict)
    save: tuple[str, ...] = ()
    start: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A service that is asked: the name in the operator's configuration, and what it is told."""

    service: str
    given: tuple[Assignment, ...] = ()
    save: tuple[str, ...] = ()


class Card(StrEnum):
    """How a state is written."""

    QUESTION = "question"
    COMMAND = "command"
    RUN = "run"
    CALL = "call"
    STEP = "step"
    END = "end"


@dataclass(frozen=True, slots=True)
class State:
    """A card under ``states``. ``entry`` happens on entering; ``goto`` is where the card goes on to.

    ``scope`` is the path of the sub-flow that the state belongs to, with a slash at its end ("" at the
    top), ``anywhere`` the rules that hold here beside its own. ``result`` of an end within a sub-flow is
    what its caller goes on with.
    """

    name: str
    card: Card
    position: Position
    entry: Effects = NOTHING
    rules: tuple[Rule, ...] = ()
    goto: tuple[Arm, ...] = ()
    end: str | None = None
    anywhere: bool = True
    about: str = ""
    question: Question | None = None
    timers: tuple[TimerRule, ...] = ()
    run: Run | None = None
    call: Call | None = None
    scope: str = ""
    returns: str = ""
    inherited: tuple[Rule, ...] = ()

    @property
    def speaks(self) -> bool:
        """Whether entering the state says something."""
        return bool(self.entry.reply) or self.question is not None


@dataclass(frozen=True, slots=True)
class Datum:
    """A declared name: its type, whether it is given at the opening or kept, and its first value."""

    name: str
    type: Type
    given: bool = False
    keep: bool = False
    first: Value | None = None
    private: bool = False


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of opening hours: days of the week (Monday is 0), from and to."""

    days: frozenset[int]
    opens: time
    closes: time


OTHERS = "else"
"""Under ``moved``: every other state that is gone."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A conversation as its author wrote it. ``version`` is a hash of the file's content.

    ``texts`` holds every built-in sentence, the author's where there is one. ``warnings`` are the
    problems that do not stop it from running.
    """

    name: str
    start: str
    states: Mapping[str, State]
    version: str
    path: str = ""
    about: str = ""
    greeting: Template | None = None
    anywhere: tuple[Rule, ...] = ()
    keywords: tuple[str, ...] = ()
    opt_out: tuple[str, ...] | None = None
    opt_in: tuple[str, ...] | None = None
    data: Mapping[str, Datum] = field(default_factory=dict)
    types: Mapping[str, Type] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    restart: bool = False
    zone: str = "UTC"
    country: str = ""
    language: str = "en"
    languages: tuple[str, ...] = ()
    people: Mapping[str, Person] = field(default_factory=dict)
    quiet: tuple[time, time] | None = None
    hours: Mapping[str, tuple[Hours, ...]] = field(default_factory=dict)
    closed: frozenset[date] = frozenset()
    private: frozenset[str] = frozenset()
    keyword_values: Mapping[str, Matcher] = field(default_factory=dict)
    twin_keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: Mapping[str, Template] = field(default_factory=dict)
    max_segments: int | None = None
    warnings: tuple[Problem, ...] = ()

    def moved_to(self, state: str) -> str | None:
        """Return where those go on who wait in a state that is gone: what ``moved`` says of it, or of any."""
        return self.moved.get(state, self.moved.get(OTHERS))

    @property
    def keywords_alone(self) -> tuple[str, ...]:
        """The keywords that open the flow without a value; one that takes one, too, is there twice."""
        words = dict.fromkeys(self.keywords)
        return tuple(
            each for each in words if each not in self.keyword_values or self.keywords.count(each) > 1
        )

    @property
    def needs_data(self) -> bool:
        """Whether somebody must give data before the conversation can open."""
        return any(datum.given and datum.first is None for datum in self.data.values())
