"""``convo config``: looks after the configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.flow.problems import Problem
    from convo.runtime.config import Config


@click.group("config")
def command() -> None:
    """Look after a configuration file (convo.yaml)."""


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path), default="convo.yaml")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check_command(file: Path, form: str) -> int:
    """Show every problem of FILE [default: convo.yaml] and of the flows it names; nothing is run.

    Secrets have to be there, transports have to take their settings; no provider is asked. Exit code 0:
    it can run. 2: the configuration has errors. 1: only flows have.
    """
    import json
    import os

    from convo.analysis.checks import looked_over
    from convo.clock import SystemClock
    from convo.flow.problems import FlowError, Severity
    from convo.runtime.config import ConfigProblems, read_config
    from convo.runtime.log import count

    problems: list[Problem] = []
    code, told = 0, ""
    try:
        config = read_config(file, os.environ)
        flows = {
            compiled.flow.path: compiled
            for channel in config.channels
            for compiled in channel.flows.flows.values()
        }
        told = f"{count(len(config.channels), 'channel')}, {count(len(flows), 'flow')}: "
        problems += config.warnings
        room = _without_room(config)
        problems += room
        code = ConfigProblems.exit_code if room else code
        try:
            transports = config.transports(SystemClock())
        except ConfigProblems as wrong:
            transports = {}
            problems += wrong.problems
            code = wrong.exit_code
        for path, compiled in flows.items():
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
            carriers = [
                transports[channel.name]
                for channel in config.channels
                if channel.name in transports and compiled in channel.flows.flows.values()
            ]
            problems += looked_over(
                compiled, lines, {each.name: each.reserved_words for each in carriers}
            ).found
        for transport in transports.values():
            transport.close()
    except (ConfigProblems, FlowError) as wrong:
        problems += wrong.problems
        code = wrong.exit_code
    errors = sum(each.severity is Severity.ERROR for each in problems)
    if errors and not code:
        code = FlowError.exit_code
    if form == "json":
        click.echo(json.dumps([each.as_data() for each in problems], indent=2, ensure_ascii=False))
        return code
    for each in problems:
        click.echo(str(each))
    found = f"{count(errors, 'error')}, {count(len(problems) - errors, 'warning')}" if problems else "fine"
    click.echo(f"{file}: {told}{found}")
    return code


def _without_room(config: Config) -> list[Problem]:
    """Return which files a run could not make where the configuration puts them, each at its line."""
    from convo.flow.codes import problem
    from convo.store import is_postgres

    in_a_file = config.store != "memory" and not is_postgres(config.store)
    found = []
    for key, what, file in (
        ("store", "the store", Path(config.store) if in_a_file else None),
        ("health", "the health file", config.health_file),
    ):
        at = config.places.get(key)
        if file is None or at is None or (file.parent.is_dir() and not file.is_dir()):
            continue
        why = "is a folder" if file.is_dir() else f"cannot be made: there is no folder {file.parent}"
        found.append(problem("G006", f"{what} {at} {why}", at).located(config.path, list(config.lines)))
    return found
