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
from convo.messages import Status, mask
from convo.runtime.log import origin, seconds
from convo.runtime.policy import (
    LONGEST_SEND_WAIT,
    REPLY_LIFETIME,
    SEND_TRIES,
    Unknowns,
    allows,
    backoff,
)
from convo.sms import cost
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

LISTED_AFTER = timedelta(minutes=1)
"""So long after it was handed over an outbound can be expected in the provider's listing."""
ASK_AGAIN = timedelta(minutes=5)
RECONCILED = 20
"""So many unknown rows are asked about at a time."""


class Deliverer:
    """Delivers the outbox of one channel, one outbound at a time.

    One at a time, because what is marked ``sending`` when the process dies becomes ``unknown`` and is
    held: so a kill leaves at most one. ``clock`` tells when a retry is due after a slow send; without
    it the ``now`` of the call counts.
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
        unknowns: Unknowns = Unknowns.HOLD,
        ask_after: timedelta = LISTED_AFTER,
    ) -> None:
        self._store = store
        self._transport = transport
        self._channel = channel
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._tries = tries
        self._lifetime = lifetime
        self._unknowns = unknowns
        self._ask_after = ask_after
        self._ask_again_at: datetime | None = None
        self._unsettled: Settlement | None = None
        self._refused: str | None = None

    def once(self, now: datetime) -> datetime | None:
        """Hand over the next outbound; return when to call again, None where the outbox is empty.

        Raises:
            CredentialsError: the provider refuses who we are; the outbound waits on.
            StoreError: what the provider said could not be written; the next call tries that again.
        """
        self._settle(now)
        self._reconcile(now)
        blocked: list[str] = []

        def last_look(look: LastLook) -> str | None:
            reason = allows(look, now, self._lifetime)
            if reason is not None:
                blocked.append(reason)
                word = "expired" if isinstance(reason, Expired) else "blocked"
                _log.info("%s: an outbound to %s: %s", word, mask(look.row.outbound.recipient), reason)
            return reason

        rows = self._store.mark_sending(self._channel, now, 1, last_look)
        for row in rows:
            result = self._send(row)
            then = self._clock.now() if self._clock is not None else now
            self._unsettled = self._judge(row, result, then)
            self._settle(then)
        if rows or blocked:
            return now
        next_at = self._store.next_outbound(self._channel)
        # A row whose time has come and that was not chosen waits behind an earlier one.
        times = [max(next_at, now + _AGAIN)] if next_at is not None else []
        times += [self._ask_again_at] if self._ask_again_at is not None else []
        return min(times, default=None)

    def _settle(self, now: datetime) -> None:
        if self._unsettled is not None:
            self._store.settle([self._unsettled], now)
            self._unsettled = None
        if self._refused is not None:
            refused, self._refused = self._refused, None
            raise CredentialsError(refused)

    def _reconcile(self, now: datetime) -> None:
        """Find out about rows of which nobody knows whether they left, where the provider can be asked."""
        asking = hasattr(self._transport, "find_sent")
        if self._ask_again_at is not None and now < self._ask_again_at:
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
        known = {each.provider_id for each in self._store.outbox(self._channel) if each.provider_id}
        try:
            return transport.find_sent(row.outbound, since, known)
        except TransportError as problem:
            return problem

    def _known(self, row: OutboxRow, found: Sent | None, now: datetime) -> Settlement:
        number, who = row.outbound.id, mask(row.outbound.recipient)
        if found is not None:
            _log.info("settled: an outbound to %s had left after all", who)
            segments = found.segments or cost(row.outbound.text).segments
            return Settlement(number, Status.SENT, found.provider_id, segments=segments)
        _log.info("queued again: an outbound to %s", who)
        reason = "sent again: nobody knew whether it had left"
        if hasattr(self._transport, "find_sent"):
            reason = "it had not left: the provider does not know it"
        return Settlement(number, Status.QUEUED, reason=reason, retry_at=now)

    def _send(self, row: OutboxRow) -> SendResult:
        try:
            return self._transport.send(row.outbound)
        except Exception as problem:
            # It may have left before the transport broke its word.
            _log.debug("the send raised", exc_info=True)
            return Unknown(f"the transport raised {origin(problem)}")

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
                counted = segments or cost(row.outbound.text).segments
                return Settlement(number, Status.SENT, provider_id, segments=counted)
            case RetryLater(reason, after):
                if row.attempts >= self._tries:
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
                _log.error("unknown: an outbound to %s may have left and is held: %s", who, reason)
                return Settlement(number, Status.UNKNOWN, reason=reason)
            case OptedOut(reason):
                _log.warning("blocked: %s has opted out with the carrier: %s", who, reason)
                to = row.outbound.recipient
                consent = Consent(self._channel, to, ConsentKind.OPT_OUT, now, reason, "carrier")
                return Settlement(number, Status.BLOCKED, reason=reason, consent=consent)
            case BadCredentials(reason):
                self._refused = reason
                return Settlement(number, Status.QUEUED, reason=reason, retry_at=now)
