"""The loop that hands outbound texts over to a provider and writes down what it said."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import cast

from convo.clock import Clock
from convo.engine.conversation import Consent, ConsentKind
from convo.errors import CredentialsError, TransportError
from convo.messages import Outbound, Status, mask
from convo.runtime.log import origin, seconds
from convo.runtime.policy import (
    LONGEST_SEND_WAIT,
    REPLY_LIFETIME,
    SEND_TRIES,
    Limits,
    Unknowns,
    allows,
    backoff,
)
from convo.sms import cheaper, cost
from convo.store.base import Expired, LastLook, OutboxRow, Settlement, Store
from convo.transports.base import (
    BadCredentials,
    GiveUp,
    OptedOut,
    Reconciling,
    RetryLater,
    SendResult,
    Sent,
    Transport,
    Unknown,
)

_log = logging.getLogger(__name__)
_AGAIN = timedelta(seconds=1)
_TOLD = 10_000

FAILING_TOGETHER = 3
"""So many recipients to whom nothing left, and nobody to whom anything did: it is the provider."""

LISTED_AFTER = timedelta(minutes=1)
"""So long after it was handed over an outbound can be expected in the provider's listing."""
ASK_AGAIN = timedelta(minutes=5)
RESENDS = 3
"""So often an outbound is handed over at most where nobody ever knows whether it left."""
RECONCILED = 20
"""So many unknown rows are asked about at a time."""


