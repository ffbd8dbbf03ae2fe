"""The outside of a simulation: a provider and a service with books of their own, and fuses at every seam."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from convo.errors import StoreError, TransportError
from convo.messages import Address, Inbound, Outbound, OutboundKind, Receipt, Status, Unreadable
from convo.runtime.calls import Answered, NotYet
from convo.store.base import PendingCall, Store
from convo.testing.fakes import OUR_NUMBER, FakeClock
from convo.transports.base import (
    BadCredentials,
    Batch,
    GiveUp,
    OptedOut,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)

CHANNEL = "sim"
OVERLAP = 3
"""So many entries of the listing are handed out again with each poll."""


class Killed(BaseException):
    """The process is gone."""


class Fuse:
    """Counts the calls to the outside; at one of them the process dies, before or after it was done.

    ``fails_at`` is the call at which the store raises instead, as a full disk does.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.names: list[str] = []
        self.kills = 0
        self._kill_at: list[tuple[int, bool]] = []
        self._fails_at: set[int] = set()

    def arm(self, calls: int, *, after: bool) -> None:
        """Kill the process at the call that is so many further on."""
        self._kill_at.append((self.calls + calls, after))

    def fail(self, calls: int) -> None:
        """Have the store fail at the call that is so many further on, or the next one to it."""
        self._fails_at.add(self.calls + calls)

    def disarm(self) -> None:
        """Leave the process alone."""
        self._kill_at.clear()
        self._fails_at.clear()

    def __call__(self, name: str, call: Callable[[], object], *, store: bool) -> object:
        self.calls += 1
        self.names.append(name)
        if store and self._fails_at and min(self._fails_at) <= self.calls:
            self._fails_at = {at for at in self._fails_at if at > self.calls}
            raise StoreError("the disk is full")
        for at, after in self._kill_at:
            if at <= self.calls:
                self._kill_at.remove((at, after))
                self.kills += 1
                if after:
                    call()
                raise Killed(name)
        return call()


class Fused:
    """Something of the outside whose every call goes through the fuse."""

    def __init__(self, inner: object, fuse: Fuse, *, store: bool = False) -> None:
        self._inner, self._fuse, self._is_store = inner, fuse, store

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if not callable(found):
            return found
        return lambda *given, **named: self._fuse(name, lambda: found(*given, **named), store=self._is_store)

    @contextmanager
    def fenced(self, *partitions: int) -> Iterator[Fused]:
        with self._inner.fenced(*partitions) as within:  # type: ignore[attr-defined]
            yield Fused(within, self._fuse, store=self._is_store)


@dataclass(frozen=True)
class Left:
    """An outbound that left: the provider's own record of it."""

    id: int
    recipient: Address
    text: str
    kind: OutboundKind
    provider_id: str


