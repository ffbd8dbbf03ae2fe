"""People who write, processes that serve them on one PostgreSQL store and are killed, and who judges that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from convo.messages import Address, Inbound
from convo.store import open_store

ROOT = Path(__file__).resolve().parents[2]
OURS = Address("+61480000001")
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


def person(number: int) -> Address:
    """Return the number of a person."""
    return Address(f"+6140{number:07d}")


def configured(folder: Path, url: str) -> Path:
    """Write the flow and the file that every process is given."""
    (folder / "echo.yaml").write_text(FLOW, encoding="utf-8")
    path = folder / "convo.yaml"
    path.write_text(
        f"channels:\n  sms:\n    transport: twilio\n    number: '{OURS}'\n    flows: [echo.yaml]\n"
        f"    ask_after: 1s\n    limits: {{to_one: none, on_channel: none}}\nstore: '{url}'\n",
        encoding="utf-8",
    )
    return path


class Crowd:
    """Processes of one configuration, and what becomes of them."""

    def __init__(self, config: Path, environ: Mapping[str, str] | None = None) -> None:
        self.config = config
        self.log = config.parent / "log.txt"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._environ = {**os.environ, **(environ or {})}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait(10)

    def start(self, *command: str, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start ``convo run`` or ``convo worker``; ``within`` goes before it, as of ``ip netns exec``."""
        first, *others = command
        whole = [*within, sys.executable, "-m", "convo", first, "--config", str(self.config), *others]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                whole, cwd=ROOT, env=self._environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self.processes.append(process)
        return process

    def alive(self) -> list[subprocess.Popen[bytes]]:
        """Return those that are at work."""
        return [each for each in self.processes if each.poll() is None]

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        """Kill one, as a machine that loses its power does."""
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def end_in_peace(self) -> list[float]:
        """Ask all to end; return how long each took, in seconds."""
        took = []
        for process in self.alive():
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0, self.told()
            took.append(time.monotonic() - began)
        return took

    def told(self) -> str:
        """Return the end of what they logged."""
        return self.log.read_text(encoding="utf-8")[-3000:] if self.log.exists() else ""


def until(done: Callable[[], object], seconds: float, every: float = 0.05) -> bool:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(every)
    return False


def words(index: int) -> str:
    """Return the text of that number that somebody writes: who counts by one is taken for a machine."""
    return f"m{index * index}"


def written_by(people: int, texts: int) -> list[Inbound]:
    """Return what each of so many people writes, in turn."""
    now = datetime.now(UTC)
    return [
        Inbound("sms", person(who), OURS, words(index), now, None, f"id-{who}-{index}", "")
        for index in range(texts)
        for who in range(people)
    ]


def wrong_with(said: Sequence[tuple[str, str]], people: int, texts: int) -> dict[str, list[str]]:
    """Return who was answered wrongly, by all replies (to whom, what) in order: lost, doubled, reordered."""
    heard: dict[str, list[str]] = defaultdict(list)
    for to, text in said:
        heard[to].append(text)
    wanted = [f"Got {words(index)}, the {index + 1}th." for index in range(texts)]
    return {str(person(who)): heard[person(who)] for who in range(people) if heard[person(who)] != wanted}


def broken(url: str) -> list[str]:
    """Return what the ledger finds wrong in the store."""
    store = open_store(url)
    try:
        found = store.views.audit(datetime.now(UTC))
        return [f"{each.invariant.name}: {each.rows} {each.examples[:2]}" for each in found if each.rows]
    finally:
        store.close()


def statuses(url: str) -> Counter[str]:
    """Return how many outbounds have each status."""
    store = open_store(url)
    try:
        return Counter(str(row.status) for row in store.outbox())
    finally:
        store.close()
