"""``convo check``: every finding has a flow that shows it, its message, and a sound twin without it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from convo.analysis.checks import CODES
from convo.cli import main

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "flows" / "checks"
ODD_FLOWS = sorted(path for path in GOLDEN.glob("C*.yaml") if "." not in path.stem)


def said_of(path: Path, *more: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return the exit code and what ``convo check`` says of a file, with the options that it names."""
    named = re.search(r"^# checked with (.*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    with contextlib.chdir(path.parent):
        code = main(["check", path.name, *(named[1].split() if named else ()), *more])
    # How much was tried changes whenever the search does.
    return code, re.sub(r"  \(tried: .*\)$", "", capsys.readouterr().out, flags=re.MULTILINE)


@pytest.mark.parametrize("path", ODD_FLOWS, ids=lambda path: path.stem)
def test_an_odd_flow_has_exactly_these_findings(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = said_of(path, capsys=capsys)
    expected = path.with_suffix(".txt")
    if os.environ.get("CONVO_UPDATE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ODD_FLOWS, ids=lambda path: path.stem)
def test_every_odd_flow_has_a_sound_twin(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = said_of(path.with_suffix(".sound.yaml"), "--strict", capsys=capsys)
    assert (code, found.splitlines()[0][:12]) == (0, "1 file: fine")
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_odd_flow(code: str) -> None:
    odd = [path for path in ODD_FLOWS if path.name.startswith(code)]
    assert any(f"  {code}  " in path.with_suffix(".txt").read_text(encoding="utf-8") for path in odd)


def test_every_code_stands_in_the_documentation() -> None:
    page = (ROOT / "docs" / "checking.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (C[0-9]{3}) \| (?:error|warning|advice) \|", page, re.MULTILINE) == list(CODES)


SHIPPED = [
    path
    for folder in ("flows", "examples", "tests/language/newcomer")
    for path in sorted((ROOT / folder).rglob("*.yaml"))
    if re.search(r"^flow: ", path.read_text(encoding="utf-8"), re.MULTILINE) and path.stem != "returns"
]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_flows_have_no_finding_that_is_not_explained(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


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
    text = (GOLDEN / "C003_not_set_on_every_way.yaml").read_text(encoding="utf-8")
    path = tmp_path / "f.yaml"
    path.write_text(text.replace("'Ann'", "'one'").replace("name", "x").replace("${x}", second))
    assert main(["check", str(path)]) == 0
    assert "1 file: fine" in capsys.readouterr().out


def test_an_error_shows_its_line_and_a_chat_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_of(GOLDEN / "C003_not_set_on_every_way.yaml", capsys=capsys)
    assert code == 1
    assert "C003_not_set_on_every_way.yaml:10:12  C003" in said
    assert "reply: Good bye, ${name}." in said
    assert "^^^" in said
    assert "      them: NO NAME\n      us: Sorry, something went wrong on our side." in said


def test_strict_counts_warnings_and_not_advice(capsys: pytest.CaptureFixture[str]) -> None:
    warned, advised = GOLDEN / "C013_a_silent_end.yaml", GOLDEN / "C002_never_left.yaml"
    assert said_of(warned, capsys=capsys)[0] == 0
    assert said_of(warned, "--strict", capsys=capsys)[0] == 1
    assert said_of(advised, "--strict", capsys=capsys)[0] == 0


def test_json_holds_the_chat(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = said_of(GOLDEN / "C013_a_silent_end.yaml", "--format", "json", capsys=capsys)
    (found,) = json.loads(said)
    assert (found["code"], found["severity"], found["line"]) == ("C013", "warning", 9)
    assert found["chat"] == ["them: hello", "us: Shall we call you?", "them: yes"]


def test_github_shows_findings_beside_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = said_of(GOLDEN / "C013_a_silent_end.yaml", "--format", "github", capsys=capsys)
    assert said.startswith(
        "::warning file=C013_a_silent_end.yaml,line=9,col=3,title=C013::the conversation ends without a word"
    )
    assert said.endswith("%0Athem: hello%0Aus: Shall we call you?%0Athem: yes\n")
    assert said.count("\n") == 1


def test_words_of_a_carrier_are_told_where_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    stopwatch = str(ROOT / "flows" / "stopwatch.yaml")
    assert main(["check", stopwatch, "--transport", "telstra_v3"]) == 0
    assert "'STOP' belongs to the carrier of telstra_v3" in capsys.readouterr().out
    safe = str(ROOT / "examples" / "stopwatch_carrier_safe" / "stopwatch_carrier_safe.yaml")
    assert main(["check", safe, "--transport", "telstra_v3", "--transport", "twilio", "--strict"]) == 0
    assert "1 file: fine" in capsys.readouterr().out
    assert main(["check", stopwatch, "--transport", "pigeon"]) == 2
    assert "there is no transport 'pigeon'" in capsys.readouterr().err


def test_an_ignore_holds_for_what_stands_below_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "f.yaml"
    text = (GOLDEN / "C011_never_stops.yaml").read_text(encoding="utf-8")
    comment = "# convo: ignore C011 because people asked for it\n"
    path.write_text(text.replace("  asking:\n", f"  {comment}  asking:\n"))
    assert main(["check", str(path), "--strict"]) == 0
    assert "fine, 1 explained" in capsys.readouterr().out
    path.write_text(comment + text)
    assert main(["check", str(path), "--strict"]) == 0
    capsys.readouterr()
    path.write_text(text.replace("  one:\n", f"  {comment}  one:\n"))
    assert main(["check", str(path), "--strict"]) == 1
    said = capsys.readouterr().out
    assert "C011" in said
    assert "there is no C011 here to ignore" in said


def test_missing_translations_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "examples" / "clinic_visit", tmp_path / "clinic")
    flow, twin = tmp_path / "clinic" / "clinic_visit.yaml", tmp_path / "clinic" / "clinic_visit.sw.yaml"
    twin.write_text(twin.read_text(encoding="utf-8").replace("    reply: Asante!\n", ""), encoding="utf-8")
    text = twin.read_text(encoding="utf-8").replace("  done:\n", "")
    twin.write_text(text, encoding="utf-8")
    main(["check", str(flow), "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert [each["code"] for each in found] == ["F030"]
    assert found[0]["path"].endswith("clinic_visit.sw.yaml")


def test_all_files_of_a_folder_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "examples" / "clinic_visit", tmp_path / "clinic")
    files = sorted(str(path) for path in (tmp_path / "clinic").glob("*.yaml"))
    assert main(["check", *files]) == 0
    assert capsys.readouterr().out == f"{len(files)} files: fine\n"
    tests = tmp_path / "clinic" / "clinic_visit.test.yaml"
    tests.write_text(tests.read_text(encoding="utf-8").replace("- them:", "- they:", 1), encoding="utf-8")
    assert main(["check", *files]) == 1
    assert "X001  'they' is no step of a transcript" in capsys.readouterr().out
    twin = tmp_path / "clinic" / "clinic_visit.sw.yaml"
    twin.write_text(twin.read_text(encoding="utf-8").replace("states:", "stats:", 1), encoding="utf-8")
    assert main(["check", str(twin)]) == 1
    assert "clinic_visit.sw.yaml" in capsys.readouterr().out


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.yaml")]) == 1
    assert "there is no such file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("examples/providers/sinch.yaml", "the description of a provider"),
        ("examples/two_channels/convo.yaml", "a configuration"),
    ],
)
def test_another_file_of_ours_is_known(name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ROOT / name)]) == 1
    said = capsys.readouterr().out
    assert f"F003  this is no flow but {says}" in said
    assert "1 file: 1 error" in said


def test_of_a_folder_every_flow_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "examples" / "clinic_visit", tmp_path / "below")
    shutil.copy(ROOT / "examples" / "providers" / "sinch.yaml", tmp_path)
    (tmp_path / "no_yaml.yaml").write_text("a: [")
    assert main(["check", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "no_yaml.yaml:1" in said
    assert "8 files: 1 error" in said
    (tmp_path / "no_yaml.yaml").unlink()
    assert main(["check", str(tmp_path), "--strict"]) == 0
    assert "7 files: fine" in capsys.readouterr().out
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["check", str(empty)]) == 2
    assert "there is no flow in" in capsys.readouterr().err
