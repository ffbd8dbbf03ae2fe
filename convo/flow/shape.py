"""What is wrong with the shape of a flow file, told in the words of the language."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convo.flow.codes import problem
from convo.flow.file import (
    CARDS,
    ActionFile,
    CallFile,
    CardFile,
    ChoiceFile,
    CommandFile,
    DatumFile,
    EndCardFile,
    EveryQuestionFile,
    FlowFile,
    OutcomeFile,
    QuestionFile,
    RunFile,
    StepFile,
    card_of,
    validated,
)
from convo.flow.problems import Position, Problem, nearest
from convo.flow.reader import MAX_PROBLEMS, ListNode, MapNode, Scalar
from convo.flow.shapes import SHAPES, Shape, kind_of


@dataclass(frozen=True, slots=True)
class Shaped:
    """A file as far as its shape is right: None where too little is.

    ``cut`` are the places of the mappings that something was left out of.
    """

    file: FlowFile | None
    problems: tuple[Problem, ...]
    cut: frozenset[Position] = frozenset()


def shape_of(root: object) -> Shaped:
    """Return the file as far as its shape is right, and every problem of its shape.

    What has a problem is left out of the result, so that the rest can be looked at too.
    """
    problems: list[Problem] = []
    other = other_key(root)
    if other is not None:
        what, hint = _OTHERS[str(other)]
        return Shaped(None, (problem("F003", f"this is no flow but {what}", other, hint=hint),))
    if isinstance(root, MapNode):
        absent = [name for name in ("flow", "states") if name not in root]
        problems = [
            problem("F003", f"'{name}' is missing", root.position, hint=_MISSING[name]) for name in absent
        ]
    node, told = root, False
    cut: set[Position] = set()
    while True:
        file = validated(node)
        if isinstance(file, FlowFile):
            return Shaped(file if file.states else None, tuple(problems), frozenset(cut))
        if len(file) > MAX_PROBLEMS:
            # So much is wrong that the rest tells nothing, and looking for near names takes its time.
            problems += [_Spot.of(node, wrong).problem() for wrong in file[:MAX_PROBLEMS]]
            more = f"there may be more: only the first {MAX_PROBLEMS} problems are listed"
            return Shaped(None, (*problems, Problem("Y016", more, problems[-1].position)))
        spots = [_Spot.of(node, wrong) for wrong in file]
        if not told:
            # Later rounds only find what leaving things out has brought about.
            problems += [spot.problem() for spot in spots if not _follows(spot, spots)]
            told = True
        cuts = {spot.path for spot in spots}
        if () in cuts:
            return Shaped(None, tuple(problems))
        node = _without(node, cuts)
        cut.update(position for spot in spots for position in spot.within)


def other_key(root: object) -> Scalar | None:
    """Return the key that tells that a file of ours is no flow; None where nothing tells."""
    if not isinstance(root, MapNode) or Scalar("flow") in root:
        return None
    return next((key for key in root if str(key) in _OTHERS), None)


def keys_of(model: type[Shape]) -> list[str]:
    """Return the keys that a mapping may have."""
    return [field.alias or name for name, field in model.model_fields.items()]


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where pydantic found something, and what: ``node`` stands under ``key`` at ``path``.

    ``within`` are the places of the mappings on the way there.
    """

    error: Mapping[str, Any]
    path: tuple[str | int, ...]
    holder: object
    key: Scalar | None
    node: object
    within: tuple[Position, ...]

    @classmethod
    def of(cls, root: object, error: Mapping[str, Any]) -> _Spot:
        """Follow pydantic's path through the tree; what is no key of it is one of our tags."""
        path: list[str | int] = []
        within: list[Position] = []
        holder, key, node = None, None, root
        for part in error["loc"]:
            if isinstance(node, MapNode) and part in node:
                within.append(node.position)
                key = next(known for known in node if known == part)
                holder, node = node, node[key]
                path.append(part)
            elif isinstance(node, ListNode) and isinstance(part, int):
                node = node[part]
                path.append(part)
        return cls(error, tuple(path), holder, key, node, tuple(within))

    @property
    def name(self) -> str:
        """The last part of the path, there or missing."""
        return str(self.error["loc"][-1]) if self.error["loc"] else ""

    def problem(self) -> Problem:
        """Return what is wrong in the words of the language."""
        kind, context = self.error["type"], self.error.get("ctx", {})
        here = self.node if isinstance(self.node, Scalar) else getattr(self.node, "position", Position(1, 1))
        if kind == "extra_forbidden" and self.key is not None:
            return self._unknown(self.key)
        if kind == "missing":
            return problem("F003", f"'{self.name}' is missing", self.key or here)
        if kind == "too_short":
            return problem("F003", "a flow has at least one state", self.key or here)
        if kind in _EXPECTED or kind == "union_tag_invalid":
            tags = str(context.get("expected_tags", ""))
            wanted = _EXPECTED.get(kind) or " or ".join(SHAPES[tag] for tag in SHAPES if tag in tags)
            message = f"{wanted} belongs here, not {SHAPES[kind_of(self.node)]}"
            return problem("F004", message, here, hint=self._shape_hint())
        known = tuple(filter(None, str(context.get("known", "")).split(",")))
        spot = self.key if self.key is not None and (kind == "F003" or self.name == "[key]") else here
        hint = self._shape_hint() if kind == "F004" else ""
        return problem(kind, self.error["msg"], spot, hint=hint, expected=known)

    def _shape_hint(self) -> str:
        """Return what to write where a text, a list or a mapping stands in place of another."""
        key = str(self.key)
        if len(self.path) == 2 and self.path[0] == "states" and key in CARD_KEYS:
            return f"'{key}' is a key of a state: it stands below the state's name, two spaces further in"
        if self.path and isinstance(self.path[-1], int) and isinstance(self.node, Scalar):
            return "a list holds actions here, such as '- reply: Hello.'; one state stands without brackets"
        if isinstance(self.node, ListNode) and key == "goto" and any(_has_if(each) for each in self.node):
            return "write a line for each condition, without dashes: 'age > 60: old', and last 'else: young'"
        return self._dashes() or _FOR_EXAMPLE.get(key, "")

    def _dashes(self) -> str:
        """Return advice where dashes stand before keys, or keys behind dashes."""
        if isinstance(self.node, ListNode) and any(isinstance(each, MapNode) for each in self.node):
            return "leave out the '- ' before each key"
        if isinstance(self.node, MapNode) and "choices" in self.path:
            return "ids with labels stand without '- ', a line each: 'town: Town'"
        return ""

    def _unknown(self, key: Scalar) -> Problem:
        model = self.model
        keys = keys_of(model)
        hint = nearest(key, keys)
        if issubclass(model, CardFile) and key in CARD_KEYS:
            hint = _belonging(key, model)
        elif meant := self.meant:
            hint = f"did you mean '{meant}'?"
        elif not hint and issubclass(model, CardFile):
            hint = nearest(key, CARD_KEYS)
        expected = () if hint else keys
        return problem("F001", f"unknown key '{key}' {_PLACES[model]}", key, hint=hint, expected=expected)

    @property
    def meant(self) -> str:
        """The key of this language that another word for it stands for, or nothing."""
        keys = CARD_KEYS if issubclass(self.model, CardFile) else keys_of(self.model)
        words = _OTHER_WORDS.get(str(self.key).casefold().replace("_", " ").replace("-", " "), ())
        return next((word for word in words if word in keys), "")

    @property
    def makes(self) -> str:
        """The key that would have made the card another one, had it been written right; else nothing."""
        if self.error["type"] != "extra_forbidden" or not issubclass(self.model, CardFile):
            return ""
        found = self.meant or nearest(str(self.key), CARD_KEYS).removeprefix("did you mean '").removesuffix(
            "'?"
        )
        return found if any(found == tag for tag, _ in CARDS) else ""

    @property
    def model(self) -> type[Shape]:
        """The model of the mapping that holds ``key``."""
        holder = self.path[:-1]
        if not holder:
            return FlowFile
        if holder[0] == "data":
            return DatumFile
        if holder == ("every_question",):
            return EveryQuestionFile
        if holder[0] == "states" and len(holder) == 2:
            return dict(CARDS).get(card_of(self.holder).strip("<>"), StepFile)
        if holder[-2] == "choices":
            return ChoiceFile
        return OutcomeFile if holder[-2] == "goto" and isinstance(holder[-1], str) else ActionFile


