"""Kannel: texts come by the get-url of an sms-service, go by sendsms; receipts come by dlr-url.

Settings come from the environment: KANNEL_SENDSMS_URL (``http://127.0.0.1:13013/cgi-bin/sendsms``),
KANNEL_USERNAME, KANNEL_PASSWORD and KANNEL_NUMBER. Kannel signs nothing and cannot be polled, so the
channel must be pushed to, under a path that is a secret. Facts: Kannel's user guide, and Debian's 1.4.5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

from convo.clock import Clock
from convo.errors import ConfigError
from convo.messages import Address, Inbound, Outbound, Receipt, Status, Unreadable
from convo.sms import Encoding, encoding_of
from convo.transports.base import (
    BadCredentials,
    Batch,
    GiveUp,
    PushRequest,
    PushResult,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)
from convo.transports.http import Door, NoAnswer, check_url

NEEDED = ("KANNEL_SENDSMS_URL", "KANNEL_USERNAME", "KANNEL_PASSWORD", "KANNEL_NUMBER")
RECEIPTS = 1 | 2 | 8 | 16
"""Asked for in dlr-mask: delivered, failed, taken by the SMSC, refused by it."""
STATUS_OF: Mapping[str, Status] = {
    "1": Status.DELIVERED,
    "2": Status.FAILED,
    "8": Status.SENT,
    "16": Status.FAILED,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one channel, checked."""

    url: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    number: Address = field(repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the KANNEL_ variables.

        Raises:
            ConfigError: some are missing (all of them are named) or make no sense.
        """
        url, username, password, number = (environ.get(name, "").strip() for name in NEEDED)
        missing = [name for name in NEEDED if not environ.get(name, "").strip()]
        if missing:
            raise ConfigError(f"kannel needs the environment variables {', '.join(missing)}")
        return cls(check_url("KANNEL_SENDSMS_URL", url), username, password, Address(number))


def create(*, channel: str, clock: Clock, environ: Mapping[str, str]) -> Kannel:
    """Return the transport of ``channel`` with its settings from ``environ``; asks nothing of Kannel yet.

    Raises:
        ConfigError: settings are missing or wrong.
    """
    return Kannel(Settings.from_environ(environ), channel=channel, clock=clock)


class Kannel:
    """One number behind a Kannel; threads may send and take pushes at the same time."""

    name = "kannel"
    reserved_words: frozenset[str] = frozenset()
    signs_pushes = False
    only_pushed = True
    push_methods = frozenset({"GET"})

    def __init__(self, settings: Settings, *, channel: str, clock: Clock, door: Door | None = None) -> None:
        self._settings = settings
        self._channel = channel
        self._clock = clock
        self._door = door or Door(clock)
        self._push_url: str | None = None

    def __repr__(self) -> str:
        return f"<Kannel channel={self._channel!r}>"

    def push_to(self, url: str | None) -> None:
        """Have receipts pushed to ``url``; texts go where the get-url in Kannel's own file says."""
        self._push_url = url

    def start(self) -> None:
        """See that texts can come at all.

        Raises:
            ConfigError: the channel is not set to push.
        """
        if self._push_url is None:
            raise ConfigError(f"{self._channel}: Kannel cannot be polled; set the channel to push")

    def poll(self, cursor: str | None) -> Batch:
        """Bring nothing: Kannel keeps what its get-url could not take, and calls again."""
        return Batch(cursor=cursor)

    def send(self, outbound: Outbound) -> SendResult:
        """Hand one outbound over to sendsms."""
        now = self._clock.now()
        # Kannel names no message; this name comes back in the receipts.
        message_id = f"{outbound.id}-{int(now.timestamp() * 1000)}"
        said = {
            "username": self._settings.username,
            "password": self._settings.password,
            "from": self._settings.number,
            "to": outbound.recipient,
            "text": outbound.text,
            "charset": "UTF-8",
            "coding": "0" if encoding_of(outbound.text) is Encoding.GSM7 else "2",
        }
        if self._push_url is not None:
            said["dlr-mask"] = str(RECEIPTS)
            said["dlr-url"] = f"{self._push_url}?{urlencode({'receipt': message_id})}&type=%d"
        answer = self._door.exchange("GET", f"{self._settings.url}?{urlencode(said)}")
        if isinstance(answer, NoAnswer):
            return Unknown(answer.reason) if answer.may_have_arrived else RetryLater(answer.reason)
        number = re.match(r"\s*([0-9]{1,2}):", answer.text[:20])
        reason = f"Kannel answered {answer.status}{f' ({number[1]})' if number else ''}"
        if answer.status == 202 and (number is None or number[1] in ("0", "3")):
            return Sent(message_id)
        if answer.status == 403 or "authorization failed" in answer.text[:200].lower():
            return BadCredentials(f"{reason}; check KANNEL_USERNAME and KANNEL_PASSWORD")
        if answer.status in (502, 504):
            return Unknown(reason)
        if answer.status >= 500 or answer.status == 429 or "temporal failure" in answer.text[:200].lower():
            return RetryLater(reason, answer.retry_after(now))
        return Unknown(reason) if answer.status < 300 else GiveUp(reason)

    def received(self, request: PushRequest) -> PushResult:
        """Read a call of the get-url or of a dlr-url; the answer has no body, so Kannel sends no reply."""
        now = self._clock.now()
        # Percent signs stand for bytes here: the charset of the text is a field of its own.
        try:
            fields = parse_qsl(request.query, keep_blank_values=True, encoding="latin-1", max_num_fields=50)
        except ValueError:
            return PushResult(status=400)
        said = dict(fields)
        if not said:
            return PushResult(status=400)
        if "receipt" in said:
            status = STATUS_OF.get(said.get("type", ""))
            if status is not None:
                receipt = Receipt(self._channel, said["receipt"], status, now, request.query)
                return PushResult(Batch(receipts=(receipt,)), 200)
        sender, text = said.get("from", "").strip(), _text_of(said)
        if not sender or text is None or "receipt" in said:
            aside = Unreadable(request.query, "the call is neither a text nor a receipt", now)
            return PushResult(Batch(unreadable=(aside,)), 200)
        inbound = Inbound(
            channel=self._channel,
            sender=Address(sender),
            recipient=Address(said.get("to", "").strip() or self._settings.number),
            text=text,
            received_at=now,
            sent_at=_moment(said.get("epoch", "")),
            provider_id=said.get("id", "").strip(),
            raw=request.query,
        )
        return PushResult(Batch(messages=(inbound,)), 200)

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()


def _text_of(said: Mapping[str, str]) -> str | None:
    """Return the text, from its bytes and the charset or coding that Kannel names."""
    if "text" not in said:
        return None
    octets = said["text"].encode("latin-1")
    charset = said.get("charset", "").strip() or ("UTF-16BE" if said.get("coding") == "2" else "UTF-8")
    for name in (charset, "UTF-8"):
        try:
            return octets.decode(name)
        except (LookupError, ValueError):
            continue
    return octets.decode("cp1252", "replace")


def _moment(epoch: str) -> datetime | None:
    return datetime.fromtimestamp(int(epoch), UTC) if re.fullmatch(r"[0-9]{1,10}", epoch) else None
