"""What may stand in ``${ }``, ``{% %}`` and expressions, judged token by token before anything is parsed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from convo.flow.problems import FlowError, Position, Problem, Severity
from convo.flow.values import parse_duration

if TYPE_CHECKING:
    from convo.flow.reader import Scalar

CODES: Mapping[str, str] = MappingProxyType(
    {
        "T001": "a text or an expression that cannot be read",
        "T002": "a text or an expression with too many parts",
        "T003": "a text or an expression that is nested too deep",
        "T004": "two braces, as other template languages write them",
        "T005": "a sign that clings to a delimiter",
        "T006": "something that this language does not have",
        "T007": "a filter that does not exist",
        "T008": "a filter on the wrong type, or with wrong arguments",
        "T009": "a test that does not exist",
        "T010": "a name that nothing sets",
        "T011": "types that do not go together",
        "T012": "a condition that is neither yes nor no",
        "T013": "a number, duration, time or name that is not written like one",
        "T014": "a name that is sent as it stands, because its ${ } is missing",
        "T015": "two values of different types where one is taken",
    }
)
"""What can be wrong in a text or an expression: a code keeps its meaning for ever."""

MOST_TOKENS = 100
"""So many tokens may stand in the delimiters of one text, or in one expression."""

DEEPEST = 20
"""So deep may parentheses, signs and ``{% if %}`` be nested."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A token: where it begins, its kind in Jinja2's words, and the constant that it stands for."""

    offset: int
    kind: str
    text: str
    value: str | int | Decimal | timedelta | None = None


def problem_at(
    code: str,
    message: str,
    source: Scalar,
    offset: int = 0,
    length: int = 1,
    *,
    hint: str = "",
    expected: Sequence[str] = (),
    severity: Severity = Severity.ERROR,
) -> Problem:
    """Return a problem with what stands at ``offset`` of a text, or else with the whole text.

    A spot is known where the text stands in the file letter by letter: on one line, without escapes.
    """
    position = source.position
    if not source.block and source.length == len(source) + 2 * source.quoted:
        column = min(offset, max(0, len(source) - 1)) + source.quoted
        position = Position(position.line, position.column + column)
    else:
        length = source.length
    return Problem(
        code, message, position, max(1, length), severity=severity, hint=hint, expected=tuple(expected)
    )


def checked_pieces(
    source: Scalar, raw: Sequence[tuple[str, str]], complaint: str, *, expression: bool
) -> list[Piece]:
    """Return the tokens of a text without its spaces; a FlowError where one is refused.

    ``raw`` are the kind and text of each token in order, ``complaint`` what the lexer said at their end.
    """
    pieces, offset = [], 0
    for kind, text in raw:
        pieces.append(Piece(offset, kind, text))
        offset += len(text)
    for piece in pieces:
        _refuse_delimiter(source, piece, expression=expression)
    if complaint:
        _refuse_letter(source, offset, complaint)
    pieces = list(_literals(source, _lone_lines(pieces)))
    _refuse_size(source, pieces)
    _refuse_shape(source, pieces, expression=expression)
    return pieces


_LOOKS_LIKE_A_NAME = re.compile(r"\{\s*(\w+)\s*\}|\$(\w+)|\$[(\[]\s*(\w+)\s*[)\]]|<(\w+)>|\[(\w+)\]|%(\w+)%")


def forgotten(source: Scalar, pieces: Sequence[Piece], known: Mapping[str, object]) -> Iterator[Problem]:
    """Yield a warning for each ``{name}``, ``$name`` and the like of a known name outside ``${ }``."""
    for piece in pieces:
        if piece.kind != "data":
            continue
        for found in re.finditer(_LOOKS_LIKE_A_NAME, piece.text):
            name = found[found.lastindex or 0]
            if name in known:
                yield problem_at(
                    "T014",
                    f"'{found[0]}' is sent as it stands",
                    source,
                    piece.offset + found.start(),
                    len(found[0]),
                    hint=f"write ${{{name}}} to send what '{name}' holds",
                    # "Send JOIN <name>" may well be meant as it stands.
                    severity=Severity.ADVICE if found[0][0] in "<[" else Severity.WARNING,
                )


