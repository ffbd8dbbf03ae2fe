"""What an operator sees and does: status, conversation, store, inbox, outbox, start."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from convo.cli import cli
from convo.errors import ConvoError
from convo.messages import Address
from convo.store import open_store

ROOT = Path(__file__).resolve().parents[2]
STOPWATCH = str(ROOT / "flows" / "stopwatch.yaml")
APPOINTMENT = str(ROOT / "examples" / "appointment" / "appointment.yaml")
ANN, BOB = "+254700000001", "+254700000002"


def convo(*arguments: str, lines: str = "") -> tuple[int, str]:
    """Run a command; return its exit code and all that it said."""
    result: Result = CliRunner().invoke(cli, list(arguments), input=lines, standalone_mode=False)
    said = result.output
    if isinstance(result.exception, ConvoError):
        return result.exception.exit_code, said + str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return int(result.return_value or 0), said


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store in which somebody has started a stopwatch."""
    path = str(tmp_path / "convo.db")
    code, said = convo("run", STOPWATCH, "--store", path, lines="START\n+61400000002: TIME\n")
    assert code == 0
    assert "The stopwatch is running." in said
    return path


def test_all_is_well(store: str) -> None:
    code, said = convo("status", "--store", store)
    assert code == 0
    assert "all is well" in said
    code, said = convo("status", "--store", store, "--format", "json")
    found = json.loads(said)
    assert found["good"] is True
    assert found["flows"] == [{"flow": "stopwatch", "open": {"ready": 1, "running": 1}, "ended": {}}]


def test_a_channel_that_never_had_a_good_poll_is_bad(store: str, tmp_path: Path) -> None:
    fresh = str(tmp_path / "fresh.db")
    open_store(fresh).close()
    code, said = convo("status", "--store", fresh)
    assert (code, "BAD  no good poll ever: is a run at work" in said) == (5, True)
    assert "all is well" not in said
    config = tmp_path / "convo.yaml"
    channels = "channels:\n  desk: {transport: telstra_v3, flows: [" + STOPWATCH + "]}\n"
    config.write_text(f"store: {store}\n{channels}", encoding="utf-8")
    code, said = convo("status", "--config", str(config))
    assert (code, "BAD  desk: no good poll ever" in said) == (5, True)
    config.write_text(f"store: {store}\n{channels.replace('telstra_v3', 'console')}", encoding="utf-8")
    assert convo("status", "--config", str(config))[0] == 0
    assert convo("status", "--config", str(config), "--store", fresh)[0] == 0


def test_a_channel_that_is_configured_no_more_may_be_silent(store: str, tmp_path: Path) -> None:
    db = sqlite3.connect(store)
    db.execute("INSERT INTO channels VALUES ('old', 'x', '2020-01-01T00:00:00+00:00')")
    db.commit()
    db.close()
    code, said = convo("status", "--store", store)
    assert (code, "BAD  old: no good poll for" in said) == (5, True)
    config = tmp_path / "convo.yaml"
    config.write_text(f"channels: {{console: {{transport: console, flows: [{STOPWATCH}]}}}}\n")
    assert convo("status", "--config", str(config))[0] == 0


def test_something_is_wrong_and_settled_by_hand(store: str) -> None:
    db = sqlite3.connect(store)
    db.execute("UPDATE outbox SET status = 'unknown', reason = 'the line broke' WHERE id = 1")
    db.execute("UPDATE inbox SET status = 'dead', reason = 'its step raised' WHERE id = 2")
    db.commit()
    db.close()
    code, said = convo("status", "--store", store)
    assert code == 5
    assert "nobody knows" in said
    code, said = convo("outbox", "--store", store)
    assert (code, "the line broke" in said) == (0, True)
    assert "+61400000000" not in said
    assert "running" not in said
    code, said = convo("outbox", "--store", store, "--texts")
    assert "The stopwatch is running." in said
    assert convo("outbox", "resend", "1", "--store", store)[0] == 0
    assert convo("outbox", "resend", "99", "--store", store)[0] == 2
    code, said = convo("inbox", "--store", store)
    assert "its step raised" in said
    assert convo("inbox", "retry", "2", "--store", store)[0] == 0
    code, said = convo("run", STOPWATCH, "--store", store)
    assert code == 0
    assert said.count("The stopwatch is") == 2
    assert convo("status", "--store", store)[0] == 0


def test_one_conversation_in_words(store: str) -> None:
    code, said = convo("conversation", "0400 000 000", "--store", store, "--country", "AU")
    assert code == 0
    for part in ("waits in 'running'", "started", "they wrote: START", "we said: The stopwatch is running."):
        assert part in said
    assert convo("conversation", "+61400000077", "--store", store)[0] != 0
    assert convo("conversation", "nonsense", "--store", store)[0] == 2


