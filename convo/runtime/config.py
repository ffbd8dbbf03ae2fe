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
from convo.engine.opening import ChannelFlows
from convo.errors import ConfigError
from convo.flow.codes import problem
from convo.flow.problems import FlowError, Problem, Severity, nearest
from convo.flow.reader import Document, Scalar, read_file
from convo.messages import NotANumber, to_address
from convo.runtime.calls import Service, services_of
from convo.runtime.config_flows import Flows
from convo.runtime.config_shape import (
    SETTINGS,
    ChannelShape,
    ServiceShape,
    Setting,
    shape_of,
    variable_of,
    without_secrets,
)
from convo.runtime.policy import LONGEST_MESSAGE, Limits
from convo.runtime.push import Lacks, NotPushable, WebConfig, check_push
from convo.store.address import is_postgres
from convo.transports import create as create_transport
from convo.transports import names as transport_names
from convo.transports.base import Transport
from convo.transports.url import check_url

FILE = "convo.yaml"
POLL = timedelta(seconds=1)
PUSHED_POLL = timedelta(minutes=1)
"""How long a channel that is pushed to rests between polls, which are its safety net then."""
STORE = "convo.db"
CONSOLE = "console"
DESCRIPTION = "GENERIC_DESCRIPTION"
"""Names the file by which the transport ``generic`` works."""
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
    setting came from, never its value. ``push`` None: nothing is changed at the provider; ``hook``: calls are
    taken (also for a while after the switch back to polling), ``secret`` being that of the path. ``number``
    is the one that is written, as an address or a short code. ``place`` is where it stands in the file,
    ``written`` where each of its variables is set there.
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
    limits: Limits = field(default_factory=Limits)
    longest: int = LONGEST_MESSAGE
    plain: bool = False
    push: bool | None = None
    hook: bool = False
    secret: str = field(default="", repr=False)
    number: str | None = field(default=None, repr=False)
    place: Scalar = field(default_factory=lambda: Scalar(""))
    written: Mapping[str, Scalar] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """What a run does. ``keep``: what is older is removed, None: nothing is.

    ``health_file``, ``health_port`` (loopback) and ``web`` are None where unwanted. ``places`` says where
    ``store`` and ``health`` stand in the file."""

    channels: tuple[ChannelConfig, ...]
    services: Mapping[str, Service] = field(default_factory=dict)
    store: str = STORE
    keep: timedelta | None = None
    log: str = "text"
    log_level: str | None = None
    health_file: Path | None = None
    health_port: int | None = None
    web: WebConfig | None = None
    path: str = ""
    lines: tuple[str, ...] = field(default=(), repr=False)
    places: Mapping[str, Scalar] = field(default_factory=dict, repr=False)
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
                if channel.hook:
                    refused = NotPushable("a console is nobody's webhook", Lacks.WEBHOOK)
                    problems.append(self._not_pushable(channel, refused))
                continue
            try:
                made[channel.name] = create_transport(
                    channel.transport, channel=channel.name, clock=clock, environ=channel.environ
                )
                check_push(channel, made[channel.name], self.web)
            except NotPushable as refused:
                problems.append(self._not_pushable(channel, refused))
            except ConfigError as refused:
                at = next((each for name, each in channel.written.items() if name in str(refused)), None)
                hint = _where_to_write(channel.transport, str(refused)) if at is None else ""
                problems.append(self._refused("G008", channel, refused, hint, at))
        if problems:
            for transport in made.values():
                transport.close()
            raise ConfigProblems(problems)
        return made

    def _not_pushable(self, channel: ChannelConfig, refused: NotPushable) -> Problem:
        variable = f"{channel.name.replace('-', '_')}_push_secret".upper()
        hints = {
            Lacks.PUSH: f"write: push: {{secret: {{env: {variable}}}}}",
            Lacks.SECRET: f"write: push: {{secret: {{env: {variable}}}}}",
            Lacks.ADDRESS: "write at the top: web: {listen: 127.0.0.1:8080, public_url: https://…}",
            Lacks.WEBHOOK: "leave 'push' out",
        }
        return self._refused("G015", channel, refused, hints.get(refused.lacks, ""))

    def _refused(
        self, code: str, channel: ChannelConfig, refused: ConfigError, hint: str, at: Scalar | None = None
    ) -> Problem:
        place = channel.place if at is None else at
        found = problem(code, f"the channel '{channel.name}': {refused}", place, hint=hint)
        return found.located(self.path, list(self.lines))


def read_config(
    path: Path, environ: Mapping[str, str], *, only: Iterable[str] = (), accounts: bool = True
) -> Config:
    """Return the configuration in a file; ``only`` are the channels wanted (none named: all).

    Without ``accounts`` no secret is looked for: an emulator has its own, and no provider is asked.

    Raises:
        ConfigProblems: the file has problems; all of them, with those of the flows it names.
        FlowError: the file is fine, but flows that it names have problems.
        ConfigError: there is no channel of a name in ``only``.
    """
    return _Reading(path, environ, tuple(only), accounts).config()


