"""What a text is compared with: the words and kinds that authors write under ``triggers``."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from convo.flow.codes import problem
from convo.flow.patterns import Pattern, compile_pattern
from convo.flow.problems import FlowError, Position, Problem, Severity
from convo.flow.reader import Scalar


class MatcherKind(StrEnum):
    """What a matcher looks at: one word or phrase, or texts of a kind."""

    WORD = "word"
    ELSE = "else"
    TEXT = "text"
    NUMBER = "number"
    PATTERN = "pattern"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One thing that a trigger matches.

    ``word`` is the folded word or phrase ("" for kinds), ``label`` what the author wrote. ``low`` and
    ``high`` bound a number, both included.
    """

    kind: MatcherKind
    word: str
    label: str
    position: Position
    low: int | None = None
    high: int | None = None
    pattern: Pattern | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes it the same as another one."""
        return (self.kind, self.word, self.low, self.high, self.pattern.source if self.pattern else "")


@lru_cache(maxsize=16)
def fold(text: str) -> str:
    """Return ``text`` as it is compared: what people mean as the same word folds to the same text.

    NFKC, invisible characters dropped, case folded, curly quotes straightened, digits of any script
    to 0-9, spaces collapsed, outer punctuation stripped unless nothing would remain. Folding a folded
    text changes nothing.
    """
    if text.isascii():
        return _stripped(" ".join(text.translate(_ASCII_INVISIBLE).lower().split()))
    folded = _folded(text)
    # Taking something away can bring letters together that compose: so until nothing changes.
    for _ in range(8):
        again = _folded(folded)
        if again == folded:
            break
        folded = again
    return folded


def matches(matcher: Matcher, text: str) -> bool:
    """Return whether what a sender wrote is what the matcher looks for."""
    if matcher.kind is MatcherKind.WORD:
        return fold(text) == matcher.word
    if matcher.kind is MatcherKind.NUMBER:
        number = whole_number(text)
        if number is None:
            return False
        return (matcher.low is None or matcher.low <= number) and (
            matcher.high is None or number <= matcher.high
        )
    if matcher.kind is MatcherKind.TEXT:
        return bool(text.strip())
    if matcher.pattern is not None:
        return matcher.pattern.matches(text.strip())
    return True


def value_of(matcher: Matcher, text: str) -> str | int:
    """Return what ``value`` is where the matcher took a text."""
    number = whole_number(text) if matcher.kind is MatcherKind.NUMBER else None
    return text.strip() if number is None else number


def whole_number(text: str) -> int | None:
    """Return the whole number that the text is, of at most 15 digits in any script; else None."""
    plain = "".join(_character(letter) for letter in unicodedata.normalize("NFKC", text)).strip()
    return int(plain) if re.fullmatch(r"[+-]?[0-9]{1,15}", plain) else None


def parse_words(key: Scalar) -> tuple[Matcher, ...]:
    """Return what words mean: a comma list of words, or exactly one kind.

    Raises:
        FlowError: the words cannot be read; its problems do not name the file yet.
    """
    if shape := re.match(r"\s*pattern\s+(.*\S)", key, re.DOTALL):
        pattern = compile_pattern(shape[1], key)
        return (Matcher(MatcherKind.PATTERN, "", " ".join(key.split()), key.position, pattern=pattern),)
    pieces = _pieces(key)
    if len(pieces) == 1 and (kind := _kind(pieces[0], key)) is not None:
        return (kind,)
    problems: list[Problem] = []
    found: list[Matcher] = []
    for piece in pieces:
        word = fold(piece.text)
        if not word:
            hint = "take out the comma that is too many" if len(pieces) > 1 else ""
            problems.append(problem("F010", "an empty word", piece.position, hint=hint))
        elif not piece.literal and piece.text in KINDS:
            message = f"'{piece.text}' stands for a kind of text and cannot be one of several words"
            hint = f"give it a line of its own; for the word itself write '\"{piece.text}\"'"
            problems.append(problem("F010", message, piece.position, hint=hint))
        else:
            found.append(Matcher(MatcherKind.WORD, word, piece.text, piece.position))
    if problems:
        raise FlowError(problems)
    return tuple(found)


def parse_trigger(key: Scalar) -> tuple[Matcher, ...]:
    """Return what a key of ``triggers`` matches; words that look like a keyword with a value are refused.

    Raises:
        FlowError: as ``parse_words`` does.
    """
    found = parse_words(key)
    for matcher in found:
        shape = re.fullmatch(r"(.*[A-Z].*) (number|text)", matcher.label)
        if matcher.kind is MatcherKind.WORD and shape is not None and f'"{matcher.label}"' not in key:
            message = f"'{matcher.label}' would match just these words; only keywords take more behind a word"
            hint = f"write 'pattern {shape[1]} .+', or in double quotes if just these words are meant"
            raise FlowError([problem("F010", message, matcher.position, hint=hint)])
    return found


def lookalikes(found: tuple[Matcher, ...], key: Scalar) -> Iterator[Problem]:
    """Yield a warning for each word that is read as just this word, and looks as if more was meant."""
    for matcher in found:
        word = matcher.label
        if matcher.kind is not MatcherKind.WORD or f'"{word}"' in key:
            continue
        hint = _MEANT.get(word, "")
        if not hint and (several := _SEVERAL.fullmatch(word)):
            hint = f"several words stand with commas between them: {', '.join(several[0].split(several[1]))}"
        if not hint and (bounds := re.fullmatch(r"([0-9]+) ?(?:-|–|to|\.\.+) ?([0-9]+)", word)):
            hint = f"for a number in a range write 'number {bounds[1]} to {bounds[2]}'"
        if not hint and re.fullmatch(r"/.+/|\^.+\$|.*(\.\*|\[[a-zA-Z0-9-]+\]).*", word):
            hint = f"for a pattern write 'pattern {word.strip('/')}'"
        if hint:
            message = f"'{word}' is a word like any other: only the text “{word}” is taken"
            hint += f"; if just this is meant, write '\"{word}\"'"
            found_problem = problem("F010", message, matcher.position, hint=hint)
            yield replace(found_problem, length=max(1, len(word)), severity=Severity.WARNING)


_ELSE = "for whatever nothing else takes write 'else', for any text 'text'"
_MEANT = {
    **dict.fromkeys(("any", "anything", "default", "otherwise", "fallback", "other", "*"), _ELSE),
    **dict.fromkeys(("numbers", "integer", "digit", "digits"), "for a number write 'number'"),
    **dict.fromkeys(
        ("date", "decimal", "money", "phone", "email", "duration", "moment", "yes or no"),
        "kinds of answers stand under 'answer'; a trigger takes 'number', 'text' or 'pattern …'",
    ),
}
_SEVERAL = re.compile(r"[A-Z]{2,}(?=( or | / |/|\|| \| ))(?:\1[A-Z]{2,})+")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a comma list; ``literal`` where it stood in double quotes."""

    text: str
    position: Position
    literal: bool = False


