"""Names that are read where they may not be set: a walk forward with what is set on every path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from convo.engine.machine import ONWARD, SKIP, CompiledFlow, Does, MachineRow
from convo.flow.model import Arm, Effects, State
from convo.flow.problems import Position
from convo.flow.template import BUILT_IN, Expression, Template

Reading = tuple[Expression | Template, str, set[str]]
"""What reads, the scope that it reads in, and the names that are set there."""


@dataclass(frozen=True, slots=True)
class Unset:
    """A name that may not be set at a spot of the file of ``scope``; ``path`` is where the data hold it."""

    name: str
    path: str
    scope: str
    position: Position
    length: int


def unset(compiled: CompiledFlow, machine: list[MachineRow]) -> Iterable[Unset]:
    """Yield each name that may not be set where it is read, once a spot."""
    walk = _Walk(compiled, machine)
    told: set[tuple[str, Position]] = set()
    for reading, scope, names in walk.readings():
        for name in sorted(reading.needs - set(BUILT_IN)):
            position = reading.source.position
            path = name if name == "value" else scope + name
            if (path in walk.known or name == "value") and path not in names and (path, position) not in told:
                told.add((path, position))
                yield Unset(name, path, scope, position, reading.source.length)


class _Walk:
    def __init__(self, compiled: CompiledFlow, machine: list[MachineRow]) -> None:
        self.flow = compiled.flow
        self.machine = machine
        fixed = self.flow.people.keys() | self.flow.hours.keys()
        self.known = self.flow.types.keys() - fixed
        self.always = {n for n, each in self.flow.data.items() if each.first is not None or each.given}
        self.entering: dict[str, set[str]] = {str(compiled.machine.initial): self.always}
        changed = True
        while changed:
            changed = False
            for row in machine:
                if row.source in self.entering and self._follow(row):
                    changed = True

    def _follow(self, row: MachineRow) -> bool:
        """Take a transition; return whether its destination has learned something."""
        # Staying keeps what was set before, and what a stay sets may not have happened.
        # Going back leads to a question that was entered before, with what was set then.
        if row.dest is None or (row.take is not None and row.take.does is Does.BACK):
            return False
        after = self._after(row)
        known = self.entering.get(row.dest)
        merged = after if known is None else known & after
        if merged == known:
            return False
        self.entering[row.dest] = set(merged)
        return True

    def _inside(self, name: str) -> set[str]:
        """Return the names that are set while a state waits."""
        state = self.flow.states.get(name)
        names = set(self.entering[name])
        if state is None:
            return names
        if state.returns:
            card = self.flow.states[state.returns]
            for saved in card.run.save if card.run is not None else ():
                if f"{state.returns}/{saved}" in names:
                    names.add(card.scope + saved)
        names |= _set_by(state.entry, state.scope)
        if state.question is not None and state.question.optional is not None:
            names.discard(state.scope + state.question.save)
        if state.run is not None:
            scope = f"{state.name}/"
            names = {each for each in names if not each.startswith(scope)}
            names -= {state.scope + each for each in state.run.save}
            names |= {scope + line.name for line in state.run.given}
            names |= {scope + each for each in state.run.first}
        if state.call is not None:
            names -= {state.scope + each for each in state.call.save}
        return names

    def _after(self, row: MachineRow) -> set[str]:
        names = self._inside(row.source)
        take, state = row.take, self.flow.states.get(row.source)
        if take is None or state is None:
            return names
        if take.does is Does.ANSWER and state.question is not None and state.question.save:
            names.add(state.scope + state.question.save)
        if take.does is Does.PASS_OVER and take.action is not None and take.action.condition is not None:
            names |= {take.scope + each for each in take.action.condition.asked}
        if state.call is not None and row.trigger == "(ok)":
            names |= {state.scope + each for each in state.call.save}
        names |= _set_by(take.effects, take.scope)
        return names | (_set_by(take.arm.effects, take.scope) if take.arm is not None else set())

    def readings(self) -> Iterable[Reading]:
        """Yield everything that reads names, in the order of the machine."""
        if self.flow.greeting is not None:
            yield self.flow.greeting, "", self.always | self._value_in(self.flow.start)
        for row in self.machine:
            if row.source in self.entering:
                yield from self._readings_of_row(row)
        for name in self.entering:
            state = self.flow.states.get(name)
            if state is not None:
                yield from self._readings_of_state(state)

    def _readings_of_row(self, row: MachineRow) -> Iterable[Reading]:
        take, names = (
            row.take,
            self._inside(row.source) | self._value_in(row.source, row.name not in (ONWARD, SKIP)),
        )
        if take is None:
            return
        arm: Arm | None = take.arm
        state = self.flow.states.get(row.source)
        if take.does is Does.ANSWER and state is not None and state.question is not None:
            names = names | {state.scope + state.question.save}
        if state is not None and state.call is not None and row.trigger == "(ok)":
            names = names | {state.scope + each for each in state.call.save}
        if take.action is not None:
            condition = take.action.condition
            if condition is not None:
                yield condition, take.scope, names
                names = names | {take.scope + each for each in condition.asked}
            yield from _readings(take.effects, take.scope, names)
            names = names | _set_by(take.effects, take.scope)
        if arm is not None:
            if arm.condition is not None:
                yield arm.condition, take.scope, names
                names = names | {take.scope + each for each in arm.condition.asked}
            yield from _readings(arm.effects, take.scope, names)

    def _value_in(self, state: str, caused: bool = False) -> set[str]:
        """Return ``value``, unless only a keyword may have brought it: then it has to be asked for."""
        return {"value"} if caused or state != self.flow.start else set()

    def _readings_of_state(self, state: State) -> Iterable[Reading]:
        names = self.entering[state.name] | self._value_in(state.name)
        yield from _readings(state.entry, state.scope, names)
        inside = self._inside(state.name) | {"value"}
        for lines in (state.run, state.call):
            for line in lines.given if lines is not None else ():
                yield line.value, state.scope, names | _set_by(state.entry, state.scope)
        question = state.question
        if question is not None:
            texts = [question.ask, *question.sorry, *question.silence.reminder]
            for text in (*texts, *([question.hint] if question.hint is not None else [])):
                yield text, state.scope, inside


def _readings(effects: Effects, scope: str, names: set[str]) -> Iterable[Reading]:
    names = set(names)
    for line in effects.set:
        yield line.value, scope, set(names)
        names.add(scope + line.name)
    for text in effects.reply:
        yield text, scope, names
    for tell in effects.tell:
        for text in tell.texts:
            yield text, scope, names


def _set_by(effects: Effects, scope: str) -> set[str]:
    return {scope + line.name for line in effects.set}
