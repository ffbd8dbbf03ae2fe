"""SMS conversations as explicit state machines, written in YAML. The public names for programs of one's own:

    machine = compile_flow(load_flow(Path("flows/stopwatch.yaml")))
    conversation = opened(machine, "sms", Address("+61400000001"), 1, event, now)
    step(machine, conversation, event, now)  ->  Step: the conversation after it, what is said, timers, notes

That is the pure heart: a flow file, its Machine, one event on one conversation. Beside it are
``convo.testing`` for tests of flows and ``convo.transports.base`` for a transport of one's own. Everything
else may move between versions. A name is imported when it is first used: the command line stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convo.engine.conversation import (
        CallAnswered,
        Conversation,
        Event,
        Received,
        Started,
        Step,
        TimerFired,
    )
    from convo.engine.machine import CompiledFlow, compile_flow
    from convo.engine.step import opened, step
    from convo.errors import (
        ConfigError,
        ConvoError,
        CredentialsError,
        StoreError,
        TransportError,
    )
    from convo.flow.model import Flow
    from convo.flow.parse import load_flow
    from convo.flow.problems import FlowError, Problem
    from convo.messages import Address, Outbound, to_address

__all__ = [
    "Address",
    "CallAnswered",
    "CompiledFlow",
    "ConfigError",
    "Conversation",
    "ConvoError",
    "CredentialsError",
    "Event",
    "Flow",
    "FlowError",
    "Outbound",
    "Problem",
    "Received",
    "Started",
    "Step",
    "StoreError",
    "TimerFired",
    "TransportError",
    "compile_flow",
    "load_flow",
    "opened",
    "step",
    "to_address",
]

_HOMES = {
    "convo.engine.conversation": (
        "CallAnswered",
        "Conversation",
        "Event",
        "Received",
        "Started",
        "Step",
        "TimerFired",
    ),
    "convo.engine.machine": ("CompiledFlow", "compile_flow"),
    "convo.engine.step": ("opened", "step"),
    "convo.errors": ("ConfigError", "ConvoError", "CredentialsError", "StoreError", "TransportError"),
    "convo.flow.model": ("Flow",),
    "convo.flow.parse": ("load_flow",),
    "convo.flow.problems": ("FlowError", "Problem"),
    "convo.messages": ("Address", "Outbound", "to_address"),
}


def __getattr__(name: str) -> object:
    """Import a public name from where it lives, at its first use."""
    for home, names in _HOMES.items():
        if name in names:
            found: object = getattr(import_module(home), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module 'convo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
