"""What ``convo run`` and ``convo chat`` do: put flows, store, channels and loops together, and end well."""

from __future__ import annotations

import copy
import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from random import Random
from types import FrameType, TracebackType
from typing import Self, TextIO

import click

from convo.cli.opening import (
    greet,
    numbers_to_greet,
    warn_of_lost_states,
    warn_of_the_carriers_words,
)
from convo.cli.phone import PHONE, Network, Phone, Pipe, Terminal, converse
from convo.cli.pushed import Web, check_once, check_one, secret_of, web_of_options
from convo.cli.relay import Relay
from convo.clock import Clock, SystemClock
from convo.emulators import EMULATORS
from convo.emulators import create as create_emulator
from convo.engine.machine import compile_flow
from convo.engine.opening import ChannelFlows
from convo.errors import ConfigError, ConvoError
from convo.flow.parse import load_flow
from convo.messages import Address
from convo.runtime.calls import HttpServices, services_of
from convo.runtime.config import (
    CONSOLE,
    DESCRIPTION,
    FILE,
    PUSHED_POLL,
    STORE,
    ChannelConfig,
    Config,
    read_config,
)
from convo.runtime.config_shape import SETTINGS, variable_of
from convo.runtime.deliver import LISTED_AFTER
from convo.runtime.health import Health, published
from convo.runtime.log import configure, origin
from convo.runtime.policy import Unknowns
from convo.runtime.run import Channel, Runtime
from convo.runtime.together import Others, Together
from convo.store import is_postgres, open_store
from convo.transports import create as create_transport
from convo.transports import names as transport_names
from convo.transports.base import Transport
from convo.transports.console import Console

FAULT = 70
"""The exit code after a fault of convo itself: unlike the codes of mistakes, starting anew may help."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line; None where nothing was, and the file or a default decides."""

    flow: Path | None = None
    config: Path | None = None
    channels: tuple[str, ...] = ()
    transport: str | None = None
    store: str | None = None
    greet: tuple[str, ...] = ()
    poll: float | None = None
    once: bool = False
    emulate: bool = False
    log_level: str | None = None
    log: str | None = None
    push: str | None = None
    listen: str | None = None
    since: str | None = None
    no_steps: bool = False


def serve(options: Options) -> int:
    """Run until the input ends, a signal comes or something cannot go on; return the exit code.

    Raises:
        ConvoError: why it could not start, or could not go on.
    """
    with Signals() as signals:
        try:
            return _serve(options, signals)
        except KeyboardInterrupt:
            return 0


def _serve(options: Options, signals: Signals) -> int:
    clock = SystemClock()
    config = _config(options)
    chatting = _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
    has_phone = options.emulate or any(each.transport == CONSOLE for each in config.channels)
    quiet = has_phone and _is_terminal(sys.stderr)
    configure(config.log_level or ("warning" if quiet else "info"), config.log)
    for warning in config.warnings:
        _log.warning("%s:%s: %s", warning.path, warning.position.line, warning.message)
    numbers = numbers_to_greet(config, options.greet)
    with ExitStack() as ends:
        phone: Phone | None = None
        if has_phone:
            _check_phone(config)
            if chatting and not options.once:
                phone = Terminal(_title(config))
            elif not chatting:
                phone = Pipe(sys.stdin.buffer if sys.stdin is not None else BytesIO(), sys.stdout.buffer)
        transports, network = _outside(config, options, clock, phone, ends)
        store = open_store(config.store)
        ends.callback(store.close)
        store.lock_for_run()
        together = _together(config, transports)
        web = Web(config, transports, store)
        warn_of_lost_states(store, config)
        warn_of_the_carriers_words(config, transports)
        if isinstance(phone, Terminal):
            phone.introduce()
            numbers = [PHONE, *(each for each in numbers if each != PHONE)]
            channel = config.channels[0]
            held = store.conversation(channel.name, PHONE)
            if held is not None and held.is_open and held.flow in channel.flows.flows:
                phone.note(f"(you are in the middle of this conversation, in the state '{held.state}')")
        check_services(config)
        greet(store, config, numbers, clock)
        runtime = Runtime(
            web.store,
            {each.name: each.flows for each in config.channels},
            [
                Channel(
                    each.name,
                    transports[each.name],
                    each.poll,
                    each.pace,
                    each.sources,
                    Unknowns(each.unknown),
                    each.ask_after or LISTED_AFTER,
                    each.limits,
                    bool(each.push),
                    each.longest,
                    each.plain,
                )
                for each in config.channels
            ],
            clock,
            random=Random(),  # noqa: S311 - jitter, no secret
            # A person at a console sees at once that the store fails; a provider's texts are borne longer.
            patience=timedelta(seconds=3) if has_phone else timedelta(minutes=10),
            services=HttpServices(config.services, clock),
            keep=config.keep,
            together=together,
            steps=not options.no_steps,
            file=None if config.store == "memory" or is_postgres(config.store) else Path(config.store),
        )
        health = Health(runtime, clock)
        ends.enter_context(published(health, config.health_file, config.health_port))
        web.open(runtime, health, clock, ends)
        for each in config.channels:
            served = ", ".join(each.flows.flows)
            _log.info(
                "start: %s on %s, store %s", served, each.name, store.path, extra={"channel": each.name}
            )
        return _run(options, config, runtime, web, phone, network, signals)


