"""A disk that is full, read-only, locked or broken under a run: said, nothing half-done, and it goes on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from convo.clock import SystemClock
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import StoreError
from convo.messages import Address
from convo.runtime.run import Channel, Runtime
from convo.store import SqliteStore, open_store
from convo.store.sqlite_views import open_views
from convo.testing.fakes import FakeTransport
from tests.cli.test_operating import convo
from tests.conftest import ROOT
from tests.privacy.test_forget import bytes_with

PEOPLE = [f"+6149157{number:04}" for number in range(1000, 1012)]
Mend = Callable[[], None]


def full(store: SqliteStore, path: Path) -> Mend:
    """Leave the file no room to grow."""
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")

    def mend() -> None:
        with store._lock:
            store._db.execute("PRAGMA max_page_count = 1000000")

    return mend


def read_only(store: SqliteStore, path: Path) -> Mend:
    """Let nothing be written."""
    store._db.execute("PRAGMA query_only = ON")

    def mend() -> None:
        with store._lock:
            store._db.execute("PRAGMA query_only = OFF")

    return mend


def locked(store: SqliteStore, path: Path) -> Mend:
    """Have another program hold the file."""
    store._db.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def mend() -> None:
        other.execute("COMMIT")
        other.close()

    return mend


SAID = {"full": "the disk is full", "read_only": "read-only", "locked": "another program holds"}


@pytest.mark.parametrize("wrong", [full, read_only, locked], ids=lambda each: each.__name__)
def test_a_run_says_what_is_wrong_and_goes_on_once_it_is_mended(
    tmp_path: Path,
    stopwatch: CompiledFlow,
    wrong: Callable[[SqliteStore, Path], Mend],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "convo.db"
    store = open_store(path)
    assert isinstance(store, SqliteStore)
    transport = FakeTransport(SystemClock(), batch=1)
    flows = {"fake": ChannelFlows("fake", {"stopwatch": stopwatch}, "stopwatch")}
    channel = Channel("fake", transport, timedelta(seconds=0.02))
    runtime = Runtime(store, flows, [channel], SystemClock())
    runtime.start()
    transport.text(PEOPLE[0], "TIME")
    assert runtime.wait_until_quiet(1, empty=True, timeout=10)
    with store._lock:
        mend = wrong(store, path)
    for who in PEOPLE:
        # Long, so that a full file is full at once.
        transport.text(who, "START" + " " * 3000)
    waited = 0
    while SAID[wrong.__name__] not in caplog.text and waited < 200:
        runtime.halt.wait(0.05)
        waited += 1
    assert SAID[wrong.__name__] in caplog.text
    assert runtime.store_fails
    mend()
    assert runtime.wait_until_quiet(1 + len(PEOPLE), empty=True, timeout=20)
    runtime.stop()
    assert runtime.halt.error is None
    for who in PEOPLE:
        assert transport.replies(who)[-1] == "The stopwatch is running."
        assert len(transport.replies(who)) == (2 if who == PEOPLE[0] else 1)
    store.close()
    with open_views(str(path)) as views:
        assert views.check() == []
        assert [each.invariant.name for each in views.audit(SystemClock().now()) if each.rows] == []


@contextmanager
def nobody() -> Iterator[Path]:
    """Yield a folder, and be somebody who may read but not write there; root may write everywhere."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for each in (folder, *folder.iterdir()):
        each.chmod(0o755)
    shutil.rmtree(folder)


