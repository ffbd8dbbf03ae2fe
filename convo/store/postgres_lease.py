"""A role that one of several processes has: a lock that PostgreSQL lets go of when its holder dies.

The lock belongs to a connection of its own. A holder that is killed loses it at once; one whose network is
gone after the server has missed it for half a minute, and by then the holder has missed the server, too.
Whoever comes next acts at once where the last holder is certainly gone or has let go by itself, and otherwise
after ``PATIENCE``: it may be alive, and about to store what it has read from a provider.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from psycopg import Error

from convo.errors import StoreError
from convo.store.postgres_access import Connection

PATIENCE = timedelta(seconds=10)


class Lease:
    """One role, from any number of threads. ``connect`` opens a connection in autocommit mode.

    ``turns`` counts how often this process has got it, and ``alone`` says of the last time that whoever had
    it before is certainly gone.
    """

    def __init__(
        self, connect: Callable[[], Connection], name: str, *, patience: timedelta = PATIENCE
    ) -> None:
        self.name = name
        self.turns = 0
        self.alone = False
        self._connect = connect
        self._patience = patience
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._holder = f"{whereabouts()} {id(self)}"

    def held(self) -> bool:
        """Return whether this process has the role now, having asked the server; try to get it if not."""
        with self._lock:
            try:
                if self._connection is None and not self._take():
                    return False
                return self._acts()
            except (Error, StoreError):
                self._drop()
                return False

    def release(self) -> None:
        """Let go of the role; who comes next may act at once."""
        with self._lock:
            if self._connection is not None:
                with contextlib.suppress(Exception):
                    self._connection.execute(
                        "UPDATE leases SET holder = '' WHERE name = %s AND holder = %s",
                        (self.name, self._holder),
                    )
            self._drop()

    def _take(self) -> bool:
        connection = self._connect()
        got = False
        try:
            key = _key(self.name)
            found = connection.execute(
                "SELECT pg_try_advisory_lock(hashtextextended(current_schema(), %s))", (key,)
            ).fetchone()
            got = bool(found and found[0])
            if got:
                self._enter(connection)
                self._connection = connection
            return got
        finally:
            if not got or self._connection is None:
                connection.close()

    def _enter(self, connection: Connection) -> None:
        found = connection.execute("SELECT holder FROM leases WHERE name = %s", (self.name,)).fetchone()
        last = found[0] if found else ""
        self.alone = last in ("", self._holder) or is_gone(last)
        wait = timedelta(0) if self.alone else self._patience
        connection.execute(
            "INSERT INTO leases (name, holder, acts_at) VALUES (%s, %s, clock_timestamp() + %s)"
            " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, acts_at = excluded.acts_at",
            (self.name, self._holder, wait),
        )
        self.turns += 1

    def _acts(self) -> bool:
        assert self._connection is not None
        found = self._connection.execute(
            "SELECT clock_timestamp() >= acts_at FROM leases WHERE name = %s", (self.name,)
        ).fetchone()
        return bool(found and found[0])

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"convo lease {name}".encode()).digest()[:8], signed=True)


def whereabouts(pid: int | None = None) -> str:
    """Return which process of which machine this is: host, boot, space of process ids, id and its start."""
    return f"{_machine()} {pid or os.getpid()} {_started(pid or os.getpid())}"


def is_gone(holder: str) -> bool:
    """Return whether the process that wrote ``holder`` is certainly dead: of this machine, and not there."""
    parts = holder.split()
    if len(parts) < 5 or not parts[3].isdigit() or " ".join(parts[:3]) != _machine():
        return False
    return _started(int(parts[3])) != parts[4]


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no such files on this system: then nobody is ever known to be gone
        return f"{socket.gethostname()} - {os.urandom(8).hex()}"


def _started(pid: int) -> str:
    """Return when the process began, in ticks since the machine did; "-" where it is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "-"
