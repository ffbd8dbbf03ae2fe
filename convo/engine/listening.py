"""What a text means to the state that waits: its words, an answer, or nothing."""

from __future__ import annotations

from collections.abc import Collection

from convo.engine.asking import Reply, read_answer
from convo.engine.conversation import Answered, Received
from convo.engine.machine import WRONG
from convo.engine.said import listed
from convo.engine.scene import chosen_id
from convo.engine.trace import AnswerRead, Keyword, Read, WordFound
from convo.engine.turn import Turn
from convo.errors import Fault
from convo.flow.model import Late, Question, State
from convo.flow.triggers import fold, value_of
from convo.flow.values import Value


def take(turn: Turn, text: str, keywords: Collection[str]) -> bool:
    """Match a text and do what it says; False where it is a keyword of the channel."""
    known, state = turn.compiled.recognisers, turn.state
    question = state.question
    late = isinstance(turn.event, Received) and turn.event.late and question is not None
    if late and question is not None and question.late is Late.ACCEPT:
        late = False
    _heard(turn, text.strip())
    trace = turn.model.trace
    if trace is not None:
        trace.add(Read(state.name, text, turn.at.language, late))
    reply: Reply | None = None
    if question is not None and question.confirms and not late:
        # While it asks back, yes and no are the state's own words, and go before those of anywhere.
        reply = _read(turn, question, text)
        if reply.value is not None:
            _good_answer(turn, question, text, reply)
            return True
    for trigger in known.of_words(text, turn.at.language):
        if trace is not None:
            trace.add(WordFound(state.name, trigger))
        if late and not trigger.startswith("anywhere_"):
            continue
        if turn.fire(trigger):
            return True
    if keywords and fold(text) in keywords:
        if trace is not None:
            trace.add(Keyword(state.name))
        return False
    if late and question is not None:
        _late(turn, text, question)
        return True
    for trigger, matcher in known.of_own_kinds(state.name, text, trace):
        _heard(turn, value_of(matcher, text))
        if turn.fire(trigger):
            return True
    if question is not None and question.has_answer:
        reply = reply or _read(turn, question, text)
        if reply.value is not None:
            _good_answer(turn, question, text, reply)
            return True
    for trigger, matcher in known.of_anywhere_kinds(state.name, text, trace):
        _heard(turn, value_of(matcher, text))
        if turn.fire(trigger):
            return True
    _heard(turn, text.strip())
    if question is not None:
        _wrong_answer(turn, reply)
    elif not any(turn.fire(trigger) for trigger in ("else", "anywhere_else")):
        _nothing_matched(turn, state)
    return True


def _heard(turn: Turn, value: Value) -> None:
    turn.model.scene.built_in["value"] = value


def _late(turn: Turn, text: str, question: Question) -> None:
    if fold(text) == turn.at.heard or question.late is Late.IGNORE:
        turn.notes.append("sent before the question was handed over: left aside")
        return
    turn.notes.append("sent before the question was handed over: the question comes again")
    turn.say_again()


def _read(turn: Turn, question: Question, text: str) -> Reply:
    flow = turn.compiled.flow
    names = turn.model.scene.names(turn.state.scope)
    reply = read_answer(question, text, names, flow, turn.at.language, turn.now)
    if turn.model.trace is not None:
        near = reply.near.suggestion if reply.near is not None else ""
        turn.model.trace.add(AnswerRead(turn.state.name, reply.value, reply.how, near, reply.wrong))
    return reply


def _good_answer(turn: Turn, question: Question, text: str, reply: Reply) -> None:
    value = reply.value
    if value is None:
        raise Fault("an answer without a value")
    state = turn.state
    _heard(turn, value)
    outcome = chosen_id(value) if question.outcomes else ""
    if question.save == "language":
        turn.speak(str(value))
    elif question.save:
        turn.model.saved = {state.scope + question.save: value}
    name = question.save or question.confirms or state.name
    turn.answers.append(Answered(name, text, value, reply.how))
    turn.at.heard = fold(text)[:200]
    trigger = turn.compiled.recognisers.answers[state.name][outcome]
    if not turn.fire(trigger):
        raise Fault(f"'{state.name}' goes nowhere: no line of its goto holds")


def _wrong_answer(turn: Turn, reply: Reply | None) -> None:
    turn.model.tries = turn.at.tries + 1
    turn.model.scene.built_in["tries"] = turn.model.tries
    if turn.compiled.takes(turn.model.state, WRONG):
        turn.notes.append("a wrong answer")
    turn.reply = reply
    turn.fire(WRONG)


def _nothing_matched(turn: Turn, state: State) -> None:
    words = turn.compiled.words(state.name, turn.at.language)
    turn.notes.append("nothing matched")
    if words:
        turn.say([turn.built_in("nothing_matched", {"words": listed(words, turn.at.language)})])
    else:
        takes = any(rule.matchers for rule in (*state.rules, *state.inherited))
        turn.say([turn.built_in("not_understood" if takes else "nothing_expected")])
