"""A loopback stand-in of Telstra's Messaging API v2, and a phone that texts with it.

It does what is known of v2 (numbered in the comments as in Telstra's descriptions 2.2.9 and 2.2.10, or
seen in the wild); where nothing is known it says CHOICE. The API is under ``/v2``; the phone beside it is
that of docs/emulators.md. What is posted to ``/phone/texts`` may hold ``sent_at`` too: a stamp as it
shall be given out, null for none, absent for now.

CHOICE: texts that come while a notifyURL is set wait, and can be polled once it is gone (nothing is pushed).
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final
from urllib.parse import unquote

from convo.clock import Clock
from convo.emulators.base import Request, Response, json_response
from convo.emulators.emulator import Emulator
from convo.emulators.pushing import Pusher
from convo.emulators.telstra_v2_wire import (
    HINT,
    SMS,
    Text,
    e164,
    error,
    operation_of,
    printed,
    refused_recipient,
    refused_text,
    segments,
    stamp_of,
)
from convo.emulators.tokens import Tokens

NUMBER = "+61491570156"
"""The emulated number: one of those that Australia keeps for fiction."""


class Now(Enum):
    """The type of NOW."""

    NOW = "now"


NOW: Final = Now.NOW
"""Stamp a text with the emulator's clock."""


class TelstraV2Emulator(Emulator):
    """One account with one number; everything in memory, time from ``clock``.

    ``token_life`` is in seconds. ``calls_per_second`` None: never too fast (Telstra publishes no
    figure). ``strict_days`` refuses a subscription without activeDays, as 2.2.10 describes it.
    ``body_limit`` is in characters, for one and for several recipients (2.2.9: 1900 and 500).
    """

    name = "telstra_v2"

    def __init__(
        self,
        clock: Clock,
        *,
        port: int = 0,
        number: str = NUMBER,
        client_id: str = "emulated-client-id",
        client_secret: str = "emulated-client-secret",  # noqa: S107 - a secret of nobody
        token_life: int = 3599,
        calls_per_second: int | None = None,
        strict_days: bool = False,
        body_limit: tuple[int, int] = (1900, 500),
        unprovisioned: tuple[int, str] = (400, "DELIVERY-IMPOSSIBLE"),
        pusher: Pusher | None = None,
    ) -> None:
        super().__init__(clock, port=port, calls_per_second=calls_per_second, pusher=pusher)
        self._number = number
        self._client = (client_id, client_secret)
        self._tokens = Tokens(clock, self._client, token_life)
        self._strict_days = strict_days
        self._body_limit = body_limit
        self._unprovisioned = unprovisioned
        self._waiting: deque[dict[str, object]] = deque()
        self._sent: list[Text] = []
        self._texts = 0
        self._ends_at: datetime | None = None
        self._notify_url: str | None = None

    def environ(self) -> dict[str, str]:
        """Return the settings with which the transport talks to this emulator."""
        return {
            "TELSTRA_CLIENT_ID": self._client[0],
            "TELSTRA_CLIENT_SECRET": self._client[1],
            "TELSTRA_BASE_URL": f"{self.url}/v2",
            "TELSTRA_TOKEN_URL": f"{self.url}/v2/oauth/token",
            "TELSTRA_NUMBER": self._number,
        }

    def text(
        self,
        sender: str,
        text: str,
        sent_at: datetime | str | Now | None = NOW,
        *,
        message_id: str | None = None,
    ) -> str:
        """Text our number as ``sender`` and return the id it will be polled with.

        ``sent_at`` None leaves the stamp out; a string is given out as it is. ``message_id`` is for ids
        that are blank or repeated.
        """
        moment = self._clock.now() if isinstance(sent_at, Now) else sent_at
        stamp = stamp_of(moment) if isinstance(moment, datetime) else moment
        with self._changed:
            self._texts += 1
            given = f"DMASApiA{self._texts:010d}" if message_id is None else message_id
            said: dict[str, object] = {
                "status": "RECEIVED",
                "destinationAddress": self._number,
                "senderAddress": sender,
                "message": text,
                "messageId": given,
                "apiMsgId": given,
            }
            if stamp is not None:
                said["sentTimestamp"] = stamp
            self._waiting.append(said)
        return given

    def _left(self) -> list[Text]:
        return self._sent

    def _printed(self, text: Text) -> dict[str, str]:
        return printed(text)

    def _texted(self, said: Mapping[str, Any]) -> str:
        sent_at = said.get("sent_at", NOW)
        if not isinstance(sent_at, str | Now | None):
            raise TypeError
        return self.text(said["from"], said["text"], sent_at, message_id=said.get("id"))

    @property
    def waiting(self) -> int:
        """How many texts nobody has asked for yet."""
        with self._changed:
            return len(self._waiting)

    def _operation_of(self, request: Request) -> str | None:
        return operation_of(request.path, request.method)

    def _nowhere(self, request: Request) -> Response:  # noqa: ARG002 - as the others
        return error(404, "RESOURCE-NOT-FOUND", "The requested URI does not exist")

    def _spike(self) -> Response:
        return error(403, "SpikeArrest", "The API call rate limit has been exceeded")

    def _void_tokens(self) -> None:
        self._tokens.forget()

    def _act(self, operation: str, request: Request, repeat: bool) -> Response:
        if operation == "token":
            return self._tokens.give(request)
        if operation == "health":
            return json_response(200, {"status": "up"})
        if not self._tokens.is_good(self._tokens.of(request)):
            # CHOICE: the code; 2.2.10 has the sentence.
            return error(401, "TECH-ERR", "Invalid access token. Please try with a valid token")
        said: dict[str, object] = {}
        if request.body:
            try:
                parsed = json.loads(request.body)
            except ValueError:
                parsed = None
            if not isinstance(parsed, dict):
                # Seen: the gateway's JSONThreatProtection answers 500, not 400.
                return error(500, "TECH-ERR", "JSONThreatProtection: Expecting { or [ at line 1")
            said = parsed
        match operation:
            case "subscription":
                return self._subscription(request.method, said)
            case "poll":
                return self._poll(repeat)
            case "status":
                return self._status(unquote(request.path).removeprefix(SMS + "/").removesuffix("/status"))
            case _:
                return self._send(said)

    def _provisioned(self) -> bool:
        return self._ends_at is not None and self._clock.now() < self._ends_at

    def _subscription(self, method: str, said: Mapping[str, object]) -> Response:
        if method == "POST":
            return self._subscribe(said)
        if not self._provisioned():
            return error(404, "RESOURCE-NOT-FOUND", "There are no active subscription")
        if method == "DELETE":
            self._ends_at = self._notify_url = None
            return Response(204)
        return json_response(
            200,
            {
                "activeDays": str(self._days_left()),
                "notifyURL": self._notify_url,
                "destinationAddress": self._number,
            },
        )

    def _days_left(self) -> int:
        left = (self._ends_at or self._clock.now()) - self._clock.now()
        return -(-left // timedelta(days=1))

    def _subscribe(self, said: Mapping[str, object]) -> Response:
        days = said.get("activeDays", None if self._strict_days else 30)
        if isinstance(days, str) and days.isdigit():
            days = int(days)
        if not isinstance(days, int) or days < 1:
            return error(400, "", 'The request is missing parameter "activeDays"')
        now = self._clock.now()
        start = self._ends_at if self._ends_at is not None and self._ends_at > now else now
        if start + timedelta(days=days) > now + timedelta(days=1825):
            return error(409, "Active Days Max", "You cannot have activeDays greater than 1825")
        if not self._provisioned():
            self._notify_url = None
        self._ends_at = start + timedelta(days=days)
        if "notifyURL" in said:
            url = said["notifyURL"]
            self._notify_url = url if isinstance(url, str) and url else None
        left = str(self._days_left())
        expiry = int(self._ends_at.timestamp() * 1000)
        said_back = {"destinationAddress": self._number, "activeDays": left, "expiryDate": expiry}
        return json_response(201, said_back)

    def _poll(self, repeat: bool) -> Response:
        if not self._provisioned():
            return error(400, "NOT-PROVISIONED", "No active subscription")
        if self._notify_url is not None or not self._waiting:
            return json_response(200, {"status": "EMPTY"})
        return json_response(200, self._waiting[0] if repeat else self._waiting.popleft())

    def _send(self, said: Mapping[str, object]) -> Response:
        to, body = said.get("to"), said.get("body")
        recipients = to if isinstance(to, list) else [to]
        problem = refused_text(recipients, body, said.get("from"), self._body_limit)
        if problem is not None:
            return problem
        if not self._provisioned():
            return error(*self._unprovisioned, "Invalid 'from' address specified")
        wrong = [one for one in recipients if e164(one) is None]
        if wrong:
            return refused_recipient(str(wrong[0]), self.url)
        sender = said.get("from")
        entries = []
        for recipient in (e164(one) or "" for one in recipients):
            digest = hashlib.sha256(f"{self._number} {len(self._sent)}".encode()).hexdigest()[:40].upper()
            message_id = f"{digest}-12{recipient.lstrip('+')}"
            from_whom = sender if isinstance(sender, str) and sender else self._number
            self._sent.append(Text(from_whom, recipient, str(body), self._clock.now(), message_id))
            entries.append(
                {
                    "to": recipient,
                    "deliveryStatus": "MessageWaiting",
                    "messageId": message_id,
                    "messageStatusURL": f"{self.url}{SMS}/{message_id}/status",
                }
            )
        self._changed.notify_all()
        countries: list[dict[str, int]] = [{"AUS": len(entries)}]
        counted = segments(str(body))
        whole = {"messages": entries, "Country": countries, "messageType": "SMS", "numberSegments": counted}
        return json_response(201, whole)

    def _status(self, message_id: str) -> Response:
        for text in self._sent:
            if text.message_id == message_id:
                # CHOICE: a handset is reached after one second.
                done = self._clock.now() - text.at >= timedelta(seconds=1)
                stamp = stamp_of(text.at)
                said = {"to": text.recipient, "sentTimestamp": stamp, "receivedTimestamp": stamp}
                return json_response(200, [{**said, "deliveryStatus": "DELIVRD" if done else "PEND"}])
        return error(404, "OLD-NONEXISTANT-MESSAGE-ID", HINT)
