"""``convo why``: why a step went as it did, from a store's journal or for a text that was never sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.analysis.explain import Explanation
    from convo.engine.machine import CompiledFlow
    from convo.flow.values import Value
    from convo.store.base import JournalEntry


@click.command("why")
@click.argument("what", metavar="NUMBER|FLOW")
@click.option("--store", metavar="PATH", help="The store whose journal tells of NUMBER.  [default: convo.db]")
@click.option("--step", type=click.IntRange(min=1), metavar="N", help="Which step; without it, the last.")
@click.option("--channel", metavar="NAME", help="Only on this channel.")
@click.option(
    "--flow",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The flow's file, where it is not found by its name; repeatable.",
)
@click.option("--country", default="AU", show_default=True, help="Where a NUMBER without a prefix belongs.")
@click.option("--text", help="What somebody might write to FLOW.")
@click.option("--state", help="In which state; without it, they write for the first time.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="What is saved; repeatable.")
@click.option("--language", help="The language that they speak with us.")
@click.option("--tries", type=click.IntRange(min=0), default=0, help="Wrong answers so far.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    what: str,
    store: str | None,
    step: int | None,
    channel: str | None,
    files: tuple[Path, ...],
    country: str,
    text: str | None,
    state: str | None,
    settings: tuple[str, ...],
    language: str | None,
    tries: int,
    form: str,
) -> int:
    """Say why a step went as it did: what was read and tried, which condition held, the lines that decided.

    `convo why NUMBER` explains a step that a store's journal tells of. `convo why FLOW --text TEXT`
    explains what a text would do, in the state and with the data that you name; nothing is sent or kept.
    """
    from convo.cli.show import as_json
    from convo.errors import ConfigError

    if text is not None:
        if store is not None or step is not None:
            raise ConfigError("either --text, for a text that was never sent, or a step of a --store")
        explanation = _of_text(Path(what), text, state, settings, language, tries)
        heading = ""
    else:
        if state is not None or settings or language is not None:
            raise ConfigError("--state, --set and --language go with --text and a FLOW")
        if what.endswith((".yaml", ".yml")):
            raise ConfigError(f"what might somebody write? Add --text: convo why {what} --text 'HELP'")
        heading, explanation = _of_journal(what, store or "convo.db", step, channel, files, country)
    if form == "json":
        as_json({"step": heading, **explanation.as_data()})
    else:
        for line in ([heading] if heading else []) + explanation.lines():
            click.echo(line)
    return 0


# -- a text that was never sent -------------------------------------------------------------------------


def _of_text(
    path: Path, text: str, state: str | None, settings: Sequence[str], language: str | None, tries: int
) -> Explanation:
    from dataclasses import replace

    from convo.analysis.explain import explain
    from convo.clock import SystemClock
    from convo.engine.conversation import Received
    from convo.engine.machine import compile_flow
    from convo.engine.opening import ChannelFlows
    from convo.engine.step import opened
    from convo.errors import ConfigError
    from convo.flow.model import Card
    from convo.flow.parse import load_flow
    from convo.flow.problems import nearest
    from convo.messages import Address

    compiled = compile_flow(load_flow(path))
    flow = compiled.flow
    flows = ChannelFlows("why", {flow.name: compiled}, flow.name)
    now = SystemClock().now()
    event = Received(text, now, now)
    data = _data(compiled, settings)
    sender = Address("+61400000000")
    if state is None:
        if data or tries or language:
            raise ConfigError("--set, --language and --tries say how a --state stands; name one")
        return explain(flows, sender, None, event, now)
    if not compiled.has_state(state):
        hint = nearest(state, flow.states)
        raise ConfigError(f"'{state}' is no state of {path}; {hint or 'states: ' + ', '.join(flow.states)}")
    card = flow.states[state].card if state in flow.states else Card.END
    if card not in (Card.QUESTION, Card.COMMAND):
        raise ConfigError(f"nobody writes in '{state}': it waits for no text")
    if language is not None and language not in flow.languages:
        known = ", ".join(flow.languages or (flow.language,))
        raise ConfigError(f"{path} does not speak '{language}'  (languages: {known})")
    new = opened(compiled, "why", sender, 1, event, now)
    conversation = replace(
        new,
        state=state,
        entry=1,
        tries=tries,
        data={**new.data, **data},
        language=language or new.language,
    )
    return explain(flows, sender, conversation, event, now)


def _data(compiled: CompiledFlow, settings: Sequence[str]) -> dict[str, Value]:
    """Return the data of ``--set``: by name, as the flow's types read it; a choice by its id."""
    from convo.errors import ConfigError
    from convo.flow.given import example_of, read_value
    from convo.flow.problems import nearest
    from convo.flow.values import Choice

    flow = compiled.flow
    choices: dict[str, dict[str, str]] = {}
    for state in flow.states.values():
        if state.question is not None and state.question.choices:
            found = choices.setdefault(state.scope + state.question.save, {})
            found |= {choice.id: choice.label for choice in state.question.choices}
    data: dict[str, Value] = {}
    for each in settings:
        name, is_there, written = each.partition("=")
        if not is_there:
            raise ConfigError(f"--set {name}: write NAME=VALUE")
        if name not in flow.types:
            hint = nearest(name, flow.types) or f"names: {', '.join(flow.types) or 'none'}"
            raise ConfigError(f"--set: '{name}' is no name of the flow '{flow.name}'; {hint}")
        if written in choices.get(name, {}):
            data[name] = Choice(written, choices[name][written])
            continue
        value = read_value(flow.types[name], written, flow.zone)
        if value is None:
            known = (
                f" (choices: {', '.join(choices[name])})" if name in choices else example_of(flow.types[name])
            )
            raise ConfigError(f"--set {name}: this is no {flow.types[name]}{known}")
        data[name] = value
    return data


