"""Stores in memory whose connections are used again: nothing of one test is there in the next."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from convo.store import open_store
from convo.testing import Phone
from convo.testing.spare import SpareStore

ROOT = Path(__file__).resolve().parents[2]


def content(store: SpareStore, path: Path) -> list[str]:
    store.save_to(path)
    file = sqlite3.connect(path)
    try:
        return list(file.iterdump())
    finally:
        file.close()


def test_a_store_after_another_is_as_new(tmp_path: Path) -> None:
    seen = []
    for index in range(3):
        phone = Phone(ROOT / "flows" / "stopwatch.yaml")
        assert isinstance(phone.world.store, SpareStore)
        seen.append(content(phone.world.store, tmp_path / f"{index}.db"))
        phone.send("START").expect("The stopwatch is running.")
        phone.send("UNSUBSCRIBE")
        assert content(phone.world.store, tmp_path / f"{index}-used.db") != seen[-1]
        phone.close()
    assert seen[0] == seen[1] == seen[2]
    assert not any("INSERT" in line for line in seen[0])


def test_one_that_is_closed_refuses() -> None:
    phone = Phone(ROOT / "flows" / "stopwatch.yaml")
    phone.close()
    phone.close()
    other = Phone(ROOT / "flows" / "stopwatch.yaml")
    with pytest.raises(Exception, match="closed"):
        phone.send("START")
    assert other.world.store.inbox() == []
    other.close()


def test_a_file_holds_what_was_committed(tmp_path: Path) -> None:
    phone = Phone(ROOT / "flows" / "stopwatch.yaml")
    phone.send("START")
    assert isinstance(phone.world.store, SpareStore)
    phone.world.store.save_to(tmp_path / "kept.db")
    phone.close()
    kept = open_store(tmp_path / "kept.db")
    assert [row.text for row in kept.inbox()] == ["START"]
    kept.close()
