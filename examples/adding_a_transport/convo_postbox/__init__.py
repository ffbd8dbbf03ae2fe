"""Postbox, a made-up provider: numbered texts are listed, and a text is posted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from convo.clock import Clock
from convo.errors import ConfigError, CredentialsError, TransportError
from convo.messages import Address, Inbound, Outbound
from convo.transports.base import (
    BadCredentials,
    Batch,
    GiveUp,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)
from convo.transports.http import Door, NoAnswer, NotJSON, check_url


def create(*, channel: str, clock: Clock, environ: Mapping[str, str]) -> Postbox:
    """Return the transport with its settings from ``environ``: POSTBOX_URL and POSTBOX_TOKEN."""
    missing = [name for name in ("POSTBOX_URL", "POSTBOX_TOKEN") if not environ.get(name)]
    if missing:
        raise ConfigError(f"postbox needs the environment variables {' and '.join(missing)}")
    url = check_url("POSTBOX_URL", environ["POSTBOX_URL"])
    return Postbox(url, environ["POSTBOX_TOKEN"], channel=channel, clock=clock, door=Door(clock))


class Postbox:
    """One number at Postbox."""

    name = "postbox"
    reserved_words: frozenset[str] = frozenset()

    def __init__(self, url: str, token: str, *, channel: str, clock: Clock, door: Door) -> None:
        self._url, self._token = url, token
        self._channel, self._clock, self._door = channel, clock, door

    def start(self) -> None:
        """Nothing to make ready."""

    def poll(self, cursor: str | None) -> Batch:
        """List what came after the cursor: the number of the last text that was read."""
        query = urlencode({"after": cursor or "0"})
        answer = self._door.exchange("GET", f"{self._url}/texts?{query}", bearer=self._token)
        if isinstance(answer, NoAnswer):
            raise TransportError(f"the poll failed: {answer.reason}")
        if answer.status == 401:
            raise CredentialsError("the poll was refused; check POSTBOX_TOKEN")
        try:
            listed = answer.json() if answer.status == 200 else None
            if not isinstance(listed, list):
                wait = answer.retry_after(self._clock.now())
                raise TransportError(f"the poll was answered {answer.status}", retry_after=wait)
            found = tuple(self._inbound(one) for one in listed)
        except (NotJSON, KeyError, TypeError, ValueError):
            # Listing takes nothing away, so the next poll brings it again.
            raise TransportError("the poll brought what makes no sense") from None
        return Batch(found, cursor=found[-1].provider_id if found else cursor)

    def _inbound(self, one: Mapping[str, str]) -> Inbound:
        return Inbound(
            channel=self._channel,
            sender=Address(one["from"]),
            recipient=Address(one["to"]),
            text=one["text"],
            received_at=self._clock.now(),
            sent_at=datetime.fromisoformat(one["at"]),
            provider_id=one["number"],
        )

    def send(self, outbound: Outbound) -> SendResult:
        """Post one text."""
        said = {"to": outbound.recipient, "text": outbound.text}
        answer = self._door.exchange("POST", f"{self._url}/texts", bearer=self._token, json_body=said)
        if isinstance(answer, NoAnswer):
            return Unknown(answer.reason) if answer.may_have_arrived else RetryLater(answer.reason)
        reason = f"Postbox answered {answer.status}"
        if answer.status == 429:
            return RetryLater(reason, answer.retry_after(self._clock.now()))
        if answer.status == 401:
            return BadCredentials(f"{reason}; check POSTBOX_TOKEN")
        if answer.status >= 500:
            return Unknown(reason)
        if answer.status != 201:
            return GiveUp(reason)
        try:
            said_back = answer.json()
        except NotJSON:
            return Unknown(reason)
        number = said_back.get("number") if isinstance(said_back, dict) else None
        return Sent(number) if isinstance(number, str) and number else Unknown(reason)

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()