def unreadable(source: Scalar, offset: int, length: int, complaint: str) -> Problem:
    """Return the problem for what Jinja2's parser says about a token, in the words of this language."""
    word = str(source)[offset : offset + length]
    if "unknown tag" in complaint or ("tags" in complaint and word in _TAGS):
        return problem_at("T001", f"this '{word}' belongs to no {{% if %}}", source, offset, length)
    if "tags" in complaint:
        message, hint = "an {% if %} is not closed", "write {% endif %} where it ends"
        return problem_at("T001", message, source, offset, length, hint=hint)
    for jinja, plain in _PLAIN_WORDS.items():
        complaint = complaint.replace(jinja, plain)
    complaint = complaint.replace("'end of the text'", "end of the text").rstrip(".")
    signs = _signs(str(source), offset, word)
    message = (
        f"this cannot be read: '{signs}' is not expected here"
        if signs in _SIGNS
        else f"this cannot be read: {complaint}"
    )
    hint = "a name or a value belongs here" if complaint.startswith("unexpected ") else ""
    return problem_at(
        "T001", message, source, offset, length, hint=_instead(str(source), offset, word) or hint
    )


def _signs(text: str, offset: int, word: str) -> str:
    """Return a sign with those that cling to it."""
    before = re.search(r"[=<>|!]*$", text[:offset])
    after = text[offset + 1 : offset + 2]
    return (before[0] if before else "") + word + (after if word == "=" and after in ("<", ">") else "")


def _instead(text: str, offset: int, word: str) -> str:
    """Return what to write instead of what an expression goes wrong at, or nothing."""
    if (signs := _signs(text, offset, word)) in _SIGNS:
        return f"write {_SIGNS[signs]}"
    if word == "=":
        return "to compare write '=='"
    if word in _WORDS:
        return _WORDS[word]
    if (
        re.search(r"\b(is|more|less|greater|smaller|bigger|equal|than)\b", text[:offset])
        or word in _COMPARING
    ):
        return "compare with < <= > >= == or !="
    if re.fullmatch(r"[^\W\d]\w*(\s+[^\W\d]\w*)+[.!?]?", text):
        return f"a text stands in quotes: '{text}'"
    if re.search(r"[^\W\d]\w*\s+$", text[:offset]) and word.isidentifier():
        return "a name has no spaces: write _ instead, and a text in quotes"
    return ""


def _refuse(
    code: str, message: str, source: Scalar, piece: Piece, hint: str = "", expected: Sequence[str] = ()
) -> FlowError:
    length = len(piece.text.rstrip())
    return FlowError([problem_at(code, message, source, piece.offset, length, hint=hint, expected=expected)])


def _refuse_delimiter(source: Scalar, piece: Piece, *, expression: bool) -> None:
    if piece.kind == "data" and "{{" in piece.text:
        spot = Piece(piece.offset + piece.text.index("{{"), "data", "{{")
        raise _refuse("T004", "'{{' does not begin anything here", source, spot, "write ${name}")
    if piece.kind == "raw_begin":
        raise _refuse("T006", "only {% if %} can stand between {% and %}", source, piece)
    if expression and piece.kind in ("variable_end", "block_end"):
        raise _refuse("T001", "this '}' closes nothing", source, piece)
    plain = _DELIMITERS.get(piece.kind)
    if plain is not None and piece.text != plain:
        sign = piece.text.strip().replace(plain, "")
        message = f"the '{sign}' clings to the '{plain}'"
        hint = f"put a space between '{sign}' and '{plain}'"
        raise _refuse("T005", message, source, piece, hint)


