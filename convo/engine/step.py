"""One event on one conversation: the heart of convo, and pure.

``step`` takes data and returns data. Tests, the runtime, replay and walks are all built on its
asking nobody for the time, for luck or for a file.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from convo.engine.conversation import CallAnswered, Conversation, Event, Received, Started, Step, TimerFired
from convo.engine.elapsed import answered, fired
from convo.engine.listening import take
from convo.engine.machine import CompiledFlow
from convo.engine.turn import Turn
from convo.errors import Fault
from convo.flow.values import Value
from convo.messages import Address

OLDEST_SENT = timedelta(days=30)
"""A sent time further back than this is taken for a mistake of the provider."""


def moment_of(event: Event, now: datetime, conversation: Conversation | None) -> tuple[datetime, list[str]]:
    """Return what ``now`` means to the author for this event, and notes for the journal.

    It is when the message was sent; where the provider gives no time, one after we received it, or one
    over 30 days back, it is when we received it. It never runs backwards within a conversation.
    """
    notes: list[str] = []
    if isinstance(event, Received):
        moment, received = event.sent_at, event.received_at
        if moment is None:
            moment = received
            notes.append("no sent time: the receive time counts")
        elif moment > received:
            moment = received
            notes.append("the sent time lies after the receive time, which counts instead")
        elif received - moment > OLDEST_SENT:
            moment = received
            notes.append("the sent time lies over 30 days back: the receive time counts")
    else:
        moment = now
    if conversation is not None and conversation.is_open and moment < conversation.now_at:
        notes.append("sent before the last step's moment, which counts instead")
        moment = conversation.now_at
    return moment, notes


def opened(
    compiled: CompiledFlow,
    channel: str,
    sender: Address,
    number: int,
    event: Event,
    now: datetime,
    last: Conversation | None = None,
) -> Conversation:
    """Return a new conversation of that sender, before its start state has been entered.

    What was kept by ``last``, the sender's conversation before this one, and its language are taken over.
    """
    flow = compiled.flow
    first = {datum.name: datum.first for datum in flow.data.values() if datum.first is not None}
    given = event.given if isinstance(event, Started) else {}
    kept = last.kept if last is not None else {}
    language = last.language if last is not None and last.language in flow.languages else flow.language
    return Conversation(
        channel=channel,
        sender=sender,
        number=number,
        flow=flow.name,
        version=flow.version,
        state=str(compiled.machine.initial),
        opened_at=now,
        now_at=now,
        entry=0,
        data={**first, **kept.get(flow.name, {}), **given},
        language=language,
        kept=kept,
    )


def step(
    compiled: CompiledFlow,
    conversation: Conversation,
    event: Event,
    now: datetime,
    *,
    greet: bool = False,
    by_keyword: bool = False,
    keywords: Collection[str] = (),
    value: Value | None = None,
) -> Step | None:
    """Return what ``event`` does to ``conversation``; None where its text is one of ``keywords``.

    A conversation whose ``entry`` is 0 is opened by it: its start state is entered, and a text is
    matched there only if entering said nothing. ``greet`` puts the flow's greeting first,
    and ``by_keyword`` says that a text asked for it, which has to be answered with something.
    ``keywords`` are folded words that mean something to the channel: the state's and ``anywhere``'s
    words go before them, everything else after. ``value`` is what a keyword brought with it.

    A step that cannot be completed is undone as a whole: the conversation stays as it was, the step
    says so in ``fault``, and a sender who wrote hears the apology.
    """
    moment, notes = moment_of(event, now, conversation)
    turn = Turn(compiled, conversation, event, moment, now, notes)
    if value is not None:
        turn.model.scene.built_in["value"] = value
    try:
        if conversation.entry == 0:
            if greet and compiled.flow.greeting is not None:
                turn.say([turn.rendered(compiled.flow.greeting)])
            turn.enter()
            if by_keyword and not turn.said and turn.waits:
                turn.say_again()
        match event:
            case Received() if not turn.said and turn.waits:
                if not take(turn, event.text, keywords):
                    return None
            case TimerFired():
                fired(turn, event, now)
            case CallAnswered():
                answered(turn, event)
        return turn.done()
    except Fault as fault:
        return turn.undone(str(fault))


def repeated(compiled: CompiledFlow, conversation: Conversation, event: Received, now: datetime) -> Step:
    """Return the step of a sender who sends the flow's own keyword midway: the entry text again."""
    moment, notes = moment_of(event, now, conversation)
    turn = Turn(compiled, conversation, event, moment, now, notes)
    try:
        turn.say_again()
        return turn.done()
    except Fault as fault:
        return turn.undone(str(fault))


def said_instead(
    compiled: CompiledFlow,
    conversation: Conversation,
    event: Received,
    now: datetime,
    text: str,
    leaving: str,
) -> Step:
    """Return a step that changes nothing but says something, and remembers which keyword would leave."""
    moment, notes = moment_of(event, now, conversation)
    turn = Turn(compiled, conversation, event, moment, now, notes)
    turn.leaving = leaving
    turn.say([text])
    return turn.done()
