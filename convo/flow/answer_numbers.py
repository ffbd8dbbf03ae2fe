"""Answers that count: whole numbers, decimals, money, yes or no, durations."""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from decimal import Decimal
from functools import cache

from convo.flow.answer_spec import (
    BOUNDS,
    AnswerKind,
    AnswerSpec,
    Near,
    Outcome,
    Reading,
    Taken,
    Wrong,
    bare,
    bounded,
    limits,
    plain,
)
from convo.flow.answer_words import AND, DECIMAL_COMMA, NO, UNITS, YES, number_of, understood
from convo.flow.triggers import fold
from convo.flow.values import WORDS, Money, Type, Value, parse_duration

_GROUPED = re.compile(r"[1-9][0-9]{0,2}(?:[ '][0-9]{3})+(?![0-9])")
_FOUND = re.compile(r"(?<![^\W_])[+-]?[0-9]+(?:[.,'][0-9]+)*|[0-9]+")
_CURRENCY = (
    r"(?:[A-Za-z]{0,3}[$£€¥₦₹₱₫₩₪₴₵₺₽฿]|[A-Z]{3}|KSh|Ksh|ksh|Sh|sh|Rs|rs|R|kr|zł|Fr"
    r"|usd|eur|aud|gbp|kes|dollars?|euros?|pounds?|shillings?|bob|rand|francs?|pesos?|naira|rupees?)"
)
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff]")
_MOST_DIGITS = 15


def read_number(text: str, spec: AnswerSpec, reading: Reading) -> Outcome:
    """Read a whole number; one that stands among words is asked about.

    Spaces, apostrophes and the country's sign may group thousands. Of ``number``:

        18 -> 18
        18. -> 18
        18! -> 18
        (18) -> 18
        -5 -> -5
        ١٨ -> 18
        1 000 -> 1000
        1,000 -> 1000
        twenty -> 20
        I am 18 -> near 18
        1.000 -> near 1000
        18 or 19 -> wrong
        18.5 -> wrong
        17½ -> wrong
    """
    limit = limits(spec, _whole, reading)
    said = number_of(fold(text), reading.language)
    if said is not None:
        return bounded(said, "number word", limit)
    point = point_of(reading)
    found = amounts(bare(text), point)
    whole = [each for each in found if each == each.to_integral_value() and each.as_tuple().exponent == 0]
    if len(whole) == 1:
        return bounded(int(whole[0]), "number", limit)
    near = _near(text, spec, reading, point)
    if near is not None:
        return near
    return Wrong("not a whole number" if found else "not a number")


def read_decimal(text: str, spec: AnswerSpec, reading: Reading) -> Outcome:
    """Read an exact number; where a sign may mean thousands or decimals, that is asked about.

    Of ``decimal``, where ``.`` is the decimal sign:

        36.6 -> 36.6
        36,6 -> 36.6
        1,234.5 -> 1234.5
        1.234,5 -> 1234.5
        1.234 -> 1.234
        1,234 -> near 1234 or 1.234
        36.6 C -> near 36.6
        a lot -> wrong

    Of ``decimal`` in DE:

        36.6 -> 36.6
        1,234 -> 1.234
        1.234 -> near 1234 or 1,234
    """
    limit = limits(spec, _decimal, reading)
    said = number_of(fold(text), reading.language)
    if said is not None:
        return bounded(said, "number word", limit)
    point = point_of(reading)
    found = [_exact(each) for each in amounts(bare(text), point)]
    if len(found) == 1:
        return bounded(found[0], "number", limit)
    fit = [each for each in found if not limit.complaint(each)]
    if fit:
        return Near(" or ".join(_written(each, point) for each in fit))
    if found:
        return Wrong(limit.complaint(found[0]))
    return _near(text, spec, reading, point) or Wrong("not a number")


def read_money(text: str, spec: AnswerSpec, reading: Reading) -> Outcome:
    """Read an amount with at most two decimals; a currency sign or code beside it is left aside.

    No amount has three decimals, so three digits behind a comma are thousands. Of ``money``:

        5 -> 5.00
        5.5 -> 5.50
        $5 -> 5.00
        -$5 -> -5.00
        5,50 € -> 5.50
        KES 500 -> 500.00
        500/= -> 500.00
        50 bob -> 50.00
        1,234 -> 1234.00
        1.234 -> near 1234
        5.5555 -> wrong
        five or six -> wrong
    """
    limit = limits(spec, _money, reading)
    point = point_of(reading)
    clean = re.sub(r"\s*/[=-]?$", "", bare(text))
    shape = re.fullmatch(rf"(?P<sign>[+-]?)\s*{_CURRENCY}?\s*(?P<number>.*?)\s*{_CURRENCY}?", clean)
    number = f"{shape['sign']}{shape['number']}" if shape is not None else clean
    found = amounts(number, point)
    cents = [each for each in found if _places(each) <= 2]
    if len(cents) == 1:
        return bounded(Money(cents[0]), "amount", limit)
    if found:
        swapped = amounts(number, "," if point == "." else ".")
        near = [each for each in swapped if _places(each) == 0 and not limit.complaint(Money(each))]
        return Near(_written(near[0], point)) if near else Wrong("more than two decimals")
    return _near(text, spec, reading, point) or Wrong("not an amount")


