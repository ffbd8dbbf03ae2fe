"""What a SQLite store still knows of people who were forgotten: an opt-out, and ids of their messages.

Every function works within the transaction of its caller.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from convo.engine.conversation import CallAnswered, TimerFired
from convo.store.base import Result
from convo.store.sqlite_access import statements

_SQL = statements("privacy.sql")


class Vanished(Exception):
    """A row was removed between the claim and the commit of its step."""


# -- what is met again ----------------------------------------------------------------------------------


def recall(db: sqlite3.Connection, found: Iterable[tuple[str, str]]) -> None:
    """Enter the opt-out of those (channel, number) who had opted out before they were forgotten."""
    if db.execute(sql("any_forgotten")).fetchone() is None:
        return
    for channel, number in sorted(set(found)):
        at = opted_out_at(db, channel, number)
        if at is not None and db.execute(sql("in_the_ledger"), (channel, number)).fetchone() is None:
            db.execute(sql("recall"), (channel, number, at))


def is_forgotten(db: sqlite3.Connection, channel: str, number: str) -> bool:
    """Return whether that person had opted out when they were forgotten."""
    return opted_out_at(db, channel, number) is not None


def not_seen(
    db: sqlite3.Connection, channel: str, rows: Sequence[tuple[Any, ...]]
) -> Sequence[tuple[Any, ...]]:
    """Return the inbox rows, whose second value is the key, without those that were removed already."""
    if db.execute(sql("any_seen"), (channel,)).fetchone() is None:
        return rows
    return [row for row in rows if db.execute(sql("is_seen"), (channel, row[1])).fetchone() is None]


def still_there(db: sqlite3.Connection, results: Sequence[Result]) -> list[Result]:
    """Return the results whose inbox row, timer or call nobody has removed."""

    def there(result: Result) -> bool:
        event = result.waiting.event
        table = (
            "timers"
            if isinstance(event, TimerFired)
            else "calls"
            if isinstance(event, CallAnswered)
            else "inbox"
        )
        asked = f"SELECT 1 FROM {table} WHERE id = ?"  # noqa: S608 - one of three names
        return db.execute(asked, (result.waiting.id,)).fetchone() is not None

    return [result for result in results if there(result)]


def opted_out_at(db: sqlite3.Connection, channel: str, number: str) -> str | None:
    """Return when somebody who was forgotten had opted out; None where they had not."""
    key = db.execute(sql("key")).fetchone()
    if key is None:
        return None
    found = db.execute(sql("is_forgotten"), (channel, hashed(key["value"], channel, number))).fetchone()
    return None if found is None else str(found["at"])


def key_of(db: sqlite3.Connection) -> bytes:
    """Return the key of the hashes, made when it is first asked for."""
    found = db.execute(sql("key")).fetchone()
    if found is not None:
        return bytes(found["value"])
    made = secrets.token_bytes(32)
    db.execute(sql("new_key"), (made,))
    return made


def hashed(key: bytes, channel: str, number: str) -> str:
    """Return what stands for a number on a channel."""
    return hashlib.blake2b(f"{channel}\n{number}".encode(), key=key, digest_size=16).hexdigest()


def sql(name: str) -> str:
    """Return a statement of ``sql/privacy.sql``."""
    return _SQL[name]