def _refuse_letter(source: Scalar, offset: int, complaint: str) -> None:
    letter = source[offset : offset + 1]
    if letter in ("'", '"') and letter:
        message, hint = "this quote is not closed", "write a quote on both sides"
    elif letter:
        message, hint = f"'{letter}' cannot stand here", _INSTEAD.get(letter, "")
    else:
        message, hint = complaint, ""
    raise FlowError([problem_at("T001", message, source, offset, hint=hint)])


def _lone_lines(pieces: list[Piece]) -> list[Piece]:
    """Let a ``{% %}`` that has a line to itself take that line away with it."""
    begins = [index for index, piece in enumerate(pieces) if piece.kind == "block_begin"]
    ends = [index for index, piece in enumerate(pieces) if piece.kind == "block_end"]
    result = list(pieces)
    for begin, end in zip(begins, ends, strict=False):
        before = pieces[begin - 1].text if begin else "\n"
        after = pieces[end + 1].text if end + 1 < len(pieces) else "\n"
        head, tail = re.search(r"(?:\A|\n)[ \t]*\Z", before), re.match(r"[ \t]*\n", after)
        starts_line = head is not None and ("\n" in head[0] or begin <= 1)
        if not starts_line or tail is None or (begin and pieces[begin - 1].kind != "data"):
            continue
        if end + 1 < len(pieces) and pieces[end + 1].kind != "data":
            continue
        if begin:
            result[begin - 1] = replace(result[begin - 1], text=result[begin - 1].text.rstrip(" \t"))
        if end + 1 < len(pieces):
            result[end + 1] = Piece(pieces[end + 1].offset + tail.end(), "data", after[tail.end() :])
    return result


def _literals(source: Scalar, pieces: list[Piece]) -> Iterator[Piece]:
    """Yield the tokens but spaces, with constants worked out: numbers, durations, texts, yes and no."""
    glued: Piece | None = None
    last = ""
    for piece, following in pairwise([*pieces, Piece(len(source), "end", "")]):
        if piece is glued:
            continue
        if piece.kind in ("integer", "float"):
            glued = following if following.kind in ("name", "integer", "float") else None
            yield _number(source, piece, glued)
        elif piece.kind == "string":
            text = re.sub(r"\\([n\\'\"])", lambda found: found[1].replace("n", "\n"), piece.text[1:-1])
            yield replace(piece, value=text)
        elif piece.kind == "name":
            _refuse_name(source, piece)
            constant = piece.text in _CONSTANTS and last not in ("|", ".", "is", "is not")
            yield replace(piece, text=_CONSTANTS[piece.text]) if constant else piece
        elif piece.kind == "data":
            if piece.text:
                yield piece
        elif piece.kind != "whitespace":
            yield piece
        if piece.kind != "whitespace":
            last = "is not" if (last, piece.text) == ("is", "not") else piece.text


def _number(source: Scalar, piece: Piece, glued: Piece | None) -> Piece:
    if glued is not None:
        text = piece.text + glued.text
        duration = parse_duration(text)
        if duration is None:
            whole = replace(piece, text=text)
            message = f"'{text}' is neither a number nor a duration"
            raise _refuse("T013", message, source, whole, "durations look like 90s, 10m, 24h, 3d or 2w")
        return replace(piece, text=text, value=duration)
    if not re.fullmatch(r"[0-9]{1,30}(\.[0-9]{1,20})?", piece.text):
        message = f"'{piece.text}' is not written like a number"
        hint = "digits, a point for decimals, at most 30 digits before and 20 after it"
        raise _refuse("T013", message, source, piece, hint)
    return replace(piece, value=int(piece.text) if piece.kind == "integer" else Decimal(piece.text))


def _refuse_name(source: Scalar, piece: Piece) -> None:
    name = piece.text
    if not name.isidentifier() or unicodedata.normalize("NFKC", name) != name or name == "self":
        hint = "a letter first, then letters, digits or _" if name != "self" else "choose another word"
        raise _refuse("T013", f"'{name}' cannot be a name", source, piece, hint)


