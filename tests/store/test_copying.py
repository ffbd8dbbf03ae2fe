"""A whole store copied, in every direction: nothing of it is lost, and the next run goes on there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from convo.clock import SystemClock
from convo.engine.conversation import ConsentKind, Request, Step
from convo.messages import Status
from convo.store import Store, open_store, open_views
from convo.store.base import Opening, Result, Settlement
from convo.store.copying import PERSON, tables
from tests.cli.test_operating import convo
from tests.conftest import ROOT
from tests.contract.pieces import ANN, BOB, CHANNEL, anything, at, conversation, marked, put, step, text
from tests.postgres import Databases

STOPWATCH = str(ROOT / "flows" / "stopwatch.yaml")
DIRECTIONS = [("sqlite", "postgres"), ("postgres", "sqlite"), ("sqlite", "sqlite"), ("postgres", "postgres")]


@pytest.fixture
def named(tmp_path: Path, postgres: Databases) -> Callable[[str, str], str]:
    """Return a function that names a new store of a kind."""
    return lambda kind, name: str(tmp_path / f"{name}.db") if kind == "sqlite" else postgres.new()


def filled(store: Store) -> None:
    """Put something into every table."""
    put(store, text("hello \ud800", identity="a"), text("odd\x00", sender=BOB, identity="b"), cursor="c1")
    for waiting in store.claim(10):
        after = conversation(waiting.sender, data={"name": "Ann \ud800"})
        made = step(waiting, after, says=("How old?\x00", "And where?"), timers={"soon": 500}, asks=1)
        store.commit([Result(waiting, (made,))], at(2))
    rows = marked(store)
    store.settle([Settlement(rows[0].outbound.id, Status.SENT, "p1", asked=True, segments=1)], at(4))
    store.settle([Settlement(rows[1].outbound.id, Status.UNKNOWN, reason="nobody knows")], at(4))
    put(store, text("call it", identity="c", sent=3))
    (waiting,) = store.claim(10)
    asks = Step(conversation(steps=2, entry=2), waiting.event, at(3), request=Request("bus", {"stop": "A"}))
    store.commit([Result(waiting, (asks,))], at(5))
    store.request([Opening(CHANNEL, ANN, "visit", "k1", '{"age":34}')], at(5))
    put(store, text("STOP", sender=BOB, identity="d", sent=4))
    (waiting,) = store.claim(10)
    ended = conversation(BOB, steps=2, ended="opted out", ended_at=at(6))
    store.commit([Result(waiting, (step(waiting, ended, consent=ConsentKind.OPT_OUT),))], at(6))
    store.forget(BOB, at(7))


def everything(store: Store) -> list[object]:
    """Return all that a store shows of itself."""
    return [
        store.cursor(CHANNEL),
        store.inbox(),
        store.outbox(),
        store.journal(CHANNEL, ANN),
        store.conversation(CHANNEL, ANN),
        store.next_timer(),
        store.calls(at(1000), 10),
        store.opted_out(CHANNEL, BOB),
        store.open_states(),
    ]


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_copy_holds_all_of_it_and_goes_on(
    named: Callable[[str, str], str], source: str, target: str
) -> None:
    old, new = named(source, "old"), named(target, "new")
    store = open_store(old)
    filled(store)
    before = everything(store)
    overview = store.views.overview(at(9))
    store.close()
    code, said = convo("store", "copy", old, new)
    assert code == 0, said
    copy = open_store(new)
    assert everything(copy) == before
    assert copy.views.overview(at(9)) == overview
    assert [each.invariant.name for each in copy.views.audit(SystemClock().now()) if each.rows] == []
    # What came is known, that of a forgotten person, too; the id of a row that is gone is not given again.
    ids = [row.id for row in copy.inbox()]
    assert max(ids) == 4
    put(
        copy,
        *(text("again", identity=each, sender=who) for each, who in (("a", ANN), ("d", BOB), ("e", ANN))),
    )
    (new,) = [row for row in copy.inbox() if row.id not in ids]
    assert new.id > 5
    copy.call_answered(copy.calls(at(1000), 1)[0].id, "ok", {"bus": "10:42"}, "")
    (answered,) = copy.answered(10)
    copy.commit([Result(answered, (step(answered, conversation(steps=3, entry=3), says=("10:42",)),))], at(9))
    assert len(copy.claim(10)) == 2
    copy.mark_sending(CHANNEL, at(10), 10, anything)
    copy.close()


def test_every_table_and_column_is_in_both_kinds(postgres: Databases, postgres_url: str) -> None:
    found: dict[str, set[str]] = {}
    for table, column in postgres.run(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'",
        postgres_url,
    ):
        found.setdefault(table, set()).add(column)
    for table, columns in tables().items():
        assert found[table] == {*columns, *(["partition"] if table in PERSON else [])}, table


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_store_that_holds_something_is_not_copied_over(named: Callable[[str, str], str], kind: str) -> None:
    old, new = named("sqlite", "old"), named(kind, "new")
    for each in (old, new):
        store = open_store(each)
        put(store, text(each[:10], identity="a"))
        store.close()
    code, said = convo("store", "copy", old, new)
    assert (code, "holds something already" in said) == (3, True)
    store = open_store(new)
    assert [row.text for row in store.inbox()] == [new[:10]]
    store.close()


def test_a_copy_that_breaks_leaves_nothing(
    named: Callable[[str, str], str], postgres: Databases, tmp_path: Path
) -> None:
    old, new = named("sqlite", "old"), named("postgres", "new")
    store = open_store(old)
    filled(store)
    store.close()
    db = sqlite3.connect(old)
    db.execute("UPDATE calls SET status = 'confused'") if False else db.execute(
        "PRAGMA ignore_check_constraints = 1"
    )
    db.execute("UPDATE calls SET status = 'confused'")
    db.commit()
    db.close()
    code, said = convo("store", "copy", old, new)
    assert code == 3, said
    assert "+61" not in said
    with open_views(new) as views:
        assert views.people() == []
    code, said = convo("store", "copy", old, str(tmp_path / "broken.db"))
    assert code == 3, said
    assert not (tmp_path / "broken.db").exists()


def test_a_run_at_work_is_not_copied(named: Callable[[str, str], str]) -> None:
    old, new = named("sqlite", "old"), named("sqlite", "new")
    store = open_store(old)
    store.lock_for_run()
    code, said = convo("store", "copy", old, new)
    assert (code, "another convo runs on" in said) == (3, True)
    assert not Path(new).exists()
    store.close()


def test_what_is_no_store_is_not_copied(named: Callable[[str, str], str], tmp_path: Path) -> None:
    assert convo("store", "copy", str(tmp_path / "none.db"), named("postgres", "new"))[0] == 3
    assert convo("store", "copy", "memory", named("postgres", "new"))[0] == 2


def test_a_stopwatch_that_runs_in_a_file_is_read_in_a_database(tmp_path: Path, postgres_url: str) -> None:
    """What an operator does: from a file to a database, and every command works there."""
    path = str(tmp_path / "convo.db")
    assert convo("run", STOPWATCH, "--store", path, lines="START\n+61491570110: STOP\n")[0] == 0
    assert convo("store", "copy", path, postgres_url)[0] == 0
    code, said = convo("run", STOPWATCH, "--store", postgres_url, lines="TIME\n+61491570110: START\n")
    assert (code, "s so far" in said) == (0, True), said
    for command, words in (
        (("status", "--store", postgres_url), "stopwatch"),
        (("conversation", "+61400000000", "--store", postgres_url), "stopwatch"),
        (("inbox", "list", "--store", postgres_url), ""),
        (("outbox", "list", "--store", postgres_url), ""),
        (("store", "check", "--store", postgres_url), "ok"),
        (("store", "audit", "--store", postgres_url), "ok"),
        (("replay", postgres_url, "--flow", STOPWATCH), "all alike"),
        (("check", STOPWATCH, "--store", postgres_url), "fine"),
        (("store", "prune", "--keep", "90d", "--store", postgres_url), "removed"),
        (("forget", "+61491570110", "--store", postgres_url), "is forgotten"),
        (("store", "audit", "--store", postgres_url), "ok"),
    ):
        code, said = convo(*command)
        assert (code, words in said) == (0, True), (command, said)
    assert convo("store", "backup", str(tmp_path / "copy.db"), "--store", postgres_url)[0] == 2
