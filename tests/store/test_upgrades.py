"""Stores that an older convo wrote: brought up to date when they are opened, with everything in them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from convo.store import open_store
from tests.cli.test_operating import convo
from tests.conftest import ROOT
from tests.store.test_sqlite import MIGRATIONS

STOPWATCH = str(ROOT / "flows" / "stopwatch.yaml")


def written_by(version: int, new: Path, old: Path) -> None:
    """Write what stands in a store of today as the convo of an earlier schema would have had it."""
    source, target = sqlite3.connect(new), sqlite3.connect(old)
    for script in MIGRATIONS[:version]:
        target.executescript(script.read_text(encoding="utf-8"))
    target.execute(f"PRAGMA application_id = {0x434F4E56}")
    target.execute(f"PRAGMA user_version = {version}")
    tables = target.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    for (table,) in tables.fetchall():
        columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        rows = source.execute(f"SELECT {names} FROM {table}").fetchall()
        target.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
    target.commit()
    source.close()
    target.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_run_goes_on_in_a_store_of_every_version(tmp_path: Path, version: int) -> None:
    new, old = tmp_path / "new.db", tmp_path / "old.db"
    assert convo("run", STOPWATCH, "--store", str(new), lines="START\n+61491570110: STOP\n")[0] == 0
    open_store(new).close()
    written_by(version, new, old)
    code, said = convo("run", STOPWATCH, "--store", str(old), lines="TIME\n+61491570110: START\n")
    assert code == 0
    assert "s so far" in said
    assert "The stopwatch is running." in said
    code, said = convo("store", "check", "--store", str(old))
    assert code == 0, said
    assert f"schema     {len(MIGRATIONS)}" in said
    code, said = convo("replay", str(old), "--flow", STOPWATCH)
    assert (code, "all alike" in said) == (0, True)
    assert convo("forget", "+61491570110", "--store", str(old))[0] == 0
    assert convo("store", "check", "--store", str(old))[0] == 0


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_what_only_looks_says_that_a_run_brings_it_up_to_date(tmp_path: Path, version: int) -> None:
    new, old = tmp_path / "new.db", tmp_path / "old.db"
    open_store(new).close()
    written_by(version, new, old)
    code, said = convo("status", "--store", str(old))
    assert (code, "the next convo run brings it up to date" in said) == (3, True)


def test_an_upgrade_that_is_cut_short_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = tmp_path / "new.db", tmp_path / "old.db"
    assert convo("run", STOPWATCH, "--store", str(new), lines="START\n")[0] == 0
    written_by(1, new, old)
    from convo.errors import StoreError
    from convo.store import sqlite

    scripts = [each.read_text(encoding="utf-8") for each in MIGRATIONS]
    # Power fails in the middle of the second file: half of its statements have been made.
    broken = (scripts[0], scripts[1] + "\nINSERT INTO nowhere VALUES (1);", *scripts[2:])
    with monkeypatch.context() as patched:
        patched.setattr(sqlite, "migrations", lambda: broken)
        with pytest.raises(StoreError):
            open_store(old)
    db = sqlite3.connect(old)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert "memo" not in [row[1] for row in db.execute("PRAGMA table_info(conversations)")]
    db.close()
    code, said = convo("run", STOPWATCH, "--store", str(old), lines="TIME\n")
    assert (code, "s so far" in said) == (0, True)
