"""Postbox, a made-up provider: texts are listed by number, posted, and pushed to a signed webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from convo.clock import Clock
from convo.errors import ConfigError, CredentialsError, TransportError
from convo.messages import Address, Inbound, Outbound, Receipt, Status, Unreadable
from convo.transports.base import (
    BadCredentials,
    Batch,
    GiveUp,
    OptedOut,
    PushRequest,
    PushResult,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)
from convo.transports.http import Answer, Door, NoAnswer, NotJSON, check_url

STATUS_OF = {"taken": Status.SENT, "delivered": Status.DELIVERED, "undeliverable": Status.FAILED}


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
    signs_pushes = True
    push_methods = frozenset({"POST"})

    def __init__(self, url: str, token: str, *, channel: str, clock: Clock, door: Door) -> None:
        """Ask nothing yet."""
        self._url, self._token = url, token
        self._channel, self._clock, self._door = channel, clock, door
        self._push_url: str | None = None

    def __repr__(self) -> str:
        return f"<Postbox channel={self._channel!r}>"

    def start(self) -> None:
        """Ask once, so that a wrong token is known before the first text."""
        self._listed(after="999999999999")

    def poll(self, cursor: str | None) -> Batch:
        """List what came after the cursor: the number of the last text that was read."""
        listed = self._listed(after=cursor or "0")
        messages, odd = [], []
        for one in listed:
            message = self._message(one)
            if message is None:
                odd.append(Unreadable(json.dumps(one), "it is no text", self._clock.now()))
            else:
                messages.append(message)
        ids = [one["number"] for one in listed if isinstance(one, dict) and one.get("number")]
        return Batch(tuple(messages), cursor=ids[-1] if ids else cursor, unreadable=tuple(odd))

    def _listed(self, after: str) -> list[object]:
        query = urlencode({"after": after})
        answer = self._door.exchange("GET", f"{self._url}/texts?{query}", bearer=self._token)
        if isinstance(answer, NoAnswer):
            raise TransportError(f"the poll failed: {answer.reason}")
        if answer.status == 401:
            raise CredentialsError("the poll was refused; check POSTBOX_TOKEN")
        try:
            listed = answer.json() if answer.status == 200 else None
        except NotJSON:
            listed = None
        if not isinstance(listed, list):
            # Listing takes nothing away, so the next poll brings it again.
            wait = answer.retry_after(self._clock.now())
            raise TransportError(f"the poll was answered {answer.status}, and no list", retry_after=wait)
        return listed

    def _message(self, one: object) -> Inbound | None:
        try:
            assert isinstance(one, dict)
            return Inbound(
                channel=self._channel,
                sender=Address(one["from"]),
                recipient=Address(one["to"]),
                text=one["text"],
                received_at=self._clock.now(),
                sent_at=datetime.fromisoformat(one["at"]),
                provider_id=one["number"],
                raw=json.dumps(one),
            )
        except (AssertionError, KeyError, TypeError, ValueError):
            return None

    def send(self, outbound: Outbound) -> SendResult:
        """Post one text."""
        said = {"to": outbound.recipient, "text": outbound.text, "report_to": self._push_url or ""}
        answer = self._door.exchange("POST", f"{self._url}/texts", bearer=self._token, json_body=said)
        if isinstance(answer, NoAnswer):
            return Unknown(answer.reason) if answer.may_have_arrived else RetryLater(answer.reason)
        return self._result(answer)

    def _result(self, answer: Answer) -> SendResult:
        reason = f"Postbox answered {answer.status}"
        match answer.status:
            case 201:
                try:
                    number = answer.json()["number"]  # type: ignore[index]
                    return Sent(str(number))
                except (NotJSON, KeyError, TypeError):
                    return Unknown(f"{reason}, without a number")
            case 401:
                return BadCredentials(f"{reason}; check POSTBOX_TOKEN")
            case 403:
                return OptedOut(reason)
            case 429:
                return RetryLater(reason, answer.retry_after(self._clock.now()))
            case status if status >= 500 or status < 300:
                return Unknown(reason)
            case _:
                return GiveUp(reason)

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()

    def push_to(self, url: str | None) -> None:
        """Have receipts of later sends pushed to ``url``; where texts go is a setting at Postbox."""
        self._push_url = url

    def received(self, request: PushRequest) -> PushResult:
        """Read a call to our webhook: a text, or what became of one that we sent."""
        if not hmac.compare_digest(
            signature(self._token, request.body), request.headers.get("postbox-signature", "").encode()
        ):
            return PushResult(status=403)
        now = self._clock.now()
        try:
            said = json.loads(request.body)
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict) and said.get("became") in STATUS_OF:
            status = STATUS_OF[said["became"]]
            return PushResult(Batch(receipts=(Receipt(self._channel, str(said.get("number")), status, now),)))
        message = self._message(said)
        if message is None:
            aside = Unreadable(request.body.decode("latin-1"), "neither a text nor a receipt", now)
            return PushResult(Batch(unreadable=(aside,)))
        return PushResult(Batch(messages=(message,)))


def signature(token: str, body: bytes) -> bytes:
    """Return what the header Postbox-Signature holds for a call with this body."""
    return hmac.new(token.encode(), body, hashlib.sha256).hexdigest().encode()
