"""The outbox under fire: killed at every call, a provider that is away, and rows that nobody knows about."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Container, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import TransportError
from convo.messages import Address, Outbound, Status
from convo.runtime.deliver import Deliverer
from convo.runtime.policy import Limits, Unknowns
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.run import drain
from convo.store import open_store
from convo.store.base import Store
from convo.testing.fakes import FakeClock, FakeTransport
from convo.transports.base import RetryLater, SendResult, Sent, Unknown

ANNA, BEN, CARA, DAN = (Address(f"+6140000000{number}") for number in range(1, 5))
TALK = """flow: talk
restart: any
states:
  ready:
    triggers:
      text: {reply: 'Got ${message}.'}
"""


class Killed(BaseException):
    """The process is gone."""


class Fuse:
    """Counts calls and kills the process at one of them, before or after it was done; then never again."""

    def __init__(self, blows_at: int, after: bool) -> None:
        self.calls = 0
        self.blown = False
        self._blows_at, self._after = blows_at, after

    def __call__(self, call: Callable[[], object]) -> object:
        self.calls += 1
        if self.blown or self.calls != self._blows_at:
            return call()
        self.blown = True
        if self._after:
            call()
        raise Killed


class Fused:
    """A store or a transport whose every call goes through the fuse."""

    def __init__(self, inner: object, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if not callable(found):
            return found
        return lambda *args, **named: self._fuse(lambda: found(*args, **named))

    @contextlib.contextmanager
    def fenced(self, *partitions: int) -> Iterator[Fused]:
        with self._inner.fenced(*partitions):  # type: ignore[attr-defined]
            yield self


class Provider(FakeTransport):
    """One provider that outlives the processes."""


class Listing(Provider):
    """A provider that can be asked what it was given."""

    def find_sent(
        self, outbound: Outbound, since: datetime, known: Container[str] = frozenset()
    ) -> Sent | None:
        """Look it up by our tag."""
        found = [each for each in self.sent if each.id == outbound.id]
        return Sent(f"listed-{outbound.id}") if found else None


class Process:
    """What one run of the program has in its hands."""

    def __init__(
        self,
        flow: CompiledFlow,
        store: Store,
        provider: FakeTransport,
        clock: FakeClock,
        *,
        fuse: Fuse | None = None,
        unknowns: Unknowns = Unknowns.HOLD,
        limits: Limits | None = None,
        plain: bool = False,
    ) -> None:
        seen: tuple[object, object] = (store, provider)
        if fuse is not None:
            seen = (Fused(store, fuse), Fused(provider, fuse))
        flows = {"fake": ChannelFlows("fake", {flow.flow.name: flow}, flow.flow.name)}
        self.clock = clock
        self.store, self.provider = seen
        self.receiver = Receiver(seen[0], seen[1], "fake", clock, random=Random(1))  # type: ignore[arg-type]
        self.processor = Processor(seen[0], flows)  # type: ignore[arg-type]
        self.deliverer = Deliverer(
            seen[0],  # type: ignore[arg-type]
            seen[1],  # type: ignore[arg-type]
            "fake",
            clock,
            random=Random(1),
            unknowns=unknowns,
            limits=limits,
            plain=plain,
        )

    def work(self) -> None:
        """Start, and do all there is to do within ten minutes."""
        self.store.recover(self.clock.now())  # type: ignore[attr-defined]
        for _ in range(10):
            drain([self.receiver], self.processor, [self.deliverer], self.clock)
            self.clock.advance(61)


@pytest.fixture
def talk(compiled: Callable[[str], CompiledFlow]) -> CompiledFlow:
    return compiled(TALK)


LONG = "word " * 700
EXPECTED = {ANNA: ["Got one.", "Got two.", "Got three."], BEN: ["Got hello."]}


def texts(provider: FakeTransport) -> None:
    """Let two people write, one of them a text whose answer takes three messages."""
    for sender, text in ((ANNA, "one"), (ANNA, "two"), (BEN, "hello"), (ANNA, "three"), (CARA, LONG)):
        provider.text(sender, text)


def killed_once(
    talk: CompiledFlow, kind: type[Provider], unknowns: Unknowns = Unknowns.HOLD
) -> Iterator[tuple[Provider, Store]]:
    """Run once for each call that there is, killed at it, and once more to the end."""
    for after in (False, True):
        blows_at = 0
        while True:
            blows_at += 1
            clock, fuse = FakeClock(), Fuse(blows_at, after)
            provider = kind(clock, batch=2)
            texts(provider)
            store = open_store("memory")
            with contextlib.suppress(Killed):
                Process(talk, store, provider, clock, fuse=fuse, unknowns=unknowns).work()
            if not fuse.blown:
                break
            Process(talk, store, provider, clock, unknowns=unknowns).work()
            yield provider, store
            store.close()
        assert blows_at > 40, "the fuse blew at every call"


def test_killed_at_any_call_a_provider_that_can_be_asked_gets_everything_once(
    talk: CompiledFlow,
) -> None:
    lost = 0
    for provider, store in killed_once(talk, Listing):
        came = {row.sender for row in store.inbox()}
        for sender, expected in EXPECTED.items():
            replies = provider.replies(sender)
            # What a read-once poll handed out when we died never reached the inbox.
            lost += replies != expected
            assert replies == [text for text in expected if text in replies], "in order, none twice"
            assert len(replies) == len([row for row in store.inbox() if row.sender == sender])
        if CARA in came:
            parts = provider.replies(CARA)
            assert " ".join(parts).split() == f"Got {LONG}.".split()
            assert len(parts) == 3
        assert not {row.status for row in store.outbox()} - {Status.SENT}
    assert lost <= 6, lost


@pytest.mark.parametrize("unknowns", list(Unknowns))
def test_killed_at_any_call_a_provider_that_cannot_be_asked(talk: CompiledFlow, unknowns: Unknowns) -> None:
    twice = held = 0
    for provider, store in killed_once(talk, Provider, unknowns):
        sent = [(each.recipient, each.id) for each in provider.sent]
        twice += len(sent) - len(set(sent))
        statuses = [row.status for row in store.outbox()]
        held += statuses.count(Status.UNKNOWN)
        assert statuses.count(Status.UNKNOWN) <= 1
        assert set(statuses) <= {Status.SENT, Status.UNKNOWN}
        if unknowns is Unknowns.RESEND:
            assert {each for _, each in sent} == {row.outbound.id for row in store.outbox()}, "none lost"
    assert (twice > 0, held > 0) == ((False, True) if unknowns is Unknowns.HOLD else (True, False))


def test_a_retry_is_remembered_by_the_store(talk: CompiledFlow, tmp_path: Path) -> None:
    clock = FakeClock()
    provider = Provider(clock)
    provider.text(ANNA, "one")
    provider.answer_sends(RetryLater("busy", timedelta(minutes=5)))
    store = open_store(tmp_path / "convo.db")
    run = Process(talk, store, provider, clock)
    drain([run.receiver], run.processor, [run.deliverer], clock)
    store.close()
    for minutes, expected in ((4, 0), (2, 1)):
        clock.advance(timedelta(minutes=minutes))
        again = open_store(tmp_path / "convo.db")
        run = Process(talk, again, provider, clock)
        drain([run.receiver], run.processor, [run.deliverer], clock)
        assert len(provider.sent) == expected
        again.close()


class Away(Provider):
    """A provider that refuses everything until it comes back, and counts."""

    back = False
    asked = 0

    def send(self, outbound: Outbound) -> SendResult:
        """Refuse, or take it."""
        self.asked += 1
        return super().send(outbound) if self.back else RetryLater("503")


def test_a_provider_that_is_away_is_not_asked_for_every_row(talk: CompiledFlow) -> None:
    clock = FakeClock()
    provider = Away(clock)
    for number in range(200):
        provider.text(f"+614100{number:05d}", "hello")
    run = Process(talk, open_store("memory"), provider, clock)
    for _ in range(60):
        drain([run.receiver], run.processor, [run.deliverer], clock)
        clock.advance(60)
    assert provider.asked < 100, "an hour, 200 rows"
    provider.back = True
    for _ in range(20):
        drain([run.receiver], run.processor, [run.deliverer], clock)
        clock.advance(60)
    assert len(provider.sent) == 200


def test_two_recipients_in_retry_hold_up_nobody(talk: CompiledFlow) -> None:
    clock = FakeClock()
    provider = Provider(clock)
    provider.answer_sends(RetryLater("busy"), RetryLater("busy"))
    for sender in (ANNA, BEN, CARA, DAN):
        provider.text(sender, "hello")
    run = Process(talk, open_store("memory"), provider, clock)
    drain([run.receiver], run.processor, [run.deliverer], clock)
    assert [each.recipient for each in provider.sent] == [CARA, DAN]


def test_resending_has_an_end(talk: CompiledFlow) -> None:
    clock = FakeClock()
    provider = Provider(clock)
    provider.answer_sends(*[Unknown("the line broke")] * 10)
    provider.text(ANNA, "one")
    store = open_store("memory")
    run = Process(talk, store, provider, clock, unknowns=Unknowns.RESEND)
    for _ in range(20):
        run.work()
    (row,) = store.outbox()
    assert (row.status, row.attempts) == (Status.FAILED, 3)
    assert "never known" in row.reason


@pytest.mark.parametrize(
    ("kind", "unknowns", "said"),
    [
        (Provider, Unknowns.HOLD, "may have left and is held: the line broke"),
        (Provider, Unknowns.RESEND, "may have left and is sent again in 60 s: the line broke"),
        (Listing, Unknowns.HOLD, "may have left and is asked about in 60 s: the line broke"),
    ],
)
def test_what_is_done_about_an_unknown_is_said(
    talk: CompiledFlow,
    kind: type[Provider],
    unknowns: Unknowns,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    provider = kind(clock)
    provider.answer_sends(Unknown("the line broke"))
    provider.text(ANNA, "one")
    Process(talk, open_store("memory"), provider, clock, unknowns=unknowns).work()
    assert said in caplog.text


class Broken(Provider):
    """A provider whose listing raises what it likes."""

    raises: Exception = KeyError("a secret text")

    def find_sent(
        self, outbound: Outbound, since: datetime, known: Container[str] = frozenset()
    ) -> Sent | None:
        """Raise."""
        raise self.raises


@pytest.mark.parametrize("error", [KeyError("a secret text"), TransportError("503")])
def test_a_listing_that_cannot_be_had_holds_the_row_and_ends_nothing(
    talk: CompiledFlow, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    provider = Broken(clock)
    provider.raises = error
    provider.answer_sends(Unknown("the line broke"))
    provider.text(ANNA, "one")
    provider.text(BEN, "two")
    store = open_store("memory")
    Process(talk, store, provider, clock).work()
    assert [row.status for row in store.outbox()] == [Status.UNKNOWN, Status.SENT]
    assert "a secret text" not in caplog.text
    assert any(record.levelno == logging.WARNING for record in caplog.records)


def test_a_channel_may_say_it_plainly(talk: CompiledFlow) -> None:
    clock = FakeClock()
    provider = Provider(clock)
    text = "Don’t forget — " + "a" * 130
    provider.text(ANNA, text)
    provider.text(ANNA, "ок — да")
    store = open_store("memory")
    Process(talk, store, provider, clock, plain=True).work()
    assert provider.replies(ANNA) == [f"Got Don't forget - {'a' * 130}.", "Got ок — да."]
    assert [row.segments for row in store.outbox()] == [1, 1]
