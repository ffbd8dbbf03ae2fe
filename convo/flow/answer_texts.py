"""Answers that stay texts: free text, phone numbers, e-mail addresses, patterns, anything."""

from __future__ import annotations

import re

from convo.flow.answer_pattern import BadPattern, compiled
from convo.flow.answer_spec import AnswerKind, AnswerSpec, Near, Outcome, Reading, Taken, Wrong, bare, plain
from convo.flow.problems import Problem
from convo.flow.values import Type
from convo.sms import graphemes


def read_text(text: str, spec: AnswerSpec, _reading: Reading) -> Outcome:
    """Read a free text: trimmed, else as it was typed; with ``up to N`` at most so many characters.

    A character is what a reader sees as one: a flag or a letter with its accents counts once. Of
    ``text up to 5``:

        hello -> hello
        a  b -> a  b
        🇰🇪🇰🇪🇰🇪 -> 🇰🇪🇰🇪🇰🇪
        hello! -> wrong
    """
    said = text.strip()
    if not plain(said):
        return Wrong("empty")
    if spec.up_to is not None and len(graphemes(said)) > spec.up_to:
        return Wrong(f"longer than {spec.up_to} characters")
    return Taken(said, "text")


def read_anything(text: str, _spec: AnswerSpec, _reading: Reading) -> Outcome:
    """Take every text as it was typed, even an empty one."""
    return Taken(text, "anything")


def read_phone(text: str, _spec: AnswerSpec, reading: Reading) -> Outcome:
    """Read a phone number with its ``+`` and country, or as its country dials it; saved as ``+61400000009``.

    A number that no phone can have is none. Of ``phone`` in AU:

        +61 400 000 009 -> +61400000009
        0400 000 009 -> +61400000009
        +254 712 345678 -> +254712345678
        0400 -> wrong
        call me -> wrong

    Of ``phone``:

        00254712345678 -> +254712345678
        0400 000 009 -> wrong
    """
    import phonenumbers

    said = plain(text).removeprefix("tel:").rstrip(" .!?,;")
    if re.fullmatch(r"\+?[0-9 ()./-]{3,30}", said) is None:
        return Wrong("not a phone number")
    if said.startswith("00") and not reading.country:
        said = f"+{said[2:]}"
    if not said.startswith("+") and not reading.country:
        return Wrong("a phone number without + and country")
    try:
        number = phonenumbers.parse(said, (reading.country or "").upper() or None)
    except phonenumbers.NumberParseException:
        return Wrong("not a phone number")
    if not phonenumbers.is_valid_number(number):
        return Wrong("no phone has this number")
    return Taken(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), "phone number")


def read_email(text: str, _spec: AnswerSpec, _reading: Reading) -> Outcome:
    """Read an e-mail address: one ``@``, a domain with a dot, no spaces; the domain in lower case.

    Of ``email``:

        ann@example.org -> ann@example.org
        Ann.B+x@Example.ORG. -> Ann.B+x@example.org
        ann at example.org -> near ann@example.org
        it is ann@example.org -> near ann@example.org
        ann@example -> wrong
        a..b@example.org -> wrong
    """
    said = bare(text).removeprefix("mailto:").strip("<>")
    if _EMAIL.fullmatch(said) is not None and len(said) <= 254:
        name, _, domain = said.rpartition("@")
        return Taken(f"{name}@{domain.lower()}", "e-mail address")
    closed = re.sub(r" ?\bat\b ?| ?@ ?", "@", re.sub(r" dot | ?\. ?", ".", said), flags=re.IGNORECASE)
    found = _EMAIL_FOUND.findall(closed)
    return Near(found[0]) if len(found) == 1 and closed.count("@") == 1 else Wrong("not an e-mail address")


def read_pattern(text: str, spec: AnswerSpec, _reading: Reading) -> Outcome:
    """Read what the pattern matches as a whole: trimmed, capitals and small letters as typed.

    A text that only differs in case, spaces or outer signs is asked about. Of ``pattern [A-Z]{3}[0-9]+``:

        ABC1 -> ABC1
        abc1 -> near ABC1
        ABC 1 -> near ABC1
        ABC -> wrong
        xABC1 -> wrong
    """
    said = text.strip()
    matches = compiled(spec.regex or "")
    if matches(said):
        return Taken(said, "pattern")
    tidy = bare(said)
    for other in (tidy, tidy.upper(), tidy.lower(), tidy.replace(" ", "").upper()):
        if other and matches(other):
            return Near(other)
    return Wrong("not of the pattern")


def check_pattern(spec: AnswerSpec) -> list[Problem]:
    """Return the problem of a pattern that cannot be used."""
    try:
        compiled(spec.regex or "")
    except BadPattern as wrong:
        hint = "for example: pattern [A-Z]{3}[0-9]{3}"
        return [Problem("A005", str(wrong), spec.source.position, spec.source.length, hint=hint)]
    return []


_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_DOMAIN = r"(?:[^\W_](?:[^\W_]|-(?=[^\W_]|-)){0,62}\.)+[^\W\d_]{2,63}"
_EMAIL = re.compile(rf"(?=.{{1,64}}@){_LOCAL}@{_DOMAIN}")
_EMAIL_FOUND = re.compile(rf"(?<!\S){_LOCAL}@{_DOMAIN}(?!\S)")

KINDS = (
    AnswerKind(
        "text",
        Type.TEXT,
        read_text,
        settings=frozenset({"length"}),
        example="text up to 300",
    ),
    AnswerKind("phone", Type.TEXT, read_phone, example="phone"),
    AnswerKind(
        "email",
        Type.TEXT,
        read_email,
        example="email",
    ),
    AnswerKind(
        "pattern",
        Type.TEXT,
        read_pattern,
        settings=frozenset({"pattern"}),
        check=check_pattern,
        example="pattern [A-Z]{3}",
    ),
    AnswerKind("anything", Type.TEXT, read_anything, example="anything"),
)
"""The answer types of this module."""
