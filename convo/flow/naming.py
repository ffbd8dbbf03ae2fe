"""How names are written, and which belong to the language."""

from __future__ import annotations

import re

from convo.flow.codes import problem
from convo.flow.problems import Problem
from convo.flow.reader import Scalar
from convo.flow.template import BUILT_IN

RESERVED = frozenset(
    {
        "value",
        "not",
        "and",
        "or",
        "in",
        "is",
        "if",
        "else",
        "elif",
        "endif",
        "true",
        "false",
        "none",
        "yes",
        "no",
        "set",
        "unset",
        "open",
        "known",
        "default",
        "any",
    }
)
"""Words that mean something in expressions, beside the built-in names."""

NAME = re.compile(r"[^\W\d_]\w{0,63}")


def name_problem(name: Scalar, what: str) -> Problem | None:
    """Return what is wrong with how a name is written."""
    if NAME.fullmatch(name):
        return None
    hint = "a name begins with a letter; letters, digits and _ follow"
    return problem("F006", f"'{name}' is no name for {what}", name, hint=hint)


def reserved_problem(name: Scalar) -> Problem | None:
    """Return the problem of a name that an author cannot give a value."""
    if name in BUILT_IN:
        message = f"'{name}' is given by convo and cannot be set"
    elif name.casefold() in RESERVED:
        message = f"'{name}' means something in expressions and cannot be a name"
    else:
        return None
    return problem("F007", message, name, hint="take another name")
