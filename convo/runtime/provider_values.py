"""How the parts of a provider's description are written: paths, placeholders, statuses, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from convo.errors import ConfigError
from convo.flow.problems import Problem, nearest
from convo.flow.reader import ListNode, MapNode, Node, Scalar
from convo.runtime.config_values import Values, at
from convo.transports.generic_answers import PLACEHOLDER
from convo.transports.generic_description import Path, Secret, Tree
from convo.transports.url import check_url

CODES: Mapping[str, str] = MappingProxyType(
    {
        "P001": "a placeholder that means nothing there",
        "P002": "a path into an answer that cannot be read",
        "P003": "a secret whose environment variable is not set",
        "P004": "an address that cannot be called",
        "P005": "keys that do not go together, or one that is missing beside another",
        "P006": "a header, method or status that HTTP does not have",
    }
)
"""What each code means beside those of a configuration (``config_shape.CODES``); never changed."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PATH = re.compile(r"[^\s.{}]+(?:\.[^\s.{}]+)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_STATUS = re.compile(r"([1-5][0-9x][0-9x])(?:-([1-5][0-9][0-9]))?")
_Kind = TypeVar("_Kind", bound=StrEnum)


class Parts(Values):
    """Reads the parts of a description; ``environ`` holds the secrets, None: they are not looked up."""

    def __init__(self, problems: list[Problem], environ: Mapping[str, str] | None) -> None:
        super().__init__(problems)
        self.environ = environ

    def needed(self, node: Node, keys: Mapping[Scalar, Node], names: Iterable[str], where: str) -> None:
        """Note which of ``names`` a mapping lacks."""
        if isinstance(node, MapNode):
            for name in names:
                if Scalar(name) not in keys:
                    self.add("G002", f"'{name}' is missing {where}", at(node))

    def kind(self, node: Node | None, known: type[_Kind], usual: _Kind) -> _Kind:
        """Return one of an enumeration, ``usual`` where nothing is written."""
        found = self.one_of(node, tuple(known))
        return usual if found is None else known(found)

    def path(self, node: Node | None) -> Path | None:
        """Return a path like ``data.messages.0.id``; ``.`` alone is the whole answer."""
        text = self.text(node)
        if text is None:
            return None
        if text == ".":
            return ()
        if not _PATH.fullmatch(text):
            hint = "names and numbers with a dot between them, like data.messages.0.id"
            self.add("P002", f"'{text[:60]}' is no path into an answer", text, hint=hint)
            return None
        return tuple(str(text).split("."))

    def when(self, node: Node | None) -> dict[Path, frozenset[str]]:
        """Return ``{path: value or list of values}``."""
        found: dict[Path, frozenset[str]] = {}
        if node is not None:
            for key, value in self.mapping(node, None, "").items():
                path = self.path(key)
                if path is not None:
                    found[path] = frozenset(str(each) for each in self.texts(value))
        return found

    def filled(self, node: Node | None, known: Iterable[str]) -> str:
        """Return a text with placeholders."""
        text = self.text(node)
        if text is None:
            return ""
        self.placeholders(text, known)
        return str(text)

    def placeholders(self, text: Scalar, known: Iterable[str]) -> None:
        """Note placeholders that mean nothing there."""
        for found in PLACEHOLDER.finditer(text):
            if found[1] not in known and not (found[1].startswith("header:") and "header" in known):
                hint = nearest(found[1], known)
                wrong = f"'{{{found[1]}}}' means nothing here"
                shown = {"header": "header:X-Name"}
                expected = () if hint else [f"{{{shown.get(each, each)}}}" for each in known]
                self.add("P001", wrong, text, hint=hint, expected=expected)

    def tree(self, node: Node, known: tuple[str, ...]) -> Tree:
        """Return a template of JSON."""
        if isinstance(node, MapNode):
            return {str(key): self.tree(value, known) for key, value in node.items()}
        if isinstance(node, ListNode):
            return tuple(self.tree(each, known) for each in node)
        self.placeholders(node, known)
        return str(node)

    def flat(self, node: Node | None, known: tuple[str, ...], *, headers: bool = False) -> dict[str, str]:
        """Return a mapping of texts with placeholders."""
        if node is None:
            return {}
        found = {}
        for key, value in self.mapping(node, None, "").items():
            if headers and not self.header(key):
                continue
            if headers and key.lower() in ("authorization", "cookie", "x-api-key"):
                hint = "write it under 'auth', which takes secrets from the environment"
                self.add("G005", f"'{key}' is a secret and must not stand in the file", key, hint=hint)
            found[str(key)] = self.filled(value, known)
        return found

    def header(self, node: Node | None) -> str:
        """Return the name of a header."""
        text = self.text(node)
        if text is not None and not _HEADER.fullmatch(text):
            self.add("P006", f"'{text[:60]}' is no name of a header", text)
        return str(text or "")

    def statuses(self, node: Node | None) -> tuple[range, ...]:
        """Return ``429``, ``5xx``, ``500-599`` or a list of these."""
        found = []
        for text in () if node is None else self.texts(node):
            match = _STATUS.fullmatch(text)
            if match is None or (match[2] and "x" in match[1]):
                self.add("P006", f"'{text[:60]}' is no status", text, hint="write 429, 5xx or 500-504")
                continue
            low, high = match[1].replace("x", "0"), match[2] or match[1].replace("x", "9")
            found.append(range(int(low), int(high) + 1))
        return tuple(found)

    def address(self, node: Node | None) -> str:
        """Return an address that a secret may be sent to."""
        text = self.text(node)
        if text is None:
            return ""
        try:
            return check_url("the address", text)
        except ConfigError as problem:
            message = str(problem).replace("https://tapi.telstra.com/v2", "https://api.example.com/v1")
            self.add("P004", message, text)
            return ""

    def secret(self, node: Node | None) -> Secret | None:
        """Return the secret that ``{env: NAME}`` names."""
        if node is None:
            return None
        if isinstance(node, Scalar):
            hint = "write {env: NAME_OF_A_VARIABLE}, and change the secret if this was one"
            self.add("G005", "a secret must not stand in the file", node.position, hint=hint)
            return None
        keys = self.mapping(node, ("env",), "of a secret")
        self.needed(node, keys, ("env",), "of a secret")
        name = self.text(keys.get(Scalar("env")))
        if name is None:
            return None
        if not _VARIABLE.fullmatch(name):
            self.add("G004", f"'{name[:60]}' is no name of a variable", name)
            return None
        value = "" if self.environ is None else self.environ.get(name, "").strip()
        if not value and self.environ is not None:
            hint = f"export {name}=… before the start"
            self.add("P003", f"the environment variable {name} is not set", name, hint=hint)
        return Secret(str(name), value)
