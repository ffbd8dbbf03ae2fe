"""``convo run --config`` as an operator runs it: two emulated providers, one program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from convo.clock import SystemClock
from convo.emulators.telstra_v2 import TelstraV2Emulator
from convo.emulators.twilio import TwilioEmulator

ROOT = Path(__file__).resolve().parents[2]
STOPWATCH = ROOT / "flows" / "stopwatch.yaml"
EXAMPLE = ROOT / "examples" / "two_channels"
ANNA = "+61400000001"
CONVO = [sys.executable, "-m", "convo"]
NOWHERE = "http://127.0.0.1:9/v2"


def environ(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TELSTRA", "TWILIO"))}
    return {**kept, **more}


def convo(
    *words: str | Path, given: str = "", cwd: Path = ROOT, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CONVO, *map(str, words)],
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=30,
        cwd=cwd,
        env=environ(**more),
        check=False,
    )


@contextmanager
def running(*words: str | Path, cwd: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*CONVO, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environ(**more),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Return a copy of the example whose providers can be set to emulators, polled fast."""
    folder = tmp_path / "two_channels"
    shutil.copytree(EXAMPLE, folder)
    path = folder / "convo.yaml"
    text = path.read_text(encoding="utf-8")
    text = text.replace("poll: 5s", "poll: 1s").replace("poll: 10s", "poll: 1s")
    text = text.replace("+61400000100", "+61472880996").replace("+61400000200", "+61480000001")
    text = text.replace(
        "      client_id:",
        "      base_url: {env: CLINIC_URL}\n      token_url: {env: CLINIC_TOKEN_URL}\n      client_id:",
    ).replace("      account_sid:", "      base_url: {env: SHOP_URL}\n      account_sid:")
    path.write_text(text, encoding="utf-8")
    return path


def settings(telstra: TelstraV2Emulator | None, twilio: TwilioEmulator) -> dict[str, str]:
    """Return what the example takes from the environment; without an emulator nobody answers."""
    there = twilio.environ()
    nobody = dict.fromkeys(("TELSTRA_BASE_URL", "TELSTRA_TOKEN_URL"), NOWHERE)
    clinic = (
        telstra.environ() if telstra else {**nobody, "TELSTRA_CLIENT_ID": "a", "TELSTRA_CLIENT_SECRET": "b"}
    )
    return {
        "CLINIC_CLIENT_ID": clinic["TELSTRA_CLIENT_ID"],
        "CLINIC_CLIENT_SECRET": clinic["TELSTRA_CLIENT_SECRET"],
        "CLINIC_URL": clinic["TELSTRA_BASE_URL"],
        "CLINIC_TOKEN_URL": clinic["TELSTRA_TOKEN_URL"],
        "SHOP_ACCOUNT_SID": there["TWILIO_ACCOUNT_SID"],
        "SHOP_AUTH_TOKEN": there["TWILIO_AUTH_TOKEN"],
        "SHOP_URL": there["TWILIO_BASE_URL"],
    }


def begin(example: Path, **given: str) -> None:
    """Poll once: the first poll of all takes nothing that was there before it."""
    convo("run", "--config", example, "--once", **given)


@pytest.fixture
def telstra() -> Iterator[TelstraV2Emulator]:
    with TelstraV2Emulator(SystemClock(), number="+61472880996") as emulator:
        yield emulator


@pytest.fixture
def twilio() -> Iterator[TwilioEmulator]:
    with TwilioEmulator(SystemClock(), number="+61480000001") as emulator:
        yield emulator


def test_two_channels_with_flows_by_keyword(
    example: Path, telstra: TelstraV2Emulator, twilio: TwilioEmulator
) -> None:
    begin(example, **settings(telstra, twilio))
    telstra.text(ANNA, "hello")
    twilio.text(ANNA, "ON")
    with running("run", "--config", "convo.yaml", cwd=example.parent, **settings(telstra, twilio)) as process:
        assert [each.text for each in telstra.sent(wait=20)] == [
            "Send HOURS or WHERE, or RATE to tell us how your visit was."
        ]
        assert [each.text for each in twilio.sent(wait=20)] == ["The lights are on."]
        telstra.text(ANNA, "rate")
        assert "How was your visit" in telstra.sent(1, wait=20)[0].text
        health = json.loads((example.parent / "health.json").read_text())
        assert health["status"] == "ok"
        assert health["channels"].keys() == {"clinic", "shop"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        log = process.stderr.read()
    assert json.loads((example.parent / "health.json").read_text())["status"] == "stopped"
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["channel"] for line in lines if line["event"] == "stepped"} == {"clinic", "shop"}
    assert {line["channel"] for line in lines} >= {"clinic", "shop"}
    assert all({"time", "level", "event", "message"} <= line.keys() for line in lines)
    for secret in (ANNA, "hello", *settings(telstra, twilio).values()):
        assert secret not in log
    assert (example.parent / "convo.db").exists()


