"""Messages, conversations and steps to put into a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from convo.engine.conversation import Consent, ConsentKind, Conversation, Step, Timer
from convo.flow.values import Value
from convo.messages import Address, Inbound, Outbound, OutboundKind
from convo.store import Store
from convo.store.base import LastLook, OutboxRow, Result, Waiting

CHANNEL = "clinic"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ANN, BOB = Address("+61400000001"), Address("+61400000002")
US = Address("+61400000099")


def at(seconds: float) -> datetime:
    """Return a moment so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def text(
    words: str,
    *,
    sender: Address = ANN,
    identity: str = "",
    sent: float | None = 0.0,
    received: float = 1.0,
    channel: str = CHANNEL,
) -> Inbound:
    """Return a text that somebody sent."""
    sent_at = None if sent is None else at(sent)
    return Inbound(channel, sender, US, words, at(received), sent_at, identity, raw=f"raw {words}")


def conversation(sender: Address = ANN, number: int = 1, **changes: object) -> Conversation:
    """Return a conversation that waits in a state."""
    made = Conversation(
        channel=CHANNEL,
        sender=sender,
        number=number,
        flow="visit",
        state="age",
        opened_at=NOON,
        now_at=NOON,
        version="v1",
        steps=1,
    )
    return _replaced(made, changes)


def step(
    waiting: Waiting,
    after: Conversation,
    *,
    says: tuple[str, ...] = (),
    timers: Mapping[str, float] | None = None,
    consent: ConsentKind | None = None,
    asks: int = 0,
) -> Step:
    """Return what an event did."""
    return Step(
        conversation=after,
        event=waiting.event,
        now=NOON,
        outbound=tuple(
            Outbound(CHANNEL, after.sender, words, number=after.number, asks=asks) for words in says
        ),
        timers=tuple(Timer(name, at(due)) for name, due in (timers or {}).items()),
        consent=() if consent is None else (Consent(CHANNEL, after.sender, consent, NOON, "STOP"),),
    )


def put(store: Store, *texts: Inbound, cursor: str | None = None, now: float = 1.0) -> None:
    """Let texts come in."""
    store.accept(CHANNEL, texts, cursor=cursor, now=at(now))


def stepped(
    store: Store, sender: Address = ANN, says: tuple[str, ...] = (), **changes: object
) -> Conversation:
    """Step the one text that waits, and return the conversation that came of it."""
    waiting = store.claim(10)[0]
    assert waiting.sender == sender
    after = conversation(sender, **changes)
    store.commit([Result(waiting, (step(waiting, after, says=says),))], at(2))
    return after


def say(store: Store, *words: str, sender: Address = ANN, kind: OutboundKind = OutboundKind.REPLY) -> None:
    """Put texts into the outbox, by way of a step."""
    number = len(store.inbox()) + 1
    put(store, text("hello", sender=sender, identity=f"say-{number}"))
    waiting = next(each for each in store.claim(100) if each.sender == sender)
    current = store.conversation(CHANNEL, sender)
    after = conversation(sender, steps=(current.steps if current else 0) + 1)
    outbound = tuple(Outbound(CHANNEL, sender, each, kind) for each in words)
    made = Step(conversation=after, event=waiting.event, now=NOON, outbound=outbound)
    store.commit([Result(waiting, (made,))], at(2))


def anything(_look: LastLook) -> str | None:
    """Allow everything."""
    return None


def marked(
    store: Store, now: float = 3.0, limit: int = 10, allows: Callable[[LastLook], str | None] = anything
) -> list[OutboxRow]:
    """Mark what may leave."""
    return store.mark_sending(CHANNEL, at(now), limit, allows)


def data(**values: Value) -> dict[str, Value]:
    """Return data."""
    return values


def _replaced(made: Conversation, changes: Mapping[str, object]) -> Conversation:
    from dataclasses import replace

    return replace(made, **changes)  # type: ignore[arg-type]
