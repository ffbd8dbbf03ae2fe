"""Which addresses a secret may be sent to, and texts be pushed to.

Apart from the door, so that reading settings loads no HTTP.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from convo.errors import ConfigError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def check_url(setting: str, url: str) -> str:
    """Return ``url`` without its last slash if a secret may be sent there.

    Raises:
        ConfigError: it is no http(s) address, holds a password, or is plain http beyond this machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{setting} is no address; write it like https://tapi.telstra.com/v2") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{setting} is no address; write it like https://tapi.telstra.com/v2")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(f"{setting} must be a plain address without user, password, ? and #")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise ConfigError(f"{setting} must begin with https:// (http is for an emulator on this machine)")
    return url.rstrip("/")


def check_push_url(url: str) -> str:
    """Return ``url`` without blanks around it if a provider may push what people write there.

    Raises:
        ConfigError: it is no whole address, or is plain http beyond this machine.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError("the address to push to must be a whole one, like https://example.com/sms")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise ConfigError(
            "the address to push to must begin with https://, or anybody between could read along"
        )
    return url
