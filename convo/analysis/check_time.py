"""Findings about time: circles that nobody stops, timers that never fire or never end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from convo.analysis.findings import Finding, Looking
from convo.analysis.moves import Answers, Waits, chat_of
from convo.analysis.transcripts_model import SENDER
from convo.analysis.walk import Hop
from convo.engine.machine import SKIP
from convo.flow.model import Card

T = TypeVar("T", str, int)


def circles(looking: Looking) -> Iterator[Finding]:
    """Find circles of cards that go on by themselves: services asked again at once, questions passed over."""
    states = looking.flow.states
    nexts: dict[str, set[str]] = {}
    for row in looking.walk.machine:
        state = states.get(row.source)
        goes_on = state is not None and (state.card in (Card.STEP, Card.RUN, Card.CALL) or row.name == SKIP)
        if goes_on and row.dest is not None and row.source in looking.reached:
            nexts.setdefault(row.source, set()).add(row.dest)
    for circle in _circles(nexts):
        first = min(circle, key=list(states).index)
        order = " → ".join((*_around(first, circle, nexts), first))
        state = states[first]
        call = next((states[name] for name in circle if states[name].call is not None), None)
        asks = "; a service that goes on failing would be asked for ever" if call is not None else ""
        hint = "let one of them wait for a text, or count how often it was tried"
        chat = _asked_again(looking, call.name) if call is not None else ()
        message = f"a circle that never waits for anybody: {order}{asks}"
        yield looking.finding("C006", message, state.scope, state.position, len(first), hint=hint, chat=chat)


def _asked_again(looking: Looking, call: str) -> tuple[str, ...]:
    """Return the shortest chat in which a service answers and is asked again at once."""
    points = looking.walk.points
    for hop in looking.walk.hops():
        if isinstance(hop.move, Answers) and points[hop.source].spot.state == call == hop.outcome.spot.state:
            return looking.walk.chat(hop)
    return looking.chat_in(call)


def endless(looking: Looking) -> Iterator[Finding]:
    """Find timers that text somebody again and again, although they never write."""
    walk = looking.walk
    silent: dict[int, list[Hop]] = {}
    for hop in walk.hops():
        if isinstance(hop.move, Waits | Answers) and hop.outcome.took and hop.outcome.fault is None:
            silent.setdefault(hop.source, []).append(hop)
    nexts = {number: {hop.dest for hop in hops} for number, hops in silent.items()}
    told: set[str] = set()
    for circle in _circles(nexts):
        first = min(circle)
        around = _hops_around(first, circle, silent)
        speaks = any(who == SENDER for hop in around for who, _ in hop.outcome.said)
        rows = {row.taken: row for row in walk.machine}
        timers = set(looking.compiled.recognisers.timers.values())
        fired = [rows[name] for hop in around for name in hop.outcome.took if rows[name].name in timers]
        states = {row.source for row in fired}
        if not speaks or not fired or states & told:
            continue
        told |= states
        first_row = min(fired, key=lambda row: row.line)
        label = first_row.trigger.strip("()")
        message = f"somebody who never writes is texted for ever: {first_row.source}, {label}"
        hint = "count how often, and end the conversation, or let it wait without a timer"
        path = [*walk.path(first), *around]
        chat = chat_of([(hop.move, hop.outcome) for hop in path])
        yield looking.of_row("C011", message, first_row, hint=hint, chat=(*chat, "… and so on"))


def never_fired(looking: Looking) -> Iterator[Finding]:
    """Find timers that never do anything where their state waits."""
    if looking.walk.cut:
        return
    timers = set(looking.compiled.recognisers.timers.values())
    told: set[tuple[str, str]] = set()
    fired = {(row.source, row.name) for row in looking.walk.machine if row.taken in looking.walk.taken}
    waiting = {point.spot.state for point in looking.walk.points if point.spot.is_open}
    for row in looking.walk.missed:
        key = (row.source, row.name)
        if row.name not in timers or row.source not in waiting or key in told | fired:
            continue  # where no chat waits, something else is told
        told.add(key)
        label = row.trigger.strip("()")
        message = f"the timer '{label}' of '{row.source}' never does anything"
        hint = "its state is left before it is due, its moment is never set, or its 'if' never holds"
        yield looking.of_row("C010", message, row, hint=hint, chat=looking.chat_in(row.source))


def _circles(nexts: Mapping[T, Iterable[T]]) -> Iterator[frozenset[T]]:
    """Yield the largest sets of nodes that lead to each other, in the order of their first node (Tarjan)."""
    index: dict[T, int] = {}
    low: dict[T, int] = {}
    stack: list[T] = []
    on_stack: set[T] = set()
    for root in nexts:
        if root in index:
            continue
        work: list[tuple[T, Iterator[T]]] = [(root, iter(nexts.get(root, ())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, following = work[-1]
            for to in following:
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    on_stack.add(to)
                    work.append((to, iter(nexts.get(to, ()))))
                    break
                if to in on_stack:
                    low[node] = min(low[node], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    found: set[T] = set()
                    while node not in found:
                        found.add(stack[-1])
                        on_stack.discard(stack.pop())
                    if len(found) > 1 or node in nexts.get(node, ()):
                        yield frozenset(found)


def _around(first: str, circle: frozenset[str], nexts: Mapping[str, Iterable[str]]) -> list[str]:
    """Return one way around a circle, beginning with ``first``."""
    vias: dict[str, str] = {}
    waiting = [first]
    for here in waiting:
        for to in sorted(nexts.get(here, ())):
            if to == first:
                found = [here]
                while found[-1] != first:
                    found.append(vias[found[-1]])
                return found[::-1]
            if to in circle and to not in vias:
                vias[to] = here
                waiting.append(to)
    return [first]


def _hops_around(first: int, circle: frozenset[int], silent: Mapping[int, list[Hop]]) -> list[Hop]:
    """Return the hops of one way around a circle."""
    vias: dict[int, Hop] = {}
    waiting = [first]
    for here in waiting:
        for hop in silent.get(here, ()):
            if hop.dest == first:
                found = [hop]
                while found[-1].source != first:
                    found.append(vias[found[-1].source])
                return found[::-1]
            if hop.dest in circle and hop.dest not in vias:
                vias[hop.dest] = hop
                waiting.append(hop.dest)
    return []
