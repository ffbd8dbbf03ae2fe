"""How single values are written in a configuration file: durations, paces, ports, budgets, networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType

from convo.errors import ConfigError
from convo.flow.codes import problem
from convo.flow.problems import Position, Problem, nearest
from convo.flow.reader import ListNode, MapNode, Node, Scalar
from convo.flow.values import parse_duration
from convo.runtime.policy import LONGEST_MESSAGE
from convo.runtime.push import check_network

LONGEST_POLL = timedelta(days=1)
LONGEST_WAIT = timedelta(days=30)
SHORTEST_KEEP = timedelta(days=1)
LONGEST_KEEP = timedelta(days=3650)
LONGEST_LOOP = timedelta(days=1)
SHORTEST_MESSAGE = 70
"""A single message takes so many characters, whatever they are."""
NONE = "none"

_PACE = re.compile(r"([0-9]{1,6}) per (second|minute|hour)")
_UNITS = MappingProxyType(
    {"second": timedelta(seconds=1), "minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
)
_CHARACTERS = re.compile(r"([0-9]{1,4}) characters?")
_SEGMENTS = re.compile(r"([0-9]{1,9}) segments? a day")
_LOOP = re.compile(r"([0-9]{1,3}) texts within ([0-9]+[smhd])")
_SIZE = re.compile(r"([0-9]{1,9}) (bytes|KiB|MiB)")
_SIZES = MappingProxyType({"bytes": 1, "KiB": 1024, "MiB": 1024 * 1024})
_LISTEN = re.compile(r"(?:([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):)?([0-9]{1,5})")


class Values:
    """Reads values; what is wrong is noted in ``problems``, and the reading goes on."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    def add(
        self, code: str, message: str, at: Scalar | Position, *, hint: str = "", expected: Iterable[str] = ()
    ) -> None:
        self.problems.append(problem(code, message, at, hint=hint, expected=expected))

    # -- shapes ---------------------------------------------------------------------------------

    def mapping(self, node: Node, known: tuple[str, ...] | None, place: str) -> Mapping[Scalar, Node]:
        """Return what the mapping holds of the ``known`` keys (None: of all)."""
        if not isinstance(node, MapNode):
            found = "a list" if isinstance(node, ListNode) else "a text"
            self.add("G003", f"a mapping belongs here, not {found}", at(node))
            return {}
        for key in node:
            if known is not None and key not in known:
                hint = nearest(key, known)
                self.add(
                    "G001", f"unknown key '{key}' {place}", key, hint=hint, expected=() if hint else known
                )
        return {key: value for key, value in node.items() if known is None or key in known}

    def text(self, node: Node | None) -> Scalar | None:
        if node is None:
            return None
        if not isinstance(node, Scalar):
            found = "a list" if isinstance(node, ListNode) else "a mapping"
            self.add("G003", f"a text belongs here, not {found}", at(node))
            return None
        if not node.strip():
            self.add("G002", "there is nothing here", node)
            return None
        return node

    def texts(self, node: Node | None) -> tuple[Scalar, ...]:
        """Return a list of texts, or the one text as a list."""
        if isinstance(node, MapNode):
            self.add("G003", "a list belongs here, not a mapping", at(node))
            return ()
        if isinstance(node, ListNode):
            if not node:
                self.add("G002", "the list is empty", at(node))
            return tuple(text for each in node if (text := self.text(each)) is not None)
        text = self.text(node)
        return () if text is None else (text,)

    def words(self, node: Node | None) -> tuple[str, ...] | None:
        """Return words: a list, or one text with commas."""
        if node is None:
            return None
        words = [word.strip() for text in self.texts(node) for word in text.split(",")]
        return tuple(word for word in words if word) or None

    def one_of(self, node: Node | None, known: tuple[str, ...]) -> str | None:
        text = self.text(node)
        if text is not None and text not in known:
            hint = nearest(text, known)
            self.add(
                "G004", f"'{text[:60]}' is not possible here", text, hint=hint, expected=() if hint else known
            )
            return None
        return None if text is None else str(text)

    def yes_or_no(self, node: Node) -> bool | None:
        found = self.one_of(node, ("yes", "no"))
        return None if found is None else found == "yes"

    # -- times, counts, sizes -------------------------------------------------------------------

    def poll(self, node: Node | None) -> timedelta | None:
        text = self.text(node)
        if text is None:
            return None
        found = parse_duration(text)
        if found is None or not timedelta(0) < found <= LONGEST_POLL:
            hint = "write 1s, 30s or 5m; at most 24h"
            self.add("G004", f"'{text[:60]}' is no time to rest between polls", text, hint=hint)
            return None
        return found

    def kept_for(self, node: Node | None) -> timedelta | None:
        text = self.text(node)
        if text is None:
            return None
        found = parse_duration(text)
        if found is None or not SHORTEST_KEEP <= found <= LONGEST_KEEP:
            hint = "write 90d, 26w or 365d; 1d to 3650d"
            self.add("G004", f"'{text[:60]}' is no time to keep what people wrote", text, hint=hint)
            return None
        return found

    def wait(self, node: Node | None) -> timedelta | None:
        text = self.text(node)
        if text is None:
            return None
        found = parse_duration(text)
        if found is None or not timedelta(0) < found <= LONGEST_WAIT:
            self.add("G004", f"'{text[:60]}' is no duration", text, hint="write 10s, 5m, 24h or 3d")
            return None
        return found

    def pace(self, node: Node | None) -> timedelta | None:
        """Return the time from one to the next of ``10 per second``."""
        text = self.text(node)
        if text is None:
            return None
        found = _PACE.fullmatch(" ".join(text.split()))
        if found is None or int(found[1]) == 0:
            hint = "write '10 per second', '30 per minute' or '600 per hour'"
            self.add("G004", f"'{text[:60]}' is no pace", text, hint=hint)
            return None
        return _UNITS[found[2]] / int(found[1])

    def port(self, node: Node | None) -> int | None:
        text = self.text(node)
        if text is None:
            return None
        if not re.fullmatch(r"[1-9][0-9]{0,4}", text) or int(text) > 65535:
            self.add("G004", f"'{text[:60]}' is no port", text, hint="write a number from 1 to 65535")
            return None
        return int(text)

    def count(self, node: Node | None) -> int | None:
        text = self.text(node)
        if text is None:
            return None
        if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
            self.add("G004", f"'{text[:60]}' is no count", text, hint="write a whole number, like 200")
            return None
        return int(text)

    def size(self, node: Node | None) -> int | None:
        """Return the bytes of ``64 KiB``."""
        text = self.text(node)
        if text is None:
            return None
        found = _SIZE.fullmatch(" ".join(text.split()))
        if found is None or int(found[1]) == 0:
            self.add(
                "G004", f"'{text[:60]}' is no size", text, hint="write '64 KiB', '1 MiB' or '9000 bytes'"
            )
            return None
        return int(found[1]) * _SIZES[found[2]]

    # -- what bounds what leaves ----------------------------------------------------------------

    def segments(self, node: Node, unless: int | None) -> int | None:
        """Return the number in ``500 segments a day``, None for ``none``, ``unless`` for what is neither."""
        text = self.text(node)
        if text is None:
            return unless
        if text == NONE:
            return None
        found = _SEGMENTS.fullmatch(" ".join(text.split()))
        if found is None:
            self.add(
                "G004", f"'{text[:60]}' is no budget", text, hint="write '500 segments a day', or 'none'"
            )
            return unless
        return int(found[1])

    def characters(self, node: Node | None) -> int | None:
        """Return the number in ``918 characters``."""
        text = self.text(node)
        if text is None:
            return None
        found = _CHARACTERS.fullmatch(" ".join(text.split()))
        if found is None or not SHORTEST_MESSAGE <= int(found[1]) <= LONGEST_MESSAGE:
            hint = f"write '918 characters', {SHORTEST_MESSAGE} to {LONGEST_MESSAGE}"
            self.add("G004", f"'{text[:60]}' is no length of a message", text, hint=hint)
            return None
        return int(found[1])

    def loop(self, node: Node) -> tuple[int, timedelta] | None:
        """Return what ``10 texts within 10m`` says."""
        text = self.text(node)
        if text is None:
            return None
        found = _LOOP.fullmatch(" ".join(text.split()))
        window = parse_duration(found[2]) if found is not None else None
        if found is None or window is None or not timedelta(0) < window <= LONGEST_LOOP:
            hint = "write '10 texts within 10m'"
        elif not 4 <= int(found[1]) <= 100:
            hint = "4 to 100 texts: a person may send three alike"
        else:
            return int(found[1]), window
        self.add("G004", f"'{text[:60]}' is no rule for a loop", text, hint=hint)
        return None

    # -- addresses ------------------------------------------------------------------------------

    def listen(self, node: Node | None) -> tuple[str, int] | None:
        """Return host and port of ``127.0.0.1:8080``, ``[::1]:8080`` or ``8080``; None for ``none``."""
        text = self.text(node)
        if text is None or text == NONE:
            return None
        found = read_listen(text)
        if found is None:
            hint = (
                "write '127.0.0.1:8080', '0.0.0.0:8080' or '[::1]:8080'; 'none' where an app of yours serves"
            )
            self.add("G004", f"'{text[:60]}' is no address to listen on", text, hint=hint)
        return found

    def networks(self, key: str, node: Node | None) -> tuple[str, ...]:
        """Return addresses and networks: a list, or one text with commas."""
        found = []
        for text in self.texts(node):
            for word in filter(None, (each.strip() for each in text.split(","))):
                if self.accepted(text, partial(check_network, key, word)):
                    found.append(word)
        return tuple(found)

    def accepted(self, text: Scalar, check: Callable[[], None]) -> bool:
        """Return whether ``check`` takes ``text``; else what it says is noted."""
        try:
            check()
        except ConfigError as wrong:
            self.add("G004", str(wrong), text)
            return False
        return True


def read_listen(text: str) -> tuple[str, int] | None:
    """Return host and port of ``127.0.0.1:8080``, ``[::1]:8080`` or ``8080``; None for what is no address."""
    found = _LISTEN.fullmatch(text.strip())
    if found is None or not 1 <= int(found[2]) <= 65535:
        return None
    return (found[1] or "127.0.0.1").strip("[]"), int(found[2])


def at(node: Node) -> Scalar | Position:
    """Return where a node stands, as a problem wants it."""
    return node if isinstance(node, Scalar) else node.position
