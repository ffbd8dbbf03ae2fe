"""What is said: built-in sentences, lists of words, and a question with its choices below it."""

from __future__ import annotations

from collections.abc import Mapping

from convo.engine.machine import CompiledFlow
from convo.flow.answer_choices import ChoiceSpec
from convo.flow.answer_words import AND
from convo.flow.model import Question
from convo.flow.values import Choice, Value, show


def built_in_text(
    compiled: CompiledFlow, name: str, scope: Mapping[str, Value] | None = None, language: str = ""
) -> str:
    """Return one of the flow's built-in sentences."""
    text = compiled.flow.texts[name]
    return text.in_language(language).render({"language": language or "en", **(scope or {})})


def listed(words: list[str], language: str = "en", joined_by: Mapping[str, str] = AND) -> str:
    """Return ``START, STOP and TIME``, with the ``and`` of that language (``OR`` for one of them)."""
    last = joined_by.get(language, joined_by["en"])
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""


def question_text(question: Question, names: Mapping[str, Value], language: str, *, hint: bool) -> str:
    """Return a question as it is sent: its choices below it, one a line, and its hint below those."""
    scope = {**names, "language": language}
    lines = [question.ask.in_language(language).render(scope)]
    choices = choices_of(question, names, language)
    lines += [f"{number}. {choice.label}" for number, choice in enumerate(choices, 1)]
    if hint and question.hint is not None:
        lines.append(question.hint.in_language(language).render(scope))
    return "\n".join(line.rstrip() for line in lines if line.strip())


def choices_of(question: Question, names: Mapping[str, Value], language: str) -> tuple[ChoiceSpec, ...]:
    """Return the choices of a question: those of its card, or those that a list in the data holds."""
    if question.choices_from is None:
        return question.choices_in(language)
    held = names.get(question.choices_from, ())
    items = held if isinstance(held, tuple) else (held,)
    return tuple(
        ChoiceSpec(str(each), each.label if isinstance(each, Choice) else show(each)) for each in items
    )
