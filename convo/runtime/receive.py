"""The loop that asks a provider for texts and puts each batch into the inbox before it asks again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from convo.clock import Clock
from convo.errors import ConfigError, StoreError, TransportError
from convo.messages import Unreadable, mask
from convo.runtime.log import count, origin, seconds
from convo.runtime.policy import backoff
from convo.store.base import Accepted, Store
from convo.transports.base import Batch, Transport

_log = logging.getLogger(__name__)


class Receiver:
    """Polls one channel. ``on_stored`` is called whenever something new stands in the inbox.

    A provider may hand a text out once only, so a batch that could not be stored is kept in hand and
    nothing more is asked for until it has been. ``trouble`` is why the last poll failed, None after a
    good one; ``polled_at`` is when it was last asked and had no more; ``heard`` counts
    what came in, known or new, readable or not. ``on_ready`` is called when the transport has started.
    """

    def __init__(
        self,
        store: Store,
        transport: Transport,
        channel: str,
        clock: Clock,
        *,
        every: timedelta = timedelta(seconds=1),
        random: Random | None = None,
        on_stored: Callable[[], None] = lambda: None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._transport = transport
        self._channel = channel
        self._clock = clock
        self._every = every
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._on_stored = on_stored
        self._on_ready = on_ready
        self._ready = False
        self._failures = 0
        self._not_before: datetime | None = None
        self._in_hand: Batch | None = None
        self.trouble: TransportError | None = None
        self.polled_at: datetime | None = None
        self.heard = 0

    @property
    def in_hand(self) -> int:
        """How many texts have been read from the provider and are not stored yet."""
        batch = self._in_hand
        return len(batch.messages) + len(batch.unreadable) if batch is not None else 0

    def is_ready(self) -> bool:
        """Whether the transport has started."""
        return self._ready

    def once(self, now: datetime) -> datetime | None:
        """Poll once and store what came; return when to ask again.

        Raises:
            ConfigError, TransportError: it cannot go on until a person has changed something.
            StoreError: the batch could not be stored; the next call tries that again.
        """
        if self._in_hand is None:
            if self._not_before is not None and now < self._not_before:
                return self._not_before
            batch = self._ask()
            if batch is None:
                return self._not_before
            self._in_hand = batch
        more, odd = self._in_hand.more, _nonsense(self._in_hand)
        self._keep(self._in_hand)
        self._in_hand = None
        if odd is not None:
            # It is safe in the inbox; a page that says "closed today" is not asked for every second.
            self._failed(TransportError(f"its answer could not be read: {odd}"))
            return self._not_before
        now = self._clock.now()
        return now if more else now + self._every

    def _ask(self) -> Batch | None:
        """Poll; None where that failed and is to be tried again later."""
        asked_at = self._clock.now()
        try:
            if not self._ready:
                self._transport.start()
                self._ready = True
                _log.info("%s is ready", self._channel)
                self._on_ready()
            batch = self._transport.poll(self._store.cursor(self._channel))
        except TransportError as problem:
            if problem.final:
                raise
            self._failed(problem)
            return None
        except (ConfigError, StoreError):
            raise
        except Exception as problem:
            # A transport that breaks its word must not end the program or go silent.
            _log.debug("the poll raised", exc_info=True)
            self._failed(TransportError(f"the transport raised {origin(problem)}"))
            return None
        if _nonsense(batch) is not None:
            return batch
        if self._failures:
            _log.info("%s answers again, after %s", self._channel, count(self._failures, "failed poll"))
        self._failures = 0
        self._not_before = self.trouble = None
        if not batch.more:
            self.polled_at = asked_at
        return batch

    def _failed(self, problem: TransportError) -> None:
        self._failures += 1
        self.trouble = problem
        wait = backoff(self._failures, self._random, at_least=problem.retry_after)
        self._not_before = self._clock.now() + wait
        _log.warning(
            "%s cannot be polled (%s in a row): %s; next try in %s",
            self._channel,
            self._failures,
            problem,
            seconds(wait),
        )

    def _keep(self, batch: Batch) -> None:
        now = self._clock.now()
        if not batch.messages and not batch.unreadable and not batch.receipts:
            # Nothing came; the store still learns of the good poll and of the cursor.
            self._store.accept(self._channel, (), cursor=batch.cursor, now=now)
            return
        accepted = keep_texts(self._store, self._channel, batch, now)
        if batch.receipts:
            # From here on the texts are safe; if the receipts fail, the texts are not to be stored again.
            self._in_hand = replace(batch, messages=(), unreadable=())
        if accepted.new:
            self._on_stored()
        self.heard += len(batch.messages) + len(batch.unreadable)
        if batch.receipts:
            self._store.receipts(batch.receipts, now)


def _nonsense(batch: Batch) -> str | None:
    """Return why all that the provider answered made no sense; None where it was an answer."""
    return next((each.reason for each in batch.unreadable if each.whole), None)


def keep_texts(store: Store, channel: str, batch: Batch, now: datetime, verb: str = "polled") -> Accepted:
    """Put the texts of ``batch`` into the inbox, and what could not be read aside; not its receipts.

    Once this returns they are safe. A text that no store can take is set aside by itself. ``verb`` is
    how they came, for the log.

    Raises:
        StoreError: not all of it is stored; do the same again.
    """
    try:
        accepted = store.accept(
            channel, batch.messages, cursor=batch.cursor, now=now, unreadable=batch.unreadable
        )
    except StoreError:
        raise
    except Exception as problem:
        _log.error("a batch of %s could not be stored whole: %s", channel, origin(problem))
        accepted = _keep_one_by_one(store, channel, batch, now)
    if accepted.new or accepted.duplicates:
        seen = f", {accepted.duplicates} known already" if accepted.duplicates else ""
        _log.info("%s %s: %s new%s", verb, channel, accepted.new, seen, extra={"event": verb})
    for unreadable in batch.unreadable:
        _log.warning("%s: what could not be read was set aside: %s", channel, unreadable.reason)
    return accepted


def _keep_one_by_one(store: Store, channel: str, batch: Batch, now: datetime) -> Accepted:
    """Store each message on its own, so that one that no store can take does not hold up the rest."""
    new = duplicates = 0
    for message in batch.messages:
        try:
            accepted = store.accept(channel, (message,), cursor=None, now=now)
        except StoreError:
            raise
        except Exception as problem:
            raw = ascii(message.raw or message.text)
            aside = Unreadable(raw, f"the store cannot take it: {origin(problem)}", now)
            accepted = store.accept(channel, (), cursor=None, now=now, unreadable=(aside,))
            _log.error("a text from %s was set aside: %s", mask(message.sender), origin(problem))
        new += accepted.new
        duplicates += accepted.duplicates
    store.accept(channel, (), cursor=batch.cursor, now=now, unreadable=batch.unreadable)
    return Accepted(new, duplicates)
