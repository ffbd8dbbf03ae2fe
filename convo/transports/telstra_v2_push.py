"""Telstra v2 pushing: what its calls to a notifyURL hold, and when the subscription is switched.

Facts: the "notifications" of Telstra's v2 descriptions 2.2.9 and 2.2.10. Replies come as ``to, from,
body, sentTimestamp, messageId``, receipts as ``to, messageId, deliveryStatus`` and two stamps. Nothing
is signed. Telstra expects 204, and (2.2.9) tries again five minutes after anything else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import urlsplit

from convo.errors import ConfigError, TransportError
from convo.messages import Address, Inbound, Receipt, Status, Unreadable
from convo.transports.base import Batch, PushRequest, PushResult
from convo.transports.http import Answer, NotJSON
from convo.transports.telstra_v2_answers import Subscription, normal, own_id, read_stamp, whole_characters

STATUS_OF: Mapping[str, Status] = {
    "PEND": Status.SENT,
    "SENT": Status.SENT,
    "DELIVRD": Status.DELIVERED,
    "READ": Status.DELIVERED,
    "EXPIRED": Status.EXPIRED,
    "DELETED": Status.FAILED,
    "UNDVBL": Status.FAILED,
    "REJECTED": Status.FAILED,
    "REJECTD": Status.FAILED,
}
_log = logging.getLogger(__name__)


def read_object(request: PushRequest) -> tuple[dict[str, object] | None, str]:
    """Return the JSON object that a push carries, None where it is none, and its text for the inbox."""
    said = Answer(200, {}, request.body)
    try:
        parsed = said.json()
    except NotJSON:
        return None, said.text
    return ({str(name): value for name, value in parsed.items()} if isinstance(parsed, dict) else None), (
        said.text
    )


def read_push(request: PushRequest, channel: str, number: Address | None, now: datetime) -> PushResult:
    """Return what a push brings: a reply, a receipt, or something that is set aside to be looked at.

    A body without content is refused (400). ``number`` is ours, for a reply that does not say to whom.
    """
    if not request.body.strip():
        return PushResult(status=400)
    said, raw = read_object(request)
    if said is None:
        return _aside(raw, "the push is no JSON object", now)
    if isinstance(said.get("deliveryStatus"), str):
        return _receipt(said, raw, channel, now)
    sender, recipient = _text(said, "from", "senderAddress"), _text(said, "to", "destinationAddress")
    text = said.get("body", said.get("message"))
    if not sender.strip():
        return _aside(raw, "the push names no sender", now)
    if not isinstance(text, str):
        return _aside(raw, "the push holds no text (an MMS?)", now)
    inbound = Inbound(
        channel=channel,
        sender=normal(sender),
        recipient=normal(recipient) if recipient.strip() else number or Address(""),
        text=whole_characters(text),
        received_at=now,
        sent_at=read_stamp(said.get("sentTimestamp")),
        provider_id=own_id(said.get("messageId")),
        raw=raw,
    )
    return PushResult(Batch(messages=(inbound,)))


def _receipt(said: Mapping[str, object], raw: str, channel: str, now: datetime) -> PushResult:
    status = STATUS_OF.get(str(said["deliveryStatus"]).strip().upper())
    message_id = said.get("messageId")
    if not isinstance(message_id, str) or not message_id.strip() or status is None:
        return _aside(raw, "the push is a receipt of a message or a status that is not known", now)
    at = read_stamp(said.get("sentTimestamp"))
    written = whole_characters(message_id.strip())
    # The id of a send reads HEX-12NUMBER; samples of receipts write the same as /HEX/12NUMBER.
    names = dict.fromkeys((re.sub(r"^/?([0-9A-Fa-f]{32,40})/(12[0-9]+)$", r"\1-\2", written), written))
    return PushResult(Batch(receipts=tuple(Receipt(channel, name, status, at, raw) for name in names)))


def _aside(raw: str, reason: str, now: datetime) -> PushResult:
    """Keep what another try would only bring again: who knows the path is not just anybody."""
    return PushResult(Batch(unreadable=(Unreadable(raw, reason, now),)))


def _text(said: Mapping[str, object], *names: str) -> str:
    for name in names:
        value = said.get(name)
        if isinstance(value, str):
            return value
    return ""


class Switch:
    """Where replies of a subscription shall go, and the change to that, made once and only if asked.

    From polling to push: all that waits is polled first, then the subscription is changed, then what
    came in between is polled. ``subscribe`` changes the notifyURL.
    """

    def __init__(self, subscribe: Callable[[str | None], Subscription]) -> None:
        self._subscribe = subscribe
        self._asked = False
        self._url: str | None = None
        self._pushing = False
        self._drained = False

    @property
    def url(self) -> str | None:
        """Where replies and receipts shall be pushed; None: nobody asked for that."""
        return self._url

    @property
    def drained(self) -> bool:
        """Whether replies are pushed, and whatever waited from before has been polled."""
        return self._pushing and self._drained

    def to(self, url: str | None) -> None:
        """Ask for pushes to ``url``, or for polling (None)."""
        self._asked, self._url = True, url

    def begin(self, held: Subscription | None) -> None:
        """Compare what is asked for with what is; back to polling at once, to push after a poll.

        Raises:
            ConfigError: replies go to somebody whom nobody asked to replace.
            TransportError: the provider did not change it.
        """
        there = held.notify_url if held is not None else None
        self._pushing, self._drained = there is not None and there == self._url, False
        if there is None or self._pushing:
            return
        if not self._asked:
            raise ConfigError(
                "Telstra pushes the replies of this number to a notifyURL, so that polling finds none; "
                "to poll them: convo transport telstra_v2 subscription poll"
            )
        if self._url is None:
            self._subscribe(None)
            _log.warning("the replies of this number were pushed; from now on they wait to be polled")
        elif _site(there) != _site(self._url):
            raise ConfigError(
                f"Telstra pushes the replies of this number to {_site(there)}, which is not where this "
                "channel listens; if that is to end: convo transport telstra_v2 subscription poll"
            )

    def after_empty_poll(self) -> bool:
        """Take note that nothing waits; True where it is to be asked once more, now that it is switched."""
        if self._url is None:
            return False
        if not self._pushing:
            self._subscribe(self._url)
            self._pushing = True
            _log.warning("the replies of this number are pushed to %s from now on", _site(self._url))
            return True
        self._drained = True
        return False

    def check(self, held: Subscription | None) -> None:
        """Look whether replies still come to us.

        Raises:
            TransportError: they do not.
        """
        if held is None or held.notify_url != self._url:
            raise TransportError(
                "the replies of this number are no longer pushed to us: somebody changed its notifyURL; "
                "a restart sets it again"
            )


def _site(url: str) -> str:
    """Return scheme and host of ``url``: the rest may be a secret."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "an address that makes no sense"
