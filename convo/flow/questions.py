"""Question cards: from their shape to a state, and to a second one where the answer is confirmed.

A question is only another way of writing a state with transitions; ``engine/machine.py`` makes them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from convo.flow.answer_choices import ChoiceSpec, choice_problems
from convo.flow.answer_spec import AnswerSpec
from convo.flow.answers import parse_answer, parse_many
from convo.flow.codes import problem
from convo.flow.file import ChoiceFile, EveryQuestionFile, QuestionFile
from convo.flow.model import (
    NOTHING,
    Action,
    Arm,
    Card,
    Late,
    Question,
    Rule,
    Silence,
    State,
)
from convo.flow.naming import name_problem, reserved_problem
from convo.flow.problems import FlowError, Problem, Severity, nearest
from convo.flow.reader import Scalar
from convo.flow.template import Expression, Template, parse_expression, parse_template
from convo.flow.times import duration_of, durations_of
from convo.flow.triggers import parse_words

if TYPE_CHECKING:
    from convo.flow.cards import CardReader

YES_NO = "yes or no"


def read_question(
    reader: CardReader,
    name: Scalar,
    card: QuestionFile,
    following: Scalar | None,
    every: EveryQuestionFile | None,
) -> list[State]:
    """Return the state of a question, and after it the one that confirms its answer, if any."""
    return _Reading(reader, name, card, following, every or EveryQuestionFile.model_construct()).states()


class _Reading:
    def __init__(
        self,
        reader: CardReader,
        name: Scalar,
        card: QuestionFile,
        following: Scalar | None,
        every: EveryQuestionFile,
    ) -> None:
        self.reader = reader
        self.name = name
        self.card = card
        self.following = following
        self.every = every

    def states(self) -> list[State]:
        reader, card, name = self.reader, self.card, self.name
        ask = reader.text(card.ask)
        choices, listed, choice_arms = self._choices()
        answer = self._answer()
        if answer is not None and (choices or listed):
            hint = "leave one of them out"
            reader.add(problem("F026", "a question has 'answer' or 'choices', not both", name, hint=hint))
        rules = reader.rules(card.triggers)
        has_answer = answer is not None or bool(choices) or listed is not None
        if not (has_answer or rules or card.answer is not None) and card.position not in reader.cut:
            hint = "for example: answer: number 1 to 5"
            reader.add(problem("F026", f"'{name}' asks, but nothing says what an answer is", name, hint=hint))
        self._no_else(rules)
        many = self._many(bool(choices) or listed is not None)
        save = self._save(has_answer)
        question = Question(
            ask=ask if ask is not None else _blank(),
            answer=answer,
            choices=choices,
            choices_from=listed,
            many=many,
            save=save,
            then=reader.effects(card.set, card.reply, card.tell),
            sorry=reader.listed(card.sorry if card.sorry is not None else self.every.sorry),
            hint=reader.text(card.hint),
            tries=self._tries(),
            out_of_tries=self._target("out_of_tries"),
            skip=self._skip(save),
            optional=self._pass_words("optional"),
            back=self._pass_words("back"),
            private=card.private == "yes",
            late=self._late(),
            silence=self._silence(),
            twin_choices=reader.choices.setdefault(name.position, {}),
        )
        if not self._both("tries", "out_of_tries"):
            hint = "write both: how many tries, and the state after the last one"
            at = self._written("tries", "out_of_tries")
            reader.add(problem("F026", "'tries' and 'out_of_tries' belong together", at, hint=hint))
        outcomes = question.outcomes
        elsewhere = {arm.outcome or "" for arm in choice_arms if arm.condition is None}
        if question.answer is None and card.answer is not None:
            # What cannot be read may have any outcome: that is one problem, not several.
            arms = reader.goto(card.goto, self.following, None)
        else:
            arms = (*choice_arms, *reader.goto(card.goto, self.following, outcomes, save, covered=elsewhere))
        if not has_answer and card.goto is None:
            # A menu: its words say where each goes on.
            arms = ()
        elif (card.goto is None and {arm.outcome for arm in choice_arms} != set(outcomes)) or not arms:
            arms = (*choice_arms, *reader.onward(name, card, (), self.following))
        state = State(
            str(name),
            Card.QUESTION,
            name.position,
            rules=rules,
            goto=arms,
            anywhere=card.anywhere is None,
            about=str(card.about or ""),
            question=question,
            timers=reader.timers(card),
        )
        return [state] if card.confirm is None else self._confirmed(state, question, card.confirm)

    def _confirmed(self, state: State, question: Question, confirm: Scalar) -> list[State]:
        """Return the question, going on to its confirmation, which has what happens after it."""
        words = self.reader.text(confirm)
        if confirm in ("yes", "no", "true", "false"):
            hint = f"for example: You said ${{{question.save}}}. Is that right?"
            self.reader.add(problem("F005", "confirm is the text that asks back", confirm, hint=hint))
        path = f"{state.name}/confirm"
        confirmation = Question(
            ask=words if words is not None else _blank(),
            answer=parse_answer(Scalar(YES_NO, position=confirm.position)),
            then=question.then,
            tries=question.tries,
            out_of_tries=question.out_of_tries,
            back=question.back,
            late=question.late,
            silence=question.silence,
            confirms=state.name,
        )
        asks = replace(state, goto=(Arm(path, confirm.position),), question=replace(question, then=NOTHING))
        confirms = State(
            path,
            Card.QUESTION,
            confirm.position,
            goto=state.goto,
            anywhere=state.anywhere,
            question=confirmation,
        )
        return [asks, confirms]

    def _answer(self) -> AnswerSpec | None:
        if self.card.answer is None:
            return None
        try:
            return parse_answer(self.card.answer)
        except FlowError as error:
            self.reader.problems += error.problems
            self.reader.doubtful.add(str(self.card.save or self.name))
            return None

    def _choices(self) -> tuple[tuple[ChoiceSpec, ...], str | None, tuple[Arm, ...]]:
        source = self.card.choices
        if source is None:
            return (), None, ()
        if isinstance(source, Scalar):
            if source not in self.reader.names:
                hint = nearest(source, self.reader.names) or "write the choices as a list"
                self.reader.add(problem("F026", f"'{source}' is no list in the data", source, hint=hint))
            return (), str(source), ()
        items: list[tuple[Scalar, Scalar | ChoiceFile]]
        items = [(label, label) for label in source] if isinstance(source, list) else list(source.items())
        found: list[ChoiceSpec] = []
        arms: list[Arm] = []
        for key, item in items:
            if isinstance(source, list):
                found.append(ChoiceSpec(str(key), str(key)))
                continue
            self.reader.add(_number_problem(key) or name_problem(key, "a choice"))
            if isinstance(item, ChoiceFile):
                label = str(item.label if item.label is not None else key)
                found.append(ChoiceSpec(str(key), label, self._words(item.also)))
                if item.goto is not None:
                    arms += self._choice_arms(key, item.goto)
            else:
                found.append(ChoiceSpec(str(key), str(item)))
        for index, choice in enumerate(found):
            if numbered := re.match(rf"{index + 1} ?[.):-] ?(?=\S)", choice.label):
                message = f"the number of '{choice.label}' is written in front of it anyway"
                hint = f"leave it out: {choice.label[numbered.end() :]}"
                twice = problem("F027", message, items[index][0], hint=hint)
                self.reader.add(replace(twice, severity=Severity.WARNING))
        for index, sentence in choice_problems(found):
            if items[index][0].isdigit():
                continue  # told already
            self.reader.add(problem("F027", sentence, items[index][0], hint="take another word"))
        return tuple(found), None, tuple(arms)

    def _choice_arms(self, key: Scalar, goto: object) -> list[Arm]:
        test = self.reader.outcome_test(key, str(self.card.save or self.name))
        arms = self.reader.goto(goto, self.following)  # type: ignore[arg-type]
        return [replace(arm, outcome=str(key), condition=arm.condition, outcome_test=test) for arm in arms]

    def _words(self, listed: Scalar | list[Scalar] | None) -> tuple[str, ...]:
        items = [listed] if isinstance(listed, Scalar) else listed or []
        found = []
        for item in items:
            for matcher in self.reader.read(parse_words, item) or ():
                found.append(matcher.label)
        return tuple(found)

    def _no_else(self, rules: Collection[Rule]) -> None:
        for rule in rules:
            for matcher in rule.matchers:
                if matcher.kind == "else":
                    hint = "write 'sorry' for what is said to a wrong answer"
                    self.reader.add(
                        problem("F026", "a question has no 'else' of its own", matcher.position, hint=hint)
                    )

    def _many(self, has_choices: bool) -> tuple[int, int] | None:
        many = self.card.many
        if many is None:
            return None
        if not has_choices:
            hint = "'many' goes with 'choices'"
            self.reader.add(problem("F026", f"'{many}' is no number of choices", many, hint=hint))
            return None
        return self.reader.read(parse_many, many)

    def _save(self, has_answer: bool) -> str:
        name = self.card.save if self.card.save is not None else self.name
        if name == "language":
            return "language"
        if has_answer or self.card.save is not None:
            wrong = name_problem(name, "data") or reserved_problem(name)
            self.reader.add(wrong)
        return str(name) if has_answer else ""

    def _pick(self, key: str) -> Scalar | list[Scalar] | None:
        """Return what the question says under a key, or else every question; None where it says ``off``."""
        own: Scalar | list[Scalar] | None = getattr(self.card, key)
        if own is None and key in _BELONGS_TO and _is_off(getattr(self.card, _BELONGS_TO[key])):
            return None
        every: Scalar | list[Scalar] | None = getattr(self.every, key)
        found = own if own is not None else every
        return None if key in CAN_BE_OFF and _is_off(found) else found

    def _one(self, key: str) -> Scalar | None:
        found = self._pick(key)
        return found if isinstance(found, Scalar) else None

    def _written(self, *keys: str) -> Scalar:
        """Return where the first of these keys that says something does so, here or for every question."""
        found = next((each for key in keys if (each := self._pick(key)) is not None), self.name)
        return found if isinstance(found, Scalar) else next(iter(found), self.name)

    def _tries(self) -> int | None:
        written = self._one("tries")
        if written is None:
            return None
        if not re.fullmatch("[1-9][0-9]?", written):
            hint = "for example: 3"
            self.reader.add(problem("F005", f"'{written}' is no number of tries", written, hint=hint))
            return None
        return int(written)

    def _both(self, one: str, other: str) -> bool:
        """Return whether both keys are written or neither, rightly or not."""
        return (self._pick(one) is None) is (self._pick(other) is None)

    def _target(self, key: str) -> Arm | None:
        written = self._one(key)
        to = None if written is None else self.reader.goes_to(written, key)
        return None if to is None or written is None else Arm(to, written.position)

    def _skip(self, save: str) -> Expression | None:
        skip = self.card.skip
        if skip is None:
            return None
        if skip in ("yes", "no", "true", "false"):
            message = "'skip' is a condition, under which the question is passed over"
            hint = "for people to leave it out by a word, write: optional: SKIP"
            self.reader.add(problem("F005", message, skip, hint=hint))
            return None
        if skip == "known":
            return parse_expression(Scalar(f"{save} is set", position=skip.position, length=skip.length))
        return self.reader.read(parse_expression, skip)

    def _pass_words(self, key: str) -> Rule | None:
        listed = self._pick(key)
        if listed is None:
            return None
        items = listed if isinstance(listed, list) else [listed]
        matchers = [each for item in items for each in self.reader.read(parse_words, item) or ()]
        for matcher in matchers:
            if matcher.label in ("yes", "true", "no", "false"):
                message, hint = f"words stand under '{key}'", f"for example: {key}: {_FOR_EXAMPLE[key]}"
                if matcher.label in ("no", "false"):
                    hint = f"for a question without such a word, write: {key}: off"
                self.reader.add(problem("F005", message, matcher.position, hint=hint))
            if not matcher.word:
                hint = "words stand here, each a whole message"
                self.reader.add(problem("F010", f"'{matcher.label}' is no word", matcher.position, hint=hint))
        position = items[0].position
        twins = self.reader.words.setdefault(position, {})
        return Rule(tuple(matchers), (Action(position),), position, twins)

    def _late(self) -> Late:
        written = self._one("late")
        known = [str(each) for each in Late]
        if written is None or written in known:
            return Late(str(written)) if written is not None else Late.ASK_AGAIN
        hint = nearest(written, known)
        self.reader.add(
            problem("F005", f"'{written}' is not possible here", written, hint=hint, expected=known)
        )
        return Late.ASK_AGAIN

    def _silence(self) -> Silence:
        try:
            remind = durations_of(self._pick("remind"))
            written = self._one("no_answer_after")
            after: timedelta | None = None if written is None else duration_of(written, written)
        except FlowError as error:
            self.reader.problems += error.problems
            return Silence()
        reminder = self.reader.listed(self._pick("reminder"))
        no_answer = self._target("no_answer")
        if not self._both("no_answer_after", "no_answer"):
            hint = "write both: after how long, and the state to go to"
            at = self._written("no_answer_after", "no_answer")
            self.reader.add(
                problem("F026", "'no_answer_after' and 'no_answer' belong together", at, hint=hint)
            )
        if after is not None and remind and remind[-1] >= after:
            message, hint = "a reminder would come after the question is given up", f"remind before {written}"
            self.reader.add(problem("F026", message, self._written("remind"), hint=hint))
        return Silence(remind, reminder, after, no_answer)


_FOR_EXAMPLE = {"optional": "SKIP", "back": "BACK"}
_BELONGS_TO = {"out_of_tries": "tries", "reminder": "remind", "no_answer": "no_answer_after"}
CAN_BE_OFF = ("tries", "remind", "no_answer_after", "optional", "back")
"""Keys of ``every_question`` of which a question takes nothing by saying ``off``."""


def _number_problem(key: Scalar) -> Problem | None:
    if not key.isdigit():
        return None
    hint = "the numbers are written by themselves: write a list, '- Town', or a word before it, 'town: Town'"
    return problem("F006", f"'{key}' is no name for a choice", key, hint=hint)


def _is_off(written: Scalar | list[Scalar] | None) -> bool:
    return written == [] or (isinstance(written, Scalar) and written == "off" and not written.quoted)


def _blank() -> Template:
    return parse_template(Scalar(""))
