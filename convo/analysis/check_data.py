"""Findings about data: names that are not set on every way, and chats that break down."""

from __future__ import annotations

from collections.abc import Iterator

from convo.analysis.findings import Finding, Looking
from convo.analysis.unset import unset
from convo.analysis.walk import Hop, walk
from convo.flow.problems import Position, Severity

MOST_MOVES = 6_000
"""So many moves are made to find a chat in which a name is not set."""


def unset_names(looking: Looking) -> Iterator[Finding]:
    """Find names that are read where they may not be set: a proof forward, then a chat that shows it."""
    found = list(unset(looking.compiled, looking.walk.machine))
    if not found:
        return
    paths = frozenset(each.path for each in found)
    shown = walk(looking.compiled, at_least=MOST_MOVES, watch=paths, most_steps=MOST_MOVES)
    for each in found:
        hops = [hop for hop in shown.faults if _is_about(hop, each.name)]
        chat = shown.chat(hops[0]) if hops else ()
        state = shown.points[hops[0].source].spot.state or looking.flow.start if hops else ""
        hint = f"ask '{each.name} is set', or write {each.name} | default(…)"
        hint = (
            f"only a keyword brings it: {hint}"
            if each.name == "value"
            else f"give it a first value under data, {hint}"
        )
        sure = bool(chat) or bool(shown.cut)
        yield looking.finding(
            "C003",
            f"'{each.name}' may not be set yet where this is read",
            each.scope,
            each.position,
            each.length,
            hint=hint,
            chat=chat,
            # Without a chat it is only known that no rule of the flow makes sure of it.
            severity=Severity.ERROR if sure else Severity.WARNING,
            keeps=state,
        )


def broken(looking: Looking) -> Iterator[Finding]:
    """Find chats in which a step cannot be completed: a division by zero, or no line of a goto that holds."""
    told: set[tuple[str, str]] = set()
    unset_told = {each.name for each in unset(looking.compiled, looking.walk.machine)}
    for hop in looking.walk.faults:
        fault = hop.outcome.fault or ""
        state = looking.walk.points[hop.source].spot.state or looking.flow.start
        if (state, fault) in told or any(_is_about(hop, name) for name in unset_told):
            continue
        told.add((state, fault))
        there = looking.flow.states.get(state)
        position = there.position if there is not None else Position(1, 1)
        scope = there.scope if there is not None else ""
        message = f"a chat breaks down in '{state}': {fault}"
        hint = "the sender hears the apology, and nothing else happens"
        chat = looking.walk.chat(hop)
        yield looking.finding(
            "C016", message, scope, position, len(state) or 1, hint=hint, chat=chat, keeps=state
        )


def _is_about(hop: Hop, name: str) -> bool:
    return f"'{name}' is not set" in (hop.outcome.fault or "")
