"""Mistakes that people make who write a flow for the first time, and what `convo check` says to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convo.cli import main

BASE = """\
flow: base
about: A flow to make mistakes in
zone: Africa/Nairobi
country: KE
keywords: [BASE]
people: {nurse: +254700000009}
data: {visits: 0}
every_question:
  tries: 3
  out_of_tries: gave_up
  remind: 24h, 48h
  reminder: Still there?
  no_answer_after: 72h
  no_answer: expired
  optional: SKIP
  back: BACK
anywhere:
  HELP, INFO:
    reply: Call 0800 123 for a person.
states:
  age:
    ask: How old are you?
    answer: number 18 to 110
    sorry: Please send your age in years.
  clinic:
    ask: Which clinic did you visit?
    choices:
      town: Town
      river: Riverside
  agree:
    ask: May we call you?
    answer: yes or no
    optional: []
    goto:
      yes: rating
      no: done
  rating:
    ask: How was it, 1 to 5?
    answer: number 1 to 5
    optional: off
    goto:
      rating <= 2: comment
      else: idle
  comment:
    ask: What went wrong?
    answer: text up to 300
    hint: Or send SKIP.
  idle:
    triggers:
      MORE:
        - if: visits > 3
          reply: Enough.
        - set: {visits: visits + 1}
          reply: You came ${visits} times.
      BYE: done
    after:
      72h: done
  done:
    reply: Thank you!
    tell: {nurse: "${sender} was here"}
    end: complete
  gave_up:
    reply: Let us leave it there.
    end: gave up
  expired:
    end: expired
