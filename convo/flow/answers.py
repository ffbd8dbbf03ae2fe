"""Answer types by name: what ``answer:`` may say, and what a text means to it.

``parse_answer`` reads ``number 18 to 110`` or its structured twin, ``read`` reads what a sender wrote.
The types of this package are in ``answer_numbers``, ``answer_dates`` and ``answer_texts``; another package
offers an ``AnswerKind`` under the entry point group ``convo.answers``, looked for only where a flow
names a type that is none of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from types import MappingProxyType

from convo.errors import Fault
from convo.flow import answer_dates, answer_numbers, answer_texts
from convo.flow.answer_sorry import DEFAULT_SORRY, near_question, sorry_for_choices, sorry_of
from convo.flow.answer_spec import (
    BOUNDS,
    BUILT_IN_BOUNDS,
    AnswerKind,
    AnswerSpec,
    Limits,
    Near,
    Outcome,
    Reading,
    Taken,
    Wrong,
)
from convo.flow.naming import NAME
from convo.flow.problems import FlowError, Position, Problem, nearest
from convo.flow.reader import MapNode, Scalar
from convo.flow.values import Type

__all__ = [
    "BUILT_IN",
    "CODES",
    "DEFAULT_SORRY",
    "GROUP",
    "AnswerKind",
    "AnswerSpec",
    "Near",
    "Outcome",
    "Reading",
    "Taken",
    "Wrong",
    "kind_of",
    "names",
    "names_of",
    "near_question",
    "parse_answer",
    "parse_many",
    "read",
    "sorry_for",
    "sorry_for_choices",
    "type_of",
]

GROUP = "convo.answers"
"""The entry point group in which other packages offer answer types."""

BUILT_IN: Mapping[str, AnswerKind] = MappingProxyType(
    {kind.name: kind for kind in (*answer_texts.KINDS, *answer_numbers.KINDS, *answer_dates.KINDS)}
)
"""The answer types of this package."""

CODES: Mapping[str, str] = MappingProxyType(
    {
        "A001": "an answer type that does not exist",
        "A002": "an answer that cannot be read, or a bound that is none",
        "A003": "something that this answer type does not take",
        "A004": "bounds that nothing lies between",
        "A005": "a pattern that cannot be used",
        "A006": "an answer type of another package that cannot be loaded",
    }
)
"""What each code means."""


def names() -> tuple[str, ...]:
    """Return the names of all answer types, our own and those of installed packages, sorted."""
    return tuple(sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))}))


def kind_of(spec: AnswerSpec) -> AnswerKind:
    """Return the answer type of a spec; a FlowError where there is none of that name (any more)."""
    kind = BUILT_IN.get(spec.kind) or _from_package(spec.kind, spec.source)
    if kind is None:
        raise FlowError([_unknown(spec.kind, spec.source)])
    return kind


def type_of(spec: AnswerSpec) -> Type:
    """Return the type of the value that an answer is saved as."""
    return kind_of(spec).type


def names_of(spec: AnswerSpec) -> frozenset[str]:
    """Return the data that the bounds read; each has to be of the type of the answer."""
    bound = kind_of(spec).bound
    sources = {source for source in (spec.low, spec.high) if source is not None}
    return frozenset(each for each in sources - BUILT_IN_BOUNDS if bound is None or bound(each) is None)


def read(spec: AnswerSpec, text: str, reading: Reading) -> Outcome:
    """Return what a text means as an answer; a Fault where a bound names data that is not set."""
    return kind_of(spec).parse(text, spec, reading)


def sorry_for(spec: AnswerSpec, language: str = "en") -> str:
    """Return the sentence for a wrong answer as the source of a template: named bounds are ``${name}``."""
    named = names_of(spec) | BUILT_IN_BOUNDS
    low, high = (f"${{{each}}}" if each in named else each or "" for each in (spec.low, spec.high))
    return sorry_of(spec, low, high, kind_of(spec).sorry, language)


def parse_answer(node: Scalar | MapNode) -> AnswerSpec:
    """Read what stands behind ``answer:``.

    Raises:
        FlowError: it cannot be read; its problems do not name the file yet.
    """
    spec = _twin(node) if isinstance(node, MapNode) else _line(node)
    kind = kind_of(spec)
    problems = kind.check(spec) if kind.check is not None else []
    problems += _bound_problems(spec, kind)
    if problems:
        raise FlowError(problems)
    return spec


def parse_many(source: Scalar) -> tuple[int, int]:
    """Read how many choices may be taken: ``0 to 4``, ``2``, ``up to 3`` (at least one).

    Raises:
        FlowError: it cannot be read.
    """
    example = "for example: many: 0 to 4"
    found = re.fullmatch(r"(?:([0-9]{1,3})\s+to\s+|(up\s+to)\s+)?([0-9]{1,3})", source.strip())
    if found is None:
        raise FlowError([_problem("A002", f"'{source}' says no number of choices", source, example)])
    high = int(found[3])
    low = int(found[1]) if found[1] else min(1, high) if found[2] else high
    if low > high or high == 0:
        raise FlowError([_problem("A004", f"no choice can be taken with '{source}'", source, example)])
    return low, high


def _line(source: Scalar) -> AnswerSpec:
    """Read ``number 18 to 110``."""
    text = source.strip()
    name = next((each for each in BUILT_IN if re.match(rf"{re.escape(each)}(?!\S)", text)), "")
    word = name or (text.split() or [""])[0]
    kind = BUILT_IN.get(name) or _from_package(word, source)
    if kind is None:
        unknown = text if text in _MEANT else word
        raise FlowError([_unknown(unknown, _part(source, source.index(text), len(unknown)))])
    rest = text[len(word) :].strip()
    at = source.index(text) + len(text) - len(rest)
    if "pattern" in kind.settings:
        if not rest:
            raise FlowError([_problem("A002", "a pattern is missing", source, _for_example(kind))])
        return AnswerSpec(word, source, regex=rest)
    if "words" in kind.settings:
        return AnswerSpec(word, source, words=rest)
    if not rest:
        return AnswerSpec(word, source)
    spot = _part(source, at, len(rest))
    if "length" in kind.settings:
        most = re.fullmatch(r"up\s+to\s+([0-9]{1,4})", rest)
        if most is None or int(most[1]) == 0:
            hint = f"for example: {word} up to 300"
            raise FlowError([_problem("A002", f"'{rest}' says no length of a {word}", spot, hint)])
        return AnswerSpec(word, source, up_to=int(most[1]))
    if not kind.settings & BOUNDS:
        raise FlowError(
            [_problem("A003", f"'{word}' takes nothing behind it", spot, f"write '{word}' alone")]
        )
    return _ranged(word, source, rest, spot, kind)


def _ranged(word: str, source: Scalar, rest: str, spot: Scalar, kind: AnswerKind) -> AnswerSpec:
    """Read ``18 to 110``, ``from 18``, ``above 18``, ``up to 110``, ``below 110``, or one of each side."""
    low = r"(?:(?P<low_word>from|above)\s+(?P<low>\S.*?))"
    high = r"(?:(?P<high_word>up\s+to|below|to)\s+(?P<high>\S.*?))"
    shape = re.fullmatch(rf"{low}?(?:(?:^|\s+(?:and\s+)?){high})?", rest)
    if shape is None or not (shape["low"] or shape["high"]) or rest.startswith("to "):
        shape = re.fullmatch(rf"(?P<low_word>)(?P<low>\S.*?)\s+{high}", rest)
    if shape is None or (shape["low_word"] == "" and shape["high_word"] != "to"):
        expected = (
            f"{word} A to B",
            f"{word} from A",
            f"{word} above A",
            f"{word} up to B",
            f"{word} below B",
        )
        meant = re.fullmatch(r"(?:between\s+)?(\S+?)\s*(?:-|\.\.+|\band\b|…|–)\s*(\S+)", rest)
        hint = f"did you mean '{word} {meant[1]} to {meant[2]}'?" if meant else _for_example(kind)
        if rest.startswith("to "):
            hint = f"did you mean '{word} up {rest}'?"
        if other := re.fullmatch(
            r"(after|before|over|under|more than|less than|max|min|at most|at least) (\S+)", rest
        ):
            hint = f"did you mean '{word} {_BOUNDS[other[1]]} {other[2]}'?"
        raise FlowError([_problem("A002", f"'{rest}' says no bounds", spot, hint, expected)])
    return AnswerSpec(
        word,
        source,
        low=shape["low"],
        high=shape["high"],
        low_open=shape["low_word"] == "above",
        high_open=shape["high_word"] == "below",
    )


def _twin(node: MapNode) -> AnswerSpec:
    """Read ``{type: number, min: 18}``."""
    values: dict[str, Scalar] = {}
    problems: list[Problem] = []
    for key, value in node.items():
        if not isinstance(value, Scalar):
            problems.append(_problem("A002", f"'{key}' takes one text", key, "write it on one line"))
        elif key in _TWIN:
            if _TWIN[key] in values:
                problems.append(_problem("A003", f"'{key}' says again what stands above it", key, "keep one"))
            values[_TWIN[key]] = value
        else:
            hint = nearest(key, _TWIN)
            problems.append(_problem("A003", f"'{key}' means nothing in an answer", key, hint, tuple(_TWIN)))
    if "type" not in values and not problems:
        here = Scalar("", node.position)
        problems.append(_problem("A002", "an answer needs its 'type'", here, "for example: type: number"))
    if problems:
        raise FlowError(problems)
    source = values.pop("type")
    kind = BUILT_IN.get(source) or _from_package(source, source)
    if kind is None:
        raise FlowError([_unknown(source, source)])
    takes = kind.settings | ({"up_to"} if "length" in kind.settings else set())
    problems += [
        _problem("A003", f"'{source}' takes no '{key}'", value)
        for key, value in values.items()
        if key not in takes
    ]
    for one, other in (("from", "above"), ("up_to", "below")):
        if one in values and other in values:
            problems.append(
                _problem("A003", f"'{one}' and '{other}' at once", values[other], "keep one of them")
            )
    most = values.get("up_to") if "length" in kind.settings else None
    if most is not None and (re.fullmatch("[0-9]{1,4}", most) is None or int(most) == 0):
        problems.append(
            _problem("A002", f"'{most}' is no number of characters", most, "for example: up_to: 300")
        )
    if "pattern" in kind.settings and not values.get("pattern"):
        problems.append(_problem("A002", "a pattern is missing", source, "for example: pattern: '[A-Z]{3}'"))
    if problems:
        raise FlowError(problems)
    if most is not None:
        return AnswerSpec(str(source), source, up_to=int(most))
    return AnswerSpec(
        str(source),
        source,
        low=_text(values.get("from", values.get("above"))),
        high=_text(values.get("up_to", values.get("below"))),
        low_open="above" in values,
        high_open="below" in values,
        regex=_text(values.get("pattern")),
        words=values.get("words", ""),
    )


def _bound_problems(spec: AnswerSpec, kind: AnswerKind) -> list[Problem]:
    """Return what is wrong with the bounds as values; names of data are left to whoever knows the data."""
    if kind.bound is None:
        return []
    found = []
    for source in (spec.low, spec.high):
        if source is None or kind.bound(source) is not None:
            continue
        in_time = kind.type in (Type.DATE, Type.MOMENT)
        if source in BUILT_IN_BOUNDS and not (in_time and (source == "today" or kind.type is Type.MOMENT)):
            message = f"'{source}' is no bound of a {spec.kind}"
        elif NAME.fullmatch(source) is None:
            message = f"'{source}' is neither a {spec.kind} nor a name of data"
        else:
            continue
        hint = _for_example(kind)
        if in_time and re.fullmatch(r"[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}", source):
            hint = "a day is written year, month, day: 2026-12-31"
        found.append(_problem("A002", message, spec.source, hint))
    if found or spec.low is None or spec.high is None:
        return found
    low, high = kind.bound(spec.low), kind.bound(spec.high)
    if low is None or high is None:
        return []
    try:
        outside = Limits(low, None, spec.low_open or spec.high_open).complaint(high)
    except Fault as wrong:
        return [_problem("A002", str(wrong), spec.source)]
    if not outside:
        return []
    hint = f"did you mean '{spec.kind} {spec.high} to {spec.low}'?" if low != high else ""
    return [_problem("A004", f"nothing lies between {spec.low} and {spec.high}", spec.source, hint)]


@lru_cache(64)
def _from_package(name: str, source: Scalar) -> AnswerKind | None:
    """Load an answer type of another package; None where none has that name."""
    for point in entry_points(group=GROUP, name=str(name)):
        try:
            kind = point.load()
        except Exception as wrong:
            message = f"the answer type '{name}' ({point.value}) cannot be loaded: {type(wrong).__name__}"
            raise FlowError(
                [_problem("A006", message, source, "see to the package that offers it")]
            ) from wrong
        if not isinstance(kind, AnswerKind):
            message = f"the answer type '{name}' ({point.value}) is no AnswerKind"
            raise FlowError([_problem("A006", message, source, "see to the package that offers it")])
        return kind
    return None


def _unknown(word: str, source: Scalar) -> Problem:
    known = names()
    meant = _MEANT.get(word.casefold())
    hint = f"did you mean '{meant}'?" if meant else nearest(word, known)
    if word.casefold() in ("choices", "choice", "list", "one", "select", "menu", "options", "enum"):
        hint = "what to choose from stands under 'choices', without 'answer': choices: [Red, Blue]"
    return _problem("A001", f"'{word}' is no answer type", source, hint, known)


def _problem(code: str, message: str, at: Scalar, hint: str = "", expected: tuple[str, ...] = ()) -> Problem:
    return Problem(code, message, at.position, at.length, hint=hint, expected=expected)


def _part(source: Scalar, at: int, length: int) -> Scalar:
    """Return a part of a text, knowing where it stands."""
    if source.block:
        return source
    where = Position(source.position.line, source.position.column + at + int(source.quoted))
    return Scalar(str(source)[at : at + length], where)


_BOUNDS = {
    **dict.fromkeys(("after", "over", "more than"), "above"),
    **dict.fromkeys(("before", "under", "less than"), "below"),
    **dict.fromkeys(("max", "at most"), "up to"),
    **dict.fromkeys(("min", "at least"), "from"),
}
"""What people write for the words before a bound."""


def _for_example(kind: AnswerKind) -> str:
    return f"for example: {kind.example}" if kind.example else ""


def _text(value: Scalar | None) -> str | None:
    return None if value is None else str(value).strip()


_TWIN = {
    "type": "type",
    "min": "from",
    "from": "from",
    "above": "above",
    "max": "up_to",
    "up_to": "up_to",
    "below": "below",
    "pattern": "pattern",
    "words": "words",
}
"""The keys of the structured twin, and what each sets."""

_MEANT = {
    "integer": "number",
    "int": "number",
    "whole": "number",
    "float": "decimal",
    "boolean": "yes or no",
    "bool": "yes or no",
    "yes": "yes or no",
    "yes/no": "yes or no",
    "string": "text",
    "word": "text",
    "words": "text",
    "regex": "pattern",
    "datetime": "moment",
    "e-mail": "email",
    "mail": "email",
    "any": "anything",
    "telephone": "phone",
    "amount": "money",
    "price": "money",
    "hours": "duration",
    "minutes": "duration",
}
"""Names that other tools have for our answer types."""
