"""Statements and migrations, which stand in files under ``sql/``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def statements(*files: str) -> Mapping[str, str]:
    """Return the statements of these files by name; those of a later file go before those of an earlier."""
    found: dict[str, str] = {}
    for name in files:
        text = resources.files("convo.store").joinpath(f"sql/{name}").read_text(encoding="utf-8")
        parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
        found.update(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    return found


@cache
def migrations(folder: str = "") -> tuple[str, ...]:
    """Return the numbered files of a folder, in order: each brings a schema from one version to the next."""
    place = resources.files("convo.store").joinpath("sql").joinpath(folder or ".")
    names = sorted(each.name for each in place.iterdir() if re.match(r"\d{4}_", each.name))
    return tuple(place.joinpath(name).read_text(encoding="utf-8") for name in names)
