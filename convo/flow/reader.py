"""The only door to YAML: a file becomes a tree of texts that know where they stood.

It reads PyYAML's parse *events*, so that every scalar stays the text that was typed (``NO``,
``+61400000000``, ``12:30``) with its line, column and quoting. What makes YAML surprising is refused
in plain words (``CODES``). A syntax error ends the reading, and so does nesting too deep; all other
problems of a file are reported at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from convo.flow.letters import STRANGE, letter_problems, no_text, not_utf8
from convo.flow.nodes import Document, ListNode, MapNode, Node, Scalar
from convo.flow.problems import FlowError, Position, Problem
from convo.flow.syntax import BACKSLASH, LOOK_AROUND, MAX_DEPTH, TOO_DEEP, Trouble, advise, line_above

MAX_BYTES = 128_000
"""Some 2,000 questions: what is read and understood within a second, also without libyaml."""
MAX_TEXT = 2_000
NO_VALUE = "write a value, or delete the key; what belongs to it stands below it, two spaces further in"
MAX_NODES = 30_000
MAX_PROBLEMS = 100

_TOP = Position(1, 1)

CODES: Mapping[str, str] = MappingProxyType(
    {
        "Y001": "the file cannot be read",
        "Y002": "the file is not UTF-8 text",
        "Y003": "a character that has no place in a flow",
        "Y004": "a tab",
        "Y005": "YAML that cannot be understood",
        "Y006": "the same key twice",
        "Y007": "an anchor, alias or merge key",
        "Y008": "a tag",
        "Y009": "a second document, or a directive",
        "Y010": "an empty value",
        "Y011": "too deep",
        "Y012": "too long",
        "Y013": "a comment after an unquoted text",
        "Y014": "a key that is no text",
        "Y015": "the file is empty, or no mapping of keys",
        "Y016": "more problems than are listed",
    }
)
"""What each code means. A code keeps its meaning for ever; a new kind of problem gets a new number."""


def read_file(path: Path, *, strict: bool = True) -> Document:
    """Return the file's content.

    Raises:
        FlowError: it cannot be read, or has problems; if not ``strict``, only where they leave no tree to
            look at further.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as problem:
        why = (getattr(problem, "strerror", None) or "it cannot be opened").lower()
        if isinstance(problem, FileNotFoundError):
            why = "there is no such file"
        elif isinstance(problem, IsADirectoryError):
            why = "this is a folder, not a file"
        raise FlowError([Problem("Y001", why, _TOP, path=str(path))]) from problem
    return read_text(content, str(path), strict=strict)


def read_text(text: str | bytes, path: str = "", *, pure: bool = False, strict: bool = True) -> Document:
    """Return the content of a file given as text; ``pure`` keeps to the parser written in Python.

    Raises:
        FlowError: with every problem, located; as from ``read_file``.
    """
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(content) > MAX_BYTES:
        hint = "split it into several flows"
        raise FlowError(
            [Problem("Y012", f"the file is longer than {MAX_BYTES // 1000} KB", _TOP, hint=hint, path=path)]
        )
    if foreign := no_text(content):
        raise FlowError([foreign.located(path, [])])
    try:
        decoded = content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise FlowError([not_utf8(content, wrong.start).located(path, [])]) from wrong
    decoded = decoded.replace("\r\n", "\n").replace("\r", "\n")
    lines = decoded.split("\n")
    problems, fit_to_parse = letter_problems(lines, MAX_PROBLEMS)
    if fit_to_parse:
        reading = _Reading(STRANGE.sub(" ", decoded) if problems else decoded, lines, pure)
        root = reading.root()
        problems += reading.problems
        usable = reading.whole and not strict and len(problems) <= MAX_PROBLEMS
        if root is not None and (usable or not problems):
            version = hashlib.sha256(content).hexdigest()[:16]
            told = tuple(problem.located(path, lines) for problem in problems)
            return Document(root, path, lines, version, told, frozenset(reading.cut), tuple(reading.dropped))
    if len(problems) > MAX_PROBLEMS:
        problems.sort(key=lambda each: (each.position.line, each.position.column))
        del problems[MAX_PROBLEMS:]
        more = f"there may be more: only the first {MAX_PROBLEMS} problems are listed"
        problems.append(Problem("Y016", more, Position(len(lines), 1)))
    raise FlowError(problem.located(path, lines) for problem in problems)