class Provider:
    """A provider that outlives the processes and writes down what it handed out and what it was given.

    ``listed``: texts can be asked for again; else a poll hands each out once. What it notices itself
    that must not be stands in ``wrongs``.
    """

    name = "sim"
    reserved_words: frozenset[str] = frozenset()

    def __init__(self, clock: FakeClock, *, listed: bool, batch: int) -> None:
        self._clock = clock
        self._listed = listed
        self._batch = batch
        self.written: list[Inbound] = []
        self.waiting: deque[Inbound | Unreadable] = deque()
        self.listing: list[Inbound | Unreadable] = []
        self.receipts: deque[Receipt] = deque()
        self.in_hand: set[str] = set()
        self.left: list[Left] = []
        self.asked = 0
        self.polls: deque[str] = deque()
        self.sends: deque[str] = deque()
        self.wrongs: list[str] = []
        self.looks: Callable[[Outbound], str | None] = lambda _outbound: None

    # -- people ---------------------------------------------------------------------------------

    def text(self, sender: Address, text: str, *, identity: bool, sent_ago: float) -> None:
        """Somebody writes."""
        now = self._clock.now()
        name = f"in-{len(self.written)}" if identity else ""
        sent = now - timedelta(seconds=sent_ago)
        inbound = Inbound(CHANNEL, sender, OUR_NUMBER, text, now, sent, name, raw=text)
        self.written.append(inbound)
        self._put(inbound)

    def again(self, which: int) -> None:
        """A text that was written before is handed out once more."""
        if self.written:
            self._put(self.written[which % len(self.written)])

    def nonsense(self) -> None:
        """An answer comes that nobody can read."""
        self._put(Unreadable("<html>", "not JSON", self._clock.now()))

    def _put(self, what: Inbound | Unreadable) -> None:
        self.waiting.append(what)
        self.listing.append(what)

    def reorder(self, by: int) -> None:
        """What waits is handed out in another order."""
        if not self._listed:
            self.waiting.rotate(by)

    # -- what becomes of outbounds --------------------------------------------------------------

    def receipt(self, which: int, status: Status, *, known: bool) -> None:
        """Say what became of an outbound, or of one that nobody knows."""
        if not known or not self.left:
            self.receipts.append(Receipt(CHANNEL, f"nobody-{which}", status))
            return
        self.receipts.append(Receipt(CHANNEL, self.left[which % len(self.left)].provider_id, status))

    # -- Transport ------------------------------------------------------------------------------

    def start(self) -> None:
        """Nothing to make ready."""

    def close(self) -> None:
        """Nothing to let go of."""

    def poll(self, cursor: str | None) -> Batch:
        """Hand out what waits."""
        fault = self.polls.popleft() if self.polls else ""
        if fault == "down":
            raise TransportError("the provider is away")
        if fault == "slow down":
            raise TransportError("too many requests", retry_after=timedelta(seconds=90))
        if fault == "broken":
            raise ValueError("a transport that breaks its word")
        receipts = tuple(self.receipts)
        self.receipts.clear()
        if self._listed:
            start = int(cursor or 0)
            found = self.listing[max(0, start - OVERLAP) : start + self._batch]
            # What made no sense is told of once.
            known = self.listing[max(0, start - OVERLAP) : start]
            found = [each for each in known if isinstance(each, Inbound)] + found[len(known) :]
            end = min(len(self.listing), start + self._batch)
            return _batch(found, str(end), end < len(self.listing), receipts)
        found = [self.waiting.popleft() for _ in range(min(self._batch, len(self.waiting)))]
        self.in_hand |= {each.raw for each in found if isinstance(each, Inbound)}
        return _batch(found, cursor, bool(self.waiting), receipts)

    def send(self, outbound: Outbound) -> SendResult:
        """Take an outbound, or not, and say so, or not."""
        self.asked += 1
        wrong = self.looks(outbound)
        if wrong is not None:
            self.wrongs.append(wrong)
        fault = self.sends.popleft() if self.sends else ""
        if fault == "retry":
            return RetryLater("it is busy")
        if fault == "retry after":
            return RetryLater("SpikeArrest", timedelta(minutes=2))
        if fault == "give up":
            return GiveUp("no such number")
        if fault == "opted out":
            return OptedOut("the carrier refuses")
        if fault == "credentials":
            return BadCredentials("the key is refused")
        if fault == "unknown":
            return Unknown("the line broke")
        if fault == "raises":
            raise ValueError("a transport that breaks its word")
        name = f"out-{len(self.left)}"
        self.left.append(Left(outbound.id, outbound.recipient, outbound.text, outbound.kind, name))
        if fault == "unknown, and it left":
            return Unknown("the line broke")
        if fault == "raises, and it left":
            raise ValueError("a transport that breaks its word")
        return Sent(name)


class Listing(Provider):
    """A provider that can be asked what it was given."""

    def find_sent(
        self, outbound: Outbound, since: datetime, known: Container[str] = frozenset()
    ) -> Sent | None:
        """Look through the book for what is not accounted for."""
        for each in self.left:
            same = (each.recipient, each.text) == (outbound.recipient, outbound.text)
            if same and each.provider_id not in known:
                return Sent(each.provider_id)
        return None


class Service:
    """A service that answers as it is told to, and knows what it was asked by key."""

    def __init__(self) -> None:
        self.faults: deque[str] = deque()
        self.asked: dict[str, object] = {}
        self.wrongs: list[str] = []

    def ask(self, call: PendingCall, given: Mapping[str, object], now: datetime) -> Answered | NotYet:
        """Answer."""
        if self.asked.setdefault(call.key, (call.id, dict(given))) != (call.id, dict(given)):
            self.wrongs.append(f"call {call.id} has the key of another one")
        fault = self.faults.popleft() if self.faults else ""
        if fault == "not yet":
            return NotYet("it answered 503")
        if fault == "error":
            return Answered("error", reason="it answered 400")
        if fault == "raises":
            raise ValueError("a service that breaks its word")
        return Answered("ok", {"sky": "blue"})

    def patience(self, service: str) -> timedelta:
        """Return how long a call is tried."""
        return timedelta(minutes=1)

    def close(self) -> None:
        """Nothing is open."""


def accepted(store: Store, provider: Provider) -> Store:
    """Return the store, which tells the provider's book when what it handed out is safe."""

    class Safe:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def accept(self, channel: str, messages: tuple[Inbound, ...], **named: object) -> object:
            done = store.accept(channel, messages, **named)  # type: ignore[arg-type]
            provider.in_hand -= {each.raw for each in messages}
            return done

    return Safe()  # type: ignore[return-value]


def _batch(
    found: list[Inbound | Unreadable], cursor: str | None, more: bool, receipts: tuple[Receipt, ...]
) -> Batch:
    texts = tuple(each for each in found if isinstance(each, Inbound))
    odd = tuple(each for each in found if isinstance(each, Unreadable))
    return Batch(texts, cursor, more, odd, receipts)
