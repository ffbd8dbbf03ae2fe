"""``convo replay``: the journal of a store made again, by the same flow or by another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.engine.conversation import Event
    from convo.engine.machine import CompiledFlow
    from convo.engine.opening import ChannelFlows
    from convo.runtime.rerun import Otherwise, Replayed, Side

_SHOWN = 6


@click.command("replay")
@click.argument("store", metavar="STORE")
@click.option(
    "--against",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FLOW",
    help="Have this flow answer instead of the one that did; repeatable.",
)
@click.option(
    "--flow",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The file of a flow that is not found by its name; repeatable.",
)
@click.option("--channel", metavar="NAME", help="Only on this channel.")
@click.option("--texts", is_flag=True, help="Show the texts, and the numbers in full.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    store: str,
    against: tuple[Path, ...],
    files: tuple[Path, ...],
    channel: str | None,
    texts: bool,
    form: str,
) -> int:
    """Make every step of STORE's journal again and say which would go otherwise. Exit 1 where any would.

    Without --against each step is made again by its own flow, as the conversation stood then. With
    --against NEW.yaml the new flow answers every conversation from its first text on: what people would
    have been told instead, side by side. Nothing is sent, nothing in the store is changed.
    """
    from convo.cli.show import as_json
    from convo.runtime.rerun import Replayed, compared, verified
    from convo.store import open_views

    found = Replayed()
    with open_views(store) as views:
        told = [each for each in views.flows_told() if channel in (None, each[0])]
        names = list(dict.fromkeys(flow for _, flow in told))
        compiled = _compiled(names, [*against, *files], Path(store), against_one=bool(against))
        served = {name: _served(name, told, compiled) for name, _ in told}
        for name, number in views.people():
            for person in views.person(number, channel=name, steps=1_000_000) if name in served else ():
                (compared if against else verified)(person.steps, served[name], found)
    if form == "json":
        as_json(_as_data(found, texts))
    else:
        _print(found, texts, against)
    return 1 if found.otherwise else 0


def _compiled(
    names: Sequence[str], files: Sequence[Path], store: Path, *, against_one: bool
) -> dict[str, CompiledFlow]:
    """Return the flows of these names, and those given.

    Raises:
        ConfigError: none of them is at hand.
        FlowError: a file that was given has problems.
    """
    from convo.cli.why import _candidates
    from convo.engine.machine import compile_flow
    from convo.errors import ConfigError, ConvoError
    from convo.flow.parse import load_flow

    found: dict[str, CompiledFlow] = {}
    for path in files:
        compiled = compile_flow(load_flow(path))
        found[compiled.flow.name] = compiled
    strangers = [name for name in found if name not in names]
    if against_one and len(found) == len(strangers) and names:
        raise ConfigError(
            f"--against: the journal tells of {', '.join(names)}, and none of these files is such a flow"
            f" (they are {', '.join(strangers)}); a flow is known by the name in its first line"
        )
    for name in names:
        for path in _candidates(name, store) if name not in found else ():
            try:
                compiled = compile_flow(load_flow(path))
            except ConvoError:
                continue
            if compiled.flow.name == name:
                found[name] = compiled
                break
    if names and not set(names) & set(found):
        raise ConfigError(f"no file of {', '.join(names)} is found from here; name it with --flow PATH")
    return found


def _served(channel: str, told: Sequence[tuple[str, str]], compiled: dict[str, CompiledFlow]) -> ChannelFlows:
    """Return the flows of a channel as far as its journal tells which those were."""
    from convo.engine.opening import ChannelFlows

    names = {flow for name, flow in told if name == channel}
    flows = {name: each for name, each in compiled.items() if name in names}
    # Which flow a text opens that is no keyword, the journal tells event by event.
    return ChannelFlows(channel, flows, next(iter(flows)) if len(flows) == 1 else None)


def _print(found: Replayed, texts: bool, against: Sequence[Path]) -> None:
    from convo.runtime.log import count

    for each in found.otherwise:
        for line in _told(each, texts):
            click.echo(line)
    said = f"{count(found.conversations, 'conversation')}, {count(found.steps, 'step')}"
    if found.otherwise:
        how = "would have gone otherwise" if against else "went otherwise than the same flow goes now"
        click.echo(f"{said}: {len(found.otherwise)} {how}")
        if not texts:
            click.echo("(--texts shows what was said)")
    else:
        click.echo(f"{said}: all alike")
    if found.elsewhere:
        click.echo(
            f"{count(found.elsewhere, 'step')} not made again: of a flow, or a version of one, that is not at"
            " hand; --against compares them"
        )
    if found.aside:
        click.echo(f"{count(found.aside, 'step')} set aside then")


def _told(each: Otherwise, texts: bool) -> Iterator[str]:
    from convo.cli.show import who

    yield (
        f"{who(each.sender, full=texts)} on {each.channel}, conversation {each.number} ({each.flow}),"
        f" from step {each.pairs[0].step}"
    )
    for pair in each.pairs[:_SHOWN]:
        yield f"  {_heard(pair.event, texts)}"
        then, now = _lines(pair.then, texts), _lines(pair.now, texts)
        width = max(len(line) for line in then)
        for at in range(max(len(then), len(now))):
            left = then[at] if at < len(then) else ""
            right = now[at] if at < len(now) else ""
            yield f"    {left.ljust(width)}  |  {right}".rstrip()
    if len(each.pairs) > _SHOWN:
        yield f"  and {len(each.pairs) - _SHOWN} more"


def _heard(event: Event, texts: bool) -> str:
    from convo.cli.show import printable
    from convo.engine.conversation import CallAnswered, Received, TimerFired

    match event:
        case Received():
            return f"they wrote: {printable(event.text)}" if texts else "they wrote"
        case TimerFired():
            return f"the timer '{printable(event.name)}' fired"
        case CallAnswered():
            return f"a service answered: {event.result}"
    return "we opened the conversation"


def _lines(side: Side, texts: bool) -> list[str]:
    from convo.cli.show import printable
    from convo.runtime.log import count

    if side.trouble:
        return [printable(side.trouble)]
    head = f"ended: {printable(side.ended)}" if side.ended is not None else f"in '{side.state}'"
    if not texts:
        return [f"{head}, {count(len(side.said), 'text')} said"]
    return [head, *(f"said: {printable(text)}" for text in side.said)]


def _as_data(found: Replayed, texts: bool) -> dict[str, object]:
    from convo.cli.show import who

    def side(each: Side) -> dict[str, object]:
        said: object = list(each.said) if texts else len(each.said)
        return {"state": each.state, "ended": each.ended, "said": said, "trouble": each.trouble}

    return {
        "conversations": found.conversations,
        "steps": found.steps,
        "not_made_again": found.elsewhere,
        "set_aside": found.aside,
        "otherwise": [
            {
                "channel": each.channel,
                "number": who(each.sender, full=texts),
                "conversation": each.number,
                "flow": each.flow,
                "steps": [
                    {
                        "step": pair.step,
                        "event": _heard(pair.event, texts),
                        "then": side(pair.then),
                        "now": side(pair.now),
                    }
                    for pair in each.pairs
                ],
            }
            for each in found.otherwise
        ],
    }
