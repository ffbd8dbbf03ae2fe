"""Circles of cards that never wait: a conversation that enters one would talk for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from convo.flow.codes import problem
from convo.flow.model import Card, State
from convo.flow.problems import Problem


def circles(states: Mapping[str, State]) -> Iterator[Problem]:
    """Yield a problem for each circle of steps, even where only conditions would lead around it."""
    moving = [state for state in states.values() if state.card in (Card.STEP, Card.RUN)]
    order = {state.name: index for index, state in enumerate(moving)}
    edges = [(state.name, to) for state in moving for to in _next(state) if to in order]
    told: set[str] = set()
    while True:
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for name, to in edges:
            if name not in told and to not in told:
                sorter.add(to, name)
        try:
            sorter.prepare()
        except CycleError as error:
            circle: list[str] = error.args[1][:-1]
            first = circle.index(min(circle, key=order.__getitem__))
            circle = circle[first:] + circle[:first]
            shown = " → ".join((*circle, circle[0]))
            message = f"a circle of steps that never waits: {shown}"
            hint = "let one of them wait for a text, with 'triggers' or 'ask'"
            yield problem("F018", message, states[circle[0]].position, hint=hint)
            told.update(circle)
        else:
            return


def _next(state: State) -> list[str]:
    if state.run is not None:
        return [state.run.start]
    return [arm.to for arm in state.goto if arm.to is not None]