def _pieces(key: Scalar) -> list[_Piece]:
    """Split at commas outside double quotes."""
    pieces: list[_Piece] = []
    start, quoted = 0, False
    for index, letter in enumerate([*key, ","]):
        if letter == '"' and (quoted or not key[start:index].strip()):
            quoted = not quoted
        if letter != "," or (quoted and index < len(key)):
            continue
        raw = key[start:index]
        text = raw.strip()
        place = start + len(raw) - len(raw.lstrip()) + int(key.quoted)
        position = Position(key.position.line, key.position.column + place)
        if quoted:
            message = "a double quote is not closed"
            raise FlowError([problem("F010", message, position, hint="write a quote on both sides")])
        literal = len(text) >= 2 and text[0] == text[-1] == '"'
        pieces.append(_Piece(text[1:-1].strip() if literal else text, position, literal))
        start = index + 1
    return pieces


def _kind(piece: _Piece, key: Scalar) -> Matcher | None:
    if piece.literal:
        return None
    if piece.text in KINDS:
        return Matcher(KINDS[piece.text], "", piece.text, piece.position)
    if not re.match(r"number\s+(from|above|up|between|[-+]?[0-9])", piece.text):
        return None
    bounds = re.fullmatch(r"number\s+([-+]?[0-9]{1,15})\s+to\s+([-+]?[0-9]{1,15})", piece.text)
    if bounds is None:
        message = f"'{piece.text}' is not a range of whole numbers"
        raise FlowError([problem("F010", message, key, expected=("number", "number 1 to 5"))])
    low, high = int(bounds[1]), int(bounds[2])
    if low > high:
        message = f"no number lies from {low} to {high}"
        raise FlowError([problem("F010", message, key, hint=f"did you mean 'number {high} to {low}'?")])
    return Matcher(MatcherKind.NUMBER, "", piece.text, piece.position, low, high)


def _folded(text: str) -> str:
    seen = "".join(letter for letter in text if not _is_invisible(letter))
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    return _stripped(" ".join("".join(map(_character, plain)).split()))


def _character(letter: str) -> str:
    if letter in _QUOTES:
        return _QUOTES[letter]
    digit = unicodedata.decimal(letter, None)
    return letter if digit is None else str(digit)


def _is_invisible(letter: str) -> bool:
    """Tell formatting, joiners, variation selectors and fillers from what one can see or count as space."""
    if letter.isspace():
        return False
    return unicodedata.category(letter) in ("Cf", "Cc") or letter in _FILLERS


def _stripped(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_outer(text[start]):
        start += 1
    while end > start and _is_outer(text[end - 1]):
        end -= 1
    return text[start:end] or text


def _is_outer(letter: str) -> bool:
    if letter.isascii():
        return letter in _ASCII_OUTER
    return unicodedata.category(letter).startswith("P")


KINDS = {"else": MatcherKind.ELSE, "text": MatcherKind.TEXT, "number": MatcherKind.NUMBER}
"""The kinds that stand for themselves; ``number`` may also be written with its bounds."""

_ASCII_INVISIBLE = {code: None for code in (*range(32), 127) if not chr(code).isspace()}
_ASCII_OUTER = frozenset(string.punctuation + " ") - frozenset("+$")
_QUOTES = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u02bb", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    "\u2212": "-",
}
# Unicode calls these default ignorable, though they are no format characters.
_FILLERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
