"""Kannel: texts come by the get-url of an sms-service, go by sendsms; receipts come by dlr-url.

Settings come from the environment: KANNEL_SENDSMS_URL (``http://127.0.0.1:13013/cgi-bin/sendsms``),
KANNEL_USERNAME, KANNEL_PASSWORD and KANNEL_NUMBER; KANNEL_REGION (AU) is where numbers that begin with a
0 belong. With KANNEL_REPLY=response a reply that is ready within seconds is the answer to the get-url, and
only later ones go by sendsms. Kannel signs nothing and cannot be polled, so the channel must be pushed
to, under a path that is a secret. Facts: Kannel's user guide, and Debian's 1.4.5.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotInTime
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
    HeldCall,
    PushRequest,
    PushResult,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)
from convo.transports.http import Door, NoAnswer, check_url
from convo.transports.numbers import read_number

NEEDED = ("KANNEL_SENDSMS_URL", "KANNEL_USERNAME", "KANNEL_PASSWORD", "KANNEL_NUMBER")
RECEIPTS = 1 | 2 | 8 | 16
"""Asked for in dlr-mask: delivered, failed, taken by the SMSC, refused by it."""
REPLIES = ("sendsms", "response")
HELD = 3.0
"""Seconds that a call of the get-url waits for a reply, where replies go in its answer."""
WRITTEN = 5.0
"""Seconds after which a reply in an answer, of which the webhook says nothing, may or may not have left."""
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
    region: str = "AU"
    in_response: bool = False

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
        region = environ.get("KANNEL_REGION", "").strip() or "AU"
        if not re.fullmatch(r"[A-Z]{2}", region):
            raise ConfigError("KANNEL_REGION is two letters, like AU or KE")
        reply = environ.get("KANNEL_REPLY", "").strip() or REPLIES[0]
        if reply not in REPLIES:
            raise ConfigError(f"KANNEL_REPLY is {' or '.join(REPLIES)}: the way that replies take")
        url = check_url("KANNEL_SENDSMS_URL", url)
        return cls(url, username, password, Address(number), region, reply == "response")


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

    def __init__(
        self,
        settings: Settings,
        *,
        channel: str,
        clock: Clock,
        door: Door | None = None,
        held: float = HELD,
    ) -> None:
        self._within = held
        self._settings = settings
        self._channel = channel
        self._clock = clock
        self._door = door or Door(clock)
        self._push_url: str | None = None
        self._held: dict[str, HeldCall] = {}
        self._lock = threading.Lock()

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
        """Hand one outbound over: in the answer to a call that is held for it, or to sendsms."""
        # Kannel names no message; this name comes back in the receipts.
        message_id = f"{outbound.id}-{int(self._clock.now().timestamp() * 1000)}"
        return self._in_answer(outbound, message_id) or self._by_sendsms(outbound, message_id)

    def _receipts(self, message_id: str) -> str | None:
        if self._push_url is None:
            return None
        return f"{self._push_url}?{urlencode({'receipt': message_id})}&type=%d"

    def _in_answer(self, outbound: Outbound, message_id: str) -> SendResult | None:
        """Answer a call that waits for a reply; None where there is none, or nobody listens any more."""
        with self._lock:
            held = self._held.pop(outbound.recipient, None)
        if held is None or not held.reply.set_running_or_notify_cancel():
            return None
        headers = {"Content-Type": "text/plain; charset=UTF-8", "X-Kannel-Coding": _coding(outbound.text)}
        url = self._receipts(message_id)
        if url is not None:
            headers |= {"X-Kannel-DLR-Mask": str(RECEIPTS), "X-Kannel-DLR-Url": url}
        held.reply.set_result(PushResult(status=200, body=outbound.text.encode(), headers=headers))
        try:
            return Sent(message_id) if held.written.result(WRITTEN) else None
        except (NotInTime, CancelledError):
            return Unknown("the answer to Kannel's call was not seen to go out")

    def _by_sendsms(self, outbound: Outbound, message_id: str) -> SendResult:
        said = {
            "username": self._settings.username,
            "password": self._settings.password,
            "from": self._settings.number,
            "to": outbound.recipient,
            "text": outbound.text,
            "charset": "UTF-8",
            "coding": _coding(outbound.text),
        }
        url = self._receipts(message_id)
        if url is not None:
            said |= {"dlr-mask": str(RECEIPTS), "dlr-url": url}
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
            return RetryLater(reason, answer.retry_after(self._clock.now()))
        return Unknown(reason) if answer.status < 300 else GiveUp(reason)

    def received(self, request: PushRequest) -> PushResult:
        """Read a call of the get-url or of a dlr-url; an answer without a body has Kannel send no reply."""
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
            sender=read_number(sender, self._settings.region, bare=True),
            recipient=Address(said.get("to", "").strip() or self._settings.number),
            text=text,
            received_at=now,
            sent_at=_moment(said.get("epoch", "")),
            provider_id=said.get("id", "").strip(),
            raw=request.query,
        )
        held = self._hold(inbound.sender) if self._settings.in_response else None
        return PushResult(Batch(messages=(inbound,)), 200, held=held)

    def _hold(self, sender: Address) -> HeldCall:
        """Keep the call of ``sender`` open for a reply; a call before it waits no longer."""
        held = HeldCall(self._within)
        with self._lock:
            earlier, self._held[sender] = self._held.get(sender), held
        if earlier is not None:
            earlier.reply.cancel()

        def forget(_reply: Future[PushResult]) -> None:
            with self._lock:
                if self._held.get(sender) is held:
                    del self._held[sender]

        held.reply.add_done_callback(forget)
        return held

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()


def _coding(text: str) -> str:
    """Return Kannel's number for GSM-7 (0) or UCS-2 (2)."""
    return "0" if encoding_of(text) is Encoding.GSM7 else "2"


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