def read_yes_no(text: str, _spec: AnswerSpec, reading: Reading) -> Outcome:
    """Read yes or no, in the sender's language or in English.

    Of ``yes or no``:

        yes -> yes
        Yes! -> yes
        y -> yes
        yeah -> yes
        ok -> yes
        👍🏽 -> yes
        no -> no
        N. -> no
        nope -> no
        no thanks -> no
        yes I will -> near yes
        yes and no -> wrong
        maybe -> wrong
    """
    said = fold(_SKIN.sub("", text))
    for language in understood(reading.language):
        if said in _folded(language, meaning=True):
            return Taken(True, "yes")
        if said in _folded(language, meaning=False):
            return Taken(False, "no")
    words = [fold(word) for word in said.split()]
    meanings = set()
    for language in understood(reading.language):
        for meaning in (True, False):
            meant = _folded(language, meaning=meaning)
            meanings |= {meaning for word in words if word in meant and len(word) > 1}
    if len(meanings) != 1 or len(words) < 2:
        return Wrong("neither yes nor no")
    own = next(language for language in understood(reading.language) if language in YES)
    return Near((YES if meanings.pop() else NO)[own][0])


def read_duration(text: str, spec: AnswerSpec, reading: Reading) -> Outcome:
    """Read a length of time with its units, the largest first.

    Of ``duration``:

        90s -> 1 min 30 s
        10m -> 10 min
        2 hours -> 2 h
        1h30 -> 1 h 30 min
        1 hour and 30 minutes -> 1 h 30 min
        1.5 h -> 1 h 30 min
        an hour -> 1 h
        half an hour -> 30 min
        2 weeks -> 14 days
        1:30 -> near 1h30 or 1m30
        90 -> wrong
        5 cats -> wrong
    """
    limit = limits(spec, parse_duration, reading)
    said = bare(text).casefold()
    colon = re.fullmatch(r"([0-9]{1,3}):([0-5][0-9])", said)
    if colon is not None:
        ways = ((f"{colon[1]}h{colon[2]}", "h", "m"), (f"{colon[1]}m{colon[2]}", "m", "s"))
        fit = [
            way
            for way, large, small in ways
            if not limit.complaint(int(colon[1]) * _LENGTHS[large] + int(colon[2]) * _LENGTHS[small])
        ]
        return Near(" or ".join(fit)) if fit else Wrong("outside the bounds")
    try:
        length = _length(said, reading.language)
    except OverflowError:
        return Wrong("too long")
    if length is None:
        return Wrong("a number without a unit" if re.fullmatch("[0-9]+", said) else "not a length of time")
    return bounded(length, "duration", limit)


def point_of(reading: Reading) -> str:
    """Return the decimal sign of the country, or else of the language."""
    if reading.country:
        return "," if reading.country.upper() in DECIMAL_COMMA else "."
    return WORDS.get(reading.language, WORDS["en"]).point


def amounts(text: str, point: str) -> list[Decimal]:
    """Return the numbers that a text may mean where ``point`` is the decimal sign: none, one or two.

    Spaces and apostrophes, and the other sign, may group thousands. At most 15 digits.
    """
    other = "," if point == "." else "."
    sign, digits = ("-", text[1:].strip()) if text.startswith("-") else ("", text.removeprefix("+").strip())
    digits = _GROUPED.sub(lambda groups: re.sub("[ ']", "", groups[0]), digits, count=1)
    if (
        re.fullmatch(r"[0-9.,]+", digits) is None
        or len(digits) - digits.count(".") - digits.count(",") > _MOST_DIGITS
    ):
        return []
    found = []
    for mark, grouping in ((point, other), (other, point)):
        simple = re.fullmatch(rf"([0-9]*)(?:{re.escape(mark)}([0-9]+))?", digits)
        groups = re.fullmatch(
            rf"([1-9][0-9]{{0,2}}(?:{re.escape(grouping)}[0-9]{{3}})+)(?:{re.escape(mark)}([0-9]+))?", digits
        )
        shape = simple or groups
        if shape is not None and (shape[1] or shape[2]):
            whole = (shape[1] or "0").replace(grouping, "")
            found.append(Decimal(f"{sign}{whole}.{shape[2]}" if shape[2] else f"{sign}{whole}"))
    # Only '1,234' where '.' is the decimal sign (or the other way round) has two meanings.
    if len(found) == 2 and (found[0] == found[1] or re.search(re.escape(point), digits)):
        del found[1]
    return found


