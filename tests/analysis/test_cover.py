"""``convo test --cover``: which transitions no transcript takes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from click.testing import CliRunner

from convo.cli import cli

ROOT = Path(__file__).resolve().parents[2]


def cover(*arguments: str) -> tuple[int, str]:
    """Run the transcripts and return the exit code and what was said."""
    result = CliRunner().invoke(cli, ["test", "--cover", *arguments], standalone_mode=False)
    return int(result.return_value or 0), result.output


def test_the_shipped_flows_are_covered() -> None:
    code, said = cover(str(ROOT / "flows"), "--min", "100")
    assert code == 0, said
    assert "stopwatch: 100% of 12 transitions" in said


def test_what_is_missed_is_named_with_its_line(tmp_path: Path) -> None:
    shutil.copy(ROOT / "flows" / "stopwatch.yaml", tmp_path)
    transcript = tmp_path / "stopwatch.test.yaml"
    transcript.write_text(
        "tests: stopwatch\ncases:\n  a start:\n    - them: START\n    - us: The stopwatch is running.\n",
        encoding="utf-8",
    )
    code, said = cover(str(tmp_path))
    assert code == 0
    assert "stopwatch: 8% of 12 transitions" in said
    assert re.search(r"stopwatch\.yaml:1[0-9]  ready: STOP → stays", said)
    assert cover(str(tmp_path), "--min", "9")[0] == 1
    assert cover(str(tmp_path), "--min", "8")[0] == 0


def test_a_transition_of_a_sub_flow_is_named_with_its_own_file(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "hotline", tmp_path / "hotline")
    tests = (tmp_path / "hotline" / "hotline.test.yaml").read_text(encoding="utf-8")
    (tmp_path / "hotline" / "only.test.yaml").write_text(tests[: tests.index("  no yes to the day:")])
    _, said = cover(str(tmp_path / "hotline" / "only.test.yaml"))
    assert re.search(r"visiting\.yaml:[0-9]+  visit/when/confirm: \(wrong answer\) → stays", said)
