"""Whatever a flow file holds, it gives problems or a flow: soon, in little memory, and touches nothing.

``CONVO_FLOWS`` says how many files are tried (1,500 without it) and ``CONVO_SEED`` which.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convo.flow.parse import parse_flow
from convo.flow.problems import FlowError
from convo.flow.reader import read_text
from tests.hostile.reading import SECONDS

ROOT = Path(__file__).resolve().parents[2]
COUNT = os.environ.get("CONVO_FLOWS", "1500")
SEED = os.environ.get("CONVO_SEED", "1")


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What a process of its own says of all those files."""
    command = [sys.executable, "-m", "tests.hostile.reading", SEED, COUNT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_only_problems_come_of_it(told: dict[str, Any]) -> None:
    """No exception but FlowError, also where memory ends a hundred megabytes further on."""
    assert told["odd"] == []
    assert told["files"] > int(COUNT)
    # Some of the mutants are flows all the same, and were written to.
    assert told["files"] // 2 < told["refused"] < told["files"] - 10


def test_each_within_a_second(told: dict[str, Any]) -> None:
    seconds, name = told["slowest"]
    assert seconds < SECONDS, name


def test_nothing_is_imported_opened_or_connected_to(told: dict[str, Any]) -> None:
    assert told["events"] == []
    assert told["notices"], "the hook would have noticed"


def test_of_too_many_problems_the_first_are_told() -> None:
    with pytest.raises(FlowError) as refused:
        parse_flow(read_text("flow: f\n" + "".join(f"k{n}: v\n" for n in range(5_000)), "many.yaml"))
    problems = refused.value.problems
    assert len(problems) <= 103
    assert "only the first 100 problems" in str(refused.value)


def test_a_time_zone_is_a_name_and_no_path(tmp_path: Path) -> None:
    (tmp_path / "zone").write_bytes(b"TZif2")
    for zone in (f"../../../../../../..{tmp_path}/zone", str(tmp_path / "zone"), "..", "Europe", "Europe/"):
        text = f"flow: f\nzone: {zone}\nstates: {{a: {{end: e}}}}\n"
        with pytest.raises(FlowError, match="zone"):
            parse_flow(read_text(text, "zone.yaml"))
