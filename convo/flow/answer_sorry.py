"""What is said to a wrong answer where the author wrote no ``sorry``, by language and answer type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from convo.flow.answer_spec import AnswerSpec, Near
from convo.flow.answer_words import understood


@dataclass(frozen=True, slots=True)
class Sorry:
    """The sentences of a language: one for each answer type, and how the bounds are told in them."""

    types: Mapping[str, str]
    between: str
    low: str
    above: str
    high: str
    below: str
    both: str
    length: str
    choice: str
    choices: str
    near: str
    reply: str


SORRY: Mapping[str, Sorry] = MappingProxyType(
    {
        "en": Sorry(
            types={
                "text": "Please send a text{bounds}.",
                "number": "Please send a whole number{bounds}.",
                "decimal": "Please send a number{bounds}.",
                "money": "Please send an amount{bounds}, such as 5.50.",
                "yes or no": "Please answer yes or no.",
                "date": "Please send a date{bounds}, such as 4 March 2026.",
                "time": "Please send a time of day{bounds}, such as 8:30.",
                "moment": "Please send a date and a time{bounds}, such as 4 March 2026 8:30.",
                "duration": "Please send a length of time{bounds}, such as 10m or 2 hours.",
                "phone": "Please send a phone number.",
                "email": "Please send an e-mail address, such as ann@example.org.",
                "pattern": "Sorry, that is not written as it should be. Please try again.",
                "anything": "Please try again.",
            },
            between=" from {low} to {high}",
            low=" from {low}",
            above=" above {low}",
            high=" up to {high}",
            below=" below {high}",
            both=" and",
            length=" of at most {count} characters",
            choice="Please reply with a number from 1 to {count}.",
            choices="Please reply with numbers from 1 to {count}, such as 1 2.",
            near="Did you mean {suggestion}?",
            reply="Reply {number}.",
        ),
        "sw": Sorry(
            types={
                "text": "Tafadhali tuma maandishi{bounds}.",
                "number": "Tafadhali tuma nambari kamili{bounds}.",
                "decimal": "Tafadhali tuma nambari{bounds}.",
                "money": "Tafadhali tuma kiasi cha pesa{bounds}, kwa mfano 5.50.",
                "yes or no": "Tafadhali jibu ndiyo au hapana.",
                "date": "Tafadhali tuma tarehe{bounds}, kwa mfano 4 Machi 2026.",
                "time": "Tafadhali tuma saa{bounds}, kwa mfano 8:30.",
                "moment": "Tafadhali tuma tarehe na saa{bounds}, kwa mfano 4 Machi 2026 8:30.",
                "duration": "Tafadhali tuma muda{bounds}, kwa mfano 10m au 2h.",
                "phone": "Tafadhali tuma nambari ya simu.",
                "email": "Tafadhali tuma barua pepe, kwa mfano ann@example.org.",
                "pattern": "Samahani, jibu halijaandikwa inavyotakiwa. Tafadhali jaribu tena.",
                "anything": "Tafadhali jaribu tena.",
            },
            between=" kuanzia {low} hadi {high}",
            low=" kuanzia {low}",
            above=" zaidi ya {low}",
            high=" hadi {high}",
            below=" chini ya {high}",
            both=" na",
            length=" yasiyozidi herufi {count}",
            choice="Tafadhali jibu kwa nambari kuanzia 1 hadi {count}.",
            choices="Tafadhali jibu kwa nambari kuanzia 1 hadi {count}, kwa mfano 1 2.",
            near="Je, ulimaanisha {suggestion}?",
            reply="Jibu {number}.",
        ),
        "es": Sorry(
            types={
                "text": "Por favor, envíe un texto{bounds}.",
                "number": "Por favor, envíe un número entero{bounds}.",
                "decimal": "Por favor, envíe un número{bounds}.",
                "money": "Por favor, envíe un importe{bounds}, por ejemplo 550.",
                "yes or no": "Por favor, responda sí o no.",
                "date": "Por favor, envíe una fecha{bounds}, por ejemplo 4 marzo 2026.",
                "time": "Por favor, envíe una hora{bounds}, por ejemplo 8:30.",
                "moment": "Por favor, envíe una fecha y una hora{bounds}, por ejemplo 4 marzo 2026 8:30.",
                "duration": "Por favor, envíe una duración{bounds}, por ejemplo 10m o 2 horas.",
                "phone": "Por favor, envíe un número de teléfono.",
                "email": "Por favor, envíe un correo electrónico, por ejemplo ann@example.org.",
                "pattern": "Lo siento, no está escrito como debe. Por favor, inténtelo de nuevo.",
                "anything": "Por favor, inténtelo de nuevo.",
            },
            between=" de {low} a {high}",
            low=" desde {low}",
            above=" mayor que {low}",
            high=" hasta {high}",
            below=" menor que {high}",
            both=" y",
            length=" de {count} caracteres como máximo",
            choice="Por favor, responda con un número del 1 al {count}.",
            choices="Por favor, responda con números del 1 al {count}, por ejemplo 1 2.",
            near="¿Quiso decir {suggestion}?",
            reply="Responda {number}.",
        ),
    }
)
"""The languages that have sentences of their own; the others say the English ones."""

DEFAULT_SORRY: Mapping[str, str] = MappingProxyType(
    {name: sentence.replace("{bounds}", "") for name, sentence in SORRY["en"].types.items()}
)
"""What is said to a wrong answer of each type, in English, where there are no bounds to tell."""


def sorry_of(spec: AnswerSpec, low: str, high: str, otherwise: str, language: str) -> str:
    """Return the sentence for a wrong answer; ``low`` and ``high`` are the bounds as they are told."""
    words = _words(language)
    sentence = words.types.get(spec.kind, otherwise)
    told = ""
    if spec.up_to is not None:
        told = words.length.format(count=spec.up_to)
    elif low and high and not spec.low_open and not spec.high_open:
        told = words.between.format(low=low, high=high)
    else:
        parts = [(words.above if spec.low_open else words.low).format(low=low)] if low else []
        parts += [(words.below if spec.high_open else words.high).format(high=high)] if high else []
        told = words.both.join(parts)
    return sentence.replace("{bounds}", told)


def sorry_for_choices(count: int, *, several: bool = False, language: str = "en") -> str:
    """Return the sentence for an answer that is none of ``count`` choices."""
    words = _words(language)
    return (words.choices if several else words.choice).format(count=count)


def near_question(near: Near, language: str = "en") -> str:
    """Return the sentence that asks about a near miss: plain text, no template."""
    words = _words(language)
    asked = words.near.replace("{suggestion}", near.suggestion)
    return asked if near.number is None else f"{asked} {words.reply.format(number=near.number)}"


def _words(language: str) -> Sorry:
    return next(SORRY[each] for each in understood(language) if each in SORRY)
