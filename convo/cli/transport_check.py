"""``convo transport check``: look a provider's description over, without asking the provider anything."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--secrets", is_flag=True, help="See too that the variables of its secrets are set.")
def command(file: Path, secrets: bool) -> None:
    """Show every problem of FILE, the description of a provider (docs/generic.md)."""
    import os

    from convo.runtime.provider import read_description

    found = read_description(file, os.environ if secrets else None)
    ways = [name for name, way in (("polled", found.poll), ("pushed", found.webhook)) if way is not None]
    click.echo(f"{file}: no problem  ({found.provider}, texts are {' or '.join(ways)})")
