"""``convo config check``: each problem of a configuration in words, all at once, and never a secret."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from convo.cli.config import command
from convo.errors import ConvoError
from convo.runtime.config_shape import CODES, SETTINGS, variable_of
from convo.transports import BUILT_IN

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "config"
BAD = sorted(GOLDEN.glob("*.yaml"))


def check(*words: str | Path, **environ: str) -> tuple[int, str]:
    """Run ``convo config check`` and return its exit code and all that it said."""
    gone = {name: None for name in os.environ if name.startswith(("TELSTRA_", "TWILIO_", "KANNEL_"))}
    runner = CliRunner(env={**gone, **environ})
    result: Result = runner.invoke(command, ["check", *map(str, words)], standalone_mode=False)
    if isinstance(result.exception, ConvoError):
        return result.exception.exit_code, result.output + str(result.exception)
    assert result.exception is None, result.exception
    return result.return_value, result.output


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_has_exactly_these_problems(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    code, said = check(path.name, SET="ACx0123456789012")
    expected = path.with_suffix(".txt")
    if os.environ.get("CONVO_UPDATE_GOLDEN"):
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")
    assert "canary" not in said
    only_flows, only_warnings = path.stem == "flow_problems", path.stem.startswith(("C012", "G013"))
    assert code == (0 if only_warnings else 1 if only_flows else 2)


def test_every_code_has_a_golden_file() -> None:
    shown = {path.stem.partition("_")[0] for path in BAD if path.stem.startswith("G0")}
    assert shown == set(CODES)
    for path in BAD:
        code = path.stem.partition("_")[0]
        if code in CODES:
            assert f"  {code}  " in path.with_suffix(".txt").read_text(encoding="utf-8")


def test_the_example_is_fine(tmp_path: Path) -> None:
    folder = tmp_path / "two_channels"
    shutil.copytree(ROOT / "examples" / "two_channels", folder)
    environ = {"CLINIC_CLIENT_ID": "a", "CLINIC_CLIENT_SECRET": "b", "SHOP_AUTH_TOKEN": "c"}
    code, said = check(folder / "convo.yaml", **environ, SHOP_ACCOUNT_SID="AC0123456789")
    assert (code, said) == (0, f"{folder / 'convo.yaml'}: 2 channels, 3 flows: fine\n")
    code, said = check(folder / "convo.yaml", **environ, SHOP_ACCOUNT_SID="")
    assert code == 2
    assert "SHOP_ACCOUNT_SID" in said


def test_problems_as_json() -> None:
    code, said = check(GOLDEN / "G007_transports.yaml", "--format", "json")
    found = json.loads(said)
    assert code == 2
    assert [(each["code"], each["line"], each["column"]) for each in found] == [
        ("G007", 3, 16),
        ("G007", 6, 16),
    ]
    assert found[0]["hint"] == "did you mean 'telstra_v2'?"


def test_a_secret_file_and_paths_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "lamp.yaml").write_bytes((GOLDEN / "flows" / "lamp.yaml").read_bytes())
    (tmp_path / "secret").write_text("canary\n")
    path = tmp_path / "convo.yaml"
    settings = "{client_id: {env: SET}, client_secret: {file: secret}}"
    path.write_text(f"channels: {{a: {{transport: telstra_v2, flows: lamp.yaml, settings: {settings}}}}}\n")
    assert check(path, SET="x") == (0, f"{path}: 1 channel, 1 flow: fine\n")
    (tmp_path / "secret").write_text("\n")
    code, said = check(path, SET="x")
    assert (code, "one line, the secret" in said) == (2, True)


def test_no_such_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = check()
    assert code == 2
    assert "convo.yaml:1:1  Y001  there is no such file" in said


@pytest.mark.parametrize("transport", [name for name in SETTINGS if name in BUILT_IN])
def test_known_settings_are_those_that_the_transport_reads(transport: str) -> None:
    """Each name stands for a variable that the transport's module names, and no variable is left out."""
    module = ROOT / Path(*BUILT_IN[transport].partition(":")[0].split(".")).with_suffix(".py")
    family = variable_of(transport, "")
    read = set(re.findall(rf"\b{family}[A-Z_]+", module.read_text(encoding="utf-8")))
    assert read == {variable_of(transport, name) for name in (*SETTINGS[transport], "number")}
