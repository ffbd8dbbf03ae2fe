"""``convo transport telstra_v3``: the virtual numbers of the account, their replies, their opt-outs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.transports.telstra_v3 import TelstraV3
    from convo.transports.telstra_v3_answers import VirtualNumber


@click.group("telstra_v3")
def command() -> None:
    """Telstra's Messaging API v3; settings come from TELSTRA_CLIENT_ID, TELSTRA_CLIENT_SECRET and others."""


@command.group("number")
def number() -> None:
    """The virtual numbers that are rented; TELSTRA_NUMBER says which, where there are several."""


@number.command("show")
def show() -> None:
    """Print every number of the account, and where its replies go."""
    with _telstra() as transport:
        found = transport.numbers.all()
    if not found:
        click.echo("there is no virtual number; rent one with: convo transport telstra_v3 number rent")
    for each in found:
        _print(each)


@number.command("rent")
def rent() -> None:
    """Rent another number; its replies are listed."""
    with _telstra() as transport:
        _print(transport.numbers.create())


@number.command("poll")
def poll() -> None:
    """Let replies be listed only (no replyCallbackUrl); the tags stay."""
    with _telstra() as transport:
        _print(transport.numbers.change(_ours(transport), None))


@number.command("push")
@click.argument("url")
def push(url: str) -> None:
    """Have replies pushed to URL, too; the tags stay."""
    with _telstra() as transport:
        _print(transport.numbers.change(_ours(transport), url))


@number.command("optouts")
def optouts() -> None:
    """Print who has opted out of the number with Telstra, and cannot be written to."""
    with _telstra() as transport:
        ours = _ours(transport).number
        found = transport.numbers.opted_out(ours)
    for who in found:
        click.echo(who)
    if not found:
        click.echo(f"nobody has opted out of {ours} with Telstra", err=True)


@number.command("delete")
@click.confirmation_option(prompt="Give the number back? It may not be had again")
def delete() -> None:
    """Give the number back."""
    with _telstra() as transport:
        transport.numbers.delete(_ours(transport).number)
    click.echo("the number is given back")


@contextmanager
def _telstra() -> Iterator[TelstraV3]:
    import os

    from convo.clock import SystemClock
    from convo.transports.telstra_v3 import create

    transport = create(channel="telstra_v3", clock=SystemClock(), environ=os.environ)
    try:
        yield transport
    finally:
        transport.close()


def _ours(transport: TelstraV3) -> VirtualNumber:
    from convo.errors import ConfigError

    held = transport.held_number()
    if held is None:
        raise ConfigError(
            "this account has no virtual number; rent one with: convo transport telstra_v3 number rent"
        )
    return held


def _print(held: VirtualNumber) -> None:
    click.echo(f"number       {held.number}")
    click.echo(f"replies      {f'listed, and pushed to {held.reply_url}' if held.reply_url else 'listed'}")
    if held.tags:
        click.echo(f"tags         {', '.join(held.tags)}")
    if held.last_use_at is not None:
        click.echo(f"last used    {held.last_use_at.isoformat(timespec='seconds')}")
