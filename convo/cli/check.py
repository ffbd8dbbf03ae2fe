"""``convo check``: every problem of flow files, before anybody is texted."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("check")
@click.argument("flows", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FLOW…")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(flows: tuple[Path, ...], form: str) -> int:
    """Show every problem of the flow files: code, place, line, hint. Exit 1 where there are errors."""
    import json

    from convo.analysis.checks import check
    from convo.engine.machine import compile_flow
    from convo.flow.parse import load_flow
    from convo.flow.problems import FlowError, Problem, Severity
    from convo.runtime.log import count

    problems: list[Problem] = []
    for path in flows:
        try:
            compiled = compile_flow(load_flow(path))
            problems += check(compiled, path.read_text(encoding="utf-8-sig").splitlines())
        except FlowError as wrong:
            problems += wrong.problems
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if form == "json":
        click.echo(json.dumps([problem.as_data() for problem in problems], indent=2, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(str(problem))
        found = f"{count(errors, 'error')}, {count(len(problems) - errors, 'warning')}"
        click.echo(f"{count(len(flows), 'file')}: {found if problems else 'fine'}")
    return 1 if errors else 0
