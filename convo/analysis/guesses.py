"""Which moves are worth trying in a spot: one or more for each transition that leads out of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from convo.analysis.live import Live, literals
from convo.analysis.moves import Answers, Move, Opens, Says, Spot, Waits
from convo.analysis.samples import BAD, answers_to, of_kind, values_of, wrong_for
from convo.analysis.transcripts_model import SENDER
from convo.engine.conversation import Received
from convo.engine.machine import WRONG, CompiledFlow
from convo.engine.timing import is_open, quiet_until
from convo.engine.turn import Turn
from convo.flow.cards import CALL_RESULTS
from convo.flow.model import ClockTime, State
from convo.flow.triggers import Matcher
from convo.flow.values import Value, parse_duration

MOST_VALUES = 8
"""So many values of one answer are tried where conditions look at it."""

JUST_BEFORE = timedelta(minutes=1)
"""How long before a clock time a chat may begin, so that it comes before all else."""

MOST_CLOCK_TIMES = 6
"""So many times of the day are told apart at most."""


@dataclass(slots=True)
class Guesses:
    """The moves of one Machine."""

    compiled: CompiledFlow
    live: Live
    triggers: dict[str, list[str]] = field(default_factory=dict)
    _clocks: tuple[ClockTime, ...] | None = None

    def __post_init__(self) -> None:
        """Find the triggers that each state has."""
        for name, event in self.compiled.machine.events.items():
            for source in event.transitions:
                self.triggers.setdefault(source, []).append(name)

    # -- how a conversation opens -------------------------------------------------------------------

    def roots(self, start: datetime) -> list[Spot]:
        """Return where chats may begin: by day and by night where that matters, as each person that does."""
        flow, tests = self.compiled.flow, self.live.tests
        read = {path for test in tests for path in test.paths}
        people = [str(each.number) for name, each in flow.people.items() if name in read]
        begins = quiet_until(flow, start) or start
        clocks = [begins, *self._phases(begins)]
        for name in flow.hours:
            if name in read:
                clocks += [begins + by for by in self._turns(begins, name)]
        return [Spot(None, clock, who) for who in (SENDER, *people) for clock in clocks]

    def phase(self, clock: datetime) -> tuple[object, ...]:
        """Return between which clock times of the flow a moment lies, and the day where days matter."""
        times = self._clock_times()
        if not times:
            return ()
        local = clock.astimezone(ZoneInfo(self.compiled.flow.zone))
        day = local.weekday() if any(len(each.days) < 7 for each in times) else 0
        soon = (local + 2 * JUST_BEFORE).time()
        at = local.time()
        return (day, sum(each.at <= at for each in times), any(at < each.at <= soon for each in times))

    def _phases(self, begins: datetime) -> list[datetime]:
        """Return moments, one in each other phase of the day and of the week."""
        times = self._clock_times()
        found = {self.phase(begins): begins}
        zone = ZoneInfo(self.compiled.flow.zone)
        for hours in range(1, 24 * 7) if times else ():
            moment = begins + timedelta(hours=hours)
            found.setdefault(self.phase(moment), moment)
            for each in times:
                local = datetime.combine(moment.astimezone(zone).date(), each.at, tzinfo=zone)
                just_before = local.astimezone(UTC) - JUST_BEFORE
                if just_before > begins:
                    found.setdefault(self.phase(just_before), just_before)
        return list(found.values())[1:]

    def _clock_times(self) -> tuple[ClockTime, ...]:
        if self._clocks is None:
            timers = [timer for state in self.compiled.flow.states.values() for timer in state.timers]
            times = {timer.when for timer in timers if isinstance(timer.when, ClockTime)}
            # With very many of them, their order in each state has to do.
            few = len({each.at for each in times}) <= MOST_CLOCK_TIMES
            self._clocks = tuple(times) if few else ()
        return self._clocks

    def openings(self, spot: Spot) -> Iterator[Move]:
        """Yield the ways in which a conversation can begin."""
        flow = self.compiled.flow
        if flow.needs_data:
            yield from self._given(spot)
            return
        words = list(flow.keywords_alone)
        yield from (Says(word, spot.who) for word in words)
        for word, matcher in flow.keyword_values.items():
            for text in list(of_kind(matcher, self._compared("value")))[:MOST_VALUES]:
                yield Says(f"{word} {text}", spot.who)
        for twins in flow.twin_keywords.values():
            yield from (Says(word, spot.who) for word in twins[:1])
        if not flow.keywords:
            yield Says("hello", spot.who)
        if not flow.states[flow.start].speaks:
            yield from self._texts(spot, flow.states[flow.start], main=True)

    def _given(self, spot: Spot) -> Iterator[Move]:
        flow = self.compiled.flow
        asked = [each for each in flow.data.values() if each.given and each.first is None]
        tried = [
            list(
                values_of(
                    flow.types.get(each.name, each.type), spot.clock, flow.zone, self._compared(each.name)
                )
            )
            for each in asked
        ]
        for turn in range(min(MOST_VALUES, max(map(len, tried)))):
            pairs = zip(asked, tried, strict=True)
            yield Opens(tuple((each.name, values[min(turn, len(values) - 1)]) for each, values in pairs))

    # -- what can happen then -----------------------------------------------------------------------

    def moves(self, spot: Spot, *, main: bool) -> Iterator[Move]:
        """Yield what may happen in a spot.

        Not ``main``: another spot differs from it only by tries spent and timers fired, and only what
        depends on those is yielded.
        """
        if spot.conversation is None:
            yield from self.openings(spot)
            return
        state = self.compiled.flow.states.get(spot.state)
        if not spot.conversation.is_open:
            kept = any(datum.keep for datum in self.compiled.flow.data.values())
            if kept and not self.compiled.flow.needs_data:
                yield from list(self.openings(spot))[:1]
            return
        if state is None:
            return
        if spot.request is not None and state.call is not None:
            yield from self._results(spot, state)
            return
        yield from self._texts(spot, state, main=main)
        if spot.timers:
            yield Waits()
        if main:
            yield from (Waits(by) for by in self._idle(spot))

    def _texts(self, spot: Spot, state: State, *, main: bool) -> Iterator[Says]:
        known, language = self.compiled.recognisers, self._language(spot)
        triggers = self.triggers.get(state.name, [])
        if main:
            labels = known.labels_in(language)
            for name in triggers:
                if "word" in name and name in labels:
                    yield Says(labels[name], spot.who)
            compared = (*self._compared("value"), *self._compared("message"))
            kinds: list[tuple[str, Matcher]] = [
                *known.kinds.get(state.name, ()),
                *known.anywhere_kinds.get(state.name, ()),
            ]
            for _, matcher in kinds:
                texts = list(of_kind(matcher, compared))
                yield from (Says(text, spot.who) for text in texts[: MOST_VALUES if compared else 1])
            yield from self._good(spot, state)
        if WRONG in triggers:
            yield from self._wrong(spot, state)
        elif main:
            # Where any text is taken, an empty one is all that is left.
            yield from (Says(text, spot.who) for text in BAD[: 2 if known.kinds.get(state.name) else 1])

    def _good(self, spot: Spot, state: State) -> Iterator[Says]:
        question = state.question
        if question is None or not question.has_answer:
            return
        compared = self._compared(state.scope + question.save) if question.save else ()
        most = len(question.outcomes) or (MOST_VALUES if compared else 1)
        names, language = self.names(spot, state), self._language(spot)
        answers = answers_to(question, self.compiled.flow, names, language, spot.clock, compared)
        for count, (text, _) in enumerate(answers, 1):
            yield Says(text, spot.who)
            if count >= max(most, MOST_VALUES if compared else 1):
                return

    def _wrong(self, spot: Spot, state: State) -> Iterator[Says]:
        question, known = state.question, self.compiled.recognisers
        if question is None:
            return
        names, language = self.names(spot, state), self._language(spot)
        kinds = [*known.kinds.get(state.name, ()), *known.anywhere_kinds.get(state.name, ())]
        taken = {matcher.kind for _, matcher in kinds}
        wrong = wrong_for(question, self.compiled.flow, names, language, spot.clock)
        for count, text in enumerate(wrong, 1):
            yield Says(text, spot.who)
            if count >= (3 if taken else 1):
                return

    def _results(self, spot: Spot, state: State) -> Iterator[Answers]:
        call, flow = state.call, self.compiled.flow
        if call is None or spot.request is None:
            return
        for result in CALL_RESULTS:
            tried: list[tuple[str, list[str]]] = []
            for name in call.save if result == "ok" else ():
                path = state.scope + name
                kind = flow.types[path]
                tried.append((name, list(values_of(kind, spot.clock, flow.zone, self._compared(path)))))
            most = max((len(values) for _, values in tried), default=1)
            for turn in range(min(most, MOST_VALUES)):
                values = tuple((name, each[min(turn, len(each) - 1)]) for name, each in tried)
                yield Answers(spot.request.service, result, values)

    def _idle(self, spot: Spot) -> Iterator[timedelta]:
        """Yield how long to wait for a condition on the time to change."""
        alive = self.live.waiting.get(spot.state, frozenset())
        for name in self.compiled.flow.hours:
            if name in alive:
                yield from self._turns(spot.clock, name)
        if {"now", "today"} & self.live.built_in:
            timed = [
                str(test.expression.source)
                for test in self.live.tests_of(spot.state)
                if {"now", "today"} & test.expression.names
            ]
            for text in literals(timed):
                duration = parse_duration(text)
                if duration is not None:
                    yield duration + timedelta(minutes=1)

    def _turns(self, clock: datetime, name: str) -> Iterator[timedelta]:
        """Yield after how long opening hours are first found changed: closed, or open."""
        flow, zone = self.compiled.flow, ZoneInfo(self.compiled.flow.zone)
        now = is_open(flow.hours[name], flow.closed, clock.astimezone(zone))
        for hours in range(1, 24 * 8):
            by = timedelta(hours=hours)
            if is_open(flow.hours[name], flow.closed, (clock + by).astimezone(zone)) != now:
                yield by
                return

    # -- what a conversation knows ------------------------------------------------------------------

    def names(self, spot: Spot, state: State) -> dict[str, Value]:
        """Return everything that expressions of the state see."""
        if spot.conversation is None:
            return {}
        event = Received("", spot.clock, spot.clock)
        turn = Turn(self.compiled, spot.conversation, event, spot.clock, spot.clock, [])
        return turn.model.scene.names(state.scope)

    def _language(self, spot: Spot) -> str:
        at = spot.conversation
        return at.language if at is not None else self.compiled.flow.language

    def _compared(self, path: str) -> tuple[str, ...]:
        return self.live.constants.get(path, ())
