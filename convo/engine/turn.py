"""The step in hand: a sender's machine, and what has been said and taken so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from convo.engine.asking import Reply, sorry_text
from convo.engine.conversation import (
    Answered,
    Conversation,
    Event,
    Received,
    Request,
    Step,
    Timer,
    TimerFired,
)
from convo.engine.machine import ONWARD, SKIP, WRONG, CompiledFlow, Does, Take, end_state, taken
from convo.engine.said import built_in_text, listed, question_text
from convo.engine.scene import Scene, SenderMachine, worked_out
from convo.engine.timing import (
    is_open,
    moment_timers,
    quiet_until,
    silence_timers,
    timers_of,
)
from convo.engine.trace import Took
from convo.errors import Fault
from convo.flow.model import NOTHING, Card, Effects, Question, State
from convo.flow.template import Template
from convo.flow.values import Value
from convo.messages import Address, Outbound, OutboundKind

CARDS_A_STEP = 20
"""So many cards may follow each other without waiting; more is a fault."""

LONGEST_TRAIL = 50
"""So many answered questions are remembered for going back."""


@dataclass(slots=True)
class _Progress:
    entry: int
    tries: int
    trail: tuple[str, ...]
    ended: str | None = None
    language: str = "en"
    heard: str = ""


class Turn:
    """One event on one conversation, as far as it has gone. ``now`` is the author's, ``clock`` ours."""

    def __init__(
        self,
        compiled: CompiledFlow,
        conversation: Conversation,
        event: Event,
        now: datetime,
        clock: datetime,
        notes: list[str],
    ) -> None:
        self.compiled = compiled
        self.before = conversation
        self.event = event
        self.now = now
        self.clock = clock
        self.notes = notes
        self.said: list[list[str]] = []
        self.told: list[Outbound] = []
        self.took: list[str] = []
        self.timers: dict[str, Timer] = {}
        self.answers: list[Answered] = []
        self.request: Request | None = None
        self.leaving = ""
        self.reply: Reply | None = None
        self.at = _Progress(
            conversation.entry,
            conversation.tries,
            conversation.trail,
            conversation.ended,
            conversation.language,
            conversation.heard,
        )
        zone = ZoneInfo(compiled.flow.zone)
        local = now.astimezone(zone)
        built_in: dict[str, Value] = {
            "now": local,
            "today": local.date(),
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
        fixed: dict[str, Value] = {name: person.number for name, person in compiled.flow.people.items()}
        for name, hours in compiled.flow.hours.items():
            fixed[name] = is_open(hours, compiled.flow.closed, local)
        scene = Scene(data, built_in, fixed)
        self.model = SenderMachine(conversation.state, scene, conversation.tries, conversation.trail)
        self.model.trace = compiled.trace

    @property
    def waits(self) -> bool:
        """Whether the machine waits for something."""
        return self.at.ended is None

    @property
    def state(self) -> State:
        """The state of the machine."""
        return self.compiled.flow.states[self.model.state]

    # -- moving -------------------------------------------------------------------------------------

    def fire(self, trigger: str) -> bool:
        """Let the Machine try a trigger, and make the effects of what it took."""
        source = self.model.state
        if not self.compiled.fire(self.model, trigger):
            return False
        take = self.model.took
        if not isinstance(take, Take):
            raise Fault(f"a transition from '{source}' carries nothing to do")
        self.model.took = None
        stays = self.model.state == source and (
            take.arm is None or (take.arm.to, take.arm.end) == (None, None)
        )
        dest = None if stays else self.model.state
        self.took.append(taken(source, take.label, dest, take.line))
        if self.model.trace is not None:
            self.model.trace.add(Took(source, take, dest))
        self.effects(take.effects, take.scope)
        if take.arm is not None:
            self.effects(take.arm.effects, take.scope)
        if dest is None:
            self._stayed(take)
        elif trigger not in (ONWARD, SKIP):
            self._left(source, take)
            self.enter(back=take.does is Does.BACK, source=source)
        return True

    def _stayed(self, take: Take) -> None:
        question = self.state.question
        if take.does is Does.SORRY and question is not None:
            self.sorry(question)
        elif take.does is Does.REMIND and question is not None:
            self._remind(question)
        elif question is not None and isinstance(self.event, Received):
            if take.does is Does.NOTHING_BEFORE:
                self.say([self.built_in("nothing_before")])
            self.say_again()

    def sorry(self, question: Question) -> None:
        """Count a wrong answer and say what a good one would be."""
        self.at.tries = self.model.tries
        words = self.compiled.words(self.model.state, self.at.language)
        texts = [text.in_language(self.at.language) for text in question.sorry]
        names = self.model.scene.names(self.state.scope)
        self.say([sorry_text(question, self.reply, texts, names, self.compiled, words, self.at.language)])

    def _remind(self, question: Question) -> None:
        index = int(self.event.name.split()[-1]) - 1 if isinstance(self.event, TimerFired) else 0
        if question.silence.reminder:
            self.say(
                [self.rendered(question.silence.reminder[min(index, len(question.silence.reminder) - 1)])]
            )
        self.say_again()

    def _left(self, source: str, take: Take) -> None:
        """Remember the question that was answered, for going back."""
        state = self.compiled.flow.states.get(source)
        question = state.question if state is not None else None
        if question is None or not isinstance(self.event, Received):
            return
        if take.does is Does.BACK or (question.confirms and self.model.state == question.confirms):
            self.at.trail = self.at.trail[:-1]
        elif not question.confirms and take.trigger != WRONG and not take.trigger.startswith("anywhere_"):
            self.at.trail = (*self.at.trail, source)[-LONGEST_TRAIL:]

    def effects(self, effects: Effects, scope: str = "") -> None:
        """Save the answer in hand, set, reply and tell, on what is now true."""
        if effects is NOTHING and not self.model.saved:
            return
        self.model.moved_on(self.model.scene.after(effects, scope, self.model.saved))
        if effects.reply:
            self.say([self.rendered(text, scope) for text in effects.reply])
        for tell in effects.tell:
            names = self.model.scene.names(scope)
            for text in tell.texts:
                said = text.render({**names, "language": self.compiled.flow.language})
                self._tell(tell.person.number, said)

    def enter(self, *, back: bool = False, source: str = "") -> None:
        """Enter the machine's state, and go on through steps until something waits or ends."""
        for _ in range(CARDS_A_STEP):
            self.at.entry += 1
            self.timers.clear()
            state = self.compiled.flow.states.get(self.model.state)
            if state is None:
                self.at.ended = self.model.state.removeprefix(end_state(""))
                return
            if not _same_question(self.compiled.flow.states.get(source), state):
                self.at.tries = 0
            self.model.tries = self.at.tries
            self.model.trail = self.at.trail
            self.model.scene.built_in["tries"] = self.at.tries
            if state.returns:
                self._return(state)
            self.effects(state.entry, state.scope)
            source = state.name
            if state.question is not None:
                if state.question.skip is not None and not back and self.fire(SKIP):
                    continue
                self._ask(state, state.question, back=back)
                return
            if state.card is Card.END:
                self.at.ended = state.end
                return
            if state.card is Card.COMMAND:
                self._start_timers(state)
                return
            if state.call is not None:
                self._call(state)
                return
            if state.run is not None:
                self._run(state)
            if not self.fire(ONWARD):
                raise Fault(f"'{state.name}' goes nowhere: no line of its goto holds")
        raise Fault(f"more than {CARDS_A_STEP} cards without waiting")

    def _ask(self, state: State, question: Question, *, back: bool) -> None:
        if question.optional is not None and not back:
            self._unset([state.scope + question.save])
        self.say([self._question_text(state, question, hint=True)])
        self._start_timers(state)
        for timer in silence_timers(question, self.clock):
            self.timers[timer.name] = timer

    def _start_timers(self, state: State) -> None:
        for timer in timers_of(state, self.compiled.flow, self.now, self.model.scene.data):
            self.timers[timer.name] = timer

    def _run(self, state: State) -> None:
        """Begin a sub-flow: its data are what it is given, and its first values."""
        run = state.run
        if run is None:
            return
        names = self.model.scene.names(state.scope)
        given = {line.name: worked_out(line, names) for line in run.given}
        scope = f"{state.name}/"
        self._unset([name for name in self.model.scene.data if name.startswith(scope)])
        self._unset([state.scope + name for name in run.save])
        for name, value in {**run.first, **given}.items():
            self.model.scene.data[scope + name] = value

    def _return(self, state: State) -> None:
        """End a sub-flow: take over what its card saves."""
        card = self.compiled.flow.states[state.returns]
        data = self.model.scene.data
        for name in card.run.save if card.run is not None else ():
            value = data.get(f"{state.returns}/{name}")
            if value is not None:
                data[card.scope + name] = value

    def _call(self, state: State) -> None:
        call = state.call
        if call is None:
            return
        self._unset([state.scope + name for name in call.save])
        names = self.model.scene.names(state.scope)
        self.request = Request(call.service, {line.name: worked_out(line, names) for line in call.given})

    def _unset(self, names: Iterable[str]) -> None:
        for name in names:
            self.model.scene.data.pop(name, None)

    # -- saying -------------------------------------------------------------------------------------

    def speak(self, language: str) -> None:
        """Go on in another language, where the flow has it."""
        if language in self.compiled.flow.languages:
            self.at.language = language
            self.model.scene.built_in["language"] = language

    def rendered(self, text: Template, scope: str | None = None) -> str:
        """Return a text in the sender's language."""
        names = self.model.scene.names(self.state.scope if scope is None else scope)
        return text.in_language(self.at.language).render(names)

    def built_in(self, name: str, scope: dict[str, Value] | None = None) -> str:
        """Return one of the flow's built-in sentences in the sender's language."""
        return built_in_text(self.compiled, name, scope, self.at.language)

    def _question_text(self, state: State, question: Question, *, hint: bool) -> str:
        names = self.model.scene.names(state.scope)
        return question_text(question, names, self.at.language, hint=hint)

    def say_again(self) -> None:
        """Say the question or the entry text of the state that waits, or the words it takes."""
        state = self.state
        if state.question is not None:
            self.say([self._question_text(state, state.question, hint=False)])
            return
        texts = [self.rendered(text, state.scope) for text in state.entry.reply]
        words = self.compiled.words(state.name, self.at.language)
        if not texts and words:
            texts = [self.built_in("known_words", {"words": listed(words, self.at.language)})]
        self.say(texts or [self.built_in("nothing_expected")])

    def say(self, texts: list[str]) -> None:
        """Say something: the first text goes below what was said before, each further one apart.

        A text ends with its last letter: the line end behind a text written after ``|`` would cost a
        character, and leave a gap above what comes below.
        """
        texts = [text.rstrip() for text in texts if text.strip()]
        if not texts:
            return
        if self.said:
            self.said[-1].append(texts[0])
        else:
            self.said.append([texts[0]])
        self.said += [[text] for text in texts[1:]]

    def _tell(self, number: Address, text: str) -> None:
        if text.strip():
            held = quiet_until(self.compiled.flow, self.clock)
            channel = self.before.channel
            self.told.append(Outbound(channel, number, text.rstrip(), OutboundKind.TELL, not_before=held))

    # -- the result ---------------------------------------------------------------------------------

    def done(self) -> Step:
        """Return the step as it went."""
        before, at = self.before, self.at
        data = dict(self.model.scene.data)
        self._restart_silence()
        if at.ended is None and self.model.state in self.compiled.flow.states and data != before.data:
            for timer in moment_timers(self.state, self.compiled.flow, self.now, data):
                self.timers[timer.name] = timer
        conversation = Conversation(  # every field anew: ``replace`` takes twice as long
            channel=before.channel,
            sender=before.sender,
            number=before.number,
            flow=before.flow,
            state=self.model.state,
            opened_at=before.opened_at,
            now_at=self.now,
            version=self.compiled.flow.version,
            data=data,
            entry=at.entry,
            tries=at.tries,
            steps=before.steps + 1,
            language=at.language,
            ended=at.ended,
            ended_at=self.now if at.ended is not None else None,
            closed_told=before.closed_told,
            trail=at.trail,
            heard=at.heard,
            leaving=self.leaving,
            kept=self._kept(data) if at.ended is not None else before.kept,
        )
        return Step(
            conversation=conversation,
            event=self.event,
            now=self.now,
            state_before=before.state if before.entry else "",
            outbound=(*self._outbound(), *self.told),
            timers=tuple(self.timers.values()) if at.ended is None else (),
            request=self.request if at.ended is None else None,
            answers=tuple(self.answers),
            took=tuple(self.took),
            notes=tuple(self.notes),
        )

    def _outbound(self) -> Iterable[Outbound]:
        asked_for = isinstance(self.event, Received)
        kind = OutboundKind.REPLY if asked_for else OutboundKind.TIMER
        if not asked_for and self.before.entry == 0:
            kind = OutboundKind.OPENING
        held = None if asked_for else quiet_until(self.compiled.flow, self.clock)
        state = self.compiled.flow.states.get(self.model.state)
        asks = self.at.entry if state is not None and state.question is not None else 0
        for parts in self.said:
            yield Outbound(
                self.before.channel,
                self.before.sender,
                "\n".join(parts),
                kind,
                not_before=held,
                number=self.before.number,
                asks=asks,
            )

    def _restart_silence(self) -> None:
        """Let the time of silence begin anew where the sender wrote and the question still waits."""
        if self.at.ended is None and isinstance(self.event, Received) and self.at.entry == self.before.entry:
            question = self.state.question
            for timer in silence_timers(question, self.clock) if question is not None else ():
                self.timers[timer.name] = timer

    def _kept(self, data: dict[str, Value]) -> dict[str, dict[str, Value]]:
        flow = self.compiled.flow
        kept = {name: data[name] for name, datum in flow.data.items() if datum.keep and name in data}
        found = {name: dict(values) for name, values in self.before.kept.items()}
        if kept:
            found[flow.name] = kept
        return found

    def undone(self, fault: str) -> Step:
        """Return a step that changed nothing but says what went wrong."""
        before = self.before
        apology: tuple[Outbound, ...] = ()
        if isinstance(self.event, Received):
            text = built_in_text(self.compiled, "apology", None, before.language)
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


def _same_question(before: State | None, after: State) -> bool:
    """Return whether wrong answers go on being counted: between a question and its confirmation."""
    if before is None or before.question is None or after.question is None:
        return False
    return before.question.confirms == after.name or after.question.confirms == before.name