STEP: tuple[str, type[CardFile]] = ("", StepFile)


def _follows(spot: _Spot, spots: list[_Spot]) -> bool:
    """Return whether a key is only unknown because the one beside it that makes the card is misspelt."""
    if spot.error["type"] != "extra_forbidden" or spot.key is None or spot.makes:
        return False
    return any(
        other.holder is spot.holder and other.makes and str(spot.key) in keys_of(dict(CARDS)[other.makes])
        for other in spots
    )


def _has_if(node: object) -> bool:
    return isinstance(node, MapNode) and "if" in node


def _belonging(key: Scalar, model: type[Shape]) -> str:
    """Return which cards a key belongs to that this one does not have."""
    if key == "end":
        return "an end is a state of its own: name it under 'goto'"
    if key == "goto" and model is CommandFile:
        return (
            "what waits goes on by its words and times: BYE: STATE under 'triggers', 5m: STATE under 'after'"
        )
    if key == "goto" and model is EndCardFile:
        return "it ends here: leave out 'end', or 'goto'"
    owners = dict.fromkeys(f"'{tag}'" for tag, card in CARDS if key in keys_of(card))
    return (
        f"'{key}' goes with {' or '.join(owners)}"
        if owners
        else "it belongs to a step, which waits for nothing"
    )


