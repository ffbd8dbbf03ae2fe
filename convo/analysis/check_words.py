"""Findings about words: those that never arrive, hide others, are taken twice, or belong to the carrier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from convo.analysis.findings import Finding, Looking
from convo.analysis.moves import CHANNEL, Says, happen, told
from convo.analysis.samples import answers_to, of_kind
from convo.engine.asking import read_answer
from convo.engine.machine import Does
from convo.engine.opening import OPT_OUT_WORDS, ChannelFlows
from convo.errors import Fault
from convo.flow.answers import names_of
from convo.flow.model import Card, Question, Rule, State
from convo.flow.problems import Position
from convo.flow.triggers import Matcher, MatcherKind, fold, matches

ANY = ("text", "anything")
"""Answer types that take any text, so that a word above them is meant to go first."""


MANY = 3
"""An answer that takes so many of the words of opting out is about no word in particular."""


def opted_out(looking: Looking) -> Iterator[Finding]:
    """Find triggers and answers that mean opting out, so that they never arrive."""
    flow = looking.flow
    words = {fold(word): word for word in (OPT_OUT_WORDS if flow.opt_out is None else flow.opt_out)}
    hint = "choose another word, or give this flow its own 'opt_out: [UNSUBSCRIBE]'"
    for state, matcher, scope in _words(looking):
        if matcher.word in words:
            message = f"'{matcher.label}' means opting out here, so this trigger never hears it"
            looking.explained |= {row.source for row in looking.walk.missed if row.trigger == matcher.label}
            chat = _shown(looking, state, matcher.label)
            length = len(matcher.label)
            yield looking.finding(
                "C004", message, scope, matcher.position, length, hint=hint, chat=chat, keeps=state.name
            )
    for state, matcher, language, scope, at in _twin_words(looking):
        if matcher.word in words:
            message = f"'{matcher.label}', a word in '{language}', means opting out here and is never heard"
            yield looking.finding("C004", message, scope, at, hint=hint, keeps=state.name)
    keywords = {fold(word): word for word in flow.keywords_alone}
    for folded in keywords.keys() & words.keys():
        if keywords.keys() <= words.keys():
            looking.explained |= {row.source for row in looking.walk.machine}
        message = f"'{keywords[folded]}' means opting out here, so this keyword never opens the flow"
        yield looking.finding("C004", message, "", _keywords(looking), len("keywords"), hint=hint)
    for state in _questions(looking):
        taken = {folded for folded in words if _is_answer(looking, state, folded)}
        if len(taken) >= MANY and state.question is not None and state.question.answer is not None:
            continue  # like ``text`` it takes just any word: none of these is meant
        for folded, word in words.items():
            if folded in taken:
                message = f"'{word}' means opting out here, so this question never hears it as an answer"
                chat = _shown(looking, state, word)
                at, length = state.position, len(state.name)
                yield looking.finding(
                    "C004", message, state.scope, at, length, hint=hint, chat=chat, keeps=state.name
                )


def hidden(looking: Looking) -> Iterator[Finding]:
    """Find words of ``anywhere``, and keywords, that would have been answers."""
    for state in _questions(looking):
        if state.question is not None and state.question.confirms:
            continue  # yes and no are its own words
        inherited = [(rule, matcher) for rule in state.inherited for matcher in rule.matchers]
        words = [(each.label, "a word of anywhere") for _, each in inherited if _is_word(each)]
        for rule in state.inherited:
            words += [(each.label, "a word of anywhere") for twins in rule.twins.values() for each in twins]
        plain = (*looking.flow.keywords_alone, *_twin_keywords(looking))
        words += [(word, "the keyword of this flow") for word in plain]
        own = {matcher.word for rule in state.rules for matcher in rule.matchers}
        for word, what in dict(reversed(words)).items():
            if fold(word) not in own and _is_answer(looking, state, word):
                message = f"'{word}' is {what}, so this question never hears it as an answer"
                hint = "take another word there, or 'anywhere: off' in this state"
                if word in plain:
                    hint = f"take another keyword or another answer; a menu of triggers would hear '{word}'"
                chat = _shown(looking, state, word)
                at, length = state.position, len(state.name)
                yield looking.finding(
                    "C009", message, state.scope, at, length, hint=hint, chat=chat, keeps=state.name
                )


def heard_late(looking: Looking) -> Iterator[Finding]:
    """Find keywords that are words of the first state, too: opening uses them up and says nothing."""
    flow = looking.flow
    state = flow.states[flow.start]
    if state.card is not Card.COMMAND or state.entry.reply or flow.greeting is not None:
        return
    for rule in state.rules:
        for matcher in rule.matchers:
            if _is_word(matcher) and matcher.word in {fold(word) for word in flow.keywords_alone}:
                message = (
                    f"'{matcher.label}' opens this flow; '{state.name}' hears it only when it is sent again"
                )
                hint = "let the first state ask or say something, or leave the word to the keywords alone"
                chat = _shown(looking, state, matcher.label)
                length = len(matcher.label)
                yield looking.finding(
                    "C009", message, state.scope, matcher.position, length, hint=hint, chat=chat
                )


def _twin_keywords(looking: Looking) -> Iterator[str]:
    """Yield the keywords of other languages that open the flow without a value."""
    for words in looking.flow.twin_keywords.values():
        yield from (word for word in words if not word.endswith((" number", " text")))


def same_text(looking: Looking) -> Iterator[Finding]:
    """Find kinds that take the same text, and triggers that take what is an answer too."""
    for state in looking.flow.states.values():
        if state.name not in looking.walk.states:
            continue
        kinds = [matcher for rule in state.rules for matcher in rule.matchers if not _is_word(matcher)]
        kinds = [matcher for matcher in kinds if matcher.kind is not MatcherKind.ELSE]
        for index, later in enumerate(kinds):
            for earlier in kinds[:index]:
                text = _of_both(earlier, later)
                if text is not None:
                    message = f"'{text}' is of '{earlier.label}' above and of '{later.label}'"
                    hint = "the first in the file takes it; keep them apart, or put the narrower one first"
                    chat = _shown(looking, state, text)
                    at, length = later.position, len(later.label)
                    yield looking.finding(
                        "C008", message, state.scope, at, length, hint=hint, chat=chat, keeps=state.name
                    )
        yield from _answers_taken(looking, state, kinds)


def _answers_taken(looking: Looking, state: State, kinds: list[Matcher]) -> Iterator[Finding]:
    """Find triggers of a question that take what would have been an answer to it."""
    question = state.question
    if question is None or not question.has_answer:
        return
    words = [matcher for rule in _own(state, question) for matcher in rule.matchers if _is_word(matcher)]
    found = [(each, each.label) for each in words if _is_answer(looking, state, each.label)]
    for matcher in kinds:
        text = next((each for each in _answers(looking, state) if matches(matcher, each)), None)
        found += [(matcher, text)] if text is not None else []
    for matcher, text in found:
        message = f"'{text}' is an answer to this question, but '{matcher.label}' takes it"
        hint = "triggers go before answers: take another word"
        chat = _shown(looking, state, text)
        length = len(matcher.label)
        yield looking.finding(
            "C008", message, state.scope, matcher.position, length, hint=hint, chat=chat, keeps=state.name
        )


def left_out(looking: Looking) -> Iterator[Finding]:
    """Find words of which no ``if`` holds in some chat, and that nothing else takes there."""
    known = looking.compiled.recognisers
    told: set[tuple[str, str]] = set()
    for hop in looking.walk.hops():
        if not isinstance(hop.move, Says):
            continue
        state = looking.flow.states.get(looking.walk.points[hop.source].spot.state)
        unheard = any(
            "nothing matched" in each.notes or "a wrong answer" in each.notes for each in hop.outcome.steps
        )
        if state is None or not unheard or not looking.walk.points[hop.source].spot.is_open:
            continue
        for trigger in known.of_words(hop.move.text):
            rows = [row for row in looking.rows_of(state.name) if row.name == trigger]
            key = (state.name, trigger)
            if not rows or key in told:
                continue
            told.add(key)
            message = f"'{rows[0].trigger}' in '{state.name}' is left without an answer where no 'if' holds"
            hint = "end its list with an action that has no 'if', or write an 'else'"
            if rows[0].take is not None and rows[0].take.does is Does.PASS_OVER:
                hint = (
                    "it leaves the answer open: end the 'goto' with 'else: STATE', or write 'optional: off'"
                )
            yield looking.of_row("C007", message, rows[-1], hint=hint, chat=looking.walk.chat(hop))


def carriers(looking: Looking, reserved: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    """Find words that a carrier takes for itself before, or beside, the flow."""
    flow = looking.flow
    for transport, words in sorted(reserved.items()):
        folded = {fold(word) for word in words}
        hint = f"{transport} takes it as its own word: {', '.join(sorted(words))}"
        for _, matcher, scope in _words(looking):
            if matcher.word in folded:
                message = f"'{matcher.label}' belongs to the carrier of {transport}"
                length = len(matcher.label)
                yield looking.finding("C012", message, scope, matcher.position, length, hint=hint)
        for state in _questions(looking):
            for word in sorted(words):
                if _is_answer(looking, state, word):
                    message = f"'{word}', an answer to '{state.name}', belongs to the carrier of {transport}"
                    at, length = state.position, len(state.name)
                    yield looking.finding("C012", message, state.scope, at, length, hint=hint)
        for word in flow.keywords:
            if fold(word) in folded:
                message = f"the keyword '{word}' belongs to the carrier of {transport}"
                yield looking.finding("C012", message, "", _keywords(looking), 8, hint=hint)


# -- what states take -----------------------------------------------------------------------------------


def _words(looking: Looking) -> Iterator[tuple[State, Matcher, str]]:
    """Yield every word of a trigger, with a state that takes it and the scope of its file."""
    told: set[tuple[str, Position]] = set()
    for state in looking.flow.states.values():
        rules = [(rule, state.scope) for rule in _own(state, state.question)]
        rules += [(rule, rule.actions[0].scope if rule.actions else state.scope) for rule in state.inherited]
        for rule, scope in rules:
            for matcher in rule.matchers:
                if _is_word(matcher) and (scope, matcher.position) not in told:
                    told.add((scope, matcher.position))
                    yield state, matcher, scope


def _twin_words(looking: Looking) -> Iterator[tuple[State, Matcher, str, str, Position]]:
    """Yield every word of a trigger in another language: with its state, language, file and base words."""
    told: set[tuple[str, Position]] = set()
    for state in looking.flow.states.values():
        rules = [(rule, state.scope) for rule in _own(state, state.question)]
        rules += [(rule, rule.actions[0].scope if rule.actions else state.scope) for rule in state.inherited]
        for rule, scope in rules:
            if (scope, rule.position) in told:
                continue
            told.add((scope, rule.position))
            for language, matchers in rule.twins.items():
                for matcher in matchers:
                    yield state, matcher, language, scope, rule.position


def _keywords(looking: Looking) -> Position:
    """Return where the keywords of the flow stand."""
    lines = looking.places.lines_of("")
    return Position(next((n for n, line in enumerate(lines, 1) if line.startswith("keywords")), 1), 1)


def _own(state: State, question: Question | None) -> list[Rule]:
    more = (question.optional, question.back) if question is not None else ()
    return [*state.rules, *(rule for rule in more if rule is not None)]


def _questions(looking: Looking) -> Iterator[State]:
    """Yield the questions that do not take just any text."""
    for state in looking.flow.states.values():
        question = state.question
        if question is None or not question.has_answer or state.name not in looking.walk.states:
            continue
        if question.answer is None or question.answer.kind not in ANY:
            yield state


def _is_answer(looking: Looking, state: State, text: str) -> bool:
    """Return whether a question that was reached takes a text, in any language of the flow."""
    question = state.question
    if question is None or (question.answer is not None and question.answer.kind in ANY):
        return False
    # Many questions ask the same way, and a word is looked at for each of them.
    written = "" if question.answer is None else str(question.answer.source)
    key = (written, question.choices, question.many, str(question.choices_from), text)
    depends = question.choices_from is not None or (question.answer is not None and names_of(question.answer))
    if depends or key not in looking.answers:
        looking.answers[key] = _takes(looking, state, question, text)
    return looking.answers[key]


def _takes(looking: Looking, state: State, question: Question, text: str) -> bool:
    spot = looking.walk.points[looking.walk.states[state.name]].spot
    names = looking.guesses.names(spot, state)
    for language in looking.flow.languages or (looking.flow.language,):
        try:
            reply = read_answer(question, text, names, looking.flow, language, spot.clock)
        except Fault:
            return False
        if reply.value is not None:
            return True
    return False


def _answers(looking: Looking, state: State) -> Iterable[str]:
    """Return a few good answers to a question that was reached."""
    spot, flow = looking.walk.points[looking.walk.states[state.name]].spot, looking.flow
    if state.question is None:
        return ()
    names = looking.guesses.names(spot, state)
    found = answers_to(state.question, flow, names, flow.language, spot.clock, ())
    return [text for _, (text, _) in zip(range(6), found, strict=False)]


def _of_both(earlier: Matcher, later: Matcher) -> str | None:
    """Return a text that two kinds take; None where the second is the broader one, below on purpose."""
    if later.kind is MatcherKind.TEXT or _is_within(earlier, later):
        return None
    texts = [*of_kind(later, ()), *of_kind(earlier, ())]
    return next((text for text in texts if matches(earlier, text) and matches(later, text)), None)


def _is_within(narrow: Matcher, wide: Matcher) -> bool:
    """Return whether all numbers of one kind are of another."""
    if not narrow.kind is wide.kind is MatcherKind.NUMBER:
        return False
    low = wide.low is None or (narrow.low is not None and wide.low <= narrow.low)
    return low and (wide.high is None or (narrow.high is not None and narrow.high <= wide.high))


def _is_word(matcher: Matcher) -> bool:
    return matcher.kind is MatcherKind.WORD


def _shown(looking: Looking, state: State, text: str) -> tuple[str, ...]:
    """Return the shortest chat to a state, and what comes of a text there."""
    number = looking.walk.states.get(state.name)
    if number is None:
        return ()
    name = looking.flow.name
    flows = ChannelFlows(CHANNEL, {name: looking.compiled}, name)
    spot = looking.walk.points[number].spot
    move = Says(text, spot.who)
    return (*looking.walk.chat_to(number), *told(move, happen(flows, spot, move)))
