"""A phone number found in what people wrote, and taken out of it; every store forgets alike."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from convo.messages import Address

FORGOTTEN = "(forgotten)"
"""What stands where a number was."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """Every way of writing one number together. ``needle`` are the digits that all of them share."""

    number: Address = field(repr=False)
    needle: str = field(repr=False)
    pattern: re.Pattern[str] = field(repr=False)

    def without(self, text: str) -> str:
        """Return a text without the number."""
        return self.pattern.sub(FORGOTTEN, text)

    def without_json(self, text: str, *, said: bool = False) -> str:
        """Return JSON text without the number; with ``said``, without what a step said to it, either."""
        data = json.loads(text)
        if said:
            data["said"] = [each for each in data["said"] if each[0] != self.number]
        return json.dumps(self._mended(data))

    def _mended(self, value: Any) -> Any:
        match value:
            case str():
                return self.without(value)
            case bool():
                return value
            case int() if self.pattern.fullmatch(str(value)):
                return 0
            case list():
                return [self._mended(each) for each in value]
            case dict():
                return {self.without(key): self._mended(each) for key, each in value.items()}
        return value


def mentions_of(number: Address) -> Mentions | None:
    """Return how a number may be written; None for a short code or a name, which are common words."""
    import phonenumbers  # which takes a while to load

    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return None
    needle = str(parsed.national_number)
    if len(needle) < 6:
        return None
    zeros = "0*" if parsed.italian_leading_zero else "0?"
    pattern = rf"(?<![0-9])(?:\+?{parsed.country_code}{zeros}|{zeros}){needle}(?![0-9])"
    return Mentions(number, needle, re.compile(pattern))
