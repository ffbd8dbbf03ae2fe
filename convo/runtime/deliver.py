"""The loop that hands outbound texts over to a provider and writes down what it said."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from convo.clock import Clock
from convo.errors import CredentialsError
from convo.messages import Status, mask
from convo.runtime.log import origin, seconds
from convo.runtime.policy import LONGEST_SEND_WAIT, SEND_TRIES, allows, backoff
from convo.store.base import LastLook, OutboxRow, Settlement, Store
from convo.transports.base import (
    BadCredentials,
    GiveUp,
    OptedOut,
    RetryLater,
    SendResult,
    Sent,
    Transport,
    Unknown,
)

_log = logging.getLogger(__name__)
_AGAIN = timedelta(seconds=1)


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
    ) -> None:
        self._store = store
        self._transport = transport
        self._channel = channel
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._tries = tries
        self._unsettled: Settlement | None = None
        self._refused: str | None = None

    def once(self, now: datetime) -> datetime | None:
        """Hand over the next outbound; return when to call again, None where the outbox is empty.

        Raises:
            CredentialsError: the provider refuses who we are; the outbound waits on.
            StoreError: what the provider said could not be written; the next call tries that again.
        """
        self._settle(now)
        blocked: list[str] = []

        def last_look(look: LastLook) -> str | None:
            reason = allows(look)
            if reason is not None:
                blocked.append(reason)
                _log.info("blocked: an outbound to %s: %s", mask(look.row.outbound.recipient), reason)
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
        return None if next_at is None else max(next_at, now + _AGAIN)

    def _settle(self, now: datetime) -> None:
        if self._unsettled is not None:
            self._store.settle([self._unsettled], now)
            self._unsettled = None
        if self._refused is not None:
            refused, self._refused = self._refused, None
            raise CredentialsError(refused)

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
                return Settlement(number, Status.SENT, provider_id, segments=segments)
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
                return Settlement(number, Status.BLOCKED, reason=reason)
            case BadCredentials(reason):
                self._refused = reason
                return Settlement(number, Status.QUEUED, reason=reason, retry_at=now)