class _Reading:
    """One file in the making; a problem is noted and the reading goes on."""

    def __init__(self, path: Path, environ: Mapping[str, str], only: tuple[str, ...], accounts: bool) -> None:
        self.path = path
        self.folder = path.parent
        self.environ = environ
        self.only = only
        self.accounts = accounts
        self.problems: list[Problem] = []
        self.flows = Flows(self.folder, self.add)

    def config(self) -> Config:
        document = self.document()
        lines = [without_secrets(line) for line in document.lines]
        shape = shape_of(document.root, self.problems)
        names = [str(each.name) for each in shape.channels]
        for unknown in (each for each in self.only if each not in names):
            hint = nearest(unknown, names) or f"(channels: {', '.join(names)})"
            raise ConfigError(f"there is no channel '{unknown}' in {self.path}; {hint}")
        made = {each.name: self.channel(each, shape.poll) for each in shape.channels}
        self.check_numbers(shape.channels, made)
        services = {str(each.name): self.service(each) for each in shape.services}
        self.check_services(shape.services)
        problems = [each.located(str(self.path), lines) for each in dict.fromkeys(self.problems)]
        in_flows = self.flows.problems
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
            keep=shape.keep,
            log=shape.log or "text",
            log_level=shape.log_level,
            health_file=None if shape.health_file is None else self.folder / shape.health_file,
            health_port=shape.health_port,
            web=shape.web,
            path=str(self.path),
            lines=tuple(lines),
            places={
                key: at
                for key, at in (("store", shape.store), ("health", shape.health_file))
                if at is not None
            },
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
        if shape.token is not None and self.accounts:
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
        for path, compiled in self.flows.flows.items():
            for name in services_of(compiled.flow) if compiled is not None else ():
                called.add(name)
                if name not in known:
                    place = self.flows.places.get(path, Scalar(""))
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
        return str(written if written == "memory" or is_postgres(written) else self.folder / written)

    def add(self, code: str, message: str, at: Scalar, hint: str = "", *, warning: bool = False) -> None:
        found = problem(code, message, at, hint=hint)
        self.problems.append(replace(found, severity=Severity.WARNING) if warning else found)

    # -- one channel ----------------------------------------------------------------------------

    def channel(self, shape: ChannelShape, poll: timedelta | None) -> ChannelConfig | None:
        """Return the channel, None where something of it cannot be read; ``poll`` is that of all channels."""
        flows = self.flows.flows_of(shape)
        if shape.transport is None:
            return None
        known = (CONSOLE, *transport_names())
        if shape.transport not in known:
            hint = nearest(shape.transport, known) or f"(transports: {', '.join(known)})"
            self.add("G007", f"there is no transport '{shape.transport[:60]}'", shape.transport, hint)
            return None
        number = self.number(shape)
        unwanted = not self.accounts or (self.only and shape.name not in self.only)
        environ, sources = ({}, "") if unwanted else self.settings(shape, shape.transport)
        pushed = bool(shape.push) and self.accounts
        secret = None
        if shape.push_secret is not None and not unwanted:
            secret = self.value(Scalar("secret"), shape.push_secret)
        limits = shape.limits if shape.expire is None else replace(shape.limits, lifetime=shape.expire)
        return ChannelConfig(
            name=str(shape.name),
            transport=str(shape.transport),
            flows=flows,
            poll=shape.poll or (PUSHED_POLL if pushed else poll) or POLL,
            pace=shape.pace,
            environ=environ,
            sources=sources,
            unknown=shape.unknown or "hold",
            ask_after=shape.ask_after,
            limits=limits,
            longest=shape.longest or LONGEST_MESSAGE,
            plain=bool(shape.plain),
            push=shape.push if self.accounts else None,
            hook=shape.hook and self.accounts,
            secret=secret or "",
            number=number,
            place=shape.name,
            written=_written(shape, shape.transport),
        )

    def number(self, shape: ChannelShape) -> str | None:
        """Return the number of a channel as an address, None where there is none that can be read."""
        if shape.number is None or re.fullmatch(r"[0-9]{3,8}", shape.number):
            return shape.number
        try:
            return to_address(shape.number)
        except NotANumber as wrong:
            self.add("G004", f"'{shape.number[:40]}' {wrong.why}", shape.number)
            return None

    # -- settings -------------------------------------------------------------------------------

    def settings(self, shape: ChannelShape, transport: str) -> tuple[dict[str, str], str]:
        """Return what the transport takes for its environment, and in words where it came from."""
        environ, sources = dict(self.environ), []
        for name, setting in shape.settings.items():
            variable = variable_of(transport, name)
            value = self.value(name, setting)
            if value is not None:
                # Files that a configuration names stand beside it.
                environ[variable] = str(self.folder / value) if variable == DESCRIPTION else value
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


def _written(shape: ChannelShape, transport: str) -> dict[str, Scalar]:
    """Return where in the file each variable of a channel's transport is set."""
    written = {variable_of(transport, name): name for name in shape.settings}
    if shape.number is not None:
        written[variable_of(transport, "number")] = shape.number
    return written


def _where_to_write(transport: str, refused: str) -> str:
    """Say which settings the variables that a transport names stand for."""
    missing = [name for name in SETTINGS.get(transport, ()) if variable_of(transport, name) in refused]
    written = [f"{name}: {{env: {variable_of(transport, name)}}}" for name in missing]
    if variable_of(transport, "number") in refused:
        return "write the channel's 'number'"
    return f"set them, or write under 'settings': {', '.join(written)}" if written else ""
