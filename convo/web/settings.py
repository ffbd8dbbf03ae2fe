"""What a webhook is told: which paths it answers, what stands before it, and how much it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from convo.runtime.push import WebSettings, check_secret
from convo.transports.base import Pushed

__all__ = ["Hook", "WebSettings"]


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
        check_secret(self.channel, self.secret, signed=self.transport.signs_pushes)

    @property
    def path(self) -> str:
        """The path it answers, percent-encoded; a secret like the rest of the settings."""
        path = "/" + quote(self.channel, safe="")
        return f"{path}/{self.secret}" if self.secret else path
