"""What the parts of a flow file can be: texts with their places, mappings with known keys only.

Together with ``file`` and ``schema`` the only door to pydantic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    PlainValidator,
    PrivateAttr,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from convo.flow.problems import Position
from convo.flow.reader import ListNode, MapNode, Scalar

SHAPES = {"<text>": "a text", "<list>": "a list", "<mapping>": "a mapping"}


def kind_of(node: object) -> str:
    """Return which of ``SHAPES`` a node is."""
    return "<mapping>" if isinstance(node, MapNode) else "<list>" if isinstance(node, ListNode) else "<text>"


def _text(node: object) -> Scalar:
    if not isinstance(node, Scalar):
        raise wrong_shape("a text", node)
    if not node.strip():
        raise PydanticCustomError("F003", "there is nothing here")
    return node


def _maybe_text(node: object) -> Scalar:
    if not isinstance(node, Scalar):
        raise wrong_shape("a text", node)
    return node


def wrong_shape(expected: str, node: object) -> PydanticCustomError:
    """Return the problem of a node that has another shape than the one expected here."""
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
    PlainValidator(_maybe_text),
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
    """A mapping of the file: known keys only, its position kept."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    _position: Position = PrivateAttr(default=Position(1, 1))

    @model_validator(mode="wrap")
    @classmethod
    def _placed(cls, node: Any, build: Callable[[Any], Shape]) -> Shape:
        if not isinstance(node, MapNode):
            raise wrong_shape("a mapping", node)
        made = build(node)
        made._position = node.position
        return made

    @property
    def position(self) -> Position:
        """Where the mapping begins."""
        return self._position
