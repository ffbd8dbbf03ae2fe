"""Flow files: what a good one means, and every problem of a bad one at once."""

from __future__ import annotations

import contextlib
import os
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from convo.flow import answers, codes, fence, reader
from convo.flow.model import Card, Flow
from convo.flow.parse import Beside, load_flow, parse_flow
from convo.flow.problems import FlowError, Severity
from convo.flow.reader import read_file, read_text
from convo.flow.sentences import BUILT_IN_TEXTS
from convo.flow.template import Expression, Template
from convo.flow.triggers import MatcherKind
from convo.flow.values import Type

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "flows"
BAD_FLOWS = sorted(
    # What they run and their words in other languages stand beside them.
    path
    for path in GOLDEN.glob("*.yaml")
    if not path.stem.startswith("part_") and "." not in path.stem
)
CODES = {**reader.CODES, **codes.CODES, **fence.CODES, **answers.CODES}
WITHOUT_A_FILE = {
    "Y001": "test_a_file_that_is_not_there",
    "Y012": "test_a_file_as_long_as_a_book",
    "A006": "tests/flow/test_answers_notation.py, with a package that breaks",
}
"""What no file of a size to keep can show, and what shows it instead."""
READY = "  ready:\n    triggers:\n      GO: ready\n"


def flow_of(text: str) -> Flow:
    """Return the flow that is written in ``text``."""
    return parse_flow(read_text(text, "flow.yaml", strict=False))


def problems_of(path: Path) -> str:
    """Return every problem and warning of a file, as a terminal shows it; "" where there is none."""
    try:
        with contextlib.chdir(path.parent):
            flow = parse_flow(read_file(Path(path.name), strict=False), Beside(Path(), (path.stem,)))
    except FlowError as error:
        return f"{error}\n"
    return "".join(f"{warning}\n" for warning in flow.warnings)


