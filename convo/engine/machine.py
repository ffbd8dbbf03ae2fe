"""A flow compiled into one stock ``transitions.Machine``. The only door to transitions.

Every sender is a ``SenderMachine``: transitions' own form of one definition and many models. What
happens is decided by the Machine alone; ``Recognisers`` only say which triggers a text could mean.
Trigger names are generated, so that nothing an author or a sender writes becomes a name in Python.
Conditions and callbacks are objects, never strings: transitions would import and call a string.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from transitions import EventData, Machine, State

from convo.errors import Fault
from convo.flow.model import Action, Arm, Card, Effects, Flow, Rule
from convo.flow.template import Expression
from convo.flow.triggers import Matcher, MatcherKind, fold, matches
from convo.flow.values import Value

ONWARD = "onward"
"""The generated trigger of a step: fired within the same step, without waiting."""


@dataclass(slots=True)
class Scene:
    """What expressions and texts can see: the conversation's data beside the built-in names."""

    data: dict[str, Value]
    built_in: Mapping[str, Value]

    def names(self) -> dict[str, Value]:
        """Return everything visible, by name."""
        return {**self.data, **self.built_in}

    def after(self, effects: Effects) -> Scene:
        """Return the scene after ``set``, top to bottom, each line seeing those above it.

        Raises:
            Fault: a value could not be worked out.
        """
        if not effects.set:
            return self
        data = dict(self.data)
        names = self.names()
        for line in effects.set:
            value = line.value
            result = value.evaluate(names) if isinstance(value, Expression) else value.render(names)
            data[line.name] = names[line.name] = result
        return Scene(data, self.built_in)


class SenderMachine:
    """One sender's machine: the model that transitions moves. Made for a step and dropped after it."""

    __slots__ = ("_scratch", "scene", "state", "took")

    def __init__(self, state: str, scene: Scene) -> None:
        self.state = state
        self.scene = scene
        self.took: Take | None = None
        self._scratch: dict[int, Scene] = {}

    def after(self, action: Action | None) -> Scene:
        """Return the scene as the action's ``set`` would leave it; nothing is kept yet."""
        if action is None or not action.effects.set:
            return self.scene
        if id(action) not in self._scratch:
            self._scratch[id(action)] = self.scene.after(action.effects)
        return self._scratch[id(action)]

    def moved_on(self, scene: Scene) -> None:
        """Go on with ``scene`` as what is now true."""
        self.scene = scene
        self.took = None
        self._scratch = {}


@dataclass(frozen=True, slots=True)
class Guard:
    """The conditions of one transition: ``if`` sees the data as it was, ``goto`` what ``set`` made of it."""

    action: Action | None
    arm: Arm | None

    def __call__(self, event: EventData) -> bool:
        """Return whether the transition may be taken."""
        model = cast(SenderMachine, event.model)
        before = self.action.condition if self.action is not None else None
        if before is not None and not _holds(before, model.scene):
            return False
        after = self.arm.condition if self.arm is not None else None
        return after is None or _holds(after, model.after(self.action))

    def __str__(self) -> str:
        """Return the conditions as the author wrote them."""
        action = self.action.condition if self.action else None
        arm = self.arm.condition if self.arm else None
        return " and ".join(str(part.source) for part in (action, arm) if part is not None)


@dataclass(frozen=True, slots=True)
class Take:
    """Notes on the model which transition was taken; effects are made afterwards, from this data."""

    trigger: str
    label: str
    line: int
    action: Action | None = None
    arm: Arm | None = None

    def __call__(self, event: EventData) -> None:
        """Note it."""
        cast(SenderMachine, event.model).took = self


