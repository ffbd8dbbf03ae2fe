"""``convo transport check``: the conformance kit, and before it the problems of a provider's description."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("check")
@click.argument("name", metavar="NAME|FILE")
@click.option(
    "--secrets", is_flag=True, help="See too that the variables of a description's secrets are set."
)
def command(name: str, secrets: bool) -> int:
    """Run the list of what every transport must do, against a stand-in of its provider on this machine.

    NAME is a transport (telstra_v2, twilio, kannel, or one of an installed package), FILE the description
    of a provider (docs/generic.md): its problems are shown first. Nobody else is asked anything. Exit 1
    where a check fails, 2 where there are problems.
    """
    from convo.testing.conformance import run
    from convo.testing.stand_ins import SUFFIXES, stand_in_of

    if name.endswith(SUFFIXES):
        _description(Path(name), secrets)
    make = stand_in_of(name)
    wrong = fine = without = 0
    for outcome in run(make):
        if outcome.wrong:
            wrong += 1
            click.echo(f"  {click.style('wrong', fg='red')}  {outcome.name}")
            click.echo(f"         {outcome.wrong}")
        elif outcome.without:
            without += 1
            click.echo(f"  -      {outcome.name}  ({outcome.without})")
        else:
            fine += 1
            click.echo(f"  {click.style('ok', fg='green')}     {outcome.name}")
    click.echo(f"{name}: {fine} fine, {wrong} wrong, {without} do not apply")
    return 1 if wrong else 0


def _description(path: Path, secrets: bool) -> None:
    """Say that a description has no problem.

    Raises:
        ConfigProblems: it has.
    """
    import os

    from convo.runtime.provider import read_description

    found = read_description(path, os.environ if secrets else None)
    ways = [name for name, way in (("polled", found.poll), ("pushed", found.webhook)) if way is not None]
    click.echo(f"{path}: no problem  ({found.provider}, texts are {' or '.join(ways)})")
