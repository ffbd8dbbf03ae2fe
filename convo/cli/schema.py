"""``convo schema``: what editors need to know of flow files."""

from __future__ import annotations

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of flow files; a YAML language server completes and checks with it."""
    from importlib import resources

    click.echo(resources.files("convo.flow").joinpath("schema.json").read_text(encoding="utf-8"), nl=False)
