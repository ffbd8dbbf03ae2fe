"""How the emulated Telstra v3 writes and reads: paths, errors, numbers, messages, pages. No state."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from convo.emulators.base import Request, Response, json_response

BASE = "/messaging/v3"
TOKEN = "/v2/oauth/token"  # noqa: S105 - yes, v2, and beside the API, not under it
ACTION = "See the Messaging API at dev.telstra.com"
LONGEST_TEXT = 1600
NEEDED_HEADERS = ("accept", "accept-charset", "content-language", "content-type")
KEPT = timedelta(days=30)

_NUMBER = rf"{BASE}/virtual-numbers/[^/]+"
_OPERATIONS = (
    ("poll", "messages:read", {"GET"}, rf"{BASE}/messages"),
    ("send", "messages:write", {"POST"}, rf"{BASE}/messages"),
    ("status", "messages:read", {"GET"}, rf"{BASE}/messages/[^/]+"),
    ("numbers", "virtual-numbers:read", {"GET"}, rf"{BASE}/virtual-numbers|{_NUMBER}(/optouts)?"),
    ("numbers", "virtual-numbers:write", {"POST"}, rf"{BASE}/virtual-numbers"),
    ("numbers", "virtual-numbers:write", {"PUT", "DELETE"}, _NUMBER),
    ("health", "", {"GET"}, rf"{BASE}/health-check"),
)


@dataclass(frozen=True, slots=True)
class Message:
    """One SMS, in or out; numbers in E.164. ``settled``: nothing more will become of it."""

    message_id: str
    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    at: datetime
    incoming: bool = False
    status: str = "queued"
    settled: bool = False
    tags: tuple[str, ...] = ()
    callback: str | None = field(default=None, repr=False)

    def becomes(self, status: str) -> Message:
        """Return it with another status, for good."""
        return replace(self, status=status, settled=True)


def operation_of(request: Request) -> tuple[str, str] | None:
    """Return which call of the API this is and which scope it needs, None where there is none."""
    path, method = request.path, request.method
    if path == TOKEN and method == "POST":
        return "token", ""
    for name, scope, methods, pattern in _OPERATIONS:
        if method in methods and re.fullmatch(pattern, path):
            listed = name == "poll" and request.query.get("direction") == "outgoing"
            return ("status" if listed else name), scope
    return None


def is_path(path: str) -> bool:
    """Whether there is such a path, for another method."""
    return any(re.fullmatch(pattern, path) for *_, pattern in _OPERATIONS)


def error(
    status: int, code: str, issue: str, where: str = "", location: str = "", **headers: str
) -> Response:
    """Return an error as Telstra writes it; ``where`` is the field that is wrong."""
    said = {"code": code, "issue": issue, "suggested_action": ACTION}
    if where:
        said["field"] = where
    if location:
        said["location"] = location
    return json_response(status, {"errors": [said]}, Content_Language="en-au", **headers)


def answered(status: int, said: object, **headers: str) -> Response:
    """Return a success as Telstra writes it."""
    return json_response(status, said, Content_Language="en-au", **headers)


def national(number: str) -> str:
    """Return a number as v3 writes it: Australian ones as 04…, all others as they are."""
    return "0" + number[3:] if number.startswith("+61") else number


def e164(number: object) -> str | None:
    """Return a recipient as v3 takes it: national for Australia, else with +; None where it is none."""
    if not isinstance(number, str):
        return None
    if re.fullmatch(r"0[23478][0-9]{8}", number):
        return "+61" + number[1:]
    return number if re.fullmatch(r"\+(?!0)[0-9]{8,15}", number) else None


def stamp_of(moment: datetime) -> str:
    """Return a moment in 24 characters."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printed(message: Message) -> dict[str, object]:
    """Return a message as the API shows it."""
    said: dict[str, object] = {
        "messageId": message.message_id,
        "status": message.status,
        "createTimestamp": stamp_of(message.at),
        "to": national(message.recipient),
        "from": national(message.sender),
        "direction": "incoming" if message.incoming else "outgoing",
    }
    if message.text:  # a picture has no words
        said["messageContent"] = message.text
    else:
        said["multimedia"] = [{"type": "image/jpeg", "fileName": "picture.jpg"}]
    if message.incoming:
        return {**said, "receivedTimestamp": stamp_of(message.at)}
    if message.status != "queued":
        said["sentTimestamp"] = stamp_of(message.at)
    if message.callback is not None:
        said["statusCallbackUrl"] = message.callback
    more = {"retryTimeout": 10, "queuePriority": 2, "deliveryNotification": message.callback is not None}
    return {**said, **more, "tags": list(message.tags)}


