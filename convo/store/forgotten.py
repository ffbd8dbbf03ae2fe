"""What a store still knows of people who were forgotten: an opt-out, and ids of their messages.

Every function works within the transaction of its caller.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from convo.engine.conversation import CallAnswered, TimerFired
from convo.store.base import Result
from convo.store.rows import Run


class Vanished(Exception):
    """A row was removed between the claim and the commit of its step."""


# -- what is met again ----------------------------------------------------------------------------------


def recall(run: Run, found: Iterable[tuple[str, str]]) -> None:
    """Enter the opt-out of those (channel, number) who had opted out before they were forgotten."""
    if not run("any_forgotten"):
        return
    for channel, number in sorted(set(found)):
        at = opted_out_at(run, channel, number)
        if at is not None and not run("in_the_ledger", channel, number):
            run("recall", channel, number, at)


def is_forgotten(run: Run, channel: str, number: str) -> bool:
    """Return whether that person had opted out when they were forgotten."""
    return opted_out_at(run, channel, number) is not None


def not_seen(run: Run, channel: str, rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    """Return the inbox rows, whose third value is the key, without those that were removed already."""
    if not run("any_seen", channel):
        return rows
    return [row for row in rows if not run("is_seen", channel, row[2])]


def still_there(run: Run, results: Sequence[Result]) -> list[Result]:
    """Return the results whose inbox row, timer or call nobody has removed."""

    def there(result: Result) -> bool:
        event = result.waiting.event
        kind = (
            "timer"
            if isinstance(event, TimerFired)
            else "call"
            if isinstance(event, CallAnswered)
            else "text"
        )
        return bool(run(f"{kind}_is_there", result.waiting.id))

    return [result for result in results if there(result)]


def opted_out_at(run: Run, channel: str, number: str) -> str | None:
    """Return when somebody who was forgotten had opted out; None where they had not."""
    key = run("key")
    if not key:
        return None
    found = run("is_forgotten", channel, hashed(key[0]["value"], channel, number))
    return str(found[0]["at"]) if found else None


def key_of(run: Run) -> bytes:
    """Return the key of the hashes, made when it is first asked for."""
    found = run("key")
    if found:
        return bytes(found[0]["value"])
    made = secrets.token_bytes(32)
    run("new_key", bytearray(made))  # bytes would be a text that is not UTF-8: see rows.stored
    return made


def hashed(key: bytes, channel: str, number: str) -> str:
    """Return what stands for a number on a channel."""
    return hashlib.blake2b(f"{channel}\n{number}".encode(), key=key, digest_size=16).hexdigest()
