"""The names that ``convo`` and ``convo.testing`` promise, and that ``import convo`` costs nothing."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import convo
import convo.testing

NAMES = {
    "convo": """Address CallAnswered CompiledFlow ConfigError Conversation ConvoError CredentialsError Event
        Flow FlowError Outbound Problem Received Started Step StoreError TimerFired TransportError
        compile_flow load_flow opened step to_address""",
    "convo.testing": "FakeClock FakeServices FakeTransport Phone TransportContract",
}


@pytest.mark.parametrize("module", [convo, convo.testing], ids=lambda module: module.__name__)
def test_the_exported_names(module: object) -> None:
    """One that goes, or comes, is a decision: it is written down here and in the notes of a release."""
    assert module.__all__ == NAMES[module.__name__].split()  # type: ignore[attr-defined]
    assert all(getattr(module, name) is not None for name in module.__all__)  # type: ignore[attr-defined]
    assert set(module.__all__) <= set(dir(module))  # type: ignore[attr-defined]


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'machinery'"):
        convo.machinery  # noqa: B018 - what is tested is the looking


def test_importing_it_imports_nothing_else() -> None:
    look = "import convo, sys; print([each for each in sys.modules if each.startswith('convo.')])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_heart_by_its_public_names() -> None:
    machine = convo.compile_flow(convo.load_flow(Path(__file__).parents[1] / "flows" / "stopwatch.yaml"))
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    event = convo.Received("start", noon, noon)
    before = convo.opened(machine, "sms", convo.to_address("0400 000 001"), 1, event, noon)
    done = convo.step(machine, before, event, noon)
    assert done is not None
    assert [each.text for each in done.outbound] == ["The stopwatch is running."]
    assert (before.entry, done.conversation.state) == (0, "running")