def test_the_store_agrees_with_itself_or_not(store: str, tmp_path: Path) -> None:
    assert convo("store", "check", "--store", store)[0] == 0
    copy = str(tmp_path / "copy.db")
    assert convo("store", "backup", copy, "--store", store)[0] == 0
    assert open_store(copy).conversation("console", Address("+61400000000")) is not None
    db = sqlite3.connect(copy)
    db.execute("UPDATE conversations SET steps = 7")
    db.commit()
    db.close()
    code, said = convo("store", "check", "--store", copy)
    assert code == 3
    assert "the journal" in said
    assert convo("store", "check", "--store", str(tmp_path / "missing.db"))[0] == 3


def test_we_start_conversations_from_a_list(tmp_path: Path) -> None:
    store = str(tmp_path / "convo.db")
    people = tmp_path / "people.csv"
    people.write_text(
        f"number,appointment\n{ANN},2036-12-01T10:00\n12,2036-12-01T10:00\n{BOB},soon\n", encoding="utf-8"
    )
    open_store(store).close()
    code, said = convo("start", APPOINTMENT, "--csv", str(people), "--store", store)
    assert code == 1
    assert "line 3" in said
    assert "line 4" in said
    opened = open_store(store)
    assert opened.conversation("console", Address(BOB)) is None
    opened.close()
    convo("run", APPOINTMENT, "--store", store)
    opened = open_store(store)
    found = opened.conversation("console", Address(ANN))
    texts = [row.outbound.text for row in opened.outbox()]
    opened.close()
    assert found is not None
    assert found.state == "asking"
    assert [text.startswith("Riverside clinic here.") for text in texts] == [True]
    # Asking again opens nothing.
    assert convo("start", APPOINTMENT, "--csv", str(people), "--store", store)[0] == 1
    assert len(open_store(store).outbox()) == 1


VISIT = """flow: visit
data: {name: {type: text, given: yes}}
greeting: Hello ${name}!
start: asking
states: {asking: {reply: How are you?, triggers: {FINE: asking}}}
"""


@pytest.mark.parametrize(
    ("list_of_people", "words", "named"),
    [
        ("number,name\n0400000001,Ann\n", "1 started", ["Ann"]),
        ("\ufeffnumber;name\r\n0400000001;Ann\r\n", "1 started", ["Ann"]),
        ("sep=;\r\nname;Number\r\nAnn;0400000001\r\n;0400000002\r\n", "line 4: the flow", ["Ann"]),
        ("number,name,,\n0400000001,Ann,,\n0061400000002,Bob,,\n", "2 started", ["Ann", "Bob"]),
        ("number,name\n0400000001,Ann\u2028Bee\n", "1 started", ["Ann\u2028Bee"]),
        ('number,name\n0400000001,"Ann\nBee"\n12,Bob\n', "line 4: …2 is not", ["Ann\nBee"]),
        ("number,name,\n0400000001,Ann,x\n", "line 2: the header has no name for cell 3", []),
        ("number,name\n0400000001,Ann,x\n", "line 2: the header has no name for cell 3", []),
        ("0400000001\n0400000002\n", "line 1 is a person already", []),
        ("Ann,0400000001\nBob,0400000002\n", "line 1 is a person already", []),
        ('number,name\n0400000001,"Ann\n0400000002,Bob\n', "line 2: a quoted cell begins here", []),
        ("number,name,name\n0400000001,Ann,Bob\n", "line 1: two columns have one name", []),
    ],
)
def test_lists_of_people_as_spreadsheets_write_them(
    list_of_people: str, words: str, named: list[str], tmp_path: Path
) -> None:
    flow, people, store = tmp_path / "visit.yaml", tmp_path / "people.csv", str(tmp_path / "convo.db")
    flow.write_text(VISIT, encoding="utf-8")
    people.write_bytes(list_of_people.encode())
    open_store(store).close()
    code, said = convo("start", str(flow), "--csv", str(people), "--store", store)
    assert (words in said, code == 0) == (True, words.endswith("started")), said
    opened = open_store(store)
    texts = [row.outbound.text for row in opened.outbox()]
    people_there = [row.outbound.recipient for row in opened.outbox()]
    opened.close()
    assert texts == [f"Hello {name}!\nHow are you?" for name in named]
    assert people_there == [f"+6140000000{place}" for place in range(1, len(named) + 1)]


def test_a_channel_is_not_made_to_talk_to_itself(tmp_path: Path) -> None:
    flow, config = tmp_path / "visit.yaml", tmp_path / "convo.yaml"
    flow.write_text(VISIT, encoding="utf-8")
    channel = '{transport: telstra_v3, number: "0491 570 158", flows: [visit.yaml]}'
    config.write_text(f"channels: {{desk: {channel}}}\n", encoding="utf-8")
    both = ("--to", "+61491570158", "--to", ANN, "--set", "name=Ann")
    code, said = convo("start", str(flow), *both, "--config", str(config))
    assert (code, "--to, number 1: this is the number of the channel itself" in said) == (1, True)
    assert "1 started, 1 refused" in said


