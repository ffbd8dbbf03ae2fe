"""The JSON Schema that editors use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convo.flow.file import CARDS
from convo.flow.schema import SCHEMA_PATH, json_schema, schema_text


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema of a mapping with known keys."""
    if isinstance(node, dict):
        if "properties" in node and "type" in node:
            yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for item in node:
            yield from objects(item)


def test_the_schema_that_is_shipped_is_the_one_of_the_models() -> None:
    assert SCHEMA_PATH.read_text(encoding="utf-8") == schema_text(), "run: python -m convo.flow.schema"


def test_every_key_says_what_it_is_for_and_no_other_key_is_allowed() -> None:
    found = list(objects(json_schema()))
    assert len(found) > 5
    for each in found:
        assert each["additionalProperties"] is False
        assert all("description" in field or "$ref" in field for field in each["properties"].values())


def test_cards_are_told_apart_by_their_key() -> None:
    schema = json_schema()
    card = schema["properties"]["states"]
    card = card.get("anyOf", [card])[0]["additionalProperties"]
    for key, _ in CARDS:
        assert card["if"] == {"required": [key]}
        assert "$ref" in card["then"]
        card = card["else"]
    assert card["$ref"].endswith("StepFile")


def test_a_flow_needs_a_name_and_states() -> None:
    assert json_schema()["required"] == ["flow", "states"]
    assert json_schema()["$schema"].endswith("2020-12/schema")
