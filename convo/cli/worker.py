"""``convo worker``: steps what a ``convo run`` elsewhere receives and delivers, on any machines."""

from __future__ import annotations

from pathlib import Path

import click

from convo.cli.run import FORMS, LEVELS


@click.command("worker")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="The file of channels and flows (convo.yaml) that 'convo run' is given, too.",
)
@click.option("--store", metavar="URL", help="The store, where the file does not say: postgresql://…")
@click.option(
    "--at-once",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="How many batches it steps at one moment: more than one where the database is far away.",
)
@click.option("--log-level", type=click.Choice(LEVELS), help="What is logged on stderr.")
@click.option("--log", type=click.Choice(FORMS), help="How it is logged.  [default: text]")
def command(config: Path, store: str | None, at_once: int, log_level: str | None, log: str | None) -> int:
    """Step the senders' machines of a store in PostgreSQL, beside other workers.

    It polls and delivers nothing and asks no provider, so it needs none of their secrets: a 'convo run' on
    the same store does that. Any number of workers may be started, stopped and killed, at any moment.

    Ctrl-C or SIGTERM ends it after the steps in hand.
    """
    from convo.cli.working import work

    return work(config, store, at_once, log_level, log)
