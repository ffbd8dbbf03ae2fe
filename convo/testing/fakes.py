"""A clock that stands until it is moved, and a provider that does what the test says. Public."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from convo.clock import Clock
from convo.flow.values import Value
from convo.messages import Address, Inbound, Outbound, Receipt, Unreadable
from convo.runtime.calls import Answered, NotYet
from convo.store.base import PendingCall
from convo.transports.base import Batch, SendResult, Sent

START = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
"""Where a FakeClock stands unless told otherwise: a Wednesday noon in UTC."""

OUR_NUMBER = Address("+61491570156")
"""The number that people write to: one of those that Australia keeps for fiction."""


class FakeClock:
    """A clock that moves only when told; safe to use from several threads."""

    def __init__(self, now: datetime = START) -> None:
        if now.tzinfo is None:
            raise ValueError("a clock needs an aware datetime")
        self._now = now.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return where it stands."""
        with self._lock:
            return self._now

    def advance(self, by: timedelta | float) -> datetime:
        """Move it on (a plain number is seconds) and return where it stands now."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        with self._lock:
            self._now += step
            return self._now

    def set(self, now: datetime) -> None:
        """Put it anywhere, backwards too, as clocks of machines are."""
        with self._lock:
            self._now = now.astimezone(UTC)


class FakeTransport:
    """A provider in memory: hands each text out once, and keeps what it was asked to send.

    ``batch`` is how many texts a poll brings at most. Failures are given in advance and used up one
    call each: ``fail_start``, ``fail_poll`` (what to raise), ``answer_sends`` (what to return instead of
    Sent).
    """

    name = "fake"

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        channel: str = "fake",
        batch: int = 256,
        reserved_words: frozenset[str] = frozenset(),
    ) -> None:
        self._clock = clock or FakeClock()
        self._channel = channel
        self._batch = batch
        self.reserved_words = reserved_words
        self._lock = threading.Lock()
        self._waiting: deque[Inbound | Unreadable | Receipt] = deque()
        self._start_errors: deque[Exception] = deque()
        self._poll_errors: deque[Exception] = deque()
        self._results: deque[SendResult] = deque()
        self._sent: list[Outbound] = []
        # Two fakes on one store, as before and after a restart, must not give out the same ids.
        self._series = uuid.uuid4().hex[:8]
        self._texts = 0
        self.polls = 0
        self.closed = False

    # -- what people do --------------------------------------------------------------------------

    def text(
        self,
        sender: str,
        text: str,
        *,
        sent_at: datetime | None = None,
        stamped: bool = True,
        provider_id: str | None = None,
    ) -> Inbound:
        """Somebody writes: the next poll brings it, sent now unless ``sent_at`` says otherwise.

        ``stamped=False`` gives it no sent time, ``provider_id=""`` no id, as some providers do.
        """
        now = self._clock.now()
        with self._lock:
            self._texts += 1
            inbound = Inbound(
                channel=self._channel,
                sender=Address(sender),
                recipient=OUR_NUMBER,
                text=text,
                received_at=now,
                sent_at=(sent_at or now) if stamped else None,
                provider_id=f"{self._series}-{self._texts}" if provider_id is None else provider_id,
                raw=text,
            )
            self._waiting.append(inbound)
        return inbound

    def again(self, inbound: Inbound) -> None:
        """The provider hands out a text that it has handed out before."""
        with self._lock:
            self._waiting.append(inbound)

    def nonsense(self, raw: str, reason: str = "not JSON", *, whole: bool = False) -> None:
        """The provider answers what nobody can read; ``whole``: and nothing else beside it."""
        with self._lock:
            self._waiting.append(Unreadable(raw, reason, self._clock.now(), whole))

    def receipt(self, receipt: Receipt) -> None:
        """The provider says what became of an outbound."""
        with self._lock:
            self._waiting.append(receipt)

    # -- what goes wrong -------------------------------------------------------------------------

    def fail_start(self, *errors: Exception) -> None:
        """Have the next starts raise these, one each."""
        with self._lock:
            self._start_errors.extend(errors)

    def fail_poll(self, *errors: Exception) -> None:
        """Have the next polls raise these, one each; no text is lost by it."""
        with self._lock:
            self._poll_errors.extend(errors)

    def answer_sends(self, *results: SendResult) -> None:
        """Have the next sends return these, one each; only a Sent counts as having left."""
        with self._lock:
            self._results.extend(results)

    # -- what was sent ---------------------------------------------------------------------------

    @property
    def sent(self) -> tuple[Outbound, ...]:
        """Everything that left, oldest first."""
        with self._lock:
            return tuple(self._sent)

    def replies(self, to: str) -> list[str]:
        """Return the texts that left to one number, oldest first."""
        return [outbound.text for outbound in self.sent if outbound.recipient == to]

    # -- Transport -------------------------------------------------------------------------------

    def start(self) -> None:
        """Make ready, or raise what ``fail_start`` was given."""
        with self._lock:
            if self._start_errors:
                raise self._start_errors.popleft()

    def poll(self, cursor: str | None) -> Batch:
        """Hand out what waits, or raise what ``fail_poll`` was given."""
        with self._lock:
            self.polls += 1
            if self._poll_errors:
                raise self._poll_errors.popleft()
            found = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            return Batch(
                messages=tuple(each for each in found if isinstance(each, Inbound)),
                cursor=cursor,
                more=bool(self._waiting),
                unreadable=tuple(each for each in found if isinstance(each, Unreadable)),
                receipts=tuple(each for each in found if isinstance(each, Receipt)),
            )

    def send(self, outbound: Outbound) -> SendResult:
        """Keep the outbound as sent, or return what ``answer_sends`` was given."""
        with self._lock:
            result = self._results.popleft() if self._results else None
            if result is None or isinstance(result, Sent):
                self._sent.append(outbound)
            return result or Sent(f"sent-{self._series}-{len(self._sent)}")

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


class FakeServices:
    """Services that answer what the test says; one of which it says nothing never answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, Value]]] = []
        self._answers: dict[str, Answered] = {}

    def answer(self, service: str, result: str, values: Mapping[str, str] | None = None) -> None:
        """Say what a service answers from now on: ``ok`` with values, ``error`` or ``timeout``."""
        self._answers[service] = Answered(result, values or {})

    def ask(
        self,
        call: PendingCall,
        given: Mapping[str, Value],
        now: datetime,  # noqa: ARG002 - as every service is asked
    ) -> Answered | NotYet:
        """Answer, or not."""
        self.asked.append((call.service, given))
        return self._answers.get(call.service, NotYet("the test says nothing of it"))

    def patience(self, service: str) -> timedelta:  # noqa: ARG002 - as every service is asked
        """Return how long a call is tried."""
        return timedelta(minutes=1)

    def close(self) -> None:
        """Nothing is open."""
