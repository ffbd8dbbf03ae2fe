"""The shape of a flow file, and the JSON Schema made from it. The only door to pydantic.

A model here says which keys stand where and what they are for; texts stay ``Scalar`` with their
position. What the texts mean, and whether names exist, is for ``parse``. ``python -m convo.flow.file``
writes ``schema.json`` anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    PrivateAttr,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticCustomError

from convo.flow.problems import Position
from convo.flow.reader import ListNode, MapNode, Scalar

SCHEMA_PATH = Path(__file__).with_name("schema.json")
SHAPES = {"<text>": "a text", "<list>": "a list", "<mapping>": "a mapping"}


def kind_of(node: object) -> str:
    """Return which of ``SHAPES`` a node is."""
    return "<mapping>" if isinstance(node, MapNode) else "<list>" if isinstance(node, ListNode) else "<text>"


def _text(node: object) -> Scalar:
    if not isinstance(node, Scalar):
        raise _wrong_shape("a text", node)
    if not node.strip():
        raise PydanticCustomError("F003", "there is nothing here")
    return node


def _wrong_shape(expected: str, node: object) -> PydanticCustomError:
    return PydanticCustomError(
        "F004", "{expected} belongs here, not {found}", {"expected": expected, "found": SHAPES[kind_of(node)]}
    )


def _one_of(*words: str) -> Callable[[object], Scalar]:
    def check(node: object) -> Scalar:
        text = _text(node)
        if text not in words:
            raise PydanticCustomError(
                "F005", "'{word}' is not possible here", {"word": str(text), "known": ",".join(words)}
            )
        return text

    return check


SCALAR_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean"]}
Text = Annotated[Scalar, PlainValidator(_text), WithJsonSchema(SCALAR_SCHEMA)]
MaybeText = Annotated[
    Scalar,
    PlainValidator(lambda node: node),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]
YesNo = Annotated[
    Scalar, PlainValidator(_one_of("yes", "no")), WithJsonSchema({"enum": ["yes", "no", True, False]})
]
Yes = Annotated[Scalar, PlainValidator(_one_of("yes")), WithJsonSchema({"enum": ["yes", True]})]
Off = Annotated[Scalar, PlainValidator(_one_of("off")), WithJsonSchema({"enum": ["off", False]})]
AnyText = Annotated[Scalar, PlainValidator(_one_of("any")), WithJsonSchema({"enum": ["any"]})]
Texts = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[list[Text], Tag("<list>")],
    Discriminator(kind_of),
]


class Shape(BaseModel):
    """A mapping of the file: known keys only, its position kept. ``later`` are keys not built yet."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    later: ClassVar[frozenset[str]] = frozenset()
    _position: Position = PrivateAttr(default=Position(1, 1))

    @model_validator(mode="wrap")
    @classmethod
    def _placed(cls, node: Any, build: Callable[[Any], Shape]) -> Shape:
        if not isinstance(node, MapNode):
            raise _wrong_shape("a mapping", node)
        made = build(node)
        made._position = node.position
        return made

    @property
    def position(self) -> Position:
        """Where the mapping begins."""
        return self._position


class EndFile(Shape):
    """The conversation ends."""

    later: ClassVar[frozenset[str]] = frozenset({"set", "reply", "tell", "goto", "if"})

    end: Text = Field(description="The conversation is over; in plain words, how it ended.")


Target = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[EndFile, Tag("<mapping>")],
    Discriminator(kind_of),
]
Goto = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[dict[Text, Target], Tag("<mapping>")],
    Discriminator(kind_of),
]
SET = "Names and what they get, top to bottom: a bare value is an expression, one in quotes is a text."
REPLY = "What is said; each item of a list is a message of its own. ${name} shows a value."
GOTO = "The state to go to, or conditions and states, of which the first that holds is taken, `else` last."


class ActionFile(Shape):
    """What a trigger does."""

    later: ClassVar[frozenset[str]] = frozenset({"tell"})

    condition: Text | None = Field(None, alias="if", description="Only if this expression says yes.")
    set: dict[Text, Text] | None = Field(None, description=SET)
    reply: Texts | None = Field(None, description=REPLY)
    goto: Goto | None = Field(None, description=GOTO + " Without it the state stays.")
    end: Text | None = Field(
        None, description="The conversation is over; in plain words, how it ended (instead of goto)."
    )


ActionOrState = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[ActionFile, Tag("<mapping>")]
    | Annotated[list[ActionFile], Tag("<list>")],
    Discriminator(kind_of),
]
Triggers = dict[Text, ActionOrState]
TRIGGERS = (
    "Words and what they do. Words are a comma list (STOP, HALT), each a whole message, or one of "
    "`number`, `number 1 to 5`, `text`, `else`. What they do: a state to go to, an action, or a list of "
    "actions of which the first whose `if` holds is taken."
)


