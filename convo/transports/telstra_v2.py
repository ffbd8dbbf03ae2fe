"""Telstra's Messaging API v2: one number, polled one message a call until it says EMPTY.

Settings come from the environment: TELSTRA_CLIENT_ID and TELSTRA_CLIENT_SECRET must be there;
TELSTRA_BASE_URL, TELSTRA_TOKEN_URL and TELSTRA_NUMBER where the defaults do not do.

Reading is destructive and has no acknowledgement: an answer lost on the way is lost for good, so each
poll asks once, and whoever polls must store the batch before asking again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final
from urllib.parse import quote, urlsplit

from convo.clock import Clock
from convo.errors import ConfigError, CredentialsError, NotProvisioned, TransportError
from convo.messages import Address, Outbound, Receipt, Unreadable, mask, to_address
from convo.transports.base import (
    BadCredentials,
    Batch,
    GiveUp,
    PushRequest,
    PushResult,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)
from convo.transports.http import Answer, Door, NoAnswer, check_url
from convo.transports.oauth import ClientCredentials, Shelf, TokenSource
from convo.transports.telstra_v2_answers import (
    A_MINUTE,
    Subscription,
    Verdict,
    code_of,
    describe,
    read_polled,
    read_sent,
    read_subscription,
    refused,
    verdict,
)
from convo.transports.telstra_v2_push import Switch, read_push
from convo.transports.telstra_v2_receipts import Statuses
from convo.transports.url import check_push_url

BASE_URL = "https://tapi.telstra.com/v2"
ACTIVE_DAYS = 30
"""Days asked for at a time: what a free trial gets anyway."""
LOW_DAYS = 7
"""With more days left than this no more are asked for: every restart would add (and bill) some."""
PROVISION_EVERY = timedelta(minutes=10)
"""A number lost in the middle is asked for again at most this often."""
WHO = "TELSTRA_CLIENT_ID and TELSTRA_CLIENT_SECRET"

_SMS = "/messages/sms"
_POLL_FAILED = "the poll failed"
_SUBSCRIPTIONS = "/messages/provisioning/subscriptions"
_log = logging.getLogger(__name__)


class Keep(Enum):
    """The type of KEEP."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP
"""Leave ``notifyURL`` as it was: the key is not sent at all."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one channel, checked. ``number`` is ours in E.164, None: Telstra will say."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    base_url: str = BASE_URL
    token_url: str = BASE_URL + "/oauth/token"
    number: Address | None = field(default=None, repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the TELSTRA_ variables.

        Raises:
            ConfigError: some are missing (all of them are named) or make no sense.
        """

        def value(name: str) -> str:
            return environ.get(name, "").strip()

        missing = [name for name in ("TELSTRA_CLIENT_ID", "TELSTRA_CLIENT_SECRET") if not value(name)]
        if missing:
            raise ConfigError(
                f"telstra_v2 needs the environment variable{'s' if missing[1:] else ''} "
                f"{' and '.join(missing)}: the keys of your app at dev.telstra.com"
            )
        base = check_url("TELSTRA_BASE_URL", value("TELSTRA_BASE_URL") or BASE_URL)
        token = check_url("TELSTRA_TOKEN_URL", value("TELSTRA_TOKEN_URL") or base + "/oauth/token")
        number = None
        if value("TELSTRA_NUMBER"):
            try:
                number = to_address(value("TELSTRA_NUMBER"))
            except ValueError as problem:
                raise ConfigError(f"TELSTRA_NUMBER: {problem}") from None
        return cls(value("TELSTRA_CLIENT_ID"), value("TELSTRA_CLIENT_SECRET"), base, token, number)


def create(*, channel: str, clock: Clock, environ: Mapping[str, str]) -> TelstraV2:
    """Return the transport of ``channel`` with its settings from ``environ``; asks nothing of Telstra yet.

    Raises:
        ConfigError: settings are missing or wrong.
    """
    return TelstraV2(Settings.from_environ(environ), channel=channel, clock=clock)