_MISSING = {
    "flow": "begin the file with a line such as 'flow: name'",
    "states": "the states stand below a line 'states:', each two spaces further in",
}

_FOR_EXAMPLE = {
    "tell": 'for example: tell: {nurse: "Please call."}, and under people the number of the nurse',
    "goto": "a state; or lines below it, such as 'age > 60: old' and last 'else: young'",
    "set": "for example: set: {visits: visits + 1}",
    "with": "for example: with: {stop: stop}",
    "after": "for example: after: {24h: STATE}",
    "at": 'for example: at: {"08:00": STATE}',
    "people": "for example: people: {nurse: +61400000009}",
    "data": "for example: data: {score: 0}",
    "hours": "for example: hours: {office: mon-fri 09:00 to 17:00}",
    "triggers": "for example, on a line below: 'YES: STATE'",
    "anywhere": "for example, on a line below: 'HELP: STATE'",
    "choices": "for example: choices: [Red, Blue]",
    "keywords": "for example: keywords: [PARK, PAY]",
    "reply": "for example: reply: Thank you.",
    "answer": "for example: answer: yes or no; to choose from a list: choices: [Red, Blue]",
    "moved": "for example: moved: {old_name: new_name}",
    "texts": "for example: texts: {apology: Sorry.}",
}

