"""Telstra's Messaging API v3: a virtual number whose texts are listed, as it is offered today.

Settings come from the environment: TELSTRA_CLIENT_ID and TELSTRA_CLIENT_SECRET must be there;
TELSTRA_NUMBER where the account has several; TELSTRA_BASE_URL and TELSTRA_TOKEN_URL where the defaults do
not do; TELSTRA_SINCE for how far back a new store begins (``30d``, ``12h`` or a moment; else five minutes).

A listing takes nothing away, so each poll asks for an overlap with the one before, and the inbox knows
each message by its id. STOP and five other words belong to the carrier.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Container, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from convo.clock import Clock
from convo.errors import ConfigError, ConvoError, CredentialsError, NotProvisioned, TransportError
from convo.messages import Address, Outbound, Receipt, Unreadable, mask
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
from convo.transports.http import Answer, Door, NoAnswer
from convo.transports.oauth import ClientCredentials, Shelf, TokenSource
from convo.transports.telstra_v3_answers import (
    A_MINUTE,
    Entry,
    Verdict,
    VirtualNumber,
    describe,
    inbound_of,
    national,
    read_sent,
    refused,
    refuses_notices,
    verdict,
)
from convo.transports.telstra_v3_listing import Listing
from convo.transports.telstra_v3_numbers import Numbers
from convo.transports.telstra_v3_push import read_push
from convo.transports.telstra_v3_receipts import Receipts
from convo.transports.telstra_v3_settings import SCOPES, WHO, Settings

OVERLAP = timedelta(minutes=10)
"""How far a poll looks back behind the newest text of the one before; once in ``FULL_LOOK``."""
FULL_LOOK = timedelta(minutes=1)
SHORT_OVERLAP = timedelta(seconds=15)
"""How far back the polls in between look: on a busy number the whole overlap is many pages."""
BEGINNING = timedelta(minutes=5)
"""How far back a new store begins: what was said during a start is answered, an old text is not."""
PROVISION_EVERY = timedelta(minutes=10)
"""A number that Telstra denies is looked for again at most this often."""
HEADERS = {
    "Accept-Charset": "utf-8",
    "Content-Language": "en-au",
    "Content-Type": "application/json",
    "Telstra-api-version": "3.x",
}
"""What the description asks for with every call, with or without a body."""

_LISTED_LATE = timedelta(minutes=1)
_log = logging.getLogger(__name__)


def create(*, channel: str, clock: Clock, environ: Mapping[str, str]) -> TelstraV3:
    """Return the transport of ``channel`` with its settings from ``environ``; asks nothing of Telstra yet.

    Raises:
        ConfigError: settings are missing or wrong.
    """
    settings = Settings.from_environ(environ)
    if isinstance(settings.since, datetime) and settings.since > clock.now():
        raise ConfigError("TELSTRA_SINCE is still to come: nobody would be answered until then")
    return TelstraV3(settings, channel=channel, clock=clock)


class TelstraV3:
    """One virtual number at Telstra; threads may poll, send and take pushes at the same time."""

    name = "telstra_v3"
    reserved_words = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "QUIT", "END", "CANCEL"})
    signs_pushes = False
    push_methods = frozenset({"POST"})

    def __init__(self, settings: Settings, *, channel: str, clock: Clock, door: Door | None = None) -> None:
        self._settings = settings
        self._channel = channel
        self._clock = clock
        self._door = door or Door(clock, limit=8_000_000)
        who = ClientCredentials(settings.client_id, settings.client_secret, WHO)
        self._token = TokenSource(self._door, clock, settings.token_url, who, SCOPES)
        self.numbers = Numbers(self._ask, self._expect)
        self._incoming = Listing(self._ask_page, self._expect_page)
        self._outgoing = Listing(self._ask_page, self._expect_page)
        self._receipts = Receipts(channel)
        self._finding = threading.Lock()
        self._number: Address | None = None
        self._looked_at: datetime | None = None
        self._asked = False
        self._push_url: str | None = None
        self._notices = True
        self._seen: dict[str, datetime] = {}
        self._full_look_at: datetime | None = None

    def __repr__(self) -> str:
        return f"<TelstraV3 channel={self._channel!r}>"

    def start(self) -> None:
        """Find our number, or ask for one where the account has none; see where its replies go.

        Raises:
            ConfigError: TELSTRA_NUMBER is none of the account's, or is missing though there are several;
                replies are to be pushed to us and are pushed to somebody else.
            CredentialsError, TransportError: see Transport.
        """
        with self._finding:
            self._switch(self._find_number())

    def held_number(self) -> VirtualNumber | None:
        """Return our number as Telstra has it, None where the account has none at all; rents nothing.

        Raises:
            ConfigError: as for ``start``.
            CredentialsError, TransportError: see Transport.
        """
        wanted = self._settings.number
        if wanted is not None:
            held = self.numbers.get(wanted)
            if held is None:
                raise ConfigError(f"TELSTRA_NUMBER ({mask(wanted)}) is no virtual number of this account")
            return held
        found = self.numbers.all()
        if len(found) > 1:
            raise ConfigError(
                f"this account has {len(found)} virtual numbers: set TELSTRA_NUMBER to one of them; "
                "they are listed by: convo transport telstra_v3 number show"
            )
        return found[0] if found else None

    def _find_number(self) -> VirtualNumber:
        held = self.held_number()
        if held is None:
            held = self.numbers.create(self._push_url)
            _log.warning("the account had no virtual number; asked for one, and got %s", mask(held.number))
        self._number = held.number
        return held

    def _switch(self, held: VirtualNumber) -> None:
        """Have replies pushed where that was asked for; texts are listed all the same."""
        there, wanted = held.reply_url, self._push_url
        if not self._asked or there == wanted:
            return
        if there and wanted and urlsplit(there).netloc != urlsplit(wanted).netloc:
            raise ConfigError(
                f"Telstra pushes the replies of this number to {urlsplit(there).hostname}, which is not "
                "where this channel listens; if that is to end: convo transport telstra_v3 number poll"
            )
        self.numbers.change(held, wanted)
        host = urlsplit(wanted).hostname if wanted else None
        _log.warning(
            "%s: replies are %s from now on", self._channel, f"pushed to {host}" if host else "listed only"
        )

    def share_tokens(self, shelf: Shelf) -> None:
        """Keep the access token where other processes with this account look for it."""
        self._token.share(shelf)

    def push_to(self, url: str | None) -> None:
        """Have replies and receipts pushed to ``url`` as well, or listed only (None), from ``start`` on."""
        self._asked, self._push_url = True, url

    def poll(self, cursor: str | None) -> Batch:
        """List what came since the cursor and a little before, and now and then what became of our own.

        Raises:
            CredentialsError, TransportError: see Transport.
        """
        if self._number is None:
            self.start()
        number, now = self._own_number(), self._clock.now()
        first, mark, still_open = self._begin(cursor, now)
        self._receipts.resume(still_open)
        kept = max(first, mark - OVERLAP)
        full = self._full_look_at is None or not now - FULL_LOOK < self._full_look_at <= now
        since = kept if full or mark == first else max(first, mark - SHORT_OVERLAP)
        found = self._incoming.walk({"direction": "incoming"}, since, now, beginning=True)
        ours = [each for each in found.entries if _is_to(each, number)]
        new = [each for each in ours if _name(each) not in self._seen]
        # A text without words (a picture) cannot be answered by a flow; it is kept for a person to see.
        odd = [each.raw for each in new if each.text is None]
        odd += [raw for raw in found.odd if raw not in self._seen]
        receipts = self._look_after_sent(number, now)
        if full:
            self._full_look_at = now
        self._seen = {name: at for name, at in self._seen.items() if at >= kept}
        self._seen.update({_name(each): each.at for each in new} | dict.fromkeys(odd, now))
        newest = max([mark, *(min(each.at, now) for each in ours)])
        return Batch(
            messages=tuple(
                inbound_of(each, self._channel, number, now) for each in new if each.text is not None
            ),
            cursor=_cursor(first, newest, self._receipts.since),
            unreadable=tuple(Unreadable(raw, "an entry of the listing holds no text", now) for raw in odd),
            receipts=receipts,
        )

    def _begin(self, cursor: str | None, now: datetime) -> tuple[datetime, datetime, datetime | None]:
        """Return from when on texts count, the newest that was seen, and since when one of ours is open."""
        wanted = self._settings.since
        beginning = now - wanted if isinstance(wanted, timedelta) else wanted
        held = _read_cursor(cursor)
        if held is None:
            beginning = beginning or now - BEGINNING
            return beginning, beginning, None
        first, mark, still_open = held
        if beginning is not None and beginning < first:  # widened later on: go back there, once
            return beginning, beginning, still_open
        return first, mark, still_open

    def _look_after_sent(self, number: Address, now: datetime) -> tuple[Receipt, ...]:
        since = self._receipts.due(now)
        if since is None:
            return ()

        def listed() -> tuple[Entry, ...]:
            found = self._outgoing.walk({"direction": "outgoing"}, since, now)
            return tuple(each for each in found.entries if _is_from(each, number))

        try:
            return self._receipts.look(listed, now)
        except TransportError as problem:
            self._receipts.failed(now, problem.retry_after)
            _log.warning("%s: no receipts this time: %s", self._channel, problem)
        except CredentialsError as problem:
            self._receipts.failed(now, None)
            _log.warning("%s: no receipts: %s", self._channel, problem)
        return ()

    def send(self, outbound: Outbound) -> SendResult:
        """Hand one outbound over, from our number, with a tag by which it can be found again."""
        try:
            if self._number is None:
                self.start()
            answer = self._send(outbound)
            if isinstance(answer, Answer) and refuses_notices(answer) and self._notices:
                self._notices = False
                _log.warning("%s: Telstra tells no delivery on this plan; it is asked no more", self._channel)
                answer = self._send(outbound)
            if isinstance(answer, Answer) and verdict(answer) is Verdict.NO_NUMBER and self._look_again():
                answer = self._send(outbound)
        except ConfigError as problem:
            return BadCredentials(str(problem))
        except TransportError as problem:  # of the token or the number: before the text could leave
            return RetryLater(str(problem), problem.retry_after)
        if isinstance(answer, NoAnswer):
            if not answer.may_have_arrived:
                return RetryLater(answer.reason)
            self._receipts.sent(self._clock.now())
            return Unknown(answer.reason)
        if answer.status == 201:
            self._looked_at = None
            self._receipts.sent(self._clock.now())
            return read_sent(answer)
        result = refused(answer, self._clock.now())
        if result is not None:
            return result
        if verdict(answer) is Verdict.NO_NUMBER:
            return RetryLater(f"{describe(answer)}: it cannot go out from our number", A_MINUTE)
        return BadCredentials(f"{describe(answer)}; check {WHO}")

    def _send(self, outbound: Outbound) -> Answer | NoAnswer:
        body: dict[str, object] = {
            "to": national(outbound.recipient),
            "from": national(self._own_number()),
            "messageContent": outbound.text,
            "tags": [tag_of(outbound)],
        }
        if self._push_url is not None and self._notices:
            body |= {"deliveryNotification": True, "statusCallbackUrl": self._push_url}
        return self._ask("POST", "/messages", body)

    def _look_again(self) -> bool:
        """Look for our number once after Telstra denied it, and rent one where there is none."""
        with self._finding:
            now = self._clock.now()
            if self._looked_at is not None and now - self._looked_at < PROVISION_EVERY:
                return False
            self._looked_at = now
            self._switch(self._find_number())
            return True

    def find_sent(
        self, outbound: Outbound, since: datetime, known: Container[str] = frozenset()
    ) -> Sent | None:
        """Look for an outbound by its tag; see ``Reconciling``.

        Raises:
            ConfigError, CredentialsError, TransportError: see Transport; nothing is known then.
        """
        if self._number is None:
            self.start()
        number, tag = self._own_number(), tag_of(outbound)
        asked = {"direction": "outgoing", "filter": tag}
        found = self._outgoing.walk(asked, since - _LISTED_LATE, self._clock.now())
        for each in found.entries:
            # A new store counts from 1 again, so the tag alone could be that of an older one.
            same = each.recipient == outbound.recipient and each.text in (None, outbound.text)
            tagged = each.tags is None or tag in each.tags
            if tagged and same and _is_from(each, number) and each.message_id not in known:
                return Sent(each.message_id)
        return None

    def received(self, request: PushRequest) -> PushResult:
        """Read what Telstra called our replyCallbackUrl with."""
        return read_push(request, self._channel, self._number, self._clock.now())

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()

    def _own_number(self) -> Address:
        if self._number is None:
            raise TransportError("our number is not known yet")
        return self._number

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer | NoAnswer:
        """Ask with a token, and once more with a new one where Telstra does not take it (401)."""
        url = self._settings.base_url + path
        token = self._token.get()
        answer = self._door.exchange(method, url, bearer=token, json_body=body, headers=HEADERS)
        if isinstance(answer, Answer) and answer.status == 401:
            token = self._token.get(refused=token)
            answer = self._door.exchange(method, url, bearer=token, json_body=body, headers=HEADERS)
        return answer

    def _expect(self, answer: Answer | NoAnswer, status: int, failed: str) -> Answer:
        if isinstance(answer, NoAnswer):
            raise TransportError(f"{failed}: {answer.reason}")
        if answer.status != status:
            raise self._trouble(failed, answer)
        return answer

    def _ask_page(self, path: str) -> Answer:
        answer = self._ask("GET", path)
        if isinstance(answer, NoAnswer):
            raise TransportError(f"the messages cannot be listed: {answer.reason}")
        return answer

    def _expect_page(self, answer: Answer) -> Answer:
        try:
            return self._expect(answer, 200, "the messages cannot be listed")
        except TransportError as problem:
            # A poll is never final: what refuses it today (a filter, a proxy) may be gone tomorrow.
            raise TransportError(str(problem), retry_after=problem.retry_after) from None

    def _trouble(self, failed: str, answer: Answer) -> ConvoError:
        message, kind = f"{failed}: {describe(answer)}", verdict(answer)
        if kind is Verdict.CREDENTIALS:
            return CredentialsError(f"{message}; check {WHO}")
        wait = answer.retry_after(self._clock.now())
        if kind is Verdict.NO_NUMBER:
            return NotProvisioned(message, retry_after=wait)
        if kind is Verdict.ACCOUNT:
            return TransportError(
                f"{message}: see to the account or its plan at dev.telstra.com", retry_after=wait or A_MINUTE
            )
        return TransportError(message, retry_after=wait, final=kind is Verdict.GIVE_UP)


def tag_of(outbound: Outbound) -> str:
    """Return the tag by which Telstra knows an outbound of ours."""
    return f"convo-{outbound.id}"


def _name(entry: Entry) -> str:
    return entry.message_id or entry.raw


def _is_to(entry: Entry, number: Address) -> bool:
    return entry.direction in ("incoming", "") and entry.recipient in (number, "")


def _is_from(entry: Entry, number: Address) -> bool:
    return entry.direction in ("outgoing", "") and entry.sender == number


def _cursor(first: datetime, mark: datetime, still_open: datetime | None) -> str:
    stamps = {"first": first, "mark": mark} | ({"open": still_open} if still_open is not None else {})
    return json.dumps({name: stamp.isoformat() for name, stamp in stamps.items()})


def _read_cursor(cursor: str | None) -> tuple[datetime, datetime, datetime | None] | None:
    try:
        said = json.loads(cursor or "")
        first, mark = datetime.fromisoformat(said["first"]), datetime.fromisoformat(said["mark"])
        still_open = datetime.fromisoformat(said["open"]) if "open" in said else None
    except (ValueError, TypeError, KeyError):
        return None
    return first, mark, still_open
