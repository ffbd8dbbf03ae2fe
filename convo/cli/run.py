"""``convo run``: flows, store, channels and loops, put together until stopped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

LEVELS = ("debug", "info", "warning", "error")
FORMS = ("text", "json")
LONGEST_REST = 86_400.0


def _rest(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Read ``30s``, ``5m``, or seconds with or without a fraction; return seconds."""
    if value is None:
        return None
    from convo.flow.values import parse_duration

    found = parse_duration(value)
    try:
        seconds = float(value) if found is None else found.total_seconds()
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_REST:
        raise click.BadParameter(
            f"{value!r} is no time to rest; write 1s, 30s or 5m; at most 24h", ctx, param
        )
    return seconds


@click.command("run")
@click.argument("flow", required=False, type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Run the channels of FILE (convo.yaml) instead of one flow.",
)
@click.option(
    "--channel",
    multiple=True,
    metavar="NAME",
    help="With --config: run this channel only; repeatable.",
)
@click.option(
    "--transport",
    metavar="NAME",
    help="console (this terminal, or a pipe), a name, or a description (FILE.yaml).  [default: console]",
)
@click.option(
    "--store",
    metavar="PATH|URL|memory",
    help="Where to remember: a file, or postgresql://USER@HOST/DATABASE.  [default: convo.db]",
)
@click.option(
    "--greet", multiple=True, metavar="NUMBER", help="Open the conversation with NUMBER; repeatable."
)
@click.option(
    "--poll",
    callback=_rest,
    metavar="TIME",
    help="How long to rest between polls that brought nothing: 5s, 1m, or seconds.  [default: 1s]",
)
@click.option("--once", is_flag=True, help="Take what is there, answer it and exit: fit for cron.")
@click.option("--emulate", is_flag=True, help="Emulate the provider here, with your terminal as its phone.")
@click.option(
    "--push",
    metavar="URL",
    help="Have the provider call us at URL instead of polling it: the public address of this program.",
)
@click.option(
    "--listen",
    metavar="ADDRESS",
    help="With --push: where to listen.  [default: 127.0.0.1:8080]",
)
@click.option(
    "--since",
    metavar="TIME",
    help="How far back a new store begins, where texts are listed: 12h, 30d.  [default: 5m]",
)
@click.option(
    "--no-steps", is_flag=True, help="Receive and deliver only: 'convo worker' on the same store steps."
)
@click.option("--log-level", type=click.Choice(LEVELS), help="What is logged on stderr.")
@click.option("--log", type=click.Choice(FORMS), help="How it is logged.  [default: text]")
def command(
    flow: Path | None,
    config: Path | None,
    channel: tuple[str, ...],
    transport: str | None,
    store: str | None,
    greet: tuple[str, ...],
    poll: float | None,
    once: bool,
    emulate: bool,
    push: str | None,
    listen: str | None,
    since: str | None,
    no_steps: bool,
    log_level: str | None,
    log: str | None,
) -> int:
    """Run FLOW, or the channels of a configuration: receive texts, step each sender's machine, reply.

    On the console a terminal becomes a chat. On a pipe each line is a text from +61400000000, or, written
    '+NUMBER: text', from that number; replies are printed as '+NUMBER: text'.

    telstra_v3 and telstra_v2 read TELSTRA_CLIENT_ID, TELSTRA_CLIENT_SECRET, and where the defaults do not
    do TELSTRA_BASE_URL, TELSTRA_TOKEN_URL and TELSTRA_NUMBER from the environment.

    With --push the path of the webhook holds a secret, from KANNEL_PUSH_SECRET (TELSTRA_, TWILIO_ …).

    On a store in PostgreSQL several runs may be at work: one polls and delivers a channel, the others stand
    by, and all of them step.

    What stands on the command line goes before what stands in the file of --config.

    Ctrl-C or SIGTERM ends it after the step in hand.
    """
    with _ends_at_once():
        from convo.cli.service import Options, serve

    return serve(
        Options(
            flow=flow,
            config=config,
            channels=channel,
            transport=transport,
            store=store,
            greet=greet,
            poll=poll,
            once=once,
            emulate=emulate,
            log_level=log_level,
            log=log,
            push=push,
            listen=listen,
            since=since,
            no_steps=no_steps,
        )
    )


@contextmanager
def _ends_at_once() -> Iterator[None]:
    """While nothing has begun but imports, Ctrl-C and SIGTERM end the process, with 0 and without a word."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: os._exit(0)) for number in numbers}
    try:
        yield
    finally:
        for number, how in before.items():
            signal.signal(number, how)
