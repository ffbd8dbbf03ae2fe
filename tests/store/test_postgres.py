"""What only a database server can do to a store: refuse, restart, be old or new, and have others at work."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from convo.clock import SystemClock
from convo.errors import ConfigError, StoreError
from convo.messages import Address
from convo.store import open_store, open_views, shown
from convo.store.base import PARTITIONS, Result, partition_of
from convo.store.postgres import PostgresStore
from convo.store.sqlfiles import migrations
from tests.cli.test_operating import convo
from tests.contract.pieces import ANN, BOB, CHANNEL, at, conversation, marked, put, say, step, text
from tests.postgres import Databases

# -- who is refused -------------------------------------------------------------------------------------


def refused(url: str, words: str) -> None:
    """See that the store is refused in these words, without the password."""
    with pytest.raises(StoreError, match=words) as told:
        open_store(url)
    assert told.value.exit_code == 3
    assert "pa55word" not in str(told.value)


def test_a_server_that_is_not_there() -> None:
    refused("postgresql://ann:pa55word@127.0.0.1:1/convo", "the server cannot be reached")


def test_a_database_that_is_not_there(postgres: Databases) -> None:
    refused(postgres.url("nowhere"), "there is no such database")


def test_a_user_that_is_not_there(postgres: Databases) -> None:
    refused(postgres.url("postgres").replace("user=postgres", "user=nobody"), "refuses the user or the pass")


def test_a_wrong_password(postgres: Databases) -> None:
    with postgres.asking_for_a_password("ann"):
        there = postgres.url("postgres").replace("user=postgres", "user=ann")
        refused(there + "&password=pa55word", "refuses the user or the password")
        refused(there, "refuses the user or the password")


def test_what_is_no_address() -> None:
    with pytest.raises(ConfigError, match="no address of a database") as told:
        open_store("postgresql://ann:pa55word@/convo?colour=red")
    assert "pa55word" not in str(told.value)


def test_an_address_is_shown_without_its_password() -> None:
    assert (
        shown("postgresql://ann:pa55word@db.example:5433/convo") == "postgresql://ann@db.example:5433/convo"
    )
    assert shown("postgresql:///convo?user=ann&password=pa55word&host=/run") == (
        "postgresql:///convo?user=ann&host=/run"
    )
    assert shown("convo.db") == "convo.db"


def test_a_command_without_a_server_ends_with_3_and_plain_words() -> None:
    for command in (
        ("status",),
        ("store", "check"),
        ("outbox", "list"),
        ("run", "flows/stopwatch.yaml", "--once"),
        ("forget", "+61400000001"),
    ):
        code, said = convo(*command, "--store", "postgresql://ann:pa55word@127.0.0.1:1/convo")
        assert (code, "the server cannot be reached" in said) == (3, True), (command, said)
        assert "Traceback" not in said
        assert "pa55word" not in said


def test_a_database_that_holds_no_store_yet(postgres: Databases) -> None:
    url = postgres.new(empty=True)
    for command in (("status",), ("store", "audit"), ("forget", "+61400000001")):
        code, said = convo(*command, "--store", url)
        assert (code, "holds no store of convo's" in said) == (3, True), (command, said)
    assert postgres.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", url) == [(0,)]
    assert convo("store", "migrate", url)[0] == 0
    code, said = convo("status", "--store", url)
    assert (code, "no good poll ever" in said) == (5, True)


def test_a_newer_store_is_refused(postgres: Databases, postgres_url: str) -> None:
    known = len(migrations("postgres"))
    postgres.run("UPDATE convo_schema SET version = 999", postgres_url)
    try:
        refused(postgres_url, "newer convo")
        code, said = convo("status", "--store", postgres_url)
        assert (code, "newer convo" in said) == (3, True)
    finally:
        postgres.run(f"UPDATE convo_schema SET version = {known}", postgres_url)


def test_the_tables_of_another_program_are_left_alone(postgres: Databases) -> None:
    url = postgres.new(empty=True)
    postgres.run("CREATE TABLE inbox (mail text)", url)
    refused(url, "another program")
    assert postgres.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", url) == [(1,)]
    # In a schema of its own it may stand beside them.
    refused(url + "&options=-csearch_path%3Dconvo", "CREATE SCHEMA")
    postgres.run("CREATE SCHEMA convo", url)
    store = open_store(url + "&options=-csearch_path%3Dconvo")
    assert isinstance(store, PostgresStore)
    assert store.schema == "convo"
    put(store, text("hello", identity="a"))
    assert len(store.claim(10)) == 1
    store.close()


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "psycopg_pool", None)
    code, said = convo("status", "--store", "postgresql://localhost/convo")
    assert code == 2
    assert "pip install 'convo[postgres]'" in said


# -- versions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(1, len(migrations("postgres"))))
def test_a_store_of_every_earlier_version_is_brought_up_to_date(postgres: Databases, version: int) -> None:
    url = postgres.new(empty=True)
    for script in migrations("postgres")[:version]:
        postgres.run(script, url)
    postgres.run("CREATE TABLE convo_schema (version integer NOT NULL)", url)
    postgres.run(f"INSERT INTO convo_schema VALUES ({version})", url)
    code, said = convo("status", "--store", url)
    assert (code, "convo store migrate" in said) == (3, True)
    assert convo("store", "migrate", url)[0] == 0
    store = open_store(url)
    say(store, "Hello.")
    assert [row.outbound.text for row in marked(store)] == ["Hello."]
    store.close()
    with open_views(url) as views:
        assert views.schema() == len(migrations("postgres"))


def test_processes_that_start_at_one_moment_make_one_store(postgres: Databases) -> None:
    url = postgres.new(empty=True)
    with ThreadPoolExecutor(4) as pool:
        for store in pool.map(open_store, [url] * 4):
            store.close()
    assert postgres.run("SELECT version FROM convo_schema", url) == [(len(migrations("postgres")),)]


# -- a server that goes away ----------------------------------------------------------------------------


def test_a_store_goes_on_by_itself_after_the_server_was_away(postgres: Databases, postgres_url: str) -> None:
    store = open_store(postgres_url)
    put(store, text("before", identity="a"))
    postgres.stop()
    try:
        with pytest.raises(StoreError, match=r"shutting down|cannot be reached"):
            put(store, text("while away", identity="b"))
    finally:
        postgres.start()
    for _ in range(20):
        try:
            put(store, text("after", identity="c", sent=2))
            break
        except StoreError:
            continue
    words = [getattr(row.event, "text", "") for row in store.claim(10)]
    assert words == ["before", "after"]
    store.close()


def test_a_connection_that_is_cut_within_a_fence_leaves_nothing(
    postgres: Databases, postgres_url: str
) -> None:
    store = open_store(postgres_url)
    put(store, text("hello", identity="a"))
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid != pg_backend_pid()"
    )

    def step_and_break() -> None:
        with store.fenced(partition_of(CHANNEL, ANN)) as fenced:
            (waiting,) = fenced.claim(10)
            fenced.commit([Result(waiting, (step(waiting, conversation(), says=("Hello.",)),))], at(2))
            postgres.run(cut, postgres_url)

    with pytest.raises(StoreError):
        step_and_break()
    for _ in range(20):
        try:
            assert store.outbox() == []
            break
        except StoreError:
            continue
    assert len(store.claim(10)) == 1
    assert store.conversation(CHANNEL, ANN) is None
    store.close()


# -- others at work -------------------------------------------------------------------------------------

PEOPLE = [Address(f"+614000{number:05}") for number in range(12)]


def test_many_at_work_step_each_text_once_and_in_order(postgres_url: str) -> None:
    """Threads with stores of their own, all on all partitions, while texts still come in."""
    texts, workers = 20, 4
    done = threading.Event()

    def receive() -> int:
        store = open_store(postgres_url)
        for number in range(texts):
            put(
                store,
                *(
                    text(str(number), sender=each, identity=f"{each}-{number}", sent=number)
                    for each in PEOPLE
                ),
            )
        store.close()
        return 0

    def work(_number: int) -> int:
        store, stepped = open_store(postgres_url), 0
        while True:
            over = done.is_set()
            busy = store.busy(at(100))
            for partition in busy:
                with store.fenced(partition) as fenced:
                    waiting = fenced.claim(3)
                    results, last = [], {}
                    for each in waiting:
                        before = last.get(each.sender) or each.conversation
                        after = conversation(each.sender, steps=(before.steps if before else 0) + 1)
                        last[each.sender] = after
                        said = (str(getattr(each.event, "text", "")),)
                        results.append(Result(each, (step(each, after, says=said),)))
                    fenced.commit(results, at(5))
                    stepped += len(results)
            if over and not busy:
                store.close()
                return stepped

    with ThreadPoolExecutor(workers + 1) as pool:
        working = [pool.submit(work, number) for number in range(workers)]
        pool.submit(receive).result(60)
        done.set()
        assert sum(each.result(60) for each in working) == texts * len(PEOPLE)
    store = open_store(postgres_url)
    for each in PEOPLE:
        said = [row.outbound.text for row in store.outbox() if row.outbound.recipient == each]
        assert said == [str(number) for number in range(texts)]
    with open_views(postgres_url) as views:
        assert [found.invariant.name for found in views.audit(SystemClock().now()) if found.rows] == []
    store.close()


def test_one_fence_keeps_others_out_and_another_does_not(postgres_url: str) -> None:
    first, second = open_store(postgres_url), open_store(postgres_url)
    put(first, text("hello", identity="a"))
    mine = partition_of(CHANNEL, ANN)
    came: list[int] = []

    def come() -> None:
        with second.fenced(mine) as fenced:
            came.append(len(fenced.claim(10)))

    with first.fenced(mine) as fenced:
        other = threading.Thread(target=come)
        other.start()
        with second.fenced((mine + 1) % PARTITIONS) as elsewhere:
            assert elsewhere.claim(10) == []
        other.join(0.2)
        assert came == [], "whoever comes waits"
        (waiting,) = fenced.claim(10)
        fenced.commit([Result(waiting, (step(waiting, conversation()),))], at(2))
    other.join(10)
    assert came == [0], "and then sees what was committed"
    first.close()
    second.close()


def test_a_person_is_forgotten_whole_while_they_are_being_stepped(postgres_url: str) -> None:
    first, second = open_store(postgres_url), open_store(postgres_url)
    put(first, text("hello", identity="a"))
    forgotten = threading.Thread(target=lambda: second.forget(ANN, at(3)))
    with first.fenced(partition_of(CHANNEL, ANN)) as fenced:
        (waiting,) = fenced.claim(10)
        forgotten.start()
        forgotten.join(0.2)
        assert forgotten.is_alive(), "it waits for the step in hand"
        fenced.commit([Result(waiting, (step(waiting, conversation(), says=("Hello.",)),))], at(2))
    forgotten.join(10)
    assert first.conversation(CHANNEL, ANN) is None
    assert first.journal(CHANNEL, ANN) == []
    assert first.outbox() == []
    assert first.inbox() == []
    first.close()
    second.close()


def test_a_forgotten_person_is_in_no_byte_of_the_tables(postgres: Databases, postgres_url: str) -> None:
    store = open_store(postgres_url)
    put(store, text("call +61400000001 of Annandale", identity="a"), text("hi", sender=BOB, identity="b"))
    for waiting in store.claim(10):
        after = conversation(waiting.sender, data={"name": "Annandale" if waiting.sender == ANN else "Bob"})
        said = ("Hello Annandale.",) if waiting.sender == ANN else (f"Ann is on {ANN}.",)
        store.commit([Result(waiting, (step(waiting, after, says=said),))], at(2))
    store.close()
    # The server takes samples of what stands in the tables, as it does by itself after some fifty rows.
    postgres.run("ANALYZE", postgres_url)
    assert {b"400000001", b"Annandale"} == bytes_of(postgres, postgres_url, b"400000001", b"Annandale")
    code, said_of_it = convo("forget", ANN, "--store", postgres_url)
    assert (code, "is forgotten" in said_of_it) == (0, True)
    assert bytes_of(postgres, postgres_url, b"400000001", b"Annandale") == set()
    assert bytes_of(postgres, postgres_url, b"400000002") == {b"400000002"}, "Bob stays"


def test_who_does_not_own_the_database_forgets_all_the_same(postgres: Databases, postgres_url: str) -> None:
    tables = postgres.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", postgres_url)
    postgres.run("DROP ROLE IF EXISTS tenant; CREATE ROLE tenant LOGIN")
    postgres.run("GRANT ALL ON SCHEMA public TO tenant", postgres_url)
    try:
        for (table,) in tables:
            postgres.run(f"ALTER TABLE {table} OWNER TO tenant", postgres_url)
        url = postgres_url.replace("user=postgres", "user=tenant")
        store = open_store(url)
        put(store, text("call +61400000001 of Annandale", identity="a"))
        store.close()
        assert convo("forget", ANN, "--store", url)[0] == 0
    finally:
        postgres.run("REASSIGN OWNED BY tenant TO postgres; DROP OWNED BY tenant", postgres_url)
        postgres.run("DROP ROLE tenant")


def bytes_of(postgres: Databases, url: str, *needles: bytes) -> set[bytes]:
    """Return which of these stand in a file of the database, once all is written there."""
    postgres.run("CHECKPOINT", url)
    ((oid,),) = postgres.run("SELECT oid FROM pg_database WHERE datname = current_database()", url)
    files = (Path(postgres.server.pgdata) / "base" / str(oid)).iterdir()
    whole = b"".join(each.read_bytes() for each in files if each.is_file())
    return {each for each in needles if each in whole}


def test_who_receives_tells_which_partitions_have_something(postgres_url: str) -> None:
    told: list[list[int]] = []
    store = PostgresStore(postgres_url, in_commit=lambda _db, partitions: told.append(list(partitions)))
    put(store, *(text("hello", sender=each, identity=each) for each in PEOPLE))
    put(store, text("hello", sender=PEOPLE[0], identity=PEOPLE[0]))
    assert told == [sorted({partition_of(CHANNEL, each) for each in PEOPLE})]
    assert store.busy(at(2)) == told[0]
    store.close()


def test_a_message_that_is_retried_by_hand_is_stepped_at_once(postgres: Databases, postgres_url: str) -> None:
    store = open_store(postgres_url)
    put(store, text("hello", identity="a"))
    (waiting,) = store.claim(1)
    store.commit([Result(waiting, dead="no flow")], at(2))
    postgres.run("DELETE FROM procrastinate_jobs", postgres_url)
    assert convo("inbox", "retry", str(waiting.id), "--store", postgres_url)[0] == 0
    jobs = postgres.run("SELECT args ->> 'partition' FROM procrastinate_jobs", postgres_url)
    assert jobs == [(str(partition_of(CHANNEL, ANN)),)]
    assert len(store.claim(1)) == 1
    code, said = convo("outbox", "resend", "99", "--store", postgres_url)
    assert (code, "there is no row 99" in said) == (2, True)
    store.close()


def test_a_wake_up_that_fails_takes_the_texts_back(postgres_url: str) -> None:
    def fail(_db: object, _partitions: object) -> None:
        raise StoreError("no queue")

    store = PostgresStore(postgres_url, in_commit=fail)
    with pytest.raises(StoreError, match="no queue"):
        put(store, text("hello", identity="a"), cursor="c1")
    assert store.inbox() == []
    assert store.cursor(CHANNEL) is None
    store.close()


# -- texts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strange", ["\x00", "a\x00b\ud800", "\ufdd0", "\ufdd00000", "\ufdd0\x00", "'; --"])
def test_the_spelling_of_what_postgresql_refuses_never_shows(postgres_url: str, strange: str) -> None:
    store = open_store(postgres_url)
    put(store, text(strange, identity=strange))
    (waiting,) = store.claim(10)
    made = step(waiting, conversation(data={"name": strange}), says=(strange,))
    store.commit([Result(waiting, (made,))], at(2))
    found = store.conversation(CHANNEL, ANN)
    assert found is not None
    assert found.data == {"name": strange}
    assert [row.outbound.text for row in marked(store)] == [strange]
    assert store.inbox()[0].text == strange
    with open_views(postgres_url) as views:
        assert [each.invariant.name for each in views.audit(at(4)) if each.rows] == []
    store.close()
