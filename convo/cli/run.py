"""``convo run``: the flow, the store, the channel and the loops, put together until stopped."""

from __future__ import annotations

from pathlib import Path

import click

LEVELS = ("debug", "info", "warning", "error")


@click.command("run")
@click.argument("flow", type=click.Path(path_type=Path))
@click.option(
    "--transport",
    default="console",
    show_default=True,
    metavar="NAME",
    help="console (this terminal, or a pipe), telstra_v2, or one that a package offers.",
)
@click.option(
    "--store", default="convo.db", show_default=True, metavar="PATH|memory", help="Where to remember."
)
@click.option(
    "--greet", multiple=True, metavar="NUMBER", help="Open the conversation with NUMBER; repeatable."
)
@click.option(
    "--poll",
    type=click.FloatRange(min=0, min_open=True, max=86400),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to rest between polls that brought nothing.",
)
@click.option("--once", is_flag=True, help="Take what is there, answer it and exit: fit for cron.")
@click.option("--emulate", is_flag=True, help="Emulate the provider here, with your terminal as its phone.")
@click.option("--log-level", type=click.Choice(LEVELS), help="What is logged on stderr.")
def command(
    flow: Path,
    transport: str,
    store: str,
    greet: tuple[str, ...],
    poll: float,
    once: bool,
    emulate: bool,
    log_level: str | None,
) -> int:
    """Run FLOW: receive texts, step each sender's machine, send the replies.

    On the console a terminal becomes a chat. On a pipe each line is a text from +61400000000, or, written
    '+NUMBER: text', from that number; replies are printed as '+NUMBER: text'.

    telstra_v2 reads TELSTRA_CLIENT_ID, TELSTRA_CLIENT_SECRET, and where the defaults do not do
    TELSTRA_BASE_URL, TELSTRA_TOKEN_URL and TELSTRA_NUMBER from the environment.

    Ctrl-C or SIGTERM ends it after the step in hand.
    """
    from convo.cli.service import Options, serve

    return serve(Options(flow, transport, store, greet, poll, once, emulate, log_level))
