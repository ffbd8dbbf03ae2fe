"""What Twilio says, in our words: pure functions for answers, listings, webhooks and their signature.

Facts: Twilio's REST API 2010-04-01 (Message resource), its error dictionary, and "Webhooks security".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

from convo.messages import Address, Inbound, Receipt, Status
from convo.transports.base import (
    BadCredentials,
    GiveUp,
    OptedOut,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)
from convo.transports.http import Answer, NotJSON

WHO = "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
AN_HOUR = timedelta(hours=1)
MOST_FIELDS = 200

_CREDENTIALS = frozenset({20003, 20005, 20006, 20008, 30002})
_OUR_NUMBER = frozenset({21212, 21603, 21606, 21607, 21659, 21660, 21661})
_LATER = frozenset({14107, 20429, 20503, 21611, 30001, 30022})
_OPTED_OUT = 21610

STATUS_OF: Mapping[str, Status] = {
    "accepted": Status.SENT,
    "scheduled": Status.SENT,
    "queued": Status.SENT,
    "sending": Status.SENT,
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
    "undelivered": Status.FAILED,
    "failed": Status.FAILED,
    "canceled": Status.FAILED,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of a listing, as far as it is understood. ``at`` is when Twilio sent or received it."""

    sid: str
    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    direction: str
    status: str
    at: datetime
    segments: int | None = None
    raw: str = field(default="", repr=False)


def members(answer: Answer) -> dict[str, object]:
    """Return the members of the JSON object that ``answer`` is; none of them where it is no object."""
    try:
        said = answer.json()
    except NotJSON:
        return {}
    return {str(name): value for name, value in said.items()} if isinstance(said, dict) else {}


def code_of(answer: Answer) -> int | None:
    """Return Twilio's error code, None where it gave none."""
    code = members(answer).get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) and 0 < code < 10**6 else None


def describe(answer: Answer) -> str:
    """Return status and code of ``answer`` in words fit for a log: nothing of what it quotes."""
    code = code_of(answer)
    if 300 <= answer.status < 400:
        return f"Twilio answered {answer.status}, a redirect; check TWILIO_BASE_URL"
    return f"Twilio answered {answer.status}{f' (error {code})' if code else ''}"


def read_sent(answer: Answer, now: datetime) -> SendResult:
    """Return what an answer to a send means; the code decides where it is known, else the status."""
    reason, code, status = describe(answer), code_of(answer), answer.status
    if 200 <= status < 300:
        said = members(answer)
        sid = said.get("sid")
        if not isinstance(sid, str) or not sid.strip():
            return Unknown(f"{reason}, but not in a form we can read")
        return Sent(sid.strip(), _count(said.get("num_segments")))
    if code == _OPTED_OUT:
        return OptedOut(f"{reason}: the recipient has opted out with Twilio")
    if code in _CREDENTIALS or status == 401:
        return BadCredentials(f"{reason}; check {WHO}")
    if code in _OUR_NUMBER:
        return BadCredentials(f"{reason}: it cannot go out from our number; check TWILIO_NUMBER")
    if code in _LATER or status in (408, 429):
        return RetryLater(reason, answer.retry_after(now))
    if status == 404:
        return BadCredentials(f"{reason}: there is no such account; check {WHO}")
    if status in (502, 504):
        # A gateway that passed the request on and did not hear back: it may have been done.
        return Unknown(reason)
    if status >= 500:
        return RetryLater(reason, answer.retry_after(now))
    return GiveUp(reason)


def read_entries(answer: Answer) -> tuple[tuple[Entry, ...], str | None, tuple[str, ...]]:
    """Return the messages on a page of a listing, the path of the next page, and what cannot be read.

    Raises:
        NotJSON: it is no such page; nothing is lost by that, as listing takes nothing away.
    """
    said = answer.json()
    if not isinstance(said, dict) or not isinstance(said.get("messages"), list):
        raise NotJSON("the answer lists no messages")
    found, odd = [], []
    for item in said["messages"]:
        entry = _entry(item)
        if entry is None:
            odd.append(json.dumps(item))
        else:
            found.append(entry)
    following = said.get("next_page_uri")
    return tuple(found), following if isinstance(following, str) and following else None, tuple(odd)


