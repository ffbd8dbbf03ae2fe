"""What may stand where in a configuration file, and how each value is written. Files, flows and the
environment are for ``config``: nothing here looks beyond the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType

from convo.flow.problems import Problem, nearest
from convo.flow.reader import ListNode, MapNode, Node, Scalar
from convo.runtime.config_values import NONE, Values, at
from convo.runtime.policy import Limits
from convo.runtime.push import WebConfig, WebSettings, check_public_url

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
        "G015": "a channel that cannot be pushed to as it is set, or cannot be polled",
    }
)
"""What each code means. A code keeps its meaning for ever; a new kind of problem gets a new number."""

TOP = ("channels", "services", "store", "keep", "poll", "log", "log_level", "health", "web")
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
    "longest",
    "plain",
    "limits",
    "push",
    "settings",
)
SERVICE = ("url", "token", "timeout", "patience")
HEALTH = ("file", "port")
WEB = ("listen", "public_url", "proxies", "largest_body", "body_within", "rate", "burst", "metrics")
PUSH = ("secret", "wanted")
LIMITS = ("to_one", "on_channel", "loop")
LOGS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
UNKNOWNS = ("hold", "resend")

SETTINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "console": (),
        "generic": ("description", "base_url", "token_url"),
        "kannel": ("sendsms_url", "username", "password", "region", "reply"),
        "telstra_v2": ("client_id", "client_secret", "base_url", "token_url"),
        "telstra_v3": ("client_id", "client_secret", "base_url", "token_url", "since"),
        "twilio": ("account_sid", "auth_token", "base_url"),
    }
)
"""The settings of our own transports; those of other packages take what they like."""

_SECRET = re.compile(r"(?:.*_)?(?:secret|token|password|pass|key|client_id|account_sid)", re.IGNORECASE)
_WRITTEN_SECRET = re.compile(
    r"((?:^|[\s{,'\"])(?:\w*[_-])?(?:secret|token|password|pass|key|client_id|account_sid"
    r"|bearer|authorization|cookie)['\"]?\s*:\s*)"
    r"(?!\s*\{\s*(?:env|file)\b)(\S.*)",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"(://)([^/@\s]+)(?=@)")
_CHANNEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the value of a setting comes from: ``source`` is ``text``, ``env`` or ``file``."""

    source: str
    value: Scalar = field(repr=False)


@dataclass(slots=True)
class ChannelShape:
    """One channel as it is written; None where a key is not there or has a problem.

    ``push`` None: nothing is said of it, and nothing is changed at the provider. ``hook``: calls are taken.
    """

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
    longest: int | None = None
    plain: bool | None = None
    limits: Limits = field(default_factory=Limits)
    push: bool | None = None
    hook: bool = False
    push_secret: Setting | None = None
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
    keep: timedelta | None = None
    poll: timedelta | None = None
    log: str | None = None
    log_level: str | None = None
    health_file: Scalar | None = None
    health_port: int | None = None
    web: WebConfig | None = None


def variable_of(transport: str, setting: str) -> str:
    """Return the environment variable in which a transport looks for a setting: ``TELSTRA_BASE_URL``."""
    return f"{re.sub(r'_v[0-9]+$', '', transport)}_{setting}".upper()


def without_secrets(line: str) -> str:
    """Return a line of a file with dots for what may be a secret, as long as before."""
    for pattern in (_WRITTEN_SECRET, _IN_ADDRESS):
        line = pattern.sub(lambda found: found[1] + "•" * len(found[2]), line)
    return line


def shape_of(root: Node, problems: list[Problem]) -> ConfigShape:
    """Return the file as far as it can be read; what is wrong is added to ``problems``."""
    return _Reading(problems).config(root)


