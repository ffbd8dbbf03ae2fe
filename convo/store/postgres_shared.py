"""What processes on one PostgreSQL store share beside its rows: roles, what was heard, wake-ups, tokens."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from convo.store.postgres_access import Connection, connect, telling
from convo.store.postgres_lease import Lease
from convo.store.postgres_notices import Listener
from convo.store.postgres_queue import wake


class Shared:
    """The shared things of one store, on a connection of their own; from any thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def connect(self) -> Connection:
        """Open a connection, each of whose statements is a transaction.

        Raises:
            StoreError: the server is out of reach, or refuses us.
        """
        return connect(self._url)

    def lease(self, name: str) -> Lease:
        """Return a role by its name."""
        return Lease(self.connect, name)

    def listener(self, on_notice: Callable[[str], None]) -> Listener:
        """Return what calls ``on_notice`` when somebody commits something; it is not started yet."""
        return Listener(self.connect, on_notice)

    def tell_heard(
        self, channel: str, polled_at: datetime | None, pushed: bool, since: datetime | None
    ) -> None:
        """Note what has been heard on a channel, for processes that do not poll it.

        Raises:
            StoreError: it could not be noted.
        """
        with self._asking() as connection:
            connection.execute(
                "INSERT INTO hearing (channel, polled_at, pushed, since) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (channel) DO UPDATE SET polled_at = excluded.polled_at,"
                " pushed = excluded.pushed, since = excluded.since",
                (channel, polled_at, pushed, since),
            )

    def heard(self, channel: str) -> tuple[datetime | None, bool, datetime | None]:
        """Return when a channel was polled last, whether it is pushed, and since when somebody listens.

        Raises:
            StoreError: it could not be read.
        """
        with self._asking() as connection:
            found = connection.execute(
                "SELECT polled_at, pushed, since FROM hearing WHERE channel = %s", (channel,)
            ).fetchone()
        return (found[0], found[1], found[2]) if found else (None, False, None)

    def wake(self, partitions: Sequence[int]) -> None:
        """Have partitions stepped by whoever is free.

        Raises:
            StoreError: nobody was told.
        """
        if partitions:
            with self._asking() as connection, connection.transaction():
                wake(connection, partitions)

    def token(
        self, name: str, refused: str | None, now: datetime, fetch: Callable[[], tuple[str, datetime]]
    ) -> tuple[str, datetime]:
        """Return a token that is good at ``now``, and until when; ``fetch`` if there is none but ``refused``.

        However many processes ask at one moment, one of them fetches and the others get what it got.

        Raises:
            StoreError: it could not be read or kept.
        """
        # On a connection of its own: the provider may take its time.
        with self.connect() as connection, telling(self._url), connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (name,))
            found = connection.execute(
                "SELECT token, renew_at FROM tokens WHERE name = %s AND renew_at > %s", (name, now)
            ).fetchone()
            if found and found[0] != refused:
                return found[0], found[1]
            token, renew_at = fetch()
            connection.execute(
                "INSERT INTO tokens (name, token, renew_at) VALUES (%s, %s, %s)"
                " ON CONFLICT (name) DO UPDATE SET token = excluded.token, renew_at = excluded.renew_at",
                (name, token, renew_at),
            )
            return token, renew_at

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        with self._lock:
            self._drop()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Connection]:
        with self._lock:
            if self._connection is None:
                self._connection = self.connect()
            with telling(self._url, self._drop):
                yield self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()