def test_a_list_that_is_broken_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    people, store = tmp_path / "people.csv", str(tmp_path / "convo.db")
    many = 5000
    people.write_text("number\n" + "".join(f"+6140{index:07d}\n" for index in range(many)), encoding="utf-8")
    open_store(store).close()
    words = ["start", STOPWATCH, "--csv", str(people), "--store", store]
    command = [sys.executable, "-m", "convo", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as starting:
        db = sqlite3.connect(store)
        while not db.execute("SELECT count(*) FROM outbox").fetchone()[0]:
            assert starting.poll() is None
            time.sleep(0.01)
        starting.send_signal(signal.SIGINT)
        assert starting.stderr is not None
        said = starting.stderr.read()
    assert starting.returncode == 130, said
    assert "the same command goes on with the others" in said
    assert "Traceback" not in said
    assert 0 < db.execute("SELECT count(*) FROM outbox").fetchone()[0] < many
    convo(*words)
    texted, people_texted = db.execute("SELECT count(*), count(DISTINCT recipient) FROM outbox").fetchone()
    (waiting,) = db.execute("SELECT count(*) FROM inbox WHERE status = 'waiting'").fetchone()
    db.close()
    assert texted == people_texted
    assert texted + waiting == many, "the batch in hand waits for a run, the others are texted once"


def test_nobody_is_started_in_a_store_that_no_run_made(tmp_path: Path) -> None:
    mistyped = tmp_path / "convoo.db"
    code, said = convo("start", STOPWATCH, "--to", ANN, "--store", str(mistyped))
    assert (code, "no run would deliver" in said) == (3, True)
    assert not mistyped.exists()


def test_a_number_that_was_typed_is_said_as_it_was_read(store: str) -> None:
    for words in (
        ["run", STOPWATCH, "--store", "memory", "--greet", "12x"],
        ["conversation", "12x", "--store", store],
        ["forget", "12x", "--store", store],
        ["why", "12x", "--store", store],
        ["emulate", "telstra_v3", "--number", "12x"],
        ["start", STOPWATCH, "--to", "12x", "--store", store],
    ):
        code, said = convo(*words)
        assert code in (1, 2)
        assert "'12x' is not a phone number; write it like +61400000000" in said
    code, said = convo("conversation", "0400000000", "--country", "Australia", "--store", store)
    assert (code, "--country: 'AUSTRALIA' is no country; two letters, like AU" in said) == (2, True)
    code, said = convo("conversation", "04000000001", "--store", store)
    assert (code, "nothing is known of +614000000001 " in said) == (1, True)
    # Two noughts stand for the plus nearly everywhere, if not in Australia.
    for spelled in ("0061400000000", "00 61 400 000 000", "0011 61 400 000 000", "(04) 0000-0000"):
        assert convo("conversation", spelled, "--store", store)[0] == 0


def test_mistakes_of_a_start(tmp_path: Path) -> None:
    store = str(tmp_path / "convo.db")
    open_store(store).close()
    for wrong, words in (
        (["--to", ANN, "--set", "apointment=2036-12-01T10:00"], "did you mean 'appointment'"),
        (["--to", ANN], "appointment"),
        (["--csv", str(tmp_path / "missing.csv")], "missing.csv"),
        ([], "--to"),
    ):
        code, said = convo("start", APPOINTMENT, *wrong, "--store", store)
        assert code in (1, 2), wrong
        assert words in said


CHANNELS = f"""
store: texts.db
channels:
  clinic:
    transport: telstra_v2
    number: "+61400000100"
    flows: [{APPOINTMENT}, {STOPWATCH}]
    default: none
    settings: {{client_id: {{env: CLINIC_ID}}, client_secret: {{env: CLINIC_SECRET}}}}
  desk:
    transport: telstra_v2
    number: "+61400000200"
    flows: [{STOPWATCH}]
    settings: {{client_id: {{env: DESK_ID}}, client_secret: {{env: DESK_SECRET}}}}
"""


def test_a_configuration_says_where_to_start(tmp_path: Path) -> None:
    config = tmp_path / "convo.yaml"
    config.write_text(CHANNELS, encoding="utf-8")
    texted = ["--to", ANN, "--config", str(config)]
    given = ["--set", "appointment=2036-12-01T10:00"]
    # No secret is asked for, and the one channel that serves the flow is found.
    assert convo("start", APPOINTMENT, *texted, *given) == (0, "1 started\n")
    store = open_store(str(tmp_path / "texts.db"))
    assert [row.outbound.channel for row in store.outbox()] == ["clinic"]
    store.close()
    for flow, more, words in (
        (STOPWATCH, [], "several channels serve"),
        (APPOINTMENT, ["--channel", "desk", *given], "does not serve the flow 'appointment'"),
        (STOPWATCH, ["--channel", "dask"], "did you mean 'desk'"),
        (str(ROOT / "examples" / "quiz" / "quiz.yaml"), [], "no channel"),
    ):
        code, said = convo("start", flow, *texted, *more)
        assert (code, words in said) == (2, True), said


def test_nobody_is_texted_on_a_channel_that_no_run_serves(store: str) -> None:
    code, said = convo("start", STOPWATCH, "--to", ANN, "--store", store, "--channel", "consle")
    assert (code, "did you mean 'console'" in said) == (2, True)
    opened = open_store(store)
    assert not [row for row in opened.outbox() if row.outbound.recipient == ANN]
    opened.close()


def test_what_is_tried_again_is_told(store: str) -> None:
    db = sqlite3.connect(store)
    db.execute("UPDATE outbox SET status = 'queued', attempts = 3, reason = 'the line broke' WHERE id = 1")
    db.commit()
    db.close()
    code, said = convo("status", "--store", store)
    assert code == 0
    assert "tried again" in said
    assert "the line broke" in said


def on_a_terminal(*words: str) -> str:
    """Run a command on a terminal of 80 columns; return all that it wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "convo", *words]
    environ = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ):
        os.close(theirs)
        said = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    return said.decode()


def test_the_bar_makes_room_for_what_is_refused(tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    numbers = [f"+2547000{index:05d},2036-12-01T10:00\n" for index in range(200)]
    people.write_text("number,appointment\n" + "".join(numbers + numbers[:3]), encoding="utf-8")
    store = str(tmp_path / "convo.db")
    open_store(store).close()
    said = on_a_terminal("start", APPOINTMENT, "--csv", str(people), "--store", store)
    assert "starting" in said
    assert "200 started, 3 refused" in said
    # Rich takes the bar away before it writes: what stands in a line is what comes after that.
    lines = [line.rpartition("\x1b[2K")[2].strip() for line in said.splitlines()]
    assert sum(line.startswith(str(people)) for line in lines) == 3
    assert not any("starting" in line and "named before" in line for line in lines)


def test_every_line_fits_a_terminal(store: str) -> None:
    db = sqlite3.connect(store)
    db.execute("UPDATE outbox SET status = 'unknown', reason = ? WHERE id = 1", ("the line broke " * 12,))
    db.execute("UPDATE outbox SET text = ? WHERE id = 1", ("a reply of many words " * 12,))
    db.commit()
    db.close()
    for words in (["status"], ["outbox"], ["outbox", "--texts"], ["conversation", "+61400000000"]):
        said = on_a_terminal(*words, "--store", store)
        assert "the line broke" in said
        assert max(map(len, said.splitlines())) <= 80, words


def _read(terminal: int) -> bytes:
    """Return what a terminal shows next, nothing once its program has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


WORDY = """flow: wordy
greeting: "{long}"
states:
  ready:
    triggers:
      text: {{reply: “Yes” – {word}}}
"""


def test_texts_are_cut_to_what_the_carrier_takes_and_written_plainly(tmp_path: Path) -> None:
    long, word = "word " * 30 + "end", "x" * 70
    (tmp_path / "wordy.yaml").write_text(WORDY.format(long=long, word=word), encoding="utf-8")
    config = tmp_path / "convo.yaml"
    channel = "{transport: console, flows: [wordy.yaml], longest: 100 characters, plain: yes}"
    config.write_text(f"store: texts.db\nchannels: {{desk: {channel}}}\n", encoding="utf-8")
    assert convo("start", str(tmp_path / "wordy.yaml"), "--to", ANN, "--config", str(config))[0] == 0
    store = open_store(str(tmp_path / "texts.db"))
    opened = [row.outbound.text for row in store.outbox()]
    store.close()
    assert (len(opened), " ".join(opened)) == (2, long)
    code, said = convo("run", "--config", str(config), lines=f"{ANN}: hello\n")
    assert code == 0
    assert f'"Yes" - {word}' in said, "one segment instead of two"
    code, said = convo("config", "check", str(config))
    assert code == 0
    for wrong in ("longest: 12 characters", "longest: 1601 characters", "longest: 160", "plain: perhaps"):
        config.write_text(f"channels: {{desk: {{transport: console, flows: [wordy.yaml], {wrong}}}}}\n")
        code, said = convo("config", "check", str(config))
        assert (code, "G004" in said) == (2, True), wrong
