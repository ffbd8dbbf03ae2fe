"""The JSON Schema of flow files, made from their shapes.

``python -m convo.flow.schema`` writes ``schema.json`` anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from convo.flow.file import CARDS, FlowFile

SCHEMA_PATH = Path(__file__).with_name("schema.json")


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