"""


def checked(text: str | bytes, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    path = folder / "base.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    code = main(["check", str(path)])
    found = capsys.readouterr()
    assert found.err == ""
    return code, found.out.replace(str(path), "base.yaml")


def wrong(old: str, new: str) -> str:
    assert BASE.count(old) == 1, old
    return BASE.replace(old, new)


def test_without_a_mistake_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = checked(BASE, tmp_path, capsys)
    assert (code, said.count("\n")) == (0, 1), said
    assert said.startswith("1 file: fine")


# What stands in the flow, what somebody writes instead, and what they are told.
MISTAKES = [
    # keys of questions
    ("    optional: off\n", "    optional: no\n", "write: optional: off"),
    ("    optional: off\n", "    optional: yes\n", "for example: optional: SKIP"),
    ("    optional: off\n", "    back: no\n", "write: back: off"),
    ("    optional: off\n", "    optional: off\n    skip: yes\n", "write: optional: SKIP"),
    ("24h, 48h", "24h, 96h", "base.yaml:11:11  F026  a reminder would come after the question is given up"),
    (
        "  no_answer: expired\n",
        "",
        "base.yaml:13:20  F026  'no_answer_after' and 'no_answer' belong together",
    ),
    ("  out_of_tries: gave_up\n", "", "base.yaml:9:10  F026  'tries' and 'out_of_tries' belong together"),
    # comparisons with choices
    ("if: visits > 3", "if: clinic == 'Town'", "write 'town': in a comparison a choice is its id"),
    ("if: visits > 3", "if: clinic == 'riverside'", "write 'river': in a comparison a choice is its id"),
    ("if: visits > 3", "if: clinic in ('town', 'rivr')", "did you mean 'river'?"),
    ("if: visits > 3", "if: clinic is set and clinic != 'x'", "'x' is none of the choices of 'clinic'"),
    ("${visits} times", "{% if clinic == 'Town' %}a{% else %}b{% endif %}", "F025  'Town' is none of"),
    # words that look like more
    ("BYE: done", "any: done", "for whatever nothing else takes write 'else', for any text 'text'"),
    ("BYE: done", "default: done", "write 'else'"),
    ("BYE: done", '"*": done', "write 'else'"),
    ("BYE: done", "BYE or QUIT: done", "several words stand with commas between them: BYE, QUIT"),
    ("BYE: done", "BYE|QUIT|LEAVE: done", "BYE, QUIT, LEAVE"),
    ("BYE: done", "BYE/QUIT: done", "BYE, QUIT"),
    ("BYE: done", "1-5: done", "for a number in a range write 'number 1 to 5'"),
    ("BYE: done", "/bye.*/: done", "for a pattern write 'pattern bye.*'"),
    ("BYE: done", "date: done", "kinds of answers stand under 'answer'"),
    # patterns and choices
    ("answer: number 18 to 110", "answer: pattern /[0-9]+/", "the / around the pattern would have to be in"),
    ("answer: number 18 to 110", 'answer: pattern "[0-9]+"', "around the pattern would have to be in"),
    ("BYE: done", "pattern /bye/i: done", "the / around the pattern"),
    ("town: Town", "town: 1. Town", "leave it out: Town"),
    ("river: Riverside", "river: 2) Riverside", "leave it out: Riverside"),
    # words that mean opting out
    ("keywords: [BASE]", "keywords: [STOP]", "'STOP' means opting out here, so this keyword never opens"),
    # what check looks for
    ("    end: complete\n", "", "C019  advice: 'done' says something and goes on to the end 'gave_up'"),
    ("    optional: []\n", "", "it leaves the answer open: end the 'goto' with 'else: STATE'"),
    # what is declared
    ("country: KE", "country: UK", "write 'GB'"),
    ("country: KE", "country: XX", "'XX' is no country"),
]


@pytest.mark.parametrize(("old", "new", "told"), MISTAKES, ids=lambda each: " ".join(each.split())[:40])
def test_a_mistake(old: str, new: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = checked(wrong(old, new), tmp_path, capsys)
    assert told in said
    assert code == 1 or "warning" in said or "advice" in said
    assert "Traceback" not in said


SOUND = [
    ("    optional: off\n", "    optional: []\n"),
    ("    optional: off\n", "    optional: off\n    back: []\n    tries: off\n    remind: off\n"),
    ("    optional: off\n", "    optional: off\n    no_answer_after: off\n"),
    ("    hint: Or send SKIP.\n", "    optional: [OFF, LATER]\n"),
    ("BYE: done", "'\"any\"': done"),
    ("BYE: done", "BYE, 24/7, OR: done"),
    ("if: visits > 3", "if: clinic is set and clinic in ('town', 'river')"),
    ("country: KE", "country: GB"),
    ("answer: number 18 to 110", "answer: pattern [a-z]+"),
    ("town: Town", "town: 21. March Road"),
]


@pytest.mark.parametrize(("old", "new"), SOUND, ids=lambda each: " ".join(each.split())[:40])
def test_what_is_no_mistake(old: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = checked(wrong(old, new), tmp_path, capsys)
    assert (code, said.count("\n")) == (0, 1), said


def test_a_question_that_says_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    off = "    tries: off\n    remind: off\n    no_answer_after: off\n    optional: off\n    back: off\n"
    (tmp_path / "base.yaml").write_text(wrong("    optional: off\n", off), encoding="utf-8")
    assert main(["machine", str(tmp_path / "base.yaml"), "--format", "json"]) == 0
    found = [row for row in json.loads(capsys.readouterr().out) if row["source"] == "rating"]
    assert {row["trigger"] for row in found} == {"HELP", "INFO", "(answer)", "(wrong answer)"}


NIM = """\
flow: nim
data: {sticks: 11}
states:
  play:
    triggers:
      number 1 to 3:
        set: {sticks: sticks - value}
        goto: check
      number:
        reply: 1, 2 or 3, please.
      STOP NOW: given_up
  check:
    goto:
      sticks <= 0: won
      sticks % 4 == 0: luck
      else: ours
  luck:
    set: {sticks: sticks - 1}
    reply: I take 1. ${sticks} left.
    goto: play
  ours:
    set: {sticks: sticks - sticks % 4}
    reply: ${sticks} left.
    goto: play
  won:
    reply: You win!
    end: won
  given_up:
    reply: Good bye.
    end: given up
"""


def test_a_game_that_counts_down_is_played_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = checked(NIM, tmp_path, capsys)
    assert (code, said.count("\n")) == (0, 1), said