def _near(text: str, spec: AnswerSpec, reading: Reading, point: str) -> Near | None:
    """Ask about the one number that stands among words, or that may be meant with its groups."""
    tokens = _FOUND.findall(plain(text))
    # What is left of 17½ is not 17.
    if len(tokens) != 1 or any(unicodedata.category(letter) == "No" for letter in text):
        return None
    readers = {"number": (read_number, _whole), "money": (read_money, _money)}
    reader, bound = readers.get(spec.kind, (read_decimal, _decimal))
    limit = limits(spec, bound, reading)
    token = tokens[0]
    if bare(text) != token:
        found = reader(token, spec, reading)
        if isinstance(found, Taken):
            return Near(_written(Decimal(str(found.value)), point))
        return found if isinstance(found, Near) else None
    swapped = amounts(token, "," if point == "." else ".")
    whole = [each for each in swapped if _places(each) == 0 and not limit.complaint(each)]
    return Near(_written(whole[0], point)) if len(whole) == 1 else None


def _length(said: str, language: str) -> timedelta | None:
    """Return the sum of the parts; None where something is no part."""
    units = {
        word: unit
        for each in understood(language)
        for unit, listed in UNITS.get(each, {}).items()
        for word in listed.split("|")
    }
    said = re.sub(r"\bhalf an hour\b", "30 min", said)
    said = re.sub(r"\b(?:an|a) (?=[a-z])", "1 ", said)
    joins = "|".join(AND[each] for each in understood(language) if each in AND)
    said = re.sub(rf"(?<=\w) (?:{joins}) (?=[0-9])", " ", said)
    total, below, at = timedelta(0), "", 0
    part = re.compile(r"[ ,]*([0-9]{1,9}(?:[.,][0-9]{1,6})?) ?([^\W\d_]+|$)")
    order = "wdhms"
    while at < len(said):
        found = part.match(said, at)
        if found is None:
            return None
        unit = units.get(found[2]) if found[2] else {"h": "m", "m": "s"}.get(below)
        if unit is None or (below and order.index(unit) <= order.index(below)):
            return None
        if not found[2] and not re.fullmatch("[0-5]?[0-9]", found[1]):
            return None
        micro = Decimal(found[1].replace(",", ".")) * int(_LENGTHS[unit] / timedelta(microseconds=1))
        total += timedelta(microseconds=int(micro))
        below, at = unit, found.end()
    return total if below else None


def _whole(source: str) -> Value | None:
    return int(source) if re.fullmatch(r"[+-]?[0-9]{1,15}", source) else None


def _decimal(source: str) -> Value | None:
    found = re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", source)
    return _exact(Decimal(source)) if found else None


def _money(source: str) -> Value | None:
    return Money(source) if re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,2})?", source) else None


def _exact(number: Decimal) -> int | Decimal:
    return int(number) if _places(number) == 0 else number


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _written(number: int | Decimal, point: str) -> str:
    return str(number).replace(".", point)


@cache
def _folded(language: str, *, meaning: bool) -> frozenset[str]:
    """Return the words of a language for yes or for no, as texts are compared with them."""
    return frozenset(fold(word) for word in (YES if meaning else NO).get(language, ()))


_LENGTHS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}

KINDS = (
    AnswerKind(
        "number",
        Type.NUMBER,
        read_number,
        settings=BOUNDS,
        bound=_whole,
        example="number 18 to 110",
    ),
    AnswerKind(
        "decimal",
        Type.NUMBER,
        read_decimal,
        settings=BOUNDS,
        bound=_decimal,
        example="decimal 34.0 to 43.0",
    ),
    AnswerKind(
        "money",
        Type.MONEY,
        read_money,
        settings=BOUNDS,
        bound=_money,
        example="money above 0",
    ),
    AnswerKind("yes or no", Type.YES_NO, read_yes_no, example="yes or no"),
    AnswerKind(
        "duration",
        Type.DURATION,
        read_duration,
        settings=BOUNDS,
        bound=parse_duration,
        example="duration up to 8h",
    ),
)
"""The answer types of this module."""