class Deliverer:
    """Delivers the outbox of one channel, one outbound at a time.

    One at a time, because what is marked ``sending`` when the process dies becomes ``unknown`` and is
    held: so a kill leaves at most one. ``clock`` tells when a retry is due after a slow send; without
    it the ``now`` of the call counts. ``plain`` writes typographic characters in the plain alphabet of
    SMS where that saves segments.
    """

    def __init__(
        self,
        store: Store,
        transport: Transport,
        channel: str,
        clock: Clock | None = None,
        *,
        random: Random | None = None,
        tries: int = SEND_TRIES,
        lifetime: timedelta = REPLY_LIFETIME,
        limits: Limits | None = None,
        unknowns: Unknowns = Unknowns.HOLD,
        ask_after: timedelta = LISTED_AFTER,
        plain: bool = False,
    ) -> None:
        self._store = store
        self._transport = transport
        self._channel = channel
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._limits = limits or Limits(tries=tries, lifetime=lifetime)
        self._told: set[tuple[str, str]] = set()
        self._unknowns = unknowns
        self._ask_after = ask_after
        self._plain = plain
        self._ask_again_at: datetime | None = None
        self.handed_over = False
        """Whether the last call handed something over, for the pace."""
        self._going_on = False
        self._unsettled: Settlement | None = None
        self._refused: str | None = None
        self._failing: set[str] = set()
        self._failures = 0
        self._rests_until: datetime | None = None
        self._rest_for = timedelta(0)

    def once(self, now: datetime) -> datetime | None:
        """Hand over the next outbound; return when to call again, None where the outbox is empty.

        Raises:
            CredentialsError: the provider refuses who we are; the outbound waits on.
            StoreError: what the provider said could not be written; the next call tries that again.
        """
        self.settle(now)
        self._reconcile(now)
        if self._rests_until is not None:
            # A clock that was set back must not make a rest longer than it was meant to be.
            self._rests_until = min(self._rests_until, now + self._rest_for)
            if now < self._rests_until:
                return self._rests_until
        blocked: list[str] = []

        def last_look(look: LastLook) -> str | None:
            reason = allows(look, now, self._limits)
            if reason is not None:
                blocked.append(reason)
                self._tell(look, reason)
            return reason

        # What is unknown is settled soon where the provider can be asked: until then nothing overtakes it.
        overtakes = not hasattr(self._transport, "find_sent")
        rows = self._store.mark_sending(self._channel, now, 1, last_look, after_unknown=overtakes)
        result: SendResult | None = None
        for row in rows:
            result = self._send(row)
            then = self._clock.now() if self._clock is not None else now
            self._unsettled = self._judge(row, result, then)
            self._rest(row, result, then)
            self.settle(then)
        self.handed_over = bool(rows)
        one_of_many, self._going_on = self._going_on, bool(rows)
        if blocked or (rows and (one_of_many or not isinstance(result, Sent))):
            return now
        next_at = self._store.next_outbound(self._channel)
        if rows and next_at is not None:
            return now
        self._going_on = False
        # A row whose time has come and that was not chosen waits behind an earlier one.
        times = [max(next_at, now + _AGAIN)] if next_at is not None else []
        times += [self._ask_again_at] if self._ask_again_at is not None else []
        return min(times, default=None)

    def _tell(self, look: LastLook, reason: str) -> None:
        """Say once for each number, or for the channel, why something does not leave."""
        who = look.row.outbound.recipient
        word = "expired" if isinstance(reason, Expired) else "blocked"
        about = "" if word == "expired" or "channel" in reason else who
        first = (reason, about) not in self._told
        if len(self._told) >= _TOLD:
            self._told.clear()
        self._told.add((reason, about))
        level = logging.WARNING if first else logging.DEBUG
        more = "; more of the same is counted by 'convo status'" if first else ""
        _log.log(level, "%s: an outbound to %s: %s%s", word, mask(who), reason, more)

    def settle(self, now: datetime) -> None:
        """Write down what the provider said last, where that could not be done at once.

        Raises:
            CredentialsError, StoreError: as ``once``.
        """
        if self._unsettled is not None:
            self._store.settle([self._unsettled], now)
            self._unsettled = None
        if self._refused is not None:
            refused, self._refused = self._refused, None
            raise CredentialsError(refused)

    def _reconcile(self, now: datetime) -> None:
        """Find out about rows of which nobody knows whether they left, where the provider can be asked."""
        asking = hasattr(self._transport, "find_sent")
        if self._ask_again_at is not None:
            self._ask_again_at = min(self._ask_again_at, now + max(ASK_AGAIN, self._ask_after))
            if now < self._ask_again_at:
                return
        if not asking and self._unknowns is Unknowns.HOLD:
            return
        self._ask_again_at = None
        rows = self._store.unknown(self._channel, now - self._ask_after, RECONCILED)
        for row in rows:
            found = self._asked(row) if asking else None
            if isinstance(found, TransportError):
                _log.warning("%s cannot say what it was given: %s", self._channel, found)
                self._ask_again_at = now + ASK_AGAIN
                return
            self._store.settle([self._known(row, found, now)], now)
        if len(rows) == RECONCILED:
            self._ask_again_at = now
        elif self._store.unknown(self._channel, now, 1):
            self._ask_again_at = now + self._ask_after

    def _asked(self, row: OutboxRow) -> Sent | TransportError | None:
        transport = cast(Reconciling, self._transport)
        since = (row.next_at or row.created_at) - timedelta(minutes=5)
        known = self._store.provider_ids(self._channel, row.outbound.recipient)
        try:
            return transport.find_sent(self._as_sent(row), since, known)
        except CredentialsError:
            raise
        except TransportError as problem:
            return problem
        except Exception as problem:
            _log.debug("find_sent raised", exc_info=True)
            return TransportError(f"the transport raised {origin(problem)}")

    def _known(self, row: OutboxRow, found: Sent | None, now: datetime) -> Settlement:
        number, who = row.outbound.id, mask(row.outbound.recipient)
        if found is not None:
            _log.info("settled: an outbound to %s had left after all", who)
            segments = found.segments or cost(self._as_sent(row).text).segments
            return Settlement(number, Status.SENT, found.provider_id, segments=segments)
        reason = "it had not left: the provider does not know it"
        if not hasattr(self._transport, "find_sent"):
            if row.attempts >= RESENDS:
                _log.error(
                    "failed: an outbound to %s; %s times nobody knew whether it left", who, row.attempts
                )
                reason = f"handed over {row.attempts} times, and never known whether it left"
                return Settlement(number, Status.FAILED, reason=reason)
            reason = "sent again: nobody knew whether it had left"
        _log.info("queued again: an outbound to %s", who)
        return Settlement(number, Status.QUEUED, reason=reason, retry_at=now)

    def _as_sent(self, row: OutboxRow) -> Outbound:
        """Return the outbound as it is handed over."""
        text = row.outbound.text
        plain = cheaper(text) if self._plain else text
        return row.outbound if plain == text else replace(row.outbound, text=plain)

    def _send(self, row: OutboxRow) -> SendResult:
        try:
            return self._transport.send(self._as_sent(row))
        except Exception as problem:
            # It may have left before the transport broke its word.
            _log.debug("the send raised", exc_info=True)
            return Unknown(f"the transport raised {origin(problem)}")

    def _rest(self, row: OutboxRow, result: SendResult, now: datetime) -> None:
        """Rest the whole channel when nothing leaves to anybody: the provider is away, or wants less.

        A single recipient whose outbound is tried again holds up nobody else.
        """
        if not isinstance(result, RetryLater):
            self._failing.clear()
            self._failures, self._rests_until = 0, None
            return
        self._failing.add(row.outbound.recipient)
        if len(self._failing) >= FAILING_TOGETHER:
            self._failures += 1
            self._rest_for = backoff(self._failures, self._random, at_least=result.after)
            self._rests_until = now + self._rest_for

    def _judge(self, row: OutboxRow, result: SendResult, now: datetime) -> Settlement:
        judged = self._judged(row, result, now)
        # A question that never left counts as asked too: the silence after it has to end some time.
        asked = row.outbound.asks > 0 and judged.status is not Status.QUEUED
        return replace(judged, asked=True) if asked else judged

    def _judged(self, row: OutboxRow, result: SendResult, now: datetime) -> Settlement:
        number, who = row.outbound.id, mask(row.outbound.recipient)
        match result:
            case Sent(provider_id, segments):
                _log.info("sent to %s (%s)", who, row.outbound.kind)
                counted = (
                    segments or (not self._plain and row.segments) or cost(self._as_sent(row).text).segments
                )
                return Settlement(number, Status.SENT, provider_id, segments=counted)
            case RetryLater(reason, after):
                if row.attempts >= self._limits.tries:
                    _log.error("failed: an outbound to %s, after %s tries: %s", who, row.attempts, reason)
                    return Settlement(number, Status.FAILED, reason=f"after {row.attempts} tries: {reason}")
                wait = backoff(row.attempts, self._random, longest=LONGEST_SEND_WAIT, at_least=after)
                _log.warning(
                    "retry: an outbound to %s did not leave: %s; next try in %s", who, reason, seconds(wait)
                )
                return Settlement(number, Status.QUEUED, reason=reason, retry_at=now + wait)
            case GiveUp(reason):
                _log.error("failed: an outbound to %s: %s", who, reason)
                return Settlement(number, Status.FAILED, reason=reason)
            case Unknown(reason):
                then = "held"
                if hasattr(self._transport, "find_sent"):
                    then = f"asked about in {seconds(self._ask_after)}"
                elif self._unknowns is Unknowns.RESEND:
                    then = f"sent again in {seconds(self._ask_after)}"
                _log.error("unknown: an outbound to %s may have left and is %s: %s", who, then, reason)
                return Settlement(number, Status.UNKNOWN, reason=reason)
            case OptedOut(reason):
                _log.warning("blocked: %s has opted out with the carrier: %s", who, reason)
                to = row.outbound.recipient
                consent = Consent(self._channel, to, ConsentKind.OPT_OUT, now, reason, "carrier")
                return Settlement(number, Status.BLOCKED, reason=reason, consent=consent)
            case BadCredentials(reason):
                self._refused = reason
                return Settlement(number, Status.QUEUED, reason=reason, retry_at=now)
