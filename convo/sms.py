"""What a text costs as SMS: its encoding, its segments, and where it may be cut. Pure text.

Figures from 3GPP TS 23.038 (the GSM 7-bit default alphabet and its extension table) and TS 23.040
(concatenation): 160 septets or 70 UTF-16 code units in a single message, 153 or 67 in each part of
a longer one. A character of the extension table takes two septets.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

GSM7_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION = frozenset("\f^{}\\[~]|€")

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
    fits = all(letter in GSM7_BASIC or letter in GSM7_EXTENSION for letter in text)
    return Encoding.GSM7 if fits else Encoding.UCS2


def culprits(text: str) -> list[str]:
    """Return the characters that force UCS-2, each once, in order of appearance."""
    found = (letter for letter in text if letter not in GSM7_BASIC and letter not in GSM7_EXTENSION)
    return list(dict.fromkeys(found))


def substituted(text: str) -> str:
    """Return the text with typographic characters replaced where GSM-7 can say the same."""
    return "".join(SUBSTITUTES.get(letter, letter) for letter in text)


def cost(text: str) -> Cost:
    """Return what the text costs; an empty text is one segment."""
    encoding = encoding_of(text)
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


def split(text: str, limit: int) -> list[str]:
    """Cut the text into messages of at most ``limit`` characters, for carriers that take no longer ones.

    It is cut after a line, else after a word, else between graphemes; never inside a grapheme (a
    letter with its accents, an emoji with its modifiers), unless one alone is longer than ``limit``.
    """
    if limit < 1:
        raise ValueError("a message must have room for at least one character")
    parts: list[str] = []
    rest = text
    while len(rest) > limit:
        head = "".join(_fitting(graphemes(rest), limit)) or rest[:limit]
        for mark in ("\n", " "):
            cut = head.rfind(mark)
            if cut >= limit // 2:
                head = head[: cut + 1]
                break
        parts.append(head.rstrip())
        rest = rest[len(head) :].lstrip(" \n")
    return [part for part in [*parts, rest] if part]


def graphemes(text: str) -> list[str]:
    """Return the text in pieces that a reader sees as one character."""
    pieces: list[str] = []
    for letter in text:
        if pieces and (_joins(letter) or pieces[-1].endswith("\u200d") or _pairs(pieces[-1], letter)):
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return pieces


def _fitting(pieces: list[str], limit: int) -> list[str]:
    taken: list[str] = []
    for piece in pieces:
        if len(piece) > limit:
            break
        limit -= len(piece)
        taken.append(piece)
    return taken


def _joins(letter: str) -> bool:
    category = unicodedata.category(letter)
    modifier = "\U0001f3fb" <= letter <= "\U0001f3ff" or "\U000e0020" <= letter <= "\U000e007f"
    return category in ("Mn", "Me", "Mc") or letter == "\u200d" or modifier


def _pairs(piece: str, letter: str) -> bool:
    """Return whether two letters are one flag, or a line end of two characters."""
    flag = all("\U0001f1e6" <= each <= "\U0001f1ff" for each in piece + letter)
    return (flag and len(piece) == 1) or (piece == "\r" and letter == "\n")


def _units(letter: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM7:
        return 2 if letter in GSM7_EXTENSION else 1
    return 2 if ord(letter) > 0xFFFF else 1
