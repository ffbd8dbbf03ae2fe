"""``convo explore``: transcripts that take every transition of a flow, for an author to read and keep."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("explore")
@click.argument("flow", type=click.Path(path_type=Path), metavar="FLOW")
@click.option("--missing", is_flag=True, help="Only what the transcripts beside the flow do not take yet.")
def command(flow: Path, missing: bool) -> int:
    """Print a test file with a few chats that take every transition of the flow.

    Answers are made up, right and wrong ones; time is moved to timers, services answer as they should
    and as they should not. Save it beside the flow, read it, change it:

    convo explore flows/stopwatch.yaml > flows/stopwatch.explored.test.yaml
    """
    from convo.engine.machine import compile_flow
    from convo.flow.parse import load_flow
    from convo.runtime.log import silent
    from convo.testing.explored import explored

    compiled = compile_flow(load_flow(flow))
    # Services that do not answer are part of what is tried.
    with silent():
        found = explored(flow, compiled, missing=missing)
    click.echo(found.text, nl=False)
    if found.missed:
        click.echo(f"no chat was found for {len(found.missed)} of {found.total} transitions:", err=True)
        for line in found.missed:
            click.echo(f"  {line}", err=True)
        if found.cut:
            click.echo(f"  the search was cut short {found.cut}", err=True)
    return 0