def as_nobody(do: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    """Do something without the rights of root."""
    if os.geteuid() != 0:
        return do()
    os.seteuid(65534)
    try:
        return do()
    finally:
        os.seteuid(0)


def test_a_store_that_may_not_be_written_ends_the_start_with_3(tmp_path: Path) -> None:
    flow = str(ROOT / "flows" / "stopwatch.yaml")
    assert convo("run", flow, "--store", str(tmp_path / "warm.db"), lines="START\n")[0] == 0
    with nobody() as folder:
        path = folder / "convo.db"
        text = (ROOT / "flows" / "stopwatch.yaml").read_text(encoding="utf-8")
        (folder / "stopwatch.yaml").write_text(text, encoding="utf-8")
        flow = str(folder / "stopwatch.yaml")
        assert convo("run", flow, "--store", str(path), lines="START\n")[0] == 0
        before = path.read_bytes()
        for each in folder.iterdir():
            each.chmod(0o444)
        folder.chmod(0o555)
        code, said = as_nobody(lambda: convo("run", flow, "--store", str(path), lines="TIME\n"))
        assert code == 3
        assert "read-only" in said or "cannot be opened" in said
        assert path.read_bytes() == before
        # Mended, it goes on where it was.
        folder.chmod(0o755)
        for each in folder.iterdir():
            each.chmod(0o644)
        code, said = convo("run", flow, "--store", str(path), lines="TIME\n")
        assert (code, "so far" in said) == (0, True)


def test_a_damaged_store_ends_the_start_with_3_and_is_left_as_it_is(tmp_path: Path) -> None:
    flow = str(ROOT / "flows" / "stopwatch.yaml")
    path = tmp_path / "convo.db"
    assert convo("run", flow, "--store", str(path), lines="START\n")[0] == 0
    backup = tmp_path / "backup.db"
    assert convo("store", "backup", str(backup), "--store", str(path))[0] == 0
    raw = path.read_bytes()
    damaged = raw[:100] + bytes(len(raw) - 100)
    path.write_bytes(damaged)
    code, said = convo("run", flow, "--store", str(path), lines="TIME\n")
    assert code == 3
    assert "damaged" in said
    assert "restore a copy" in said
    assert path.read_bytes() == damaged
    shutil.copyfile(backup, path)
    code, said = convo("run", flow, "--store", str(path), lines="TIME\n")
    assert (code, "so far" in said) == (0, True)


def test_of_two_processes_on_one_store_the_second_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "convo.db"
    command = [sys.executable, "-m", "convo", "run", "flows/stopwatch.yaml", "--store", str(path)]
    first = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert first.stdin is not None
    assert first.stdout is not None
    first.stdin.write(b"START\n")
    first.stdin.flush()
    assert first.stdout.readline().endswith(b"The stopwatch is running.\n")
    second = subprocess.run(command, cwd=ROOT, input=b"STOP\n", capture_output=True, timeout=30, check=False)
    assert second.returncode == 3
    assert b"another convo runs on" in second.stderr
    assert second.stdout == b""
    # What only looks, or takes a person out, may do so beside it.
    assert convo("status", "--store", str(path))[0] in (0, 5)
    first.stdin.write(b"+61491570006: marigold\n")
    first.stdin.flush()
    assert first.stdout.readline().startswith(b"+61491570006: ")
    assert convo("forget", "+61491570006", "--store", str(path))[0] == 0
    assert bytes_with(path, "marigold", "61491570006") == []
    first.stdin.write(b"TIME\n")
    first.stdin.flush()
    assert b"so far" in first.stdout.readline()
    first.stdin.close()
    assert first.wait(20) == 0
    first.stdout.close()
    third = subprocess.run(command, cwd=ROOT, input=b"STOP\n", capture_output=True, timeout=30, check=False)
    assert (third.returncode, b"Stopped after" in third.stdout) == (0, True)
    with open_views(str(path)) as views:
        assert [each.invariant.name for each in views.audit(SystemClock().now()) if each.rows] == []


@pytest.mark.parametrize("how", ["moved", "replaced"])
def test_a_store_that_is_taken_away_from_under_a_run_ends_it_with_3(tmp_path: Path, how: str) -> None:
    path, other = tmp_path / "convo.db", tmp_path / "other.db"
    open_store(str(other)).close()
    command = [sys.executable, "-m", "convo", "run", "flows/stopwatch.yaml", "--store", str(path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdin.write(b"START\n")
        run.stdin.flush()
        assert run.stdout.readline().endswith(b"The stopwatch is running.\n")
        # The lines of a pipe go on meanwhile.
        if how == "moved":
            path.rename(tmp_path / "moved.db")
        else:
            other.rename(path)
        assert run.wait(20) == 3
        assert b"was moved, removed or replaced while this run was at work" in run.stderr.read()


def test_a_store_by_another_name_is_the_same_store(tmp_path: Path) -> None:
    path, link = tmp_path / "convo.db", tmp_path / "link.db"
    first = open_store(path)
    first.lock_for_run()
    link.symlink_to(path)
    second = open_store(link)
    with pytest.raises(StoreError, match="another convo runs on"):
        second.lock_for_run()
    second.close()
    first.close()


def test_processes_that_start_at_one_moment_on_a_new_store_harm_nothing(tmp_path: Path) -> None:
    path = tmp_path / "convo.db"
    command = [sys.executable, "-m", "convo", "run", "flows/stopwatch.yaml", "--store", str(path)]
    runs = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    ended = [run.communicate(b"START\n", timeout=60) for run in runs]
    codes = [run.returncode for run in runs]
    assert 0 in codes
    for code, (_, said) in zip(codes, ended, strict=True):
        assert code == 0 or (code == 3 and b"another convo runs on" in said), said
    with open_views(str(path)) as views:
        assert [each.invariant.name for each in views.audit(SystemClock().now()) if each.rows] == []
    store = open_store(path)
    assert len(store.journal("console", Address("+61400000000"))) == codes.count(0)
    store.close()
