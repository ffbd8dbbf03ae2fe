"""`convo run --transport twilio --emulate`: the whole path over HTTP, from the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from convo.clock import SystemClock
from convo.emulators import create


def test_the_stopwatch_over_the_emulated_twilio(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convo", "run", str(root / "flows" / "stopwatch.yaml")]
    done = subprocess.run(
        [*command, "--transport", "twilio", "--emulate", "--store", "memory"],
        input="START\n+61400000007: TIME\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "+61400000000: The stopwatch is running.",
        "+61400000007: The stopwatch is not running yet. Send START first.",
    ]


@pytest.fixture
def url() -> Iterator[str]:
    with create("twilio", SystemClock()) as running:
        yield running.url


def test_the_phone_over_http(url: str) -> None:
    made = requests.post(f"{url}/phone/texts", json={"from": "+61400000001", "text": "hi"}, timeout=10)
    assert (made.status_code, made.json()["id"][:2]) == (201, "SM")
    assert requests.post(f"{url}/phone/texts", json={"from": 1}, timeout=10).status_code == 400
    assert requests.get(f"{url}/phone/sent", timeout=10).json() == {"sent": []}


def test_strangers_and_unknown_paths(url: str) -> None:
    listing = f"{url}/2010-04-01/Accounts/ACe0000000000000000000000000000000/Messages.json"
    assert requests.get(listing, timeout=10).json()["code"] == 20003
    assert requests.get(listing, auth=("x", "y"), timeout=10).status_code == 401
    assert requests.get(f"{url}/other", timeout=10).json()["code"] == 20404
