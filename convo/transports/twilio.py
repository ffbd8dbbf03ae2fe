"""Twilio: one number, whose texts are listed, or pushed to a signed webhook; sends by its REST API.

Settings come from the environment: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_NUMBER must be
there; TWILIO_BASE_URL is for an emulator.

A listing takes nothing away, so each poll asks for an overlap with the one before; the inbox knows each
message by its sid. With pushes the polls go on: Twilio calls a webhook once or twice and then forgets.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode, urlsplit

from convo.clock import Clock
from convo.errors import ConfigError, CredentialsError, TransportError
from convo.messages import Address, Outbound, Unreadable, to_address
from convo.transports.base import (
    BadCredentials,
    Batch,
    PushRequest,
    PushResult,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)
from convo.transports.http import Answer, Door, NoAnswer, NotJSON, check_url
from convo.transports.twilio_answers import (
    WHO,
    Entry,
    describe,
    inbound_of,
    is_signed,
    members,
    message_of_form,
    read_entries,
    read_form,
    read_sent,
    receipt_of_form,
)

BASE_URL = "https://api.twilio.com"
OVERLAP = timedelta(minutes=10)
"""How far a poll looks back behind the newest message of the one before; once in ``FULL_LOOK``."""
FULL_LOOK = timedelta(minutes=1)
SHORT_OVERLAP = timedelta(seconds=15)
"""How far back the polls in between look: on a busy number the whole overlap is many messages."""
FIRST_LOOK_BACK = timedelta(minutes=5)
"""How far back a new store begins: texts sent while it was being set up, but no month of old ones."""
PAGE_SIZE = 200
MOST_PAGES = 500
_DEMO = ("", "demo.twilio.com")
_EMPTY_REPLY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one channel, checked. ``number`` is ours, in E.164 or a short code."""

    account_sid: str = field(repr=False)
    auth_token: str = field(repr=False)
    number: Address = field(repr=False)
    base_url: str = BASE_URL

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the TWILIO_ variables.

        Raises:
            ConfigError: some are missing (all of them are named) or make no sense.
        """

        def value(name: str) -> str:
            return environ.get(name, "").strip()

        needed = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_NUMBER")
        missing = [name for name in needed if not value(name)]
        if missing:
            raise ConfigError(
                f"twilio needs the environment variable{'s' if missing[1:] else ''} "
                f"{' and '.join(missing)}: see the console at twilio.com"
            )
        if not re.fullmatch(r"AC[0-9A-Za-z]{10,64}", value("TWILIO_ACCOUNT_SID")):
            raise ConfigError("TWILIO_ACCOUNT_SID begins with AC and goes on with letters and digits")
        number = value("TWILIO_NUMBER")
        if not re.fullmatch(r"[0-9]{3,8}", number):  # a short code is taken as it is
            try:
                number = to_address(number)
            except ValueError as problem:
                raise ConfigError(f"TWILIO_NUMBER: {problem}") from None
        base = check_url("TWILIO_BASE_URL", value("TWILIO_BASE_URL") or BASE_URL)
        return cls(value("TWILIO_ACCOUNT_SID"), value("TWILIO_AUTH_TOKEN"), Address(number), base)


def create(*, channel: str, clock: Clock, environ: Mapping[str, str]) -> Twilio:
    """Return the transport of ``channel`` with its settings from ``environ``; asks nothing of Twilio yet.

    Raises:
        ConfigError: settings are missing or wrong.
    """
    return Twilio(Settings.from_environ(environ), channel=channel, clock=clock)


class Twilio:
    """One number at Twilio; threads may poll, send and take pushes at the same time."""

    name = "twilio"
    reserved_words = frozenset(
        {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "HELP", "INFO"}
    )
    signs_pushes = True
    push_methods = frozenset({"POST"})

    def __init__(self, settings: Settings, *, channel: str, clock: Clock, door: Door | None = None) -> None:
        self._settings = settings
        self._channel = channel
        self._clock = clock
        self._door = door or Door(clock, limit=8_000_000)
        self._account = f"/2010-04-01/Accounts/{settings.account_sid}"
        self._asked = False
        self._push_url: str | None = None
        self._seen: dict[str, datetime] = {}
        self._full_look_at: datetime | None = None

    def __repr__(self) -> str:
        return f"<Twilio channel={self._channel!r}>"

    def start(self) -> None:
        """See that the number is ours, and where asked to change where its texts are pushed.

        Raises:
            ConfigError: the number is not the account's, or is pushed to somebody else.
            CredentialsError, TransportError: see Transport.
        """
        number = self._settings.number
        if re.fullmatch(r"[0-9]{3,8}", number):
            if self._asked:
                _log.warning("%s: set the webhook of a short code in Twilio's console", self._channel)
            return
        answer = self._ask("GET", f"/IncomingPhoneNumbers.json?{urlencode({'PhoneNumber': number})}")
        said = members(self._expect(answer, 200, "the number cannot be looked up"))
        held = said.get("incoming_phone_numbers")
        first = held[0] if isinstance(held, list) and held and isinstance(held[0], dict) else None
        if first is None or not isinstance(first.get("sid"), str):
            raise ConfigError("TWILIO_NUMBER is no number of this account")
        there = first.get("sms_url")
        self._switch(first["sid"], there if isinstance(there, str) else "")

    def _switch(self, sid: str, there: str) -> None:
        wanted = self._push_url or ""
        if not self._asked or there == wanted:
            return
        host, ours = urlsplit(there).netloc, urlsplit(wanted).netloc
        if wanted and host not in (*_DEMO, ours):
            raise ConfigError(
                f"Twilio pushes the texts of this number to {host}, which is not where this channel "
                "listens; if that is to end, clear its webhook in Twilio's console"
            )
        form = {"SmsUrl": wanted, "SmsMethod": "POST"}
        answer = self._ask("POST", f"/IncomingPhoneNumbers/{quote(sid)}.json", form)
        self._expect(answer, 200, "the webhook of the number was not changed")
        _log.warning(
            "%s: texts are %s from now on", self._channel, f"pushed to {ours}" if wanted else "polled only"
        )

    def push_to(self, url: str | None) -> None:
        """Have texts and receipts pushed to ``url``, or texts polled only (None), from ``start`` on."""
        self._asked, self._push_url = True, url

    def poll(self, cursor: str | None) -> Batch:
        """List what came since the cursor and a little before; the first poll of all begins a little back.

        Raises:
            CredentialsError, TransportError: see Transport.
        """
        now = self._clock.now()
        beginning = now.replace(microsecond=0) - FIRST_LOOK_BACK
        # The mark is by Twilio's clock: until a text has come it stands where we began, whatever ours says.
        first, mark = _read_cursor(cursor) or (beginning, beginning)
        kept = max(first, mark - OVERLAP)
        full = self._full_look_at is None or not now - FULL_LOOK < self._full_look_at <= now
        since = kept if full else max(first, mark - SHORT_OVERLAP)
        entries: list[Entry] = []
        odd: list[str] = []
        for found, not_read in self._pages({"To": self._settings.number}, since, "the poll failed"):
            entries += found
            odd += not_read
        # Newest first, by the second: turned round, those of one second come in their order.
        entries = [one for one in reversed(entries) if one.direction == "inbound" and one.at >= since]
        entries.sort(key=lambda one: one.at)
        new = [one for one in entries if one.sid not in self._seen]
        unreadable = [raw for raw in odd if raw not in self._seen]
        if full:
            self._full_look_at = now
        self._seen = {sid: at for sid, at in self._seen.items() if at >= kept}
        self._seen.update({one.sid: one.at for one in new} | dict.fromkeys(unreadable, now))
        newest = max([mark, *(min(one.at, now) for one in entries)])
        return Batch(
            messages=tuple(inbound_of(one, self._channel, now) for one in new),
            cursor=json.dumps([first.isoformat(), newest.isoformat()]),
            unreadable=tuple(
                Unreadable(raw, "an entry of a listing makes no sense", now) for raw in unreadable
            ),
        )

    def send(self, outbound: Outbound) -> SendResult:
        """Hand one outbound over, from our number."""
        form = {"To": outbound.recipient, "From": self._settings.number, "Body": outbound.text}
        if self._push_url is not None:
            form["StatusCallback"] = self._push_url
        answer = self._ask("POST", "/Messages.json", form)
        if isinstance(answer, NoAnswer):
            return Unknown(answer.reason) if answer.may_have_arrived else RetryLater(answer.reason)
        return read_sent(answer, self._clock.now())

    def find_sent(
        self, outbound: Outbound, since: datetime, known: Container[str] = frozenset()
    ) -> Sent | None:
        """Look in Twilio's list for an outbound of which we do not know whether it left.

        ``since`` is just before it was handed over; ``known`` are the sids of other outbounds. The oldest
        message of that text to that recipient is taken for it; None: there is none, so it never left.

        Raises:
            CredentialsError, TransportError: see Transport; nothing is known then.
        """
        asked = {"To": outbound.recipient, "From": self._settings.number}
        since = since.replace(microsecond=0)
        found: Sent | None = None
        for entries, _ in self._pages(asked, since, "the list of what was sent cannot be read"):
            for one in entries:
                ours = one.direction.startswith("outbound") and one.text == outbound.text
                if ours and one.at >= since and one.sid not in known:
                    found = Sent(one.sid, one.segments)
        return found

    def received(self, request: PushRequest) -> PushResult:
        """Read a call to our webhook: a text, or what became of one we sent; refused without a signature."""
        form = read_form(request.body)
        given = request.headers.get("x-twilio-signature", "")
        token = self._settings.auth_token
        if not is_signed(token, request.url, request.query, request.body, form, given):
            return PushResult(status=403)
        now, said = self._clock.now(), dict(form)
        if said.get("AccountSid") not in (None, self._settings.account_sid):
            return PushResult(status=403)
        if "MessageStatus" in said and "Body" not in said:
            receipt = receipt_of_form(said, self._channel, now)
            if receipt is not None:
                return PushResult(Batch(receipts=(receipt,)))
        message = message_of_form(said, self._channel, now)
        if message is None:
            aside = Unreadable(json.dumps(said), "the push is neither a text nor a receipt", now)
            return PushResult(Batch(unreadable=(aside,)))
        return PushResult(Batch(messages=(message,)), 200, _EMPTY_REPLY, {"Content-Type": "text/xml"})

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()

    def _pages(
        self, asked: Mapping[str, str], since: datetime, failed: str
    ) -> Iterator[tuple[tuple[Entry, ...], tuple[str, ...]]]:
        """Yield the pages of a listing from ``since`` on, newest first."""
        stamp = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = urlencode({**asked, "DateSent>": stamp, "PageSize": str(PAGE_SIZE)})
        path: str | None = f"{self._account}/Messages.json?{query}"
        for _ in range(MOST_PAGES):
            answer = self._expect(self._ask_at(path or ""), 200, failed)
            try:
                entries, path, odd = read_entries(answer)
            except NotJSON as problem:
                raise TransportError(f"{failed}: {problem}") from None
            yield entries, odd
            if path is None:
                return
            if not path.startswith(f"{self._account}/"):
                raise TransportError(f"{failed}: the next page is none of this account")
        raise TransportError(f"{failed}: the list has no end")

    def _ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Answer | NoAnswer:
        return self._ask_at(self._account + path, method, form)

    def _ask_at(
        self, path: str, method: str = "GET", form: Mapping[str, str] | None = None
    ) -> Answer | NoAnswer:
        who = (self._settings.account_sid, self._settings.auth_token)
        return self._door.exchange(method, self._settings.base_url + path, basic=who, form=form)

    def _expect(self, answer: Answer | NoAnswer, status: int, failed: str) -> Answer:
        if isinstance(answer, NoAnswer):
            raise TransportError(f"{failed}: {answer.reason}")
        if answer.status == status:
            return answer
        message = f"{failed}: {describe(answer)}"
        result = read_sent(answer, self._clock.now())
        if isinstance(result, BadCredentials):
            raise CredentialsError(f"{message}; check {WHO}")
        raise TransportError(message, retry_after=answer.retry_after(self._clock.now()))


def _read_cursor(cursor: str | None) -> tuple[datetime, datetime] | None:
    """Return when this channel began, and the newest message it has seen."""
    try:
        first, mark = json.loads(cursor or "")
        return datetime.fromisoformat(first), datetime.fromisoformat(mark)
    except (ValueError, TypeError):
        return None
