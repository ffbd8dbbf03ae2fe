"""``convo chat`` on a pipe, as scripts drive it, and once on a terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from convo.cli import cli, main
from tests.terminal import CTRL_C, CTRL_D
from tests.terminal import chat as on_a_terminal

ROOT = Path(__file__).resolve().parents[2]
STOPWATCH = (ROOT / "flows" / "stopwatch.yaml").read_text(encoding="utf-8")

ASKING = """\
flow: asking
languages: [en, sw]
data: {name: {type: text}}
anywhere:
  HELP: {reply: Just answer.}
states:
  age:
    ask: How old are you?
    answer: number 18 to 110
    sorry: A number please.
    remind: 24h
    no_answer_after: 48h
    no_answer: over
  town:
    ask: Where do you live?
    answer: text up to 30
    goto: looking
  looking:
    call: towns
    with: {town: town}
    save: name
    goto: {ok: done, error: over, timeout: over}
  done:
    reply: So you are from ${name}, on ${today}.
    end: complete
  over:
    end: gone
"""

SWAHILI = """\
translates: asking
language: sw
anywhere:
  HELP: {reply: Jibu tu.}
states:
  age: {ask: Una miaka mingapi?, sorry: Nambari tafadhali.}
  town: {ask: Unaishi wapi?}
  done: {reply: "Unatoka ${name}, ${today}."}
