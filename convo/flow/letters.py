"""What is wrong with a file letter by letter, before anyone looks for YAML in it."""

from __future__ import annotations

import re

from convo.flow.problems import Position, Problem

MAX_LINE = 10_000
"""How many characters a line may have."""

STRANGE = re.compile("[\t\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
# Spaces of other widths look like indentation and are none.
_WIDE_INDENT = re.compile(" *[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]")
_USE_SPACES = "indent with ordinary spaces: two for each level"


def not_utf8(content: bytes, start: int) -> Problem:
    """Return the problem with bytes that stop being UTF-8 at ``start``."""
    before = content[:start].removeprefix(b"\xef\xbb\xbf")
    line = before.count(b"\n") + 1
    column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
    hint = "save the file as UTF-8 in your editor"
    return Problem("Y002", "the file is not UTF-8 text from here on", Position(line, column), hint=hint)


def no_text(content: bytes) -> Problem | None:
    """Return the problem of a file that is something else than UTF-8 text from its first bytes on."""
    hint = "save the file as UTF-8 in your editor"
    # Every other byte of Latin letters is NUL there; a file that only has some is told of each.
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or content[:400].count(0) * 3 > len(content[:400]):
        return Problem("Y002", "the file is UTF-16 and not UTF-8 text", Position(1, 1), hint=hint)
    for begin, what in _DOCUMENTS.items():
        if content.startswith(begin):
            hint = "save it as plain text (UTF-8), with a name that ends in .yaml"
            return Problem("Y002", f"the file is {what} and no plain text", Position(1, 1), hint=hint)
    return None


_DOCUMENTS = {
    b"{\\rtf": "a document of a word processor (RTF)",
    b"PK\x03\x04": "a document of a word processor, or a ZIP file,",
    b"%PDF": "a PDF document",
}


def letter_problems(lines: list[str], most: int) -> tuple[list[Problem], bool]:
    """Return what is wrong letter by letter, one problem a line, and whether the rest still has its shape."""
    problems: list[Problem] = []
    shaped = True
    for number, line in enumerate(lines, 1):
        if len(problems) > most:
            return problems, False
        if len(line) > MAX_LINE:
            message = f"a line of {len(line)} characters; {MAX_LINE} is the most"
            problems.append(Problem("Y012", message, Position(number, 1), hint="use several lines"))
            shaped = False
            continue
        if line.isascii() and line.isprintable():
            continue
        wide = _WIDE_INDENT.match(line)
        strange = STRANGE.search(line)
        if wide and not (strange and strange.start() < wide.end()):
            name = f"U+{ord(line[wide.end() - 1]):04X}"
            where = Position(number, wide.end())
            problems.append(
                Problem("Y003", f"the indentation holds the space {name}", where, hint=_USE_SPACES)
            )
            shaped = False
        elif strange:
            where = Position(number, strange.start() + 1)
            indents = not line[: strange.start()].strip()
            if strange.group() == "\t":
                hint = _USE_SPACES if indents else "use a space"
                problems.append(Problem("Y004", "a tab", where, hint=hint))
            else:
                name = f"U+{ord(strange.group()):04X}"
                message = f"the invisible character {name} has no place here"
                problems.append(Problem("Y003", message, where, hint="delete it"))
            shaped = shaped and not indents
    return problems, shaped
