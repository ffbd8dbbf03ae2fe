"""The settings of a telstra_v3 channel, read from the environment and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from convo.errors import ConfigError
from convo.messages import Address, to_address
from convo.transports.http import check_url

BASE_URL = "https://products.api.telstra.com/messaging/v3"
TOKEN_PATH = "/v2/oauth/token"  # noqa: S105 - yes, v2, and beside the API, not under it
SCOPES = "messages:read messages:write virtual-numbers:read virtual-numbers:write"
WHO = "TELSTRA_CLIENT_ID and TELSTRA_CLIENT_SECRET"
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one channel. ``number`` None: the only one of the account; ``since`` None: as usual."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    base_url: str = BASE_URL
    token_url: str = "https://products.api.telstra.com" + TOKEN_PATH
    number: Address | None = field(default=None, repr=False)
    since: datetime | timedelta | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the TELSTRA_ variables.

        Raises:
            ConfigError: some are missing (all of them are named) or make no sense.
        """

        def value(name: str) -> str:
            return environ.get(name, "").strip()

        missing = [name for name in ("TELSTRA_CLIENT_ID", "TELSTRA_CLIENT_SECRET") if not value(name)]
        if missing:
            raise ConfigError(
                f"telstra_v3 needs the environment variable{'s' if missing[1:] else ''} "
                f"{' and '.join(missing)}: the keys of your app at dev.telstra.com"
            )
        base = check_url("TELSTRA_BASE_URL", value("TELSTRA_BASE_URL") or BASE_URL)
        parts = urlsplit(base)
        beside = f"{parts.scheme}://{parts.netloc}{TOKEN_PATH}"
        token = check_url("TELSTRA_TOKEN_URL", value("TELSTRA_TOKEN_URL") or beside)
        number = None
        if value("TELSTRA_NUMBER"):
            try:
                number = to_address(value("TELSTRA_NUMBER"))
            except ValueError as problem:
                raise ConfigError(f"TELSTRA_NUMBER: {problem}") from None
        since = read_since(value("TELSTRA_SINCE")) if value("TELSTRA_SINCE") else None
        return cls(value("TELSTRA_CLIENT_ID"), value("TELSTRA_CLIENT_SECRET"), base, token, number, since)


def read_since(text: str) -> datetime | timedelta:
    """Read how far back to begin: ``30d``, ``12h``, or a moment with its offset.

    Raises:
        ConfigError: it is neither.
    """
    written = re.fullmatch(r"([0-9]{1,5}) ?([mhdw])", text)
    if written:
        return int(written[1]) * _UNITS[written[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(
            "TELSTRA_SINCE says how far back a new store begins: a time like 30d, 12h or 45m, or a moment "
            "with its offset, like 2026-11-01T00:00:00+11:00"
        )
    return moment.astimezone(UTC)
