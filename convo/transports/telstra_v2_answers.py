"""What Telstra's Messaging API v2 says, put into our words: pure functions from answers to values.

Facts: Telstra's v2 descriptions 2.2.9 and 2.2.10, and bodies seen in the wild. Two shapes of error
exist: ``{"status", "code", "message"}``, and the shape of a success with a code in each message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, auto

from convo.messages import Address, Inbound, Unreadable, to_address
from convo.transports.base import GiveUp, RetryLater, SendResult, Sent, Unknown
from convo.transports.http import Answer, NotJSON

EASTERN_STANDARD = timezone(timedelta(hours=10))
"""Telstra stamps in fixed +10:00, in summer too; a stamp without an offset is taken as that."""

A_MINUTE = timedelta(minutes=1)
AN_HOUR = timedelta(hours=1)


class Verdict(Enum):
    """What an answer other than success means for the one who asked."""

    LATER = auto()
    QUOTA = auto()
    GIVE_UP = auto()
    CREDENTIALS = auto()
    NO_NUMBER = auto()
    NO_NUMBER_OR_RECIPIENT = auto()
    UNKNOWN = auto()


VERDICT_OF_CODE: Mapping[str, Verdict] = {
    "SPIKEARREST": Verdict.LATER,
    "MSG_MONETIZATION_ERR": Verdict.QUOTA,
    "NOT-PROVISIONED": Verdict.NO_NUMBER,
    "RESOURCE-NOT-FOUND": Verdict.NO_NUMBER,
    # 2.2.9: the number it would go out from is none of ours; 2.2.10: look at the recipient.
    "DELIVERY-IMPOSSIBLE": Verdict.NO_NUMBER_OR_RECIPIENT,
    "TO-MSISDN-NOT-VALID": Verdict.GIVE_UP,
    "TO-MSISDN-TOO-LONG": Verdict.GIVE_UP,
    "FROM-MSISDN-TOO-LONG": Verdict.GIVE_UP,
    "SENDER-MISSING": Verdict.GIVE_UP,
    "BODY-MISSING": Verdict.GIVE_UP,
    "BODY-TOO-LONG": Verdict.GIVE_UP,
    "BODY-NOT-VALID": Verdict.GIVE_UP,
    "TOO MANY DESTINATIONS": Verdict.GIVE_UP,
    "FREE-TRIAL-NO-BNUM": Verdict.GIVE_UP,
    "FREE-TRIAL-INVALID-BNUM": Verdict.GIVE_UP,
    "FREE-TRIAL-MAX-BNUM": Verdict.GIVE_UP,
    "BNUM-TOO-LONG": Verdict.GIVE_UP,
    "DR-NOTIFY-URL-MISSING": Verdict.GIVE_UP,
    "MMS-TYPE-MISSING": Verdict.GIVE_UP,
    "MMS-PAYLOAD-MISSING": Verdict.GIVE_UP,
    "MMS-FILENAME-MISSING": Verdict.GIVE_UP,
    "SUBJECT-TOO-LONG": Verdict.GIVE_UP,
    "ACTIVE DAYS MAX": Verdict.GIVE_UP,
    "OLD-NONEXISTANT-MESSAGE-ID": Verdict.GIVE_UP,
}
"""The code decides where it is known (in upper case) and the status is a 4xx; else the status does."""

VERDICT_OF_STATUS: Mapping[int, Verdict] = {
    400: Verdict.GIVE_UP,
    401: Verdict.CREDENTIALS,
    403: Verdict.LATER,
    404: Verdict.NO_NUMBER,
    405: Verdict.GIVE_UP,
    408: Verdict.LATER,
    409: Verdict.GIVE_UP,
    415: Verdict.GIVE_UP,
    422: Verdict.GIVE_UP,
    429: Verdict.LATER,
    500: Verdict.LATER,
    501: Verdict.LATER,
    # A gateway that passed the request on and did not hear back: it may have been done.
    502: Verdict.UNKNOWN,
    503: Verdict.LATER,
    504: Verdict.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Subscription:
    """The number we rent. ``notify_url`` None: replies wait to be polled; text: they are pushed there.

    ``active_days`` are the days left and ``expires_at`` when it may be extended; None: not told.
    """

    number: Address = field(repr=False)
    active_days: int | None = None
    notify_url: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


def members(answer: Answer) -> dict[str, object]:
    """Return the members of the JSON object that ``answer`` is; none of them where it is no object."""
    try:
        said = answer.json()
    except NotJSON:
        return {}
    return {str(name): value for name, value in said.items()} if isinstance(said, dict) else {}


def code_of(answer: Answer) -> str:
    """Return the provider's error code in upper case, blank where it gave none we would print."""
    said = members(answer)
    code = said.get("code")
    if not isinstance(code, str):
        code = first_message(said).get("code")
    if isinstance(code, str) and re.fullmatch(r"[A-Za-z][A-Za-z_ -]{2,39}", code.strip()):
        return code.strip().upper()
    # The gateway's own shape nests it, in words that differ by version.
    return "SPIKEARREST" if "spikearrest" in answer.text[:4000].lower().replace(" ", "") else ""


def verdict(answer: Answer) -> Verdict:
    """Return what an answer that is no success means."""
    status, code = answer.status, code_of(answer)
    if 200 <= status < 300:
        return Verdict.UNKNOWN
    if 400 <= status < 500 and status != 401 and code in VERDICT_OF_CODE:
        return VERDICT_OF_CODE[code]
    if status == 403 and "permission" in str(members(answer).get("message", "")).lower():
        return Verdict.CREDENTIALS
    fallback = Verdict.GIVE_UP if 400 <= status < 500 else Verdict.LATER
    return VERDICT_OF_STATUS.get(status, fallback)