class CardFile(Shape):
    """What every card may have."""

    later: ClassVar[frozenset[str]] = frozenset(
        {
            "ask",
            "answer",
            "choices",
            "run",
            "call",
            "with",
            "save",
            "at",
            "after",
            "sorry",
            "hint",
            "private",
            "skip",
            "optional",
            "confirm",
            "many",
            "tries",
            "out_of_tries",
            "remind",
            "reminder",
            "no_answer_after",
            "no_answer",
            "back",
            "tell",
            "late",
        }
    )

    about: Text | None = Field(None, description="A note for people who read the flow; it is never sent.")
    set: dict[Text, Text] | None = Field(None, description=SET)
    reply: Texts | None = Field(None, description="On entering: " + REPLY)


class CommandFile(CardFile):
    """A state that waits: words move it."""

    triggers: Triggers | None = Field(None, description=TRIGGERS)
    anywhere: Off | None = Field(None, description="off: the words under `anywhere` are not taken here.")
    wait: Yes | None = Field(None, description="yes: wait here, for the words under `anywhere` alone.")


class EndCardFile(CardFile):
    """A state in which the conversation is over."""

    end: Text = Field(description="How the conversation ended, in plain words, such as: complete.")


class StepFile(CardFile):
    """A state that says or sets something and goes on without waiting."""

    goto: Goto | None = Field(None, description=GOTO + " Without it, the next card of the file.")


CARDS: tuple[tuple[str, type[CardFile]], ...] = (
    ("triggers", CommandFile),
    ("wait", CommandFile),
    ("end", EndCardFile),
)
"""Which key makes which card; the first found counts. A card with none of them is a step."""

LATER_CARDS = frozenset({"ask", "run", "call"})
"""Keys that will make cards of their own."""


def card_of(node: object) -> str:
    """Return the tag of the card that a node under ``states`` is."""
    keys = node if isinstance(node, MapNode) else {}
    return next((f"<{key}>" for key, _ in CARDS if key in keys), "<step>")


CardOfStates = Annotated[
    Annotated[CommandFile, Tag("<triggers>")]
    | Annotated[CommandFile, Tag("<wait>")]
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


Declared = Annotated[
    Annotated[MaybeText, Tag("<text>")] | Annotated[DatumFile, Tag("<mapping>")],
    Discriminator(kind_of),
]


class FlowFile(Shape):
    """A conversation by SMS as a state machine: named states, the words that move it, its replies."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"languages", "people", "every_question", "quiet", "hours", "late", "translates"}
    )

    flow: Text | None = Field(None, description="The flow's name: a letter, then letters, digits and _.")
    about: Text | None = Field(None, description="What the flow is for; it is never sent.")
    greeting: Text | None = Field(None, description="Said first where we or a keyword open the conversation.")
    language: Text | None = Field(None, description="The language of the texts, such as en.")
    zone: Text | None = Field(None, description="The time zone of clock times, such as Africa/Nairobi.")
    country: Text | None = Field(None, description="Two letters, such as AU: phone prefix, order of dates.")
    keywords: Texts | None = Field(
        None, description="Words that open this flow where one number serves several."
    )
    start: Text | None = Field(None, description="The state to begin in; without it, the first one.")
    restart: AnyText | None = Field(None, description="any: after the end, any text opens the flow anew.")
    data: dict[Text, Declared] | None = Field(
        None, description="Names with their types and first values; `lives: 3` is short for a number from 3."
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


class _Schema(GenerateJsonSchema):
    """Writes unions the way editors explain them best, and optional keys without the null of Python."""

    def tagged_union_schema(self, schema: Any) -> JsonSchemaValue:
        """Return ``if`` the key is there ``then`` that card; a choice by shape is ``anyOf``."""
        choices = {tag: self.generate_inner(choice) for tag, choice in schema["choices"].items()}
        if "<step>" not in choices:
            return {"anyOf": list(choices.values())}
        cards: JsonSchemaValue = choices["<step>"]
        for key, _ in reversed(CARDS):
            cards = {"if": {"required": [key]}, "then": choices[f"<{key}>"], "else": cards}
        return cards

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        """Return what the key holds where it is there."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        """Return the schema without its default: leaving a key out is how it is not given."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """Leave titles out: they would repeat the keys."""
        return False


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of flow files."""
    schema = FlowFile.model_json_schema(schema_generator=_Schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "A convo flow",
        "required": ["flow", "states"],
    }


def schema_text() -> str:
    """Return the JSON Schema as the file that is shipped."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
