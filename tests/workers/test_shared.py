"""Roles, notices and tokens that processes share, on a real PostgreSQL server."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from convo.clock import SystemClock
from convo.errors import CredentialsError
from convo.store.postgres_lease import Lease, is_gone, whereabouts
from convo.store.postgres_shared import Shared
from convo.transports.http import Door
from convo.transports.oauth import ClientCredentials, TokenSource

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
PATIENCE = timedelta(seconds=0.4)
OUTBOUND = (
    "INSERT INTO outbox (channel, recipient, text, kind, created_at, changed_at, next_at, partition)"
    " SELECT 'sms', '+61400000001', 'Hello.', 'reply', '', '', '', 1 FROM generate_series(1, 2)"
)
CALL = (
    "INSERT INTO calls (channel, sender, number, entry, service, given, key, created_at, next_at, partition)"
    " VALUES ('sms', '+61400000001', 1, 1, 'weather', '{}', 'k', '', '', 1)"
)


Leases = Callable[..., Lease]


@pytest.fixture
def lease(shared: Shared) -> Iterator[Leases]:
    """Return a function that makes what one process knows of a role."""
    made: list[Lease] = []

    def make(name: str = "channel sms", patience: timedelta = PATIENCE) -> Lease:
        made.append(Lease(shared.connect, name, patience=patience))
        return made[-1]

    yield make
    for each in made:
        each.release()


def cut_off(shared: Shared, held: Lease) -> None:
    """End the connection of a role on the server's side, as a server does that restarts."""
    assert held._connection is not None
    with shared.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", (held._connection.info.backend_pid,))


def acts_after(held: Lease) -> float:
    began = time.monotonic()
    while not held.held():
        assert time.monotonic() - began < 5
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_role_is_one_process_s_until_it_lets_go(lease: Leases) -> None:
    one, other = lease(), lease()
    assert (one.held(), other.held(), one.held()) == (True, False, True)
    assert lease("channel fax").held(), "another role is free"
    one.release()
    assert (other.held(), one.held()) == (True, False)
    assert (one.turns, other.turns, other.alone) == (1, 1, True)


def test_who_lost_its_connection_gets_the_role_back_at_once(shared: Shared, lease: Leases) -> None:
    one = lease()
    assert one.held()
    cut_off(shared, one)
    assert not one.held()
    assert one.held()
    assert (one.turns, one.alone) == (2, True)


def test_who_takes_over_from_one_that_may_be_alive_waits(shared: Shared, lease: Leases) -> None:
    one, other = lease(), lease()
    assert one.held()
    cut_off(shared, one)
    began = time.monotonic()
    assert not other.held(), "it has the role, but does not act yet"
    assert not one.held()
    acts_after(other)
    assert time.monotonic() - began >= PATIENCE.total_seconds()
    assert not other.alone


def test_who_takes_over_from_a_killed_process_acts_at_once(postgres_url: str, lease: Leases) -> None:
    code = (
        "import sys, time\n"
        "from convo.store.postgres_shared import Shared\n"
        f"held = Shared({postgres_url!r}).lease('channel sms')\n"
        "print(held.held(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        other = lease(patience=timedelta(hours=1))
        assert not other.held()
        process.kill()
        process.wait(10)
    acts_after(other)
    assert other.alone


def test_only_a_dead_process_of_this_machine_is_known_to_be_gone() -> None:
    here = whereabouts()
    assert not is_gone(f"{here} 1")
    host, boot, space, pid, _ = here.split()
    assert is_gone(f"{host} {boot} {space} {pid} 1 1"), "that one had our id before us"
    assert not is_gone(f"{host}x {boot} {space} {pid} 1 1"), "of another machine nobody knows"
    assert not is_gone("something else")


def test_a_commit_is_told_to_whoever_listens_once_it_is_done(shared: Shared) -> None:
    told: list[str] = []
    heard = threading.Event()

    def on_notice(word: str) -> None:
        told.append(word)
        heard.set()

    listener = shared.listener(on_notice)
    listener.start()
    with shared.connect() as connection:
        deadline = time.monotonic() + 10
        while not heard.wait(0.05) and time.monotonic() < deadline:
            with connection.transaction():
                connection.execute(OUTBOUND)
        told.clear()
        with connection.transaction():
            connection.execute(CALL)
            heard.clear()
            assert not heard.wait(0.1), "not before the commit"
        assert heard.wait(5)
    listener.stop()
    assert set(told) == {"calls"}


def test_what_was_heard_is_known_to_those_that_do_not_poll(shared: Shared, postgres_url: str) -> None:
    other = Shared(postgres_url)
    assert other.heard("sms") == (None, False, None)
    shared.tell_heard("sms", NOON, False, NOON - timedelta(hours=1))
    shared.tell_heard("sms", NOON + timedelta(seconds=1), True, NOON)
    assert other.heard("sms") == (NOON + timedelta(seconds=1), True, NOON)
    other.close()


class Tokens:
    """The provider's side: counts what is fetched."""

    def __init__(self, life: timedelta) -> None:
        self.fetched, self._life, self._lock = 0, life, threading.Lock()

    def fetch(self) -> tuple[str, datetime]:
        with self._lock:
            self.fetched += 1
            number = self.fetched
        time.sleep(0.05)
        return f"token-{number}", NOON + self._life


def test_processes_that_need_a_token_at_one_moment_fetch_one(postgres_url: str) -> None:
    provider = Tokens(timedelta(hours=1))
    found: list[str] = []

    def ask(now: datetime, refused: str | None = None) -> None:
        mine = Shared(postgres_url)
        found.append(mine.token("account", refused, now, provider.fetch)[0])
        mine.close()

    def together(now: datetime, refused: str | None = None) -> set[str]:
        found.clear()
        threads = [threading.Thread(target=ask, args=(now, refused)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(found) == 6
        return set(found)

    assert together(NOON) == {"token-1"}
    assert together(NOON + timedelta(minutes=59)) == {"token-1"}
    provider._life = timedelta(hours=3)
    assert together(NOON + timedelta(minutes=61)) == {"token-2"}, "one more for its end"
    assert together(NOON + timedelta(minutes=62), "token-2") == {"token-3"}, "and one where it was refused"
    assert provider.fetched == 3


def test_a_transport_takes_its_token_from_the_shelf(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    who = ClientCredentials("id", "secret", "TELSTRA_CLIENT_ID")
    sources = [TokenSource(Door(clock), clock, "http://127.0.0.1:9/token", who, "NSMS") for _ in range(3)]
    asked = []

    class Answer:
        status, text = 200, ""

        def json(self) -> object:
            return {"access_token": f"t{len(asked)}", "expires_in": "3599"}

    monkeypatch.setattr(Door, "exchange", lambda *_, **__: asked.append(1) or Answer())
    for source in sources:
        source.share(shared)
    assert [source.get() for source in sources] == ["t1"] * 3
    assert sources[1].get(refused="t1") == "t2"
    assert sources[0].get(refused="t1") == "t2", "somebody has fetched a new one already"
    assert len(asked) == 2
    Answer.status = 401
    with pytest.raises(CredentialsError):
        sources[1].get(refused="t2")
