"""What stands under ``data``: names with their types and first values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from convo.errors import Fault
from convo.flow.codes import problem
from convo.flow.file import DatumFile
from convo.flow.model import Datum
from convo.flow.naming import name_problem, reserved_problem
from convo.flow.problems import FlowError, Problem, nearest
from convo.flow.reader import Scalar
from convo.flow.template import parse_expression
from convo.flow.values import Money, Type, Value, parse_duration, type_of

_OTHER_WORDS = {
    **dict.fromkeys(("string", "str", "word", "varchar"), "text"),
    **dict.fromkeys(("int", "integer", "float", "decimal", "whole number", "numeric"), "number"),
    **dict.fromkeys(("bool", "boolean", "yes/no", "yesno", "flag"), "yes or no"),
    **dict.fromkeys(("datetime", "date and time", "timestamp", "date time"), "moment"),
    **dict.fromkeys(("list", "choice", "array"), "choices"),
    **dict.fromkeys(("currency", "price", "amount"), "money"),
}
"""What other tools call a type."""

DECLARED_TYPES = tuple(kind for kind in Type if kind not in (Type.CHOICE, Type.HOURS))
"""The types that can be declared; a choice gets its type from its card, hours from `hours`."""

EXAMPLES: Mapping[Type, str] = {
    Type.TEXT: "'some words'",
    Type.NUMBER: "3",
    Type.MONEY: "4.50",
    Type.YES_NO: "yes",
    Type.DATE: "2026-03-31",
    Type.TIME: "'08:30'",
    Type.DURATION: "10m",
    Type.MOMENT: "'2026-03-31 08:30'",
}


def read_data(
    data: Mapping[Scalar, Scalar | DatumFile], problems: list[Problem], zone: str
) -> tuple[dict[str, Datum], set[str]]:
    """Return the declared names, and those of them whose type must come from what is set to them.

    Problems are added to ``problems``. A first moment is in ``zone``.
    """
    found: dict[str, Datum] = {}
    untyped: set[str] = set()
    for name, declared in data.items():
        wrong = name_problem(name, "data") or reserved_problem(name)
        if wrong is not None:
            problems.append(wrong)
        reading = _Datum(name, problems, zone)
        if isinstance(declared, DatumFile):
            found[str(name)], typed = reading.full(declared)
        else:
            found[str(name)], typed = reading.short(declared)
        if not typed:
            untyped.add(str(name))
    return found, untyped


@dataclass(slots=True)
class _Datum:
    """One line under ``data``."""

    name: Scalar
    problems: list[Problem]
    zone: str

    def short(self, first: Scalar) -> tuple[Datum, bool]:
        """Return ``name: first value``; an empty one only says that there is such a name."""
        if first == "" and not first.quoted:
            return Datum(str(self.name), Type.TEXT), False
        value = self._first(first, None)
        kind = Type.TEXT if value is None else type_of(value)
        return Datum(str(self.name), kind, first=value), value is not None

    def full(self, declared: DatumFile) -> tuple[Datum, bool]:
        """Return a mapping with ``type``, ``given``, ``first`` and ``keep``."""
        kind = self._type(declared.type) if declared.type is not None else None
        value = None if declared.first is None else self._first(declared.first, kind)
        if declared.type is None and value is None and declared.first is None:
            known = tuple(map(str, DECLARED_TYPES))
            self.problems.append(
                problem("F003", f"'{self.name}' needs a type or a first value", self.name, expected=known)
            )
        datum = Datum(
            name=str(self.name),
            type=kind or (Type.TEXT if value is None else type_of(value)),
            given=declared.given == "yes",
            keep=declared.keep == "yes",
            first=value,
            private=declared.private == "yes",
        )
        return datum, kind is not None or value is not None

    def _type(self, word: Scalar) -> Type | None:
        known = tuple(map(str, DECLARED_TYPES))
        if word in known:
            return Type(str(word))
        other = _OTHER_WORDS.get(word.casefold())
        hint = f"did you mean '{other}'?" if other else nearest(word, known)
        self.problems.append(problem("F005", f"'{word}' is no type", word, hint=hint, expected=known))
        return None

    def _first(self, source: Scalar, kind: Type | None) -> Value | None:
        value = _written(source, kind, self.zone)
        if value is not None:
            return value
        if not source.quoted:
            try:
                expression = parse_expression(source)
                if not expression.names and not expression.check({}):
                    result: Value = expression.evaluate({})
                    if kind is None or type_of(result) is kind:
                        return result
            except FlowError as error:
                if kind is None:
                    self.problems += error.problems
                    return None
            except Fault:
                pass
        wanted = f"a {kind}" if kind else "a value"
        hint = f"for example: {EXAMPLES[kind]}" if kind and kind in EXAMPLES else ""
        hint = hint or ("a text goes in quotes" if kind is None else "leave it out")
        self.problems.append(
            problem(
                "F020", f"'{source}' is not {wanted} that '{self.name}' can begin with", source, hint=hint
            )
        )
        return None


def _written(source: Scalar, kind: Type | None, zone: str) -> Value | None:
    """Return a value that needs no expression: a text in quotes, yes, no, a date, an amount."""
    if kind in (None, Type.TEXT) and source.quoted:
        return str(source)
    if kind in (None, Type.YES_NO) and not source.quoted and source in ("yes", "no"):
        return source == "yes"
    try:
        if kind is Type.DATE:
            return date.fromisoformat(source)
        if kind is Type.TIME:
            return time.fromisoformat(source)
        if kind is Type.MOMENT:
            moment = datetime.fromisoformat(source)
            return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
        if kind is Type.MONEY:
            amount = Decimal(str(source))
            return Money(amount) if amount.is_finite() else None
    except (ValueError, InvalidOperation):
        return None
    return parse_duration(source) if kind in (None, Type.DURATION) else None
