"""What ``convo outbox`` and ``convo inbox`` share: a decision about several rows, each told in a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from convo.errors import ConfigError


def each_row(rows: Sequence[int], decide: Callable[[int], str]) -> int:
    """Decide about each row and tell it; return 2 where one was refused, after the others were done."""
    if not rows:
        raise click.UsageError("name the ID of at least one row; list shows them")
    code = 0
    for row in dict.fromkeys(rows):
        try:
            click.echo(f"{row}: {decide(row)}")
        except ConfigError as refused:
            click.echo(str(refused), err=True)
            code = refused.exit_code
    return code
