"""Mistakes that people make who write a flow for the first time, and what `convo check` says to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convo.cli import main
from convo.testing import Phone

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
    (
        "keywords: [BASE]",
        "keywords: [BASE]\ngreeting: Hi ${comment}!",
        "C003  'comment' may not be set yet where",
    ),
    ("    end: complete\n", "", "C019  advice: 'done' says something and goes on to the end 'gave_up'"),
    ("    optional: []\n", "", "it leaves the answer open: end the 'goto' with 'else: STATE'"),
    # quotes and brackets
    (
        "ask: How old are you?",
        'ask: "How old are you?',
        '22:10  Y005  the quote " that opens here is closed only',
    ),
    (
        "set: {visits: visits + 1}",
        "set: {visits: visits + 1, said: said ~ 'a, '}",
        "between brackets in one line a comma ends the value",
    ),
    (
        "    choices:\n      town: Town",
        "    choices:\n    town: Town",
        "stands below it, two spaces further in",
    ),
    ("BYE: done", "[BYE, QUIT]: done", "several words stand with commas and without brackets: BYE, QUIT:"),
    # keys of other tools, and of other places
    ("    ask: How old", "    question: How old", "did you mean 'ask'?"),
    ("    reply: Let us", "    message: Let us", "did you mean 'reply'?"),
    ("    choices:", "    options:", "did you mean 'choices'?"),
    ("    hint: Or", "    next: gave_up\n    hint: Or", "did you mean 'goto'?"),
    ("    sorry: Please", "  sorry: Please", "'sorry' is a key of a state: it stands below the state's name"),
    ("    hint: Or send SKIP.\n", "    end: x\n", "an end is a state of its own"),
    ("set: {visits: visits + 1}", "set: visits = visits + 1", "for example: set: {visits: visits + 1}"),
    ("    after:\n      72h: done", "    after: 72h", "for example: after: {24h: STATE}"),
    ("BYE: done", "BYE: [done, age]", "one state stands without brackets"),
    ("answer: yes or no", "answer: [yes, no]", "to choose from a list: choices: [Red, Blue]"),
    ("data: {visits: 0}", "data: {visits: 0, seen: {type: string}}", "did you mean 'text'?"),
    ("data: {visits: 0}", "data: {visits: 0, seen: {type: datetime}}", "did you mean 'moment'?"),
    (
        "data: {visits: 0}",
        "data: {visits: 0, seen: {type: choices, first: [a, b]}}",
        "a text belongs here, not a list",
    ),
    (
        "data: {visits: 0}",
        "data: {visits: 0, seen: {type: moment, first: soon}}",
        "for example: '2026-03-31 08:30'",
    ),
    # going on
    ("BYE: done", "BYE: gave up", "write 'gave_up'"),
    ("BYE: done", "BYE: -> done", "write 'done'"),
    ("BYE: done", "BYE: Done", "write 'done'"),
    ("BYE: done", "BYE: done\u00a0", "write 'done'"),
    ("      else: idle", "      otherwise: idle", "write 'else'"),
    ("      else: idle", "      Else: idle", "write 'else'"),
    (
        "      rating <= 2: comment\n      else: idle",
        "      - if: rating <= 2\n        goto: comment\n      - goto: idle",
        "write a line for each condition, without dashes",
    ),
    (
        "river: Riverside\n",
        "river: Riverside\n    goto: {1: agree, 2: done}\n",
        "not its number: town, river",
    ),
    (
        "      town: Town\n      river: Riverside",
        "      1: Town\n      2: Riverside",
        "written by themselves",
    ),
    # expressions and texts
    ("rating <= 2", "rating =< 2", "write '<='"),
    ("rating <= 2", "rating \u2264 2", "write '<='"),
    ("rating <= 2", "rating <> 2", "write '!='"),
    ("rating <= 2", "rating == 1 || rating == 2", "write 'or'"),
    ("rating <= 2", "rating is less than 3", "compare with < <= > >= == or !="),
    ("rating <= 2", "rating between 1 and 2", "low <= name and name <= high"),
    ("if: visits > 3", "if: clinic == town", "a text stands in quotes: 'town'"),
    ("if: visits > 3", "if: comment == null", "ask 'name is set' or 'name is not set'"),
    ("if: visits > 3", "if: comment is none", "write 'is not set'"),
    ("if: visits > 3", "if: now - now > 14", "a duration is written 14d, 24h or 90m"),
    ("if: visits > 3", "if: agree == 'yes'", "yes and no stand without quotes"),
    ("if: visits > 3", "if: clinic == \u2018town\u2019", "type straight quotes"),
    ("set: {visits: visits + 1}", "set: {status: all good}", "a text stands in quotes: 'all good'"),
    ("set: {visits: visits + 1}", "set: {seen: today + 1}", "1d is a day"),
    ("set: {visits: visits + 1}", "set: {seen: now, visits: visits + 1}\n          goto: later", "F012"),
    ("reply: Thank you!", "reply: Thank you for ${value}!", "keep it under another name with 'set'"),
    ("${visits} times", "<visits> times", "T014  advice: '<visits>' is sent as it stands"),
    ("${visits} times", "%visits% times", "T014  warning: '%visits%' is sent as it stands"),
    ("${visits} times", "${my visits} times", "a name has no spaces"),
    # answers
    (
        "answer: yes or no",
        "answer: choices",
        "stands under 'choices', without 'answer': choices: [Red, Blue]",
    ),
    ("number 18 to 110", "date after today", "did you mean 'date above today'?"),
    ("number 18 to 110", "date from tomorrow", "write 'date above today'"),
    ("number 18 to 110", "date 1/1/2026 to today", "a day is written year, month, day: 2026-12-31"),
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


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (BASE.encode("utf-16"), "the file is UTF-16 and not UTF-8 text"),
        (BASE.encode("utf-16-le"), "the file is UTF-16 and not UTF-8 text"),
        (b"{\\rtf1\\ansi flow: base}", "a document of a word processor (RTF)"),
        (b"PK\x03\x04\x14\x00", "a document of a word processor, or a ZIP file"),
    ],
    ids=["utf-16", "utf-16-le", "rtf", "zip"],
)
def test_a_file_that_is_no_text(
    content: bytes, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = checked(content, tmp_path, capsys)
    assert code == 1
    assert told in said
    assert said.count("base.yaml") == 1


@pytest.mark.parametrize("word", ["question", "askk", "Ask"])
def test_one_misspelt_key_is_one_problem(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, said = checked(wrong("    ask: How old", f"    {word}: How old"), tmp_path, capsys)
    assert said.endswith("1 file: 1 error, 0 warnings\n")
    assert "did you mean 'ask'?" in said


def test_a_state_of_numbers_does_not_say_that_it_expects_nothing(tmp_path: Path) -> None:
    path = tmp_path / "nim.yaml"
    path.write_text(
        NIM.replace("      STOP NOW: given_up\n", "").replace("      number:\n", "      number 7 to 9:\n")
    )
    phone = Phone(path)
    phone.send("hello").expect("Sorry, I did not understand that.")
    phone.close()


PASSED_OVER = """\
flow: passed_over
states:
  sure:
    ask: Are you sure?
    answer: yes or no
    optional: SKIP
    goto:
      yes: colour
      no: count
      else: bye
  colour:
    ask: Which?
    choices: {red: Red, blue: Blue}
    optional: SKIP
    goto:
      red: count
      else: bye
  count:
    ask: How many?
    answer: number 1 to 5
    optional: SKIP
    goto:
      count is set and count > 3: bye
      else: few
  few:
    reply: Few.
    end: few
  bye:
    reply: Bye.
    end: complete
