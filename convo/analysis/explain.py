"""Why a step went as it did: what was read, tried and decided, in plain sentences with the lines.

Nothing is worked out a second time in another way: the step is made again by the engine, which notes
what it looks at (``engine/trace.py``), and the notes are told here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from convo.analysis.places import Place, Places
from convo.engine.conversation import CallAnswered, Conversation, Event, Received, Started, Step, TimerFired
from convo.engine.machine import ONWARD, SKIP, WRONG, CompiledFlow
from convo.engine.opening import ChannelFlows, answer
from convo.engine.said import choices_of
from convo.engine.trace import (
    AnswerRead,
    Asked,
    Keyword,
    KindTried,
    Note,
    Read,
    Tested,
    Took,
    Trace,
    WordFound,
    watched,
)
from convo.flow.triggers import fold
from convo.flow.values import Value, show
from convo.messages import Address

SHOWN = 160
"""So many characters of a text are shown."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one step went as it did. ``places`` are the lines that decided, in the order of the telling."""

    sentences: tuple[str, ...]
    places: tuple[Place, ...]
    step: Step | None = None

    def lines(self) -> list[str]:
        """Return it for a terminal: the sentences, then the lines of the files."""
        said = list(self.sentences)
        if self.places:
            said.append("the lines that decided:")
            margin = max(len(place.where) for place in self.places)
            said += [f"  {place.where.ljust(margin)} | {place.text}" for place in self.places]
        return said

    def as_data(self) -> dict[str, object]:
        """Return it as plain data, for ``--format json``."""
        places = [{"path": each.path, "line": each.line, "text": each.text} for each in self.places]
        return {"sentences": list(self.sentences), "lines": places}


def explain(
    flows: ChannelFlows,
    sender: Address,
    conversation: Conversation | None,
    event: Event,
    now: datetime,
    *,
    opted_out: bool = False,
) -> Explanation:
    """Return why ``event`` does what it does to ``conversation``, as ``answer`` decides it.

    Raises:
        ConvoError: no flow answers, or the conversation waits in a state that is gone.
    """
    trace = Trace()
    seen = {name: watched(compiled, trace) for name, compiled in flows.flows.items()}
    steps = answer(replace(flows, flows=seen), sender, conversation, event, now, opted_out=opted_out)
    last = steps[-1] if steps else None
    name = last.conversation.flow if last is not None else conversation.flow if conversation else ""
    compiled = flows.flows.get(name) or next(iter(flows.flows.values()))
    telling = _Telling(compiled, Places(compiled.flow))
    telling.event(event, conversation)
    keyword = flows.keyword_of(event.text) if isinstance(event, Received) else None
    if keyword is not None and not trace.notes and last is not None and not last.consent:
        telling.say(f"It is a keyword of '{keyword.flow}'.")
    for step in steps[:-1]:
        telling.say(f"The conversation in '{step.conversation.flow}' ended: {step.conversation.ended}.")
    telling.before(event, conversation, steps, opted_out=opted_out)
    telling.notes(trace.notes)
    if last is not None:
        telling.outcome(conversation, last)
    return Explanation(tuple(telling.sentences), tuple(telling.places.found), last)


