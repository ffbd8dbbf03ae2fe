"""``convo.yaml``: the channels of one program, their flows, where secrets come from; read and judged.

All that is wrong with the file and with the flows it names is told at once. Paths in the file count
from the folder in which it lies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from convo.clock import Clock
from convo.engine.machine import CompiledFlow, compile_flow
from convo.engine.opening import OPT_IN_WORDS, OPT_OUT_WORDS, ChannelFlows
from convo.errors import ConfigError
from convo.flow.codes import problem
from convo.flow.parse import load_flow
from convo.flow.problems import FlowError, Problem, Severity, nearest
from convo.flow.reader import Document, Scalar, read_file
from convo.flow.triggers import fold
from convo.messages import to_address
from convo.runtime.calls import Service, services_of
from convo.runtime.config_shape import (
    SETTINGS,
    ChannelShape,
    ServiceShape,
    Setting,
    shape_of,
    variable_of,
    without_secrets,
)
from convo.transports import create as create_transport
from convo.transports import names as transport_names
from convo.transports.base import Transport
from convo.transports.http import check_url

FILE = "convo.yaml"
POLL = timedelta(seconds=1)
STORE = "convo.db"
CONSOLE = "console"
NOBODY = "none"
"""The ``default`` of a channel on which a text that is no keyword opens nothing."""
_LARGEST_SECRET = 16_384


class ConfigProblems(ConfigError):
    """A configuration file has problems; ``problems`` holds all of them, those of its flows included."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(
            sorted(problems, key=lambda each: (each.path, each.position.line, each.position.column))
        )
        super().__init__("\n".join(str(each) for each in self.problems))


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """One channel, ready to be made. ``pace`` is the time from one send to the next, None: no limit.

    ``environ`` is what its transport takes for the environment; ``sources`` says in words where each
    setting came from, never its value.
    """

    name: str
    transport: str
    flows: ChannelFlows
    poll: timedelta = POLL
    pace: timedelta | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    sources: str = ""
    unknown: str = "hold"
    ask_after: timedelta | None = None
    expire: timedelta | None = None
    place: Scalar = field(default_factory=lambda: Scalar(""))


@dataclass(frozen=True, slots=True)
class Config:
    """What a run does. ``health_file`` and ``health_port`` (loopback) are None where unwanted."""

    channels: tuple[ChannelConfig, ...]
    services: Mapping[str, Service] = field(default_factory=dict)
    store: str = STORE
    log: str = "text"
    log_level: str | None = None
    health_file: Path | None = None
    health_port: int | None = None
    path: str = ""
    lines: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[Problem, ...] = ()

    def transports(self, clock: Clock) -> dict[str, Transport]:
        """Return the transport of each channel but the console's; nothing is asked of any provider.

        Raises:
            ConfigProblems: transports refuse their settings; all that do are named.
        """
        made: dict[str, Transport] = {}
        problems = []
        for channel in self.channels:
            if channel.transport == CONSOLE:
                continue
            try:
                made[channel.name] = create_transport(
                    channel.transport, channel=channel.name, clock=clock, environ=channel.environ
                )
            except ConfigError as refused:
                found = problem(
                    "G008",
                    f"the channel '{channel.name}': {refused}",
                    channel.place,
                    hint=_where_to_write(channel.transport, str(refused)),
                )
                problems.append(found.located(self.path, list(self.lines)))
        if problems:
            for transport in made.values():
                transport.close()
            raise ConfigProblems(problems)
        return made


def read_config(
    path: Path, environ: Mapping[str, str], *, only: Iterable[str] = (), emulate: bool = False
) -> Config:
    """Return the configuration in a file; ``only`` are the channels wanted (none named: all).

    With ``emulate`` no secret is looked for: an emulator has its own.

    Raises:
        ConfigProblems: the file has problems; all of them, with those of the flows it names.
        FlowError: the file is fine, but flows that it names have problems.
        ConfigError: there is no channel of a name in ``only``.
    """
    return _Reading(path, environ, tuple(only), emulate).config()


