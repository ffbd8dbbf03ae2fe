"""What a person gives a conversation at its opening, read by the types that the flow declares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from convo.errors import ConfigError
from convo.flow.declared import EXAMPLES
from convo.flow.literals import clock_time
from convo.flow.model import Datum, Flow
from convo.flow.problems import nearest
from convo.flow.values import Money, Type, Value, parse_duration

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")
_YES = {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}


def known_name(flow: Flow, name: str) -> None:
    """See that the flow declares a name.

    Raises:
        ConfigError: it does not; the message says which names there are.
    """
    if name in flow.data:
        return
    names = tuple(flow.data)
    hint = nearest(name, names)
    known = f"its data: {', '.join(names)}" if names else "it declares no data"
    raise ConfigError(f"the flow '{flow.name}' has no data '{name}'{f'; {hint}' if hint else ''}  ({known})")


def read_given(flow: Flow, written: Mapping[str, str], *, partial: bool = False) -> dict[str, Value]:
    """Return the values of what was written for each name; ``partial`` leaves out what is missing.

    Raises:
        ConfigError: a name is unknown or missing, or a value is not of its name's type; never the value.
    """
    for name in written:
        known_name(flow, name)
    missing = [
        datum.name
        for datum in flow.data.values()
        if datum.given and datum.first is None and datum.name not in written
    ]
    if missing and not partial:
        raise ConfigError(f"the flow '{flow.name}' must be given: {', '.join(missing)}")
    return {name: _value(flow, flow.data[name], text) for name, text in written.items()}


def _value(flow: Flow, datum: Datum, text: str) -> Value:
    kind = flow.types.get(datum.name, datum.type)
    value = read_value(kind, text if kind is Type.TEXT else text.strip(), flow.zone)
    if value is None:
        raise ConfigError(f"what is given for '{datum.name}' is no {kind}{example_of(kind)}")
    return value


def example_of(kind: Type) -> str:
    """Return how a value of a type may be written, to follow a complaint."""
    examples = {**EXAMPLES, Type.MOMENT: "2026-03-31T08:30", Type.TIME: "08:30"}
    return f"; for example: {examples[kind]}" if kind in examples else ""


def read_value(kind: Type, text: str, zone: str) -> Value | None:
    """Return the value of a type that somebody wrote, None where it is none; a bare moment is in ``zone``."""
    try:
        match kind:
            case Type.TEXT:
                return text
            case Type.NUMBER | Type.MONEY:
                return _number(kind, text)
            case Type.YES_NO:
                return _YES.get(text.lower())
            case Type.DATE:
                return date.fromisoformat(text)
            case Type.TIME:
                return clock_time(text)
            case Type.MOMENT:
                moment = datetime.fromisoformat(text)
                return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
            case Type.DURATION:
                return parse_duration(text)
            case _:
                return None
    except ValueError:
        return None


def _number(kind: Type, text: str) -> Value | None:
    from decimal import Decimal

    if _NUMBER.fullmatch(text) is None:
        return None
    if kind is Type.MONEY:
        return Money(text)
    return Decimal(text) if "." in text else int(text)
