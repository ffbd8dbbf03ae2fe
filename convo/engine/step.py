"""One event on one conversation: the heart of convo, and pure.

``step`` takes data and returns data. Tests, the runtime, replay and walks are all built on its
asking nobody for the time, for luck or for a file.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from convo.engine.conversation import Conversation, Event, Received, Started, Step
from convo.engine.machine import ONWARD, CompiledFlow, Scene, SenderMachine, end_state
from convo.errors import Fault
from convo.flow.model import Card, Effects
from convo.flow.triggers import fold
from convo.flow.values import Value
from convo.messages import Address, Outbound, OutboundKind

CARDS_A_STEP = 20
"""So many cards may follow each other without waiting; more is a fault."""

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
    compiled: CompiledFlow, channel: str, sender: Address, number: int, event: Event, now: datetime
) -> Conversation:
    """Return a new conversation of that sender, before its start state has been entered."""
    flow = compiled.flow
    first = {datum.name: datum.first for datum in flow.data.values() if datum.first is not None}
    given = event.given if isinstance(event, Started) else {}
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
        data={**first, **given},
        language=flow.language,
    )


def step(
    compiled: CompiledFlow,
    conversation: Conversation,
    event: Event,
    now: datetime,
    *,
    greet: bool = False,
    keywords: Collection[str] = (),
) -> Step | None:
    """Return what ``event`` does to ``conversation``; None where its text is one of ``keywords``.

    A conversation whose ``entry`` is 0 is opened by it: its start state is entered, and a text is
    matched there only if entering said nothing. ``greet`` puts the flow's greeting first.
    ``keywords`` are folded words that mean something to the channel: the state's and ``anywhere``'s
    words go before them, everything else after.

    A step that cannot be completed is undone as a whole: the conversation stays as it was, the step
    says so in ``fault``, and a sender who wrote hears the apology.
    """
    moment, notes = moment_of(event, now, conversation)
    turn = _Turn(compiled, conversation, event, moment, notes)
    try:
        if conversation.entry == 0:
            if greet and compiled.flow.greeting is not None:
                turn.say([compiled.flow.greeting.render(turn.model.scene.names())])
            turn.enter()
            if greet and not turn.said and turn.waits:
                turn.say_again()
        text = event.text if isinstance(event, Received) and not turn.said and turn.waits else None
        if text is not None and not turn.take(text, keywords):
            return None
        return turn.done()
    except Fault as fault:
        return turn.undone(str(fault))


def repeated(compiled: CompiledFlow, conversation: Conversation, event: Received, now: datetime) -> Step:
    """Return the step of a sender who sends the flow's own keyword midway: the entry text again."""
    moment, notes = moment_of(event, now, conversation)
    turn = _Turn(compiled, conversation, event, moment, notes)
    try:
        turn.say_again()
        return turn.done()
    except Fault as fault:
        return turn.undone(str(fault))


def built_in_text(compiled: CompiledFlow, name: str, scope: dict[str, Value] | None = None) -> str:
    """Return one of the flow's built-in sentences."""
    return compiled.flow.texts[name].render(scope or {})


