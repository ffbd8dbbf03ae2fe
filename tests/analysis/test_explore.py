"""``convo explore``: what it prints is a test file that passes and takes every transition."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from convo.cli import cli

ROOT = Path(__file__).resolve().parents[2]
NEEDS_A_PACKAGE = "returns.yaml"
FLOWS = [
    path
    for folder in ("flows", "examples")
    for path in sorted((ROOT / folder).rglob("*.yaml"))
    if path.read_text(encoding="utf-8").startswith(("flow:", "#")) and path.name != NEEDS_A_PACKAGE
    if not path.name.endswith(".test.yaml") and path.name != "convo.yaml" and path.parent.name != "providers"
]


def run(*arguments: str) -> tuple[int, str, str]:
    """Run the command line; return the exit code and what was said on both streams."""
    result = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return int(result.return_value or 0), result.stdout, result.stderr


@pytest.mark.parametrize("flow", FLOWS, ids=lambda path: path.stem)
def test_what_it_prints_takes_every_transition(flow: Path, tmp_path: Path) -> None:
    shutil.copytree(flow.parent, tmp_path / "here")
    here = tmp_path / "here" / flow.name
    code, said, wrong = run("explore", str(here))
    assert (code, wrong) == (0, "")
    transcripts = here.with_name(f"{flow.stem}.explored.test.yaml")
    transcripts.write_text(said, encoding="utf-8")
    code, said, _ = run("test", str(transcripts), "--cover", "--min", "100")
    assert code == 0, said
    assert f"{flow.stem}: 100% of " in said


def test_it_says_the_same_twice() -> None:
    flow = str(ROOT / "examples" / "pizza_order" / "pizza_order.yaml")
    assert run("explore", flow) == run("explore", flow)


EXAMPLES = sorted(
    path
    for path in (ROOT / "examples").rglob("*.test.yaml")
    if path.parent.name != "extending" and ".explored." not in path.name
)


@pytest.mark.parametrize("transcripts", EXAMPLES, ids=lambda path: path.name.split(".")[0])
def test_each_example_has_transcripts_for_every_transition(transcripts: Path) -> None:
    flow = transcripts.name.split(".")[0]
    code, said, _ = run("explore", "--missing", str(transcripts.with_name(f"{flow}.yaml")))
    assert code == 0
    assert said.startswith(f"# The transcripts beside {flow}.yaml take every transition."), said


def test_missing_prints_only_what_is_not_taken_yet(tmp_path: Path) -> None:
    shutil.copy(ROOT / "flows" / "stopwatch.yaml", tmp_path)
    (tmp_path / "stopwatch.test.yaml").write_text(
        "tests: stopwatch\ncases:\n  ready:\n    - them: STOP\n    - us starts: The stopwatch\n"
        "    - them: TIME\n    - us starts: The stopwatch\n",
        encoding="utf-8",
    )
    # A shell makes the file before the command begins.
    explored = tmp_path / "stopwatch.explored.test.yaml"
    explored.write_text("", encoding="utf-8")
    _, said, _ = run("explore", "--missing", str(tmp_path / "stopwatch.yaml"))
    assert "is not running yet" not in said
    explored.write_text(said, encoding="utf-8")
    assert run("test", str(explored), "--min", "100")[0] == 1
    assert run("test", str(tmp_path), "--min", "100")[0] == 0


def test_what_no_chat_takes_is_named(tmp_path: Path) -> None:
    flow = tmp_path / "grown.yaml"
    shutil.copy(ROOT / "tests" / "golden" / "flows" / "checks" / "C001_no_chat_comes_there.yaml", flow)
    code, said, wrong = run("explore", str(flow))
    assert code == 0
    assert "- ended: child" in said
    assert "no chat was found for 1 of 3 transitions:\n  age: (answer) → grown (line 7)" in wrong


HARD = """flow: hard
data: {count: 0}
states:
  start:
    ask: Which code?
    answer: pattern [A-Z]{2}-[0-9]{3}
  when:
    ask: When does it begin?
    answer: time 08:00 to 16:30
  length:
    ask: For how long?
    answer: duration up to 8h
    goto:
      length > 2h: long
      else: counting
  long:
    ask: Who pays?
    answer: email
    goto: counting
  counting:
    triggers:
      GO:
        - if: count >= 4
          reply: Enough.
          goto: priced
        - set: {count: count + 1}
          reply: ${count}
      number 10 to 12: priced
    after:
      1h:
        reply: Still there?
      2d: priced
  priced:
    ask: How much?
    answer: money above 5
    hint: In dollars
    tries: 2
    out_of_tries: bye
    goto:
      priced >= 100: rich
      priced == 7.5: exact
      else: bye
  rich:
    reply: Very well.
    end: rich
  exact:
    reply: Just so.
    end: exact
  bye:
    reply: Good bye.
    end: bye
"""


ODD = """flow: odd
zone: Africa/Nairobi
country: KE
people: {nurse: +61400000009}
hours: {desk: mon-fri 09:00 to 17:00}
quiet: 21:00 to 07:00
restart: any
keywords: [ODD, PARK number]
data:
  best: {type: number, first: 0, keep: yes}
  pets: {type: choices}
  visit: {type: moment}
states:
  menu:
    triggers:
      REPORT:
        - if: sender == nurse
          reply: Hello nurse.
        - reply: You are no nurse.
      OPEN:
        - if: desk is open
          reply: We are open.
          goto: pets
        - reply: We are closed.
      number 1 to 20:
        - if: value > 15
          reply: Much.
          goto: pets
        - reply: Little.
      pattern [A-Z]{2}\\d+:
        reply: A code.
      text:
        - if: message | lower == 'open sesame'
          reply: Welcome.
          goto: pets
        - reply: What?
  pets:
    ask: Which pets?
    choices: [Dog, Cat, Fish]
    many: 0 to 2
  favourite:
    ask: Which one most?
    choices: pets
    goto:
      favourite == 'Cat': cat
      else: when
  cat:
    set: {best: best + 1}
    goto: when
  when:
    skip: best > 2
    ask: When do we see you?
    answer: moment from now
    save: visit
    goto: waiting
  waiting:
    triggers:
      HURRY:
        - if: visit is set and now > visit - 3h
          reply: It is soon.
        - reply: Not yet.
    at:
      24h before visit:
        reply: Tomorrow!
      visit: done
  done:
    reply: Good bye ${best}.
    end: done
"""


@pytest.mark.parametrize("text", [HARD, ODD], ids=["values and counters", "people, hours, lists, kept data"])
def test_what_conditions_look_at_is_found(text: str, tmp_path: Path) -> None:
    flow = tmp_path / f"{text.split()[1]}.yaml"
    flow.write_text(text, encoding="utf-8")
    code, said, wrong = run("explore", str(flow))
    assert (code, wrong) == (0, "")
    transcripts = flow.with_suffix(".test.yaml")
    transcripts.write_text(said, encoding="utf-8")
    code, said, _ = run("test", str(transcripts), "--cover", "--min", "100")
    assert code == 0, said


def test_a_flow_that_cannot_be_read_is_told_as_ever(tmp_path: Path) -> None:
    flow = tmp_path / "bad.yaml"
    flow.write_text("flow: bad\nstates:\n  one:\n    goto: two\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["explore", str(flow)], standalone_mode=False)
    assert "goto names 'two', which is no state" in str(result.exception)
