"""A loopback stand-in of Twilio's REST API 2010-04-01, and a phone that texts with it.

Messages can be sent, listed (newest first, in pages) and looked at; a number whose SmsUrl is set pushes
signed webhooks, and sends with a StatusCallback push ``sent`` and ``delivered``. The phone beside it is
that of docs/emulators.md. STOP and START opt a sender out and in, as Twilio does it by default (its
own answers to these words are left out). CHOICE: a webhook that fails is called once more, after
``retry_after``.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

from convo.clock import Clock
from convo.emulators.base import Request, Response, json_response
from convo.emulators.emulator import Emulator
from convo.emulators.pushing import Push, Pusher
from convo.emulators.twilio_wire import (
    MAGIC,
    Text,
    error,
    is_at_or_after,
    operation_of,
    page_of,
    printed,
    signed,
)

NUMBER = "+61491570157"
"""The emulated number: one of those that Australia keeps for fiction."""
ACCOUNT = "ACe0000000000000000000000000000000"
OPT_OUT = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
OPT_IN = frozenset({"START", "YES", "UNSTOP"})


class TwilioEmulator(Emulator):
    """One account with one number; everything in memory, time from ``clock``; ``retry_after`` in seconds.

    ``calls_per_second`` None: never too fast. ``opt_outs`` False: every number may always be written to.
    """

    name = "twilio"

    def __init__(
        self,
        clock: Clock,
        *,
        port: int = 0,
        number: str = NUMBER,
        account_sid: str = ACCOUNT,
        auth_token: str = "emulated-auth-token",  # noqa: S107 - a secret of nobody
        calls_per_second: int | None = None,
        opt_outs: bool = True,
        retry_after: float = 15.0,
        token_life: int = 0,  # noqa: ARG002 - `convo emulate` gives it to every emulator; there is no token here
    ) -> None:
        self.pusher = Pusher(retry_after=retry_after, tries=2)
        super().__init__(clock, port=port, calls_per_second=calls_per_second, pusher=self.pusher)
        self._number = number
        self._account = account_sid
        self._auth_token = auth_token
        self._opt_outs = opt_outs
        self._texts: list[Text] = []
        self._received = 0
        self._opted_out: set[str] = set()
        self._sms_url = ""

    def environ(self) -> dict[str, str]:
        """Return the settings with which the transport talks to this emulator."""
        return {
            "TWILIO_ACCOUNT_SID": self._account,
            "TWILIO_AUTH_TOKEN": self._auth_token,
            "TWILIO_NUMBER": self._number,
            "TWILIO_BASE_URL": self.url,
        }

    def text(
        self, sender: str, text: str, sent_at: datetime | None = None, *, message_id: str | None = None
    ) -> str:
        """Text our number as ``sender``, now or at ``sent_at``, and return the sid it has."""
        with self._changed:
            self._received += 1
            sid = f"SM{self._received:032x}" if message_id is None else message_id
            self._texts.append(
                Text(sender, self._number, text, sent_at or self._clock.now(), sid, inbound=True)
            )
            word = text.strip().upper()
            if self._opt_outs and word in OPT_OUT:
                self._opted_out.add(sender)
            elif word in OPT_IN:
                self._opted_out.discard(sender)
            if self._sms_url:
                self._push(
                    self._sms_url,
                    {
                        "From": sender,
                        "To": self._number,
                        "Body": text,
                        "SmsStatus": "received",
                        "NumMedia": "0",
                    },
                    sid,
                )
        return sid

    @property
    def sms_url(self) -> str:
        """Where the texts of the number are pushed; blank: nowhere."""
        with self._changed:
            return self._sms_url

    @sms_url.setter
    def sms_url(self, url: str) -> None:
        with self._changed:
            self._sms_url = url

    def _left(self) -> list[Text]:
        return [one for one in self._texts if not one.inbound]

    def _push(self, url: str, said: Mapping[str, str], sid: str) -> None:
        form = {
            "MessageSid": sid,
            "SmsSid": sid,
            "AccountSid": self._account,
            "ApiVersion": "2010-04-01",
            **said,
        }
        self.pusher.push(Push(url, urlencode(form).encode(), signed(self._auth_token, url, form), sid))

    def _printed(self, text: Text) -> dict[str, object]:
        return printed(text, self._account)

    def _operation_of(self, request: Request) -> str | None:
        return operation_of(request.path, request.method, self._account)

    def _nowhere(self, request: Request) -> Response:  # noqa: ARG002 - as the others
        return error(404, 20404, "The requested resource was not found")

    def _spike(self) -> Response:
        return error(429, 20429, "Too Many Requests", Retry_After="1")

    def _void_tokens(self) -> Response:
        return error(401, 20003, "Authenticate")

    def _act(self, operation: str, request: Request, repeat: bool) -> Response:  # noqa: ARG002 - nothing is taken away
        try:
            given = b64decode(request.headers.get("authorization", "").partition(" ")[2]).decode()
        except ValueError:
            given = ""
        if operation == "stranger" or given != f"{self._account}:{self._auth_token}":
            return error(401, 20003, "Authenticate")
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        match operation:
            case "send":
                return self._send(form)
            case "poll":
                return self._list(request)
            case "status":
                sid = request.path.rpartition("/")[2].removesuffix(".json")
                for one in self._texts:
                    if one.message_id == sid:
                        return json_response(200, printed(one, self._account))
                return error(404, 20404, "The requested resource was not found")
            case _:
                return self._numbers(request, form)

    def _numbers(self, request: Request, form: Mapping[str, str]) -> Response:
        if request.method == "POST":
            self._sms_url = form.get("SmsUrl", self._sms_url)
        held = {"sid": "PN01", "phone_number": self._number, "sms_url": self._sms_url, "sms_method": "POST"}
        if request.method == "POST":
            return json_response(200, held)
        asked = request.query.get("PhoneNumber", self._number)
        return json_response(200, {"incoming_phone_numbers": [held] if asked == self._number else []})

    def _send(self, form: Mapping[str, str]) -> Response:
        recipient, sender, text = form.get("To", ""), form.get("From", ""), form.get("Body", "")
        if not recipient:
            return error(400, 21604, "A 'To' phone number is required.")
        if not text:
            return error(400, 21602, "Message body is required.")
        if len(text) > 1600:
            return error(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
        if sender != self._number:
            return error(400, 21606, "The 'From' phone number is not one of yours for messages.")
        if recipient in MAGIC:
            return error(400, *MAGIC[recipient])
        if not re.fullmatch(r"\+[1-9][0-9]{7,14}", recipient):
            return error(400, 21211, "The 'To' number is not a valid phone number.")
        if recipient in self._opted_out:
            return error(400, 21610, "Attempt to send to unsubscribed recipient.")
        sid = f"SM{len(self._texts) + 2**64:032x}"
        left = Text(sender, recipient, text, self._clock.now(), sid, status="queued")
        self._texts.append(left.now("delivered"))
        self._changed.notify_all()
        callback = form.get("StatusCallback", "")
        for status in ("sent", "delivered") if callback else ():
            said = {"From": sender, "To": recipient, "MessageStatus": status, "SmsStatus": status}
            self._push(callback, said, sid)
        return json_response(201, printed(left, self._account))

    def _list(self, request: Request) -> Response:
        query = request.query
        try:
            found = [
                one
                for one in self._texts
                if query.get("To") in (None, one.recipient)
                and query.get("From") in (None, one.sender)
                and ("DateSent>" not in query or is_at_or_after(one.at, query["DateSent>"]))
            ]
            found.sort(key=lambda one: one.at.replace(microsecond=0))
            return page_of(found, query, request.path, self._account)
        except ValueError:
            return error(400, 20001, "a parameter of the list makes no sense")