def _together(config: Config, transports: Mapping[str, Transport]) -> Together | None:
    """Return the other processes on the store, where there may be any, and share with them what is ours."""
    if not is_postgres(config.store):
        return None
    from convo.store.postgres_shared import Shared

    shared = Shared(config.store)
    for transport in transports.values():
        if hasattr(transport, "share_tokens"):
            transport.share_tokens(shared)
    return Others(shared)


def check_services(config: Config) -> None:
    """See that every service that a flow calls is configured.

    Raises:
        ConfigError: one is not.
    """
    for channel in config.channels:
        for name, compiled in channel.flows.flows.items():
            missing = [each for each in services_of(compiled.flow) if each not in config.services]
            if missing:
                raise ConfigError(
                    f"the flow '{name}' calls the service '{missing[0]}': write its address into a"
                    " configuration file, under 'services', and run it with --config"
                )


def _run(
    options: Options,
    config: Config,
    runtime: Runtime,
    web: Web,
    phone: Phone | None,
    network: Network | None,
    signals: Signals,
) -> int:
    try:
        if options.once and phone is None:
            runtime.start_once()
            runtime.wait()
        elif phone is not None and network is not None:
            runtime.halt.on_error = signals.interrupt_main
            runtime.start()
            converse(phone, network, runtime)
        else:
            runtime.start()
            runtime.wait()
    except KeyboardInterrupt:
        _log.info("stop: asked to")
    finally:
        signals.ignore()
        web.end()
        runtime.stop()
    error = runtime.halt.error
    if isinstance(error, ConvoError):
        raise _explained(error, config, runtime)
    if error is not None:
        click.echo(f"stopped by a fault of convo itself ({origin(error)}); please report it", err=True)
        return FAULT
    return 0


def _explained(error: ConvoError, config: Config, runtime: Runtime) -> ConvoError:
    """Return ``error`` with the channel that it is about, and where its settings stand."""
    for state in runtime.states:
        if config.path and (error in state.refused.values() or state.trouble == str(error)):
            told = copy.copy(error)
            told.args = (f"{config.path}: {state.explained(error)}",)
            return told
    return error


# -- what is to run ---------------------------------------------------------------------------------


def _config(options: Options) -> Config:
    """Return what the command line and the file say together."""
    if options.flow is not None and options.config is not None:
        raise ConfigError("either a flow or --config, not both: the file says itself which flows it runs")
    if options.config is not None:
        if options.transport is not None:
            raise ConfigError(f"--transport goes with a flow; with --config, {options.config} says it")
        if options.push is not None or options.listen is not None:
            raise ConfigError(f"--push and --listen go with a flow; with --config, {options.config} says it")
        if options.since is not None:
            raise ConfigError(f"--since goes with a flow; with --config, {options.config} says it (settings)")
        config = read_config(options.config, os.environ, only=options.channels, accounts=not options.emulate)
    elif options.flow is not None:
        if options.channels:
            raise ConfigError("--channel goes with --config; a flow alone runs on one channel")
        config = _of_one_flow(options)
    else:
        hint = f"; there is a {FILE} here: convo run --config {FILE}" if Path(FILE).is_file() else ""
        raise ConfigError(
            f"nothing to run: name a FLOW (convo run FLOW), or a file of channels (--config FILE){hint}"
        )
    if options.once or options.emulate:
        config = replace(config, web=None)
    if options.once:
        check_once(config)
    if options.no_steps and not is_postgres(options.store or config.store):
        raise ConfigError(
            "--no-steps goes with a store in PostgreSQL, on which a 'convo worker' steps: else nobody does"
        )
    channels = config.channels
    if options.poll is not None:
        channels = tuple(replace(each, poll=timedelta(seconds=options.poll)) for each in channels)
    return replace(
        config,
        channels=channels,
        store=options.store or config.store,
        log=options.log or config.log,
        log_level=options.log_level or config.log_level,
    )