"""


def test_where_an_optional_answer_is_asked_for_below(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = checked(PASSED_OVER, tmp_path, capsys)
    assert (code, said.count("\n")) == (0, 1), said
    flow, tests = tmp_path / "base.yaml", tmp_path / "base.test.yaml"
    assert main(["explore", str(flow)]) == 0
    tests.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["test", str(tests), "--cover", "--min", "100"]) == 0


def test_an_answer_that_is_there_already_counts_when_it_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "passed_over.yaml"
    path.write_text(PASSED_OVER.replace("states:", "every_question: {back: BACK}\nstates:", 1))
    phone = Phone(path)
    phone.send("hi").send("yes").send("back").expect(
        "Are you sure?", "Which? 1. Red 2. Blue", "Are you sure?"
    )
    phone.send("skip").expect_state("colour")
    phone.close()
    path.write_text(PASSED_OVER)
    phone = Phone(path)
    phone.send("hi").send("skip").expect("Are you sure?", "Bye.")
    phone.close()


def test_a_keyword_that_the_first_state_hears_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = wrong(
        "  age:\n    ask: How", "  first:\n    triggers:\n      BASE, ALSO: age\n  age:\n    ask: How"
    )
    _, said = checked(text, tmp_path, capsys)
    assert "C009  warning: 'BASE' opens this flow; 'first' hears it only when it is sent again" in said
    assert "'ALSO'" not in said
    _, said = checked(text.replace("BASE, ALSO", "ALSO"), tmp_path, capsys)
    assert "C009" not in said


TOGETHER = """\
flow: lunch
languages: [en, sw]
states:
  which:
    ask: Lunch?
    choices: [Pizza, Sushi, Nothing]
    goto:
      Pizza, Sushi:
        reply: Good choice.
        goto: when
      Nothing: bye
  when:
    ask: When?
    answer: time 11:30 to 14:00
  bye:
    reply: Bye.
    end: done
