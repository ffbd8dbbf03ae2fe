"""convo inbox: what was set aside, shown, stepped again or dropped by hand."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from convo.clock import SystemClock
from convo.messages import Unreadable
from convo.store import open_store
from tests.cli.test_operating import STOPWATCH, convo


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with an answer that nobody can read (1), a text set aside (2) and one that is done (3)."""
    path, now = str(tmp_path / "convo.db"), SystemClock().now()
    opened = open_store(path)
    odd = Unreadable("<html>marigold</html>", "not JSON", now)
    opened.accept("console", (), cursor=None, now=now, unreadable=(odd,))
    opened.close()
    assert convo("run", STOPWATCH, "--store", path, lines="START\nTIME\n")[0] == 0
    db = sqlite3.connect(path)
    db.execute("UPDATE inbox SET status = 'dead', reason = 'its step raised' WHERE id = 2")
    db.commit()
    db.close()
    return path


def test_what_was_set_aside_is_listed_and_private_unless_asked_for(store: str) -> None:
    code, said = convo("inbox", "--store", store)
    assert code == 0
    assert "not JSON" in said
    assert "its step raised" in said
    assert "marigold" not in said
    assert "+61400000000" not in said
    code, said = convo("inbox", "--texts", "--store", store)
    assert "marigold" in said
    assert "+61400000000" in said
    found = json.loads(convo("inbox", "--store", store, "--format", "json")[1])
    assert [row["id"] for row in found] == [1, 2]
    assert json.loads(convo("inbox", "--channel", "other", "--store", store, "--format", "json")[1]) == []


def test_only_what_is_dead_and_can_be_read_is_retried(store: str) -> None:
    code, said = convo("inbox", "retry", "1", "2", "3", "99", "--store", store)
    assert code == 2
    assert "inbox row 1 cannot be retried: what came could not be read" in said
    assert "2: waits for its step again" in said
    assert "inbox row 3 cannot be retried: it is done" in said
    assert "there is no row 99" in said
    code, said = convo("run", STOPWATCH, "--store", store)
    assert (code, said.count("Started again from zero.")) == (0, 1)


def test_dropped_is_dropped_for_good(store: str) -> None:
    assert convo("inbox", "drop", "1", "2", "--store", store)[0] == 0
    assert convo("inbox", "--store", store)[1].strip() == "there are none"
    assert convo("inbox", "drop", "1", "--store", store)[0] == 2
    code, said = convo("run", STOPWATCH, "--store", store)
    assert (code, "Started again" in said) == (0, False)
    assert convo("status", "--store", store)[0] == 0


def test_mistakes_of_an_inbox(store: str, tmp_path: Path) -> None:
    assert convo("inbox", "--store", str(tmp_path / "none.db"))[0] == 3
    with pytest.raises(AssertionError, match="name the ID"):
        convo("inbox", "retry", "--store", store)
