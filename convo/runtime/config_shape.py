"""What may stand where in a configuration file, and how each value is written. Files, flows and the
environment are for ``config``: nothing here looks beyond the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from convo.flow.codes import problem
from convo.flow.problems import Position, Problem, nearest
from convo.flow.reader import ListNode, MapNode, Node, Scalar
from convo.flow.values import parse_duration

CODES: Mapping[str, str] = MappingProxyType(
    {
        "G001": "a key that means nothing there",
        "G002": "something that has to be there is missing",
        "G003": "a text where a mapping or a list belongs, or the other way round",
        "G004": "a value that is not one of those possible",
        "G005": "a secret that is written into the file",
        "G006": "a variable that is not set, or a file that cannot be read",
        "G007": "a transport that is not there",
        "G008": "settings that the transport does not take",
        "G009": "a default that cannot answer a text",
        "G010": "a word with two meanings on one channel",
        "G011": "two flows of one name on one channel",
        "G012": "two channels with one number",
        "G014": "a service that a flow calls and that is not configured, or one that nobody calls",
        "G013": "texts, or a flow, that nothing leads to (a warning)",
    }
)
"""What each code means. A code keeps its meaning for ever; a new kind of problem gets a new number."""

TOP = ("channels", "services", "store", "poll", "log", "log_level", "health")
CHANNEL = (
    "transport",
    "number",
    "flows",
    "default",
    "poll",
    "pace",
    "opt_out",
    "opt_in",
    "unknown",
    "ask_after",
    "expire",
    "settings",
)
SERVICE = ("url", "token", "timeout", "patience")
HEALTH = ("file", "port")
LOGS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
LONGEST_POLL = timedelta(days=1)
LONGEST_WAIT = timedelta(days=30)
UNKNOWNS = ("hold", "resend")

SETTINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "kannel": ("sendsms_url", "username", "password"),
        "telstra_v2": ("client_id", "client_secret", "base_url", "token_url"),
        "telstra_v3": ("client_id", "client_secret", "base_url", "token_url"),
        "twilio": ("account_sid", "auth_token", "base_url"),
    }
)
"""The settings of our own transports; those of other packages take what they like."""

_SECRET = re.compile(r"(?:.*_)?(?:secret|token|password|pass|key|client_id|account_sid)", re.IGNORECASE)
_WRITTEN_SECRET = re.compile(
    r"((?:^|[\s{,'\"])(?:\w*_)?(?:secret|token|password|pass|key|client_id|account_sid)['\"]?\s*:\s*)"
    r"(?!\s*\{\s*(?:env|file)\b)(\S.*)",
    re.IGNORECASE,
)
_CHANNEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PACE = re.compile(r"([0-9]{1,6}) per (second|minute|hour)")
_UNITS = {"second": timedelta(seconds=1), "minute": timedelta(minutes=1), "hour": timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the value of a setting comes from: ``source`` is ``text``, ``env`` or ``file``."""

    source: str
    value: Scalar = field(repr=False)


@dataclass(slots=True)
class ChannelShape:
    """One channel as it is written; None where a key is not there or has a problem."""

    name: Scalar
    transport: Scalar | None = None
    number: Scalar | None = None
    flows: tuple[Scalar, ...] = ()
    default: Scalar | None = None
    poll: timedelta | None = None
    pace: timedelta | None = None
    opt_out: tuple[str, ...] | None = None
    opt_in: tuple[str, ...] | None = None
    unknown: str | None = None
    ask_after: timedelta | None = None
    expire: timedelta | None = None
    settings: dict[Scalar, Setting] = field(default_factory=dict)


@dataclass(slots=True)
class ServiceShape:
    """One service as it is written."""

    name: Scalar
    url: Scalar | None = None
    token: Setting | None = None
    timeout: timedelta | None = None
    patience: timedelta | None = None


@dataclass(slots=True)
class ConfigShape:
    """A file as it is written."""

    channels: list[ChannelShape] = field(default_factory=list)
    services: list[ServiceShape] = field(default_factory=list)
    store: Scalar | None = None
    poll: timedelta | None = None
    log: str | None = None
    log_level: str | None = None
    health_file: Scalar | None = None
    health_port: int | None = None


def variable_of(transport: str, setting: str) -> str:
    """Return the environment variable in which a transport looks for a setting: ``TELSTRA_BASE_URL``."""
    return f"{re.sub(r'_v[0-9]+$', '', transport)}_{setting}".upper()


def without_secrets(line: str) -> str:
    """Return a line of a file with dots for what may be a secret, as long as before."""
    return _WRITTEN_SECRET.sub(lambda found: found[1] + "•" * len(found[2]), line)


def shape_of(root: Node, problems: list[Problem]) -> ConfigShape:
    """Return the file as far as it can be read; what is wrong is added to ``problems``."""
    return _Reading(problems).config(root)


