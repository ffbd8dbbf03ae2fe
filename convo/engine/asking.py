"""What a text means as an answer to a question, and what is said where it means nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from convo.engine.machine import CompiledFlow
from convo.engine.said import built_in_text, choices_of, listed
from convo.flow.answer_choices import ChoiceSpec, read_choice, read_many
from convo.flow.answer_spec import Near, Reading, Taken, Wrong
from convo.flow.answers import near_question, read, sorry_for, sorry_for_choices
from convo.flow.model import Flow, Question
from convo.flow.reader import Scalar
from convo.flow.template import Template, parse_template
from convo.flow.values import Choice, Value


@dataclass(frozen=True, slots=True)
class Reply:
    """What a text means: a value and how it matched, what it may have been meant for, or why it is none."""

    value: Value | None = None
    how: str = ""
    near: Near | None = None
    wrong: str = ""


def read_answer(
    question: Question, text: str, names: Mapping[str, Value], flow: Flow, language: str, now: datetime
) -> Reply:
    """Return what a text means as an answer to ``question``; no value where it is none."""
    if question.answer is not None:
        reading = Reading(
            language=language,
            country=flow.country or None,
            zone=flow.zone,
            now=now.astimezone(ZoneInfo(flow.zone)),
            scope=names,
        )
        return _reply(read(question.answer, text, reading), ())
    choices = choices_of(question, names, language)
    found = _chosen(question, choices, text, language)
    if isinstance(found, Taken) or choices == question.choices or not question.choices:
        return _reply(found, choices)
    # The words of the base language are understood too.
    base = _chosen(question, question.choices, text, flow.language)
    return _reply(base if isinstance(base, Taken) else found, choices)


def _chosen(
    question: Question, choices: tuple[ChoiceSpec, ...], text: str, language: str
) -> Taken | Near | Wrong:
    if question.many is not None:
        return read_many(choices, text, *question.many, language)
    return read_choice(choices, text, language)


def _reply(result: Taken | Near | Wrong, choices: tuple[ChoiceSpec, ...]) -> Reply:
    if isinstance(result, Taken):
        value = result.value
        labels = {choice.id: choice.label for choice in choices}
        if choices and isinstance(value, str):
            value = Choice(value, labels.get(value, value))
        elif choices and isinstance(value, tuple):
            value = tuple(Choice(each, labels.get(each, each)) for each in map(str, value))
        return Reply(value, result.how)
    if isinstance(result, Near):
        return Reply(near=result)
    return Reply(wrong=result.reason)


def sorry_text(
    question: Question,
    reply: Reply | None,
    texts: Sequence[Template],
    names: Mapping[str, Value],
    compiled: CompiledFlow,
    words: list[str],
    language: str,
) -> str:
    """Return what is said to a wrong answer: what it may have been meant for, or what a good one would be.

    ``texts`` are the author's, the first for the first wrong answer; ``words`` are those of the state.
    """
    own = compiled.flow.texts
    if reply is not None and reply.near is not None:
        near = reply.near
        number = "" if near.number is None else str(near.number)
        if "near" in own:
            return built_in_text(compiled, "near", {"choice": near.suggestion, "number": number}, language)
        return near_question(near, language)
    if texts:
        tries = names["tries"]
        index = tries - 1 if isinstance(tries, int) else 0
        return texts[min(max(index, 0), len(texts) - 1)].render({**names, "language": language})
    if question.answer is not None:
        source = sorry_for(question.answer, language)
        return parse_template(Scalar(source)).render({**names, "language": language})
    count = len(choices_of(question, names, language))
    if count and "sorry_choice" in own:
        return built_in_text(compiled, "sorry_choice", {"count": str(count)}, language)
    if count:
        return sorry_for_choices(count, several=question.many is not None, language=language)
    return built_in_text(compiled, "nothing_matched", {"words": listed(words, language)}, language)
