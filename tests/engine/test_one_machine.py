"""The Machine is the only table there is: what it loses, everything loses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from transitions import Machine

import convo.engine.machine
from convo.cli import main
from convo.engine.machine import CompiledFlow
from convo.flow.model import Flow


@pytest.fixture
def without_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every flow compiled as it is, and then one transition taken out of its stock Machine."""
    whole = convo.engine.machine.compile_flow

    def lacking(flow: Flow) -> CompiledFlow:
        compiled = whole(flow)
        machine = compiled.machine
        assert type(machine) is Machine
        (trigger,) = [name for name in machine.events if machine.get_transitions(name, "ready", "running")]
        machine.remove_transition(trigger, "ready", "running")
        return compiled

    for module in list(sys.modules.values()):
        if getattr(module, "compile_flow", None) is whole:
            monkeypatch.setattr(module, "compile_flow", lacking)


@pytest.mark.usefixtures("without_start")
def test_a_transition_taken_out_of_the_machine_is_gone_everywhere(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = root / "flows" / "stopwatch.yaml"
    assert main(["machine", str(flow)]) == 0
    table = capsys.readouterr().out
    assert "ready    STOP" in table
    assert "ready    START" not in table

    assert main(["check", str(flow)]) == 0
    problems = capsys.readouterr().out
    assert "nothing leads to the state 'running'" in problems
    assert "nothing leads to the state 'stopped'" in problems

    assert main(["test", str(flow.with_suffix(".test.yaml"))]) == 1
    played = capsys.readouterr().out
    assert "expected us: The stopwatch is running." in played
    assert "but it was: I only know START, STOP and TIME." in played


def test_nothing_is_missing_otherwise(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = root / "flows" / "stopwatch.yaml"
    assert main(["machine", str(flow)]) == 0
    assert "ready    START" in capsys.readouterr().out
    assert main(["check", str(flow)]) == 0
    assert capsys.readouterr().out.startswith("1 file: fine ")
