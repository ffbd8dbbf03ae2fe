"""A text that a pattern matches, made from the pattern; whether it really does is tried afterwards."""

from __future__ import annotations

import re

from convo.flow.answer_pattern import BadPattern, compiled

_CLASSES = {
    "d": "7",
    "w": "a",
    "s": " ",
    "D": "a",
    "W": "-",
    "S": "a",
    "b": "",
    "B": "",
    "t": "\t",
    "n": "\n",
}


def text_of(source: str) -> str | None:
    """Return a short text that the pattern matches as a whole; None where none was found."""
    for least in (0, 1, 2):
        maker = _Maker(source, least)
        text = maker.alternatives()
        try:
            if maker.at == len(source) and compiled(source)(text):
                return text
        except BadPattern:
            return None
    return None


class _Maker:
    """Reads a pattern and writes down the first text of each part; ``*`` repeats ``least`` times."""

    def __init__(self, source: str, least: int) -> None:
        self.source = source
        self.least = least
        self.at = 0

    def alternatives(self) -> str:
        """Return a text of ``a|b``: of its first part."""
        found = self.sequence()
        while self.peek() == "|":
            self.at += 1
            self.sequence()
        return found

    def sequence(self) -> str:
        """Return a text of ``ab``."""
        parts = []
        while self.peek() not in ("", "|", ")"):
            part = self.atom()
            parts.append(part * self.times())
        return "".join(parts)

    def atom(self) -> str:
        """Return a text of one sign, class or group."""
        letter = self.peek()
        self.at += 1
        if letter == "\\":
            following = self.peek()
            self.at += 1
            return _CLASSES.get(following, following)
        if letter == "[":
            return self.of_class()
        if letter == "(":
            found = re.compile(r"\?(?:[a-zA-Z]*:|P?<\w+>)").match(self.source, self.at)
            self.at = found.end() if found is not None else self.at
            text = self.alternatives()
            self.at += self.peek() == ")"
            return text
        return "" if letter in "^$" else "a" if letter == "." else letter

    def of_class(self) -> str:
        """Return the first sign of ``[a-z]``, or one that is not in ``[^a-z]``."""
        closing = re.compile(r"\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL).match(self.source, self.at)
        if closing is None:
            self.at = len(self.source) + 1
            return ""
        written = f"[{closing[0]}"
        self.at = closing.end()
        try:
            fits = re.compile(written, re.ASCII)
        except re.error:
            return ""
        letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_.,/#+"
        preferred = ("A", "1", *letters)
        return next((each for each in preferred if fits.fullmatch(each)), written[1:2])

    def times(self) -> int:
        """Return how often the part before is to be repeated."""
        found = re.compile(r"\*|\+|\?|\{([0-9]*)(,?)([0-9]*)\}").match(self.source, self.at)
        if found is None or found[0] in ("{}", "{,}"):
            return 1
        self.at = found.end()
        if self.peek() in ("?", "+"):
            self.at += 1
        if found[0] == "+":
            return max(1, self.least)
        if found[0] in ("*", "?"):
            return min(self.least, 1) if found[0] == "?" else self.least
        return int(found[1] or 0)

    def peek(self) -> str:
        """Return the sign that comes next, or nothing."""
        return self.source[self.at : self.at + 1]
