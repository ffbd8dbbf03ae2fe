"""``convo status``: how channels, rows and conversations stand, and whether a person must look."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

_RETRIED = {"queued": "tried again"}

if TYPE_CHECKING:
    from convo.store.views import ChannelView, FlowView, Overview, Trouble


def _duration(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    """Read ``90s``, ``10m``, ``24h``, ``3d``, ``2w``."""
    from convo.flow.values import parse_duration

    found = parse_duration(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no duration; write 90s, 10m, 24h or 3d", ctx, param)
    return found


@click.command("status")
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path),
    help="The file of the run: it says the store, and which channels ought to be polled.",
)
@click.option(
    "--store", metavar="PATH", help="The store to look at.  [default: that of --config, or convo.db]"
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--silence",
    callback=_duration,
    metavar="DURATION",
    default="10m",
    show_default=True,
    help="A channel without a good poll for so long is bad.",
)
@click.option(
    "--waiting",
    callback=_duration,
    metavar="DURATION",
    default="10m",
    show_default=True,
    help="A row that waits so long is bad.",
)
def command(config: Path | None, store: str | None, form: str, silence: timedelta, waiting: timedelta) -> int:
    """Show how things stand: channels, what waits, what went wrong, conversations by state.

    Exit code 0: all is well. 5: something needs a person, each such thing in a line of its own. It only
    reads, also while `convo run` works on the store.
    """
    from convo.cli.show import BAD, as_json
    from convo.clock import SystemClock
    from convo.runtime.config import STORE
    from convo.store import open_views
    from convo.store.views import Limits, troubles

    polled = None
    if config is not None:
        configured, polled = _configured(config)
        store = store or configured
    with open_views(store or STORE) as views:
        overview = views.overview(SystemClock().now())
    found = troubles(overview, Limits(silence, waiting), polled)
    if form == "json":
        as_json(_as_data(overview, found))
    else:
        _print(overview, found)
    return BAD if found else 0


def _configured(file: Path) -> tuple[str, list[str]]:
    """Return the store of a configuration, and those of its channels that ought to have good polls.

    Raises:
        ConfigError: it has problems.
    """
    import os

    from convo.runtime.config import CONSOLE, read_config

    config = read_config(file, os.environ, accounts=False)
    return config.store, [each.name for each in config.channels if each.transport != CONSOLE]


def _print(overview: Overview, found: list[Trouble]) -> None:
    from convo.cli.show import ago, printable, table
    from convo.store.views import brief

    if not overview.channels:
        click.echo("nothing has happened in this store yet")
    else:
        rows = [
            (
                each.name,
                ago(each.last_good_poll_at, overview.at),
                str(each.waiting_in),
                str(each.outbox.get("queued", 0)),
                str(sum(reason.rows for reason in each.reasons if reason.status == "unknown")),
                str(sum(reason.rows for reason in each.reasons if reason.status in ("failed", "expired"))),
                str(sum(reason.rows for reason in each.reasons if reason.status == "blocked")),
                str(sum(reason.rows for reason in each.dead)),
                str(each.timers),
            )
            for each in overview.channels
        ]
        header = ("channel", "good poll", "inbox", "outbox", "unknown", "failed", "blocked", "dead", "timers")
        table(header, rows)
    reasons = [
        (each.name, kind, str(reason.rows), ago(reason.last_at, overview.at), printable(reason.reason) or "-")
        for each in overview.channels
        for reason, kind in (
            *((reason, _RETRIED.get(reason.status, reason.status)) for reason in each.reasons),
            *((reason, f"dead {reason.status}") for reason in each.dead),
        )
    ]
    if reasons:
        click.echo()
        table(("channel", "rows", "how many", "last", "because"), reasons)
    states = [(flow.name, state, str(number)) for flow in overview.flows for state, number in _states(flow)]
    if states:
        click.echo()
        table(("flow", "state", "conversations"), states)
    left = [f"{each.opted_out} on {each.name}" for each in overview.channels if each.opted_out]
    if left:
        click.echo(f"\nopted out: {', '.join(left)}")
    timers = [each.next_timer_at for each in overview.channels if each.next_timer_at is not None]
    if timers:
        wait = min(timers) - overview.at
        due = f"in {brief(wait)}" if wait.total_seconds() > 0 else f"for {brief(-wait)}"
        click.echo(f"\nthe next timer is due {due}")
    click.echo()
    for trouble in found:
        click.echo(f"BAD  {trouble.sentence}")
    if not found:
        click.echo("all is well")


def _states(flow: FlowView) -> list[tuple[str, int]]:
    return [*flow.open.items(), *((f"ended: {how}", number) for how, number in flow.ended.items())]


def _as_data(overview: Overview, found: list[Trouble]) -> dict[str, object]:
    from convo.cli.show import iso

    return {
        "at": iso(overview.at),
        "good": not found,
        "troubles": [
            {"code": each.code, "channel": each.channel, "sentence": each.sentence} for each in found
        ],
        "channels": [_channel_as_data(each) for each in overview.channels],
        "flows": [
            {"flow": each.name, "open": dict(each.open), "ended": dict(each.ended)} for each in overview.flows
        ],
    }


def _channel_as_data(channel: ChannelView) -> dict[str, object]:
    from convo.cli.show import iso

    return {
        "channel": channel.name,
        "last_good_poll_at": iso(channel.last_good_poll_at),
        "inbox": {
            "waiting": channel.waiting_in,
            "oldest_at": iso(channel.oldest_in),
            "dead": sum(each.rows for each in channel.dead),
        },
        "outbox": {**channel.outbox, "oldest_queued_at": iso(channel.oldest_out)},
        "reasons": [
            {"status": each.status, "rows": each.rows, "reason": each.reason, "last_at": iso(each.last_at)}
            for each in channel.reasons
        ],
        "dead": [
            {"kind": each.status, "rows": each.rows, "reason": each.reason, "last_at": iso(each.last_at)}
            for each in channel.dead
        ],
        "timers": {"waiting": channel.timers, "next_at": iso(channel.next_timer_at)},
        "opted_out": channel.opted_out,
    }