_OTHER_WORDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("question", "prompt", "asks"), ("ask",)),
    **dict.fromkeys(("text", "message", "msg", "say", "says", "send", "sms", "body"), ("reply",)),
    **dict.fromkeys(("response", "respond", "replies", "print", "output"), ("reply",)),
    **dict.fromkeys(("next", "next state", "then", "go", "jump", "transition", "move", "to"), ("goto",)),
    **dict.fromkeys(("transitions", "commands", "words", "on", "events", "inputs"), ("triggers",)),
    **dict.fromkeys(("option", "options", "answers", "values", "menu", "select"), ("choices",)),
    **dict.fromkeys(("validate", "validation", "valid", "expect", "input", "kind"), ("answer", "type")),
    **dict.fromkeys(("error", "invalid", "wrong", "on error", "retry text", "error message"), ("sorry",)),
    **dict.fromkeys(("retries", "retry", "max tries", "attempts", "max retries"), ("tries",)),
    **dict.fromkeys(("timeout", "expire", "expires", "expires after"), ("no_answer_after", "after")),
    **dict.fromkeys(("reminders", "remind after", "reminder after"), ("remind",)),
    **dict.fromkeys(("variables", "vars", "variable", "fields"), ("data",)),
    **dict.fromkeys(("default", "initial value", "value"), ("first",)),
    **dict.fromkeys(("name", "title", "id"), ("flow", "label")),
    **dict.fromkeys(("description", "comment", "note", "notes", "desc"), ("about",)),
    **dict.fromkeys(("timezone", "time zone", "tz"), ("zone",)),
    **dict.fromkeys(("initial", "initial state", "begin", "first state"), ("start",)),
    **dict.fromkeys(("global", "always", "everywhere", "global triggers"), ("anywhere",)),
    **dict.fromkeys(("finish", "exit", "stop", "final", "final state", "close"), ("end",)),
    **dict.fromkeys(("condition", "when", "only if"), ("if",)),
    **dict.fromkeys(("store", "save as", "store as", "variable name"), ("save",)),
    **dict.fromkeys(("assign", "update", "remember"), ("set",)),
    **dict.fromkeys(("steps", "nodes", "cards"), ("states",)),
    **dict.fromkeys(("notify", "sms to", "send to", "forward"), ("tell",)),
    **dict.fromkeys(("aliases", "alias", "synonyms", "other words"), ("also",)),
    **dict.fromkeys(("multiple", "multi"), ("many",)),
    **dict.fromkeys(("service", "url", "http", "request", "api"), ("call",)),
    **dict.fromkeys(("subflow", "sub flow", "include", "flow"), ("run",)),
    **dict.fromkeys(("help",), ("hint",)),
}
"""What other tools and other people call a key, and the keys that are meant, where they may stand."""

CARD_KEYS = frozenset(key for _, card in (*CARDS, STEP) for key in keys_of(card))
"""Every key that some card has: a mistyped one may have made the wrong card."""

_EXPECTED = {"dict_type": "a mapping", "list_type": "a list"}
_PLACES: dict[type[Shape], str] = {
    FlowFile: "in a flow",
    DatumFile: "in the declaration of a name",
    EveryQuestionFile: "under every_question",
    ChoiceFile: "in a choice",
    QuestionFile: "in a question",
    CommandFile: "in a state that waits",
    RunFile: "in a sub-flow's card",
    CallFile: "in a call",
    EndCardFile: "in a state that ends the conversation",
    StepFile: "in a step",
    ActionFile: "in an action",
    OutcomeFile: "in a line of a goto",
}


def _without(node: Any, cuts: set[tuple[str | int, ...]], here: tuple[str | int, ...] = ()) -> Any:
    """Return a copy of the tree that has nothing at the paths of ``cuts``."""
    if isinstance(node, MapNode):
        made = copy.copy(node)
        made.clear()
        made.update(
            (key, _without(value, cuts, (*here, key)))
            for key, value in node.items()
            if (*here, key) not in cuts
        )
        return made
    if isinstance(node, ListNode):
        items = copy.copy(node)
        items[:] = [
            _without(item, cuts, (*here, index))
            for index, item in enumerate(node)
            if (*here, index) not in cuts
        ]
        return items
    return node


_OTHERS = {
    "translates": (
        "the words of one in another language",
        "name the flow: its words in other languages are looked over with it",
    ),
    "tests": ("its transcripts", "convo test plays them"),
    "provider": ("the description of a provider", "convo transport check looks it over"),
    "channels": ("a configuration", "convo config check looks it over"),
}
"""What other files of ours are, by the key that tells, and what looks them over."""
