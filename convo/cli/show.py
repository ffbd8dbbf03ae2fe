"""How the operator's commands print: tables, moments, and texts that cannot play tricks on a terminal."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

from convo.messages import mask

BAD = 5
"""Exit code of ``convo status`` when something needs a person."""

_NARROWEST = 20
"""Texts are not folded into fewer columns than these; a file or a pipe takes any length."""

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160), 0x2028, 0x2029), " ")
_TURNS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "")


def printable(text: str) -> str:
    """Return a text on one line, without control characters, turned directions or halves of letters."""
    line = text.replace("\r\n", " ⏎ ").replace("\n", " ⏎ ").translate(_CONTROLS | _TURNS)
    return line.encode("utf-8", "replace").decode("utf-8")


def when(moment: datetime | None) -> str:
    """Return a moment in UTC to the second, ``-`` for none."""
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def iso(moment: datetime | None) -> str | None:
    """Return a moment for JSON."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def who(number: str, *, full: bool) -> str:
    """Return a number as it may be shown: masked unless it was asked for."""
    return printable(number) if full else mask(number) if number else "-"


def ago(moment: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was, ``-`` for none."""
    from convo.store.views import brief

    return "-" if moment is None else f"{brief(now - moment)} ago"


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "", below: Sequence[str] = ()
) -> None:
    """Print rows in columns; on a terminal, what is too long for it goes on below the last column.

    ``below`` holds a text for each row, printed under it; none where it is empty.
    """
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    texts = ["", *(below or [""] * len(rows))]
    for line, text in zip(lines, texts, strict=True):
        head = "".join(cell.ljust(width) + "  " for cell, width in zip(line[:-1], widths[:-1], strict=True))
        told(line[-1], indent + head)
        if text:
            told(text, indent + "  ")


def told(text: str, head: str = "") -> None:
    """Print ``head`` and ``text`` on one line; on a terminal, a long text goes on below where it began."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    if len(head) + len(text) <= width or width - len(head) < _NARROWEST:
        click.echo((head + text).rstrip())
        return
    lines = textwrap.wrap(text, width - len(head), break_on_hyphens=False)
    click.echo(head + f"\n{' ' * len(head)}".join(lines))


def as_json(data: Mapping[str, object] | Sequence[object]) -> None:
    """Print data as JSON; half a surrogate pair, which is no UTF-8, is escaped like every other letter."""
    click.echo(json.dumps(data, indent=2))
