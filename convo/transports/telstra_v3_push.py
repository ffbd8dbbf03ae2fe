"""What Telstra's Messaging API v3 calls a replyCallbackUrl and a statusCallbackUrl with: a pure reader.

Facts: Telstra's v3 description. Replies come as ``to, from, timestamp, messageId, messageContent`` and
perhaps ``multimedia``; states as ``to, from, timestamp, messageId, status``. Nothing is signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from convo.messages import Address, Inbound, Receipt, Status, Unreadable
from convo.transports.base import Batch, PushRequest, PushResult
from convo.transports.telstra_v2_answers import normal, whole_characters
from convo.transports.telstra_v2_push import read_object

STATUS_OF: Mapping[str, Status] = {
    "queued": Status.SENT,
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "expired": Status.EXPIRED,
    "undeliverable": Status.FAILED,
}


def read_push(request: PushRequest, channel: str, number: Address | None, now: datetime) -> PushResult:
    """Return what a push brings: a reply, a receipt, or something that is set aside to be looked at.

    A body without content is refused (400). ``number`` is ours, for a reply that does not say to whom.
    """
    if not request.body.strip():
        return PushResult(status=400)
    said, raw = read_object(request)

    def aside(reason: str) -> PushResult:
        return PushResult(Batch(unreadable=(Unreadable(raw, reason, now),)))

    if said is None:
        return aside("the push is no JSON object")
    found = said.get("messageId")
    message_id = whole_characters(found.strip()) if isinstance(found, str) else ""
    at = read_timestamp(said.get("timestamp"))
    text = said.get("messageContent")
    if isinstance(said.get("status"), str) and text is None:
        status = STATUS_OF.get(str(said["status"]).strip().lower())
        if status is None or not message_id:
            return aside("the push is a receipt of a message or a status that is not known")
        return PushResult(Batch(receipts=(Receipt(channel, message_id, status, at, raw),)))
    sender, recipient = said.get("from"), said.get("to")
    if not isinstance(sender, str) or not sender.strip():
        return aside("the push names no sender")
    if not isinstance(text, str):
        return aside("the push holds no text (an MMS?)")
    to_whom = normal(recipient) if isinstance(recipient, str) and recipient.strip() else number
    inbound = Inbound(
        channel=channel,
        sender=normal(sender),
        recipient=to_whom or Address(""),
        text=whole_characters(text),
        received_at=now,
        sent_at=at,
        provider_id=message_id,
        raw=raw,
    )
    return PushResult(Batch(messages=(inbound,)))


def read_timestamp(stamp: object) -> datetime | None:
    """Return a ``timestamp`` in UTC (without an offset it is taken as that), None where it is no stamp."""
    if not isinstance(stamp, str) or not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:", stamp.strip()):
        return None
    try:
        moment = datetime.fromisoformat(stamp.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
