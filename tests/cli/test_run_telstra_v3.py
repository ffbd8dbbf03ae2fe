"""``convo run FLOW --transport telstra_v3`` as an operator uses it, against the emulator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from convo.cli.run import command
from convo.clock import SystemClock
from convo.emulators.telstra_v3 import TelstraV3Emulator
from convo.errors import ConvoError

ROOT = Path(__file__).resolve().parents[2]
STOPWATCH = str(ROOT / "flows" / "stopwatch.yaml")
SAFE = str(ROOT / "examples" / "stopwatch_carrier_safe" / "stopwatch_carrier_safe.yaml")
ANNA = "+61400000001"
V3 = ("--transport", "telstra_v3")


def run(*words: str, given: str = "", **environ: str) -> tuple[int, str, str]:
    """Run convo and return exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "convo", "run", *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environ},
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def refused(*words: str, **environ: str) -> tuple[int, str]:
    """Run in this process what does not come so far as to begin; return exit code and message."""
    result = CliRunner(env=environ).invoke(command, words, standalone_mode=False)
    assert isinstance(result.exception, ConvoError), result.output
    return result.exception.exit_code, str(result.exception)


@pytest.fixture
def telstra() -> Iterator[TelstraV3Emulator]:
    with TelstraV3Emulator(SystemClock()) as emulator:
        yield emulator


def test_a_conversation_over_the_emulated_api_on_a_pipe() -> None:
    said = "START\n+61400000007: TIME\nHALT\n"
    code, out, err = run(SAFE, *V3, "--emulate", "--store", "memory", given=said)
    assert (code, out.splitlines()) == (
        0,
        [
            "+61400000000: The stopwatch is running.",
            "+61400000007: The stopwatch is not running yet. Send START first.",
            "+61400000000: Stopped after 0 s.",
        ],
    )
    assert "takes" not in err


def test_a_word_of_the_carrier_is_told_at_the_start_and_opts_its_sender_out() -> None:
    code, out, err = run(STOPWATCH, *V3, "--emulate", "--store", "memory", given="START\nSTOP\nTIME\n")
    assert (code, out) == (0, "+61400000000: The stopwatch is running.\n")
    assert "takes STOP for itself" in err
    assert "--transport telstra_v3" in err
    assert "RECIPIENT_OPTOUT" in err


def test_what_is_listed_is_answered_once_and_since_reaches_further_back(
    tmp_path: Path, telstra: TelstraV3Emulator
) -> None:
    now = SystemClock().now()
    telstra.text(ANNA, "START", now - timedelta(days=3))
    telstra.text(ANNA, "START", now - timedelta(minutes=1))
    words = (SAFE, *V3, "--once", "--store", str(tmp_path / "convo.db"))
    for _ in range(2):
        assert run(*words, **telstra.environ())[0] == 0
    assert [one.text for one in telstra.sent()] == ["The stopwatch is running."]
    assert run(*words, "--since", "7d", **telstra.environ())[0] == 0
    assert [one.text for one in telstra.sent()][1:] == ["Started again from zero."], "the old one, now"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "7d"), "--since goes with a transport whose provider lists what it keeps: telstra_v3"),
        (("--transport", "telstra_v2", "--since", "7d"), "telstra_v3"),
        ((*V3, "--since", "soon"), "TELSTRA_SINCE"),
    ],
)
def test_a_since_that_makes_no_sense(words: tuple[str, ...], said: str) -> None:
    keys = {"TELSTRA_CLIENT_ID": "a", "TELSTRA_CLIENT_SECRET": "b"}
    code, told = refused(SAFE, *words, "--store", "memory", **keys)
    assert (code, said in told) == (2, True), told


def test_wrong_credentials_end_with_exit_2_and_name_the_variables(telstra: TelstraV3Emulator) -> None:
    keys = {**telstra.environ(), "TELSTRA_CLIENT_SECRET": "canary"}
    code, _, err = run(SAFE, *V3, "--store", "memory", **keys)
    assert (code, "TELSTRA_CLIENT_ID and TELSTRA_CLIENT_SECRET" in err, "canary" in err) == (2, True, False)


def test_a_configuration_says_since_in_its_settings(tmp_path: Path, telstra: TelstraV3Emulator) -> None:
    telstra.text(ANNA, "START", SystemClock().now() - timedelta(days=3))
    path = tmp_path / "convo.yaml"
    path.write_text(
        f"""
store: convo.db
channels:
  sms:
    transport: telstra_v3
    number: "0491570158"
    flows: [{SAFE}]
    settings:
      since: 7d
      base_url: {{env: TELSTRA_BASE_URL}}
""",
        encoding="utf-8",
    )
    code, _, err = run("--config", str(path), "--once", **telstra.environ())
    assert (code, [one.text for one in telstra.sent()]) == (0, ["The stopwatch is running."]), err