@dataclass(frozen=True, slots=True)
class Recognisers:
    """Which triggers a text could mean; whether there is such a transition is the Machine's to say."""

    words: dict[str, list[str]] = field(default_factory=dict)
    kinds: dict[str, list[tuple[str, Matcher]]] = field(default_factory=dict)
    anywhere_kinds: list[tuple[str, Matcher]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def of_words(self, text: str) -> Iterator[str]:
        """Yield the triggers whose word the whole text is: a state's own before those of ``anywhere``."""
        yield from self.words.get(fold(text), ())

    def of_kinds(self, state: str, text: str) -> Iterator[str]:
        """Yield what else it fits: the state's kinds in file order, ``anywhere``'s, the two ``else``."""
        for trigger, matcher in self.kinds.get(state, ()):
            if matches(matcher, text):
                yield trigger
        for trigger, matcher in self.anywhere_kinds:
            if matches(matcher, text):
                yield trigger
        yield "else"
        yield "anywhere_else"


@dataclass(frozen=True, slots=True)
class CompiledFlow:
    """A flow, its stock Machine, and how texts are recognised. Shared by all senders and threads."""

    flow: Flow
    machine: Machine
    recognisers: Recognisers

    def fire(self, model: SenderMachine, trigger: str) -> bool:
        """Let the Machine try ``trigger`` on the model; return whether a transition was taken.

        Raises:
            Fault: a condition or ``set`` could not be worked out.
        """
        event = self.machine.events.get(trigger)
        if event is None or not event.transitions.get(model.state):
            return False
        return bool(event.trigger(model))

    def words(self, state: str) -> list[str]:
        """Return the words that the Machine takes in ``state``, as the author wrote them."""
        labels = self.recognisers.labels
        return list(
            dict.fromkeys(
                labels[name]
                for name, event in self.machine.events.items()
                if "word" in name and event.transitions.get(state)
            )
        )

    def has_state(self, state: str) -> bool:
        """Return whether the Machine has ``state``."""
        return state in self.machine.states


@dataclass(frozen=True, slots=True)
class MachineRow:
    """One transition of the Machine, in the author's words. ``dest`` is None for staying."""

    source: str
    trigger: str
    condition: str
    dest: str | None
    effects: str
    line: int
    action: Action | None = None
    arm: Arm | None = None

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


def end_state(disposition: str) -> str:
    """Return the name of the final state that stands for an ``end`` written in an action."""
    return f"end: {disposition}"


def compile_flow(flow: Flow) -> CompiledFlow:
    """Return the flow as a stock Machine."""
    return _Compiler(flow).compiled()


def rows(compiled: CompiledFlow) -> list[MachineRow]:
    """Return every transition that the Machine has, in the order in which it tries them."""
    found: list[MachineRow] = []
    for trigger in compiled.machine.events:
        for transition in compiled.machine.get_transitions(trigger=trigger):
            take = next((hook for hook in transition.before if isinstance(hook, Take)), None)
            guard = next((c.func for c in transition.conditions if isinstance(c.func, Guard)), None)
            found.append(
                MachineRow(
                    source=transition.source,
                    trigger=take.label if take else trigger,
                    condition=str(guard) if guard else "",
                    dest=transition.dest,
                    effects=_summary(take.action.effects) if take and take.action else "",
                    line=take.line if take else 0,
                    action=take.action if take else None,
                    arm=take.arm if take else None,
                )
            )
    order = {name: index for index, name in enumerate(compiled.machine.states)}
    return sorted(found, key=lambda row: order[row.source])


def _holds(condition: Expression, scene: Scene) -> bool:
    value = condition.evaluate(scene.names())
    if not isinstance(value, bool):
        raise Fault(f"the condition '{condition.source}' is neither yes nor no")
    return value


def _summary(effects: Effects) -> str:
    parts = [f"set {line.name}" for line in effects.set]
    return ", ".join(parts + ["reply"] * bool(effects.reply))


class _Compiler:
    """Builds one Machine; each method adds the transitions of one row of the language's table."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.known = Recognisers()
        ends = {arm.end for arm in self._arms() if arm.end is not None}
        states = [State(name, final=state.card is Card.END) for name, state in flow.states.items()]
        states += [State(end_state(end), final=True) for end in sorted(ends)]
        self.machine = Machine(
            model=None,
            states=states,
            initial=flow.start,
            auto_transitions=False,
            send_event=True,
            ignore_invalid_triggers=True,
        )

    def compiled(self) -> CompiledFlow:
        waiting = [state for state in self.flow.states.values() if state.card is Card.COMMAND]
        for state in waiting:
            for rule in state.rules:
                self._rule(rule, state.name)
        for state in waiting:
            if state.anywhere:
                for rule in self.flow.anywhere:
                    self._rule(rule, state.name, prefix="anywhere_")
        for state in self.flow.states.values():
            for arm in state.goto if state.card is Card.STEP else ():
                self._add(ONWARD, state.name, Take(ONWARD, "(goes on)", arm.position.line, None, arm))
        return CompiledFlow(self.flow, self.machine, self.known)

    def _arms(self) -> Iterator[Arm]:
        rules = [*self.flow.anywhere, *(rule for state in self.flow.states.values() for rule in state.rules)]
        for rule in rules:
            for action in rule.actions:
                yield from action.goto
        for state in self.flow.states.values():
            yield from state.goto

    def _rule(self, rule: Rule, source: str, prefix: str = "") -> None:
        for matcher in rule.matchers:
            trigger = self._trigger(matcher, source, prefix)
            for action in rule.actions:
                for arm in action.goto or (None,):
                    line = (arm or action).position.line
                    self._add(trigger, source, Take(trigger, matcher.label, line, action, arm))

    def _trigger(self, matcher: Matcher, source: str, prefix: str) -> str:
        """Return the generated name of the trigger; one per word, shared by all states."""
        known = self.known
        if matcher.kind is MatcherKind.ELSE:
            return prefix + "else"
        if matcher.kind is MatcherKind.WORD:
            names = known.words.setdefault(matcher.word, [])
            mine = [name for name in names if name.startswith(prefix + "word")]
            if not mine:
                mine = [f"{prefix}word_{len(known.labels) + 1}"]
                names += mine
                known.labels[mine[0]] = matcher.label
            return mine[0]
        peers = known.anywhere_kinds if prefix else known.kinds.setdefault(source, [])
        for name, peer in peers:
            if peer is matcher:
                return name
        name = f"{prefix}kind_{len(known.labels) + 1}"
        known.labels[name] = matcher.label
        peers.append((name, matcher))
        return name

    def _add(self, trigger: str, source: str, take: Take) -> None:
        arm, action = take.arm, take.action
        dest = None if arm is None else end_state(arm.end) if arm.end is not None else arm.to
        conditional = (action and action.condition) or (arm and arm.condition)
        self.machine.add_transition(
            trigger,
            source,
            dest,
            conditions=[Guard(action, arm)] if conditional else None,
            before=[take],
        )
