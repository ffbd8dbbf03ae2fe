"""``convo machine``: the explicit machine that a flow really is."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("machine")
@click.argument("flow", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(flow: Path, form: str) -> None:
    """Print every transition of FLOW: source, trigger, condition, dest, effects, line of the file."""
    import json

    from convo.engine.machine import compile_flow, rows
    from convo.flow.parse import load_flow

    compiled = compile_flow(load_flow(flow))
    found = rows(compiled)
    if form == "json":
        click.echo(json.dumps([row.as_data() for row in found], indent=2, ensure_ascii=False))
        return
    table = [("source", "trigger", "condition", "dest", "effects", "line")]
    table += [
        (
            row.source,
            row.trigger,
            row.condition or "-",
            row.dest or "(stays)",
            row.effects or "-",
            str(row.line),
        )
        for row in found
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    click.echo(f"{compiled.flow.name}: starts in {compiled.machine.initial}")
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