# -- a step of the journal ------------------------------------------------------------------------------


def _of_journal(
    number: str, store: str, step: int | None, channel: str | None, files: Sequence[Path], country: str
) -> tuple[str, Explanation]:
    from convo.analysis.explain import Explanation, explain
    from convo.cli.show import when
    from convo.cli.typed import typed_number
    from convo.engine.opening import ChannelFlows
    from convo.errors import ConfigError
    from convo.runtime.aside import is_aside
    from convo.runtime.replay import recorded
    from convo.store import open_views, shown

    address = typed_number("NUMBER", number, country.upper(), " (for a text: convo why FLOW --text TEXT)")
    with open_views(store) as views:
        people = [each for each in views.person(address, channel=channel, steps=1_000_000) if each.steps]
    if not people:
        raise ConfigError(f"no step of {address} stands in the journal of {shown(store)}")
    if len(people) > 1:
        names = ", ".join(each.channel for each in people)
        raise ConfigError(f"{address} has written on several channels; add --channel  (one of {names})")
    entries = people[0].steps
    if step is not None and step > len(entries):
        raise ConfigError(f"{address} has {len(entries)} steps in the journal, not {step}")
    index = (step or len(entries)) - 1
    compiled = _flows_of(entries, files, Path(store), entries[index].flow)
    default = entries[index].flow
    flows = ChannelFlows(people[0].channel, compiled, default)
    found = list(recorded(entries, flows))[index]
    heading = f"step {index + 1} of {len(entries)}, {when(found.entry.at)}, flow {found.entry.flow}"
    if is_aside(found.record["fault"]):
        return heading, Explanation((f"No step was made: {found.record['fault']}.",), ())
    explanation = explain(
        flows, address, found.before, found.event, found.entry.at, opted_out=found.opted_out
    )
    remarks = list(_remarks(found.record, compiled[default], explanation))
    return heading, Explanation((*remarks, *explanation.sentences), explanation.places, explanation.step)


def _remarks(record: Mapping[str, object], compiled: CompiledFlow, found: Explanation) -> Iterator[str]:
    """Say where the flow is not the one that ran then."""
    if record["version"] == compiled.flow.version:
        return
    yield f"NOTE: {compiled.flow.path} has been changed since this step; this is what it would do now."
    took = list(found.step.took) if found.step is not None else []
    if took != record["took"] and isinstance(record["took"], list):
        then = "; ".join(str(each) for each in record["took"]) or "nothing"
        yield f"NOTE: then it took: {then}."


def _flows_of(
    entries: Sequence[JournalEntry], files: Sequence[Path], store: Path, needed: str
) -> dict[str, CompiledFlow]:
    """Return the flows that the journal names, from the files given or found by their names.

    Raises:
        ConfigError: the one that is needed is not found.
    """
    from convo.engine.machine import compile_flow
    from convo.errors import ConfigError, ConvoError
    from convo.flow.parse import load_flow

    found: dict[str, CompiledFlow] = {}
    for path in files:
        compiled = compile_flow(load_flow(path))
        found[compiled.flow.name] = compiled
    for name in dict.fromkeys(entry.flow for entry in entries):
        for path in _candidates(name, store) if name not in found else ():
            try:
                compiled = compile_flow(load_flow(path))
            except ConvoError:
                if name == needed:
                    raise
                continue
            if compiled.flow.name == name:
                found[name] = compiled
                break
    if needed not in found:
        raise ConfigError(f"the file of the flow '{needed}' is not found from here; name it with --flow PATH")
    return found


def _candidates(name: str, store: Path) -> Iterator[Path]:
    """Yield the files that a flow of that name may stand in: here, below, and beside the store."""
    seen: set[Path] = set()
    for folder in (Path(), store.parent):
        for pattern in ("", "*/", "*/*/"):
            for path in sorted(folder.glob(f"{pattern}{name}.yaml")):
                if path.resolve() not in seen:
                    seen.add(path.resolve())
                    yield path
