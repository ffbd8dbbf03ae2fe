"""A person removed from a store, shown by reading every byte of every file of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from convo.errors import StoreError
from convo.messages import Address
from convo.runtime.retention import EVERY, Retention
from convo.runtime.run import Channel, Runtime
from convo.store import open_store
from convo.store.removed import Removed
from convo.store.sqlite_views import open_views
from convo.testing.fakes import START
from convo.testing.world import CHANNEL, World
from tests.cli.test_operating import convo
from tests.store.test_sqlite import _Fuse

ANN, BOB = "+61491570006", "+61491570110"
CANARY = "marigold-canary"
FLOW = """
flow: visit
people: {desk: "+61491570158"}
start: name
states:
  name:
    ask: What is your name?
    answer: text
    save: name
    after: {2h: {reply: "Still there?"}}
    goto: age
  age:
    ask: "How old are you, ${name}?"
    answer: number
    save: age
    goto: done
  done:
    tell: {desk: "${name} (${sender}) is ${age}"}
    reply: Thank you.
    end: done
"""


def bytes_with(path: Path, *words: str) -> list[str]:
    """Return what of ``words`` stands in the store or in a file beside it, and where."""
    found = []
    for file in sorted(path.parent.glob(path.name + "*")):
        raw = file.read_bytes()
        found += [f"{word} in {file.name}" for word in words if word.encode() in raw]
    return found


@contextmanager
def world(tmp_path: Path) -> Iterator[tuple[World, Path]]:
    """A convo with a provider in memory and its store in a file."""
    flow = tmp_path / "visit.yaml"
    flow.write_text(FLOW, encoding="utf-8")
    made = World(flow, on_disk=True)
    try:
        yield made, Path(made.store.path)  # type: ignore[attr-defined]
    finally:
        made.close()


def chat(world: World, who: str, *texts: str) -> None:
    """Write, and let it be answered."""
    for text in texts:
        world.text(who, text)
        world.work()
        world.clock.advance(60)


def unsound(path: Path) -> list[str]:
    """Return the names of the invariants that are broken."""
    with open_views(str(path)) as views:
        assert views.check() == []
        return [each.invariant.name for each in views.audit(START + timedelta(days=1)) if each.rows]


def test_not_a_byte_is_left_of_a_person_while_the_store_is_in_use(tmp_path: Path) -> None:
    with world(tmp_path) as (running, path):
        chat(running, ANN, "hello", CANARY, "34")
        chat(running, BOB, "hello", "Bob")
        chat(running, ANN, "hello", f"{CANARY} again")
        assert bytes_with(path, ANN, CANARY), "the scan finds what is there"
        code, said = convo("forget", ANN, "--store", str(path), "--format", "json")
        assert (code, json.loads(said)["conversations"]) == (0, 2)
        assert ANN not in said
        assert bytes_with(path, ANN, ANN[1:], "0" + ANN[3:], CANARY) == []
        assert unsound(path) == []
        # The one who is left goes on as if nothing had been.
        chat(running, BOB, "40")
        assert running.transport.replies(BOB)[-1] == "Thank you."
        assert convo("forget", ANN, "--store", str(path))[0] == 1


def test_counts_go_on_counting_who_is_forgotten(tmp_path: Path) -> None:
    with world(tmp_path) as (running, path):
        chat(running, ANN, "hello", "Ann", "34")
        chat(running, BOB, "hello")
        for who in (ANN, BOB):
            assert convo("forget", who, "--store", str(path))[0] == 0
        with open_views(str(path)) as views:
            (flow,) = views.overview(START).flows
        assert flow.ended == {"done": 1, "forgotten": 1}
        db = sqlite3.connect(path)
        counted = db.execute("SELECT what, sum(found) FROM tally GROUP BY what ORDER BY what").fetchall()
        db.close()
        assert counted == [("conversation", 2), ("outbound", 5), ("text", 4)]


def test_who_had_opted_out_and_is_forgotten_is_still_not_texted(tmp_path: Path) -> None:
    with world(tmp_path) as (running, path):
        chat(running, ANN, "hello", "STOP")
        code, said = convo("forget", ANN, "--store", str(path))
        assert (code, "opt-out is kept" in said) == (0, True)
        assert bytes_with(path, ANN, ANN[1:]) == []
        before = len(running.transport.replies(ANN))
        chat(running, ANN, "hello", "anybody?")
        running.open(ANN, {})
        running.work()
        assert len(running.transport.replies(ANN)) == before
        assert unsound(path) == []
        chat(running, ANN, "START")
        assert len(running.transport.replies(ANN)) == before + 1
        chat(running, ANN, "hello")
        assert running.transport.replies(ANN)[-1] == "What is your name?"


def test_what_cannot_be_read_goes_with_its_person(tmp_path: Path) -> None:
    with world(tmp_path) as (running, path):
        chat(running, ANN, "hello")
        running.transport.nonsense(json.dumps({"from": ANN[1:], "body": CANARY}))
        running.work()
        assert bytes_with(path, CANARY)
        assert convo("forget", ANN, "--store", str(path))[0] == 0
        assert bytes_with(path, CANARY, ANN[1:]) == []


def test_a_reader_in_the_way_is_said_and_the_second_time_it_is_done(tmp_path: Path) -> None:
    with world(tmp_path) as (running, path):
        chat(running, ANN, "hello", CANARY)
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM inbox").fetchone()
        store = open_store(path)
        store._db.execute("PRAGMA busy_timeout = 50")
        assert store.forget(Address(ANN), START)
        with pytest.raises(StoreError, match=r"again when that program is done|another program holds"):
            store.scrub()
        reader.close()
        store.scrub()
        store.close()
        assert bytes_with(path, ANN, CANARY) == []


def test_forgetting_needs_a_store_and_a_number(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.db")
    assert convo("forget", ANN, "--store", missing)[0] == 3
    assert not Path(missing).exists()
    assert convo("forget", ANN, "--store", "memory")[0] == 3
    assert convo("forget", "nobody", "--store", missing)[0] == 2


# -- retention ------------------------------------------------------------------------------------------


def test_what_is_older_than_keep_leaves_no_byte(tmp_path: Path) -> None:
    with world(tmp_path) as (running, path):
        chat(running, ANN, "hello", CANARY, "34")
        running.clock.set(START + timedelta(days=100))
        chat(running, BOB, "hello", "Bob")
        running.store.prune(running.clock.now() - timedelta(days=90), running.clock.now(), 10)
        running.store.scrub()
        # The desk was told of her, too.
        assert bytes_with(path, CANARY, ANN) == []
        assert unsound(path) == []
        with open_views(str(path)) as views:
            (flow,) = views.overview(START).flows
        assert (dict(flow.open), dict(flow.ended)) == ({"age": 1}, {"done": 1})


def test_a_run_removes_once_a_day(tmp_path: Path) -> None:
    with world(tmp_path) as (running, _):
        chat(running, ANN, "hello", "Ann", "34")
        retention = Retention(running.store, timedelta(days=90))
        now = START + timedelta(days=1)
        assert retention.once(now) == now + EVERY
        assert running.store.conversation("fake", Address(ANN)) is not None
        running.clock.set(START + timedelta(days=91))
        now = running.clock.now()
        assert retention.once(now) == now, "there may be more"
        assert retention.once(now) == now + EVERY
        assert running.store.conversation("fake", Address(ANN)) is None
        assert retention.once(now + timedelta(hours=1)) == now + EVERY


def test_prune_by_hand(tmp_path: Path) -> None:
    with world(tmp_path) as (running, path):
        chat(running, ANN, "hello", CANARY, "34")
        code, said = convo("store", "prune", "--keep", "90d", "--store", str(path))
        assert (code, said.startswith("removed: 1 conversation, 3 steps")) == (0, True)
        assert bytes_with(path, CANARY, ANN) == []
        assert convo("store", "prune", "--keep", "soon", "--store", str(path))[0] == 2
        assert convo("store", "prune", "--keep", "90d", "--store", str(tmp_path / "none.db"))[0] == 3


def test_forgetting_beside_a_worker_loses_nobody_else(tmp_path: Path) -> None:
    with world(tmp_path) as (running, path):
        people = [f"+6149157{number:04}" for number in range(1000, 1060)]
        for who in people:
            running.text(who, "hello")
        desk = open_store(path)
        total = Removed()

        def work() -> None:
            running.work()

        thread = threading.Thread(target=work)
        thread.start()
        for who in people[::2]:
            total += desk.forget(Address(who), START)
        thread.join()
        for who in people[::2]:
            total += desk.forget(Address(who), START)
        desk.scrub()
        desk.close()
        assert bytes_with(path, *people[::2]) == []
        assert total.texts == 30
        for who in people[1::2]:
            assert running.transport.replies(who) == ["What is your name?"]
        assert unsound(path) == []


def test_keep_in_the_configuration_is_carried_out_by_a_run(tmp_path: Path) -> None:
    with world(tmp_path) as (running, path):
        chat(running, ANN, "hello", CANARY, "34")
        config = tmp_path / "convo.yaml"
        text = f"store: {path}\nkeep: 90d\nchannels: {{desk: {{transport: console, flows: [visit.yaml]}}}}\n"
        config.write_text(text, encoding="utf-8")
        code, said = convo("run", "--config", str(config))
        assert code == 0, said
        assert "retention: 1 conversation and 3 texts older than 90 days removed" in said
        assert running.store.conversation("fake", Address(ANN)) is None
        config.write_text(text.replace("90d", "a while"), encoding="utf-8")
        code, said = convo("run", "--config", str(config))
        assert (code, "G004" in said, "90d" in said) == (2, True, True)


def test_a_run_that_is_called_by_cron_removes_too(tmp_path: Path) -> None:
    with world(tmp_path) as (running, _):
        chat(running, ANN, "hello", CANARY, "34")
        running.clock.set(START + timedelta(days=91))
        runtime = Runtime(
            running.store,
            {CHANNEL: running.flows},
            [Channel(CHANNEL, running.transport)],
            running.clock,
            keep=timedelta(days=90),
        )
        runtime.start_once()
        assert runtime.halt.wait(10)
        runtime.stop()
        assert runtime.halt.error is None
        assert running.store.conversation(CHANNEL, Address(ANN)) is None


def test_a_clock_that_was_set_back_does_not_stop_retention(tmp_path: Path) -> None:
    with world(tmp_path) as (running, _):
        retention = Retention(running.store, timedelta(days=90))
        assert retention.once(START + timedelta(days=4000)) == START + timedelta(days=4000) + EVERY
        assert retention.once(START) == START + EVERY


def test_start_refuses_who_had_opted_out_and_was_forgotten(tmp_path: Path) -> None:
    flow, store = tmp_path / "visit.yaml", str(tmp_path / "convo.db")
    flow.write_text(FLOW, encoding="utf-8")
    assert convo("run", str(flow), "--store", store, lines=f"{ANN}: hello\n{ANN}: STOP\n")[0] == 0
    assert convo("forget", ANN, "--store", store)[0] == 0
    code, said = convo("start", str(flow), "--to", ANN, "--store", store)
    assert (code, "opted out" in said) == (1, True)
    code, said = convo("run", str(flow), "--store", store, lines=f"{ANN}: hello\n")
    assert (code, "What is your name" in said) == (0, False)


def test_a_break_while_forgetting_leaves_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(tmp_path) as (running, path):
        chat(running, ANN, "hello", CANARY, "34")
        chat(running, BOB, f"hello, I know {ANN}", f"{ANN}")
        with open_views(str(path)) as views:
            views.copy_to(tmp_path / "whole.db")
    connect = sqlite3.connect
    made: list[_Fuse] = []

    def fused(*arguments: object, **named: object) -> sqlite3.Connection:
        made.append(connect(*arguments, factory=_Fuse, **named))  # type: ignore[call-overload]
        return made[-1]

    for broken in range(1, 200):
        copy = tmp_path / f"{broken}.db"
        shutil.copyfile(tmp_path / "whole.db", copy)
        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", fused)
            store = open_store(copy)
        made[-1].left = broken
        finished = True
        try:
            store.forget(Address(ANN), START)
        except StoreError:
            finished = False
        made[-1].left = 1_000_000
        there = store.conversation(CHANNEL, Address(ANN)) is not None
        assert there == bool(store.journal(CHANNEL, Address(ANN)))
        assert there == any(ANN in entry.record for entry in store.journal(CHANNEL, Address(BOB)))
        assert there != finished
        store.close()
        assert unsound(copy) == []
        if finished:
            assert broken > 20
            return
    raise AssertionError("forgetting has more statements than were tried")