class _Reading:
    """One file in the making; a problem is noted and the reading goes on."""

    def __init__(self, path: Path, environ: Mapping[str, str], only: tuple[str, ...], emulate: bool) -> None:
        self.path = path
        self.folder = path.parent
        self.environ = environ
        self.only = only
        self.emulate = emulate
        self.problems: list[Problem] = []
        self.flow_problems: dict[str, tuple[Problem, ...]] = {}
        self.flows: dict[Path, CompiledFlow | None] = {}
        self.unread: set[str] = set()
        self.places: dict[Path, Scalar] = {}

    def config(self) -> Config:
        document = self.document()
        lines = [without_secrets(line) for line in document.lines]
        shape = shape_of(document.root, self.problems)
        names = [str(each.name) for each in shape.channels]
        for unknown in (each for each in self.only if each not in names):
            hint = nearest(unknown, names) or f"(channels: {', '.join(names)})"
            raise ConfigError(f"there is no channel '{unknown}' in {self.path}; {hint}")
        made = {each.name: self.channel(each, shape.poll or POLL) for each in shape.channels}
        self.check_numbers(shape.channels, made)
        services = {str(each.name): self.service(each) for each in shape.services}
        self.check_services(shape.services)
        problems = [each.located(str(self.path), lines) for each in dict.fromkeys(self.problems)]
        in_flows = [
            each for path, found in self.flow_problems.items() if path not in self.unread for each in found
        ]
        if any(each.severity is Severity.ERROR for each in problems):
            raise ConfigProblems([*problems, *in_flows])
        if in_flows:
            raise FlowError([*problems, *in_flows])
        return Config(
            channels=tuple(
                each
                for each in made.values()
                if each is not None and (not self.only or each.name in self.only)
            ),
            services={name: each for name, each in services.items() if each is not None},
            store=self.store(shape.store),
            log=shape.log or "text",
            log_level=shape.log_level,
            health_file=None if shape.health_file is None else self.folder / shape.health_file,
            health_port=shape.health_port,
            path=str(self.path),
            lines=tuple(lines),
            warnings=tuple(problems),
        )

    def service(self, shape: ServiceShape) -> Service | None:
        """Return a service, None where something of it cannot be read."""
        if shape.url is None:
            return None
        try:
            check_url(f"the url of '{shape.name}'", shape.url)
        except ConfigError as wrong:
            self.add("G004", str(wrong), shape.url)
            return None
        token = None
        if shape.token is not None and not self.emulate:
            token = self.value(Scalar("token"), shape.token)
        service = Service(str(shape.url), token)
        return replace(
            service,
            timeout=shape.timeout or service.timeout,
            patience=shape.patience or service.patience,
        )

    def check_services(self, shapes: Iterable[ServiceShape]) -> None:
        """See that every service that a flow calls is there, and that each one is called."""
        known = {str(each.name): each.name for each in shapes}
        called: set[str] = set()
        for path, compiled in self.flows.items():
            for name in services_of(compiled.flow) if compiled is not None else ():
                called.add(name)
                if name not in known:
                    place = self.places.get(path, Scalar(""))
                    hint = nearest(name, known) or f"write: services: {{{name}: {{url: https://…}}}}"
                    self.add("G014", f"the flow calls the service '{name}', which is not here", place, hint)
        for name, at in known.items():
            if name not in called:
                self.add("G014", f"no flow calls the service '{name}'", at, warning=True)

    def document(self) -> Document:
        """Return the file as YAML; what the reader says of flows is said of this file instead."""
        try:
            return read_file(self.path)
        except FlowError as wrong:
            hints = {"Y015": "begin with the line 'channels:'", "Y012": "make it shorter"}
            problems = [
                replace(
                    each, hint=hints.get(each.code, each.hint), source_line=without_secrets(each.source_line)
                )
                for each in wrong.problems
            ]
            raise ConfigProblems(problems) from None

    def store(self, written: Scalar | None) -> str:
        if written is None:
            return str(self.folder / STORE)
        return "memory" if written == "memory" else str(self.folder / written)

    def add(self, code: str, message: str, at: Scalar, hint: str = "", *, warning: bool = False) -> None:
        found = problem(code, message, at, hint=hint)
        self.problems.append(replace(found, severity=Severity.WARNING) if warning else found)

    # -- one channel ----------------------------------------------------------------------------

    def channel(self, shape: ChannelShape, poll: timedelta) -> ChannelConfig | None:
        """Return the channel, None where something of it cannot be read."""
        flows = self.flows_of(shape)
        if shape.transport is None:
            return None
        known = (CONSOLE, *transport_names())
        if shape.transport not in known:
            hint = nearest(shape.transport, known) or f"(transports: {', '.join(known)})"
            self.add("G007", f"there is no transport '{shape.transport[:60]}'", shape.transport, hint)
            return None
        self.number(shape)
        unwanted = self.emulate or (self.only and shape.name not in self.only)
        environ, sources = ({}, "") if unwanted else self.settings(shape, shape.transport)
        return ChannelConfig(
            name=str(shape.name),
            transport=str(shape.transport),
            flows=flows,
            poll=shape.poll or poll,
            pace=shape.pace,
            environ=environ,
            sources=sources,
            unknown=shape.unknown or "hold",
            ask_after=shape.ask_after,
            expire=shape.expire,
            place=shape.name,
        )

    def flows_of(self, shape: ChannelShape) -> ChannelFlows:
        by_name: dict[str, tuple[Scalar, CompiledFlow]] = {}
        broken = False
        for written in shape.flows:
            compiled = self.flow(written)
            if compiled is None:
                broken = True
                continue
            name = compiled.flow.name
            if name in by_name:
                message = f"the flow '{name}' is there already, from {by_name[name][0]}"
                self.add("G011", message, written, "give one of them another name, or leave one out")
                continue
            by_name[name] = (written, compiled)
        default = None if broken else self.default(shape, by_name)
        flows = ChannelFlows(
            str(shape.name),
            {name: compiled for name, (_, compiled) in by_name.items()},
            default,
            opt_out=shape.opt_out or OPT_OUT_WORDS,
            opt_in=shape.opt_in or OPT_IN_WORDS,
        )
        self.check_words(flows, by_name)
        if not broken and (default is not None or shape.default in (None, NOBODY)):
            self.check_openings(flows, by_name)
        return flows

    def flow(self, written: Scalar) -> CompiledFlow | None:
        """Return the flow in a file, None where it has problems."""
        path = self.folder / written
        self.places.setdefault(path, written)
        if path not in self.flows:
            self.flows[path] = None
            try:
                self.flows[path] = compile_flow(load_flow(path))
            except FlowError as wrong:
                self.flow_problems[str(path)] = wrong.problems
        if any(each.code == "Y001" for each in self.flow_problems.get(str(path), ())):
            why = self.flow_problems[str(path)][0].message
            self.unread.add(str(path))
            self.add("G006", f"the flow {path}: {why}", written)
        return self.flows[path]

    def default(self, shape: ChannelShape, flows: Mapping[str, tuple[Scalar, CompiledFlow]]) -> str | None:
        """Return the flow that any text opens, None where there is none."""
        written = shape.default
        if written is None:
            if len(flows) == 1:
                name = next(iter(flows))
                return None if flows[name][1].flow.needs_data else name
            if len(flows) > 1:
                message = f"the channel '{shape.name}' has no default: what is no keyword is set aside"
                hint = "name a flow as 'default', or write 'default: none' if that is meant"
                self.add("G013", message, shape.name, hint, warning=True)
            return None
        if written == NOBODY and NOBODY not in flows:
            return None
        if written not in flows:
            hint = nearest(written, flows) or f"(flows: {', '.join(flows)})"
            self.add("G009", f"'{written[:60]}' is no flow of this channel", written, hint)
            return None
        if flows[written][1].flow.needs_data:
            message = f"'{written}' needs data that must be given, so no text can open it"
            self.add("G009", message, written, "take another default, or 'default: none'")
            return None
        return str(written)

    def check_words(self, flows: ChannelFlows, places: Mapping[str, tuple[Scalar, CompiledFlow]]) -> None:
        """See that each keyword opens one flow."""
        taken: dict[str, str] = {}
        leaving = flows.opt_out_words(None)
        for name, (place, compiled) in places.items():
            for word in compiled.flow.keywords:
                folded = fold(word)
                if folded in leaving:
                    hint = "take another keyword, or other words under 'opt_out'"
                    self.add("G010", f"the keyword '{word}' of '{name}' means opting out here", place, hint)
                elif folded in taken:
                    message = f"the keyword '{word}' opens both '{taken[folded]}' and '{name}'"
                    self.add("G010", message, place, "a keyword opens one flow of a channel")
                taken.setdefault(folded, name)

    def check_openings(self, flows: ChannelFlows, places: Mapping[str, tuple[Scalar, CompiledFlow]]) -> None:
        """See that each flow is opened by something."""
        for name, (place, compiled) in places.items():
            flow = compiled.flow
            if flow.needs_data and flow.keywords:
                message = f"'{name}' needs data that must be given, so its keywords cannot open it"
                self.add("G009", message, place, "begin its conversations yourself", warning=True)
            elif not flow.needs_data and not flow.keywords and name != flows.default:
                hint = "give it 'keywords', or make it the default"
                self.add("G013", f"no text opens '{name}' on this channel", place, hint, warning=True)

    def number(self, shape: ChannelShape) -> None:
        if shape.number is None or re.fullmatch(r"[0-9]{3,8}", shape.number):
            return
        try:
            to_address(shape.number)
        except ValueError as wrong:
            self.add("G004", str(wrong), shape.number)

    # -- settings -------------------------------------------------------------------------------

    def settings(self, shape: ChannelShape, transport: str) -> tuple[dict[str, str], str]:
        """Return what the transport takes for its environment, and in words where it came from."""
        environ, sources = dict(self.environ), []
        for name, setting in shape.settings.items():
            variable = variable_of(transport, name)
            value = self.value(name, setting)
            if value is not None:
                environ[variable] = value
            if setting.source != "text":
                kind = "the environment variable" if setting.source == "env" else "the file"
                sources.append(f"{variable} is '{name}', from {kind} {setting.value}")
        if shape.number is not None:
            environ[variable_of(transport, "number")] = str(shape.number)
        return environ, "; ".join(sources)

    def value(self, name: Scalar, setting: Setting) -> str | None:
        if setting.source == "text":
            return str(setting.value)
        if setting.source == "env":
            value = self.environ.get(setting.value, "").strip()
            if not value:
                message = f"the environment variable {setting.value} is not set, and '{name}' needs it"
                self.add("G006", message, setting.value, f"export {setting.value}=… before the start")
            return value or None
        path = self.folder / setting.value
        try:
            with path.open("rb") as file:
                value = file.read(_LARGEST_SECRET + 1).decode("utf-8").strip()
        except (OSError, ValueError) as wrong:
            why = "it is no text" if isinstance(wrong, UnicodeDecodeError) else None
            why = why or str(getattr(wrong, "strerror", None) or "it cannot be opened").lower()
            self.add("G006", f"'{name}' cannot be read from {path}: {why}", setting.value)
            return None
        if not value or len(value) > _LARGEST_SECRET or "\n" in value:
            self.add("G006", f"'{name}': {path} has to hold one line, the secret", setting.value)
            return None
        return value

    def check_numbers(
        self, shapes: Iterable[ChannelShape], made: Mapping[Scalar, ChannelConfig | None]
    ) -> None:
        """Refuse two channels that would take each other's texts."""
        taken: dict[tuple[str, str], str] = {}
        for shape in shapes:
            channel = made.get(shape.name)
            if channel is None or channel.transport == CONSOLE or not channel.environ:
                continue
            number = channel.environ.get(variable_of(channel.transport, "number"), "")
            if number:
                try:
                    number = to_address(number)
                except ValueError:
                    continue
            who = number or channel.environ.get(variable_of(channel.transport, "client_id"), "")
            key = (variable_of(channel.transport, ""), who)
            if who and key in taken:
                hint = "give each channel a 'number' of its own; several flows share one by keywords"
                message = f"'{taken[key]}' and '{shape.name}' are the same number"
                self.add("G012", message, shape.number or shape.name, hint)
            elif who:
                taken[key] = str(shape.name)


def _where_to_write(transport: str, refused: str) -> str:
    """Say which settings the variables that a transport names stand for."""
    missing = [name for name in SETTINGS.get(transport, ()) if variable_of(transport, name) in refused]
    written = [f"{name}: {{env: {variable_of(transport, name)}}}" for name in missing]
    if variable_of(transport, "number") in refused:
        return "write the channel's 'number'"
    return f"set them, or write under 'settings': {', '.join(written)}" if written else ""
