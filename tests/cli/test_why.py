"""``convo why``: a step of a journal and a text that was never sent, explained by the engine's own notes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from convo.cli import cli, main
from convo.errors import ConvoError
from convo.testing import Phone

ROOT = Path(__file__).resolve().parents[2]
CLINIC = ROOT / "examples" / "clinic_visit" / "clinic_visit.yaml"
STOPWATCH = ROOT / "flows" / "stopwatch.yaml"

GAME = """\
flow: game
data: {left: 3, secret: {type: text, private: yes}}
anywhere:
  HELP: {reply: Guess a number.}
states:
  guessing:
    triggers:
      number 1 to 9:
        - if: left > 1 and value == 7
          reply: Yes!
          goto: won
        - if: left > 1
          set: {left: left - 1, secret: "told"}
          reply: No. ${left} left.
        - reply: It was 7.
          end: lost
      pattern [a-c]+: {reply: A letter.}
  won:
    ask: Your age?
    answer: number 18 to 110
    late: ignore
    tries: 2
    out_of_tries: over
    skip: left == 1
    goto:
      age > 60: over
      else: done
    save: age
  done:
    reply: Well done.
    goto: over
  over:
    end: over
"""


@pytest.fixture
def game(tmp_path: Path) -> Path:
    path = tmp_path / "game.yaml"
    path.write_text(GAME, encoding="utf-8")
    return path


def why(*words: str) -> str:
    """Return what ``convo why`` prints."""
    result = CliRunner().invoke(cli, ["why", *words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def refused(*words: str) -> str:
    """Return what ``convo why`` says where it cannot."""
    with pytest.raises(ConvoError) as problem:
        why(*words)
    assert problem.value.exit_code == 2
    return str(problem.value)


def test_conditions_are_told_in_order_with_their_values(game: Path) -> None:
    said = why(str(game), "--state", "guessing", "--text", "4", "--set", "left=2").splitlines()
    assert said[:9] == [
        "They wrote “4” in 'guessing'.",
        "It is none of the words taken in 'guessing': HELP.",
        "It fits `number 1 to 9` (line 8).",
        "The condition `left > 1 and value == 7` (line 11) does not hold: left is 2 and value is 4.",
        "The condition `left > 1` (line 12) holds: left is 2.",
        "So number 1 to 9 was done (line 12), and the state stays 'guessing'.",
        "Saved: left is now 1 and secret is now (private).",
        "We said “No. 1 left.”.",
        "the lines that decided:",
    ]
    assert f"{game}:12 |         - if: left > 1" in said[-1]
    lost = why(str(game), "--state", "guessing", "--text", "4", "--set", "left=1")
    assert "(line 12) does not hold: left is 1." in lost
    assert "The conversation is over: lost." in lost


def test_kinds_that_do_not_fit_and_else(game: Path) -> None:
    said = why(str(game), "--state", "guessing", "--text", "abz")
    assert "It does not fit `number 1 to 9` (line 8).\nIt does not fit `pattern [a-c]+` (line 17)." in said
    assert "Nothing of 'guessing' matched, and it has no `else`." in said
    assert "(nothing matched)" in said
    assert "It fits `pattern [a-c]+` (line 17)" in why(str(game), "--state", "guessing", "--text", "abc")


def test_an_answer_and_where_it_leads(game: Path) -> None:
    said = why(str(game), "--state", "won", "--text", "70")
    assert "It answers the question, `number 18 to 110` (line 20), with 70" in said
    assert "The condition `age > 60` (line 26) holds: age is 70." in said
    wrong = why(str(game), "--state", "won", "--text", "12", "--tries", "1")
    assert "It is no answer, `number 18 to 110` (line 20): less than 18." in wrong
    assert "The condition `tries >= 2` (line 23) holds: tries is 2." in wrong
    assert "So (last wrong answer) was done (line 23), and 'won' goes on to 'over'." in wrong
    assert "'done' waits for nothing and goes on to 'over'" in why(
        str(game), "--state", "won", "--text", "20"
    )


def test_the_first_text_opens_and_words_are_compared_folded(game: Path) -> None:
    said = why(str(STOPWATCH), "--text", " “start”! ")
    assert said.startswith("They wrote “ “start”! ”, which is compared as 'start'.\n")
    assert "No conversation was open, so 'stopwatch' began in 'ready'." in said
    assert "It is the word START of 'ready' (line 10)." in said
    assert "It is the word HELP of anywhere (line 4)." in why(str(game), "--state", "won", "--text", "help")
    assert "'leave me alone' on this channel" in why(str(STOPWATCH), "--text", "unsubscribe")


def test_lines_of_a_sub_flow_name_its_file() -> None:
    said = why(str(CLINIC), "--state", "consent/question", "--text", "yes")
    assert "(consent.yaml, line 7)" in said
    assert f"{CLINIC.with_name('consent.yaml')}:7 " in said
    assert f"{CLINIC}:26 |       agreed: age" in said


def test_choices_near_misses_and_another_language() -> None:
    said = why(str(CLINIC), "--state", "clinic", "--text", "riversde")
    assert (
        "It is almost an answer, one of Town, Riverside, Another (line 35): “Riverside” is asked back."
        in said
    )
    swahili = why(str(CLINIC), "--state", "age", "--text", "msaada", "--language", "sw")
    assert "It is the word HELP of anywhere (line 19)." in swahili


def test_a_step_of_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flows").mkdir()
    flow = tmp_path / "flows" / "stopwatch.yaml"
    flow.write_text(STOPWATCH.read_text(encoding="utf-8"), encoding="utf-8")
    CliRunner().invoke(
        cli, ["run", str(flow)], input="START\nfoo\nstop\nunsubscribe\n", standalone_mode=False
    )
    second = why("0400000000", "--step", "2")
    assert second.startswith("step 2 of 4, ")
    assert "They wrote “foo” in 'running'." in second
    assert "so its `else` is tried (line 41)" in second
    assert "'running' goes on to 'stopped'" in why("0400000000", "--step", "3", "--store", "convo.db")
    assert "'leave me alone'" in why("+61400000000")
    as_data = json.loads(why("+61400000000", "--step", "1", "--format", "json"))
    assert as_data["sentences"][0] == "They wrote “START”."
    assert {"path": "flows/stopwatch.yaml", "line": 10, "text": "      START:"} in as_data["lines"]
    assert "has 4 steps in the journal, not 5" in refused("+61400000000", "--step", "5")
    assert "no step of" in refused("+61400000009")
    # A file that has been changed since: what it would do now, and what it did then.
    flow.write_text(
        flow.read_text(encoding="utf-8").replace("goto: stopped", "goto: ready"), encoding="utf-8"
    )
    changed = why("+61400000000", "--step", "3")
    assert "NOTE: flows/stopwatch.yaml has been changed since this step" in changed
    assert "NOTE: then it took: running · STOP → stopped (line 25)." in changed
    assert "'running' goes on to 'ready'" in changed
    flow.unlink()
    assert "name it with --flow PATH" in refused("+61400000000")
    assert "(line 22)" in why("+61400000000", "--step", "3", "--flow", str(STOPWATCH))


def test_replaying_a_journal_keeps_tries_and_language(phone: Callable[..., Phone]) -> None:
    ann = phone(CLINIC)
    ann.send("hi").send("yes").send("old").send("older")
    why = "\n".join(ann.why())
    assert "The condition `tries >= 3` (line 12) does not hold: tries is 2." in why
    ann.wait("25h")
    assert ann.why()[0].startswith("The timer 'reminder 1' of 'age' came due at ")


def test_a_late_text_is_told(phone: Callable[..., Phone], game: Path) -> None:
    ann = phone(game)
    ann.send("7").wait("1m").send("20", sent=timedelta(seconds=70))
    assert "It was sent before the question of 'won' had been handed over." in ann.why()
    assert "Nothing was said." in ann.why()


def test_keywords_are_told(tmp_path: Path) -> None:
    flow = tmp_path / "park.yaml"
    flow.write_text(
        "flow: park\nkeywords: [PARK number]\nstates:\n  a: {triggers: {GO: {reply: Gone.}}}\n",
        encoding="utf-8",
    )
    said = why(str(flow), "--text", "park 7").splitlines()
    assert said[:3] == [
        "They wrote “park 7”.",
        "It is a keyword of 'park'.",
        "No conversation was open, so 'park' began in 'a'.",
    ]


def test_the_example_of_the_docs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "chat.md").read_text(encoding="utf-8")
    words = re.search(r"^python -m convo why (.*)$", page, re.MULTILINE)
    block = re.search(r"```text\n(They wrote.*?)```", page, re.DOTALL)
    assert words is not None
    assert block is not None
    said = why(*words[1].split()).splitlines()
    shown = [line for line in block[1].splitlines() if line != "…"]
    assert [line for line in said if line in shown] == shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--text", "x", "--state", "wun"], "did you mean 'won'?"),
        (["--text", "x", "--state", "won", "--set", "left"], "write NAME=VALUE"),
        (["--text", "x", "--state", "won", "--set", "lft=1"], "did you mean 'left'?"),
        (["--text", "x", "--state", "won", "--set", "left=many"], "this is no number; for example: 3"),
        (["--text", "x", "--state", "won", "--language", "sw"], "does not speak 'sw'"),
        (["--text", "x", "--set", "left=1"], "name one"),
        (["--text", "x", "--step", "1"], "either --text"),
        (["--text", "x", "--state", "done"], "nobody writes in 'done'"),
        (["--state", "won"], "go with --text"),
        ([], "Add --text"),
    ],
)
def test_what_cannot_be_explained_is_said(words: list[str], expected: str, game: Path) -> None:
    assert expected in refused(str(game), *words)


def test_no_traceback_for_a_number_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "nobody"]) == 2
    assert "convo why FLOW --text TEXT" in capsys.readouterr().err


def test_without_a_trace_a_step_is_the_same(phone: Callable[..., Phone], game: Path) -> None:
    """Asking why changes nothing: the same texts lead to the same place."""
    ann, ben = phone(game), phone(game)
    for text in ("4", "abc", "zzz", "7", "12", "70"):
        ann.send(text)
        assert ann.why()
        ben.send(text)
        assert (ann.state, ann.saved, ann.ended) == (ben.state, ben.saved, ben.ended)
    assert ann.ended == "over"