def listed(words: list[str]) -> str:
    """Return ``START, STOP and TIME``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


@dataclass(slots=True)
class _Progress:
    entry: int
    tries: int
    ended: str | None = None


class _Turn:
    """The step in hand: a sender's machine, and what has been said and taken so far."""

    def __init__(
        self,
        compiled: CompiledFlow,
        conversation: Conversation,
        event: Event,
        now: datetime,
        notes: list[str],
    ) -> None:
        self.compiled = compiled
        self.before = conversation
        self.event = event
        self.now = now
        self.notes = notes
        self.said: list[list[str]] = []
        self.took: list[str] = []
        self.at = _Progress(conversation.entry, conversation.tries, conversation.ended)
        zone = ZoneInfo(compiled.flow.zone)
        built_in: dict[str, Value] = {
            "now": now.astimezone(zone),
            "today": now.astimezone(zone).date(),
            "sender": conversation.sender,
            "language": conversation.language,
            "flow": compiled.flow.name,
            "tries": conversation.tries,
        }
        if isinstance(event, Received):
            built_in["message"] = event.text
        data = {
            name: value.astimezone(zone) if isinstance(value, datetime) else value
            for name, value in conversation.data.items()
        }
        self.model = SenderMachine(conversation.state, Scene(data, built_in))

    @property
    def waits(self) -> bool:
        """Whether the machine waits for a text."""
        return self.at.ended is None

    def take(self, text: str, keywords: Collection[str]) -> bool:
        """Match a text and do what it says; False where it is a keyword of the channel."""
        known, start = self.compiled.recognisers, self.model.state
        if any(self.fire(trigger) for trigger in known.of_words(text)):
            return True
        if keywords and fold(text) in keywords:
            return False
        if not any(self.fire(trigger) for trigger in known.of_kinds(start, text)):
            words = self.compiled.words(start)
            self.notes.append("nothing matched")
            if words:
                self.say([built_in_text(self.compiled, "nothing_matched", {"words": listed(words)})])
            else:
                self.say([built_in_text(self.compiled, "nothing_expected")])
        return True

    def fire(self, trigger: str) -> bool:
        """Let the Machine try a trigger, and make the effects of what it took."""
        source = self.model.state
        if not self.compiled.fire(self.model, trigger):
            return False
        take = self.model.took
        if take is None:
            raise Fault(f"a transition from '{source}' carries nothing to do")
        dest = self.model.state if take.arm is not None else None
        self.took.append(f"{source} · {take.label} → {dest or 'stays'}")
        self.effects(take.action.effects if take.action else Effects())
        if dest is not None and trigger != ONWARD:
            self.enter()
        return True

    def effects(self, effects: Effects) -> None:
        """Set, then reply, on what is now true."""
        scene = self.model.scene.after(effects)
        self.model.moved_on(scene)
        if effects.reply:
            names = scene.names()
            self.say([text.render(names) for text in effects.reply])

    def enter(self) -> None:
        """Enter the machine's state, and go on through steps until something waits or ends."""
        for _ in range(CARDS_A_STEP):
            self.at.entry += 1
            self.at.tries = 0
            state = self.compiled.flow.states.get(self.model.state)
            if state is None:
                self.at.ended = self.model.state.removeprefix(end_state(""))
                return
            self.effects(state.entry)
            if state.card is Card.END:
                self.at.ended = state.end
            if state.card is not Card.STEP:
                return
            if not self.fire(ONWARD):
                raise Fault(f"'{state.name}' goes nowhere: no line of its goto holds")
        raise Fault(f"more than {CARDS_A_STEP} cards without waiting")

    def say_again(self) -> None:
        """Say the entry text of the state that waits, or the words it takes."""
        state = self.compiled.flow.states[self.model.state]
        names = self.model.scene.names()
        texts = [text.render(names) for text in state.entry.reply]
        words = self.compiled.words(state.name)
        if not texts and words:
            texts = [built_in_text(self.compiled, "nothing_matched", {"words": listed(words)})]
        self.say(texts or [built_in_text(self.compiled, "nothing_expected")])

    def say(self, texts: list[str]) -> None:
        """Say something: the first text goes below what was said before, each further one apart."""
        texts = [text for text in texts if text.strip()]
        if not texts:
            return
        if self.said:
            self.said[-1].append(texts[0])
        else:
            self.said.append([texts[0]])
        self.said += [[text] for text in texts[1:]]

    def done(self) -> Step:
        """Return the step as it went."""
        before, at = self.before, self.at
        conversation = replace(
            before,
            state=self.model.state,
            data=dict(self.model.scene.data),
            entry=at.entry,
            tries=at.tries,
            steps=before.steps + 1,
            now_at=self.now,
            version=self.compiled.flow.version,
            ended=at.ended,
            ended_at=self.now if at.ended is not None else None,
        )
        kind = OutboundKind.REPLY if isinstance(self.event, Received) else OutboundKind.OPENING
        return Step(
            conversation=conversation,
            event=self.event,
            now=self.now,
            state_before=before.state if before.entry else "",
            outbound=tuple(
                Outbound(before.channel, before.sender, "\n".join(parts), kind) for parts in self.said
            ),
            took=tuple(self.took),
            notes=tuple(self.notes),
        )

    def undone(self, fault: str) -> Step:
        """Return a step that changed nothing but says what went wrong."""
        before = self.before
        apology: tuple[Outbound, ...] = ()
        if isinstance(self.event, Received):
            text = built_in_text(self.compiled, "apology")
            apology = (Outbound(before.channel, before.sender, text, OutboundKind.APOLOGY),)
        return Step(
            conversation=replace(before, steps=before.steps + 1),
            event=self.event,
            now=self.now,
            state_before=before.state,
            outbound=apology,
            notes=tuple(self.notes),
            fault=fault,
        )