def refused_text(said: Mapping[str, object]) -> Response | None:
    """Return the refusal of a send that is wrong whoever sends it, None where nothing is."""
    text, tags = said.get("messageContent"), said.get("tags", [])
    for name in ("to", "from"):
        if said.get(name) in (None, "", []):
            return error(400, "FIELD_MISSING", f"{name} is missing", name, "body")
    if text is None and said.get("multimedia") is None:
        return error(400, "FIELD_MISSING", "there is no content", "messageContent", "body")
    if text is not None and not isinstance(text, str):
        return error(400, "FIELD_INVALID", "the content is no text", "messageContent", "body")
    if isinstance(text, str) and not 1 <= len(text) <= LONGEST_TEXT:
        return error(400, "FIELD_LENGTH_ERR", "1 to 1600 characters", "messageContent", "body")
    if said.get("deliveryNotification") is True and not said.get("statusCallbackUrl"):
        return error(400, "FIELD_MISSING", "there is nobody to notify", "statusCallbackUrl", "body")
    return None if _are_tags(tags) else error(400, "TAGS_ERR", "10 tags of 64 characters", "tags", "body")


def refused_tags(tags: object) -> Response | None:
    """Return the refusal of tags that are none."""
    return None if _are_tags(tags) else error(400, "TAGS_ERR", "10 tags of 64 characters", "tags", "body")


def _are_tags(tags: object) -> bool:
    return (
        isinstance(tags, list)
        and len(tags) <= 10
        and all(isinstance(one, str) and 1 <= len(one) <= 64 for one in tags)
    )


def number_in(query: Mapping[str, str], name: str, least: int, most: int, without: int) -> int:
    """Return a number of a query.

    Raises:
        ValueError: it is none, or out of its bounds.
    """
    written = query.get(name)
    if written is None:
        return without
    if not (written.isascii() and written.isdigit()) or not least <= int(written[:9]) <= most:
        raise ValueError(name)
    return int(written)


def moment_in(query: Mapping[str, str], name: str, now: datetime) -> datetime | None:
    """Return a moment of a query, None where it holds none.

    Raises:
        ValueError: it is none, or not within what is kept.
    """
    written = query.get(name)
    if written is None:
        return None
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise ValueError(name) from None
    if moment.tzinfo is None or not now - KEPT <= moment <= now:
        raise ValueError(name)
    return moment


@dataclass(frozen=True, slots=True)
class Paging:
    """How this Telstra writes a page, where the descriptions leave it open.

    ``counts_pages``: an offset counts pages, not entries. ``longest``: the most that a page ever holds,
    whatever is asked for. ``empty``: a list without entries is written ``[]``, ``null`` or not at all.
    """

    counts_pages: bool = False
    longest: int = 50
    empty: str = "list"

    def page(self, name: str, listed: Sequence[object], query: Mapping[str, str], path: str) -> Response:
        """Return the page that a query asks for.

        Raises:
            ValueError: the query makes no sense; names the field.
        """
        asked = number_in(query, "limit", 1, 50, 10)
        offset = number_in(query, "offset", 0, 999_999, 0)
        limit = min(asked, self.longest)
        begin = offset * limit if self.counts_pages else offset
        step = 1 if self.counts_pages else limit
        shown = list(listed[begin : begin + limit])

        def at(place: int) -> str:
            return f"{path}?{urlencode({**query, 'offset': str(place)})}"

        paging: dict[str, object] = {"totalCount": -(-len(listed) // limit)}
        if begin + limit < len(listed):
            paging["nextPage"] = at(offset + step)
        if offset:
            paging["previousPage"] = at(max(offset - step, 0))
        if listed:
            last = (len(listed) - 1) // limit
            paging["lastPage"] = at(last if self.counts_pages else last * limit)
        said: dict[str, object] = {name: shown, "paging": paging}
        if not shown and self.empty == "null":
            said[name] = None
        elif not shown and self.empty == "absent":
            del said[name]
        return answered(200, said)
