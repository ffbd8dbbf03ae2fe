"""What it takes to be pushed to: where we listen, under which address, and paths that nobody can guess."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address, ip_network
from typing import Protocol
from urllib.parse import urlsplit

from convo.errors import ConfigError
from convo.transports.base import Transport

SHORTEST_SECRET = 20
"""Characters. What ``secrets.token_urlsafe(24)`` gives has 32."""
MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
LOOPBACK = ("127.0.0.0/8", "::1/128")
OWN_PATHS = ("healthz", "readyz", "metrics")
"""What the server answers itself; no channel without a secret in its path may be called so."""


class HasPath(Protocol):
    """One channel that is pushed to, and the path at which: ``convo.web.Hook``."""

    @property
    def channel(self) -> str:
        """Its name."""
        ...

    @property
    def path(self) -> str:
        """The path, percent-encoded; a secret."""
        ...


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How the webhook stands in the world. Sizes in bytes, times in seconds.

    ``public_url`` is the address under which providers reach the app, path prefix and all: with it
    signatures are checked against that address, whatever the proxies in between say. Without it the
    ``X-Forwarded-`` headers of ``proxies`` (addresses or networks) are believed, and of nobody else.
    ``rate`` calls a second, and ``burst`` at once, are taken from one address for one channel.

    Raises:
        ConfigError: a setting makes no sense.
    """

    public_url: str = ""
    proxies: tuple[str, ...] = ()
    largest_body: int = 64 * 1024
    body_within: float = 10.0
    rate: float = 50.0
    burst: int = 200
    at_once: int = 64
    receipt_again: tuple[float, ...] = (1.0, 5.0, 30.0)
    """When to look again for the outbound of a receipt that came before its send was written down."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.public_url:
            check_public_url(self.public_url)
        for proxy in self.proxies:
            check_network("proxies", proxy)
        if min(self.largest_body, self.body_within, self.rate, self.burst, self.at_once) <= 0:
            raise ConfigError("the sizes, times and rates of a webhook are more than 0")

    def trusts(self, address: str) -> bool:
        """Return whether ``address`` is one of the proxies."""
        return is_within(address, self.proxies)

    def url_of(self, hook: HasPath) -> str:
        """Return the address to give to the provider.

        Raises:
            ConfigError: there is no public_url.
        """
        if not self.public_url:
            raise ConfigError(
                f"to have {hook.channel!r} pushed to us its provider must be told where: set public_url to "
                "the address under which this webhook is reached, like https://sms.example.com"
            )
        return self.public_url.rstrip("/") + hook.path


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The server of one program. ``port`` None: its webhooks are served elsewhere, by an app of yours.

    ``metrics`` are the addresses and networks that may ask for /metrics.
    """

    host: str = "127.0.0.1"
    port: int | None = 8080
    settings: WebSettings = field(default_factory=WebSettings)
    metrics: tuple[str, ...] = LOOPBACK


class Lacks(Enum):
    """What a channel lacks that is to be pushed to, or has to be."""

    WEBHOOK = "webhook"
    ADDRESS = "address"
    SECRET = "secret"  # noqa: S105 - the word, not one
    PUSH = "push"
    NAME = "name"


class NotPushable(ConfigError):
    """A channel cannot be pushed to as it is set, or cannot be polled; ``lacks`` says what to change."""

    def __init__(self, message: str, lacks: Lacks) -> None:
        super().__init__(message)
        self.lacks = lacks


class MayHook(Protocol):
    """What is configured of one channel: a ``ChannelConfig``."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def push(self) -> bool | None:
        """Whether its provider shall call us; None: as it is."""
        ...

    @property
    def hook(self) -> bool:
        """Whether calls are taken."""
        ...

    @property
    def secret(self) -> str:
        """The secret of its path, blank where there is none."""
        ...


def check_push(channel: MayHook, transport: Transport, web: WebConfig | None) -> None:
    """See that texts can reach ``channel`` in the way that is asked for.

    Raises:
        NotPushable: they cannot.
    """
    if not channel.push and getattr(transport, "only_pushed", False):
        raise NotPushable(f"{transport.name} cannot be polled: its provider has to call us", Lacks.PUSH)
    if not channel.hook:
        return
    if not hasattr(transport, "received"):
        raise NotPushable(f"{transport.name} has no webhook; it can only be polled", Lacks.WEBHOOK)
    if web is None or not web.settings.public_url:
        raise NotPushable("its provider has to know under which address it reaches us", Lacks.ADDRESS)
    if not channel.secret and channel.name in OWN_PATHS:
        raise NotPushable(
            f"the path /{channel.name} is taken; it needs another name, or a secret", Lacks.NAME
        )
    check_secret(channel.name, channel.secret, signed=getattr(transport, "signs_pushes", False))


def check_secret(channel: str, secret: str, *, signed: bool) -> None:
    """Refuse a path that would let strangers in. ``signed``: calls are known by their signature anyway.

    Raises:
        NotPushable: the secret is missing, too short, too plain or not fit for a path.
    """
    if not secret and signed:
        return
    if not secret:
        raise NotPushable(
            f"the webhook of {channel!r} needs a secret: its provider signs nothing, so the "
            f"path must be one that nobody can guess; make one with: {MAKE_ONE}",
            Lacks.SECRET,
        )
    if len(secret) < SHORTEST_SECRET or len(set(secret)) < 8:
        raise NotPushable(
            f"the secret of the webhook of {channel!r} can be guessed: it needs at least "
            f"{SHORTEST_SECRET} characters, and 8 different ones",
            Lacks.SECRET,
        )
    if not re.fullmatch(r"[A-Za-z0-9_.~-]+", secret):
        raise NotPushable(
            f"the secret of the webhook of {channel!r} stands in its path: letters, digits and - _ . ~ only",
            Lacks.SECRET,
        )


def check_public_url(url: str) -> None:
    """Refuse an address that no provider could call.

    Raises:
        ConfigError: it is no http(s) address, or has a user, a ``?`` or a ``#``.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise ConfigError("public_url must be a whole address, like https://sms.example.com")
    if parts.query or parts.fragment:
        raise ConfigError("public_url must have no ? and no #")


def check_network(key: str, written: str) -> None:
    """Refuse what is no address and no network.

    Raises:
        ConfigError: it is none; ``key`` says where it stands.
    """
    try:
        ip_network(written, strict=False)
    except ValueError:
        raise ConfigError(f"{key}: {written!r} is no IP address or network") from None


def is_within(address: str, networks: tuple[str, ...]) -> bool:
    """Return whether ``address`` is in one of ``networks``; False for what is no address."""
    try:
        peer = ip_address(address)
    except ValueError:
        return False
    return any(peer in ip_network(each, strict=False) for each in networks)
