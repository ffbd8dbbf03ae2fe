"""Answer types and filters of another package come in by entry points, as its pyproject.toml says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.installing import installed

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "extending"


def convo(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    command = [sys.executable, "-m", "convo", *arguments]
    return subprocess.run(
        command, env=environment, cwd=EXAMPLE.parents[1], capture_output=True, text=True, timeout=60
    )


def test_the_example_package_adds_an_answer_type_and_a_filter(tmp_path: Path) -> None:
    environment = installed(EXAMPLE, tmp_path)
    assert convo(environment, "check", "examples/extending/returns.yaml").returncode == 0
    played = convo(environment, "test", "examples/extending")
    assert "1 passed, 0 failed" in played.stdout, played.stdout + played.stderr


def test_without_the_package_the_flow_says_what_it_lacks() -> None:
    said = convo(dict(os.environ), "check", "examples/extending/returns.yaml")
    assert said.returncode == 1
    assert "'isbn' is no answer type" in said.stdout
    assert "there is no filter 'shelf'" in said.stdout


def test_a_package_that_breaks_is_named(tmp_path: Path) -> None:
    environment = installed(EXAMPLE, tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "convo_library.py").write_text("raise RuntimeError('no')\n", encoding="utf-8")
    environment["PYTHONPATH"] = os.pathsep.join((str(tmp_path), str(broken)))
    said = convo(environment, "check", "examples/extending/returns.yaml")
    assert "convo_library:ISBN) cannot be loaded: RuntimeError" in said.stdout + said.stderr
    assert "Traceback" not in said.stdout + said.stderr
