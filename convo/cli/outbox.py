"""``convo outbox``: what did not simply leave, and what a person decides about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.store.base import OutboxRow

STUCK = ("unknown", "failed", "blocked", "expired")
STATUSES = ("queued", "sending", *STUCK, "sent", "delivered")


@click.command("outbox")
@click.argument("action", type=click.Choice(["list", "resend", "drop"]), default="list")
@click.argument("rows", nargs=-1, type=int, metavar="[ID]…")
@click.option("--store", default="convo.db", show_default=True, metavar="PATH", help="The store.")
@click.option("--channel", metavar="NAME", help="Only this channel's rows.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(STATUSES),
    help=f"List rows with this status; repeatable. Without: {', '.join(STUCK)}.",
)
@click.option("--texts", is_flag=True, help="Show the texts, and the numbers in full.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    action: str,
    rows: tuple[int, ...],
    store: str,
    channel: str | None,
    statuses: tuple[str, ...],
    texts: bool,
    form: str,
) -> int:
    """Show outbounds that did not simply leave, and settle them by hand.

    list: those that are unknown, failed, blocked or expired and have not been dropped. resend ID…: queue
    them again; the next look at consent still decides whether they leave. drop ID…: give them up; a queued
    one can be dropped too. Exit 2 where a row could not be resent or dropped; the others were.
    """
    from convo.store import open_views

    if action != "list":
        return _decide(action, rows, store)
    if rows:
        raise click.UsageError("list takes no ID; say resend or drop before it")
    with open_views(store) as views:
        found = views.outbox_rows(statuses or STUCK, channel)
    if form == "json":
        from convo.cli.show import as_json

        as_json([_as_data(row, texts) for row in found])
    else:
        _print(found, texts)
    return 0


def _decide(action: str, rows: tuple[int, ...], store: str) -> int:
    from convo.cli.by_hand import each_row
    from convo.clock import SystemClock
    from convo.store import open_by_hand

    now = SystemClock().now()
    with open_by_hand(store) as desk:
        if action == "resend":
            return each_row(rows, lambda row: f"queued again, was {desk.resend(row, now)}")
        return each_row(rows, lambda row: f"dropped, was {desk.drop(row, now)}")


def _print(found: list[OutboxRow], texts: bool) -> None:
    from convo.cli.show import ago, printable, table, who
    from convo.clock import SystemClock

    if not found:
        click.echo("there are none")
        return
    now = SystemClock().now()
    header = ("id", "channel", "to", "status", "said", "tries", "because")
    table(
        header,
        [
            (
                str(row.outbound.id),
                row.outbound.channel,
                who(row.outbound.recipient, full=texts),
                row.status,
                ago(row.created_at, now),
                str(row.attempts),
                printable(row.reason) or "-",
            )
            for row in found
        ],
        below=[printable(row.outbound.text) for row in found] if texts else (),
    )


def _as_data(row: OutboxRow, texts: bool) -> dict[str, object]:
    from convo.cli.show import iso, who

    data: dict[str, object] = {
        "id": row.outbound.id,
        "channel": row.outbound.channel,
        "to": who(row.outbound.recipient, full=texts),
        "kind": row.outbound.kind,
        "status": row.status,
        "created_at": iso(row.created_at),
        "next_at": iso(row.next_at),
        "attempts": row.attempts,
        "provider_id": row.provider_id,
        "reason": row.reason,
    }
    return {**data, "text": row.outbound.text} if texts else data