class TelstraV2:
    """One number at Telstra, by its API v2; threads may poll and send at the same time."""

    name = "telstra_v2"
    # Nothing about carrier keywords was found for v2 (for v3 there are six).
    reserved_words: frozenset[str] = frozenset()
    signs_pushes = False
    push_methods = frozenset({"POST"})

    def __init__(self, settings: Settings, *, channel: str, clock: Clock, door: Door | None = None) -> None:
        self._settings = settings
        self._channel = channel
        self._clock = clock
        self._door = door or Door(clock)
        who = ClientCredentials(settings.client_id, settings.client_secret, WHO)
        self._token = TokenSource(self._door, clock, settings.token_url, who, "NSMS")
        self._switch = Switch(self.set_subscription)
        self._statuses = Statuses(channel)
        self._number = settings.number
        self._provisioning = threading.Lock()
        self._provisioned_at: datetime | None = None

    def __repr__(self) -> str:
        return f"<TelstraV2 channel={self._channel!r}>"

    def start(self) -> None:
        """Create the subscription, or extend one that runs low; its notifyURL changes only by ``push_to``.

        Raises:
            ConfigError: replies are pushed elsewhere, or TELSTRA_NUMBER is not the account's number.
            CredentialsError, TransportError: see Transport.
        """
        held = self.subscription()
        self._switch.begin(held)
        if held is None or held.active_days is None or held.active_days <= LOW_DAYS:
            held = self._extend(held)
        wanted = self._settings.number
        if wanted is not None and held.number != wanted:
            raise ConfigError(
                f"TELSTRA_NUMBER is {mask(wanted)}, but the number of this account is {mask(held.number)}"
            )
        self._number = held.number

    def poll(self, cursor: str | None) -> Batch:
        """Ask once for the oldest text; ``more`` until Telstra says EMPTY. There is no cursor.

        With pushes it drains what waits, switches, drains again, and from then on looks after the switch.

        Raises:
            NotProvisioned: we have no number, though one was asked for.
            CredentialsError, TransportError: see Transport.
        """
        if self._switch.drained:
            self._switch.check(self.subscription())
            return Batch(cursor=cursor)
        answer = self._ask("GET", _SMS)
        if isinstance(answer, NoAnswer):
            raise TransportError(f"{_POLL_FAILED}: {answer.reason}")
        if answer.status != 200:
            return self._poll_refused(answer, cursor)
        self._provisioned_at = None
        found = read_polled(answer, self._channel, self._number, self._clock.now())
        if found is None:
            more = self._switch.after_empty_poll()
            return Batch(cursor=cursor, more=more, receipts=() if more else self._look_after_sent())
        if isinstance(found, Unreadable):
            # Not `more`: an address that talks nonsense must not be asked as fast as it can answer.
            return Batch(cursor=cursor, unreadable=(found,))
        return Batch(messages=(found,), cursor=cursor, more=True)

    def _look_after_sent(self) -> tuple[Receipt, ...]:
        """Ask what became of one message, if it is time and receipts are not pushed."""
        now = self._clock.now()
        message_id = None if self._switch.url is not None else self._statuses.due(now)
        if message_id is None:
            return ()
        try:
            answer = self._ask("GET", f"{_SMS}/{quote(message_id, safe='')}/status")
        except (CredentialsError, TransportError) as problem:
            answer = NoAnswer(str(problem), may_have_arrived=False)
        if isinstance(answer, Answer) and answer.status == 200:
            return self._statuses.told(message_id, answer, now)
        if isinstance(answer, Answer) and code_of(answer) == "OLD-NONEXISTANT-MESSAGE-ID":
            self._statuses.gone(message_id)
            return ()
        self._statuses.rest(now, answer.retry_after(now) if isinstance(answer, Answer) else None)
        reason = describe(answer) if isinstance(answer, Answer) else answer.reason
        _log.warning("%s: no receipts this time: %s", self._channel, reason)
        return ()

    def _poll_refused(self, answer: Answer, cursor: str | None) -> Batch:
        nothing_known = answer.status == 400 and not code_of(answer) and "suspicious" not in describe(answer)
        lost = verdict(answer) in (Verdict.NO_NUMBER, Verdict.NO_NUMBER_OR_RECIPIENT) or nothing_known
        if not lost:
            raise self._trouble(_POLL_FAILED, answer)
        if not self._provision():
            raise NotProvisioned(
                f"{describe(answer)}: this account has no number, though one was asked for; "
                "look at it with: convo transport telstra_v2 subscription show",
                retry_after=A_MINUTE,
            )
        return Batch(cursor=cursor, more=True)

    def send(self, outbound: Outbound) -> SendResult:
        """Hand one outbound over, from the number of the subscription."""
        try:
            answer = self._send(outbound)
            if isinstance(answer, Answer) and self._lacks_number(answer) and self._provision(answer):
                answer = self._send(outbound)
        except CredentialsError as problem:
            return BadCredentials(str(problem))
        except TransportError as problem:  # of the token or the subscription: before the text could leave
            return RetryLater(str(problem), problem.retry_after)
        if isinstance(answer, NoAnswer):
            return Unknown(answer.reason) if answer.may_have_arrived else RetryLater(answer.reason)
        if answer.status == 201:
            self._provisioned_at = None
            result = read_sent(answer)
            if isinstance(result, Sent):
                self._statuses.sent(result.provider_id, self._clock.now())
            return result
        no = refused(answer, self._clock.now())
        if no is not None:
            return no
        match verdict(answer):
            case Verdict.NO_NUMBER:
                return RetryLater(f"{describe(answer)}: this account has no number", A_MINUTE)
            case Verdict.NO_NUMBER_OR_RECIPIENT:
                return GiveUp(f"{describe(answer)}: the number it goes to cannot be reached from ours")
            case _:
                return BadCredentials(f"{describe(answer)}; check {WHO}")

    def _send(self, outbound: Outbound) -> Answer | NoAnswer:
        body = {"to": outbound.recipient, "body": outbound.text}
        if self._switch.url is not None:
            body["notifyURL"] = self._switch.url  # of its receipts; replies go where the subscription says
        return self._ask("POST", _SMS, body)

    def share_tokens(self, shelf: Shelf) -> None:
        """Keep the access token where other processes with this account look for it."""
        self._token.share(shelf)

    def push_to(self, url: str | None) -> None:
        """Have replies and receipts pushed to ``url``, or wait to be polled (None), from ``start`` on.

        Raises:
            ConfigError: ``url`` is no address.
        """
        self._switch.to(_push_address(url))

    def received(self, request: PushRequest) -> PushResult:
        """Read what Telstra called our notifyURL with."""
        return read_push(request, self._channel, self._number, self._clock.now())

    def subscription(self) -> Subscription | None:
        """Return the number we rent and where its replies go, None where there is none.

        Raises:
            CredentialsError, TransportError: see Transport.
        """
        answer = self._ask("GET", _SUBSCRIPTIONS)
        if isinstance(answer, Answer) and answer.status in (400, 404):
            return None
        held = read_subscription(self._expect(answer, 200, "the subscription cannot be read"))
        if held is None:
            raise TransportError("the subscription cannot be read: Telstra's answer names no number")
        return held

    def set_subscription(
        self, notify_url: str | Keep | None = KEEP, active_days: int | None = None
    ) -> Subscription:
        """Create, extend or redirect the subscription and return what Telstra says of it.

        ``notify_url`` None: replies wait to be polled; text: they are pushed there; KEEP: as it was.

        Raises:
            ConfigError: ``notify_url`` is no address or ``active_days`` no positive number.
            CredentialsError, TransportError: see Transport.
        """
        body: dict[str, object] = {}
        if active_days is not None:
            if not 1 <= active_days <= 1825:
                raise ConfigError("the days of a subscription are 1 to 1825")
            body["activeDays"] = active_days
        if not isinstance(notify_url, Keep):
            body["notifyURL"] = _push_address(notify_url)
        answer = self._ask("POST", _SUBSCRIPTIONS, body)
        failed = "the subscription was not changed"
        held = read_subscription(self._expect(answer, 201, failed))
        if held is None:
            raise TransportError(f"{failed}: Telstra's answer names no number")
        self._number = held.number
        return held

    def delete_subscription(self) -> None:
        """Give the number back.

        Raises:
            CredentialsError, TransportError: see Transport; a free trial may not.
        """
        answer = self._ask("DELETE", _SUBSCRIPTIONS, {"emptyArr": 0})
        self._expect(answer, 204, "the subscription was not deleted")

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()

    def _extend(self, held: Subscription | None) -> Subscription:
        try:
            return self.set_subscription(active_days=ACTIVE_DAYS)
        except NotProvisioned as problem:
            raise TransportError(
                f"{problem}; a free trial has one number, which another app of yours may hold", final=True
            ) from None
        except TransportError:
            # Refused more days (the ceiling, or another rule of the plan) while some are left: go on.
            if held is None or held.active_days == 0:
                raise
            _log.warning("Telstra did not extend the subscription; it goes on with the days it has")
            return held

    def _lacks_number(self, answer: Answer) -> bool:
        return verdict(answer) in (Verdict.NO_NUMBER, Verdict.NO_NUMBER_OR_RECIPIENT)

    def _provision(self, refusal: Answer | None = None) -> bool:
        """Ask for our number once after Telstra denied it; False: that was done, or cannot be the reason."""
        with self._provisioning:
            now = self._clock.now()
            if self._provisioned_at is not None and now - self._provisioned_at < PROVISION_EVERY:
                return False
            if refusal is not None and verdict(refusal) is Verdict.NO_NUMBER_OR_RECIPIENT:
                held = self.subscription()
                if held is not None and held.active_days != 0:
                    return False
            # A number given anew is set to polling, whatever the one before it was set to.
            self.set_subscription(self._switch.url or KEEP, ACTIVE_DAYS)
            self._provisioned_at = now
            _log.warning(
                "Telstra knew no number of ours; asked for it again, and got %s", mask(self._number or "")
            )
            return True

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer | NoAnswer:
        """Ask with a token, and once more with a new one where Telstra does not take it (401)."""
        url = self._settings.base_url + path
        token = self._token.get()
        answer = self._door.exchange(method, url, bearer=token, json_body=body)
        if isinstance(answer, Answer) and answer.status == 401:
            token = self._token.get(refused=token)
            answer = self._door.exchange(method, url, bearer=token, json_body=body)
        return answer

    def _expect(self, answer: Answer | NoAnswer, status: int, failed: str) -> Answer:
        if isinstance(answer, NoAnswer):
            raise TransportError(f"{failed}: {answer.reason}")
        if answer.status != status:
            raise self._trouble(failed, answer)
        return answer

    def _trouble(self, failed: str, answer: Answer) -> TransportError | CredentialsError:
        message = f"{failed}: {describe(answer)}"
        match verdict(answer):
            case Verdict.CREDENTIALS:
                return CredentialsError(f"{message}; check {WHO}")
            case Verdict.NO_NUMBER | Verdict.NO_NUMBER_OR_RECIPIENT:
                return NotProvisioned(message)
            case kind:
                wait = answer.retry_after(self._clock.now())
                # A poll is never final: what refuses it today (a filter, a proxy) may be gone tomorrow.
                final = kind is Verdict.GIVE_UP and failed != _POLL_FAILED
                return TransportError(message, retry_after=wait, final=final)


def _push_address(url: str | None) -> str | None:
    """Return ``url`` as Telstra wants it: absolute, a bare domain with its slash."""
    if url is None:
        return None
    parts = urlsplit(check_push_url(url))
    return parts.geturl() if parts.path else parts._replace(path="/").geturl()
