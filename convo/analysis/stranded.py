"""Who waits in a state that an edited flow no longer has, or cannot go on from: seen before the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from convo.engine.machine import CompiledFlow
from convo.flow.model import Card
from convo.flow.problems import Position, Problem, Severity, nearest

CODES: Mapping[str, str] = MappingProxyType(
    {
        "S001": "people wait in a state that is gone",
        "S002": "people would be moved to a state that waits for nothing",
        "S003": "people wait in a state that is gone and go on where 'moved' says (advice)",
    }
)
"""What each code means. A code keeps its meaning for ever; a new kind of problem gets a new number."""

_WAITS = (Card.QUESTION, Card.COMMAND, Card.CALL)


def stranded(
    compiled: CompiledFlow, lines: Sequence[str], waiting: Mapping[tuple[str, str], int]
) -> Iterator[Problem]:
    """Yield what the flow means for those who wait; ``waiting`` counts them by (flow, state)."""
    flow = compiled.flow
    for (name, state), people in sorted(waiting.items()):
        if name != flow.name or compiled.has_state(state):
            continue
        who = "1 open conversation waits" if people == 1 else f"{people} open conversations wait"
        gone = f"{who} in '{state}', which is no state any more"
        target = flow.moved_to(state)
        if target is None:
            hint = (
                nearest(state, flow.states) or f"write 'moved: {{{state}: NEW_STATE}}', or 'else: NEW_STATE'"
            )
            hint += "; until then their messages are set aside, and they hear the apology"
            found = _problem("S001", gone, "states:", lines, Severity.ERROR, hint)
        elif target not in flow.states or flow.states[target].card not in _WAITS:
            found = _problem(
                "S002",
                f"{gone}; 'moved' takes them to '{target}', where nobody waits for a text",
                "moved:",
                lines,
                Severity.ERROR,
                "name a question, or a state with triggers",
            )
        else:
            found = _problem(
                "S003", f"{gone}; they go on in '{target}'", "moved:", lines, Severity.ADVICE, ""
            )
        yield found.located(flow.path, list(lines))


def _problem(
    code: str, message: str, key: str, lines: Sequence[str], severity: Severity, hint: str
) -> Problem:
    line = next((number for number, each in enumerate(lines, 1) if each.startswith(key)), 1)
    return Problem(code, message, Position(line, 1), len(key) - 1, severity, hint)