def describe(answer: Answer) -> str:
    """Return the status and code of ``answer`` in words fit for a log: nothing of what it quotes."""
    code = code_of(answer)
    if 300 <= answer.status < 400:
        return f"Telstra answered {answer.status}, a redirect; check TELSTRA_BASE_URL"
    if not code and "suspicious content" in answer.text[:4000].lower():
        code = "suspicious content"
    return f"Telstra answered {answer.status}{f' {code}' if code else ''}"


def first_message(said: Mapping[str, object]) -> dict[str, object]:
    """Return the first entry under ``messages``, empty where there is none."""
    messages = said.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[0], dict):
        return messages[0]
    return {}


def read_sent(answer: Answer) -> SendResult:
    """Return what a 201 to a send means."""
    said = members(answer)
    message = first_message(said)
    if not message:
        return Unknown("Telstra answered 201, but not in a form we can read")
    if message.get("deliveryStatus") == "DeliveryImpossible":
        return GiveUp(f"Telstra cannot deliver it: {code_of(answer) or 'DeliveryImpossible'}")
    found, segments = message.get("messageId"), said.get("numberSegments")
    return Sent(found.strip() if isinstance(found, str) else "", _count(segments))


def refused(answer: Answer, now: datetime) -> SendResult | None:
    """Return what a refused send comes to; None where a number or new credentials may yet help."""
    reason, wait = describe(answer), answer.retry_after(now)
    match verdict(answer):
        case Verdict.LATER:
            return RetryLater(reason, wait)
        case Verdict.QUOTA:
            return RetryLater(f"{reason}: the quota or credit of the account is used up", wait or AN_HOUR)
        case Verdict.GIVE_UP:
            return GiveUp(reason)
        case Verdict.UNKNOWN:
            return Unknown(reason)
        case _:
            return None


def read_polled(
    answer: Answer, channel: str, number: Address | None, now: datetime
) -> Inbound | Unreadable | None:
    """Return the message in a 200 to a poll, None where nothing waits.

    What is not understood comes back as Unreadable: reading took it from Telstra, so it is all there is.
    ``number`` is ours, for an answer that does not say where the message went.
    """

    def unreadable(reason: str) -> Unreadable:
        return Unreadable(answer.text, reason, now, whole=True)

    try:
        said = answer.json()
    except NotJSON as problem:
        return unreadable(str(problem))
    if not isinstance(said, dict):
        return unreadable("the answer is no JSON object")
    if said.get("status") == "EMPTY" and not said.get("senderAddress"):
        return None
    sender, text = said.get("senderAddress"), said.get("message")
    recipient, stamp = said.get("destinationAddress"), said.get("sentTimestamp")
    if not isinstance(sender, str) or not sender.strip():
        return unreadable("the answer names no sender")
    if not isinstance(text, str):
        return unreadable("the answer holds no text")
    to_whom = normal(recipient) if isinstance(recipient, str) and recipient.strip() else number
    return Inbound(
        channel=channel,
        sender=normal(sender),
        recipient=to_whom or Address(""),
        text=whole_characters(text),
        received_at=now,
        sent_at=read_stamp(stamp),
        provider_id=own_id(said.get("messageId")),
        raw=answer.text,
    )


def read_subscription(answer: Answer) -> Subscription | None:
    """Return the subscription an answer speaks of, None where it names no number."""
    said = members(answer)
    number, url, expiry = said.get("destinationAddress"), said.get("notifyURL"), said.get("expiryDate")
    if not isinstance(number, str) or not number.strip():
        return None
    expires_at = None
    if isinstance(expiry, int | float) and 0 < expiry < 1e14:
        expires_at = datetime.fromtimestamp(expiry / 1000, UTC)  # milliseconds
    return Subscription(
        number=normal(number),
        active_days=_count(said.get("activeDays")),
        notify_url=url if isinstance(url, str) and url else None,
        expires_at=expires_at,
    )


def normal(number: str) -> Address:
    """Return ``number`` in E.164 where it clearly is a phone number, else (short codes, names) as it is."""
    written = whole_characters(number.strip())
    plain = re.sub(r"[ ()./-]", "", written)
    if re.fullmatch(r"\+[0-9]{8,15}|0[0-9]{9}|61[0-9]{9}", plain):
        try:
            return to_address(plain)
        except ValueError:
            return Address(written)
    return Address(written)


def read_stamp(stamp: object) -> datetime | None:
    """Return a ``sentTimestamp`` in UTC, None where it is missing or not understood."""
    if not isinstance(stamp, str) or not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:", stamp.strip()):
        return None
    try:
        moment = datetime.fromisoformat(stamp.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=EASTERN_STANDARD)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def own_id(found: object) -> str:
    """Return the id of an inbound message, blank where there is none that is its own.

    A reply to a message sent with replyRequest (some other program on our account) bears the id of that
    message (40 hex digits, then 12 and the number), and so would a second reply: no id to know it by.
    """
    if not isinstance(found, str) or re.match(r"\s*/?[0-9A-Fa-f]{32,40}[-/]12[0-9]+", found):
        return ""
    return whole_characters(found.strip())


def _count(value: object) -> int | None:
    """Read a small count that may be written as text (``activeDays`` is)."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value.strip()):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**6 else None


def whole_characters(text: str) -> str:
    """Replace half surrogates, which JSON can carry and UTF-8, and so every store, cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
