"""Real processes killed at random moments; the judge is the provider, which lives outside of them.

``CONVO_KILLS`` says how many kills (100 without it) and ``CONVO_SEED`` when; both are printed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from convo.clock import SystemClock
from convo.emulators.emulator import Emulator
from convo.emulators.telstra_v2 import TelstraV2Emulator
from convo.emulators.telstra_v3 import TelstraV3Emulator
from convo.emulators.twilio import TwilioEmulator
from convo.messages import Status
from convo.store import open_store

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("CONVO_KILLS", "100"))
SEED = int(os.environ.get("CONVO_SEED", "20261123"))
FLOW = """flow: echo
restart: any
data: {count: 0}
states:
  ready:
    triggers:
      text:
        set: {count: count + 1}
        reply: Got ${message}, the ${count}th.
"""
SENDERS = [f"+6140000000{number}" for number in range(4)]


@contextmanager
def running(folder: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run convo on the folder's store until the end of the block, and kill it there."""
    command = [sys.executable, "-m", "convo", "run", "--config", str(folder / "convo.yaml"), "--poll", "0.02"]
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environ}, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)


def configure(folder: Path, transport: str, number: str) -> None:
    """Write the flow and a configuration that asks the provider soon."""
    (folder / "echo.yaml").write_text(FLOW, encoding="utf-8")
    (folder / "convo.yaml").write_text(
        f"channels:\n  sms:\n    transport: {transport}\n    number: '{number}'\n"
        "    flows: [echo.yaml]\n    ask_after: 1s\n"
        "    limits: {to_one: none, on_channel: none}\nstore: convo.db\n",
        encoding="utf-8",
    )


def replies(sent: list[tuple[str, str]], sender: str) -> list[str]:
    """Return the words that each reply to a sender answers."""
    return [text.removeprefix("Got ").partition(",")[0] for to, text in sent if to == sender]


def counts(sent: list[tuple[str, str]], sender: str) -> list[int]:
    """Return the numbers that the machine of a sender gave its replies."""
    return [int(text.rpartition("the ")[2].removesuffix("th.")) for to, text in sent if to == sender]


def until(done: object, seconds: float) -> bool:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def harass(
    folder: Path, environ: Mapping[str, str], provider: Emulator, kills: int, random: Random
) -> list[str]:
    """Let people write while the program is killed again and again; return what they wrote.

    Most kills come after it has begun to poll, however slow the machine is, the others on the way there.
    """
    written: list[str] = []

    def write() -> None:
        words = f"m{len(written)}"
        provider.text(SENDERS[len(written) % len(SENDERS)], words)
        written.append(words)

    for _ in range(kills):
        with running(folder, environ) as process:
            polled = provider.calls("poll")
            if random.random() < 0.6:
                begun = provider.wait_for_calls("poll", polled + 1, 30)
                assert begun, (folder / "log.txt").read_text()[-2000:]
            end = time.monotonic() + random.uniform(0.0, 0.4)
            while time.monotonic() < end:
                write()
                time.sleep(random.uniform(0.0, 0.05))
            write()
            assert process.poll() is None, (folder / "log.txt").read_text()[-2000:]
    return written


@pytest.mark.parametrize(
    ("transport", "emulated"), [("twilio", TwilioEmulator), ("telstra_v3", TelstraV3Emulator)]
)
def test_a_provider_that_can_be_asked_loses_nothing_and_hears_nothing_twice(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    transport: str,
    emulated: type[TwilioEmulator] | type[TelstraV3Emulator],
) -> None:
    random = Random(SEED)
    kills = max(1, KILLS // 4)
    with emulated(SystemClock(), number="+61480000001") as provider:
        configure(tmp_path, transport, "+61480000001")
        environ = provider.environ()
        written = harass(tmp_path, environ, provider, kills, random)

        def sent() -> list[tuple[str, str]]:
            return [(each.recipient, each.text) for each in provider.sent()]

        with running(tmp_path, environ):
            until(lambda: len(sent()) >= len(written), 120)
            # Whatever is unknown is asked about; nothing more may come of that.
            time.sleep(2.5)
        found = sent()
    answered = Counter(words for sender in SENDERS for words in replies(found, sender))
    with capsys.disabled():
        print(f"\n    {transport}: {kills} kills, seed {SEED}: {len(written)} in, {len(found)} out")
    lost = [words for words in written if answered[words] == 0]
    double = [words for words, times in answered.items() if times > 1]
    assert (lost, double) == ([], [])
    for sender in SENDERS:
        mine = [words for index, words in enumerate(written) if SENDERS[index % len(SENDERS)] == sender]
        assert replies(found, sender) == mine, "out of order"
        assert counts(found, sender) == list(range(1, len(mine) + 1)), "stepped twice, or on an old state"
    store = open_store(tmp_path / "convo.db")
    assert {row.status for row in store.outbox()} <= {Status.SENT, Status.DELIVERED}
    store.close()


def test_a_read_once_provider_risks_one_message_a_kill_and_nothing_is_sent_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(SEED + 1)
    kills = max(1, KILLS - 2 * (KILLS // 4))
    with TelstraV2Emulator(SystemClock(), number="+61472880996") as telstra:
        configure(tmp_path, "telstra_v2", "+61472880996")
        environ = telstra.environ()
        written = harass(tmp_path, environ, telstra, kills, random)

        def sent() -> list[tuple[str, str]]:
            return [(each.recipient, each.text) for each in telstra.sent()]

        with running(tmp_path, environ):
            until(lambda: telstra.waiting == 0, 120)
            # What was read last is answered; what is unknown is held, and nobody is asked about it.
            time.sleep(2.5)
        found = sent()
    answered = Counter(words for sender in SENDERS for words in replies(found, sender))
    double = [words for words, times in answered.items() if times > 1]
    store = open_store(tmp_path / "convo.db")
    statuses = Counter(row.status for row in store.outbox())
    stored = len(store.inbox())
    store.close()
    lost = len(written) - stored
    unknown = statuses[Status.UNKNOWN]
    with capsys.disabled():
        print(
            f"\n    telstra_v2: {kills} kills, seed {SEED + 1}: {len(written)} in, {stored} stored,"
            f" {len(found)} out, {unknown} unknown and held"
        )
    assert double == []
    assert lost <= kills, "more than the one message in flight a kill"
    assert unknown <= kills, "more than one unknown outbound a kill"
    # Whatever was stored was answered, but for what is held.
    assert len(answered) >= stored - unknown
    for sender in SENDERS:
        order = [int(words[1:]) for words in replies(found, sender)]
        assert order == sorted(order), "out of order"
