"""Being told by PostgreSQL that another process has committed something: LISTEN, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import psycopg
from psycopg import sql

from convo.errors import StoreError
from convo.store.postgres_access import Connection

LOOK = 0.5
"""Seconds after which the thread looks whether it is to end."""
_AGAIN = 1.0

_log = logging.getLogger(__name__)


class Listener:
    """Calls ``on_notice`` with the word of each notice: ``outbox`` or ``calls`` (``0002_together.sql``).

    While the connection is away nothing is heard; whoever listens looks for itself now and then.
    """

    def __init__(self, connect: Callable[[], Connection], on_notice: Callable[[str], None]) -> None:
        self._connect = connect
        self._on_notice = on_notice
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="convo listen", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(2 * LOOK)

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(_channel(connection))))
                    while not self._ended.is_set():
                        for notice in connection.notifies(timeout=LOOK):
                            self._on_notice(notice.payload)
            except (psycopg.Error, StoreError) as problem:
                _log.debug("nothing is heard from the store: %s", type(problem).__name__)
                self._ended.wait(_AGAIN)


def _channel(connection: Connection) -> str:
    (schema,) = connection.execute("SELECT current_schema()").fetchone() or ("public",)
    return f"convo {schema}"
