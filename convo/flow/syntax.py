"""Advice in plain words where a file is no YAML at all: the parser's own words help nobody.

Nothing here reads YAML; the parser says where it gave up (``Trouble``), the lines around say the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """A syntax error as the parser tells it; lines and columns count from 0.

    ``start`` is where the thing began that could not be read, ``spot`` where the parser gave up,
    ``last`` where the unquoted text before it began, ``quoted`` from where to where the quoted one went.
    """

    said: str
    start_line: int
    start_column: int
    line: int
    column: int
    last: tuple[int, int]
    lines: list[str]
    quoted: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def before(self) -> str:
        """What stands on the line in front of the spot."""
        return self.lines[self.line][: self.column]

    @property
    def letter(self) -> str:
        """The character at the spot."""
        return self.lines[self.line][self.column : self.column + 1]

    @property
    def opening(self) -> str:
        """The character at the start."""
        return self.lines[self.start_line][self.start_column : self.start_column + 1]


MAX_DEPTH = 12
TOO_DEEP = f"this is more than {MAX_DEPTH} levels deep"

Advice = tuple[str, str, int, int, int, str]
"""Code, message, line and column counted from 0, length, hint."""
BACKSLASH = "double the backslash, or use '…' quotes, where it means itself"
LOOK_AROUND = "look at the colons, quotes and indentation here and in the line above"
_OWN_LINES = "give each key a line of its own, or quote a text that holds , : { } [ or ]"
_SAME_COLUMN = "keys that belong together begin in the same column"


def advise(at: Trouble) -> Advice:
    """Return what to tell the author."""
    start, spot = (at.start_line, at.start_column), (at.line, at.column)
    quote_it = f"quote a text that begins with '{at.opening}'"
    if "mapping values" in at.said:
        return _advice_on_colon(at)
    if "simple key" in at.said:
        return _colon_missing(at.lines, at.start_line)
    if "quoted scalar" in at.said or "double-quoted" in at.said:
        if _comma_within(at):
            message = "this quote closes nothing: between brackets in one line a comma ends the value"
            return ("Y005", message, *start, 1, _OWN_LINES)
        if "end of stream" in at.said or "document" in at.said:
            hint = "close it with the same quote; inside '…' a ' is written twice"
            return ("Y005", f"the quote {at.opening} that opens here is never closed", *start, 1, hint)
        return ("Y005", 'a backslash that means nothing in "…" quotes', *start, 1, BACKSLASH)
    if "start any token" in at.said and at.letter == "%" and at.before.endswith("{"):
        hint = "quote a text that begins with '{%', or write it indented below '|'"
        return ("Y005", "a text cannot begin with '{%'", at.line, at.column - 1, 2, hint)
    if "start any token" in at.said:
        hint = f"quote a text that begins with '{at.letter}'"
        return ("Y005", f"a text cannot begin with '{at.letter}'", *spot, 1, hint)
    if "block scalar" in at.said:
        hint = quote_it + ", or write it indented on the lines below"
        return ("Y005", f"after '{at.opening}' nothing more can stand on the line", *start, 1, hint)
    if "anchor" in at.said or "alias" in at.said:
        return ("Y007", f"a text cannot begin with '{at.opening}'", *start, 1, quote_it)
    if "tag" in at.said:
        return ("Y008", f"a text cannot begin with '{at.opening}'", *start, 1, quote_it)
    if "nesting depth" in at.said:
        # libyaml gives up at 1,000 brackets, some of them in lines whose events it never handed out.
        brackets = [found.start() for found in re.finditer(r"[\[{]", at.lines[at.line])]
        column = brackets[MAX_DEPTH - 1] if len(brackets) >= MAX_DEPTH else at.column
        return ("Y011", TOO_DEEP, at.line, column, 1, "nest less")
    if "flow" in at.said or "plain scalar" in at.said:
        return _advice_on_brackets(at)
    if "entries are not allowed" in at.said:
        hint = "quote a text that begins with '- '; a list begins on the line below its key"
        return ("Y005", "a list cannot begin here", *spot, 1, hint)
    if "keys are not allowed" in at.said:
        return ("Y005", "a text cannot begin with '? '", *spot, 1, "quote a text that begins with '? '")
    if "node content" in at.said and at.letter:
        hint = f"quote a text that begins with '{at.letter}'"
        return ("Y005", f"a text cannot begin with '{at.letter}'", *spot, 1, hint)
    return _advice_on_blocks(at)


def _advice_on_colon(at: Trouble) -> Advice:
    """A ``: `` where no key can be."""
    if re.search(r":\s", at.before):
        hint = "quote a text that holds ': '"
        return ("Y005", "a second ': ' in one line", at.line, at.column, 1, hint)
    line, column = at.last
    if line < at.line and ":" not in re.sub(r":(?=\S)", "", at.lines[line][:column]):
        return _colon_missing(at.lines, line)
    indent = len(at.before) - len(at.before.lstrip())
    message = f"this line is indented as if the text of line {line + 1} went on"
    hint = "begin a key in the column of the key above; quote a text that holds ': '"
    return ("Y005", message, at.line, indent, max(1, at.column - indent), hint)


def _colon_missing(lines: list[str], line: int) -> Advice:
    text = lines[line]
    column = len(text) - len(text.lstrip(" "))
    hint = "write 'key: value'; the next line of a text is indented further than its key"
    if re.search(r":[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]", text):
        hint = "the space after the colon is a special one: type an ordinary space"
    elif re.match(r"[^:]*:\S", text):
        hint = "put a space after the colon"
    return ("Y005", "a key without its colon", line, column, len(text.strip()), hint)


def _comma_within(at: Trouble) -> bool:
    """Say whether the quote at the start ends a text whose comma has ended the value before it."""
    front = at.lines[at.start_line][: at.start_column]
    opens = max(front.rfind("{"), front.rfind("["))
    return opens >= 0 and front.count(at.opening, opens) % 2 == 1 and "," in front[front.rfind(at.opening) :]


def _advice_on_brackets(at: Trouble) -> Advice:
    """Something went wrong between brackets."""
    if at.letter == "{" and at.before.endswith("$"):
        message = "'${…}' cannot stand unquoted between brackets in one line"
        hint = "give the key a line of its own, or quote the text"
        return ("Y005", message, at.line, at.column - 1, 2, hint)
    if at.line > at.start_line and at.opening in ("{", "["):
        message = f"the '{at.opening}' that opens here is not closed where it should be"
        return ("Y005", message, at.start_line, at.start_column, 1, _OWN_LINES)
    return ("Y005", "this cannot be read between brackets in one line", at.line, at.column, 1, _OWN_LINES)


def _advice_on_blocks(at: Trouble) -> Advice:
    """A line, or the rest of one, that does not fit what is above."""
    spot = (at.line, at.column)
    front = at.before.rstrip()
    if front.endswith(("'", '"')):
        line, column, end_line, end_column = at.quoted
        if line < end_line == at.line and end_column == len(front):
            message = f"the quote {front[-1]} that opens here is closed only in line {end_line + 1}"
            hint = "close it where the text ends"
            return ("Y005", message, line, column, max(1, len(at.lines[line].rstrip()) - column), hint)
        hint = "put the whole text in one pair of quotes; inside '…' a ' is written twice"
        return ("Y005", "the text goes on after its closing quote", *spot, 1, hint)
    if front.endswith(("}", "]")):
        hint = "quote a text that begins with '{' or '['"
        return ("Y005", "something follows the closing bracket", *spot, 1, hint)
    above = line_above(at.lines, at.line)
    rest = at.lines[at.line][at.column :]
    if front:
        return ("Y005", "this cannot be read as YAML", *spot, 1, LOOK_AROUND)
    if rest.startswith(":"):
        return ("Y005", "a colon without a key in front of it", *spot, 1, "write 'key: value'")
    if "block collection" in at.said:
        hint = "each line of a list begins with '- ' in the same column"
        return ("Y005", "a list ends here, but its place was not left", *spot, max(1, len(rest)), hint)
    if not re.search(r":(\s|$)", rest) and at.lines[above].lstrip().startswith("#"):
        hint = "put the comment above the key"
        return ("Y005", "a text cannot go on below a comment", *spot, max(1, len(rest)), hint)
    message = "this line begins in a column where nothing above it begins"
    return ("Y005", message, *spot, max(1, len(rest.rstrip())), _SAME_COLUMN)


def line_above(lines: list[str], line: int) -> int:
    """Return the closest line above that is not blank, counted from 0."""
    return next((each for each in range(line - 1, -1, -1) if lines[each].strip()), line)
