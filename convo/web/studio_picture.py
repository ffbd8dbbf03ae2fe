"""What the studio's page shows, as plain data: chats with their costs, state, data and timers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from convo.analysis.graph import Graph
from convo.engine.conversation import Conversation, TimerFired
from convo.flow.problems import Problem
from convo.flow.values import Value, show
from convo.messages import Address, Inbound
from convo.sms import cost, culprits
from convo.testing.phone import CHANNEL, World

_FAR = datetime(9998, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a chat. ``who`` is ``them``, ``us`` or ``note``."""

    who: str
    text: str
    at: datetime


@dataclass(slots=True)
class Line:
    """One phone of the page. ``held`` is a text that the next one overtakes, with when it was written."""

    number: str
    chat: list[Said] = field(default_factory=list)
    last: Inbound | None = None
    swapping: bool = False
    held: tuple[str, datetime] | None = None


def picture_of(world: World, graph: Graph, lines: Iterable[Line]) -> dict[str, Any]:
    """Return the flow, the time and every phone."""
    flow, zone = world.flow, ZoneInfo(world.flow.zone)
    now = world.clock.now()
    waiting = [
        (str(each.sender), each.event)
        for each in world.store.due(_FAR, 1_000)
        if isinstance(each.event, TimerFired)
    ]
    return {
        "flow": flow.name,
        "about": flow.about,
        "now": f"{now.astimezone(zone):%a %d %b %Y, %H:%M:%S}",
        "zone": flow.zone,
        "given": [
            {"name": name, "type": str(datum.type), "needed": datum.first is None}
            for name, datum in flow.data.items()
            if datum.given
        ],
        "phones": [
            _phone(world, graph, line, [event for number, event in waiting if number == line.number], zone)
            for line in lines
        ],
    }


def services_of(world: World) -> dict[str, list[str]]:
    """Return the services that the flow asks, each with the names it answers."""
    found: dict[str, list[str]] = {}
    for state in world.flow.states.values():
        if state.call is not None:
            names = found.setdefault(state.call.service, [])
            names += [name for name in state.call.save if name not in names]
    return found


def _phone(
    world: World, graph: Graph, line: Line, timers: list[TimerFired], zone: ZoneInfo
) -> dict[str, Any]:
    found = world.store.conversation(CHANNEL, Address(line.number))
    return {
        "number": line.number,
        **_standing(world, graph, found, zone),
        "timers": [
            {
                "name": event.name,
                "at": f"{event.due_at.astimezone(zone):%a %d %b, %H:%M}",
                "in": show(event.due_at - world.clock.now()),
            }
            for event in timers
        ],
        "taken": _taken(world, graph, line.number),
        "swapping": line.swapping,
        "held": line.held is not None,
        "chat": [_bubble(said, zone) for said in line.chat],
    }


def _standing(world: World, graph: Graph, found: Conversation | None, zone: ZoneInfo) -> dict[str, Any]:
    if found is None:
        return {"state": "", "node": "", "gone": False, "ended": None, "tries": 0, "data": []}
    flow = world.flow
    gone = found.is_open and found.state not in flow.states and flow.moved_to(found.state) is None
    return {
        "state": found.state,
        "node": next((node.id for node in graph.nodes if node.state == found.state), ""),
        "gone": gone,
        "ended": found.ended,
        "tries": found.tries,
        "data": [{"name": name, "value": _shown(value, zone)} for name, value in found.data.items()],
    }


def _taken(world: World, graph: Graph, number: str) -> list[str]:
    """Return the ids of the arrows that the last step followed."""
    journal = world.store.journal(CHANNEL, Address(number))
    took = json.loads(journal[-1].record).get("took", []) if journal else []
    return [edge.id for edge in graph.edges if edge.taken.intersection(took)]


def _shown(value: Value, zone: ZoneInfo) -> str:
    return show(value, zone=zone) if not isinstance(value, tuple) or value else "(none)"


def _bubble(said: Said, zone: ZoneInfo) -> dict[str, Any]:
    found: dict[str, Any] = {"who": said.who, "text": said.text, "at": f"{said.at.astimezone(zone):%H:%M}"}
    if said.who != "note":
        price = cost(said.text)
        found |= {
            "segments": price.segments,
            "encoding": str(price.encoding),
            "units": price.units,
            "culprits": culprits(said.text)[:6],
        }
    return found


def problem_as_data(problem: Problem) -> dict[str, str]:
    """Return a problem of the file as the page shows it."""
    hint = problem.hint or (f"expected: {', '.join(problem.expected)}" if problem.expected else "")
    where = f"{Path(problem.path).name}:{problem.position.line}" if problem.path else ""
    return {
        "severity": str(problem.severity),
        "code": problem.code,
        "text": problem.message + (f" — {hint}" if hint else ""),
        "where": where,
    }
