"""Which types go together: what an operator, a comparison or a choice between two values yields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from convo.flow.values import Type

_N, _M, _D, _T, _L = Type.NUMBER, Type.MONEY, Type.DATE, Type.MOMENT, Type.DURATION

BINARY: Mapping[tuple[str, Type, Type], Type] = MappingProxyType(
    {
        **{(sign, _N, _N): _N for sign in ("+", "-", "*", "/", "//", "%")},
        **{(sign, *pair): _M for sign in ("+", "-") for pair in ((_M, _M), (_M, _N), (_N, _M))},
        **{("*", *pair): _M for pair in ((_M, _N), (_N, _M))},
        ("/", _M, _N): _M,
        ("/", _M, _M): _N,
        ("//", _M, _M): _N,
        ("-", _T, _T): _L,
        ("-", _T, _L): _T,
        ("+", _T, _L): _T,
        ("+", _L, _T): _T,
        ("-", _D, _D): _L,
        ("-", _D, _L): _D,
        ("+", _D, _L): _D,
        ("+", _L, _D): _D,
        ("+", _L, _L): _L,
        ("-", _L, _L): _L,
        ("*", _L, _N): _L,
        ("*", _N, _L): _L,
        ("/", _L, _N): _L,
        ("/", _L, _L): _N,
        ("//", _L, _L): _N,
        ("%", _L, _L): _L,
    }
)
"""What each arithmetic operator makes of two types; a pair that is not listed does not go together."""

SIGNED = frozenset((Type.NUMBER, Type.MONEY, Type.DURATION))
"""The types that may have a minus sign."""

ORDERED = frozenset((Type.NUMBER, Type.MONEY, Type.DATE, Type.TIME, Type.MOMENT, Type.DURATION))
"""The types of which one value is less than another."""

_ALIKE = (frozenset((Type.NUMBER, Type.MONEY)), frozenset((Type.TEXT, Type.CHOICE)))


def refusal(sign: str, left: Type, right: Type) -> str:
    """Return in plain words that an operator does not take these two types."""
    return f"{_WORK[sign]} does not work with {_article(left)} and {_article(right)}"


def advice(sign: str, left: Type, right: Type) -> str:
    """Return a hint for a pair of types that does not go together, or nothing."""
    if sign == "+" and (left is Type.TEXT or right is Type.TEXT):
        return "texts are joined with ~"
    if {left, right} == {Type.DURATION, Type.NUMBER}:
        return "a duration is written 14d, 24h or 90m; a number of days is a duration / 1d"
    if {left, right} == {Type.YES_NO, Type.TEXT}:
        return "yes and no stand without quotes"
    if {left, right} & {Type.DATE, Type.MOMENT} and Type.NUMBER in (left, right) and sign in ("+", "-"):
        return "a time is added as a duration: 1d is a day, 2h are two hours"
    if {left, right} <= {Type.DATE, Type.MOMENT} and left is not right:
        return "a date has no time of day, a moment has one"
    return ""


def comparable(left: Type, right: Type, *, ordered: bool = False) -> bool:
    """Return whether two types may be compared; ``ordered`` means by less and greater."""
    if ordered and not {left, right} <= ORDERED:
        return False
    return left is right or any({left, right} <= group for group in _ALIKE)


def joined(left: Type, right: Type) -> Type | None:
    """Return the type of a value that is one or the other, or None where they do not go together."""
    if left is right:
        return left
    if {left, right} == {Type.TEXT, Type.CHOICE}:
        return Type.TEXT
    return None


def listed(types: Iterable[Type]) -> str:
    """Return types in a sentence: ``a number, money or a duration``."""
    names = [_article(each) for each in Type if each in set(types)]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]


def _article(each: Type) -> str:
    return _ARTICLES.get(each, f"a {each}")


_ARTICLES = {Type.MONEY: "money", Type.YES_NO: "a yes or no", Type.CHOICES: "several choices"}
_WORK = {
    "+": "adding (+)",
    "-": "subtracting (-)",
    "*": "multiplying (*)",
    "/": "dividing (/)",
    "//": "dividing (//)",
    "%": "the rest of a division (%)",
}
