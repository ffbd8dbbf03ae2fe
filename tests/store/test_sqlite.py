"""What only a file can suffer: other owners, other versions, a full disk, a crash in the middle."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path

import pytest

from convo.errors import StoreError
from convo.messages import Unreadable
from convo.store import open_store
from convo.store.base import Result
from convo.store.sqlite_views import open_views
from tests.contract.pieces import ANN, CHANNEL, at, conversation, marked, put, say, step, text

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = sorted(
    each for each in resources.files("convo.store").joinpath("sql").iterdir() if each.name[:4].isdigit()
)


def refused(path: Path, words: str) -> None:
    """See that the file is refused in these words, and is as it was."""
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreError, match=words) as told:
        open_store(path)
    assert str(path) in str(told.value)
    assert told.value.exit_code == 3
    assert not path.is_file() or path.read_bytes() == before


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 1000, encoding="utf-8")
    refused(path, "is no database")


def test_the_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE bookmarks (url TEXT)")
    db.commit()
    db.close()
    refused(path, "another program")


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "convo.db"
    open_store(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 999")
    db.close()
    with pytest.raises(StoreError, match="newer convo"):
        open_store(path)


def test_a_folder_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder")
    refused(tmp_path / "missing" / "convo.db", "no folder")


def test_a_file_that_is_read_only(tmp_path: Path) -> None:
    store = open_store(tmp_path / "convo.db")
    # What SQLite says of a file without the right to write; root, who runs CI, has that right always.
    store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="read-only"):
        put(store, text("hello", identity="a"))
    store._db.execute("PRAGMA query_only = OFF")
    put(store, text("hello", identity="a"))
    store.close()


def test_the_files_are_private(tmp_path: Path) -> None:
    store = open_store(tmp_path / "convo.db")
    put(store, text("hello", identity="a"))
    files = list(tmp_path.iterdir())
    assert len(files) >= 2
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    store.close()


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "convo.db"
    store = open_store(path)
    for number in range(200):
        put(store, text("hello " * 50, identity=str(number), sent=number))
    store.close()
    raw = bytearray(path.read_bytes())
    raw[4096 : len(raw) - 4096] = os.urandom(len(raw) - 8192)
    path.write_bytes(bytes(raw))

    def read() -> None:
        store = open_store(path)
        store.claim(500)
        store.inbox()

    with pytest.raises(StoreError, match=r"damaged|no database"):
        read()


def test_a_full_disk_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    store = open_store(tmp_path / "convo.db")
    put(store, text("first", identity="first"))
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 4}")

    def fill() -> None:
        for number in range(1000):
            put(store, text("x" * 2000, identity=f"m{number}", sent=number + 1))

    with pytest.raises(StoreError, match="disk is full"):
        fill()
    stored = len(store.claim(1000))
    store._db.execute("PRAGMA max_page_count = 1000000")
    put(store, text("after", identity="after", sent=5000))
    assert len(store.claim(1000)) == stored + 1
    store.close()
    again = open_store(tmp_path / "convo.db")
    assert len(again.claim(1000)) == stored + 1
    again.close()


def test_a_second_run_on_the_same_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "convo.db"
    first, second = open_store(path), open_store(path)
    first.lock_for_run()
    first.lock_for_run()
    with pytest.raises(StoreError, match="another convo runs on"):
        second.lock_for_run()
    first.close()
    second.lock_for_run()
    second.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_store_of_every_earlier_version_opens_and_goes_on(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.db"
    db = sqlite3.connect(path)
    for script in MIGRATIONS[:version]:
        db.executescript(script.read_text(encoding="utf-8"))
    db.execute(f"PRAGMA application_id = {0x434F4E56}")
    db.execute(f"PRAGMA user_version = {version}")
    # A conversation, a text that waits and a reply that has not left, as the first version wrote them.
    db.execute(
        "INSERT INTO conversations (channel, sender, number, flow, version, state, entry, tries, steps,"
        " language, data, opened_at, now_at) VALUES (?, ?, 1, 'visit', 'v', 'age', 1, 0, 1, 'en', ?, ?, ?)",
        (CHANNEL, ANN, '{"age":34}', "2026-03-04T12:00:00.000000Z", "2026-03-04T12:00:00.000000Z"),
    )
    db.execute(
        "INSERT INTO inbox (channel, kind, sender, text, received_at) VALUES (?, 'text', ?, 'hello', ?)",
        (CHANNEL, ANN, "2026-03-04T12:00:01.000000Z"),
    )
    db.execute(
        "INSERT INTO outbox (channel, recipient, text, kind, created_at, changed_at, next_at)"
        " VALUES (?, ?, 'How old are you?', 'reply', ?, ?, ?)",
        (CHANNEL, ANN, *["2026-03-04T12:00:00.000000Z"] * 3),
    )
    db.commit()
    db.close()
    store = open_store(path)
    (waiting,) = store.claim(10)
    assert waiting.conversation is not None
    assert waiting.conversation.data == {"age": 34}
    store.commit([Result(waiting, (step(waiting, conversation(steps=2), says=("Thanks.",)),))], at(2))
    assert [row.outbound.text for row in marked(store)] == ["How old are you?"]
    store.close()


class _Fuse(sqlite3.Connection):
    """A connection that breaks at its n-th statement."""

    left = 1_000_000

    def execute(self, sql: str, parameters: object = ()) -> sqlite3.Cursor:  # type: ignore[override]
        self.burn()
        return super().execute(sql, parameters)  # type: ignore[arg-type]

    def executemany(self, sql: str, parameters: object) -> sqlite3.Cursor:  # type: ignore[override]
        self.burn()
        return super().executemany(sql, parameters)  # type: ignore[arg-type]

    def burn(self) -> None:
        """Count down."""
        self.left -= 1
        if self.left == 0:
            raise sqlite3.OperationalError("disk I/O error")


def test_a_break_at_any_statement_leaves_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    made: list[_Fuse] = []

    def fused(*arguments: object, **named: object) -> sqlite3.Connection:
        made.append(connect(*arguments, factory=_Fuse, **named))  # type: ignore[call-overload]
        return made[-1]

    for broken in range(1, 40):
        path = tmp_path / f"{broken}.db"
        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", fused)
            store = open_store(path)
        put(store, text("hello", identity="a"))
        (waiting,) = store.claim(1)
        made[-1].left = broken
        finished = True
        try:
            made_step = step(waiting, conversation(), says=("Hello.",), timers={"after 1h": 60})
            store.commit([Result(waiting, (made_step,))], at(2))
        except StoreError:
            finished = False
        made[-1].left = 1_000_000
        store.close()
        after = open_store(path)
        there = (
            len(after.claim(10)) == 0,
            after.conversation(CHANNEL, ANN) is not None,
            len(after.outbox()) == 1,
            len(after.journal(CHANNEL, ANN)) == 1,
            after.next_timer() is not None,
        )
        after.close()
        assert len(set(there)) == 1, f"half a commit after statement {broken}: {there}"
        assert there[0] or not finished
        if finished:
            return
    raise AssertionError("the commit has more statements than were tried")


def test_another_process_that_holds_the_file_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "convo.db"
    store = open_store(path)
    code = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.readline(); db.execute('COMMIT')"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "held\n"
    store._db.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(StoreError, match="another program holds"):
        put(store, text("hello", identity="a"))
    other.stdin.write("\n")
    other.stdin.close()
    assert other.wait(10) == 0
    other.stdout.close()
    store._db.execute("PRAGMA busy_timeout = 10000")
    put(store, text("hello", identity="a"))
    say(store, "Hello.")
    store.close()


def test_an_answer_without_sense_is_no_good_poll(tmp_path: Path) -> None:
    """Else a provider that answers every poll with a page would look well for ever."""
    path = tmp_path / "convo.db"

    def good_poll() -> datetime | None:
        with open_views(path) as views:
            return views.overview(at(9)).channels[0].last_good_poll_at

    store = open_store(path)
    page = Unreadable("<html>", "not JSON", at(1), whole=True)
    store.accept(CHANNEL, (), cursor="c1", now=at(1), unreadable=[page])
    assert good_poll() is None
    store.accept(CHANNEL, (), cursor="c1", now=at(2), unreadable=[replace(page, whole=False)])
    assert good_poll() == at(2)
    store.accept(CHANNEL, (), cursor="c1", now=at(3), unreadable=[page])
    assert good_poll() == at(2)
    assert store.cursor(CHANNEL) == "c1"
    store.close()
