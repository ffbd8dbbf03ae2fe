"""convo outbox: what did not simply leave, shown and settled by hand."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.test_operating import STOPWATCH, convo


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store whose one reply may have left when convo died."""
    path = str(tmp_path / "convo.db")
    assert convo("run", STOPWATCH, "--store", path, lines="START\n")[0] == 0
    db = sqlite3.connect(path)
    db.execute("UPDATE outbox SET status = 'sending'")
    db.commit()
    db.close()
    # The next run finds it and holds it: a console cannot be asked.
    code, said = convo("run", STOPWATCH, "--store", path)
    assert (code, "held as unknown" in said, "The stopwatch" in said) == (0, True, False)
    return path


def rows(store: str, *options: str) -> list[dict[str, object]]:
    """Return what the command lists."""
    code, said = convo("outbox", *options, "--store", store, "--format", "json")
    assert code == 0
    found: list[dict[str, object]] = json.loads(said)
    return found


def test_an_unknown_row_is_shown_with_its_reason_and_nothing_private(store: str) -> None:
    (row,) = rows(store)
    assert row["status"] == "unknown"
    assert "between asking the provider and hearing" in str(row["reason"])
    assert "text" not in row
    assert "+61400000000" not in str(row)
    assert convo("status", "--store", store)[0] == 5
    code, said = convo("outbox", "--store", store)
    assert (code, "unknown" in said, "The stopwatch" in said) == (0, True, False)


def test_resent_by_hand_it_leaves_with_the_next_run(store: str) -> None:
    (row,) = rows(store)
    code, said = convo("outbox", "resend", str(row["id"]), "--store", store)
    assert (code, "was unknown" in said) == (0, True)
    code, said = convo("run", STOPWATCH, "--store", store)
    assert said.count("The stopwatch is running.") == 1
    assert rows(store) == []
    assert convo("status", "--store", store)[0] == 0
    assert convo("outbox", "resend", str(row["id"]), "--store", store)[0] == 2


def test_dropped_by_hand_it_never_leaves_and_is_not_shown_again(store: str) -> None:
    (row,) = rows(store)
    assert convo("outbox", "drop", str(row["id"]), "99", "--store", store)[0] == 2, "99 is not there"
    code, said = convo("run", STOPWATCH, "--store", store)
    assert (code, "The stopwatch is running." in said) == (0, False)
    assert rows(store) == []
    assert convo("status", "--store", store)[0] == 0
    assert convo("store", "check", "--store", store)[0] == 0


def test_who_has_opted_out_meanwhile_gets_nothing_by_hand_either(store: str) -> None:
    (row,) = rows(store)
    convo("run", STOPWATCH, "--store", store, lines="UNSUBSCRIBE\n")
    assert convo("outbox", "resend", str(row["id"]), "--store", store)[0] == 0
    code, said = convo("run", STOPWATCH, "--store", store)
    assert (code, "The stopwatch is running." in said) == (0, False)
    assert [each["status"] for each in rows(store, "--status", "blocked")] == ["blocked"]
