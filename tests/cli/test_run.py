"""``convo run`` and ``convo chat`` as a person or a script uses them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from convo.cli.phone import read_line, written
from convo.messages import Address
from tests.ending import ended
from tests.terminal import CTRL_C, CTRL_D, chat

ROOT = Path(__file__).resolve().parents[2]
STOPWATCH = ROOT / "flows" / "stopwatch.yaml"
ONE = "+61400000000: "
CONVO = [sys.executable, "-m", "convo"]
NOWHERE = {
    "TELSTRA_CLIENT_ID": "a",
    "TELSTRA_CLIENT_SECRET": "b",
    "TELSTRA_BASE_URL": "http://127.0.0.1:9/v2",
}


def convo(
    *words: str | Path, given: str | bytes = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    data = given.encode() if isinstance(given, str) else given
    return subprocess.run(
        [*CONVO, *map(str, words)],
        input=data,
        capture_output=True,
        timeout=30,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        check=False,
    )


def test_a_pipe_and_the_same_store_again(tmp_path: Path) -> None:
    store = tmp_path / "x.db"
    first = convo("run", STOPWATCH, "--store", store, given="START\n+61400000007: TIME\n\n  time \n")
    assert first.returncode == 0
    assert first.stdout.decode().splitlines()[:2] == [
        ONE + "The stopwatch is running.",
        "+61400000007: The stopwatch is not running yet. Send START first.",
    ]
    assert first.stdout.decode().splitlines()[2].endswith("so far.")
    again = convo("run", STOPWATCH, "--store", store, given="STOP")
    assert again.stdout.decode().startswith(ONE + "Stopped after")
    assert again.returncode == 0


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    done = convo("run", STOPWATCH, "--store", "memory", given=b"\xff\xfe\nTI\x00ME\n\xef\xbb\xbfSTART\r\n")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[-1] == ONE + "The stopwatch is running."


def test_the_polled_path_without_an_account(tmp_path: Path) -> None:
    words = ["run", str(STOPWATCH), "--transport", "telstra_v2", "--emulate"]
    words += ["--store", str(tmp_path / "x.db")]
    done = convo(*words, given="START\n+61400000007: TIME\n")
    assert done.stdout.decode().splitlines() == [
        ONE + "The stopwatch is running.",
        "+61400000007: The stopwatch is not running yet. Send START first.",
    ]
    again = convo(*words, given="STOP\n")
    assert again.stdout.decode().startswith(ONE + "Stopped after")
    assert (done.returncode, again.returncode) == (0, 0)


def test_greeting_once_while_the_conversation_is_open(tmp_path: Path) -> None:
    store = tmp_path / "x.db"
    for expected in (2, 0):
        done = convo("run", STOPWATCH, "--store", store, "--greet", "0400000001", "--greet", "+61400000002")
        assert done.stdout.decode().count("Stopwatch online!") == expected
        assert done.returncode == 0


def test_the_log_has_no_number_and_no_text(tmp_path: Path) -> None:
    done = convo("run", STOPWATCH, "--store", "memory", given="START\ncanary\n")
    log = done.stderr.decode()
    assert "stepped +61…00" in log
    assert "canary" not in log
    assert "+61400000000" not in log
    silent = convo("run", STOPWATCH, "--store", "memory", "--log-level", "error", given="START\n")
    assert silent.stderr == b""


def test_people_in_a_state_that_is_gone(tmp_path: Path) -> None:
    flow, store = tmp_path / "f.yaml", tmp_path / "x.db"
    first, second = "first:\n    triggers: {GO: second}\n", "second:\n    triggers: {HI: {reply: Hi.}}\n"
    text = f"flow: f\nstates:\n  {first}  {second}"
    flow.write_text(text)
    convo("run", flow, "--store", store, given="GO\n")
    flow.write_text(text.replace("second", "third"))
    done = convo("run", flow, "--store", store, given="HI\n+61400000007: GO\n+61400000007: HI\n")
    assert done.returncode == 0
    assert "moved: {second: NEW_STATE}" in done.stderr.decode()
    held, other = done.stdout.decode().splitlines()
    assert held.startswith("+61400000000: Sorry, something went wrong")
    assert other == "+61400000007: Hi."
    flow.write_text(text.replace("second", "third") + "moved: {second: third}\n")
    assert convo("run", flow, "--store", store, given="HI\n").stdout.decode() == ONE + "Hi.\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "nope.yaml"], 1, "no such file"),
        (["run", STOPWATCH, "--transport", "telstra"], 2, "did you mean 'telstra_v3'"),
        (["run", STOPWATCH, "--transport", "telstra_v2"], 2, "TELSTRA_CLIENT_ID and TELSTRA_CLIENT_SECRET"),
        (["run", STOPWATCH, "--emulate"], 2, "--transport telstra_v2"),
        (["run", STOPWATCH, "--greet", "12", "--store", "memory"], 2, "--greet"),
        (["run", STOPWATCH, "--poll", "0"], 2, "--poll"),
        (["run", STOPWATCH, "--poll", "5x"], 2, "write 1s, 30s or 5m"),
        (["run", STOPWATCH, "--poll", "2m", "--store", "/nowhere/x.db"], 3, "/nowhere"),
        (["run", STOPWATCH, "--store", "README.md"], 3, "no database"),
        (["run", STOPWATCH, "--store", "/nowhere/x.db"], 3, "/nowhere"),
        (["run"], 2, "FLOW"),
        (["rnu"], 2, "did you mean 'run'"),
    ],
)
def test_mistakes_get_a_message(words: list[str | Path], code: int, said: str) -> None:
    gone = {"TELSTRA_CLIENT_ID": "", "TELSTRA_CLIENT_SECRET": ""}
    done = convo(*words, env=gone)
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert done.stdout == b""


def test_once_without_a_provider() -> None:
    done = convo("run", STOPWATCH, "--store", "memory", "--transport", "telstra_v2", "--once", env=NOWHERE)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr.decode()


def test_a_second_run_on_the_same_store_is_refused(tmp_path: Path) -> None:
    words = [*CONVO, "run", str(STOPWATCH), "--store", str(tmp_path / "x.db")]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as one:
        assert one.stderr is not None
        one.stderr.readline()
        done = convo("run", STOPWATCH, "--store", tmp_path / "x.db", given="START\n")
        one.communicate()
    assert (one.returncode, done.returncode) == (0, 3)
    assert b"another convo" in done.stderr


def test_whoever_reads_has_gone(tmp_path: Path) -> None:
    store = tmp_path / "x.db"
    words = [*CONVO, "run", str(STOPWATCH), "--store", str(store)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        run.stdin.write(b"START\n")
        run.stdin.flush()
        assert run.wait(10) == 0
        assert b"Traceback" not in run.stderr.read()
    kept = convo("run", STOPWATCH, "--store", store)
    assert kept.stdout.decode() == ONE + "The stopwatch is running.\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "words", [[], ["--transport", "telstra_v2"], ["--transport", "telstra_v2", "--once"]]
)
def test_signals_end_it_in_peace_even_while_a_poll_hangs(how: signal.Signals, words: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {**os.environ, **NOWHERE, "TELSTRA_BASE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/v2"}
        command = [*CONVO, "run", str(STOPWATCH), "--store", "memory", *words]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        ) as run:
            assert run.stderr is not None
            assert b"start: stopwatch" in run.stderr.readline()
            silent.settimeout(30)
            with silent.accept()[0] if words else nullcontext():
                assert ended(run, how) < 2
                assert run.returncode == 0
            assert b"Traceback" not in run.stderr.read()


def test_the_console_loads_no_http_and_none_of_the_extras() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "convo", "run", str(STOPWATCH), "--store", "memory"],
        input="START\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == ONE + "The stopwatch is running.\n"
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "convo.engine.step" in loaded
    unwanted = {"requests", "rich", "starlette", "uvicorn", "prometheus_client", "convo.testing", "convo.web"}
    assert not loaded & (
        unwanted | {"convo.analysis", "convo.transports.http", "convo.transports.telstra_v2"}
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_is_still_being_imported(how: signal.Signals) -> None:
    """Somebody who has changed their mind at once sees no traceback."""
    look = (
        "import sys, os, signal\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'convo.cli.service': os.kill(os.getpid(), {int(how)})\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"sys.argv = ['convo', 'run', {str(STOPWATCH)!r}, '--store', 'memory']\n"
        "from convo.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], input=b"", capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_chat_on_a_terminal(tmp_path: Path) -> None:
    command = ["run", str(STOPWATCH), "--store", str(tmp_path / "x.db")]
    screen, code = chat(command, [("Stopwatch online!", "START\n"), ("is running.", CTRL_D)])
    assert code == 0
    assert screen.index("Ctrl-D ends") < screen.index("Stopwatch online!") < screen.index("is running.")
    assert "INFO" not in screen
    again, code = chat(command, [("in the state 'running'", CTRL_C)])
    assert "in the state 'running'" in again
    assert "Stopwatch online!" not in again
    assert code == 0


def test_lines_of_a_pipe() -> None:
    assert read_line(b"+61 400 000 007: hi: there\n") == ("+61400000007", "hi: there")
    assert read_line(b"+61400000007:\n") == ("+61400000007", "")
    assert read_line(b"+12: hi\n") == ("+61400000000", "+12: hi")
    assert read_line(b" \n") is None
    assert written(Address("+61400000000"), "a\r\nb\x1b[2J\nc") == "+61400000000: a\n  b\ufffd[2J\n  c"


def test_help_names_every_command_and_imports_none() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "convo", "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0
    for name in ("run", "chat", "check", "test", "machine", "schema", "emulate", "transport"):
        assert f"\n  {name} " in done.stdout
    for heavy in ("transitions", "requests", "pydantic", "jinja2", "yaml", "sqlite3"):
        assert f"| {heavy}\n" not in done.stderr.replace("  ", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without a device that is always full")
@pytest.mark.parametrize("words", [["--help"], ["check", str(STOPWATCH)], ["schema"]])
def test_output_that_cannot_be_written_is_no_fault_of_ours(words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*CONVO, *words], stdout=full, stderr=subprocess.PIPE, timeout=30, check=False)
    said = "the output cannot be written: no space left on device\n"
    assert (done.returncode, done.stderr.decode()) == (2, said)


def test_an_output_that_is_closed_is_let_be() -> None:
    command = [sys.executable, "-c", "import os, sys; os.close(1); os.execv(sys.executable, sys.argv[1:])"]
    done = subprocess.run(
        [*command, *CONVO, "run", str(STOPWATCH), "--store", "memory"],
        input=b"START\n",
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert b"fault" not in done.stderr
