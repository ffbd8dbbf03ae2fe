"""``convo transport``: check a transport, and look after the account of a provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from convo.cli.transport_check import command as check
from convo.cli.transport_telstra_v3 import command as telstra_v3

if TYPE_CHECKING:
    from convo.transports.telstra_v2 import Keep, TelstraV2
    from convo.transports.telstra_v2_answers import Subscription


@click.group("transport")
def command() -> None:
    """Check a transport, and look after the account of a provider."""


command.add_command(check)
command.add_command(telstra_v3)


@command.group("telstra_v2")
def telstra_v2() -> None:
    """Telstra's Messaging API v2; settings come from TELSTRA_CLIENT_ID, TELSTRA_CLIENT_SECRET and others."""


@telstra_v2.group("subscription")
def subscription() -> None:
    """The number that is rented, and where its replies go."""


@subscription.command("show")
def show() -> None:
    """Print what Telstra says of the subscription."""
    with _telstra() as transport:
        _print(transport.subscription())


@subscription.command("poll")
def poll() -> None:
    """Let replies wait to be polled (notifyURL null), as `convo run` needs it."""
    _change(None)


@subscription.command("push")
@click.argument("url")
def push(url: str) -> None:
    """Have replies pushed to URL; polling then finds none."""
    _change(url)


@subscription.command("keep")
@click.option("--days", type=click.IntRange(1, 1825), default=30, show_default=True, help="Days to add.")
def keep(days: int) -> None:
    """Create or extend the subscription and leave where replies go as it was."""
    from convo.transports.telstra_v2 import KEEP

    _change(KEEP, days)


@subscription.command("delete")
@click.confirmation_option(prompt="Give the number back? It may not be had again")
def delete() -> None:
    """Give the number back."""
    with _telstra() as transport:
        transport.delete_subscription()
    click.echo("the subscription is deleted")


def _change(notify_url: str | Keep | None, days: int | None = None) -> None:
    with _telstra() as transport:
        changed = transport.set_subscription(notify_url, days)
        # A new subscription may take a minute before Telstra shows it.
        _print(transport.subscription() or changed)


@contextmanager
def _telstra() -> Iterator[TelstraV2]:
    import os

    from convo.clock import SystemClock
    from convo.transports.telstra_v2 import create

    transport = create(channel="telstra_v2", clock=SystemClock(), environ=os.environ)
    try:
        yield transport
    finally:
        transport.close()


def _print(held: Subscription | None) -> None:
    if held is None:
        click.echo("there is no subscription; create one with: convo transport telstra_v2 subscription keep")
        return
    click.echo(f"number       {held.number}")
    click.echo(f"replies      {f'pushed to {held.notify_url}' if held.notify_url else 'wait to be polled'}")
    if held.active_days is not None:
        click.echo(f"days left    {held.active_days}")
    if held.expires_at is not None:
        click.echo(f"extendable   {held.expires_at.isoformat(timespec='seconds')}")