def _refuse_size(source: Scalar, pieces: Sequence[Piece]) -> None:
    tokens = [piece for piece in pieces if piece.kind != "data"]
    if len(tokens) > MOST_TOKENS:
        message = f"this has {len(tokens)} parts, and at most {MOST_TOKENS} are read"
        raise _refuse("T002", message, source, tokens[MOST_TOKENS], "work out a part of it in 'set' before")
    depth = chain = blocks = 0
    last = ""
    for piece in tokens:
        if piece.kind == "operator":
            depth += (piece.text in ("(", "[", "{")) - (piece.text in (")", "]", "}"))
        before = last
        last = piece.text
        if before == "{%" and piece.kind == "name":
            blocks += (piece.text == "if") - (piece.text == "endif")
        # Signs and 'not' nest without parentheses when they follow each other, so does 'else'.
        prefix = piece.text in ("not", "-", "+") and before not in (")", "]")
        chain = chain + 1 if prefix and (before in ("not", "-", "+", "(", "")) else int(prefix)
        if max(depth + blocks, chain) > DEEPEST:
            message = f"this is nested more than {DEEPEST} deep"
            raise _refuse("T003", message, source, piece, "work out a part of it in 'set' before")


def _refuse_shape(source: Scalar, pieces: Sequence[Piece], *, expression: bool) -> None:
    if expression:
        if not pieces:
            raise FlowError([problem_at("T001", "an expression is missing", source)])
        return
    opened: Piece | None = None
    for piece, following in pairwise([*pieces, Piece(len(source), "end", "")]):
        if piece.kind in ("variable_begin", "block_begin"):
            opened = piece
            if following.kind in ("variable_end", "block_end"):
                message = f"nothing stands between '{piece.text}' and '{following.text}'"
                raise _refuse("T001", message, source, piece)
        elif piece.kind in ("variable_end", "block_end"):
            opened = None
        if piece.kind == "block_begin" and following.kind != "end" and following.text not in _TAGS:
            message = f"there is no {{% {following.text} %}}, only {{% if %}}"
            raise _refuse("T006", message, source, following, expected=_TAGS)
    if opened is not None:
        hint = "end it with }; to send it as it stands, write ${'${'}" if opened.text == "${" else ""
        raise _refuse("T001", f"this '{opened.text}' is not closed", source, opened, hint)


_DELIMITERS = {"variable_begin": "${", "variable_end": "}", "block_begin": "{%", "block_end": "%}"}
_TAGS = ("if", "elif", "else", "endif")
_CONSTANTS = {"yes": "true", "no": "false"}
_INSTEAD = {
    "$": "names in expressions are written without ${ }",
    "!": "write 'not', or '!=' between two values",
    "&": "write 'and'",
    "?": "write 'a if condition else b'",
    "\\": "a backslash belongs into quotes",
    "\u2264": "write '<='",
    "\u2265": "write '>='",
    "\u2260": "write '!='",
    "\u00d7": "write '*'",
    "\u00f7": "write '/'",
    **dict.fromkeys("\u2012\u2013\u2014\u2212", "write '-'"),
    **dict.fromkeys("\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb", "type straight quotes: ' or \""),
}
_SIGNS = {
    "=>": "'>='",
    "=<": "'<='",
    "<>": "'!='",
    "||": "'or'",
    "===": "'=='",
    "!==": "'!='",
}
_WORDS = {
    "open": "write 'is open'",
    "set": "write 'is set'",
    "contains": "a text is compared as a whole; to look into one, write a trigger 'pattern …'",
    "between": "write it as two: low <= name and name <= high",
    "equals": "write '=='",
}
_COMPARING = (
    "more",
    "less",
    "greater",
    "smaller",
    "bigger",
    "equal",
    "than",
    "over",
    "under",
    "above",
    "below",
)
_PLAIN_WORDS = {
    "end of print statement": "}",
    "end of statement block": "%}",
    "begin of statement block": "{%",
    "end of template": "end of the text",
    "expected token": "expected",
}
