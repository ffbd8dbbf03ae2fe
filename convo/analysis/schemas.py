"""JSON Schemas for an editor: flows, their words in other languages, and transcripts, in one.

The file names do not say which of them a file is, so the whole schema looks at its first keys.
"""

from __future__ import annotations

import json
from typing import Any

from convo.analysis.transcripts_model import OF_SOMEBODY
from convo.flow.cards import CALL_RESULTS
from convo.flow.schema import json_schema
from convo.flow.sentences import BUILT_IN_TEXTS

Schema = dict[str, Any]

KINDS = ("flow", "words", "tests", "all")
"""What a schema may be for; ``words`` are a flow's words in another language."""

_ANSWER = {
    "from": "The least that is taken.",
    "min": "The least that is taken.",
    "above": "More than this is taken.",
    "up_to": "The most that is taken; of a text, how many characters.",
    "max": "The most that is taken; of a text, how many characters.",
    "below": "Less than this is taken.",
    "pattern": "The regular expression that a good answer fits.",
    "words": "What follows the name of an answer type of another package.",
}
"""What may stand beside the type of an answer."""

_NUMBER = r"\+\d{5,15}"
_WHO = rf"({_NUMBER}|[A-Za-z]\w*)"
"""Somebody in a transcript: a number, or one of the people of the flow."""
_TEXT: Schema = {"type": ["string", "number", "boolean"]}
_TEXTS: Schema = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}


def schema_for(kind: str) -> Schema:
    """Return the schema for one of ``KINDS``."""
    return {"flow": flow_schema, "words": words_schema, "tests": tests_schema, "all": whole_schema}[kind]()


def schema_text(kind: str) -> str:
    """Return the schema as a file."""
    return json.dumps(schema_for(kind), indent=2, ensure_ascii=False) + "\n"


def whole_schema() -> Schema:
    """Return one schema for every file beside a flow; configurations and providers are left alone."""
    flow, words, tests = flow_schema(), words_schema(), tests_schema()
    defs = {**flow.pop("$defs", {}), **words.pop("$defs"), "flow": flow, "words": words, "tests": tests}
    for each in (flow, words, tests):
        each.pop("$schema", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "convo: a flow, its words in another language, or its transcripts",
        "$defs": defs,
        "if": {"required": ["translates"]},
        "then": {"$ref": "#/$defs/words"},
        "else": {
            "if": {"required": ["tests"]},
            "then": {"$ref": "#/$defs/tests"},
            "else": {
                # Configurations, and descriptions of providers, are no flows.
                "if": {"anyOf": [{"required": ["channels"]}, {"required": ["provider"]}]},
                "then": True,
                "else": {"$ref": "#/$defs/flow"},
            },
        },
    }


def flow_schema() -> Schema:
    """Return the schema of flows, with the names that only convo knows spelt out."""
    schema = json_schema()
    schema["properties"]["texts"] = {
        "type": "object",
        "description": schema["properties"]["texts"]["description"],
        "properties": {
            name: {**_TEXT, "description": f"By itself it says: {sentence.default}"}
            for name, sentence in BUILT_IN_TEXTS.items()
        },
        "additionalProperties": False,
    }
    for card in schema["$defs"].values():
        for shape in card["properties"].get("answer", {}).get("anyOf", ()):
            if shape.pop("patternProperties", None):
                shape["properties"] |= {
                    name: {**_TEXT, "description": said} for name, said in _ANSWER.items()
                }
    return schema


# -- transcripts ----------------------------------------------------------------------------------------


def tests_schema() -> Schema:
    """Return the schema of test files."""
    step = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 2,
        "properties": _steps(),
        "patternProperties": {
            rf"^from {_WHO}$": {**_TEXT, "description": "Somebody else writes."},
            rf"^(us )?to {_WHO}$": {
                **_TEXT,
                "description": "The next message to somebody else, whole.",
            },
            rf"^us (starts|contains|like) to {_WHO}$": {
                **_TEXT,
                "description": "The next message to somebody else.",
            },
            rf"^({'|'.join(OF_SOMEBODY)}) (of {_WHO}|{_NUMBER})$": {
                "description": "The same, of somebody else."
            },
        },
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Transcripts of a convo flow",
        "type": "object",
        "required": ["tests", "cases"],
        "properties": {
            "tests": {"type": "string", "description": "The name of the flow's file, which stands beside."},
            "cases": {
                "type": "object",
                "description": "The chats, each under a name.",
                "minProperties": 1,
                "additionalProperties": {"type": "array", "items": step},
            },
        },
        "additionalProperties": False,
    }


