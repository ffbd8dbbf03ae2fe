"""What the checks in ``conformance`` are made of: an inbox, ways to open a transport, an ear for logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol, cast

from convo.engine.conversation import Conversation, Started, Step
from convo.messages import Inbound, Outbound, Status, Unreadable
from convo.store import open_store
from convo.store.base import Opening, Result, Settlement, Store
from convo.testing.stand_in import SENDER, WEBHOOK, Said, StandIn
from convo.transports.base import Batch, Pushed, SendResult, Transport

MOST_POLLS = 200


class NotApplicable(Exception):
    """A provider has nothing of the kind that a check is about."""


class PushedTransport(Transport, Pushed, Protocol):
    """A transport whose provider calls us."""


def expect(true: bool, otherwise: str) -> None:
    """Raise AssertionError with ``otherwise`` unless ``true``."""
    if not true:
        raise AssertionError(otherwise)


class Inbox:
    """What a store keeps of batches: each message once, by its key, and what could not be read."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.held: list[Inbound] = []
        self.odd: list[Unreadable] = []

    def take(self, batch: Batch) -> None:
        """Keep what is new in ``batch``."""
        keys = {one.key for one in self.held}
        for one in batch.messages:
            if one.key is None or one.key not in keys:
                self.held.append(one)
                keys.add(one.key)
        self.odd += batch.unreadable
        self.cursor = batch.cursor

    def drain(self, transport: Transport) -> None:
        """Poll until there is no more."""
        for _ in range(MOST_POLLS):
            batch = transport.poll(self.cursor)
            self.take(batch)
            if not batch.more:
                return
        raise AssertionError(f"{MOST_POLLS} polls say that there is more")

    @property
    def count(self) -> int:
        """How many texts there are, read or not."""
        return len(self.held) + len(self.odd)

    @property
    def known(self) -> bool:
        """Whether each text would be known again."""
        return not self.odd and all(one.key is not None for one in self.held)

    def texts(self) -> list[str]:
        """Return the texts, in the order in which they came."""
        return [one.text for one in self.held]

    def shown(self) -> str:
        """Return the texts in few words, for a message."""
        return said_of([*self.texts(), *("(unreadable)" for _ in self.odd)])


def said_of(found: object) -> str:
    """Return what was found in at most a line."""
    if isinstance(found, set):
        found = sorted(str(each) for each in found)
    if isinstance(found, Sequence) and not isinstance(found, str):
        found = [str(each) for each in found]
        if len(found) == 1:
            found = found[0]
    written = str(found) if found else "nothing"
    return written if len(written) <= 160 else written[:159] + "…"


def opened(stand_in: StandIn, *, start: bool = True, wrong: bool = False) -> Transport:
    """Return a transport that was started, pushed to where it cannot be polled."""
    transport = stand_in.connect(wrong=wrong)
    if getattr(transport, "only_pushed", False):
        cast(Pushed, transport).push_to(WEBHOOK)
    if start:
        transport.start()
    return transport


def polled(stand_in: StandIn) -> Transport:
    """Return a transport that can be polled.

    Raises:
        NotApplicable: it cannot.
    """
    transport = opened(stand_in)
    if getattr(transport, "only_pushed", False):
        raise NotApplicable("its provider cannot be polled")
    return transport


def pushed(stand_in: StandIn) -> PushedTransport:
    """Return a transport whose provider calls a webhook.

    Raises:
        NotApplicable: it calls none.
    """
    transport = opened(stand_in)
    if not hasattr(transport, "received"):
        raise NotApplicable("its provider calls no webhook")
    return cast(PushedTransport, transport)


def of_both_ways(stand_in: StandIn, said: Said) -> Iterator[Sequence[Inbound]]:
    """Have one text brought twice by each way there is; yield what each time brought."""
    transport = opened(stand_in)
    if not getattr(transport, "only_pushed", False):
        inbox = Inbox()
        inbox.drain(transport)
        before = inbox.cursor
        stand_in.clock.advance(1)
        stand_in.text(said)
        yield _drained(transport, before)
        if stand_in.read_once:
            stand_in.text(said)
        # Another process: it knows the cursor at most.
        yield _drained(opened(stand_in), before)
    if hasattr(transport, "received"):
        caller = pushed(stand_in)
        for _ in range(2):
            yield caller.received(stand_in.pushed_text(said)).batch.messages


def _drained(transport: Transport, cursor: str | None) -> Sequence[Inbound]:
    inbox = Inbox()
    inbox.cursor = cursor
    inbox.drain(transport)
    return inbox.held


def sending(transport: Transport, text: str, number: int) -> SendResult:
    """Hand over a text to ``SENDER``.

    Raises:
        AssertionError: it raised, which a send never does.
    """
    try:
        return transport.send(Outbound("sms", SENDER, text, id=number))
    except Exception as problem:
        raise AssertionError(
            f"send() raised {type(problem).__name__}; it returns what to do next"
        ) from problem


@contextmanager
def receipt_store(provider_id: str) -> Iterator[Store]:
    """Open a store that holds one outbound, sent under this id."""
    store, now = open_store("memory"), datetime(2026, 3, 4, 12, tzinfo=UTC)
    try:
        store.request([Opening("sms", SENDER, "kit", "kit")], now)
        (waiting,) = store.claim(1)
        opened_ = Conversation("sms", SENDER, 1, "kit", "a", opened_at=now, now_at=now, version="1", steps=1)
        says = (Outbound("sms", SENDER, "hello", number=1),)
        event = cast(Started, waiting.event)
        store.commit([Result(waiting, (Step(opened_, event, now, outbound=says),))], now)
        (row,) = store.mark_sending("sms", now, 1, lambda _look: None)
        store.settle([Settlement(row.outbound.id, Status.SENT, provider_id)], now)
        yield store
    finally:
        store.close()


@contextmanager
def listening() -> Iterator[list[str]]:
    """Hear every line of every log, however unimportant."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(f"{record.getMessage()} {record.exc_text or record.exc_info or ''}")

    root, ear = logging.getLogger(), Ear()
    ours = logging.getLogger("convo")
    levels = root.level, ours.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    ours.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.removeHandler(ear)
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
