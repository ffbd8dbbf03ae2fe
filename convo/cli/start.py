"""``convo start``: conversations that we open, with one number or with a file of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.cli.people import Row
    from convo.engine.machine import CompiledFlow
    from convo.flow.model import Flow
    from convo.runtime.start import Wish


@dataclass(frozen=True, slots=True)
class _Where:
    """The store and the channel on which conversations are opened, and how long a text may be there.

    ``ours`` is the number of the channel, where that is known.
    """

    store: str
    channel: str
    longest: int
    ours: str | None = None


@click.command("start")
@click.argument("flow", type=click.Path(path_type=Path))
@click.option("--to", "numbers", multiple=True, metavar="NUMBER", help="Whom to text; repeatable.")
@click.option(
    "--csv",
    "file",
    type=click.Path(path_type=Path),
    help="Whom to text: the column 'number', or else the first; the others are data, by their header.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Data for everybody; repeatable."
)
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path),
    help="The file of the run: it says the store and the channels.",
)
@click.option(
    "--store",
    metavar="PATH",
    help="The store of the run.  [default: that of --config, or convo.db]",
)
@click.option(
    "--channel",
    metavar="NAME",
    help="On which channel.  [default: the one of --config that serves FLOW, or console]",
)
def command(
    flow: Path,
    numbers: tuple[str, ...],
    file: Path | None,
    settings: tuple[str, ...],
    config: Path | None,
    store: str | None,
    channel: str | None,
) -> int:
    """Open FLOW with numbers: the greeting and the entry texts wait in the outbox, timers begin.

    A run that is at work on the store delivers them, or else the next one. Nothing is started with a
    number that has opted out or is in the middle of a conversation. Exit 1 where one was refused; the
    others were started all the same.
    """
    from convo.cli.people import Row, read_people
    from convo.engine.machine import compile_flow
    from convo.errors import ConfigError, StoreError
    from convo.flow.parse import load_flow
    from convo.runtime.config import CONSOLE, STORE
    from convo.runtime.policy import LONGEST_MESSAGE
    from convo.store import is_postgres

    compiled = compile_flow(load_flow(flow))
    if config is None:
        where = _Where(store or STORE, channel or CONSOLE, LONGEST_MESSAGE)
        if where.store != "memory" and not is_postgres(where.store) and not Path(where.store).exists():
            raise StoreError(
                f"{where.store}: there is no such store, so no run would deliver; name that of the run with"
                " --store, or its file with --config"
            )
    else:
        where = _configured(config, store, channel, compiled.flow.name)
    given = _settings(settings, compiled.flow)
    rows = [Row(f"--to, number {place}", number, {}, typed=True) for place, number in enumerate(numbers, 1)]
    if file is not None:
        rows += read_people(file, compiled.flow)
    if not rows:
        raise ConfigError("nobody is named; say whom to text with --to NUMBER or --csv FILE")
    wishes, refused = _read(rows, given, compiled.flow, where.ours)
    for place, why in refused:
        click.echo(f"{place}: {why}", err=True)
    started = _start(wishes, where, compiled) if wishes else 0
    missed = len(rows) - started
    click.echo(f"{started} started" + (f", {missed} refused" if missed else ""))
    return 1 if missed else 0


def _configured(file: Path, store: str | None, channel: str | None, flow: str) -> _Where:
    """Return where a configuration lets a flow be started.

    Raises:
        ConfigError: it has problems, or no channel, or more than one, on which the flow can be started.
    """
    import os

    from convo.errors import ConfigError
    from convo.runtime.config import read_config

    config = read_config(file, os.environ, only=(channel,) if channel else (), accounts=False)
    serving = [each for each in config.channels if flow in each.flows.flows]
    if not serving:
        which = (
            f"the channel '{channel}' of {file} does not serve" if channel else f"no channel of {file} serves"
        )
        raise ConfigError(f"{which} the flow '{flow}': whoever answers would not be understood")
    if len(serving) > 1:
        names = ", ".join(each.name for each in serving)
        raise ConfigError(f"several channels serve the flow '{flow}': pick one with --channel  ({names})")
    found = serving[0]
    return _Where(store or config.store, found.name, found.longest, found.number)


def _settings(settings: Sequence[str], flow: Flow) -> dict[str, str]:
    from convo.errors import ConfigError
    from convo.flow.given import known_name

    given: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise ConfigError("--set takes NAME=VALUE, for example: --set name=Ann")
        known_name(flow, name.strip())
        given[name.strip()] = value
    return given


def _read(
    rows: Sequence[Row], everybody: Mapping[str, str], flow: Flow, ours: str | None
) -> tuple[list[Wish], list[tuple[str, str]]]:
    """Return the wishes, and where something is wrong, before anybody is texted."""
    from convo.errors import ConfigError
    from convo.flow.given import read_given
    from convo.messages import NotANumber, to_address
    from convo.runtime.start import Wish

    wishes: list[Wish] = []
    refused: list[tuple[str, str]] = []
    for row in rows:
        try:
            number = to_address(row.number, flow.country or "AU")
            if number == ours:
                raise ConfigError("this is the number of the channel itself: it would talk to itself")
            wishes.append(Wish(row.place, number, read_given(flow, {**everybody, **row.given})))
        except NotANumber as problem:
            refused.append((row.place, f"'{row.number}' {problem.why}" if row.typed else str(problem)))
        except ConfigError as problem:
            refused.append((row.place, str(problem)))
    return wishes, refused


def _start(wishes: Sequence[Wish], where: _Where, compiled: CompiledFlow) -> int:
    """Start each, telling what was refused; return how many were started."""
    import uuid

    from convo.clock import SystemClock
    from convo.errors import ConfigError, StoreError
    from convo.flow.problems import nearest
    from convo.messages import mask
    from convo.runtime.start import Starter
    from convo.store import open_store, shown

    path, channel = where.store, where.channel
    if path == "memory":
        raise StoreError("a store in memory ends with this command; name the file of a run with --store")
    store = open_store(path)
    started = 0
    try:
        served = store.views.served()
        if served and channel not in served:
            hint = (
                nearest(channel, served) or f"name a new one with --config  (channels: {', '.join(served)})"
            )
            raise ConfigError(f"no run has served the channel '{channel}' on {shown(path)}; {hint}")
        starter = Starter(store, store.views, compiled, channel, uuid.uuid4().hex, where.longest)
        with _progress(len(wishes)) as (advance, say):
            for outcome in starter.start(wishes, SystemClock().now()):
                advance()
                wish = outcome.wish
                if outcome.refused is None:
                    started += 1
                else:
                    say(f"{wish.place} ({mask(wish.number)}): {outcome.refused}")
    except KeyboardInterrupt:
        click.echo(f"broken off after {started} started; the same command goes on with the others", err=True)
        raise
    finally:
        store.close()
    return started


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """Yield how to go one further, and how to say something: above the bar, where a terminal shows one."""
    import sys

    if total < 2 or not sys.stderr.isatty():
        yield lambda: None, lambda text: click.echo(text, err=True)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=total)
        yield (
            lambda: bar.advance(task),
            lambda text: bar.console.print(text, markup=False, highlight=False, soft_wrap=True),
        )
