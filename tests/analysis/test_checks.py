"""``convo check`` on machines that are odd: each finding, and its sound twin without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convo.analysis.checks import CODES
from convo.cli import main

ODD = {
    "C001": """
flow: f
states:
  one:
    triggers:
      A: two
  two:
    end: done
  lost:
    triggers:
      A: two
""",
    "C002": """
flow: f
states:
  one:
    triggers:
      A: two
  two:
    triggers:
      A:
        reply: for ever
""",
    "C003": """
flow: f
states:
  one:
    triggers:
      A:
        set: {x: 1}
        goto: two
      B: two
  two:
    reply: x is ${x}
    end: done
""",
    "C004": """
flow: f
states:
  one:
    triggers:
      STOP: two
  two:
    end: done
""",
    "C005": """
flow: f
max_segments: 1
states:
  one:
    triggers:
      A:
        reply: It costs “a little” more than you would think when a quote is curly, this one does.
        goto: two
  two:
    end: done
""",
}
SOUND = {
    "C001": ODD["C001"].replace("A: two\n  two", "A: two\n      B: lost\n  two"),
    "C002": ODD["C002"].replace("reply: for ever", "goto: one"),
    "C003": ODD["C003"].replace("${x}", "${x | default(0)}"),
    "C004": ODD["C004"].replace("flow: f", "flow: f\nopt_out: [LEAVE]"),
    "C005": ODD["C005"].replace("“a little”", "a little"),
}


def test_every_code_has_its_odd_flow() -> None:
    assert set(CODES) == set(ODD) == set(SOUND)


def checked(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    path = tmp_path / "f.yaml"
    path.write_text(text, encoding="utf-8")
    main(["check", str(path), "--format", "json"])
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("code", ODD)
def test_odd_and_sound(code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [each["code"] for each in checked(ODD[code], tmp_path, capsys)] == [code]
    assert checked(SOUND[code], tmp_path, capsys) == []


@pytest.mark.parametrize(
    "second",
    [
        "x {% if x is set %}is ${x}{% endif %}",
        "x is ${x if x is set else 'nothing'}",
        "x is ${x | default('nothing')}",
    ],
)
def test_a_name_that_is_asked_about_first_is_fine(
    second: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ODD["C003"].replace("x: 1", "x: 'one'").replace("x is ${x}", second)
    assert checked(text, tmp_path, capsys) == []


def test_an_error_shows_its_line_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(ODD["C003"], encoding="utf-8")
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr().out
    assert "f.yaml:11:12  C003" in said
    assert "reply: x is ${x}" in said
    assert "^^^" in said


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.yaml")]) == 1
    assert "there is no such file" in capsys.readouterr().out