def _of_one_flow(options: Options) -> Config:
    assert options.flow is not None
    transport, environ = options.transport or CONSOLE, dict(os.environ)
    if transport.endswith((".yaml", ".yml")):
        transport, environ[DESCRIPTION] = "generic", transport
    web = web_of_options(options.push, options.listen)
    if web is not None and (transport == CONSOLE or options.emulate):
        raise ConfigError("--push goes with the transport of a provider, and not with --emulate")
    flow = compile_flow(load_flow(options.flow))
    known = (CONSOLE, *transport_names())
    if transport not in known:
        near = get_close_matches(transport, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"there is no transport {transport!r}{hint}  (transports: {', '.join(known)})")
    flows = ChannelFlows(transport, {flow.flow.name: flow}, flow.flow.name)
    environ |= _beginning(transport, options.since)
    channel = ChannelConfig(transport, transport, flows, environ=environ)
    if web is not None:
        secret = secret_of(transport, environ)
        channel = replace(channel, push=True, hook=True, secret=secret, poll=PUSHED_POLL)
    return Config((channel,), store=STORE, web=web)


def _beginning(transport: str, since: str | None) -> dict[str, str]:
    """Return the setting that says how far back a new store begins, where that was asked for."""
    if since is None:
        return {}
    if "since" not in SETTINGS.get(transport, ()):
        able = ", ".join(name for name, settings in SETTINGS.items() if "since" in settings)
        raise ConfigError(f"--since goes with a transport whose provider lists what it keeps: {able}")
    return {variable_of(transport, "since"): since}


def _check_phone(config: Config) -> None:
    """See that there is one channel, where a terminal or a pipe is to be its phone."""
    if len(config.channels) > 1:
        names = ", ".join(each.name for each in config.channels)
        raise ConfigError(
            f"--emulate and the console are the phone of one channel: pick it with --channel NAME"
            f"  (channels: {names})"
        )


def _title(config: Config) -> str:
    channel = config.channels[0]
    compiled = channel.flows.flows.get(channel.flows.default or "")
    return channel.name if compiled is None else compiled.flow.about or compiled.flow.name


# -- the outside ------------------------------------------------------------------------------------


def _outside(
    config: Config, options: Options, clock: Clock, phone: Phone | None, ends: ExitStack
) -> tuple[Mapping[str, Transport], Network | None]:
    """Return the transport of each channel, and what a phone beside it would write to."""
    channel, session = config.channels[0], uuid.uuid4().hex[:12]
    show = phone.show if phone is not None else _nobody_looks
    if channel.transport == CONSOLE and len(config.channels) == 1:
        if options.emulate:
            example = f"--transport {next(iter(sorted(EMULATORS)))}"
            raise ConfigError(f"--emulate goes with the transport of a provider: {example}")
        console = Console(show, channel=channel.name, clock=clock, session=session)
        return {channel.name: console}, console
    if options.emulate:
        emulator = ends.enter_context(create_emulator(channel.transport, clock))
        relay = ends.enter_context(Relay(emulator, show, session))
        made = create_transport(
            channel.transport, channel=channel.name, clock=clock, environ=emulator.environ()
        )
        ends.callback(made.close)
        return {channel.name: made}, relay
    if config.path:
        transports = config.transports(clock)
    else:
        transports = {
            channel.name: create_transport(
                channel.transport, channel=channel.name, clock=clock, environ=channel.environ
            )
        }
        check_one(channel, transports[channel.name], config.web)
    for transport in transports.values():
        ends.callback(transport.close)
    return transports, None


def _nobody_looks(recipient: Address, text: str) -> None:  # noqa: ARG001 - as Phone.show
    """Refuse to show a reply where there is no phone, so that it is kept."""
    raise OSError("no phone")


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


class Signals:
    """What Ctrl-C and SIGTERM do: they interrupt the main thread, where no step is ever taken."""

    def __init__(self) -> None:
        self._main = threading.main_thread()
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is self._main:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before if before is not None else signal.SIG_DFL)  # type: ignore[arg-type]

    def ignore(self) -> None:
        """Let no further signal break into the stop, which is short."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def interrupt_main(self) -> None:
        """Wake the main thread from reading its input: the run has stopped."""
        if self._before:
            signal.pthread_kill(self._main.ident or 0, signal.SIGINT)

    @staticmethod
    def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG004 - signal's own signature
        raise KeyboardInterrupt