def _entry(item: object) -> Entry | None:
    if not isinstance(item, dict):
        return None
    sid, sender, recipient = item.get("sid"), item.get("from"), item.get("to")
    text, direction, status = item.get("body"), item.get("direction"), item.get("status")
    at = _moment(item.get("date_sent")) or _moment(item.get("date_created"))
    if not isinstance(sid, str) or not sid or not isinstance(direction, str) or at is None:
        return None
    if (
        not isinstance(sender, str | None)
        or not isinstance(recipient, str)
        or not isinstance(text, str | None)
    ):
        return None
    return Entry(
        sid=sid,
        sender=(sender or "").strip(),
        recipient=recipient.strip(),
        text=text or "",
        direction=direction,
        status=status if isinstance(status, str) else "",
        at=at,
        segments=_count(item.get("num_segments")),
        raw=json.dumps(item),
    )


def inbound_of(entry: Entry, channel: str, now: datetime) -> Inbound:
    """Return a listed message as the inbox takes it."""
    return Inbound(
        channel=channel,
        sender=Address(_whole(entry.sender)),
        recipient=Address(_whole(entry.recipient)),
        text=_whole(entry.text),
        received_at=now,
        sent_at=entry.at,
        provider_id=_whole(entry.sid),
        raw=entry.raw,
    )


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a webhook's form, in order; none where it is no form."""
    try:
        written = body.decode("utf-8")
        return parse_qsl(written, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return []


def message_of_form(form: Mapping[str, str], channel: str, now: datetime) -> Inbound | None:
    """Return the text that a webhook brings, None where it brings none."""
    sid = (form.get("MessageSid") or form.get("SmsSid") or "").strip()
    sender, text = form.get("From", "").strip(), form.get("Body")
    if not sid or not sender or text is None:
        return None
    recipient = Address(_whole(form.get("To", "").strip()))
    raw = json.dumps(dict(form))
    return Inbound(channel, Address(_whole(sender)), recipient, _whole(text), now, None, _whole(sid), raw)


def receipt_of_form(form: Mapping[str, str], channel: str, now: datetime) -> Receipt | None:
    """Return the receipt that a status callback is, None where it is none or of a status nobody knows."""
    sid = (form.get("MessageSid") or form.get("SmsSid") or "").strip()
    status = STATUS_OF.get(form.get("MessageStatus", "").strip().lower())
    if not sid or status is None:
        return None
    return Receipt(channel, _whole(sid), status, now, json.dumps(dict(form)))


def signature(auth_token: str, url: str, form: Iterable[tuple[str, str]] = ()) -> str:
    """Return what X-Twilio-Signature holds for a call of ``url`` with those fields.

    HMAC-SHA1 of the address followed by every name and value, sorted by name; a name that comes
    several times has each of its values once, sorted.
    """
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode("ascii")


def is_signed(
    auth_token: str, url: str, query: str, body: bytes, form: Sequence[tuple[str, str]], given: str
) -> bool:
    """Return whether ``given`` is Twilio's signature of this call, with or without the default port.

    A call with ``bodySHA256`` in its query signs the address alone, and the body by that digest.
    """
    digest = dict(read_form(query.encode("utf-8", "replace"))).get("bodySHA256")
    if digest is not None:
        if not hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), digest.lower().encode()):
            return False
        form = ()
    held = given.strip().encode("utf-8", "replace")
    wanted = (signature(auth_token, each, form).encode() for each in _spellings(url))
    return any(hmac.compare_digest(each, held) for each in wanted)


def _spellings(url: str) -> list[str]:
    """Return ``url`` as it is, and with its port left out or the default one written."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return [url]
    host = f"[{host}]" if ":" in host else host
    written = parts.netloc.rpartition("@")[2]
    bare = written if port is None else written[: written.rindex(":")]
    usual = port or (443 if parts.scheme == "https" else 80)
    behind = url.partition("://")[2][len(parts.netloc) :]
    return [url, f"{parts.scheme}://{bare}{behind}", f"{parts.scheme}://{bare}:{usual}{behind}"]


def _moment(stamp: object) -> datetime | None:
    """Read ``Thu, 24 Aug 2023 05:01:45 +0000``."""
    if not isinstance(stamp, str) or not stamp.strip():
        return None
    try:
        moment = parsedate_to_datetime(stamp.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, TypeError):
        return None


def _count(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,4}", value.strip()):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**4 else None


def _whole(text: str) -> str:
    """Replace half surrogates, which JSON can carry and UTF-8, and so every store, cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