"""
TOGETHER_SW = """\
translates: lunch
language: sw
states:
  which:
    ask: Chakula?
    choices: [Pizza, Sushi, Hapana]
    goto:
      Pizza, Sushi:
        reply: Vizuri.
  when:
    ask: Saa ngapi?
  bye:
    reply: Kwaheri.
"""


def test_several_answers_that_go_on_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lunch.yaml"
    path.write_text(TOGETHER, encoding="utf-8")
    (tmp_path / "lunch.sw.yaml").write_text(TOGETHER_SW, encoding="utf-8")
    assert main(["check", str(path), "--strict"]) == 0, capsys.readouterr().out
    for typed, language, said in (
        ("1", "en", "Good choice. When?"),
        ("sushi", "en", "Good choice. When?"),
        ("nothing", "en", "Bye."),
        ("2", "sw", "Vizuri. Saa ngapi?"),
    ):
        phone = Phone(path)
        phone.world.speak(phone.number, language)
        phone.send("hi").replies(phone.number)
        phone.send(typed).expect(said)
        phone.close()
    capsys.readouterr()
    assert main(["explore", str(path)]) == 0
    (tmp_path / "lunch.test.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["test", str(tmp_path / "lunch.test.yaml"), "--cover", "--min", "100", "--mutate"]) == 0


WEBINAR = """\
flow: webinar
zone: Africa/Nairobi
data: {begins: {type: moment, first: "2026-03-06 15:00"}}
states:
  booked:
    reply: You are booked for ${begins}.
    triggers:
      CANCEL IT: cancelled
    at:
      24h before begins:
        reply: Tomorrow!
      begins: over
  cancelled:
    reply: Pity.
    end: cancelled
  over:
    reply: It begins now.
    end: complete
"""


def test_a_moment_that_is_the_same_for_everybody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "webinar.yaml"
    path.write_text(WEBINAR, encoding="utf-8")
    assert main(["check", str(path), "--strict"]) == 0, capsys.readouterr().out
    phone = Phone(path)  # it is noon in UTC on 4 March, three in the afternoon in Nairobi
    phone.send("hi").expect("You are booked for 6 Mar 2026, 15:00.").wait("23h").expect_nothing()
    phone.wait("1h").expect("Tomorrow!").wait("23h").expect_nothing()
    phone.wait("1h").expect("It begins now.").expect_ended("complete")
    phone.close()


def test_a_keyword_that_never_opens_is_the_only_thing_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, said = checked(wrong("keywords: [BASE]", "keywords: [STOP]"), tmp_path, capsys)
    assert said.count("base.yaml:") == 1, said
    assert "C004" in said
