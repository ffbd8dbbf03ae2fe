"""Timers that came due, and services that answered."""

from __future__ import annotations

from datetime import datetime, timedelta

from convo.engine.conversation import CallAnswered, Timer, TimerFired
from convo.engine.scene import Scene
from convo.engine.timing import quiet_until, silence_of
from convo.engine.turn import Turn
from convo.errors import Fault
from convo.flow.given import read_value
from convo.flow.values import Value

QUESTION_PENDING = timedelta(minutes=10)
"""How long a timer of silence waits for a question that has not been handed over, before it looks again."""


def fired(turn: Turn, event: TimerFired, now: datetime) -> None:
    """Fire a timer, or set it anew where its time has not come after all."""
    state = turn.compiled.flow.states.get(turn.model.state)
    if event.entry != turn.before.entry or state is None:
        turn.notes.append(f"the timer '{event.name}' is void: its state was left")
        return
    silence = silence_of(state.question, event.name) if state.question is not None else None
    if silence is not None:
        if event.pending and event.asked_at is None:
            _postpone(
                turn, event.name, now + min(silence, QUESTION_PENDING), "the question is not handed over yet"
            )
            return
        if event.asked_at is not None and event.asked_at + silence > now:
            _postpone(turn, event.name, event.asked_at + silence, "the question was handed over later")
            return
    until = quiet_until(turn.compiled.flow, now)
    if until is not None and not _moves(turn, event.name):
        _postpone(turn, event.name, until, "it is a time of quiet")
        return
    _fire(turn, event.name)


def _postpone(turn: Turn, name: str, due_at: datetime, why: str) -> None:
    """Set a timer anew."""
    turn.timers[name] = Timer(name, due_at)
    turn.notes.append(f"the timer '{name}' is put off: {why}")


def _moves(turn: Turn, name: str) -> bool:
    """Return whether a timer of this state may lead elsewhere."""
    trigger = turn.compiled.recognisers.timers.get((turn.model.state, name))
    event = turn.compiled.machine.events.get(trigger or "")
    found = event.transitions.get(turn.model.state, ()) if event is not None else ()
    return any(transition.dest is not None for transition in found)


def _fire(turn: Turn, name: str) -> None:
    """Fire a timer of this state."""
    trigger = turn.compiled.recognisers.timers.get((turn.model.state, name))
    if trigger is None:
        turn.notes.append(f"the timer '{name}' is no longer in the flow")
    elif not turn.fire(trigger):
        turn.notes.append(f"the timer '{name}' came due; its conditions did not hold")


def answered(turn: Turn, event: CallAnswered) -> None:
    """Take what a service told us, and go on."""
    state = turn.state
    if event.entry != turn.before.entry or state.call is None:
        turn.notes.append("the answer of a service is void: its state was left")
        return
    result, values = event.result, dict[str, Value]()
    flow = turn.compiled.flow
    for name, written in event.values.items():
        if name not in state.call.save:
            continue
        path = state.scope + name
        kind = flow.types[path]
        value = read_value(kind, written, flow.zone)
        if value is None:
            turn.notes.append(f"the service's '{name}' is no {kind}: taken for an error")
            result, values = "error", {}
            break
        values[path] = value
    scene = turn.model.scene
    turn.model.moved_on(Scene({**scene.data, **values}, scene.built_in, scene.fixed))
    if event.note:
        turn.notes.append(event.note)
    trigger = turn.compiled.recognisers.results[state.name, result]
    if not turn.fire(trigger):
        raise Fault(f"'{state.name}' goes nowhere: no line of its goto holds")