@dataclass(slots=True)
class _Telling:
    """Turns notes into sentences."""

    compiled: CompiledFlow
    places: Places
    sentences: list[str] = field(default_factory=list)
    words_told: bool = True

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def _at(self, place: Place | None) -> str:
        if place is None:
            return ""
        if place.path == self.places.file_of(""):
            return f" (line {place.line})"
        return f" ({Path(place.path).name}, line {place.line})"

    # -- what happened ------------------------------------------------------------------------------

    def event(self, event: Event, conversation: Conversation | None) -> None:
        """Tell what came."""
        is_open = conversation is not None and conversation.is_open
        match event:
            case Received():
                where = f" in '{conversation.state}'" if conversation is not None and is_open else ""
                self.say(f"They wrote {_quoted(event.text)}{where}{_compared(event.text)}.")
            case TimerFired():
                due = show(event.due_at, zone=ZoneInfo(self.compiled.flow.zone))
                where = conversation.state if conversation is not None else ""
                self.say(f"The timer '{event.name}' of '{where}' came due at {due}.")
            case CallAnswered():
                self.say(f"The service answered: {event.result}.")
            case Started():
                self.say(f"We opened the conversation in '{event.flow}'.")

    def before(
        self, event: Event, conversation: Conversation | None, steps: Sequence[Step], *, opted_out: bool
    ) -> None:
        """Tell what is decided before any state is asked."""
        step = steps[-1] if steps else None
        is_open = conversation is not None and conversation.is_open and len(steps) < 2
        if step is None:
            self.say(_silent(event, conversation, opted_out=opted_out))
        elif step.consent:
            kind = "leave me alone" if not opted_out else "write to me again"
            self.say(f"That means '{kind}' on this channel, and goes before everything that a flow says.")
        elif isinstance(event, Received) and not is_open and step.state_before == "":
            start = self.compiled.machine.initial
            self.say(f"No conversation was open, so '{self.compiled.flow.name}' began in '{start}'.")

    # -- what was tried -----------------------------------------------------------------------------

    def notes(self, notes: Iterable[Note]) -> None:
        """Tell what was tried, in order."""
        tell: Mapping[type, Callable[..., None]] = {
            Read: self._read,
            WordFound: self._word,
            KindTried: self._kind,
            AnswerRead: self._answer,
            Keyword: self._keyword,
            Asked: self._asked,
            Tested: self._tested,
            Took: self._took,
        }
        unread: Read | None = None
        for note in notes:
            if unread is not None and not isinstance(note, WordFound):
                self._no_word(unread)
            unread = note if isinstance(note, Read) else None
            tell[type(note)](note)
        if unread is not None:
            self._no_word(unread)

    def _read(self, note: Read) -> None:
        if note.late:
            self.say(f"It was sent before the question of '{note.state}' had been handed over.")

    def _no_word(self, note: Read) -> None:
        words = self.compiled.words(note.state, note.language)
        if words:
            self.say(f"It is none of the words taken in '{note.state}': {', '.join(words)}.")

    def _word(self, note: WordFound) -> None:
        label = self.compiled.recognisers.labels.get(note.trigger, note.trigger)
        if not self.compiled.takes(note.state, note.trigger):
            self.say(f"{label} is a word of this flow, but not in '{note.state}'.")
            return
        whose = "anywhere" if note.trigger.startswith("anywhere_") else f"'{note.state}'"
        place = self.places.of_word(note.state, label)
        self.say(f"It is the word {label} of {whose}{self._at(place)}.")

    def _kind(self, note: KindTried) -> None:
        place = self.places.of_matcher(note.state, note.matcher, decided=note.fits)
        whose = " of anywhere" if note.anywhere else ""
        fits = "fits" if note.fits else "does not fit"
        self.say(f"It {fits} `{note.matcher.label}`{whose}{self._at(place)}.")

    def _answer(self, note: AnswerRead) -> None:
        state = self.compiled.flow.states[note.state]
        question = state.question
        if question is None:
            return
        what, place = f"one of {question.choices_from}", self.places.of_answer(state)
        if question.answer is not None:
            what = f"`{' '.join(str(question.answer.source).split())}`"
        elif question.choices_from is None:
            labels = (choice.label for choice in choices_of(question, {}, ""))
            what = f"one of {', '.join(labels)}"
        if note.value is not None:
            how = f" (read as {note.how})" if note.how else ""
            value = self._shown(state.scope + question.save, note.value)
            self.say(f"It answers the question, {what}{self._at(place)}, with {value}{how}.")
        elif note.near:
            self.say(f"It is almost an answer, {what}{self._at(place)}: {_quoted(note.near)} is asked back.")
        else:
            because = f": {note.wrong}" if note.wrong else ""
            self.say(f"It is no answer, {what}{self._at(place)}{because}.")

    def _keyword(self, note: Keyword) -> None:
        self.say(
            f"It is a keyword of the channel, which goes before the kinds and answers of '{note.state}'."
        )

    def _asked(self, note: Asked) -> None:
        if note.trigger in ("else", "anywhere_else"):
            is_own = note.trigger == "else"
            place = self.places.of_else(note.state, own=is_own) if note.found else None
            whose = f"'{note.state}'" if is_own else "anywhere"
            found = f"so its `else` is tried{self._at(place)}" if note.found else "and it has no `else`"
            self.say(f"Nothing of {whose} matched, {found}.")
        elif note.trigger == WRONG and note.found:
            self.say("So it counts as a wrong answer.")

    def _tested(self, note: Tested) -> None:
        place = self.places.of_take(note.take)
        held = "holds" if note.held else "does not hold"
        values = [f"{name} is {self._shown(name, value)}" for name, value in note.values.items()]
        because = f": {_listed(values)}" if values else ""
        self.say(f"The condition `{note.condition}`{self._at(place)} {held}{because}.")

    def _took(self, note: Took) -> None:
        place = self.places.of_take(note.take)
        label, dest = note.take.label, note.dest
        if note.take.trigger == ONWARD:
            self.say(f"'{note.source}' waits for nothing and goes on to '{dest}'{self._at(place)}.")
        elif note.take.trigger == SKIP:
            self.say(f"The question '{note.source}' is passed over, to '{dest}'{self._at(place)}.")
        elif dest is None:
            self.say(f"So {label} was done{self._at(place)}, and the state stays '{note.source}'.")
        else:
            self.say(f"So {label} was done{self._at(place)}, and '{note.source}' goes on to '{dest}'.")

    def _shown(self, name: str, value: Value | None) -> str:
        if value is None:
            return "not set"
        if name in self.compiled.flow.private:
            return "(private)"
        return _short(show(value, zone=ZoneInfo(self.compiled.flow.zone)))

    # -- what came of it ----------------------------------------------------------------------------

    def outcome(self, before: Conversation | None, step: Step) -> None:
        """Tell what the step changed and said."""
        after = step.conversation
        if step.fault is not None:
            self.say(f"The step was undone as a whole, because {step.fault}.")
        known = before.data if before is not None and before.number == after.number else {}
        changes = [
            f"{name} is now {self._shown(name, value)}"
            for name, value in after.data.items()
            if known.get(name) != value
        ]
        if changes:
            self.say(f"Saved: {_listed(changes)}.")
        said = [_quoted(outbound.text) for outbound in step.outbound if outbound.recipient == after.sender]
        self.say(f"We said {_listed(said)}." if said else "Nothing was said.")
        if after.ended is not None and step.fault is None:
            self.say(f"The conversation is over: {after.ended}.")
        self.sentences += [f"({note})" for note in step.notes]


def _silent(event: Event, conversation: Conversation | None, *, opted_out: bool) -> str:
    if opted_out:
        return "They have opted out on this channel, so nothing is answered."
    if isinstance(event, Received) and conversation is not None and not conversation.is_open:
        return "The conversation is over, and they have been told so already."
    if isinstance(event, Started):
        return "A conversation is open with them already, so none was opened."
    return "The state that it belonged to had been left, so nothing was done."


def _compared(text: str) -> str:
    folded = fold(text)
    return "" if folded == text.strip().casefold() else f", which is compared as '{_short(folded)}'"


def _quoted(text: str) -> str:
    return f"“{_short(text)}”"


def _short(text: str) -> str:
    line = " ⏎ ".join(part for part in text.splitlines() if part.strip())
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in line)
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def told(explanations: Iterable[Explanation]) -> Iterator[str]:
    """Yield the lines of several explanations, one below the other."""
    for explanation in explanations:
        yield from explanation.lines()