class _Enough(Exception):
    """Ends the reading of a file from which nothing more can be learned."""


class _Reading:
    """One pass over the parser's events, gathering problems."""

    def __init__(self, text: str, lines: list[str], pure: bool) -> None:
        self.count = len(lines)
        self.nodes = 0
        # libyaml's marks may lie below the last line.
        self.lines = [*lines, "", ""]
        self.problems: list[Problem] = []
        # Whether nothing is missing from the tree: else what is not there cannot be told from what is wrong.
        self.whole = True
        self.cut: set[Position] = set()
        self.dropped: list[Node] = []
        # The plain text read last: what a syntax error is often about.
        self.last: tuple[int, int] = (0, 0)
        self.quoted: tuple[int, int, int, int] = (0, 0, 0, 0)
        loader: Any = yaml.SafeLoader if pure else getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self.events: Iterator[Any] = yaml.parse(text, Loader=loader)

    def root(self) -> MapNode | None:
        """Return the tree, or None where ``problems`` says what is wrong."""
        found: Node | None = None
        try:
            self.directives()
            for event in self.events:
                if isinstance(event, yaml.DocumentStartEvent) and found is not None:
                    self.second_document(event)
                if isinstance(event, yaml.NodeEvent):
                    found = self.node(event, 1, ())
        except yaml.MarkedYAMLError as wrong:
            self.whole = False
            self.syntax(wrong)
        except (yaml.YAMLError, ValueError, OverflowError):
            self.whole = False
            # The Python parser stumbles over impossible \U escapes instead of reporting them.
            line = next((at for at, text in enumerate(self.lines) if re.search(r"\\U(?!000|0010)", text)), 0)
            self.report("Y005", "this cannot be read as YAML", line, 0, 1, BACKSLASH)
        except _Enough:
            self.whole = False
        if isinstance(found, MapNode):
            return found
        if not self.problems:
            hint = "begin with a line such as 'flow: name'"
            what = (
                "the file is empty" if found is None else "the file does not begin with a key and its value"
            )
            where = _TOP if found is None else found.position
            self.problems.append(Problem("Y015", what, where, hint=hint))
        return None

    def directives(self) -> None:
        """Refuse ``%`` lines before the first key."""
        for number, line in enumerate(self.lines):
            if line.startswith("%"):
                message = f"a '%' line is a YAML directive: {_short(line)}"
                self.report("Y009", message, number, 0, len(line), "delete the line")
                raise _Enough
            if line.strip() and not line.lstrip().startswith("#"):
                return

    def second_document(self, event: Any) -> None:
        """Refuse what comes after the first document, and stop."""
        message = "a second document begins here; a file holds one"
        self.report("Y009", message, event.start_mark.line, 0, 3, "use another file for it")
        raise _Enough

    def node(self, event: Any, depth: int, path: tuple[str, ...]) -> Node:
        """Return the node that begins with this event."""
        line, column = event.start_mark.line, event.start_mark.column
        where = Position(line + 1, column + 1)
        if isinstance(event, yaml.AliasEvent):
            message = f"'*{_short(event.anchor or '')}' is a YAML alias"
            self.report("Y007", message, line, column, event, "quote a text that begins with '*'")
            return Scalar("", where, quoted=True)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.report("Y012", f"more than {MAX_NODES} keys and values", line, column, 1, "split the file")
            raise _Enough
        marked = self.marks(event, line, column)
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, where, marked)
        if depth > MAX_DEPTH:
            self.report("Y011", TOO_DEEP, line, column, 1, "nest less")
            raise _Enough
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(event, where, depth, path)
        items = ListNode()
        items.position = where
        for each in self.events:
            if isinstance(each, yaml.SequenceEndEvent):
                break
            item = self.node(each, depth + 1, path)
            if _is_empty(item):
                self.empty("an empty item in a list", each.start_mark.line, each.start_mark.column, each, "")
            items.append(item)
        return items

    def marks(self, event: Any, line: int, column: int) -> bool:
        """Refuse an anchor or a tag in front of a node; say whether there was one."""
        if event.anchor is not None:
            message = f"'&{_short(event.anchor)}' is a YAML anchor"
            self.report("Y007", message, line, column, event, "quote a text that begins with '&'")
        # Some libyaml versions swallow a lone '!': the source still shows it.
        if event.tag is not None or self.lines[line][column : column + 1] == "!":
            self.report(
                "Y008", "'!' makes a YAML tag here", line, column, event, "quote a text that begins with '!'"
            )
            return True
        return event.anchor is not None

    def mapping(self, start: Any, where: Position, depth: int, path: tuple[str, ...]) -> MapNode:
        """Return the mapping whose start event was read."""
        found, before_it = MapNode(), len(self.problems)
        found.position = where
        first_lines: dict[str, int] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line, column = event.start_mark.line, event.start_mark.column
            key = self.node(event, depth + 1, path)
            before = self.lines[line][:column].rstrip()
            if not isinstance(key, Scalar) or _is_empty(key) or before.endswith("?"):
                hint = "write 'key: value'; quote a text that begins with '?'"
                if isinstance(key, ListNode) and all(isinstance(each, Scalar) for each in key):
                    words = _short(", ".join(map(str, key)))
                    hint = f"several words stand with commas and without brackets: {words}:"
                self.whole = False
                self.report("Y014", "a key has to be a text in front of a ':'", line, column, 1, hint)
            if isinstance(key, Scalar) and key == "<<" and not key.quoted:
                self.whole = False
                self.report("Y007", "'<<' merges another mapping", line, column, 2, "write its keys out here")
            value = self.node(next(self.events), depth + 1, (*path, str(key)[:MAX_TEXT]))
            if not isinstance(key, Scalar):
                continue
            if start.flow_style and self.one_line_key(event):
                pass
            elif _is_empty(value) and path[:1] != ("data",):
                hint = ""
                if start.flow_style and found:
                    hint = "if a comma is part of a text, quote the text or give each key a line of its own"
                elif start.flow_style:
                    hint = "write 'key: value', or quote a text that begins with '{'"
                self.empty(f"'{_short(key)}' has no value", line, column, event, hint)
            if key in first_lines:
                message = (
                    f"'{_short(key)}' stands here, in line {line + 1}, and already in line {first_lines[key]}"
                )
                self.report("Y006", message, line, column, event, "keep one of them, or put them together")
                self.dropped.append(value)
            else:
                first_lines[key] = line + 1
                found[key] = value
        if len(self.problems) > before_it:
            self.cut.add(where)
        return found

    def one_line_key(self, event: Any) -> bool:
        """Refuse ``{a:}``, which the two parsers read differently; say whether it was so."""
        end = event.end_mark
        plain = isinstance(event, yaml.ScalarEvent) and not event.style
        glued = plain and re.match(r" *:[^ ]", self.lines[end.line][end.column :])
        if glued:
            hint = "put a space after the colon, or quote the text"
            self.report("Y005", "a ':' without a space after it", end.line, end.column, 1, hint)
        return bool(glued)

    def empty(self, message: str, line: int, column: int, event: Any, hint: str) -> None:
        """Report a value that is missing."""
        if re.search(r"(^|\s)#", self.lines[line][column:]):
            hint = "what follows '#' is a comment: quote a text that begins with '#'"
        self.report("Y010", message, line, column, event, hint or NO_VALUE)

    def scalar(self, event: Any, where: Position, marked: bool) -> Scalar:
        """Return the text of a scalar event."""
        text, line = str(event.value), event.start_mark.line
        column, end = event.start_mark.column, event.end_mark
        block, quoted = event.style in ("|", ">"), event.style in ("'", '"', "|", ">")
        length = end.column - column if end.line == line else len(self.lines[line].rstrip()) - column
        if len(text) > MAX_TEXT:
            message = f"a text of {len(text)} characters; {MAX_TEXT} is the most"
            self.report("Y012", message, line, column, length, "make several shorter texts of it")
        strange = STRANGE.search(text)
        if strange:
            name = f"U+{ord(strange.group()):04X}"
            code = "Y004" if strange.group() == "\t" else "Y003"
            self.report(
                code, f"an escape stands for the character {name}", line, column, length, "leave it out"
            )
        if block and not re.fullmatch(r"[|>][-+1-9]*( .*)?", self.lines[line][column:]) and not marked:
            # libyaml takes '|#' for a block with a comment, the Python parser does not.
            hint = f"quote a text that begins with '{event.style}'"
            message = f"after '{event.style}' nothing more can stand on the line"
            self.report("Y005", message, line, column, 1, hint)
        elif block and not text.strip():
            self.report(
                "Y010", f"no text below '{event.style}'", line, column, 1, "indent the text below its key"
            )
        if event.style in ("'", '"'):
            self.quoted = (line, column, end.line, end.column)
        if not quoted and text:
            self.last = (line, column)
            self.comment(end.line, end.column)
        return Scalar(text, where, quoted=quoted or marked, block=block, length=length)

    def comment(self, line: int, column: int) -> None:
        """Report a comment behind an unquoted text: it may be part of what was meant to be said."""
        match = re.match(r" +(#.*)", self.lines[line][column:])
        if match:
            hint = "quote the text if the '#' belongs to it; else put the comment on a line of its own"
            message = "what follows '#' is a comment and no part of the text"
            self.report("Y013", message, line, column + match.start(1), len(match.group(1)), hint)

    def report(self, code: str, message: str, line: int, column: int, length: Any, hint: str) -> None:
        """Note a problem; ``line`` and ``column`` count from 0, ``length`` may be the event to underline."""
        if not isinstance(length, int):
            start, end = length.start_mark, length.end_mark
            length = end.column - start.column if start.line == end.line else 1
        where = Position(min(line + 1, self.count), column + 1)
        self.problems.append(Problem(code, message, where, max(1, length), hint=hint))
        if len(self.problems) > MAX_PROBLEMS:
            raise _Enough

    def syntax(self, wrong: yaml.MarkedYAMLError) -> None:
        """Note a syntax error in our own words."""
        said = f"{wrong.context or ''} {wrong.problem or ''}"
        spot = wrong.problem_mark or wrong.context_mark
        start = wrong.context_mark or spot
        if spot is None or start is None:
            self.report("Y005", "this cannot be read as YAML", 0, 0, 1, LOOK_AROUND)
            return
        trouble = Trouble(
            said, start.line, start.column, spot.line, spot.column, self.last, self.lines, self.quoted
        )
        last_line = line_above(self.lines, spot.line)
        if any(each.code == "Y013" and each.position.line == last_line + 1 for each in self.problems):
            return  # The text went on below its comment: one mistake, told already.
        ends = ("---", "...")
        below = any(each.startswith(ends) for each in self.lines[: spot.line])
        if self.lines[spot.line].startswith(ends) or ("document" in said and below):
            message = "a second document begins here; a file holds one"
            self.report("Y009", message, spot.line, spot.column, 1, "use another file for it")
        else:
            self.report(*advise(trouble))


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and not node and not node.quoted


def _short(text: str, most: int = 40) -> str:
    """Return the start of a text, for use in a message."""
    text = " ".join(text[: most * 2].split())
    return text if len(text) <= most else text[: most - 1] + "…"


__all__ = ["CODES", "Document", "ListNode", "MapNode", "Node", "Scalar", "read_file", "read_text"]
