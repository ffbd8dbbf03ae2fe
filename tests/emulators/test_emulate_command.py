"""``convo emulate`` as a person runs it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from convo.cli.emulate import command
from convo.clock import SystemClock
from convo.emulators.base import FaultKind
from convo.emulators.telstra_v2 import TelstraV2Emulator
from convo.errors import ConfigError
from convo.messages import Address, Outbound
from convo.transports import create as create_transport

ROOT = Path(__file__).resolve().parents[2]
RUN = "import sys; from convo.cli.emulate import command; command(sys.argv[1:])"


@pytest.mark.parametrize(("how", "name"), [(signal.SIGTERM, "telstra_v2"), (signal.SIGINT, "telstra_v3")])
def test_it_prints_its_settings_and_ends_in_peace(how: signal.Signals, name: str) -> None:
    words = [sys.executable, "-u", "-c", RUN, name, "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        url = running.stdout.readline().split(" on ")[1].split(";")[0]
        exports = [running.stdout.readline() for _ in range(5)]
        assert all(line.startswith("export TELSTRA_") for line in exports)
        with urllib.request.urlopen(f"{url}/phone/sent", timeout=5) as answer:
            assert json.load(answer) == {"sent": []}
        running.send_signal(how)
        assert running.wait(5) == 0
        assert running.stderr.read() == ""


def test_what_was_sent_steers_no_terminal() -> None:
    words = [sys.executable, "-u", "-c", RUN, "telstra_v3"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        running.stdout.readline()
        given = [shlex.split(running.stdout.readline())[1].split("=", 1) for _ in range(5)]
        transport = create_transport("telstra_v3", channel="sms", clock=SystemClock(), environ=dict(given))
        transport.send(Outbound("sms", Address("+61400000001"), "a\x1b[2J\nb\x00"))
        transport.close()
        said = [running.stdout.readline() for _ in range(5)]
        running.send_signal(signal.SIGTERM)
    assert said[3:] == ["+61400000001: a\ufffd[2J\n", "  b\ufffd\n"]


def test_two_emulators_are_two_numbers() -> None:
    words = [sys.executable, "-u", "-c", RUN, "telstra_v2", "--number", "0491 570 158"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = [running.stdout.readline() for _ in range(8)]
        running.send_signal(signal.SIGTERM)
    assert "export TELSTRA_NUMBER=+61491570158\n" in said
    with pytest.raises(ConfigError, match="--number: "):
        CliRunner().invoke(command, ["telstra_v2", "--number", "12"], catch_exceptions=False)


def test_an_emulator_nobody_knows() -> None:
    with pytest.raises(ConfigError, match="telstra_v2"):
        CliRunner().invoke(command, ["nonsense"], catch_exceptions=False)


def test_the_phone_of_the_docs_page() -> None:
    """Every command of docs/emulators.md for the phone, and every fault it names, is taken as it stands."""
    page = (ROOT / "docs" / "emulators.md").read_text(encoding="utf-8")
    curls = re.findall(r"^curl -s http://127\.0\.0\.1:8025(\S+)(?: -d '(.*)')?$", page, re.MULTILINE)
    assert [path for path, _ in curls] == ["/phone/texts", "/phone/sent", "/phone/faults"]
    kinds = re.findall(r"^\| `(\w+)` \|", page.split("## Faults")[1], re.MULTILINE)
    assert sorted(kinds) == sorted(FaultKind)
    with TelstraV2Emulator(SystemClock()) as emulator:
        for path, said in [*curls, *(("/phone/faults", json.dumps({"kind": kind})) for kind in kinds)]:
            asked = urllib.request.Request(emulator.url + path, said.encode() if said else None)
            with urllib.request.urlopen(asked, timeout=5) as answer:
                assert answer.status in (200, 201)
                assert json.load(answer).keys() <= {"id", "sent"}
