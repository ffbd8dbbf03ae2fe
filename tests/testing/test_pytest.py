"""The pytest plugin and the phone, as a person who tests a flow meets them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from convo.errors import ConfigError
from convo.testing import Phone

pytest_plugins = ["pytester"]

FLOW = """\
flow: lamp
languages: [en, sw]
data: {switched: 0}
states:
  dark:
    triggers:
      ON:
        set: {switched: switched + 1}
        reply: Let there be light.
        goto: bright
      OFF: {reply: It is dark already.}
  bright:
    triggers:
      OFF:
        reply: Good night.
        goto: dark
    after:
      10m: dark
"""

CASES = """\
tests: lamp
cases:
  on and off:
    - them: on
    - us: Let there be light.
    - them: off
    - us: Good night.
"""


@pytest.fixture
def lamp(tmp_path: Path) -> Path:
    path = tmp_path / "lamp.yaml"
    path.write_text(FLOW, encoding="utf-8")
    path.with_name("lamp.sw.yaml").write_text("translates: lamp\nlanguage: sw\n", encoding="utf-8")
    return path


def put(pytester: pytest.Pytester, **files: str) -> None:
    """Write the lamp and files beside it; two underscores are a dot."""
    twin = "translates: lamp\nlanguage: sw\n"
    for name, text in {"lamp__yaml": FLOW, "lamp__sw__yaml": twin, **files}.items():
        pytester.path.joinpath(name.replace("__", ".")).write_text(text, encoding="utf-8")


def test_ids_name_the_file_and_the_case(pytester: pytest.Pytester) -> None:
    put(pytester, lamp__test__yaml=CASES)
    result = pytester.runpytest_inprocess("--collect-only", "-q")
    assert "lamp.test.yaml::on and off" in result.stdout.str()
    one = pytester.runpytest_inprocess("lamp.test.yaml::on and off")
    one.assert_outcomes(passed=1)


def test_a_failure_shows_chat_expected_actual_and_both_lines(pytester: pytest.Pytester) -> None:
    put(pytester, lamp__test__yaml=CASES.replace("Good night.", "Good day."))
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*lamp.test.yaml:7: on and off",
            "*expected us: Good day.",
            "*but it was: Good night.",
            "*line 7: - us: Good day.",
            "*the chat so far:",
            "*them: on",
            "*us: Let there be light.",
            "*why:",
            "*It is the word OFF of 'bright' (line 14).",
            "*So OFF was done (line 16), and 'bright' goes on to 'dark'.",
            "*lamp.yaml:16 |         goto: dark",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_phone_that_fails_shows_the_line_of_the_test_and_why(pytester: pytest.Pytester) -> None:
    test = "def test_it(phone):\n    phone('lamp.yaml').send('on').expect('Dark.')\n"
    put(pytester, test_lamp__py=test)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    said = result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "*phone('lamp.yaml').send('on').expect('Dark.')",
            "*expected 'Dark.'",
            "*but it was 'Let there be light.'",
            "*them: on",
            "*why:",
            "*So ON was done*",
            "*lamp.yaml:10 |         goto: bright",
        ]
    )
    assert "def _fail" not in said
    assert "def _expect" not in said


def test_cover_counts_transcripts_and_phones(pytester: pytest.Pytester) -> None:
    test = "def test_it(phone):\n    phone('lamp.yaml').send('off').expect('It is dark already.')\n"
    put(pytester, lamp__test__yaml=CASES, test_lamp__py=test)
    alone = pytester.runpytest_inprocess("--convo-cover", "lamp.test.yaml")
    alone.assert_outcomes(passed=1)
    alone.stdout.fnmatch_lines(
        [
            "*transitions of flows*",
            "lamp: 50% of 4 transitions",
            "*lamp.yaml:11  dark: OFF*",
            "*lamp.yaml:18*",
        ]
    )
    both = pytester.runpytest_inprocess("--convo-min=75")
    both.assert_outcomes(passed=2)
    assert both.ret == 0
    both.stdout.fnmatch_lines(["lamp: 75% of 4 transitions"])
    assert pytester.runpytest_inprocess("--convo-min=76").ret == 1
    assert "transitions" not in pytester.runpytest_inprocess().stdout.str()


def test_a_chat_in_one_go(phone: Callable[..., Phone], lamp: Path) -> None:
    ann = phone(lamp)
    ann.send("on").expect("Let there be light.").expect_state("bright").expect_saved(switched=1)
    assert list(ann.timers) == ["after 10m"]
    ann.wait("9m").expect_nothing().expect_state("bright").wait("1m").expect_state("dark")
    ann.send_together(("off", timedelta(seconds=5)), ("on", timedelta(seconds=9)))
    ann.expect("Let there be light.", "Good night.").expect_saved(switched="2")
    ann.send_again().expect_nothing()
    assert repr(ann) == "<Phone +61400000000 on lamp, in dark>"
    assert ann.chat[:4] == ["them: on", "us: Let there be light.", "(9m later)", "(1m later)"]


def test_what_a_phone_expects_in_vain(phone: Callable[..., Phone], lamp: Path) -> None:
    ann = phone(lamp)
    with pytest.raises(ConfigError, match="has sent nothing yet"):
        ann.send_again()
    ann.send("on").expect_starts("Let")
    for wrong, said in (
        (lambda: ann.expect_state("dark"), "expected the state 'dark'\nbut it was 'bright'"),
        (lambda: ann.expect_saved(switched=3), "expected switched to be 3\nbut it was 1"),
        (lambda: ann.expect_saved(nothing=3), "expected nothing to be 3\nbut it was None"),
        (lambda: ann.expect_ended("x"), "expected an end: 'x'\nbut it was open"),
        (lambda: ann.expect("More"), "expected 'More'\nbut nothing was said"),
    ):
        with pytest.raises(AssertionError) as problem:
            wrong()
        assert str(problem.value).startswith(said)
        assert "\nwhy:\n    They wrote “on”." in str(problem.value)


def test_steps_for_duplicates_and_languages(lamp: Path, phone: Callable[..., Phone]) -> None:
    from convo.analysis.transcripts import read_transcripts
    from convo.testing.play import play_case

    path = lamp.with_name("lamp.test.yaml")
    path.write_text(
        "tests: lamp\ncases:\n  it:\n    - language: sw\n    - them: on\n    - us starts: Let\n"
        "    - again: yes\n    - nothing: yes\n    - from +61400000002: on\n"
        "    - us to +61400000002: Let there be light.\n"
        "    - again of +61400000002: yes\n    - language of +61400000002: en\n    - saved: {switched: 1}\n",
        encoding="utf-8",
    )
    transcripts = read_transcripts(path)
    play_case(transcripts.cases[0], transcripts)
    ann = phone(lamp)
    ann.speak(ann.number, "sw")
    assert ann.world.timers(ann.number) == []
    with pytest.raises(ConfigError, match="does not speak 'fr'"):
        ann.speak(ann.number, "fr")


def test_a_step_that_is_impossible_names_its_line(lamp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from convo.cli import main

    path = lamp.with_name("lamp.test.yaml")
    cases = "  a:\n    - again: yes\n  b:\n    - language: fr\n  c:\n    - start: {x: 1}\n"
    path.write_text(f"tests: lamp\ncases:\n{cases}", encoding="utf-8")
    assert main(["test", str(path)]) == 1
    said = capsys.readouterr().out
    for line, case, what in ((4, "a", "has sent nothing"), (6, "b", "speak 'fr'"), (8, "c", "no data 'x'")):
        assert f"{path}:{line}: {case}\n  expected this step to be possible\n" in said
        assert what in said


def test_a_machine_is_compiled_once_until_a_file_changes(phone: Callable[..., Phone], lamp: Path) -> None:
    ann, ben = phone(lamp), phone(lamp)
    assert ann.world.machine is ben.world.machine
    lamp.write_text(FLOW.replace("Good night.", "Sleep well."), encoding="utf-8")
    ann.restart()
    assert ann.world.machine is not ben.world.machine
    ann.send("on").send("off").expect("Let there be light.", "Sleep well.")


def test_a_world_on_disk_goes_back(phone: Callable[..., Phone], lamp: Path) -> None:
    from convo.testing.phone import World

    world = World(lamp, on_disk=True)
    ann = Phone(world)
    ann.send("on").expect("Let there be light.")
    before = world.snapshot("before")
    ann.wait("5m").send("off").expect("Good night.").expect_state("dark")
    world.put_back(before)
    ann.expect_state("bright").wait("10m").expect_state("dark")
    world.close()
    with pytest.raises(ConfigError, match="on_disk"):
        phone(lamp).world.snapshot("x")
