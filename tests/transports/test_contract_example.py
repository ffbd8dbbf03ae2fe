"""The example package adds a transport by its entry points, and the page that leads through it shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from convo.cli import main
from convo.testing import stand_ins
from tests.installing import installed

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "adding_a_transport"
PAGE = (ROOT / "docs" / "adding_a_transport.md").read_text(encoding="utf-8")


def convo(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "convo", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_the_installed_package_is_checked_and_run_by_its_name(tmp_path: Path) -> None:
    environment = installed(EXAMPLE, tmp_path)
    checked = convo(environment, "transport", "check", "postbox")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "postbox: 23 fine, 0 wrong, 1 do not apply" in checked.stdout
    run = convo(environment, "run", ROOT / "flows" / "stopwatch.yaml", "--transport", "postbox")
    assert (run.returncode, run.stderr.strip()) == (
        2,
        "postbox needs the environment variables POSTBOX_URL and POSTBOX_TOKEN",
    )
    environment |= {"POSTBOX_URL": "http://127.0.0.1:9", "POSTBOX_TOKEN": "x"}
    store = tmp_path / "convo.db"
    once = convo(
        environment,
        "run",
        ROOT / "flows" / "stopwatch.yaml",
        "--transport",
        "postbox",
        "--once",
        "--store",
        store,
    )
    assert "the poll failed: no connection" in once.stderr
    assert "Traceback" not in once.stderr


@pytest.mark.parametrize("block", re.findall(r"^```(?:py|toml)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
def test_each_block_of_the_page_is_the_examples(block: str) -> None:
    files = [*EXAMPLE.rglob("*.py"), EXAMPLE / "pyproject.toml"]
    # On the page a method stands alone: indents and blank lines do not count.
    texts = [" ".join(path.read_text(encoding="utf-8").split()) for path in files]
    assert any(" ".join(block.split()) in text for text in texts)


def test_a_transport_that_is_wrong_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Deaf(stand_ins.TwilioStandIn):
        def text(self, said: object) -> None:
            """Keep what was said from the transport."""

    monkeypatch.setattr(stand_ins, "BUILT_IN", {"twilio": Deaf})
    assert main(["transport", "check", "twilio"]) == 1
    told = capsys.readouterr().out
    assert "  wrong  texts are polled once in order and whole\n         6 texts came as nothing\n" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(("name", "says"), [("nobody", "convo.stand_ins"), ("no.yaml", "no such file")])
def test_what_cannot_be_checked_ends_with_2(name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transport", "check", name]) == 2
    assert says in capsys.readouterr().err