class _Reading:
    """One file; a problem is noted and the reading goes on."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    def config(self, root: Node) -> ConfigShape:
        top = self.mapping(root, TOP, "at the top of the file")
        shape = ConfigShape(
            store=self.text(top.get(Scalar("store"))),
            poll=self.poll(top.get(Scalar("poll"))),
            log=self.one_of(top.get(Scalar("log")), LOGS),
            log_level=self.one_of(top.get(Scalar("log_level")), LEVELS),
        )
        if Scalar("health") in top:
            health = self.mapping(top[Scalar("health")], HEALTH, "under 'health'")
            if isinstance(top[Scalar("health")], MapNode) and not top[Scalar("health")]:
                self.add("G002", "'health' needs a 'file', a 'port' or both", _at(top[Scalar("health")]))
            shape.health_file = self.text(health.get(Scalar("file")))
            shape.health_port = self.port(health.get(Scalar("port")))
        if Scalar("services") in top:
            services = self.mapping(top[Scalar("services")], None, "")
            shape.services = [self.service(name, each) for name, each in services.items()]
        if Scalar("channels") not in top:
            hint = "for example: channels: {clinic: {transport: telstra_v2, flows: [clinic.yaml]}}"
            self.add("G002", "'channels' is missing", _at(root), hint=hint)
        else:
            node = top[Scalar("channels")]
            channels = self.mapping(node, None, "")
            if isinstance(node, MapNode) and not channels:
                self.add("G002", "there is no channel", _at(node))
            shape.channels = [self.channel(name, each) for name, each in channels.items()]
        return shape

    def channel(self, name: Scalar, node: Node) -> ChannelShape:
        if not _CHANNEL_NAME.fullmatch(name):
            hint = "letters, digits, - and _, at most 40"
            self.add("G004", f"'{name[:60]}' is no name for a channel", name, hint=hint)
        keys = self.mapping(node, CHANNEL, "in a channel")
        shape = ChannelShape(name)
        if isinstance(node, MapNode):
            for needed in ("transport", "flows"):
                if Scalar(needed) not in keys:
                    self.add("G002", f"the channel '{name}' has no '{needed}'", name)
        shape.transport = self.text(keys.get(Scalar("transport")))
        shape.number = self.text(keys.get(Scalar("number")))
        shape.flows = self.texts(keys.get(Scalar("flows")))
        shape.default = self.text(keys.get(Scalar("default")))
        shape.poll = self.poll(keys.get(Scalar("poll")))
        shape.pace = self.pace(keys.get(Scalar("pace")))
        shape.opt_out = self.words(keys.get(Scalar("opt_out")))
        shape.opt_in = self.words(keys.get(Scalar("opt_in")))
        shape.unknown = self.one_of(keys.get(Scalar("unknown")), UNKNOWNS)
        shape.ask_after = self.wait(keys.get(Scalar("ask_after")))
        shape.expire = self.wait(keys.get(Scalar("expire")))
        if Scalar("settings") in keys:
            settings = self.mapping(keys[Scalar("settings")], None, "")
            for setting, value in settings.items():
                self.setting(shape, setting, value)
        return shape

    def service(self, name: Scalar, node: Node) -> ServiceShape:
        keys = self.mapping(node, SERVICE, "in a service")
        shape = ServiceShape(name)
        if isinstance(node, MapNode) and Scalar("url") not in keys:
            self.add("G002", f"the service '{name}' has no 'url'", name)
        shape.url = self.text(keys.get(Scalar("url")))
        shape.timeout = self.wait(keys.get(Scalar("timeout")))
        shape.patience = self.wait(keys.get(Scalar("patience")))
        if Scalar("token") in keys:
            holder = ChannelShape(name, transport=Scalar("service"))
            self.setting(holder, Scalar("token", _at_scalar(keys[Scalar("token")])), keys[Scalar("token")])
            shape.token = next(iter(holder.settings.values()), None)
        return shape

    def setting(self, shape: ChannelShape, name: Scalar, node: Node) -> None:
        if name == "number":
            hint = "write it beside 'settings', not below it"
            self.add("G001", "'number' is no setting", name, hint=hint)
            return
        known = SETTINGS.get(shape.transport or "")
        if known is not None and name not in known:
            hint = nearest(name, known)
            message = f"{shape.transport} has no setting '{name}'"
            self.add("G001", message, name, hint=hint, expected=() if hint else known)
            return
        variable = variable_of(shape.transport or "transport", name)
        if isinstance(node, Scalar):
            if _SECRET.fullmatch(name):
                hint = (
                    f"write '{name}: {{env: {variable}}}' or '{name}: {{file: PATH}}', and change the secret"
                )
                self.add("G005", f"'{name}' is a secret and must not stand in the file", name, hint=hint)
            elif (text := self.text(node)) is not None:
                shape.settings[name] = Setting("text", text)
            return
        hint = f"for example: {name}: {{env: {variable}}}"
        if isinstance(node, ListNode):
            self.add("G003", "a text or a mapping belongs here, not a list", _at(node), hint=hint)
            return
        before = len(self.problems)
        source = self.mapping(node, ("env", "file"), "of a setting")
        if len(self.problems) > before:
            return
        if len(source) != 1:
            self.add("G002", f"'{name}' has to come from either 'env' or 'file'", name, hint=hint)
            return
        kind, value = next(iter(source.items()))
        text = self.text(value)
        if text is None:
            return
        if kind == "env" and not _VARIABLE.fullmatch(text):
            # What stands here may be the secret itself, so it is not repeated.
            self.add("G004", "this is no name of an environment variable", name, hint=hint)
            return
        shape.settings[name] = Setting(str(kind), text)

    # -- values ---------------------------------------------------------------------------------

    def add(
        self, code: str, message: str, at: Scalar | Position, *, hint: str = "", expected: Iterable[str] = ()
    ) -> None:
        self.problems.append(problem(code, message, at, hint=hint, expected=expected))

    def mapping(self, node: Node, known: tuple[str, ...] | None, place: str) -> Mapping[Scalar, Node]:
        """Return what the mapping holds of the ``known`` keys (None: of all)."""
        if not isinstance(node, MapNode):
            found = "a list" if isinstance(node, ListNode) else "a text"
            self.add("G003", f"a mapping belongs here, not {found}", _at(node))
            return {}
        for key in node:
            if known is not None and key not in known:
                hint = nearest(key, known)
                self.add(
                    "G001", f"unknown key '{key}' {place}", key, hint=hint, expected=() if hint else known
                )
        return {key: value for key, value in node.items() if known is None or key in known}

    def text(self, node: Node | None) -> Scalar | None:
        if node is None:
            return None
        if not isinstance(node, Scalar):
            found = "a list" if isinstance(node, ListNode) else "a mapping"
            self.add("G003", f"a text belongs here, not {found}", _at(node))
            return None
        if not node.strip():
            self.add("G002", "there is nothing here", node)
            return None
        return node

    def texts(self, node: Node | None) -> tuple[Scalar, ...]:
        """Return a list of texts, or the one text as a list."""
        if isinstance(node, MapNode):
            self.add("G003", "a list belongs here, not a mapping", _at(node))
            return ()
        if isinstance(node, ListNode):
            if not node:
                self.add("G002", "the list is empty", _at(node))
            return tuple(text for each in node if (text := self.text(each)) is not None)
        text = self.text(node)
        return () if text is None else (text,)

    def words(self, node: Node | None) -> tuple[str, ...] | None:
        """Return words: a list, or one text with commas."""
        if node is None:
            return None
        words = [word.strip() for text in self.texts(node) for word in text.split(",")]
        return tuple(word for word in words if word) or None

    def one_of(self, node: Node | None, known: tuple[str, ...]) -> str | None:
        text = self.text(node)
        if text is not None and text not in known:
            hint = nearest(text, known)
            self.add(
                "G004", f"'{text[:60]}' is not possible here", text, hint=hint, expected=() if hint else known
            )
            return None
        return None if text is None else str(text)

    def poll(self, node: Node | None) -> timedelta | None:
        text = self.text(node)
        if text is None:
            return None
        found = parse_duration(text)
        if found is None or not timedelta(0) < found <= LONGEST_POLL:
            hint = "write 1s, 30s or 5m; at most 24h"
            self.add("G004", f"'{text[:60]}' is no time to rest between polls", text, hint=hint)
            return None
        return found

    def wait(self, node: Node | None) -> timedelta | None:
        text = self.text(node)
        if text is None:
            return None
        found = parse_duration(text)
        if found is None or not timedelta(0) < found <= LONGEST_WAIT:
            self.add("G004", f"'{text[:60]}' is no duration", text, hint="write 10s, 5m, 24h or 3d")
            return None
        return found

    def pace(self, node: Node | None) -> timedelta | None:
        text = self.text(node)
        if text is None:
            return None
        found = _PACE.fullmatch(" ".join(text.split()))
        if found is None or int(found[1]) == 0:
            hint = "write '10 per second', '30 per minute' or '600 per hour'"
            self.add("G004", f"'{text[:60]}' is no pace", text, hint=hint)
            return None
        return _UNITS[found[2]] / int(found[1])

    def port(self, node: Node | None) -> int | None:
        text = self.text(node)
        if text is None:
            return None
        if not re.fullmatch(r"[1-9][0-9]{0,4}", text) or int(text) > 65535:
            self.add("G004", f"'{text[:60]}' is no port", text, hint="write a number from 1 to 65535")
            return None
        return int(text)


def _at_scalar(node: Node) -> Position:
    return node.position


def _at(node: Node) -> Scalar | Position:
    return node if isinstance(node, Scalar) else node.position
