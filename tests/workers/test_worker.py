"""``convo worker`` and ``--no-steps`` on the command line, and the timers of people whom a worker steps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.messages import Address, Inbound
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.timers import Heard
from convo.runtime.together import Others
from convo.store import open_store
from convo.store.postgres_shared import Shared
from convo.testing import FakeTransport
from tests.conftest import NOON
from tests.workers.crowd import OURS, configured

SECOND = timedelta(seconds=1)
FLOW = """flow: patience
states:
  waiting:
    reply: Are you there?
    after: {1h: {reply: I give up., goto: over}}
  over: {end: gone}
"""


def convo(*command: str) -> tuple[int, str]:
    """Run a command; return its exit code and what it said on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "convo", *command],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "TWILIO_ACCOUNT_SID": "AC0", "TWILIO_AUTH_TOKEN": "t"},
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", [["worker"], ["run", "--no-steps"]])
def test_a_file_is_not_shared(command: list[str], tmp_path: Path) -> None:
    config = configured(tmp_path, "convo.db")
    code, said = convo(*command, "--config", str(config))
    assert code == 2
    assert "PostgreSQL" in said
    assert "Traceback" not in said


def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    config = configured(tmp_path, "postgresql://convo:secret@127.0.0.1:9/convo")
    code, said = convo("worker", "--config", str(config))
    assert code == 3
    assert "cannot be reached" in said
    assert "secret" not in said


def test_a_worker_lets_a_timer_wait_for_what_whoever_polls_has_heard(
    postgres_url: str, shared: Shared, compiled: Callable[[str], CompiledFlow]
) -> None:
    store, flow = open_store(postgres_url), compiled(FLOW)
    flows = {"sms": ChannelFlows("sms", {"patience": flow}, "patience")}
    others = Others(shared)
    processor = Processor(store, flows, hearing=others.heard)

    def said() -> list[str]:
        return [row.outbound.text for row in store.outbox()]

    text = Inbound("sms", Address("+61400000001"), OURS, "hello", NOON, NOON, "m1", "")
    store.accept("sms", [text], cursor=None, now=NOON)
    processor.once(NOON)
    Deliverer(store, FakeTransport(channel="sms"), "sms").once(NOON)
    assert said() == ["Are you there?"]
    due_at, late = NOON + timedelta(hours=1), NOON + timedelta(hours=1, seconds=5)
    others.tell_heard("sms", Heard(due_at - SECOND, False, NOON))
    processor.once(late)
    assert said() == ["Are you there?"], "an answer sent in time may still be on its way"
    others.tell_heard("sms", Heard(due_at + SECOND, False, NOON))
    processor.once(late)
    assert said()[1:] == ["I give up."]
    store.close()
