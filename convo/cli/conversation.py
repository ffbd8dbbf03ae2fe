"""``convo conversation``: one person, as the store knows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from convo.engine.conversation import Conversation
    from convo.flow.values import Value
    from convo.store.base import JournalEntry
    from convo.store.views import PersonView


@click.command("conversation")
@click.argument("number")
@click.option("--store", default="convo.db", show_default=True, metavar="PATH", help="The store to look at.")
@click.option("--channel", metavar="NAME", help="Only on this channel.")
@click.option(
    "--steps", type=click.IntRange(0, 10000), default=10, show_default=True, help="How many steps to tell."
)
@click.option("--country", default="AU", show_default=True, help="Where a NUMBER without a prefix belongs.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(number: str, store: str, channel: str | None, steps: int, country: str, form: str) -> int:
    """Show the conversation with NUMBER: state, data, last steps in words, timers, consent.

    It shows what people wrote, because you asked for this one person. Exit 1 where nothing is known.
    """
    from convo.cli.show import as_json
    from convo.cli.typed import typed_number
    from convo.store import open_views
    from convo.store import shown as address_of

    address = typed_number("NUMBER", number, country.upper())
    with open_views(store) as views:
        found = views.person(address, channel=channel, steps=steps)
    if form == "json":
        as_json([_as_data(each) for each in found])
    else:
        for each in found:
            _print(each)
        if not found:
            on = f" on the channel {channel}" if channel else ""
            click.echo(f"nothing is known of {address}{on} in {address_of(store)}", err=True)
    return 0 if found else 1


def _data(conversation: Conversation) -> dict[str, str]:
    """Return the data as it is shown. The one place where a private name would be masked."""
    from convo.flow.values import show

    def shown(name: str, value: Value) -> str:  # noqa: ARG001 - the name decides once flows have private ones
        return show(value, conversation.language)

    return {name: shown(name, value) for name, value in conversation.data.items()}


def _print(person: PersonView) -> None:
    from convo.cli.show import printable, table, told, when

    click.echo(f"{person.number} on {person.channel}")
    if person.conversations:
        last = person.conversations[-1]
        how = f"waits in '{last.state}'" if last.is_open else f"ended: {last.ended}, {when(last.ended_at)}"
        click.echo(
            f"  conversation {last.number} in {last.flow}, opened {when(last.opened_at)}: {printable(how)}"
        )
        data = _data(last)
        if data:
            click.echo("  data")
            table(("name", "value"), [(name, printable(value)) for name, value in data.items()], "    ")
        for earlier in person.conversations[:-1]:
            click.echo(
                f"  before it: {earlier.number} in {earlier.flow}, ended: {printable(earlier.ended or '-')}"
            )
    if person.steps:
        click.echo(f"  steps, the last {len(person.steps)} of {person.of}")
        for entry in person.steps:
            for line in _told(entry):
                told(line.lstrip(), "    " + " " * (len(line) - len(line.lstrip())))
    for timer in person.timers:
        click.echo(f"  timer '{timer.name}' is due {when(timer.due_at)}")
    for row in person.outbox:
        because = f", {printable(row.reason)}" if row.reason else ""
        told(f"{row.status}{because}: {printable(row.outbound.text)}", f"  outbox {row.outbound.id}: ")
    for given in person.consent:
        click.echo(f"  {given.kind} {when(given.at)} by {given.source}: {printable(given.wording)}")


def _told(entry: JournalEntry) -> list[str]:
    """Tell one step in words."""
    from convo.cli.show import printable, when
    from convo.store.rows import moment

    record = json.loads(entry.record)
    lines = [f"{when(entry.at)}  {printable(_heard(record))}"]
    before, after = record["before"], record["after"]
    if record["ended"] is not None:
        lines.append(f"  ended: {printable(record['ended'])}")
    elif not before:
        lines.append(f"  opened {entry.flow} in '{after}'")
    elif before != after:
        lines.append(f"  went from '{before}' to '{after}'")
    else:
        lines.append(f"  stayed in '{after}'")
    lines += [f"  by {printable(each)}" for each in record["took"]]
    for recipient, _, text in record["said"]:
        to = "" if recipient == entry.sender else f" to {recipient}"
        lines.append(f"  we said{to}: {printable(text)}")
    if record["request"] is not None:
        lines.append(f"  asked the service '{record['request'][0]}'")
    lines += [f"  timer '{name}' set for {when(moment(due_at))}" for name, due_at in record["timers"]]
    lines += [f"  ({printable(note)})" for note in record["notes"]]
    if record["fault"] is not None:
        lines.append(f"  UNDONE: {printable(record['fault'])}")
    return lines


def _heard(record: Mapping[str, Any]) -> str:
    match record["event"]:
        case "received":
            return f"they wrote: {record['text']}"
        case "timer":
            return f"the timer '{record['name']}' fired"
        case "call":
            return f"the service answered: {record['result']}"
        case _:
            return "we opened the conversation"


def _as_data(person: PersonView) -> dict[str, object]:
    from convo.cli.show import iso

    return {
        "channel": person.channel,
        "number": person.number,
        "conversations": [
            {
                "number": each.number,
                "flow": each.flow,
                "state": each.state,
                "opened_at": iso(each.opened_at),
                "last_at": iso(each.now_at),
                "ended": each.ended,
                "ended_at": iso(each.ended_at),
                "data": _data(each),
            }
            for each in person.conversations
        ],
        "steps_taken": person.of,
        "steps": [
            {"conversation": each.number, "step": each.step, "flow": each.flow, **_record(each)}
            for each in person.steps
        ],
        "timers": [{"name": each.name, "due_at": iso(each.due_at)} for each in person.timers],
        "outbox": [
            {
                "id": each.outbound.id,
                "status": each.status,
                "reason": each.reason,
                "text": each.outbound.text,
            }
            for each in person.outbox
        ],
        "consent": [
            {"kind": each.kind, "at": iso(each.at), "source": each.source, "wording": each.wording}
            for each in person.consent
        ],
    }


def _record(entry: JournalEntry) -> dict[str, object]:
    """Return the step as the journal has it, without what the conversation shows already."""
    record: dict[str, object] = json.loads(entry.record)
    return {key: value for key, value in record.items() if key not in ("data", "given")}
