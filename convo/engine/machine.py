"""A flow compiled into one stock ``transitions.Machine``. The only door to transitions.

Every sender is a ``SenderMachine``: transitions' own form of one definition and many models. What
happens is decided by the Machine alone; ``Recognisers`` only say which triggers a text could mean.
Trigger names are generated, so that nothing an author or a sender writes becomes a name in Python.
Conditions and callbacks are objects, never strings: transitions would import and call a string.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from transitions import EventData, Machine

from convo.engine.recognise import Recognisers
from convo.engine.scene import Scene, SenderMachine
from convo.engine.trace import Asked, Tested, Trace
from convo.errors import Fault
from convo.flow.model import NOTHING, Action, Arm, Effects, Flow
from convo.flow.template import Expression

ONWARD = "onward"
"""The generated trigger of a step: fired within the same step, without waiting."""

SKIP = "skip"
"""The generated trigger of a question that is passed over on entering."""

WRONG = "wrong"
"""The generated trigger of a wrong answer."""


class Does(StrEnum):
    """What a transition does beside its action."""

    ACT = "act"
    ANSWER = "answer"
    PASS_OVER = "pass over"  # noqa: S105 - no password
    SORRY = "sorry"
    BACK = "back"
    NOTHING_BEFORE = "nothing before"
    REMIND = "remind"


@dataclass(frozen=True, slots=True)
class Guard:
    """The conditions of one transition: ``if`` sees the data as it was, ``goto`` what ``set`` made of it."""

    before: Expression | None
    after: tuple[Expression, ...]
    effects: Effects
    scope: str
    goto_scope: str

    def __call__(self, event: EventData) -> bool:
        """Return whether the transition may be taken."""
        model = cast(SenderMachine, event.model)
        if self.before is not None and not _holds(self.before, model.scene, self.scope, event):
            return False
        if not self.after:
            return True
        scene = model.after(self.effects, self.scope)
        return all(_holds(condition, scene, self.goto_scope, event) for condition in self.after)

    def __str__(self) -> str:
        """Return the conditions as the author wrote them."""
        parts = [self.before, *self.after] if self.before is not None else self.after
        return " and ".join(str(part.source) for part in parts if part is not None)


@dataclass(frozen=True, slots=True)
class TriesSpent:
    """Whether this wrong answer is the last that the question allows."""

    limit: int

    def __call__(self, event: EventData) -> bool:
        """Return whether it is."""
        model = cast(SenderMachine, event.model)
        held = model.tries >= self.limit
        if model.trace is not None:
            model.trace.add(Tested(_take_of(event), str(self), held, {"tries": model.tries}))
        return held

    def __str__(self) -> str:
        """Return it in words."""
        return f"tries >= {self.limit}"


@dataclass(frozen=True, slots=True)
class CameFrom:
    """Whether a question is the one that this sender answered before."""

    question: str

    def __call__(self, event: EventData) -> bool:
        """Return whether it is."""
        model = cast(SenderMachine, event.model)
        held = bool(model.trail) and model.trail[-1] == self.question
        if model.trace is not None:
            model.trace.add(Tested(_take_of(event), str(self), held, {}))
        return held

    def __str__(self) -> str:
        """Return it in words."""
        return f"after {self.question}"


@dataclass(frozen=True, slots=True)
class Take:
    """Notes on the model which transition was taken; effects are made afterwards, from this data."""

    trigger: str
    label: str
    line: int
    action: Action | None = None
    arm: Arm | None = None
    does: Does = Does.ACT

    def __call__(self, event: EventData) -> None:
        """Note it."""
        cast(SenderMachine, event.model).took = self

    @property
    def effects(self) -> Effects:
        """What is done before the state is left."""
        return self.action.effects if self.action is not None else NOTHING

    @property
    def scope(self) -> str:
        """The sub-flow that the action is part of."""
        return self.action.scope if self.action is not None else ""


@dataclass(frozen=True, slots=True)
class CompiledFlow:
    """A flow, its stock Machine, and how texts are recognised. Shared by all senders and threads.

    ``trace`` is set only on the copy for one step that somebody wants explained.
    """

    flow: Flow
    machine: Machine
    recognisers: Recognisers
    trace: Trace | None = None

    def fire(self, model: SenderMachine, trigger: str) -> bool:
        """Let the Machine try ``trigger`` on the model; return whether a transition was taken.

        Raises:
            Fault: a condition or ``set`` could not be worked out.
        """
        event = self.machine.events.get(trigger)
        found = event.transitions.get(model.state) if event is not None else None
        if model.trace is not None:
            model.trace.add(Asked(model.state, trigger, len(found or ())))
        if event is None or not found:
            return False
        return bool(event.trigger(model))

    def takes(self, state: str, trigger: str) -> bool:
        """Return whether the Machine has a transition from ``state`` for a trigger."""
        event = self.machine.events.get(trigger)
        return event is not None and bool(event.transitions.get(state))

    def words(self, state: str, language: str = "") -> list[str]:
        """Return the words that the Machine takes in ``state``, as the author wrote them."""
        labels = self.recognisers.labels_in(language).items()
        return list(
            dict.fromkeys(label for name, label in labels if "word" in name and self.takes(state, name))
        )

    def has_state(self, state: str) -> bool:
        """Return whether the Machine has ``state``."""
        return state in self.machine.states


@dataclass(frozen=True, slots=True)
class MachineRow:
    """One transition of the Machine, in the author's words. ``dest`` is None for staying.

    ``name`` is the trigger's generated name, by which a step says what it took.
    """

    source: str
    trigger: str
    condition: str
    dest: str | None
    effects: str
    line: int
    name: str = ""
    take: Take | None = None

    @property
    def action(self) -> Action | None:
        """The action of the transition."""
        return self.take.action if self.take is not None else None

    @property
    def arm(self) -> Arm | None:
        """The line of a goto that the transition stands for."""
        return self.take.arm if self.take is not None else None

    @property
    def taken(self) -> str:
        """How a step names the transition among those that it took."""
        return taken(self.source, self.trigger, self.dest, self.line)

    def as_data(self) -> dict[str, Any]:
        """Return the row as plain data, for ``--format json``."""
        return {
            "source": self.source,
            "trigger": self.trigger,
            "condition": self.condition,
            "dest": self.dest,
            "effects": self.effects,
            "line": self.line,
        }


def taken(source: str, label: str, dest: str | None, line: int) -> str:
    """Return how a step names a transition that it took."""
    return f"{source} · {label} → {dest or 'stays'} (line {line})"


def end_state(disposition: str) -> str:
    """Return the name of the final state that stands for an ``end`` written in an action."""
    return f"end: {disposition}"


def compile_flow(flow: Flow) -> CompiledFlow:
    """Return the flow as a stock Machine."""
    from convo.engine.compile import Compiler

    return Compiler(flow).compiled()


def rows(compiled: CompiledFlow) -> list[MachineRow]:
    """Return every transition that the Machine has, in the order in which it tries them."""
    found: list[MachineRow] = []
    for trigger in compiled.machine.events:
        for transition in compiled.machine.get_transitions(trigger=trigger):
            take = next((hook for hook in transition.before if isinstance(hook, Take)), None)
            conditions = [str(each.func) for each in transition.conditions]
            found.append(
                MachineRow(
                    source=transition.source,
                    trigger=take.label if take else trigger,
                    condition=" and ".join(filter(None, conditions)),
                    dest=transition.dest,
                    effects=_summary(take) if take else "",
                    line=take.line if take else 0,
                    name=trigger,
                    take=take,
                )
            )
    order = {name: index for index, name in enumerate(compiled.machine.states)}
    return sorted(found, key=lambda row: order[row.source])


def _holds(condition: Expression, scene: Scene, scope: str, event: EventData) -> bool:
    names = scene.names(scope)
    value = condition.evaluate(names)
    if not isinstance(value, bool):
        raise Fault(f"the condition '{condition.source}' is neither yes nor no")
    trace = cast(SenderMachine, event.model).trace
    if trace is not None:
        seen = {name: names.get(name) for name in sorted(condition.names)}
        trace.add(Tested(_take_of(event), str(condition.source), value, seen))
    return value


def _take_of(event: EventData) -> Take | None:
    """Return what the transition in hand would do."""
    hooks = event.transition.before if event.transition is not None else ()
    return next((hook for hook in hooks if isinstance(hook, Take)), None)


def _summary(take: Take) -> str:
    parts = [] if take.does in (Does.ACT, Does.ANSWER) else [str(take.does)]
    for effects in (take.effects, take.arm.effects if take.arm is not None else NOTHING):
        parts += [f"set {line.name}" for line in effects.set]
        parts += ["reply"] * bool(effects.reply)
        parts += [f"tell {tell.person.name}" for tell in effects.tell]
    return ", ".join(parts)
