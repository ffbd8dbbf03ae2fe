"""What Telstra's Messaging API v3 says, put into our words: pure functions from answers to values.

Facts: Telstra's v3 description. An error is ``{"errors": [{"code", "issue", "suggested_action", "field"?,
"value"?, …}]}``; ``value`` repeats what we sent, so only codes and names of fields are ever shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from convo.messages import Address, Inbound
from convo.transports.base import GiveUp, OptedOut, RetryLater, SendResult, Sent, Unknown
from convo.transports.http import Answer, NotJSON
from convo.transports.telstra_v2_answers import members, normal, whole_characters
from convo.transports.telstra_v3_push import read_timestamp

A_MINUTE = timedelta(minutes=1)
AN_HOUR = timedelta(hours=1)


class Verdict(Enum):
    """What an answer other than success means for the one who asked."""

    LATER = auto()
    ACCOUNT = auto()
    GIVE_UP = auto()
    OPTED_OUT = auto()
    CREDENTIALS = auto()
    NO_NUMBER = auto()
    UNKNOWN = auto()


VERDICT_OF_CODE: Mapping[str, Verdict] = {
    "RECIPIENT_OPTOUT": Verdict.OPTED_OUT,
    "FIELD_INVALID": Verdict.GIVE_UP,
    "FIELD_MISSING": Verdict.GIVE_UP,
    "FIELD_LENGTH_ERR": Verdict.GIVE_UP,
    "TAGS_ERR": Verdict.GIVE_UP,
    "MODERATION_ERR": Verdict.GIVE_UP,
    "MULTIMEDIA_TOO_LARGE": Verdict.GIVE_UP,
    "ID_INVALID": Verdict.GIVE_UP,
    "ID_NOT_ASSIGNED": Verdict.GIVE_UP,
    "TIMEFRAME_ERR": Verdict.GIVE_UP,
    "UPDATE_INVALID_MSG_SENT": Verdict.GIVE_UP,
    "DELETE_INVALID_MSG_SENT": Verdict.GIVE_UP,
    # We send from a virtual number only: that it is taken for a name means that it is none of ours.
    "SENDERNAME_ERR": Verdict.NO_NUMBER,
    "VIRTUAL_NUM_INVALID": Verdict.NO_NUMBER,
    "VIRTUAL_NUM_UNASSIGNED": Verdict.NO_NUMBER,
    "VIRTUAL_NUM_UNKNOWN": Verdict.NO_NUMBER,
    "TOKEN_INVALID": Verdict.CREDENTIALS,
    "TOKEN_EXPIRED": Verdict.CREDENTIALS,
    "ACCOUNT_NOT_LINKED": Verdict.CREDENTIALS,
    "RESOURCE_AUTH_ERR": Verdict.CREDENTIALS,
    "INSUFFICIENT_SCOPE": Verdict.CREDENTIALS,
    "ACCOUNT_ERR": Verdict.ACCOUNT,
    "RATE_PLAN_ERR": Verdict.ACCOUNT,
    # The trial has no room for this recipient; others may still be reached.
    "ACCOUNT_LIMIT_ERROR": Verdict.GIVE_UP,
    "FREE_TRIAL_INTERNATIONAL_ERR": Verdict.GIVE_UP,
    "FREE_TRIAL_ERR": Verdict.GIVE_UP,
    "RESOURCE_NOT_FOUND": Verdict.LATER,
    "RESOURCE_TEMP_ERR": Verdict.LATER,
    "METHOD_INVALID": Verdict.GIVE_UP,
    "MEDIA_TYPE_INVALID": Verdict.GIVE_UP,
    "PAYLOAD_TOO_LARGE": Verdict.GIVE_UP,
    "PAYLOAD_MEDIA_TYPE_ERR": Verdict.GIVE_UP,
    "LOGIC_ERR": Verdict.GIVE_UP,
    "TOO_MANY_REQUESTS": Verdict.LATER,
    "SPIKEARREST": Verdict.LATER,
    "INTERNAL_SERVER_ERR": Verdict.LATER,
    "NETWORK_ERR": Verdict.LATER,
    # Somebody behind the gateway did not answer in time: it may have been done.
    "INTERNAL_TIMEOUT": Verdict.UNKNOWN,
    "GATEWAY_TIMEOUT": Verdict.UNKNOWN,
}
"""Every code of the description; it decides where it is known and the status is no 401, else the status."""

VERDICT_OF_STATUS: Mapping[int, Verdict] = {
    401: Verdict.CREDENTIALS,
    402: Verdict.ACCOUNT,
    403: Verdict.LATER,
    404: Verdict.LATER,
    408: Verdict.LATER,
    429: Verdict.LATER,
    502: Verdict.UNKNOWN,
    504: Verdict.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class VirtualNumber:
    """A number that we rent. ``reply_url`` None: replies are only listed; text: they are pushed there too."""

    number: Address = field(repr=False)
    reply_url: str | None = field(default=None, repr=False)
    tags: tuple[str, ...] = ()
    last_use_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of a listing as far as it is understood. ``tags`` None: the listing does not tell them.

    ``notified``: its sender asked to be told of the delivery; of others Telstra says no more than ``sent``.
    """

    message_id: str
    sender: Address = field(repr=False)
    recipient: Address = field(repr=False)
    text: str | None = field(repr=False)
    direction: str
    status: str
    at: datetime
    tags: tuple[str, ...] | None = None
    raw: str = field(default="", repr=False)
    notified: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing. ``more`` None: it does not say; ``next_offset`` None: it does not say where."""

    entries: tuple[Entry, ...]
    odd: tuple[str, ...] = ()
    more: bool | None = None
    next_offset: int | None = None

    @property
    def size(self) -> int:
        """How many messages it holds, understood or not."""
        return len(self.entries) + len(self.odd)


def national(number: Address) -> str:
    """Return ``number`` as v3 writes it: Australian ones as 04…, all others as they are."""
    return "0" + number[3:] if re.fullmatch(r"\+61[0-9]{9}", number) else number


def _errors(answer: Answer) -> list[dict[str, object]]:
    listed = members(answer).get("errors")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _error(answer: Answer) -> tuple[str, str]:
    """Return code and field of the error that counts (a known one first), blank where there is none."""
    found: list[tuple[str, str]] = []
    for each in _errors(answer):
        code, where = each.get("code"), each.get("field", each.get("fieldName"))
        if isinstance(code, str) and re.fullmatch(r"[A-Za-z][A-Za-z_]{2,39}", code.strip()):
            plain = isinstance(where, str) and re.fullmatch(r"[A-Za-z][A-Za-z_.]{1,39}", where)
            found.append((code.strip().upper(), str(where) if plain else ""))
    if found:
        return next((each for each in found if each[0] in VERDICT_OF_CODE), found[0])
    # The gateway before the API has a shape of its own.
    return ("SPIKEARREST" if "spikearrest" in answer.text[:4000].lower().replace(" ", "") else ""), ""


def code_of(answer: Answer) -> str:
    """Return the code of the error in upper case, blank where it gave none we would print."""
    return _error(answer)[0]


def describe(answer: Answer) -> str:
    """Return status, code and field in words fit for a log: nothing of what the answer quotes."""
    if 300 <= answer.status < 400:
        return f"Telstra answered {answer.status}, a redirect; check TELSTRA_BASE_URL"
    code, where = _error(answer)
    about = f" (field {where})" if where else ""
    wrong_place = "; check TELSTRA_BASE_URL" if code == "RESOURCE_NOT_FOUND" else ""
    return f"Telstra answered {answer.status}{f' {code}' if code else ''}{about}{wrong_place}"


def verdict(answer: Answer) -> Verdict:
    """Return what an answer that is no success means."""
    status, (code, where) = answer.status, _error(answer)
    if 200 <= status < 300:
        return Verdict.UNKNOWN
    if code == "FIELD_INVALID" and where == "from":
        return Verdict.NO_NUMBER
    if status >= 400 and status != 401 and code in VERDICT_OF_CODE:
        return VERDICT_OF_CODE[code]
    fallback = Verdict.GIVE_UP if 400 <= status < 500 else Verdict.LATER
    return VERDICT_OF_STATUS.get(status, fallback)


def refuses_notices(answer: Answer) -> bool:
    """Whether a send is refused because it asks to be told of the delivery, which is for paid plans."""
    refused = 400 <= answer.status < 500
    return refused and _error(answer)[1] in ("deliveryNotification", "statusCallbackUrl")


def read_sent(answer: Answer) -> SendResult:
    """Return what a 201 to a send means."""
    found = members(answer).get("messageId")
    first = found[0] if isinstance(found, list) and found else found
    if not isinstance(first, str) or not first.strip():
        return Unknown("Telstra answered 201, but not in a form we can read")
    return Sent(whole_characters(first.strip()))


def refused(answer: Answer, now: datetime) -> SendResult | None:
    """Return what a refused send comes to; None where a number or new credentials may yet help."""
    reason, wait = describe(answer), answer.retry_after(now)
    match verdict(answer):
        case Verdict.LATER:
            return RetryLater(reason, wait)
        case Verdict.ACCOUNT:
            return RetryLater(f"{reason}: see to the account or its plan at dev.telstra.com", wait or AN_HOUR)
        case Verdict.GIVE_UP:
            return GiveUp(reason)
        case Verdict.OPTED_OUT:
            return OptedOut(f"{reason}: the recipient has opted out of this number with Telstra")
        case Verdict.UNKNOWN:
            return Unknown(reason)
        case _:
            return None


def read_page(answer: Answer) -> Page:
    """Return a page of ``GET /messages``. Without messages it may hold an empty list, null or no list.

    Raises:
        NotJSON: it is no such page; nothing is lost by that, as listing takes nothing away.
    """
    said = answer.json()
    if not isinstance(said, dict) or (said and not {"messages", "paging"} & said.keys()):
        raise NotJSON("the answer lists no messages")
    listed, paging = said.get("messages"), said.get("paging")
    if not isinstance(listed, list | None):
        raise NotJSON("the answer lists no messages")
    entries: list[Entry] = []
    odd: list[str] = []
    for item in listed or ():
        entry = _entry(item)
        if entry is None:
            odd.append(json.dumps(item))
        else:
            entries.append(entry)
    more, next_offset = _following(paging)
    return Page(tuple(entries), tuple(odd), more, next_offset)


def _following(paging: object) -> tuple[bool | None, int | None]:
    if not isinstance(paging, dict) or not any(paging.values()):
        return None, None
    following = paging.get("nextPage")
    if following in (None, "", False):
        return False, None
    offset = re.search(r"[?&]offset=([0-9]{1,6})(?:&|$)", str(following))
    return True, int(offset[1]) if offset else None


def _entry(item: object) -> Entry | None:
    if not isinstance(item, dict):
        return None
    sender, recipient, text = item.get("from"), item.get("to"), item.get("messageContent")
    found, tags = item.get("messageId"), item.get("tags")
    stamps = ("receivedTimestamp", "createTimestamp", "sentTimestamp")
    if item.get("direction") == "outgoing":
        stamps = ("createTimestamp", "sentTimestamp", "receivedTimestamp")
    at = next((each for each in map(read_timestamp, map(item.get, stamps)) if each is not None), None)
    if at is None or not isinstance(sender, str) or not sender.strip() or not isinstance(text, str | None):
        return None
    return Entry(
        message_id=whole_characters(found.strip()) if isinstance(found, str) else "",
        sender=normal(sender),
        recipient=normal(recipient) if isinstance(recipient, str) else Address(""),
        text=text,
        direction=str(item.get("direction") or ""),
        status=str(item.get("status") or "").strip().lower(),
        at=at,
        tags=tuple(map(str, tags)) if isinstance(tags, list) else None,
        raw=json.dumps(item),
        notified=item.get("deliveryNotification") is True,
    )


def inbound_of(entry: Entry, channel: str, number: Address, now: datetime) -> Inbound:
    """Return a listed message as the inbox takes it; ``number`` is ours, where the entry does not say."""
    return Inbound(
        channel=channel,
        sender=entry.sender,
        recipient=entry.recipient or number,
        text=whole_characters(entry.text or ""),
        received_at=now,
        sent_at=entry.at,
        provider_id=entry.message_id,
        raw=entry.raw,
    )


def read_number(said: object) -> VirtualNumber | None:
    """Return the virtual number that a JSON object describes, None where it names none."""
    if not isinstance(said, dict):
        return None
    number, url, tags = said.get("virtualNumber"), said.get("replyCallbackUrl"), said.get("tags")
    if isinstance(number, int) and not isinstance(number, bool):
        number = f"0{number}"  # the description's own example writes it as a number
    if not isinstance(number, str) or not number.strip():
        return None
    return VirtualNumber(
        number=normal(number),
        reply_url=url if isinstance(url, str) and url else None,
        tags=tuple(each for each in tags if isinstance(each, str)) if isinstance(tags, list) else (),
        last_use_at=read_timestamp(said.get("lastUse")),
    )


def stamp_of(moment: datetime) -> str:
    """Return a moment as v3 writes it: ``2022-11-10T05:06:42.823Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