class _Reading(Values):
    """One file; a problem is noted and the reading goes on."""

    def config(self, root: Node) -> ConfigShape:
        top = self.mapping(root, TOP, "at the top of the file")
        shape = ConfigShape(
            store=self.text(top.get(Scalar("store"))),
            keep=self.kept_for(top.get(Scalar("keep"))),
            poll=self.poll(top.get(Scalar("poll"))),
            log=self.one_of(top.get(Scalar("log")), LOGS),
            log_level=self.one_of(top.get(Scalar("log_level")), LEVELS),
        )
        if Scalar("health") in top:
            health = self.mapping(top[Scalar("health")], HEALTH, "under 'health'")
            if isinstance(top[Scalar("health")], MapNode) and not top[Scalar("health")]:
                self.add("G002", "'health' needs a 'file', a 'port' or both", at(top[Scalar("health")]))
            shape.health_file = self.text(health.get(Scalar("file")))
            shape.health_port = self.port(health.get(Scalar("port")))
        if Scalar("web") in top:
            shape.web = self.web(top[Scalar("web")])
        if Scalar("services") in top:
            services = self.mapping(top[Scalar("services")], None, "")
            shape.services = [self.service(name, each) for name, each in services.items()]
        if Scalar("channels") not in top:
            hint = "for example: channels: {clinic: {transport: telstra_v2, flows: [clinic.yaml]}}"
            self.add("G002", "'channels' is missing", at(root), hint=hint)
        else:
            node = top[Scalar("channels")]
            channels = self.mapping(node, None, "")
            if isinstance(node, MapNode) and not channels:
                self.add("G002", "there is no channel", at(node))
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
        shape.longest = self.characters(keys.get(Scalar("longest")))
        if Scalar("plain") in keys:
            shape.plain = self.yes_or_no(keys[Scalar("plain")])
        if Scalar("limits") in keys:
            shape.limits = self.limits(keys[Scalar("limits")])
        if Scalar("push") in keys:
            self.push(shape, keys[Scalar("push")])
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
            shape.token = self.secret("token", keys[Scalar("token")], "service")
        return shape

    def secret(self, name: str, node: Node, owner: str) -> Setting | None:
        """Return where a secret comes from that is no setting of a transport."""
        holder = ChannelShape(Scalar(owner))
        self.source(holder, Scalar(name, node.position), node, variable_of(owner, name))
        return next(iter(holder.settings.values()), None)

    def web(self, node: Node) -> WebConfig:
        keys = self.mapping(node, WEB, "under 'web'")
        if isinstance(node, MapNode) and not node:
            self.add("G002", "'web' needs 'listen', for example 127.0.0.1:8080", at(node))
        config = WebConfig()
        if Scalar("listen") in keys:
            found = self.listen(keys[Scalar("listen")])
            config = replace(config, port=None) if found is None else WebConfig(*found)
        url = self.text(keys.get(Scalar("public_url")))
        if url is not None and not self.accepted(url, partial(check_public_url, url)):
            url = None
        rate = self.pace(keys.get(Scalar("rate")))
        within = self.wait(keys.get(Scalar("body_within")))
        settings = WebSettings()
        settings = replace(
            settings,
            public_url=str(url or ""),
            proxies=self.networks("proxies", keys.get(Scalar("proxies"))),
            largest_body=self.size(keys.get(Scalar("largest_body"))) or settings.largest_body,
            body_within=within.total_seconds() if within is not None else settings.body_within,
            rate=1 / rate.total_seconds() if rate is not None else settings.rate,
            burst=self.count(keys.get(Scalar("burst"))) or settings.burst,
        )
        config = replace(config, settings=settings)
        metrics = keys.get(Scalar("metrics"))
        if metrics is None:
            return config
        return replace(config, metrics=() if metrics == NONE else self.networks("metrics", metrics))

    def limits(self, node: Node) -> Limits:
        keys = self.mapping(node, LIMITS, "under 'limits'")
        limits = Limits()
        if Scalar("to_one") in keys:
            limits = replace(limits, to_one=self.segments(keys[Scalar("to_one")], limits.to_one))
        if Scalar("on_channel") in keys:
            limits = replace(limits, on_channel=self.segments(keys[Scalar("on_channel")], limits.on_channel))
        if Scalar("loop") in keys and (loop := self.loop(keys[Scalar("loop")])) is not None:
            limits = replace(limits, loop_texts=loop[0], loop_window=loop[1])
        return limits

    def push(self, shape: ChannelShape, node: Node) -> None:
        """Read ``yes``, ``no`` or ``{secret: {env: NAME}, wanted: no}``."""
        if isinstance(node, Scalar):
            shape.push = self.yes_or_no(node)
            shape.hook = bool(shape.push)
            return
        keys = self.mapping(node, PUSH, "under 'push'")
        shape.hook = True
        shape.push = self.yes_or_no(keys[Scalar("wanted")]) if Scalar("wanted") in keys else True
        if Scalar("secret") in keys:
            shape.push_secret = self.secret(
                "secret", keys[Scalar("secret")], f"{shape.name.replace('-', '_')}_push"
            )
        elif isinstance(node, MapNode) and not node:
            self.add("G002", "'push' needs a 'secret', or is 'yes' where the provider signs", at(node))

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
        self.source(shape, name, node, variable_of(shape.transport or "transport", name))

    def source(self, shape: ChannelShape, name: Scalar, node: Node, variable: str) -> None:
        """Note where the value of a setting comes from; ``variable`` is what an example would name."""
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
            self.add("G003", "a text or a mapping belongs here, not a list", at(node), hint=hint)
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
