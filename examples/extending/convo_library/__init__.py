"""Words of a library: an answer type for book numbers, and a filter that says on which shelf a book is."""

from __future__ import annotations

from convo.flow.answer_spec import AnswerKind, AnswerSpec, Reading, Taken, Wrong, bare
from convo.flow.filters import Filter
from convo.flow.values import Type


def read_isbn(text: str, spec: AnswerSpec, reading: Reading) -> Taken | Wrong:  # noqa: ARG001 - how types are called
    """Take an ISBN of ten or thirteen digits whose check digit is right (ISO 2108)."""
    digits = bare(text).upper().replace("-", "").replace(" ", "")
    if not digits[:-1].isdecimal() or not (digits[-1:].isdecimal() or digits[-1:] == "X"):
        return Wrong("not only digits")
    values = [10 if each == "X" else int(each) for each in digits]
    if len(digits) == 10:
        good = sum(value * (10 - place) for place, value in enumerate(values)) % 11 == 0
    elif len(digits) == 13 and "X" not in digits:
        good = sum(value * (1, 3)[place % 2] for place, value in enumerate(values)) % 10 == 0
    else:
        return Wrong("not ten or thirteen digits")
    return Taken(digits, "isbn") if good else Wrong("the check digit is wrong")


def shelf(number: str) -> str:
    """Return the shelf of a book: its last two digits."""
    return f"shelf {number[-2:]}"


ISBN = AnswerKind(
    name="isbn",
    type=Type.TEXT,
    parse=read_isbn,
    sorry="Please send the ISBN from the back of the book, ten or thirteen digits.",
    example="isbn",
    sample="978-0-306-40615-7",
)
SHELF = Filter(shelf, frozenset((Type.TEXT,)), Type.TEXT)