def test_a_dead_provider_and_a_port_to_ask(example: Path, twilio: TwilioEmulator) -> None:
    port = 20000 + os.getpid() % 20000
    text = example.read_text(encoding="utf-8").replace(
        "health: {file: health.json}", f"health: {{port: {port}}}"
    )
    example.write_text(text, encoding="utf-8")
    begin(example, **settings(None, twilio))
    twilio.text(ANNA, "ON")
    with running("run", "--config", example, cwd=ROOT, **settings(None, twilio)) as process:
        assert [each.text for each in twilio.sent(wait=20)] == ["The lights are on."]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            health = json.load(answer)
        assert health["channels"]["clinic"]["last_good_poll_at"] is None
        assert health["channels"]["shop"]["last_good_poll_at"] is not None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_bad_credentials_at_the_start(
    example: Path, telstra: TelstraV2Emulator, twilio: TwilioEmulator
) -> None:
    given = settings(telstra, twilio)
    done = convo("run", "--config", example, **{**given, "CLINIC_CLIENT_SECRET": "canary"})
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "channel 'clinic'" in last
    assert "CLINIC_CLIENT_SECRET" in last
    assert "canary" not in done.stderr
    assert json.loads((example.parent / "health.json").read_text())["status"] == "bad"


def test_once_serves_each_channel(example: Path, twilio: TwilioEmulator) -> None:
    begin(example, **settings(None, twilio))
    twilio.text(ANNA, "ON")
    done = convo("run", "--config", example, "--once", "--log", "text", **settings(None, twilio))
    assert [each.text for each in twilio.sent()] == ["The lights are on."]
    assert done.returncode == 4
    assert "the channel 'clinic'" in done.stderr.splitlines()[-1]


def test_one_channel_emulated_with_the_command_line_before_the_file(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "x")
    words = ("run", "--config", "x/convo.yaml", "--channel", "clinic", "--emulate", "--log", "text")
    done = convo(*words, "--store", "memory", "--log-level", "error", given="RATE\n5\n", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "+61400000000: How was your visit, from 1 (bad) to 5 (very good)?",
        "+61400000000: Thank you! We read every answer.",
    ]
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "x" / "convo.db").exists()


def test_greeting_in_the_country_of_the_flow(tmp_path: Path) -> None:
    flow = tmp_path / "f.yaml"
    flow.write_text("flow: f\ncountry: KE\ngreeting: Jambo!\nstates: {a: {triggers: {GO: a}}}\n")
    done = convo("run", flow, "--store", "memory", "--greet", "0712345678")
    assert done.stdout.startswith("+254712345678: Jambo!")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run"], 2, "name a FLOW (convo run FLOW), or a file of channels (--config FILE)"),
        (["run", STOPWATCH, "--config", EXAMPLE / "convo.yaml"], 2, "either a flow or --config"),
        (["run", "--config", EXAMPLE / "convo.yaml"], 2, "G006  the environment variable CLINIC_CLIENT_ID"),
        (
            ["run", "--config", EXAMPLE / "convo.yaml", "--emulate"],
            2,
            "--channel NAME  (channels: clinic, shop)",
        ),
        (["run", "--config", EXAMPLE / "convo.yaml", "--channel", "shops"], 2, "did you mean 'shop'?"),
        (
            ["run", "--config", EXAMPLE / "convo.yaml", "--transport", "console"],
            2,
            "--transport goes with a flow",
        ),
        (["run", STOPWATCH, "--channel", "a"], 2, "--channel goes with --config"),
        (
            ["run", "--config", EXAMPLE / "convo.yaml", "--emulate", "--greet", ANNA],
            2,
            "--greet needs to know on which channel",
        ),
        (["run", "--config", "nope.yaml"], 2, "nope.yaml:1:1  Y001  there is no such file"),
    ],
)
def test_mistakes_get_a_message(words: list[str | Path], code: int, said: str) -> None:
    done = convo(*words)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_config_in_the_folder_is_pointed_out(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "convo.yaml", tmp_path)
    assert "convo run --config convo.yaml" in convo("run", cwd=tmp_path).stderr
