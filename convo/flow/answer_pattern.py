"""Patterns that authors write: matched in bounded time, or refused.

Where the package google-re2 is installed (``convo[patterns]``) it matches in linear time. Else Python's
``re`` does, and only patterns are let in of which ``ways`` proves that there are few ways to match a
text of 200 characters; that leaves out look-around, back-references and most nested repeats. Either
way ``\\d``, ``\\w``, ``\\s`` and ``\\b`` mean ASCII, so that a pattern has one meaning.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

LONGEST_PATTERN = 300
"""Characters of a pattern."""

LONGEST_ANSWER = 200
"""Characters of a text that a pattern is tried on; longer ones do not match."""

MOST_WAYS = 50_000
"""In how many ways a pattern may match a text, at most, for Python's ``re`` to be trusted with it."""

_WRAPPED = re.compile(r"""/.+/[a-z]?|"[^"]+"|'[^']+'""")

WITH_RE2 = "without the package google-re2 (pip install 'convo[patterns]')"


_HALF = re.compile(r"[\ud800-\udfff]")


class BadPattern(ValueError):
    """A pattern that cannot be used; the message says why, for the author."""


@lru_cache(256)
def compiled(source: str) -> Callable[[str], bool]:
    """Return what tells whether the whole of a text matches; a BadPattern where that cannot be."""
    if len(source) > LONGEST_PATTERN:
        raise BadPattern(f"the pattern has {len(source)} characters; {LONGEST_PATTERN} is the most")
    if _WRAPPED.fullmatch(source):
        raise BadPattern(
            f"the {source[0]} around the pattern would have to be in the text, too: leave them out"
        )
    engine = _re2()
    if engine is not None:
        return _by_re2(engine, source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pattern = re.compile(source, re.ASCII)
    except (re.error, Warning, OverflowError, RecursionError) as wrong:
        why = getattr(wrong, "msg", "") or "write it in a simpler way"
        raise BadPattern(f"the pattern cannot be read: {why}") from None
    if ways(source) > MOST_WAYS:
        raise BadPattern(f"the pattern can match in too many ways to be quick {WITH_RE2}")
    return lambda text: len(text) <= LONGEST_ANSWER and pattern.fullmatch(text) is not None


def ways(source: str) -> int:
    """Return an upper bound of the ways in which a pattern can match a text of 200 characters.

    The work of a backtracking matcher is at most that many walks over the text. A BadPattern for
    what is not counted: look-around, back-references, flags, atomic groups.
    """
    reader = _Ways(source)
    count = reader.alternatives(0)
    if reader.at < len(source):
        raise BadPattern("the pattern closes a bracket that is not open")
    return count


def _re2() -> Any:
    try:
        engine = import_module("re2")
    except ImportError:
        return None
    # A folder of that name beside the flow can be imported too.
    return engine if hasattr(engine, "Options") else None


def _by_re2(engine: Any, source: str) -> Callable[[str], bool]:
    options = engine.Options()
    options.log_errors = False
    try:
        pattern = engine.compile(source, options)
    except engine.error as wrong:
        why = wrong.args[0] if wrong.args else "it is not of the RE2 syntax"
        why = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise BadPattern(f"the pattern cannot be read: {why}") from None
    # RE2 works on UTF-8, in which half a surrogate pair cannot be written.
    return lambda text: (
        len(text) <= LONGEST_ANSWER and pattern.fullmatch(_HALF.sub("\ufffd", text)) is not None
    )


class _Ways:
    """Counts while it reads; counts are capped just above ``MOST_WAYS``."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def alternatives(self, depth: int) -> int:
        """Count ``a|b``: the sum."""
        if depth > 20:
            raise BadPattern("the pattern is nested too deep")
        count = self.sequence(depth)
        while self.peek() == "|":
            self.at += 1
            count += self.sequence(depth)
        return min(count, MOST_WAYS + 1)

    def sequence(self, depth: int) -> int:
        """Count ``ab``: the product."""
        count = 1
        while self.peek() not in ("", "|", ")"):
            count = min(count * self.repeated(self.atom(depth)), MOST_WAYS + 1)
        return count

    def atom(self, depth: int) -> int:
        """Count one sign, class or group."""
        letter = self.peek()
        self.at += 1
        if letter == "\\":
            following = self.peek()
            self.at += 1
            if following.isdecimal() and following != "0":
                raise BadPattern(f"the pattern refers back to a group, which is refused {WITH_RE2}")
        elif letter == "[":
            closing = re.compile(r"\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL).match(self.source, self.at)
            if closing is None:
                raise BadPattern("the pattern opens a '[' that is not closed")
            self.at = closing.end()
        elif letter == "(":
            return self.group(depth)
        return 1

    def group(self, depth: int) -> int:
        """Count what is in round brackets."""
        if self.peek() == "?":
            if not self.source.startswith("?:", self.at):
                message = "the pattern has a '(?' that is refused; only '(?:' is let in"
                raise BadPattern(f"{message} {WITH_RE2}")
            self.at += 2
        count = self.alternatives(depth + 1)
        if self.peek() != ")":
            raise BadPattern("the pattern opens a '(' that is not closed")
        self.at += 1
        return count

    def repeated(self, count: int) -> int:
        """Count ``x*`` and its like: each number of repeats is a way of its own."""
        shape = re.compile(r"\*|\+|\?|\{([0-9]*)(,?)([0-9]*)\}").match(self.source, self.at)
        if shape is None or shape[0] in ("{}", "{,}"):
            return count
        self.at = shape.end()
        if self.peek() in ("?", "+") and self.peek():
            self.at += 1
        low, high = {"*": (0, LONGEST_ANSWER), "+": (1, LONGEST_ANSWER), "?": (0, 1)}.get(shape[0], (0, 0))
        if shape[0].startswith("{"):
            low = int(shape[1] or 0)
            high = int(shape[3] or LONGEST_ANSWER) if shape[2] else low
        if max(low, high) > LONGEST_ANSWER:
            raise BadPattern(f"the pattern repeats more than {LONGEST_ANSWER} times")
        total = 0
        for times in range(low, high + 1):
            total += count**times
            if total > MOST_WAYS:
                break
        return min(total, MOST_WAYS + 1)

    def peek(self) -> str:
        """Return the sign that comes next, or nothing."""
        return self.source[self.at : self.at + 1]
