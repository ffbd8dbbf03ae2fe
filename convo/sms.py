"""What a text costs as SMS: its encoding, its segments, and where it may be cut. Pure text.

Figures from 3GPP TS 23.038 (the GSM 7-bit default alphabet and its extension table) and TS 23.040
(concatenation): 160 septets or 70 UTF-16 code units in a single message, 153 or 67 in each part of
a longer one. A character of the extension table takes two septets.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

GSM7_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM7 = GSM7_BASIC | GSM7_EXTENSION
_EXTENDED = re.compile(f"[{re.escape(''.join(sorted(GSM7_EXTENSION)))}]")

SUBSTITUTES = {
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"',
    "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "…": "...", "•": "-", "\u00a0": " ", "\u2009": " ",
    "\u202f": " ", "\t": " ", "`": "'", "´": "'",
}  # fmt: skip
"""Characters that force UCS-2 on a whole text, and what says the same in GSM-7."""


class Encoding(StrEnum):
    """How a text travels; one character outside GSM-7 makes the whole text UCS-2."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


SINGLE = {Encoding.GSM7: 160, Encoding.UCS2: 70}
PART = {Encoding.GSM7: 153, Encoding.UCS2: 67}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a text costs: ``units`` are septets or UTF-16 code units, ``segments`` what is billed."""

    encoding: Encoding
    units: int
    segments: int


def encoding_of(text: str) -> Encoding:
    """Return the encoding that the text needs."""
    return Encoding.GSM7 if _GSM7.issuperset(text) else Encoding.UCS2


def culprits(text: str) -> list[str]:
    """Return the characters that force UCS-2, each once, in order of appearance."""
    found = (letter for letter in text if letter not in GSM7_BASIC and letter not in GSM7_EXTENSION)
    return list(dict.fromkeys(found))


def named(letter: str) -> str:
    """Return a character in words, with what says the same in GSM-7 where something does."""
    name = unicodedata.name(letter, f"U+{ord(letter):04X}").lower()
    shown = letter if letter.isprintable() and not unicodedata.combining(letter) else ""
    told = f"'{shown}' ({name})" if shown.strip() else name
    instead = SUBSTITUTES.get(letter)
    return told if instead is None else f"{told}: write {_QUOTED.get(instead, repr(instead))} instead"


_QUOTED = {" ": "a space", "'": '"\'"', '"': "'\"'"}


def substituted(text: str) -> str:
    """Return the text with typographic characters replaced where GSM-7 can say the same."""
    return "".join(SUBSTITUTES.get(letter, letter) for letter in text)


def cheaper(text: str) -> str:
    """Return the text with typographic characters replaced where that saves segments, else as it is."""
    plain = substituted(text)
    return plain if plain != text and cost(plain).segments < cost(text).segments else text


def cost(text: str) -> Cost:
    """Return what the text costs; an empty text is one segment."""
    encoding = encoding_of(text)
    if encoding is Encoding.GSM7:
        units = len(text) + len(_EXTENDED.findall(text))
    else:
        units = sum(_units(letter, encoding) for letter in text)
    if units <= SINGLE[encoding]:
        return Cost(encoding, units, 1)
    # A part never splits a character, so parts are filled one by one rather than divided out.
    segments, room = 1, PART[encoding]
    for letter in text:
        need = _units(letter, encoding)
        if need > room:
            segments, room = segments + 1, PART[encoding]
        room -= need
    return Cost(encoding, units, segments)


def split(text: str, limit: int, segments: int | None = None) -> list[str]:
    """Cut the text into messages that a carrier takes: at most ``limit`` characters, and ``segments``, each.

    It is cut after a line, else after a word, else between graphemes; never inside a grapheme (a letter
    with its accents, an emoji with its modifiers), unless one alone is longer than a message. Blanks where
    it is cut are left out.
    """
    if limit < 1 or (segments is not None and segments < 1):
        raise ValueError("a message must have room for at least one character")
    parts: list[str] = []
    rest = graphemes(text)
    while rest and not _fits("".join(rest), limit, segments):
        count = _fitting(rest, limit, segments)
        if count == 0:
            # One grapheme that is longer than a message: nothing can keep it whole.
            rest[:1] = list(rest[0])
            count = max(1, _fitting(rest, limit, segments))
        cut = _after_a_word(rest, count)
        parts.append("".join(rest[:cut]).rstrip())
        rest = rest[cut:]
        while rest and rest[0] in _BLANKS:
            rest.pop(0)
    return [part for part in [*parts, "".join(rest)] if part]


def graphemes(text: str) -> list[str]:
    """Return the text in pieces that a reader sees as one character.

    Never cuts where Unicode's extended grapheme clusters (UAX 29) do not; where a rule of theirs needs
    tables that Python has not got, two clusters may stay together.
    """
    pieces: list[str] = []
    for letter in text:
        if pieces and _belongs(pieces[-1], letter):
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return pieces


_BLANKS = ("\n", "\r\n", " ")
_PREPENDED = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd\U000111c2"
    "\U000111c3\U000113d1\U0001193f\U00011941\U00011a3a\U00011a84\U00011a85\U00011a86\U00011a87\U00011a88"
    "\U00011a89\U00011d46\U00011f02"
)
_EXTENDING = frozenset("\u0e33\u0eb3\u200c\u200d\uff9e\uff9f")
_VIRAMA = 9


def _fits(text: str, limit: int, segments: int | None) -> bool:
    return len(text) <= limit and (segments is None or cost(text).segments <= segments)


def _fitting(pieces: list[str], limit: int, segments: int | None) -> int:
    """Return how many pieces fit into one message; a longer text never costs less than its beginning."""
    low, high = 0, min(len(pieces), limit)
    while low < high:
        middle = (low + high + 1) // 2
        if _fits("".join(pieces[:middle]), limit, segments):
            low = middle
        else:
            high = middle - 1
    return low


def _after_a_word(pieces: list[str], count: int) -> int:
    """Return where to cut so that a line or a word stays whole, if that leaves at least half of ``count``."""
    if count < len(pieces) and pieces[count] in _BLANKS:
        return count
    for marks in (("\n", "\r\n"), (" ",)):
        for place in range(count - 1, count // 2 - 1, -1):
            if pieces[place] in marks:
                return place + 1
    return count


def _belongs(piece: str, letter: str) -> bool:
    if letter < "\x7f" and piece < "\x7f":
        return piece == "\r" and letter == "\n"
    before = piece[-1]
    if before in "\r\n" or letter in "\r\n":
        return piece == "\r" and letter == "\n"
    return (
        _joins(letter)
        or before == "\u200d"
        or before in _PREPENDED
        or _flag(piece, letter)
        or _syllable(before, letter)
        or _conjunct(piece, letter)
    )


def _joins(letter: str) -> bool:
    category = unicodedata.category(letter)
    modifier = "\U0001f3fb" <= letter <= "\U0001f3ff" or "\U000e0020" <= letter <= "\U000e007f"
    return category in ("Mn", "Me", "Mc") or letter in _EXTENDING or modifier


def _flag(piece: str, letter: str) -> bool:
    """Return whether two letters are one flag; a third begins the next."""
    pair = piece[-1] + letter
    count = len(piece) - len(piece.rstrip(_REGIONAL))
    return all(each in _REGIONAL for each in pair) and count % 2 == 1


_REGIONAL = "".join(chr(code) for code in range(0x1F1E6, 0x1F200))


def _syllable(before: str, letter: str) -> bool:
    """Return whether two letters are parts of one Hangul syllable."""
    lead, vowel, tail = "\u1100\ua960", "\u1160\ud7b0", "\u11a8\ud7cb"
    ends = {"\u1100": "\u115f", "\ua960": "\ua97c", "\u1160": "\u11a7", "\ud7b0": "\ud7c6"}
    ends |= {"\u11a8": "\u11ff", "\ud7cb": "\ud7fb"}

    def is_in(each: str, starts: str) -> bool:
        return any(start <= each <= ends[start] for start in starts)

    whole = "\uac00" <= before <= "\ud7a3"
    open_syllable = whole and (ord(before) - 0xAC00) % 28 == 0
    if is_in(before, lead):
        return is_in(letter, lead + vowel) or "\uac00" <= letter <= "\ud7a3"
    if is_in(before, vowel) or open_syllable:
        return is_in(letter, vowel + tail)
    return (is_in(before, tail) or whole) and is_in(letter, tail)


def _conjunct(piece: str, letter: str) -> bool:
    """Return whether a sign of an Indic script, or marks after it, bind the next consonant."""
    if not unicodedata.category(letter).startswith("L") or letter < "\u0900":
        return False
    for before in reversed(piece):
        if unicodedata.combining(before) == _VIRAMA:
            return True
        if unicodedata.category(before) not in ("Mn", "Mc") and before not in _EXTENDING:
            return False
    return False


def _units(letter: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM7:
        return 2 if letter in GSM7_EXTENSION else 1
    return 2 if ord(letter) > 0xFFFF else 1