@pytest.mark.usefixtures("without_re2")  # which has words of its own for a bad pattern
@pytest.mark.parametrize("path", BAD_FLOWS, ids=lambda path: path.stem)
def test_a_bad_flow_has_exactly_these_problems(path: Path) -> None:
    expected, found = path.with_suffix(".txt"), problems_of(path)
    if os.environ.get("CONVO_UPDATE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found
    assert found == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("code", [each for each in CODES if each not in WITHOUT_A_FILE])
def test_every_code_has_a_bad_flow_that_shows_it(code: str) -> None:
    bad = [path for path in BAD_FLOWS if path.name.startswith(code)]
    assert any(f"  {code}  " in path.with_suffix(".txt").read_text(encoding="utf-8") for path in bad), (
        f"no flow {code}_….yaml in {GOLDEN.relative_to(ROOT)} has this problem: {CODES[code]}"
    )


@pytest.mark.parametrize(
    "path", [path for path in BAD_FLOWS if path.name[:4] in CODES], ids=lambda path: path.stem
)
def test_every_bad_flow_has_a_sound_twin(path: Path) -> None:
    assert problems_of(path.with_suffix(".sound.yaml")) == ""


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "  Y001  " in problems_of(tmp_path / "nowhere.yaml")


def test_a_file_as_long_as_a_book(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text("flow: long\n" + "# a line\n" * 200_000, encoding="utf-8")
    assert "  Y012  " in problems_of(path)


def test_the_stopwatch() -> None:
    flow = load_flow(ROOT / "flows" / "stopwatch.yaml")
    assert (flow.name, flow.start, list(flow.states)) == (
        "stopwatch",
        "ready",
        ["ready", "running", "stopped"],
    )
    assert flow.types == {"started": Type.MOMENT, "stopped": Type.MOMENT}
    assert flow.opt_out == ("UNSUBSCRIBE",)
    assert flow.greeting is not None
    assert flow.greeting.constant == "Stopwatch online! I understand START, STOP and TIME."
    start, either = flow.states["ready"].rules
    assert [arm.to for arm in start.actions[0].goto] == ["running"]
    assert [line.name for line in start.actions[0].effects.set] == ["started"]
    assert [matcher.word for matcher in either.matchers] == ["stop", "time"]
    assert either.actions[0].goto == ()
    assert [rule.matchers[0].kind for rule in flow.anywhere] == [MatcherKind.ELSE]


def test_the_carrier_safe_stopwatch_has_no_word_of_a_carrier() -> None:
    path = ROOT / "examples" / "stopwatch_carrier_safe" / "stopwatch_carrier_safe.yaml"
    flow = load_flow(path)
    words = {
        matcher.word for state in flow.states.values() for rule in state.rules for matcher in rule.matchers
    }
    assert words == {"start", "halt", "time"}
    assert flow.opt_out is None


def test_a_flow_that_says_everything() -> None:
    flow = flow_of(
        """flow: full
about: All there is
greeting: Hello!
language: en
zone: Africa/Nairobi
country: KE
keywords: PARK, PAY
opt_out: [LEAVE, GO AWAY]
opt_in: [BACK]
restart: any
max_segments: 2
start: hello
moved: {old: play}
texts:
  nothing_matched: 'Send ${words}, please.'
  apology: Oops.
data:
  score: 0
  best: {type: number, first: 3, keep: yes}
  appointment: {type: moment, given: yes}
  first_bus: {type: text}
  note:
states:
  hello:
    about: Says hello
    set: {score: 1, name: 'you', note: 'none'}
    reply: [Hello., 'Score ${score}, ${name}']
  play:
    reply: Play!
    triggers:
      UP:
        - if: score > 2
          reply: Enough.
          goto: {'score > 3': ends, 'score == 3': {end: three}, else: play}
        - set: {score: score + 1}
      DOWN: ends
      number 1 to 5: {end: counted}
      text: quiet
  quiet:
    wait: yes
  alone:
    triggers: {OUT: ends}
    anywhere: off
  onward:
    goto: {'score > 1': play, else: ends}
  ends:
    reply: Bye.
    end: all  done
anywhere:
  OVER: ends
"""
    )
    states = flow.states
    assert flow.start == "hello"
    assert flow.about == "All there is"
    assert (flow.zone, flow.country, flow.language, flow.max_segments) == ("Africa/Nairobi", "KE", "en", 2)
    assert (flow.keywords, flow.opt_out, flow.opt_in) == (("PARK", "PAY"), ("LEAVE", "GO AWAY"), ("BACK",))
    assert flow.restart
    assert flow.moved == {"old": "play"}
    assert flow.needs_data
    assert flow.types == {
        "score": Type.NUMBER,
        "best": Type.NUMBER,
        "appointment": Type.MOMENT,
        "first_bus": Type.TEXT,
        "note": Type.TEXT,
        "name": Type.TEXT,
    }
    assert (flow.data["score"].first, flow.data["best"].first, flow.data["best"].keep) == (0, 3, True)
    assert flow.data["note"].first is None
    assert flow.texts["apology"].constant == "Oops."
    assert flow.texts["nothing_matched"].render({"words": "A"}) == "Send A, please."
    assert set(flow.texts) == {name for name, each in BUILT_IN_TEXTS.items() if each.default}

    hello = states["hello"]
    assert (hello.card, hello.about, [arm.to for arm in hello.goto]) == (Card.STEP, "Says hello", ["play"])
    assert [type(line.value) for line in hello.entry.set] == [Expression, Template, Template]
    assert len(hello.entry.reply) == 2
    up, down, number, text = states["play"].rules
    assert states["play"].speaks
    assert [action.condition is None for action in up.actions] == [False, True]
    assert [(arm.to, arm.end, arm.condition is None) for arm in up.actions[0].goto] == [
        ("ends", None, False),
        (None, "three", False),
        ("play", None, True),
    ]
    assert [arm.to for arm in down.actions[0].goto] == ["ends"]
    assert [(arm.to, arm.end) for arm in number.actions[0].goto] == [(None, "counted")]
    assert text.matchers[0].kind is MatcherKind.TEXT
    assert (states["quiet"].card, states["quiet"].rules, states["quiet"].anywhere) == (Card.COMMAND, (), True)
    assert not states["alone"].anywhere
    assert (states["ends"].card, states["ends"].end) == (Card.END, "all done")


@pytest.mark.parametrize(
    ("first", "kind", "value"),
    [
        ("3", Type.NUMBER, 3),
        ("-3", Type.NUMBER, -3),
        ("'3'", Type.TEXT, "3"),
        ("''", Type.TEXT, ""),
        ("yes", Type.YES_NO, True),
        ("10m", Type.DURATION, timedelta(minutes=10)),
        ("{type: money, first: 4.5}", Type.MONEY, Decimal("4.50")),
        ("{type: date, first: 2026-03-04}", Type.DATE, date(2026, 3, 4)),
        ("{type: time, first: '08:30'}", Type.TIME, time(8, 30)),
        ("{type: yes or no, first: no}", Type.YES_NO, False),
        ("{type: text, first: 'hi'}", Type.TEXT, "hi"),
        ("{first: 2 + 3}", Type.NUMBER, 5),
    ],
)
def test_first_values(first: str, kind: Type, value: object) -> None:
    datum = flow_of(f"flow: first\ndata:\n  it: {first}\nstates:\n{READY}").data["it"]
    assert (datum.type, datum.first) == (kind, value)


def test_a_type_can_come_from_a_line_further_down() -> None:
    flow = flow_of(
        "flow: later\nstates:\n  ready:\n    triggers:\n"
        "      A: {set: {half: whole / 2}}\n      B: {set: {whole: now - now}}\n"
    )
    assert flow.types == {"half": Type.DURATION, "whole": Type.DURATION}


def test_built_in_sentences_can_be_said_without_a_word_of_the_author() -> None:
    texts = flow_of(f"flow: plain\nstates:\n{READY}").texts
    for name, sentence in BUILT_IN_TEXTS.items():
        if not sentence.default:
            # The answer types say it in their own words.
            continue
        for words in ("", "A and B"):
            said = texts[name].render(dict.fromkeys(sentence.names, words))
            assert said
            assert "$" not in said


def test_a_warning_does_not_stop_a_flow() -> None:
    flow = flow_of(
        "flow: warned\ndata: {score: 3}\nstates:\n"
        "  ready:\n    triggers:\n      GO:\n        reply: It is $score.\n"
    )
    assert [(each.severity, each.path, each.position.line) for each in flow.warnings] == [
        (Severity.WARNING, "flow.yaml", 7)
    ]


def test_a_file_is_told_all_its_problems_in_order() -> None:
    with pytest.raises(FlowError) as caught:
        flow_of((GOLDEN / "everything_at_once.yaml").read_text(encoding="utf-8"))
    lines = [each.position.line for each in caught.value.problems]
    assert lines == sorted(lines)
    assert len(lines) == 6


def test_problems_of_yaml_do_not_hide_those_of_the_flow() -> None:
    """Each mistake is told once, and none makes another one up."""
    with pytest.raises(FlowError) as caught:
        flow_of(
            """flow: both
zzz: 1
states:
  ready:
    triggers:
      GO:
        rply: hi # a comment
        goto: confrim
      GO:
        set: {given: now}
        goto: ready
      HM:
        reply: ['${given}', '${nothing}']
        goto: &here ready
      IF: {if: 3 > # 2
        , goto: ready}
      NO:
      YES: *here
      OR: {goto: }
  ready:
    reply: Again.
"""
        )
    told = [(each.position.line, each.code) for each in caught.value.problems]
    assert told == [
        (2, "F001"),
        (7, "F001"),
        (7, "Y013"),
        (8, "F012"),
        (9, "Y006"),
        (13, "T010"),
        (14, "Y007"),
        (15, "Y013"),
        (17, "Y010"),
        (18, "Y007"),
        (19, "Y010"),
        (20, "Y006"),
    ]


@pytest.mark.parametrize(
    "broken", ["  x: [1\n", "\ty: 1\n", "---\nflow: z\n", "  @\n", "? [a]\n: b\n", "<<: c\n"]
)
def test_a_syntax_error_ends_the_reading(broken: str) -> None:
    with pytest.raises(FlowError) as caught:
        flow_of(f"flow: it\nzzz: 1\nstates:\n{READY}{broken}")
    assert [each.code[0] for each in caught.value.problems] == ["Y"]


def test_a_missing_file_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match=r"none\.yaml"):
        load_flow(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["hello", "- a\n- b", "{}", "flow: x\nstates: {}", "states: 3", "flow: x"])
def test_what_is_no_flow_at_all(text: str) -> None:
    with pytest.raises(FlowError):
        flow_of(text)


def test_a_long_chain_of_steps_is_read() -> None:
    cards = "".join(f"  s{number}:\n    reply: Hi.\n" for number in range(3000))
    assert len(flow_of(f"flow: long\nstates:\n{cards}  done:\n    end: complete\n").states) == 3001


@pytest.mark.parametrize(
    "pair", [("tries: 3", "out_of_tries: gon"), ("no_answer_after: 2d", "no_answer: gon")]
)
def test_a_misspelt_state_for_every_question_is_told_once(pair: tuple[str, str]) -> None:
    text = "\n  ".join(["flow: f", *pair]).replace("flow: f", "flow: f\nevery_question:") + "\nstates:\n"
    for name in ("one", "two"):
        text += f"  {name}:\n    ask: How many?\n    answer: number 1 to 5\n"
    with pytest.raises(FlowError) as told:
        flow_of(text + "  gone:\n    reply: Bye.\n    end: gone\n")
    found = [(each.code, each.position.line) for each in told.value.problems]
    assert ("F012", 4) in found
    assert [each for each in found if each[0] == "F026"] == []
    assert len([each for each in found if each[0] == "F012"]) == 1
