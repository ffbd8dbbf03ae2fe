"""A loopback stand-in of Telstra's Messaging API v3, and a phone that texts with it.

It does what Telstra's description of 3.x says; where that is silent or disagrees with itself it says CHOICE,
or leaves it to a switch. Tokens, virtual numbers with their opt-outs, messages that are sent, listed and
looked at, and both pushes; not the reports, the free trial's recipients, nor messages that are changed or
scheduled. The phone beside it is that of ``emulators/emulator.py``.

CHOICE: a push is answered by any 2xx, else it is made again after ``retry_after``, three times in all.
CHOICE: one that opts out by a keyword stays opted out until ``opt_in``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import unquote

from convo.clock import Clock
from convo.emulators.base import Request, Response
from convo.emulators.emulator import Emulator
from convo.emulators.pushing import Push, Pusher
from convo.emulators.telstra_v3_wire import (
    BASE,
    NEEDED_HEADERS,
    TOKEN,
    Message,
    Paging,
    answered,
    e164,
    error,
    is_path,
    moment_in,
    national,
    operation_of,
    printed,
    refused_tags,
    refused_text,
    stamp_of,
)
from convo.emulators.tokens import Tokens

NUMBER = "+61491570158"
"""The emulated number: one of those that Australia keeps for fiction."""
OPT_OUT = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "QUIT", "END", "CANCEL"})
SCOPES = frozenset(
    f"{what}:{how}"
    for what in ("free-trial-numbers", "messages", "virtual-numbers", "reports")
    for how in ("read", "write")
)
REACHED_AFTER = timedelta(seconds=1)
"""CHOICE: so long after it was taken a text has left, and has reached the handset."""
_FIRST_NEW = 491_570_160


@dataclass(frozen=True, slots=True)
class Rented:
    """A virtual number of the account."""

    number: str
    reply_url: str | None = None
    tags: tuple[str, ...] = ()
    last_use: datetime | None = None


class TelstraV3Emulator(Emulator):
    """One account; everything in memory, time from ``clock``. ``token_life`` is in seconds.

    ``number`` is rented already; None: none is, and the first one asked for is NUMBER. ``most_numbers`` is
    how many may be rented. ``paging`` says how pages are cut, ``newest_first`` in which order;
    ``knows_start`` False: startTime is refused, as before 3.4. ``strict_headers`` insists on every header
    that the description marks as required. ``lists_stop`` False: a text that opts its sender out is not
    shown to us. ``pushes_status`` False: no status pushes, as in a free trial (CHOICE: they are refused).
    """

    name = "telstra_v3"

    def __init__(
        self,
        clock: Clock,
        *,
        port: int = 0,
        number: str | None = NUMBER,
        client_id: str = "emulated-client-id",
        client_secret: str = "emulated-client-secret",  # noqa: S107 - a secret of nobody
        token_life: int = 3599,
        calls_per_second: int | None = None,
        most_numbers: int = 100,
        paging: Paging | None = None,
        newest_first: bool = False,
        knows_start: bool = True,
        strict_headers: bool = False,
        lists_stop: bool = True,
        pushes_status: bool = True,
        retry_after: float = 15.0,
    ) -> None:
        self.pusher = Pusher(retry_after=retry_after, tries=3)
        super().__init__(clock, port=port, calls_per_second=calls_per_second, pusher=self.pusher)
        self._client = (client_id, client_secret)
        self._tokens = Tokens(clock, self._client, token_life, SCOPES)
        self._most_numbers = most_numbers
        self._paging = paging or Paging()
        self._newest_first = newest_first
        self._knows_start = knows_start
        self._strict_headers = strict_headers
        self._lists_stop = lists_stop
        self._pushes_status = pushes_status
        self._numbers: dict[str, Rented] = {} if number is None else {number: Rented(number)}
        self._given_back: set[str] = set()
        self._messages: list[Message] = []
        self._opted_out: dict[tuple[str, str], datetime] = {}
        self._fates: dict[str, str] = {}

    def environ(self) -> dict[str, str]:
        """Return the settings with which the transport talks to this emulator."""
        said = {
            "TELSTRA_CLIENT_ID": self._client[0],
            "TELSTRA_CLIENT_SECRET": self._client[1],
            "TELSTRA_BASE_URL": f"{self.url}{BASE}",
            "TELSTRA_TOKEN_URL": f"{self.url}{TOKEN}",
        }
        with self._changed:
            return {**said, **({"TELSTRA_NUMBER": next(iter(self._numbers))} if self._numbers else {})}

    # -- people ------------------------------------------------------------------------------------

    def text(
        self,
        sender: str,
        text: str,
        sent_at: datetime | None = None,
        *,
        message_id: str | None = None,
        number: str | None = None,
    ) -> str:
        """Text ``number`` (None: the first of the account) as ``sender``, and return the id that it has.

        ``sent_at`` is for one that is listed late; a blank ``text`` is a picture.
        """
        with self._changed:
            ours = number or next(iter(self._numbers), NUMBER)
            given = self._new_id("in") if message_id is None else message_id
            at = sent_at or self._clock.now()
            # CHOICE: the status of incoming messages.
            found = Message(given, sender, ours, text, at, incoming=True, status="delivered", settled=True)
            opts_out = text.strip().upper() in OPT_OUT
            if opts_out:
                self._opted_out.setdefault((ours, sender), at)
            if opts_out and not self._lists_stop:
                return given
            self._messages.append(found)
            held = self._numbers.get(ours)
            if held is not None and held.reply_url is not None:
                told = {"timestamp": stamp_of(at), "messageContent": text}
                if not text:
                    told = {"timestamp": stamp_of(at)}
                self._push(held.reply_url, found, told)
        return given

    def opt_in(self, sender: str) -> None:
        """Let everybody write to ``sender`` again."""
        with self._changed:
            self._opted_out = {who: at for who, at in self._opted_out.items() if who[1] != sender}

    def fate(self, recipient: str, status: str) -> None:
        """Say what becomes of all that is sent to ``recipient``: ``expired``, ``undeliverable`` …"""
        with self._changed:
            self._fates[recipient] = status

    def _left(self) -> list[Message]:
        return [one for one in self._messages if not one.incoming]

    def _printed(self, text: Message) -> dict[str, object]:
        said = {"from": text.sender, "to": text.recipient, "text": text.text, "at": stamp_of(text.at)}
        return {**said, "id": text.message_id}

    def _new_id(self, kind: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {len(self._messages)} {self._clock.now()}"))

    def _push(self, url: str, message: Message, told: Mapping[str, object]) -> None:
        ours = {"to": national(message.recipient), "from": national(message.sender)}
        body = json.dumps({**ours, "messageId": message.message_id, **told}).encode()
        self.pusher.push(Push(url, body, {"Content-Type": "application/json"}, message.message_id))

    # -- the API -----------------------------------------------------------------------------------

    def _operation_of(self, request: Request) -> str | None:
        found = operation_of(request)
        return found[0] if found is not None else None

    def _nowhere(self, request: Request) -> Response:
        if is_path(request.path):
            return error(405, "METHOD_INVALID", "there is no such method here")
        return error(404, "RESOURCE_NOT_FOUND", "there is nothing at this path")

    def _spike(self) -> Response:
        return error(429, "TOO_MANY_REQUESTS", "too many concurrent calls", Retry_After="1")

    def _void_tokens(self) -> None:
        self._tokens.forget()

    def _act(self, operation: str, request: Request, repeat: bool) -> Response:  # noqa: ARG002 - nothing is taken away
        if operation == "token":
            return self._tokens.give(request)
        token, (_, scope) = self._tokens.of(request), operation_of(request) or ("", "")
        if token is None:
            return error(401, "TOKEN_INVALID", "the access token is none of ours")
        if not self._tokens.is_good(token):
            return error(401, "TOKEN_EXPIRED", "the access token is too old")
        if scope and scope not in token.scopes:
            return error(403, "INSUFFICIENT_SCOPE", f"the access token is not good for {scope}")
        missing = [name for name in NEEDED_HEADERS if not request.headers.get(name)]
        if self._strict_headers and missing and operation != "health":
            return error(400, "FIELD_MISSING", "a header is missing", missing[0])
        said: dict[str, object] = {}
        if request.body and request.method in ("POST", "PUT"):
            try:
                parsed = json.loads(request.body)
            except ValueError:
                parsed = None
            if not isinstance(parsed, dict):
                return error(400, "FIELD_INVALID", "the body is no JSON object", location="body")
            said = parsed
        try:
            return self._done(operation, request, said)
        except ValueError as wrong:
            return error(400, "FIELD_INVALID", "it makes no sense", str(wrong), "query")

    def _done(self, operation: str, request: Request, said: Mapping[str, object]) -> Response:
        self._let_time_pass()
        one = unquote(request.path.removeprefix(f"{BASE}/").partition("/")[2])
        match operation:
            case "health":
                return answered(200, {"status": "up"})
            case "send":
                return self._send(said)
            case "numbers" if one.endswith("/optouts"):
                return self._optouts(one.removesuffix("/optouts"), request)
            case "numbers" if one:
                return self._number(one, request.method, said)
            case "numbers":
                return self._rent(said) if request.method == "POST" else self._list_numbers(request)
            case _ if one:
                return self._message(one)
            case _:
                return self._list(request)

    def _let_time_pass(self) -> None:
        now = self._clock.now()
        for place, one in enumerate(self._messages):
            if not one.settled and now - one.at >= REACHED_AFTER:
                # Of the handset we are told only if we asked for notification.
                usual = "delivered" if one.callback is not None else "sent"
                self._messages[place] = one.becomes(self._fates.get(one.recipient, usual))

    def _send(self, said: Mapping[str, object]) -> Response:
        problem = refused_text(said)
        if problem is not None:
            return problem
        to, sender = said["to"], said["from"]
        ours = e164(sender)
        if ours is None:
            return error(400, "SENDERNAME_ERR", "this name is not approved", "from", "body")
        if ours not in self._numbers:  # CHOICE: the code
            return error(400, "FIELD_INVALID", "this is no virtual number of the account", "from", "body")
        recipients = [e164(one) for one in (to if isinstance(to, list) else [to])]
        if None in recipients or len(recipients) > 500:
            return error(400, "FIELD_INVALID", "this is no mobile number", "to", "body")
        known = [one for one in recipients if one is not None]
        if any((ours, one) in self._opted_out for one in known):
            return error(400, "RECIPIENT_OPTOUT", "the recipient has opted out", "to", "body")
        callback = said.get("statusCallbackUrl") if said.get("deliveryNotification") is True else None
        if callback is not None and not self._pushes_status:
            return error(400, "FIELD_INVALID", "this is for paid plans", "deliveryNotification", "body")
        tags = said.get("tags", [])
        ids = []
        for recipient in known:
            left = Message(
                self._new_id("out"),
                ours,
                recipient,
                str(said.get("messageContent", "")),
                self._clock.now(),
                tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
                callback=str(callback) if callback is not None else None,
            )
            self._messages.append(left)
            ids.append(left.message_id)
            for status in ("sent", self._fates.get(recipient, "delivered")) if left.callback else ():
                self._push(left.callback or "", left, {"timestamp": stamp_of(left.at), "status": status})
        self._numbers[ours] = replace(self._numbers[ours], last_use=self._clock.now())
        self._changed.notify_all()
        names = ("messageContent", "multimedia", "statusCallbackUrl")
        echo = {name: said[name] for name in names if name in said}
        whole = {
            "messageId": ids if isinstance(to, list) else ids[0],
            "status": "queued",
            "to": to,
            "from": sender,
            **echo,
            "retryTimeout": said.get("retryTimeout", 10),
            "deliveryNotification": said.get("deliveryNotification", False),
            "tags": tags,
        }
        return answered(201, whole, Location=f"{BASE}/messages/{ids[0]}")

    def _list(self, request: Request) -> Response:
        query, now = request.query, self._clock.now()
        if not self._knows_start and {"startTime", "endTime", "reverse"} & query.keys():
            raise ValueError("startTime")
        direction, status, wanted = query.get("direction"), query.get("status"), query.get("filter")
        if direction not in (None, "incoming", "outgoing"):
            raise ValueError("direction")
        if status not in (None, "queued", "sent", "delivered", "expired"):
            raise ValueError("status")
        since = moment_in(query, "startTime", now) or now - timedelta(days=30)
        until = moment_in(query, "endTime", now) or now
        found = [
            one
            for one in self._messages
            if direction in (None, "incoming" if one.incoming else "outgoing")
            and status in (None, one.status)
            and (wanted is None or wanted in (*one.tags, national(one.sender), national(one.recipient)))
            and since <= one.at <= until
        ]
        found.sort(key=lambda one: one.at, reverse=self._newest_first or query.get("reverse") == "true")
        return self._paging.page("messages", [printed(one) for one in found], query, f"{BASE}/messages")

    def _message(self, message_id: str) -> Response:
        for one in self._messages:
            if one.message_id == message_id:
                return answered(200, printed(one))
        return error(400, "ID_NOT_ASSIGNED", "no message has this id", "messageId", "path")

    def _list_numbers(self, request: Request) -> Response:
        wanted = request.query.get("filter")
        found = [
            self._shown(one)
            for one in self._numbers.values()
            if wanted is None or wanted in (*one.tags, national(one.number))
        ]
        return self._paging.page("virtualNumbers", found, request.query, f"{BASE}/virtual-numbers")

    def _optouts(self, written: str, request: Request) -> Response:
        number = e164(written)
        if number not in self._numbers:
            return self._lost(written)
        found = [
            {"optoutNumber": national(who), "createTimestamp": stamp_of(at)}
            for (ours, who), at in self._opted_out.items()
            if ours == number
        ]
        return self._paging.page("recipientOptouts", found, request.query, request.path)

    def _rent(self, said: Mapping[str, object]) -> Response:
        if len(self._numbers) >= self._most_numbers:
            return error(402, "ACCOUNT_LIMIT_ERROR", "the account has all the numbers it may have")
        fresh = NUMBER
        while fresh in self._numbers or fresh in self._given_back:
            fresh = f"+61{_FIRST_NEW + len(self._numbers) + len(self._given_back)}"
        return self._overwrite(fresh, said, 201)

    def _number(self, written: str, method: str, said: Mapping[str, object]) -> Response:
        number = e164(written)
        if number is None or number not in self._numbers:
            return self._lost(written)
        if method == "DELETE":
            del self._numbers[number]
            self._given_back.add(number)
            return Response(204)
        if method == "PUT":
            return self._overwrite(number, said, 200)
        return answered(200, self._shown(self._numbers[number]))

    def _lost(self, written: str) -> Response:
        number = e164(written)
        if number is None or len(written) != 10:
            return error(400, "VIRTUAL_NUM_INVALID", "this is no number", "virtual-number", "path")
        if number in self._given_back:
            return error(400, "VIRTUAL_NUM_UNASSIGNED", "it was given back", "virtual-number", "path")
        return error(404, "VIRTUAL_NUM_UNKNOWN", "the account has no such number", "virtual-number", "path")

    def _overwrite(self, number: str, said: Mapping[str, object], status: int) -> Response:
        """Write a number as a whole: what is left out is wiped."""
        url, tags = said.get("replyCallbackUrl"), said.get("tags", [])
        refused = refused_tags(tags)
        if refused is not None:
            return refused
        if url is not None and (not isinstance(url, str) or not url.startswith(("http://", "https://"))):
            return error(400, "FIELD_INVALID", "this is no address", "replyCallbackUrl", "body")
        before = self._numbers.get(number)
        kept = tuple(map(str, tags)) if isinstance(tags, list) else ()
        self._numbers[number] = Rented(number, url, kept, before.last_use if before is not None else None)
        where = {"Location": f"{BASE}/virtual-numbers/{national(number)}"} if status == 201 else {}
        return answered(status, self._shown(self._numbers[number]), **where)

    def _shown(self, one: Rented) -> dict[str, object]:
        said: dict[str, object] = {"virtualNumber": national(one.number), "tags": list(one.tags)}
        if one.reply_url is not None:
            said["replyCallbackUrl"] = one.reply_url
        if one.last_use is not None:
            said["lastUse"] = stamp_of(one.last_use)
        return said
