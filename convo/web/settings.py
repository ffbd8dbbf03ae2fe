"""What a webhook is told: which paths it answers, what stands before it, and how much it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import quote, urlsplit

from convo.errors import ConfigError
from convo.transports.base import Pushed

SHORTEST_SECRET = 20
"""Characters. What ``secrets.token_urlsafe(24)`` gives has 32."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One channel that is pushed to. ``secret`` is the part of the path that only the provider knows.

    Raises:
        ConfigError: the secret is too short, too plain or not fit for a path; or there is none, and
            nothing else tells the provider from a stranger.
    """

    channel: str
    transport: Pushed = field(repr=False)
    secret: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse what would let strangers in."""
        if not self.secret:
            if not self.transport.signs_pushes:
                raise ConfigError(
                    f"the webhook of {self.channel!r} needs a secret: its provider signs nothing, so the "
                    f"path must be one that nobody can guess; make one with: python3 -c "
                    f"'import secrets; print(secrets.token_urlsafe(24))'"
                )
            return
        if len(self.secret) < SHORTEST_SECRET or len(set(self.secret)) < 8:
            raise ConfigError(
                f"the secret of the webhook of {self.channel!r} can be guessed: it needs at least "
                f"{SHORTEST_SECRET} characters, and 8 different ones"
            )
        if not re.fullmatch(r"[A-Za-z0-9_.~-]+", self.secret):
            raise ConfigError(
                f"the secret of the webhook of {self.channel!r} stands in its path: letters, digits and "
                "- _ . ~ only"
            )

    @property
    def path(self) -> str:
        """The path it answers, percent-encoded; a secret like the rest of the settings."""
        path = "/" + quote(self.channel, safe="")
        return f"{path}/{self.secret}" if self.secret else path


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
            try:
                ip_network(proxy, strict=False)
            except ValueError:
                raise ConfigError(f"proxies: {proxy!r} is no IP address or network") from None
        if min(self.largest_body, self.body_within, self.rate, self.burst, self.at_once) <= 0:
            raise ConfigError("the sizes, times and rates of a webhook are more than 0")

    def trusts(self, address: str) -> bool:
        """Return whether ``address`` is one of the proxies."""
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        return any(peer in ip_network(proxy, strict=False) for proxy in self.proxies)

    def url_of(self, hook: Hook) -> str:
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
