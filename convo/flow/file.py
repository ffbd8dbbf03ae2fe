"""The shape of a flow file: which keys stand where and what they are for.

Texts stay ``Scalar`` with their position. What they mean, and whether names exist, is for ``parse``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, PlainValidator, Tag, ValidationError, WithJsonSchema

from convo.flow.reader import ListNode, MapNode
from convo.flow.shapes import AnyText, MaybeText, Off, Shape, Text, Texts, Yes, YesNo, kind_of, wrong_shape

SET = "Names and what they get, top to bottom: a bare value is an expression, one in quotes is a text."
REPLY = "What is said; each item of a list is a message of its own. ${name} shows a value."
TELL = "People declared under `people`, and what is sent to each of them."
GOTO = "The state to go to, or conditions and states, of which the first that holds is taken, `else` last."
END = "The conversation is over; in plain words, how it ended (instead of goto)."


class OutcomeFile(Shape):
    """What happens where one line of a goto is taken."""

    set: dict[Text, Text] | None = Field(None, description=SET)
    reply: Texts | None = Field(None, description=REPLY)
    tell: dict[Text, Texts] | None = Field(None, description=TELL)
    goto: Text | None = Field(None, description="The state to go to.")
    end: Text | None = Field(None, description=END)


Target = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[OutcomeFile, Tag("<mapping>")],
    Discriminator(kind_of),
]
Goto = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[dict[Text, Target], Tag("<mapping>")],
    Discriminator(kind_of),
]


class ActionFile(Shape):
    """What a trigger does."""

    condition: Text | None = Field(None, alias="if", description="Only if this expression says yes.")
    set: dict[Text, Text] | None = Field(None, description=SET)
    reply: Texts | None = Field(None, description=REPLY)
    tell: dict[Text, Texts] | None = Field(None, description=TELL)
    goto: Goto | None = Field(None, description=GOTO + " Without it the state stays.")
    end: Text | None = Field(None, description=END)


ActionOrState = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[ActionFile, Tag("<mapping>")]
    | Annotated[list[ActionFile], Tag("<list>")],
    Discriminator(kind_of),
]
Triggers = dict[Text, ActionOrState]
TRIGGERS = (
    "Words and what they do. Words are a comma list (STOP, HALT), each a whole message, or one of "
    "`number`, `number 1 to 5`, `text`, `pattern REGEX`, `else`. What they do: a state to go to, an "
    "action, or a list of actions of which the first whose `if` holds is taken."
)


class CardFile(Shape):
    """What every card may have."""

    about: Text | None = Field(None, description="A note for people who read the flow; it is never sent.")
    set: dict[Text, Text] | None = Field(None, description=SET)
    reply: Texts | None = Field(None, description="On entering: " + REPLY)
    tell: dict[Text, Texts] | None = Field(None, description=TELL)


class WaitingFile(CardFile):
    """What every card may have that waits for a text or for time."""

    triggers: Triggers | None = Field(None, description=TRIGGERS)
    after: dict[Text, ActionOrState] | None = Field(
        None, description="Durations since entering, such as 24h or 3d, and what is done then."
    )
    at: dict[Text, ActionOrState] | None = Field(
        None,
        description="Clock times (08:00, mon-fri 08:00) and moments (appointment, 24h before appointment),"
        " and what is done then.",
    )
    anywhere: Off | None = Field(None, description="off: the words under `anywhere` are not taken here.")


class CommandFile(WaitingFile):
    """A state that waits: words or time move it."""

    wait: Yes | None = Field(None, description="yes: wait here, for the words under `anywhere` alone.")


class ChoiceFile(Shape):
    """One of the answers to choose from."""

    label: Text | None = Field(None, description="What people read; without it, the choice's id.")
    also: Texts | None = Field(None, description="Other words that mean this choice.")
    goto: Goto | None = Field(None, description="Where this choice goes on; before the question's goto.")


ChoiceOrLabel = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[ChoiceFile, Tag("<mapping>")],
    Discriminator(kind_of),
]
Choices = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[list[Text], Tag("<list>")]
    | Annotated[dict[Text, ChoiceOrLabel], Tag("<mapping>")],
    Discriminator(kind_of),
]


def _answer(node: object) -> object:
    if isinstance(node, ListNode):
        raise wrong_shape("a text or a mapping", node)
    return node


ANSWER_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "required": ["type"],
            "properties": {
                "type": {"type": "string", "description": "The kind of answer: number, text, date …"}
            },
            "patternProperties": {"^[a-z_]+$": {"type": ["string", "number", "boolean"]}},
            "additionalProperties": False,
        },
    ]
}
Answer = Annotated[Any, PlainValidator(_answer), WithJsonSchema(ANSWER_SCHEMA)]


class Insisting(Shape):
    """What is done about wrong answers and about silence; for one question, or for every one."""

    tries: Text | None = Field(None, description="So many wrong answers; then `out_of_tries`.")
    out_of_tries: Text | None = Field(None, description="The state after the last wrong answer.")
    remind: Texts | None = Field(
        None, description="After so much silence (24h, 48h) the question is sent again."
    )
    reminder: Texts | None = Field(None, description="What is said above the question that is sent again.")
    no_answer_after: Text | None = Field(None, description="After so much silence the question is given up.")
    no_answer: Text | None = Field(None, description="The state after that silence.")
    back: Texts | None = Field(None, description="Words that return to the question answered before.")
    late: Text | None = Field(
        None,
        description="A text sent before this question was: `accept` takes it as an answer, `ask again` asks"
        " again, `ignore` leaves it.",
    )


class EveryQuestionFile(Insisting):
    """What holds for every question that does not say otherwise."""

    sorry: Texts | None = Field(None, description="What is said to a wrong answer: first, second, …")
    optional: Texts | None = Field(None, description="Words that pass a question over.")


class QuestionFile(WaitingFile, EveryQuestionFile):
    """A question: it is sent, the answer is checked and saved, and the conversation goes on."""

    ask: Text = Field(description="The question.")
    answer: Answer | None = Field(None, description="What a good answer is, such as: number 18 to 110.")
    choices: Choices | None = Field(
        None, description="The answers to choose from, numbered from 1; ids with labels, or a plain list."
    )
    many: Text | None = Field(None, description="How many of the choices may be taken, such as: 1 to 3.")
    save: Text | None = Field(None, description="The name of the answer; without it, the state's own.")
    hint: Text | None = Field(None, description="A line below the question when it is first sent.")
    private: YesNo | None = Field(None, description="yes: the answer is masked in logs and exports.")
    skip: Text | None = Field(
        None, description="Pass the question over where this holds, or, if `known`, where it is answered."
    )
    confirm: Text | None = Field(None, description="Asked after a good answer; yes goes on, no asks again.")
    goto: Goto | None = Field(None, description=GOTO + " Without it, the next card of the file.")


class RunFile(CardFile):
    """Another flow, run as a part of this one."""

    run: Text = Field(description="The name of the flow; its file stands beside this one.")
    given: dict[Text, Text] | None = Field(
        None, alias="with", description="Data that is given to the flow: names of its data and values."
    )
    save: Texts | None = Field(None, description="Names of its data that are taken over at its end.")
    goto: Goto | None = Field(None, description="Where each of its results goes on.")


class CallFile(CardFile):
    """A service that the operator has configured is asked; the conversation goes on with its answer."""

    call: Text = Field(description="The name of the service in the operator's configuration.")
    given: dict[Text, Text] | None = Field(
        None, alias="with", description="What the service is told: names and values."
    )
    save: Texts | None = Field(None, description="Names that its answer fills; their types are under data.")
    goto: Goto | None = Field(None, description="Where `ok`, `error` and `timeout` go on.")


class EndCardFile(CardFile):
    """A state in which the conversation is over."""

    end: Text = Field(description="How the conversation ended, in plain words, such as: complete.")


class StepFile(CardFile):
    """A state that says or sets something and goes on without waiting."""

    goto: Goto | None = Field(None, description=GOTO + " Without it, the next card of the file.")


CARDS: tuple[tuple[str, type[CardFile]], ...] = (
    ("ask", QuestionFile),
    ("triggers", CommandFile),
    ("at", CommandFile),
    ("after", CommandFile),
    ("wait", CommandFile),
    ("run", RunFile),
    ("call", CallFile),
    ("end", EndCardFile),
)
"""Which key makes which card; the first found counts. A card with none of them is a step."""


def card_of(node: object) -> str:
    """Return the tag of the card that a node under ``states`` is."""
    keys = node if isinstance(node, MapNode) else {}
    return next((f"<{key}>" for key, _ in CARDS if key in keys), "<step>")


CardOfStates = Annotated[
    Annotated[QuestionFile, Tag("<ask>")]
    | Annotated[CommandFile, Tag("<triggers>")]
    | Annotated[CommandFile, Tag("<at>")]
    | Annotated[CommandFile, Tag("<after>")]
    | Annotated[CommandFile, Tag("<wait>")]
    | Annotated[RunFile, Tag("<run>")]
    | Annotated[CallFile, Tag("<call>")]
    | Annotated[EndCardFile, Tag("<end>")]
    | Annotated[StepFile, Tag("<step>")],
    Discriminator(card_of),
]


class DatumFile(Shape):
    """A name that is declared, with its type."""

    type: Text | None = Field(
        None, description="text, number, money, yes or no, date, time, moment or duration."
    )
    given: YesNo | None = Field(None, description="yes: whoever starts the conversation has to give it.")
    first: MaybeText | None = Field(
        None, description="Its first value: bare as an expression, in quotes as a text."
    )
    keep: YesNo | None = Field(None, description="yes: it is kept for this sender after the end.")
    private: YesNo | None = Field(None, description="yes: it is masked in logs and exports.")


Declared = Annotated[
    Annotated[MaybeText, Tag("<text>")] | Annotated[DatumFile, Tag("<mapping>")],
    Discriminator(kind_of),
]


class FlowFile(Shape):
    """A conversation by SMS as a state machine: named states, the words that move it, its replies."""

    flow: Text | None = Field(None, description="The flow's name: a letter, then letters, digits and _.")
    about: Text | None = Field(None, description="What the flow is for; it is never sent.")
    greeting: Text | None = Field(None, description="Said first where we or a keyword open the conversation.")
    language: Text | None = Field(None, description="The language of the texts, such as en.")
    languages: Texts | None = Field(
        None, description="The languages of the flow, its own first; each other has a twin file of words."
    )
    zone: Text | None = Field(None, description="The time zone of clock times, such as Africa/Nairobi.")
    country: Text | None = Field(None, description="Two letters, such as AU: phone prefix, order of dates.")
    keywords: Texts | None = Field(
        None,
        description="Words that open this flow where one number serves several; `PARK number` takes a value.",
    )
    start: Text | None = Field(None, description="The state to begin in; without it, the first one.")
    restart: AnyText | None = Field(None, description="any: after the end, any text opens the flow anew.")
    data: dict[Text, Declared] | None = Field(
        None, description="Names with their types and first values; `lives: 3` is short for a number from 3."
    )
    people: dict[Text, Text] | None = Field(
        None, description="Other people by name, with their numbers, for `tell`."
    )
    every_question: EveryQuestionFile | None = Field(
        None, description="What holds for every question that does not say otherwise."
    )
    states: dict[Text, CardOfStates] | None = Field(
        None,
        min_length=1,
        description="The states by their names; the first is the start unless `start` says so.",
    )
    anywhere: Triggers | None = Field(None, description="Triggers of every state, after its own. " + TRIGGERS)
    opt_out: Texts | None = Field(
        None, description="The words that mean: leave me alone. They replace those of the channel."
    )
    opt_in: Texts | None = Field(None, description="The words that take an opt-out back.")
    quiet: Text | None = Field(
        None, description="When nothing is sent that nobody asked for, such as: 21:00 to 08:00."
    )
    hours: dict[Text, Text] | None = Field(
        None, description="Opening hours by name, for the test `office is open`."
    )
    closed: Texts | None = Field(None, description="Days on which all hours are closed, such as 2026-12-25.")
    max_segments: Text | None = Field(None, description="The most SMS segments that one text may take.")
    texts: dict[Text, Text] | None = Field(
        None, description="Built-in sentences in your own words, by name, such as apology."
    )
    moved: dict[Text, Text] | None = Field(
        None, description="States that were renamed, old name: new one, for those who still wait there."
    )


def validated(node: object) -> FlowFile | list[Mapping[str, Any]]:
    """Return the file, or pydantic's list of what is wrong with its shape."""
    try:
        return FlowFile.model_validate(node)
    except ValidationError as error:
        return [dict(wrong) for wrong in error.errors(include_url=False, include_input=False)]
