"""Each invariant of the ledger is noticed when it is broken, and only then."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from convo.store.ledger import INVARIANTS
from convo.store.sqlite_views import open_views
from tests.simulation.world import Event, Setting, World

HAPPENS: list[Event] = [
    ("text", (0, 15, 0, 0)),
    ("text", (1, 0, 0, 0)),
    ("text", (2, 1, 0, 0)),
    ("text", (3, 2, 0, 0)),
    ("text", (0, 6, 0, 0)),
    ("nonsense", ()),
    ("work", ()),
    ("advance", (4_000,)),
    ("work", ()),
]
ANN = "+61400000001"
# What breaks each invariant. Some break others, too: a row that is gone is missed in several places.
BREAKS = {
    "one open conversation": "DROP INDEX conversations_one_open;"
    " INSERT INTO conversations SELECT channel, sender, 9, flow, version, state, entry, tries, steps,"
    " language, data, opened_at, now_at, NULL, NULL, 0, memo, asked_entry, asked_at FROM conversations"
    " WHERE ended IS NULL",
    "conversations are counted": "UPDATE conversations SET number = 0",
    "ended is dated": "UPDATE conversations SET ended = 'complete' WHERE ended IS NULL",
    "every step is in the journal": "DELETE FROM journal WHERE step = 1",
    "the journal tells of conversations": "DELETE FROM conversations",
    "the journal knows where it stands": "UPDATE conversations SET state = 'waiting'",
    "a message comes once": "INSERT INTO inbox (channel, kind, provider_id, sender, text, received_at)"
    " SELECT channel, kind, provider_id, sender, text, received_at FROM inbox WHERE provider_id != ''",
    "a message is stepped once": "UPDATE inbox SET status = 'dead', reason = 'x' WHERE kind = 'text'",
    "done means stepped": "DELETE FROM journal",
    "dead is explained": "UPDATE inbox SET status = 'dead', reason = '' WHERE kind = 'text'",
    "outbounds belong to steps": "DELETE FROM outbox",
    "outbounds have a status": "UPDATE outbox SET attempts = 0",
    "nothing is stuck in sending": "UPDATE outbox SET status = 'sending', changed_at = '2020'",
    "one at a time": "UPDATE outbox SET status = 'sending'",
    "silence after an opt-out": "INSERT INTO outbox (channel, recipient, text, kind, status, attempts,"
    " created_at, changed_at, next_at) SELECT channel, recipient, text, 'reply', 'sent', 1, created_at,"
    " changed_at, next_at FROM outbox WHERE kind = 'consent'",
    "timers of open conversations": "UPDATE timers SET entry = entry + 1",
    "a timer fires once": "INSERT INTO journal SELECT channel, sender, number, step + 100, flow, at, record"
    " FROM journal WHERE json_extract(record, '$.event') = 'timer'",
    "no timer fires early": "INSERT INTO journal SELECT channel, sender, number, step + 100, flow, at,"
    " json_set(record, '$.now', '2020') FROM journal WHERE json_extract(record, '$.event') = 'timer'",
    "an answer is stepped once": "INSERT INTO journal SELECT channel, sender, number, step + 100, flow, at,"
    " record FROM journal WHERE json_extract(record, '$.event') = 'call'",
    "one key for one call": "INSERT INTO calls (channel, sender, number, entry, service, given, key,"
    " created_at, next_at) SELECT channel, sender, number, entry, service, given, key, created_at,"
    " next_at FROM calls",
    "calls of open conversations": "UPDATE calls SET status = 'waiting', entry = entry + 1",
    "held is explained": "UPDATE outbox SET status = 'unknown', reason = ''",
}


def broken(path: Path) -> set[str]:
    """Return the names of the invariants that are broken in a store."""
    with open_views(str(path)) as views:
        return {each.invariant.name for each in views.audit(World(Setting()).clock.now()) if each.rows}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store in which something of everything has happened."""
    world = World(Setting(on_disk=True), tmp_path)
    for event in HAPPENS:
        world.happen(event)
    world.close()
    return tmp_path / "sim.db"


def test_a_sound_store_breaks_none(path: Path) -> None:
    assert broken(path) == set()


def test_there_is_a_break_for_each() -> None:
    assert set(BREAKS) == {each.name for each in INVARIANTS}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_noticed(name: str, path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.executescript(BREAKS[name])
    database.close()
    assert name in broken(path)