"""

Typed = str | Callable[[], object]


class Keyboard(io.BytesIO):
    """Lines that are typed one after the other; what is no text is done before the next line."""

    def __init__(self, lines: Iterable[Typed]) -> None:
        super().__init__()
        self.left = list(lines)

    def readline(self, size: int | None = -1) -> bytes:
        while self.left:
            line = self.left.pop(0)
            if isinstance(line, str):
                return line.encode() + b"\n"
            line()
        return b""


def chat(flow: Path, *lines: Typed, options: Iterable[str] = ()) -> list[str]:
    """Type lines on a pipe and return the lines that were printed."""
    result = CliRunner().invoke(
        cli, ["chat", str(flow), *options], input=Keyboard(lines), standalone_mode=False
    )
    if result.exception is not None:
        raise result.exception
    return result.output.splitlines()


def replies(lines: Iterable[str]) -> list[str]:
    """Return the texts to the first phone."""
    return [line.removeprefix("+61400000000: ") for line in lines if line.startswith("+61400000000: ")]


@pytest.fixture
def stopwatch(tmp_path: Path) -> Path:
    path = tmp_path / "stopwatch.yaml"
    path.write_text(STOPWATCH, encoding="utf-8")
    return path


@pytest.fixture
def asking(tmp_path: Path) -> Path:
    path = tmp_path / "asking.yaml"
    path.write_text(ASKING, encoding="utf-8")
    path.with_name("asking.sw.yaml").write_text(SWAHILI, encoding="utf-8")
    return path


def test_texts_time_and_other_people(stopwatch: Path) -> None:
    said = chat(
        stopwatch, "START", "/wait 92s", "TIME", "+61400000002: TIME", "/as 0400000003", "START", "//stop"
    )
    assert said == [
        "+61400000000: The stopwatch is running.",
        "# 1 min 32 s later",
        "+61400000000: 1 min 32 s so far.",
        "+61400000002: The stopwatch is not running yet. Send START first.",
        "# you are +61400000003 now",
        "+61400000003: The stopwatch is running.",
        "+61400000003: Stopped after 0 s.",
    ]


def test_state_data_and_timers(asking: Path) -> None:
    said = chat(asking, "/state", "hi", "20", "/state", options=["--clock", "2026-05-01 08:00"])
    assert said[:2] == ["# +61400000000: no conversation yet", "# it is Fri 01 May 2026, 08:00:00"]
    assert said[-3:] == ["# +61400000000: town (en)", "# it is Fri 01 May 2026, 08:00:00", "# age = 20"]
    timed = chat(asking, "hi", "/state", "/wait", "/wait next", "/state", "/wait")
    assert "# timer 'reminder 1' in 1 day" in timed
    assert "# 1 day later" in timed
    assert "# timer 'no answer' in 2 days" in timed
    assert "# +61400000000: ended: gone (en)" in timed
    assert timed[-1] == "# no timer waits; write how long: /wait 25h"


def test_duplicates_wrong_order_and_late_texts(asking: Path, stopwatch: Path) -> None:
    said = chat(
        stopwatch, "START", "/wait 9s", "/again", "/swap", "STOP", "TIME", "/swap", "/swap", "A", "/swap"
    )
    assert said[2:4] == ["# the provider handed your last text out a second time", "# nothing was said"]
    assert said[5:8] == [
        "# held back; your next text overtakes it",
        "+61400000000: 10 s so far.",
        "+61400000000: Stopped after 10 s.",
    ]
    assert said[-1] == "# a text is held back already; send the one that overtakes it"
    late = chat(asking, "hi", "/late", "20", "/state", "20", "/state")
    assert replies(late) == ["How old are you?", "How old are you?", "Where do you live?"]
    # What was said since to a wrong answer is not the question.
    crossed = chat(asking, "hi", "/wait 5m", "old", "/wait 5m", "/late", "20", "/state")
    assert replies(crossed)[-1] == "How old are you?"
    assert "# +61400000000: age (en, 1 wrong)" in crossed
    undone = chat(asking, "hi", "20", "/undo", "/late", "21")
    assert replies(undone) == ["How old are you?", "Where do you live?", "How old are you?"]
    assert chat(asking, "/late") == ["# nothing has been said to this phone yet that a text could cross"]


def test_a_crash_loses_nothing(asking: Path) -> None:
    said = chat(asking, "hi", "20", "/crash", "/state", "Hull")
    assert "# killed, and started again from the store" in said
    assert "# age = 20" in said
    assert said[-1] == "# the service 'towns' is asked; say what it answers: /calls towns ok"


def test_services_and_languages(asking: Path) -> None:
    said = chat(asking, "/lang sw", "hi", "old", "20", "Hull", "/calls towns ok name=Hull", "/lang fr")
    assert replies(said) == [
        "Una miaka mingapi?",
        "Nambari tafadhali.",
        "Unaishi wapi?",
        "Unatoka Hull, 4 Mac 2026.",
    ]
    assert said[-1] == "# this flow does not speak 'fr'  (languages: en, sw)"
    assert "services: towns; results: ok, error, timeout" in chat(asking, "/calls town ok")[0]


def test_why_and_undo(asking: Path) -> None:
    said = chat(asking, "/undo", "hi", "17", "/why", "/undo", "/undo", "/state", "hi", "18")
    assert said[0] == "# there is nothing to undo"
    assert "# It is no answer, `number 18 to 110` (line 9): less than 18." in said
    at = said.index("# undone: 17")
    assert said[at + 1 : at + 3] == ["# undone: hi", "# +61400000000: no conversation yet"]
    assert replies(said)[-2:] == ["How old are you?", "Where do you live?"]


def test_only_so_many_steps_are_kept(stopwatch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convo.cli.chat_session.MOST_STEPS_BACK", 3)
    waits = ["START", "/wait 1s", "/wait 2s", "/wait 4s", "/wait 8s"]
    said = chat(stopwatch, *waits, "/undo", "TIME", "/undo", "/undo", "TIME", "/undo", "/undo", "/undo")
    assert replies(said) == ["The stopwatch is running.", "7 s so far.", "3 s so far."]
    assert said[-1] == "# there is nothing to undo"


def test_undo_takes_time_and_what_was_saved_back(stopwatch: Path) -> None:
    said = chat(stopwatch, "START", "/wait 10s", "/undo", "/wait 3s", "STOP", "/undo", "TIME")
    assert replies(said) == ["The stopwatch is running.", "Stopped after 3 s.", "3 s so far."]


@pytest.mark.parametrize(
    "lines",
    [
        ["START", "/wait 92s", "TIME", "/again", "/crash", "stop", "/undo", "TIME"],
        [
            "START",
            "/swap",
            "STOP",
            "TIME",
            "/late",
            "START",
            "+61400000009: TIME",
            "/as +61400000009",
            "STOP",
        ],
        ["/start", "START", "/wait 25h", "TIME", "unsubscribe", "TIME", "/crash", "START"],
        [
            "START: now #1",
            "\u201cstart\u201d",
            "'",
            "-",
            "null",
            "5",
            "/as +61400000005",
            "/again",
            "TIME",
            "/again",
        ],
    ],
)
def test_a_chat_becomes_a_transcript_that_passes(
    lines: list[str], stopwatch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = chat(stopwatch, *lines, "/save", "/save tests.yaml another name", "/save")
    path = stopwatch.with_name("stopwatch.test.yaml")
    assert f"in {path}; it passes" in said[-3]
    assert said[-1].startswith("# saved as ")
    assert "(2)' in " in said[-1]
    for file in (path, stopwatch.with_name("tests.yaml")):
        assert main(["test", str(file)]) == 0, capsys.readouterr().out
        assert " passed, 0 failed" in capsys.readouterr().out
    assert "has a case 'another name' already" in chat(stopwatch, *lines, "/save tests.yaml another name")[-1]
    assert "  another name:\n" in stopwatch.with_name("tests.yaml").read_text(encoding="utf-8")


def test_languages_services_and_reminders_are_saved_too(
    asking: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--clock", "2026-05-01 08:00"]
    lines = ["/lang sw", "hi", "/wait", "20", "Hull", "/calls towns ok name=Hull", "/save"]
    assert "it passes" in chat(asking, *lines, options=options)[-1]
    written = asking.with_name("asking.test.yaml").read_text(encoding="utf-8")
    # The day is said, so the case has to begin on it.
    assert "    - clock: 2026-05-01 08:00:00\n    - language: sw\n    - them: hi\n" in written
    assert written.endswith("    - ended: complete\n")
    assert main(["test", str(asking.parent)]) == 0, capsys.readouterr().out


def test_what_cannot_be_saved_is_said(stopwatch: Path) -> None:
    assert chat(stopwatch, "/save") == ["# nothing has been said yet that could be saved"]
    assert "stands beside its flow" in chat(stopwatch, "START", "/save elsewhere/x.yaml")[-1]
    assert "is no name for a test file" in chat(stopwatch, "START", "/save tests")[-1]
    assert "is the flow itself" in chat(stopwatch, "START", "/save stopwatch.yaml")[-1]
    assert [each.name for each in stopwatch.parent.iterdir()] == ["stopwatch.yaml"]


def test_the_flow_is_read_again_when_it_is_saved(stopwatch: Path) -> None:
    def save(text: str) -> Callable[[], object]:
        return lambda: stopwatch.write_text(text, encoding="utf-8")

    said = chat(
        stopwatch,
        "START",
        save(STOPWATCH.replace("so far", "until now")),
        "TIME",
        save(STOPWATCH.replace("goto: running", "goto: runing", 1)),
        "TIME",
        save(STOPWATCH.replace("running", "going")),
        "TIME",
        save(STOPWATCH.replace("running", "going") + "moved: {running: going}\n"),
        "TIME",
    )
    assert said[:3] == [
        "+61400000000: The stopwatch is running.",
        "# stopwatch.yaml was saved and is read again; you are still in 'running'",
        "+61400000000: 0 s until now.",
    ]
    assert said[3] == "# stopwatch.yaml was saved with problems; the flow as it was goes on"
    assert "F012  goto names 'runing', which is no state" in said[4]
    assert "+61400000000: 0 s until now." in said[5:]
    gone = next(index for index, line in enumerate(said) if "is gone" in line)
    assert said[gone + 1].startswith("+61400000000: Sorry, something went wrong")
    assert said[gone + 2].startswith("# set aside: the conversation waits in state 'running'")
    assert not said[gone + 3].startswith("# the step was undone")
    assert said[-2:] == [
        "# stopwatch.yaml was saved; 'running' has moved: you are in 'going'",
        "+61400000000: 0 s so far.",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/wiat 5s", "there is no /wiat; did you mean /wait?"),
        ("/xyz", "there is no /xyz; /help shows what there is"),
        ("/wait soon", "'soon' is no duration; write 90s, 10m, 24h, 3d or 2w"),
        ("/wait 99999d", "that is longer than 400 days"),
        ("/as nobody", "phone number"),
        ("/again", "that phone has sent nothing yet that could come a second time"),
        ("/start x", "'x': write name=value"),
        ('/start "x', "a quote is not closed"),
        ("/why", "nothing has happened with this phone yet"),
        ("/help", "/undo          back to before your last line"),
    ],
)
def test_commands_that_cannot_be_done(line: str, expected: str, stopwatch: Path) -> None:
    said = chat(stopwatch, line)
    assert any(expected in each for each in said), said
    assert all(each.startswith("# ") for each in said)


def test_every_command_is_in_the_help_and_in_the_docs(stopwatch: Path) -> None:
    page = (ROOT / "docs" / "chat.md").read_text(encoding="utf-8")
    helped = re.findall(r"^# (/\w+)", "\n".join(chat(stopwatch, "/help")), re.MULTILINE)
    assert len(helped) == 14
    for command in helped:
        assert f"`{command}" in page
        assert not any("there is no /" in line for line in chat(stopwatch, command))


def test_openings_and_quit(stopwatch: Path, tmp_path: Path) -> None:
    said = chat(stopwatch, "/quit", "TIME", options=["--greet", "0400000007", "--greet", "nobody"])
    assert said[0].startswith("+61400000007: Stopwatch online!")
    assert said[1].startswith("# ")
    assert len(said) == 2
    needs = tmp_path / "needs.yaml"
    needs.write_text(
        "flow: needs\ndata: {who: {type: text, given: yes}}\nstates:\n  a: {reply: 'Hi ${who}', end: x}\n",
        encoding="utf-8",
    )
    assert chat(needs, "/start", "/start who=Ann", "/start whom=Ann")[:2] == [
        "# this flow has to be given who: /start who=…",
        "+61400000000: Hi Ann",
    ]


def test_what_is_wrong_from_the_start(
    tmp_path: Path, stopwatch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", str(tmp_path / "none.yaml")]) == 1
    assert main(["chat", str(stopwatch), "--clock", "noon"]) == 2
    assert "is no moment" in capsys.readouterr().err


def test_a_fault_and_controls_are_shown(tmp_path: Path) -> None:
    flow = tmp_path / "odd.yaml"
    flow.write_text(
        "flow: odd\ndata: {n: 0}\nstates:\n  a:\n    triggers:\n      DIV: {reply: '${1 // n}'}\n"
        "      text: {reply: 'You said ${message}'}\n",
        encoding="utf-8",
    )
    said = chat(flow, "DIV", "\x1b[2Jhi", "/state")
    assert any(line.startswith("# the step was undone: ") for line in said)
    assert not any("\x1b" in line for line in said)


def test_on_a_terminal_everything_stands_beside_the_chat(asking: Path) -> None:
    typed = [
        ("/help shows", "hi\n"),
        ("A number please.", "20\n"),
        ("Where do", "/nothing\n"),
        ("no /nothing", CTRL_D),
    ]
    screen, code = on_a_terminal(["chat", str(asking)], typed, {"COLUMNS": "80", "TERM": "xterm"})
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert "/help shows" in plain
    beside = next(line for line in plain.splitlines() if "Where do you live?" in line)
    assert "town (en)" in beside
    assert re.search(r"│ age +20 +│", plain)
    assert re.search(r"⏲ no answer +in [^│]+ │", plain)
    assert re.search(r"\+61400000000 \d\d \w+ \d\d:\d\d ─+╯", plain)
    assert "there is no /nothing" in plain


def test_ctrl_c_on_a_narrow_terminal_leaves_without_a_word(asking: Path) -> None:
    typed = [("/help", "hi\n"), ("A number please.", "20\n"), ("Where do", CTRL_C)]
    screen, code = on_a_terminal(["chat", str(asking)], typed, {"COLUMNS": "40", "TERM": "xterm"})
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert "[town (en) · age=20" in plain
    assert max(map(len, plain.splitlines())) <= 40
    assert "Traceback" not in plain


def test_a_conversation_that_only_we_begin(tmp_path: Path) -> None:
    path = tmp_path / "slot.yaml"
    path.write_text(
        "flow: slot\ndata: {slot: {type: moment, given: yes}}\nstates:\n  one:\n    ask: ${slot}?\n"
        "    answer: yes or no\n  two:\n    reply: Good.\n    end: done\n",
        encoding="utf-8",
    )
    said = chat(path, "hi", "/start slot=2026-03-09 14:00", '/start slot="2026-03-09 14:00"')
    assert said[0].startswith("# set aside: only we begin 'slot'")
    assert "/start name=value" in said[0]
    assert 'quotes around a value with a space: name="a b"' in said[1]
    assert replies(said) == ["9 Mar 2026, 14:00?"]


def test_something_behind_quit(asking: Path) -> None:
    assert chat(asking, "/quit now") == ["# nothing stands behind /quit; Ctrl-D ends the chat, too"]
