"""``convo new``: what it writes is sound, passes, covers itself, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from convo.cli import main


def test_what_is_written_is_sound_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "visit"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("wrote visit.yaml and visit.test.yaml.")
    assert {each.name for each in tmp_path.iterdir()} == {"visit.yaml", "visit.test.yaml"}
    assert main(["check", "visit.yaml"]) == 0
    assert "fine" in capsys.readouterr().out
    assert main(["test", ".", "--cover", "--min", "100"]) == 0
    assert "visit: 100%" in capsys.readouterr().out
    # Every command that it proposes exists.
    for line in said.splitlines()[1:]:
        assert line.strip().split()[1] in ("chat", "test", "check", "run")


def test_no_change_of_the_flow_goes_unnoticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "visit", "--folder", str(tmp_path / "deep" / "flows")]) == 0
    assert main(["test", "--mutate", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "visit: every one of" in said, said


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tests = tmp_path / "visit.test.yaml"
    tests.write_text("mine\n", encoding="utf-8")
    assert main(["new", "visit", "--folder", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert tests.read_text(encoding="utf-8") == "mine\n"
    assert not (tmp_path / "visit.yaml").exists()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("my flow", "'my flow' is no name for a flow"),
        ("2nd", "a name begins with a letter"),
        ("flows/visit", "write: convo new visit --folder flows"),
        ("visit.yaml", "write: convo new visit"),
        ("../../etc/x y", "is no name for a flow"),
    ],
)
def test_names_that_are_none(
    name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", name]) == 2
    assert hint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["new", "visit", "--folder", str(tmp_path / "file" / "below")]) == 2
    assert "cannot be written" in capsys.readouterr().err
