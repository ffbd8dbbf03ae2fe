"""``convo chat``: text with a flow on a simulated phone; nothing is kept."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("chat")
@click.argument("flow", type=click.Path(path_type=Path))
@click.option(
    "--greet", multiple=True, metavar="NUMBER", help="Open the conversation with NUMBER; repeatable."
)
def command(flow: Path, greet: tuple[str, ...]) -> int:
    """Text with FLOW on a simulated phone; nothing is kept.

    It is `convo run` on the console with its memory in this process.
    """
    from convo.cli.service import Options, serve

    return serve(Options(flow=flow, store="memory", greet=greet))