def _steps() -> Schema:
    data = {"type": "object", "additionalProperties": _TEXT}
    values = {"type": "object", "additionalProperties": _TEXT}
    answers = {
        "type": "object",
        "maxProperties": 1,
        "properties": dict.fromkeys(CALL_RESULTS, values),
        "additionalProperties": False,
    }
    mapped = {
        "saved": "What the conversation remembers, as it would be shown in a text.",
        "start": "We open the conversation; data that is given stands in the braces.",
        "kept": "What an earlier conversation of this sender has left behind.",
    }
    texts = {
        "them": "The sender writes.",
        "sent": "When it was sent: 70s ago, in 5m, or missing.",
        "us": "The next message to the sender is this one, whole; line ends count as spaces.",
        "us starts": "The next message begins like this.",
        "us contains": "The next message has this in it.",
        "us like": "The whole next message fits this regular expression.",
        "nothing": "yes: nothing (more) was said.",
        "again": "yes: the provider hands the sender's last text out a second time.",
        "wait": "Time passes: 90s, 10m, 24h, 3d, 2w.",
        "clock": "The clock is put there, in the flow's zone: 2026-03-04 12:00.",
        "restart": "yes: the program is stopped and started again.",
        "language": "The sender's conversation goes on in this language.",
        "state": "The state of the conversation.",
        "ended": "How the conversation ended.",
    }
    return {
        **{key: {**_TEXT, "description": said} for key, said in texts.items()},
        **{key: {**data, "description": said} for key, said in mapped.items()},
        "together": {
            "type": "array",
            "description": "Several texts that come in one poll.",
            "items": {
                "type": "object",
                "properties": {"them": _TEXT, "sent": _TEXT},
                "patternProperties": {rf"^from {_WHO}$": _TEXT},
                "additionalProperties": False,
            },
        },
        "calls": {
            "type": "object",
            "description": "What services answer from now on: {bus_times: {ok: {first_bus: '10:42'}}}.",
            "additionalProperties": {"anyOf": [{"enum": list(CALL_RESULTS)}, answers]},
        },
    }


# -- words of another language --------------------------------------------------------------------------


def words_schema() -> Schema:
    """Return the schema of a flow's words in another language: the same paths, with texts and words only."""
    action, card = {"$ref": "#/$defs/WordsOfAction"}, {"$ref": "#/$defs/WordsOfCard"}
    actions = {"anyOf": [action, {"type": "array", "items": action}]}
    rules = {"type": "object", "additionalProperties": actions}
    text = {**_TEXT, "description": "This text in the other language."}
    texts = {**_TEXTS, "description": "This text, or these, in the other language."}
    words = {**_TEXTS, "description": "Words in the other language that mean the same."}
    said = {"reply": texts}
    choice = {
        "type": "object",
        "properties": {"label": text, "also": words},
        "additionalProperties": False,
    }
    goto = {"type": "object", "additionalProperties": {"type": "object", "properties": said}}
    insisting = {
        **dict.fromkeys(("sorry", "reminder"), texts),
        **dict.fromkeys(("optional", "back"), words),
    }
    spoken = {**dict.fromkeys(("ask", "hint", "confirm"), text), **insisting, **said}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The words of a convo flow in another language",
        "$defs": {
            "WordsOfAction": {
                "type": "object",
                "properties": {"words": words, **said, "goto": goto},
                "additionalProperties": False,
            },
            "WordsOfCard": {
                "type": "object",
                "properties": {
                    **spoken,
                    "choices": {
                        "type": "object",
                        "description": "The label of each choice, by its id.",
                        "additionalProperties": {"anyOf": [_TEXT, choice]},
                    },
                    **dict.fromkeys(("triggers", "after", "at"), rules),
                    "goto": goto,
                },
                "additionalProperties": False,
            },
        },
        "type": "object",
        "required": ["translates", "language"],
        "properties": {
            "translates": {"type": "string", "description": "The name of the flow."},
            "language": {"type": "string", "description": "The language of this file, such as sw."},
            "translated": {
                "type": "object",
                "description": "Fingerprints of the texts that were translated; convo translate writes them.",
                "additionalProperties": _TEXT,
            },
            "greeting": text,
            **dict.fromkeys(("keywords", "opt_out", "opt_in"), words),
            "texts": {
                "type": "object",
                "description": "Built-in sentences in this language.",
                "properties": dict.fromkeys(BUILT_IN_TEXTS, text),
                "additionalProperties": False,
            },
            "every_question": {
                "type": "object",
                "properties": insisting,
                "additionalProperties": False,
            },
            "anywhere": rules,
            "states": {
                "type": "object",
                "description": "The states of the flow, each with its words.",
                "additionalProperties": card,
            },
        },
        "additionalProperties": False,
    }
