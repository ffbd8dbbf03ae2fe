"""The keys of a ``goto``: which answers, or results, they name, and what is odd about one that names none."""

from __future__ import annotations

from collections.abc import Collection

from convo.flow.codes import problem
from convo.flow.naming import NAME
from convo.flow.problems import Problem, nearest
from convo.flow.reader import Scalar

ELSE = ("else", "otherwise", "default", "other")
"""What people write for ``else``; only that itself, in small letters, is one."""


def several(key: Scalar, outcomes: Collection[str]) -> list[str]:
    """Return what a key names with commas, where one of it is an outcome; else nothing."""
    if "," not in key or key in outcomes:
        return []
    named = [part.strip() for part in key.split(",")]
    return named if set(named) & set(outcomes) else []


def odd_key(
    key: Scalar, outcomes: Collection[str], names: Collection[str], *, results: bool
) -> tuple[Problem, str | None] | None:
    """Return what is wrong with a key that is no outcome, and the outcome that it was meant for, if any.

    None where it may be a condition. ``results`` of a sub-flow are told of in other words than answers.
    """
    if key.casefold() in ELSE and key not in names:
        return problem("F025", f"'{key}' is no condition", key, hint="write 'else'"), None
    if not outcomes:
        return None
    if key.isdecimal():
        hint = f"write the choice itself and not its number: {', '.join(outcomes)}"
        meant = [*outcomes, str(key)][min(max(int(key[:9]), 1) - 1, len(outcomes))]
        return problem("F025", f"'{key}' is none of the answers", key, hint=hint), meant
    if alike := [each for each in outcomes if each.casefold() == key.casefold()]:
        message = f"'{key}' means none of the answers: small and capital letters count here"
        return problem("F025", message, key, hint=f"write '{alike[0]}'"), alike[0]
    if NAME.fullmatch(key) and key not in names:
        near = nearest(key, outcomes)
        known = () if near else sorted(outcomes)
        code, means = ("F029", "no way in which it ends") if results else ("F025", "none of the answers")
        return problem(code, f"'{key}' is {means}", key, hint=near, expected=known), str(key)
    return None
