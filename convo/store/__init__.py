"""The memory: what convo knows of every sender, in rows that survive it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from convo.errors import ConfigError
from convo.store.address import is_postgres, shown
from convo.store.base import Store
from convo.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from convo.store.looking import Deciding
    from convo.store.views import Viewed, Views

__all__ = ["SqliteStore", "Store", "is_postgres", "open_by_hand", "open_store", "open_views", "shown"]


def open_store(spec: str | Path) -> Viewed:
    """Return the store that ``spec`` names: ``memory``, a SQLite file, or ``postgresql://…``.

    Raises:
        ConfigError: it is a database, and the extra ``postgres`` is not installed.
        StoreError: it cannot be opened.
    """
    if is_postgres(spec):
        _need_postgres()
        from convo.store.postgres import PostgresStore

        return PostgresStore(str(spec))
    return SqliteStore(":memory:" if str(spec) == "memory" else Path(spec))


def open_views(spec: str) -> AbstractContextManager[Views]:
    """Open a store that exists to look at it; ``convo run`` may be at work. Raises as ``open_store``."""
    if is_postgres(spec):
        _need_postgres()
        from convo.store import postgres_views

        return postgres_views.open_views(spec)
    from convo.store import sqlite_views

    return sqlite_views.open_views(spec)


def open_by_hand(spec: str) -> AbstractContextManager[Deciding]:
    """Open a store that exists to decide about its rows. Raises as ``open_store``."""
    if is_postgres(spec):
        _need_postgres()
        from convo.store import postgres_views

        return postgres_views.open_by_hand(spec)
    from convo.store import sqlite_views

    return sqlite_views.open_by_hand(spec)


def _need_postgres() -> None:
    try:
        import psycopg
        import psycopg_pool  # noqa: F401 - only looked for
    except ImportError:
        raise ConfigError(
            "a store in PostgreSQL needs the extra 'postgres': pip install 'convo[postgres]'"
        ) from None
    del psycopg
