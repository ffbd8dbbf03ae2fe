"""Choices: which of a numbered list a text means, one or several, and lists that would mislead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from convo.flow.answer_spec import Near, Outcome, Taken, Wrong, bare, plain
from convo.flow.answer_words import AND, NONE, number_of, understood
from convo.flow.triggers import fold
from convo.flow.values import Choice


@dataclass(frozen=True, slots=True)
class ChoiceSpec:
    """One of the choices: its id, the label that is shown, and other words for it."""

    id: str
    label: str
    also: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is called."""
        return (self.label, self.id, *self.also)


def read_choice(choices: Sequence[ChoiceSpec], text: str, language: str) -> Outcome:
    """Return the choice (a ``values.Choice``) that a text means.

    Of 1 Town (also ``city``), 2 Riverside, 3 Another:

        1 -> Town
        1. -> Town
        (1) -> Town
        #1 -> Town
        1️⃣ -> Town
        one -> Town
        TOWN! -> Town
        city -> Town
        riv -> Riverside
        2 Riverside -> Riverside
        ri -> near Riverside 2
        riversde -> near Riverside 2
        the riverside one -> near Riverside 2
        option 3 -> near Another 3
        1 Riverside -> wrong
        1 or 2 -> wrong
        4 -> wrong
        none -> wrong
    """
    # A keycap is a digit with a frame of its own.
    said = fold(text.replace("\u20e3", ""))
    number = _number(said, language)
    if number is not None and 1 <= number <= len(choices):
        return _taken(choices[number - 1], "number")
    for how in ("label", "id", "also"):
        for choice in choices:
            named = {"label": (choice.label,), "id": (choice.id,), "also": choice.also}[how]
            if said and said in map(fold, named):
                return _taken(choice, how)
    if number is not None:
        return Wrong("a number that no choice has")
    both = re.fullmatch(r"([0-9]{1,3})[ .:)-]+(.+)", said)
    if both is not None and both[2][:1].isalpha():
        rest = read_choice(choices, both[2], language)
        if isinstance(rest, Taken) and rest.value == _id_at(choices, int(both[1])):
            return Taken(rest.value, "number and label")
        if isinstance(rest, Taken):
            return Wrong(_MISMATCH)
    begun = [choice for choice in choices if said and fold(choice.label).startswith(said)]
    if len(begun) == 1 and len(said) >= 3 and said[:3].isalpha():
        return _taken(begun[0], "beginning")
    return _near(choices, said, begun, language)


def read_many(choices: Sequence[ChoiceSpec], text: str, low: int, high: int, language: str) -> Outcome:
    """Return the choices that a text means, in the order of the list, each once.

    Where one part is no choice, nothing is taken. Of the same choices, 0 to 2 of them:

        1 3 -> Town, Another
        3,1 -> Town, Another
        1 and 3 -> Town, Another
        city + riv -> Town, Riverside
        3 3 -> Another
        none -> nothing
        0 -> nothing
        13 -> near 1 3
        riversde -> near Riverside 2
        1 2 3 -> wrong
        town, xyz -> wrong
    """
    said = plain(text)
    alone = read_choice(choices, text, language)
    if isinstance(alone, Taken):
        return _several(choices, [alone], low, high)
    if alone == Wrong(_MISMATCH):
        return alone
    run = bare(text)
    if len(choices) < 10 and re.fullmatch(r"[0-9](\.?[0-9])+", run):
        digits = dict.fromkeys(run.replace(".", ""))
        fit = len(digits) == len(run.replace(".", "")) and low <= len(digits) <= high
        fit = fit and all(1 <= int(digit) <= len(choices) for digit in digits)
        return Near(" ".join(digits)) if fit else Wrong("no list of choices")
    if any(fold(text) in map(fold, NONE.get(each, ())) for each in understood(language)):
        return Taken((), "none") if low == 0 else Wrong(_count(low, high))
    joins = "|".join(re.escape(AND[each]) for each in understood(language) if each in AND)
    parts = [
        part
        for part in re.split(rf"\s*[,;/&+]\s*|\s+(?:{joins})\s+", said, flags=re.IGNORECASE)
        if bare(part)
    ]
    found: list[Taken] = []
    for part in parts:
        one = read_choice(choices, part, language)
        several = (
            [one]
            if isinstance(one, Taken)
            else [read_choice(choices, word, language) for word in part.split()]
        )
        taken = [each for each in several if isinstance(each, Taken)]
        if len(taken) < len(several):
            return one if isinstance(one, Near) and len(parts) == 1 else Wrong("not all of it are choices")
        found += taken
    return _several(choices, found, low, high) if found else Wrong("no choice")


