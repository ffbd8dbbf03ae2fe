"""What expressions and texts can see, and the model that the Machine moves: one sender's machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from convo.engine.trace import Trace
from convo.errors import Fault
from convo.flow.model import Assignment, Effects
from convo.flow.template import Expression
from convo.flow.values import Choice, Value


@dataclass(slots=True)
class Scene:
    """The conversation's data beside the built-in names.

    ``data`` holds the names of sub-flows under their paths; ``fixed`` are people and opening hours, under
    their paths too. A scope is such a path with a slash at its end.
    """

    data: dict[str, Value]
    built_in: dict[str, Value]
    fixed: Mapping[str, Value] = field(default_factory=dict)

    def names(self, scope: str = "") -> dict[str, Value]:
        """Return everything visible in a scope, by name."""
        if not scope:
            return {**self.data, **self.fixed, **self.built_in}
        length = len(scope)
        known = {**self.data, **self.fixed}
        own = {name[length:]: value for name, value in known.items() if name.startswith(scope)}
        return {**own, **self.built_in}

    def after(self, effects: Effects, scope: str = "", saved: Mapping[str, Value] | None = None) -> Scene:
        """Return the scene after an answer was saved and ``set`` worked, each line seeing those above it.

        Raises:
            Fault: a value could not be worked out.
        """
        if not effects.set and not saved:
            return self
        data = {**self.data, **(saved or {})}
        scene = Scene(data, self.built_in, self.fixed)
        if effects.set:
            names = scene.names(scope)
            for line in effects.set:
                data[scope + line.name] = names[line.name] = worked_out(line, names)
        return scene


def worked_out(line: Assignment, names: Mapping[str, Value]) -> Value:
    """Return what a line of ``set`` or ``with`` gives its name."""
    value = line.value
    if isinstance(value, Expression):
        return value.evaluate(names)
    return value.render(names)


class SenderMachine:
    """One sender's machine: the model that transitions moves. Made for a step and dropped after it.

    ``saved`` is the answer in hand, under the name that it is to get. ``tries`` counts the wrong answers,
    the one in hand included. ``trail`` are the questions answered before. ``trace`` is there where
    somebody wants the step explained.
    """

    __slots__ = ("_scratch", "saved", "scene", "state", "took", "trace", "trail", "tries")

    def __init__(self, state: str, scene: Scene, tries: int = 0, trail: tuple[str, ...] = ()) -> None:
        self.state = state
        self.scene = scene
        self.tries = tries
        self.trail = trail
        self.saved: dict[str, Value] = {}
        self.took: object | None = None
        self.trace: Trace | None = None
        self._scratch: dict[int, Scene] = {}

    def after(self, effects: Effects, scope: str) -> Scene:
        """Return the scene as the answer in hand and ``set`` would leave it; nothing is kept yet."""
        if not effects.set and not self.saved:
            return self.scene
        if id(effects) not in self._scratch:
            self._scratch[id(effects)] = self.scene.after(effects, scope, self.saved)
        return self._scratch[id(effects)]

    def moved_on(self, scene: Scene) -> None:
        """Go on with ``scene`` as what is now true."""
        self.scene = scene
        self.saved = {}
        self._scratch = {}


def chosen_id(value: Value) -> str:
    """Return the outcome that an answer stands for: a choice's id, or yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Choice):
        return str(value)
    raise Fault("an answer that is neither a choice nor yes or no has no outcome")
