"""``convo inbox``: messages that were set aside, and what a person decides about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.store.base import InboxRow


@click.command("inbox")
@click.argument("action", type=click.Choice(["list", "retry", "drop"]), default="list")
@click.argument("rows", nargs=-1, type=int, metavar="[ID]…")
@click.option("--store", default="convo.db", show_default=True, metavar="PATH", help="The store.")
@click.option("--channel", metavar="NAME", help="Only this channel's rows.")
@click.option("--texts", is_flag=True, help="Show the texts, and the numbers in full.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    action: str, rows: tuple[int, ...], store: str, channel: str | None, texts: bool, form: str
) -> int:
    """Show the messages that were set aside (dead letters), and settle them by hand.

    list: each with the reason. retry ID…: have them stepped again, best after the cause is mended; a run
    that is at work, or the next one, does it. drop ID…: leave them unanswered for good. Exit 2 where a row
    could not be retried or dropped; the others were.
    """
    from convo.cli.by_hand import each_row
    from convo.cli.show import as_json
    from convo.store import open_by_hand, open_views

    if action != "list":
        with open_by_hand(store) as desk:
            decide, said = (
                (desk.retry_message, "waits for its step again")
                if action == "retry"
                else (desk.drop_message, "dropped")
            )

            def tell(row: int) -> str:
                decide(row)
                return said

            return each_row(rows, tell)
    if rows:
        raise click.UsageError("list takes no ID; say retry or drop before it")
    with open_views(store) as views:
        found = views.dead_rows(channel)
    if form == "json":
        as_json([_as_data(row, texts) for row in found])
    else:
        _print(found, texts)
    return 0


def _print(found: list[InboxRow], texts: bool) -> None:
    from convo.cli.show import ago, printable, table, who
    from convo.clock import SystemClock

    if not found:
        click.echo("there are none")
        return
    now = SystemClock().now()
    header = ("id", "channel", "from", "received", "because")
    table(
        header,
        [
            (
                str(row.id),
                row.channel,
                who(row.sender, full=texts),
                ago(row.received_at, now),
                printable(row.reason),
            )
            for row in found
        ],
        below=[printable(row.text or row.raw) for row in found] if texts else (),
    )


def _as_data(row: InboxRow, texts: bool) -> dict[str, object]:
    from convo.cli.show import iso, who

    data: dict[str, object] = {
        "id": row.id,
        "channel": row.channel,
        "from": who(row.sender, full=texts),
        "received_at": iso(row.received_at),
        "reason": row.reason,
    }
    return {**data, "text": row.text, "raw": row.raw} if texts else data
