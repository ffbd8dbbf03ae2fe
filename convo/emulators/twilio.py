"""A loopback stand-in of Twilio's REST API 2010-04-01, and a phone that texts with it.

Messages can be sent, listed (newest first, in pages) and looked at; a number whose SmsUrl is set pushes
signed webhooks, and sends with a StatusCallback push ``sent`` and ``delivered``. The phone beside it is
that of the other emulators: POST /phone/texts {"from", "text", "id"?}, GET /phone/sent, POST and DELETE
/phone/faults. STOP and START opt a sender out and in, as Twilio does it by default (its own answers to
these words are left out). CHOICE: a webhook that fails is called once more, after ``retry_after``.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64decode
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlencode

from convo.clock import Clock
from convo.emulators.base import (
    Fault,
    FaultKind,
    Faults,
    LoopbackServer,
    Request,
    Response,
    instead,
    json_response,
    spoiled,
)
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


class TwilioEmulator:
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
        self._clock = clock
        self._number = number
        self._account = account_sid
        self._auth_token = auth_token
        self._calls_per_second = calls_per_second
        self._opt_outs = opt_outs
        self._server = LoopbackServer(self._answer, port=port)
        self._faults = Faults()
        self.pusher = Pusher(retry_after=retry_after, tries=2)
        self._changed = threading.Condition()  # guards everything below
        self._texts: list[Text] = []
        self._received = 0
        self._counts: dict[str, int] = {}
        self._calls: deque[datetime] = deque()
        self._opted_out: set[str] = set()
        self._sms_url = ""

    @property
    def url(self) -> str:
        """The address, without a slash at its end; known once started."""
        return self._server.url

    def start(self) -> None:
        """Begin to listen and to push (ConfigError: the port is taken)."""
        self._server.start()
        self.pusher.start()

    def stop(self) -> None:
        """Stop pushing and listening."""
        self.pusher.stop()
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

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

    def sent(self, after: int = 0, *, wait: float = 0.0) -> tuple[Text, ...]:
        """Return what left, from the ``after``-th on; waits up to ``wait`` real seconds for one such."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: len(self._left()) > after, wait)
            return tuple(self._left()[after:])

    def fault(self, kind: FaultKind | str, on: str = "any", **settings: object) -> None:
        """Switch a fault on; ``settings`` are the other fields of ``Fault``."""
        self._faults.add(Fault(FaultKind(kind), on, **settings))  # type: ignore[arg-type]

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self._faults.clear()

    def calls(self, operation: str) -> int:
        """Return how often ``send``, ``poll``, ``status`` or ``subscription`` was asked for."""
        with self._changed:
            return self._counts.get(operation, 0)

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

    def _answer(self, request: Request) -> Response:
        if request.path.startswith("/phone/"):
            return self._phone(request)
        operation = operation_of(request.path, request.method, self._account)
        if operation is None:
            return error(404, 20404, "The requested resource was not found")
        fault = self._faults.take(operation)
        with self._changed:
            self._counts[operation] = self._counts.get(operation, 0) + 1
            self._changed.notify_all()
            replaced = None if fault is None else instead(fault)
            if replaced is not None:
                return replaced
            if (fault is not None and fault.kind is FaultKind.SPIKE) or self._too_fast():
                return error(429, 20429, "Too Many Requests", Retry_After="1")
            if fault is not None and fault.kind is FaultKind.UNAUTHORIZED:
                return error(401, 20003, "Authenticate")
            answer = self._act(operation, request)
        return answer if fault is None else spoiled(fault, answer)

    def _too_fast(self) -> bool:
        if self._calls_per_second is None:
            return False
        now = self._clock.now()
        while self._calls and now - self._calls[0] >= timedelta(seconds=1):
            self._calls.popleft()
        if len(self._calls) >= self._calls_per_second:
            return True
        self._calls.append(now)
        return False

    def _act(self, operation: str, request: Request) -> Response:
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

    def _phone(self, request: Request) -> Response:
        try:
            said = json.loads(request.body) if request.body else {}
            match request.method, request.path:
                case "POST", "/phone/texts":
                    given = said.get("id")
                    if not all(isinstance(one, str) for one in (said["from"], said["text"], given or "")):
                        raise TypeError
                    return json_response(201, {"id": self.text(said["from"], said["text"], message_id=given)})
                case "GET", "/phone/sent":
                    after, wait = int(request.query.get("after", "0")), float(request.query.get("wait", "0"))
                    sent = self.sent(max(after, 0), wait=min(max(wait, 0.0), 30.0))
                    return json_response(200, {"sent": [printed(one, self._account) for one in sent]})
                case "POST", "/phone/faults":
                    self.fault(said.pop("kind"), said.pop("on", "any"), **said)
                    return json_response(201, {})
                case "DELETE", "/phone/faults":
                    self.clear_faults()
                    return Response(204)
        except (ValueError, KeyError, TypeError, AttributeError):
            return json_response(400, {"error": "what to post stands in docs/emulators.md"})
        return json_response(404, {"error": "the phone has /phone/texts, /phone/sent and /phone/faults"})
