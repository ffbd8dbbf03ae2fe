"""What ``convo run`` and ``convo chat`` do: put flow, store, transport and loops together, and end well."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from random import Random
from types import FrameType, TracebackType
from typing import Self, TextIO

import click

from convo.cli.phone import PHONE, Network, Phone, Pipe, Terminal, converse
from convo.cli.relay import Relay
from convo.clock import Clock, SystemClock
from convo.emulators import create as create_emulator
from convo.engine.machine import CompiledFlow, compile_flow
from convo.engine.opening import ChannelFlows
from convo.errors import ConfigError, ConvoError
from convo.flow.parse import load_flow
from convo.messages import Address, to_address
from convo.runtime.log import configure, count, origin
from convo.runtime.run import Channel, Runtime
from convo.store import open_store
from convo.store.base import Opening, Store
from convo.transports import create as create_transport
from convo.transports import names as transport_names
from convo.transports.base import Transport
from convo.transports.console import Console

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    flow: Path
    transport: str = "console"
    store: str = "convo.db"
    greet: tuple[str, ...] = ()
    poll: float = 1.0
    once: bool = False
    emulate: bool = False
    log_level: str | None = None


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
    chatting = _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
    has_phone = options.transport == "console" or options.emulate
    configure(options.log_level or ("warning" if has_phone and _is_terminal(sys.stderr) else "info"))
    greet = [_number(each) for each in options.greet]
    flow = compile_flow(load_flow(options.flow))
    with ExitStack() as ends:
        phone: Phone | None = None
        if has_phone and chatting and not options.once:
            phone = Terminal(flow.flow.about or flow.flow.name)
        elif has_phone and not chatting:
            source = sys.stdin.buffer if sys.stdin is not None else BytesIO()
            phone = Pipe(source, sys.stdout.buffer)
        transport, network = _outside(options, clock, phone, ends)
        store = open_store(options.store)
        ends.callback(store.close)
        store.lock_for_run()
        channel = options.transport
        _warn_of_lost_states(store, flow)
        if isinstance(phone, Terminal):
            phone.introduce()
            greet = [PHONE, *(each for each in greet if each != PHONE)]
            held = store.conversation(channel, PHONE)
            if held is not None and held.is_open and held.flow == flow.flow.name:
                phone.note(f"(you are in the middle of this conversation, in the state '{held.state}')")
        _greet(store, flow, channel, greet, clock)
        runtime = Runtime(
            store,
            {channel: ChannelFlows(channel, {flow.flow.name: flow}, flow.flow.name)},
            [Channel(channel, transport, timedelta(seconds=options.poll))],
            clock,
            random=Random(),  # noqa: S311 - jitter, no secret
            # A person at a console sees at once that the store fails; a provider's texts are borne longer.
            patience=timedelta(seconds=3) if has_phone else timedelta(minutes=10),
        )
        _log.info("start: %s on %s, store %s", flow.flow.name, channel, options.store)
        return _run(options, runtime, phone, network, signals)


def _run(
    options: Options, runtime: Runtime, phone: Phone | None, network: Network | None, signals: Signals
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
        runtime.stop()
    error = runtime.halt.error
    if isinstance(error, ConvoError):
        raise error
    if error is not None:
        click.echo(f"stopped by a fault of convo itself ({origin(error)}); please report it", err=True)
        return 1
    return 0


def _outside(
    options: Options, clock: Clock, phone: Phone | None, ends: ExitStack
) -> tuple[Transport, Network | None]:
    """Return the transport, and what a phone beside it would write to."""
    name, session = options.transport, uuid.uuid4().hex[:12]
    show = phone.show if phone is not None else _nobody_looks
    if name == "console":
        if options.emulate:
            raise ConfigError("--emulate goes with the transport of a provider: --transport telstra_v2")
        console = Console(show, clock=clock, session=session)
        return console, console
    if name not in transport_names():
        near = get_close_matches(name, ("console", *transport_names()), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(("console", *transport_names()))
        raise ConfigError(f"there is no transport {name!r}{hint}  (transports: {known})")
    if not options.emulate:
        return _closed_at_the_end(
            ends, create_transport(name, channel=name, clock=clock, environ=os.environ)
        ), None
    emulator = ends.enter_context(create_emulator(name, clock))
    relay = ends.enter_context(Relay(emulator, show, session))
    environ = emulator.environ()
    return _closed_at_the_end(ends, create_transport(name, channel=name, clock=clock, environ=environ)), relay


def _closed_at_the_end(ends: ExitStack, transport: Transport) -> Transport:
    ends.callback(transport.close)
    return transport


def _nobody_looks(recipient: Address, text: str) -> None:  # noqa: ARG001 - as Phone.show
    """Refuse to show a reply where there is no phone, so that it is kept."""
    raise OSError("no phone")


def _number(written: str) -> Address:
    try:
        return to_address(written)
    except ValueError as problem:
        raise ConfigError(f"--greet: {problem}") from None


def _warn_of_lost_states(store: Store, compiled: CompiledFlow) -> None:
    """Say before the run which people wait in a state that the edited flow no longer has."""
    flow = compiled.flow
    for (name, state), waiting in sorted(store.open_states().items()):
        if name != flow.name or compiled.has_state(state):
            continue
        target = flow.moved.get(state)
        if target is None or not compiled.has_state(target):
            _log.warning(
                "%s in state '%s', which %s no longer has; their messages will be set aside. Write"
                " 'moved: {%s: NEW_STATE}' in the flow to say where they go on (states: %s)",
                count(waiting, "open conversation waits", "open conversations wait"),
                state,
                flow.path or flow.name,
                state,
                ", ".join(flow.states),
            )


def _greet(
    store: Store, compiled: CompiledFlow, channel: str, numbers: Sequence[Address], clock: Clock
) -> None:
    """Ask for an opening with each number that has no open conversation in this flow.

    The key counts the sender's conversations, so that a start which is repeated before the opening has
    been stepped asks for the same one.
    """
    flow = compiled.flow
    if numbers and flow.needs_data:
        raise ConfigError(
            f"the flow '{flow.name}' needs data that must be given at its opening; --greet gives none"
        )
    openings = []
    for number in dict.fromkeys(numbers):
        last = store.conversation(channel, number)
        if last is not None and last.is_open and last.flow == flow.name:
            continue
        count_so_far = last.number if last is not None else 0
        key = f"greet {flow.name} {number} {count_so_far + 1}"
        openings.append(Opening(channel, number, flow.name, key))
    store.request(openings, clock.now())


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
