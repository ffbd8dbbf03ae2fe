"""``convo test --mutate``: each kind of change is made, and is noticed or listed with its line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from convo.analysis.mutate import Mutation
from convo.cli import cli, main

ROOT = Path(__file__).resolve().parents[2]

FLOW = """\
flow: toll
data: {left: 2}
languages: [en, sw]
opt_in: [BACK]
anywhere:
  HELP: {reply: Send OPEN.}
states:
  closed:
    triggers:
      OPEN, UP:
        - if: left >= 1
          set: {left: left - 1}
          reply: It opens.
          goto: open
        - reply: No money left.
      number 1 to 5:
        set: {left: left + value, note: "paid"}
        reply: Thanks.
      BYE: gone
  open:
    reply: Drive on.
    after:
      10m: closed
    at:
      "23:30": closed
    triggers:
      DONE: closed
  gone:
    ask: Was it fast?
    answer: yes or no
    remind: 24h
    tries: 2
    out_of_tries: over
    skip: left == 9
    goto:
      yes: over
      left > 1: over
      else: closed
  over:
    end: over
"""

SWAHILI = """\
translates: toll
language: sw
anywhere:
  HELP: {words: [MSAADA], reply: Tuma OPEN.}
states:
  closed:
    triggers:
      OPEN, UP:
        - reply: Inafunguka.
        - reply: Hakuna pesa.
      number 1 to 5: {reply: Asante.}
  open: {reply: Endesha.}
  gone: {ask: Ilikuwa haraka?}
"""

CASES = """\
tests: toll
cases:
  it opens:
    - clock: 2026-03-04 12:00
    - them: open
    - us: It opens. Drive on.
"""


@pytest.fixture
def toll(tmp_path: Path) -> Path:
    path = tmp_path / "toll.yaml"
    path.write_text(FLOW, encoding="utf-8")
    path.with_name("toll.sw.yaml").write_text(SWAHILI, encoding="utf-8")
    path.with_name("toll.test.yaml").write_text(CASES, encoding="utf-8")
    return path


def mutate(*words: str) -> tuple[int, str]:
    """Run ``convo test --mutate`` and return exit code and output."""
    result = CliRunner().invoke(cli, ["test", "--mutate", *words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return int(result.return_value or 0), result.output


def test_one_thing_of_each_kind_is_changed(toll: Path) -> None:
    mutation = Mutation(toll)
    found = [mutant for change in mutation.changes if (mutant := mutation.made(change)) is not None]
    said = [f"{each.change.position.line} {each.sentence}" for each in found]
    assert said == [
        "2 set: 2 → 3",
        "4 word: BACK → BACKQZ",
        "6 word: HELP → HELPQZ",
        "10 word: OPEN → OPENQZ",
        "10 word: UP → UPQZ",
        "11 condition: left >= 1 → left > 1",
        "12 set: left: left - 1 taken out",
        "14 goto: open → gone",
        "16 limit: number 1 to 5 → number 0 to 5",
        "16 limit: number 1 to 5 → number 2 to 5",
        "16 limit: number 1 to 5 → number 1 to 4",
        "16 limit: number 1 to 5 → number 1 to 6",
        "17 set: left: left + value taken out",
        "17 set: note: paid taken out",
        "19 word: BYE → BYEQZ",
        "19 goto: gone → open",
        "23 timer: 10m → 20m",
        "23 goto: closed → gone",
        "25 timer: 23:30 → 00:30",
        "25 goto: closed → gone",
        "27 word: DONE → DONEQZ",
        "27 goto: closed → gone",
        "31 timer: 24h → 48h",
        "32 limit: 2 → 1",
        "32 limit: 2 → 3",
        "33 goto: over → closed",
        "34 condition: left == 9 → left != 9",
        "36 goto: over → closed",
        "37 condition: left > 1 → left >= 1",
        "37 goto: over → closed",
        "38 goto: closed → open",
    ]
    # Nothing of it stays in the flow, whose other language still fits.
    again = Mutation(toll)
    assert [each.was for each in again.changes] == [each.was for each in mutation.changes]


def test_what_nobody_notices_is_listed_with_its_line(toll: Path) -> None:
    code, said = mutate(str(toll.parent))
    assert code == 0
    assert said.startswith("1 passed, 0 failed\ntoll: ")
    assert f"  {toll}:27  word: DONE → DONEQZ\n" in said
    assert f"  {toll}:23  timer: 10m → 20m\n" in said
    # The one chat there is notices these.
    assert "word: OPEN " not in said
    assert "goto: open → gone" not in said
    # It does not notice that the count goes down, until it asks for it.
    assert f"  {toll}:12  set: left: left - 1 taken out\n" in said
    tests = toll.with_name("toll.test.yaml")
    tests.write_text(CASES + "    - saved: {left: 1}\n", encoding="utf-8")
    assert "set: left: left - 1 taken out" not in mutate(str(toll.parent))[1]


def test_the_share_can_be_insisted_on(toll: Path) -> None:
    percent = float(re.findall(r"\((\d+)%\)", mutate(str(toll.parent))[1])[0])
    assert mutate(str(toll.parent), "--min", str(percent + 1))[0] == 1
    assert mutate(str(toll.parent), "--min", str(percent - 1))[0] == 0


def test_time_is_bounded(toll: Path) -> None:
    code, said = mutate(str(toll.parent), "--for", "0s")
    assert code == 0
    assert "toll: nothing was changed" in said
    assert re.search(r"\(the time was up: \d+ more were not tried\)", said)
    assert main(["test", "--mutate", "--for", "soon", str(toll.parent)]) == 2


def test_as_data(toll: Path) -> None:
    data = json.loads(mutate(str(toll.parent), "--format", "json")[1])
    assert [case["passed"] for case in data["cases"]] == [True]
    (found,) = data["changes"]
    assert found["flow"] == "toll"
    assert {"kind": "timer", "line": 23, "was": "10m", "became": "20m"} in found["unnoticed"]
    assert found["tried"] + found["unsound"] > 20
    assert found["left"] == 0


def test_a_change_that_goes_round_in_circles_is_noticed(tmp_path: Path) -> None:
    states = (
        "  a:\n    wait: yes\n    after: {1s: b}\n  b:\n    wait: yes\n    after: {5w: c}\n  c: {wait: yes}\n"
    )
    (tmp_path / "round.yaml").write_text(f"flow: round\nstates:\n{states}", encoding="utf-8")
    (tmp_path / "round.test.yaml").write_text(
        "tests: round\ncases:\n  it:\n    - start: {}\n    - wait: 2d\n    - state: b\n", encoding="utf-8"
    )
    said = mutate(str(tmp_path))[1]
    assert "goto: b → " not in said
    assert ":8  goto: c → a" in said


def test_transcripts_have_to_pass_first(toll: Path) -> None:
    toll.with_name("toll.test.yaml").write_text(CASES.replace("opens. D", "opens! D"), encoding="utf-8")
    code, said = mutate(str(toll.parent))
    assert code == 1
    assert "0 passed, 1 failed" in said
    assert "changes" not in said


def test_the_stopwatch_leaves_nothing_unnoticed() -> None:
    code, said = mutate(str(ROOT / "flows"), "--min", "100")
    assert code == 0, said
    assert re.search(r"stopwatch: every one of \d+ changes is noticed", said)