def choice_problems(choices: Sequence[ChoiceSpec], language: str = "en") -> list[tuple[int, str]]:
    """Return what would mislead: the index of a choice, and a sentence about it."""
    found: list[tuple[int, str]] = []
    first: dict[str, int] = {}
    for index, choice in enumerate(choices):
        for said, name in {fold(name): name for name in reversed(choice.names)}.items():
            if not said:
                found.append((index, "a choice needs a label with something to read"))
                continue
            number = _number(said, language)
            if number is not None and number != index + 1 and 1 <= number <= len(choices):
                other = choices[number - 1].label
                found.append((index, f"'{name}' would choose number {number}, which is '{other}'"))
            owner = first.setdefault(said, index)
            if owner != index:
                found.append((index, f"'{name}' is also a name of '{choices[owner].label}'"))
    return found


def _near(choices: Sequence[ChoiceSpec], said: str, begun: list[ChoiceSpec], language: str) -> Near | Wrong:
    """Ask about what is nearly a choice."""
    if len(said) < 2:
        return Wrong("no choice")
    words = re.findall(r"\w+", said)
    said_numbers = (_number(word, language) for word in words)
    numbers = {number for number in said_numbers if number is not None}
    mentioned = [choice for choice in choices if any(_mentions(said, fold(name)) for name in choice.names)]
    if mentioned:  # 'one' may be no number there.
        numbers = {int(word) for word in words if word.isdecimal()}
    if len(numbers | {choices.index(choice) + 1 for choice in mentioned}) > 1:
        return Wrong("more than one choice")
    if not mentioned:
        mentioned = [choices[number - 1] for number in numbers if 1 <= number <= len(choices)]
    found = mentioned or begun or list(_alike(choices, said))
    if len(found) == 1:
        return Near(found[0].label, choices.index(found[0]) + 1)
    if 1 < len(found) <= 3:
        return Near(" or ".join(f"{each.label} ({choices.index(each) + 1})" for each in found))
    return Wrong("no choice")


def _alike(choices: Sequence[ChoiceSpec], said: str) -> Iterator[ChoiceSpec]:
    """Yield the choices whose name is most like what was said, if it is much like it."""
    scores = [
        max(SequenceMatcher(None, said, fold(name), autojunk=False).ratio() for name in choice.names)
        for choice in choices
    ]
    best = max(scores, default=0.0)
    if best >= _ALIKE and len(said) <= _LONGEST_NAME:
        yield from (choice for choice, score in zip(choices, scores, strict=True) if score == best)


def _several(choices: Sequence[ChoiceSpec], taken: list[Taken], low: int, high: int) -> Outcome:
    chosen = {str(each.value) for each in taken}
    if not low <= len(chosen) <= high:
        return Wrong(_count(low, high))
    in_order = tuple(Choice(each.id, each.label) for each in choices if each.id in chosen)
    return Taken(in_order, taken[0].how if len(taken) == 1 else "several")


def _count(low: int, high: int) -> str:
    return f"not {low} choices" if low == high else f"not {low} to {high} choices"


def _taken(choice: ChoiceSpec, how: str) -> Taken:
    return Taken(Choice(choice.id, choice.label), how)


def _id_at(choices: Sequence[ChoiceSpec], number: int) -> str:
    return choices[number - 1].id if 1 <= number <= len(choices) else ""


def _number(said: str, language: str) -> int | None:
    return int(said) if re.fullmatch("[0-9]{1,3}", said) else number_of(said, language)


def _mentions(said: str, name: str) -> bool:
    return len(name) >= 3 and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said) is not None


_MISMATCH = "a number and a label that do not go together"
_ALIKE = 0.75
_LONGEST_NAME = 60
