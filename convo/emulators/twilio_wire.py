"""How the emulated Twilio writes: paths, errors, stamps, messages and pages. No state."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlencode

from convo.emulators.base import Response, json_response
from convo.emulators.telstra_v2_wire import segments

MAGIC: Mapping[str, tuple[int, str]] = {
    "+15005550001": (21211, "The 'To' number is not a valid phone number."),
    "+15005550002": (21612, "The 'To' number cannot be reached from the 'From' number."),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region."),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient."),
    "+15005550009": (21614, "'To' number is not a valid mobile number."),
}
"""Recipients that Twilio refuses in its test mode, and with what."""


@dataclass(frozen=True, slots=True)
class Text:
    """One SMS, in or out."""

    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    at: datetime
    message_id: str
    inbound: bool = False
    status: str = "sent"

    def now(self, status: str) -> Text:
        """Return it with another status."""
        return replace(self, status=status)


def operation_of(path: str, method: str, account: str) -> str | None:
    """Return which call of the API this is, None where there is none."""
    rest = path.removeprefix(f"/2010-04-01/Accounts/{account}")
    if rest == path:
        return "stranger" if path.startswith("/2010-04-01/Accounts/") else None
    match method, rest:
        case "POST", "/Messages.json":
            return "send"
        case "GET", "/Messages.json":
            return "poll"
        case "GET", one if re.fullmatch(r"/Messages/[^/]+\.json", one):
            return "status"
        case ("GET", "/IncomingPhoneNumbers.json") | ("POST", "/IncomingPhoneNumbers/PN01.json"):
            return "subscription"
        case _:
            return None


def error(status: int, code: int, message: str, **headers: str) -> Response:
    """Return an error as Twilio writes it."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    said = {"code": code, "message": message, "more_info": more, "status": status}
    return json_response(status, said, **headers)


def printed(text: Text, account: str) -> dict[str, object]:
    """Return a message as the API shows it."""
    stamp = format_datetime(text.at.astimezone(UTC))
    return {
        "sid": text.message_id,
        "account_sid": account,
        "from": text.sender,
        "to": text.recipient,
        "body": text.text,
        "direction": "inbound" if text.inbound else "outbound-api",
        "status": "received" if text.inbound else text.status,
        "num_segments": str(segments(text.text)),
        "num_media": "0",
        "date_created": stamp,
        "date_sent": stamp,
        "date_updated": stamp,
        "error_code": None,
        "error_message": None,
    }


def page_of(found: Sequence[Text], query: Mapping[str, str], path: str, account: str) -> Response:
    """Return a page of a listing, newest first."""
    size = min(max(int(query.get("PageSize", "50")), 1), 1000)
    page = max(int(query.get("Page", "0")), 0)
    shown = list(reversed(found))[page * size : (page + 1) * size]
    following = None
    if (page + 1) * size < len(found):
        following = f"{path}?{urlencode({**query, 'Page': str(page + 1)})}"
    said = {
        "messages": [printed(one, account) for one in shown],
        "page": page,
        "page_size": size,
        "next_page_uri": following,
    }
    return json_response(200, said)


def is_at_or_after(at: datetime, bound: str) -> bool:
    """Compare with the DateSent of a query: a day, or a moment to the second.

    Raises:
        ValueError: it is neither.
    """
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", bound):
        bound += "T00:00:00+00:00"
    return at.replace(microsecond=0) >= datetime.fromisoformat(bound).astimezone(UTC)


def signed(token: str, url: str, form: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a call to a webhook."""
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    digest = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
    return {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "X-Twilio-Signature": base64.b64encode(digest).decode("ascii"),
    }
