"""The sentences that convo says by itself; an author replaces them under ``texts``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Sentence:
    """A built-in sentence: ``default`` in English, when it is said, and the names it can say.

    Without a default the answer types have words of their own, in several languages.
    """

    default: str
    when: str
    names: tuple[str, ...] = ()


BUILT_IN_TEXTS: Mapping[str, Sentence] = MappingProxyType(
    {
        "nothing_matched": Sentence(
            "Sorry, I did not understand that. I know ${words}.",
            "a text matched nothing; ${words} lists the words of the state",
            ("words",),
        ),
        "not_understood": Sentence(
            "Sorry, I did not understand that.",
            "a text matched nothing, and the state has no words but takes numbers or patterns",
        ),
        "known_words": Sentence(
            "You can send ${words}.",
            "a keyword came, and the state has no text of its own; ${words} lists its words",
            ("words",),
        ),
        "nothing_expected": Sentence(
            "Sorry, there is nothing to answer just now.",
            "a text came, and the state takes none",
        ),
        "near": Sentence(
            "",
            "in place of our own question: an answer was nearly good; ${number} is that of the choice",
            ("choice", "number"),
        ),
        "sorry_choice": Sentence(
            "",
            "in place of our own words: a wrong choice; ${count} is how many choices there are",
            ("count",),
        ),
        "nothing_before": Sentence(
            "There is no question before this one.",
            "the sender wants to go back at the first question",
        ),
        "leave": Sentence(
            "Send ${word} again to leave this conversation and begin that one.",
            "another flow's keyword came while any text would be an answer; ${word} is the keyword",
            ("word",),
        ),
        "apology": Sentence(
            "Sorry, something went wrong on our side. Please try again later.",
            "a step could not be completed and was undone",
        ),
        "over": Sentence(
            "This conversation is over.{% if words != '' %} To begin again, send ${words}.{% endif %}",
            "a text came after the end; ${words} are the flow's keywords, which may be none",
            ("words",),
        ),
        "opted_out": Sentence(
            "You will get no more messages from us."
            "{% if words != '' %} To come back, send ${words}.{% endif %}",
            "the sender opted out; ${words} are the words that take it back",
            ("words",),
        ),
        "opted_in": Sentence(
            "Welcome back. You will get our messages again.",
            "the sender opted in again; ${words} are the words that do so",
            ("words",),
        ),
    }
)
"""Every built-in sentence by its name under ``texts``."""
