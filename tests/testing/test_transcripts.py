"""Transcripts and the phone, as a person who tests a flow meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from convo.analysis.transcripts import CODES
from convo.cli import main
from convo.errors import ConfigError
from convo.testing import FakeClock, FakeTransport, Phone
from convo.transports.base import GiveUp, RetryLater

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]

FLOW = """\
flow: lamp
greeting: A lamp.
data: {switched: 0}
states:
  dark:
    triggers:
      ON:
        set: {switched: switched + 1}
        reply: Let there be light.
        goto: bright
  bright:
    triggers:
      OFF:
        reply: [Good, night.]
        goto: dark
      BREAK:
        reply: Bang.
        end: broken
"""


@pytest.fixture
def lamp(tmp_path: Path) -> Path:
    path = tmp_path / "lamp.yaml"
    path.write_text(FLOW, encoding="utf-8")
    return path


def played(lamp: Path, cases: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    path = lamp.with_name("lamp.test.yaml")
    path.write_text(f"tests: lamp\ncases:\n{cases}", encoding="utf-8")
    code = main(["test", str(path)])
    return code, capsys.readouterr().out


def test_a_case_that_holds(lamp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = played(
        lamp,
        """\
  everything:
    - start: {}
    - us: A lamp. I only know
      # replaced below
""".replace("    - us: A lamp. I only know\n      # replaced below\n", "    - us starts: A lamp.\n")
        + """\
    - them: on
    - us like: Let .* light\\.
    - saved: {switched: 1}
    - state: bright
    - them: off
    - us: Good
    - us contains: igh
    - nothing: yes
    - them: "on"
    - us: Let there be light.
    - restart: yes
    - them: break
    - us: Bang.
    - ended: broken
""",
        capsys,
    )
    assert said == "1 passed, 0 failed\n"
    assert code == 0


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["them: on", "us: Dark."], ["expected us: Dark.", "but it was: Let there be light."]),
        (["them: on", "nothing: yes"], ["expected nothing more", "Let there be light."]),
        (["them: on", "them: off"], ["expected nothing more"]),
        (["them: on"], ["expected nothing more"]),
        (["them: on", "us starts: Let", "us: More."], ["expected us: More.", "nothing was said"]),
        (["them: on", "us starts: Let", "state: dark"], ["expected state: dark", "but it is: bright"]),
        (["them: on", "us starts: Let", "saved: {switched: 2}"], ["saved switched: 2", "but it is: 1"]),
        (["them: on", "us starts: Let", "ended: x"], ["expected ended: x", "but it is: open"]),
    ],
)
def test_a_case_that_does_not_hold_shows_the_chat_and_the_line(
    steps: list[str], expected: list[str], lamp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = played(lamp, "  it:\n" + "".join(f"    - {step}\n" for step in steps), capsys)
    assert code == 1
    assert "0 passed, 1 failed" in said
    assert "the chat so far:\n    them: on" in said
    assert f"line {3 + len(steps)}: - {steps[-1]}" in said
    for part in expected:
        assert part in said


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("tests: lamp\ncases:\n  it:\n    - then: on\n", "X001"),
        ("tests: lamp\ncases:\n  it:\n    - them: on\n      at: now\n", "X001"),
        ("tests: lamp\ncases:\n  it:\n    - us to nobody: on\n", "X001"),
        ("tests: lamp\ncases:\n  it:\n    - them: on\ncase: x\n", "X001"),
        ("cases:\n  it:\n    - them: on\n", "X002"),
        ("tests: lamp\n", "X002"),
        ("tests: lamp\ncases:\n  it: on\n", "X003"),
        ("tests: lamp\ncases:\n  it:\n    - on\n", "X003"),
        ("tests: lamp\ncases:\n  it:\n    - together: on\n", "X003"),
        ("tests: lamp\ncases:\n  it:\n    - saved: on\n", "X003"),
        ("tests: lamp\ncases:\n  it:\n    - wait: a while\n", "X004"),
        ("tests: lamp\ncases:\n  it:\n    - them: on\n      sent: yesterday\n", "X004"),
        ("tests: lamp\ncases:\n  it:\n    - clock: noon\n", "X004"),
        ("tests: lamp\ncases:\n  it:\n    - us like: '('\n", "X004"),
        ("tests: lamp\ncases:\n  it:\n    - nothing: no\n", "X004"),
        ("tests: lamp\ncases:\n  it:\n    - restart: no\n", "X004"),
        ("tests: lamp\ncases:\n  it:\n    - calls: {bus: {fine: {at: 5}}}\n", "X004"),
        ("tests: lamp\ncases:\n  it:\n    - calls: {bus: fine}\n", "X004"),
        ("tests: lump\ncases:\n  it:\n    - them: on\n", "X005"),
        ("tests: lamp\ncases:\n  it:\n    - them: on\n    - kept: {switched: 1}\n", "X006"),
        ("tests: lamp\ncases:\n  it:\n    - wait: 1h\n    - kept of +61400000002: {switched: 1}\n", "X006"),
    ],
)
def test_problems_of_a_test_file(
    text: str, code: str, lamp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code in CODES
    path = lamp.with_name("it.test.yaml")
    path.write_text(text, encoding="utf-8")
    assert main(["test", str(path), "--format", "json"]) == 1
    (result,) = json.loads(capsys.readouterr().out)
    assert f"  {code}  " in result["failure"]


@pytest.mark.parametrize(
    ("cases", "told"),
    [
        ("  it:\n    - user: on\n", "did you mean 'them'?"),
        ("  it:\n    - bot says: Let there be light.\n", "did you mean 'us'?"),
        ("  it:\n    - nothing\n", "write 'nothing: yes'"),
        ("  - it:\n    - them: on\n", "lamp.test.yaml:3:3  X002"),
        ("  it:\n    - from nobody: on\n", "'nobody' is no number, and nobody of the flow"),
        ("  it:\n    - calls: {bus: okay}\n", "(expected: ok, error, timeout)"),
    ],
)
def test_what_a_test_file_is_told(
    cases: str, told: str, lamp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = played(lamp, cases, capsys)
    assert code == 1
    assert told in said


def test_people_of_the_flow_write_too(lamp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = lamp.read_text(encoding="utf-8").replace("data:", "people: {nurse: +61400000009}\ndata:")
    lamp.write_text(text, encoding="utf-8")
    steps = "    - from nurse: on\n    - us to nurse: Let there be light.\n    - state of nurse: bright\n"
    steps += "    - saved of nurse: {switched: 1}\n    - nothing: yes\n"
    code, said = played(lamp, f"  it:\n{steps}", capsys)
    assert code == 0, said


def test_what_was_kept_is_said_first(lamp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = lamp.read_text(encoding="utf-8").replace("{switched: 0}", "{switched: {first: 0, keep: yes}}")
    lamp.write_text(text, encoding="utf-8")
    first = "    - clock: 2026-03-04 10:00\n    - kept: {switched: 6}\n"
    first += "    - kept of +61400000002: {switched: 8}\n"
    rest = "    - them: on\n    - us starts: Let\n    - saved: {switched: 7}\n"
    rest += "    - from +61400000002: on\n    - us starts to +61400000002: Let\n"
    rest += "    - saved of +61400000002: {switched: 9}\n"
    assert played(lamp, f"  it:\n{first}{rest}", capsys)[0] == 0
    code, said = played(lamp, f"  it:\n{rest}    - kept: {{switched: 7}}\n", capsys)
    assert code == 1
    assert "lamp.test.yaml:10:7  X006  'kept' is what was there before the chat" in said
    assert "'saved' looks at what the conversation remembers now" in said


def test_a_phone_is_told_what_was_kept_before_it_writes(phone: Callable[..., Phone], lamp: Path) -> None:
    ann = phone(lamp)
    ann.keep(ann.number, {})
    ann.send("on")
    with pytest.raises(ConfigError, match="before anything happens"):
        ann.keep(ann.number, {})
    ann.keep("+61400000002", {})


def test_a_folder_without_tests_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(tmp_path)]) == 2
    assert "no *.test.yaml" in capsys.readouterr().err


def test_pytest_collects_transcripts(lamp: Path, pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("lamp.yaml").write_text(FLOW, encoding="utf-8")
    pytester.path.joinpath("lamp.test.yaml").write_text(
        "tests: lamp\ncases:\n  good:\n    - them: on\n    - us starts: Let\n"
        "  bad:\n    - them: on\n    - us: Dark.\n",
        encoding="utf-8",
    )
    result = pytester.runpytest_subprocess("-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["lamp.test.yaml::good PASSED*", "*lamp.test.yaml:8: bad*", "*expected us: Dark.*"]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_phone(phone: Callable[..., Phone], lamp: Path, fake_clock: FakeClock) -> None:
    ann = phone(lamp, reload=True)
    ben = ann.as_("+61400000002")
    assert ann.state is None
    ann.send("on")
    with pytest.raises(AssertionError, match="but it was 'Let there be light"):
        ann.expect("Dark.")
    ann.expect_nothing()
    before = fake_clock.now()
    ann.wait("2h")
    ann.wait(timedelta(minutes=1))
    assert fake_clock.now() - before == timedelta(hours=2, minutes=1)
    with pytest.raises(AssertionError, match="nothing was said"):
        ann.expect("More.")
    with pytest.raises(ValueError, match="no duration"):
        ann.wait("soon")
    ben.open()
    ben.expect_starts("A lamp.")
    assert (ann.state, ben.state) == ("bright", "dark")
    assert ann.saved == {"switched": 1}
    ann.send("break")
    with pytest.raises(AssertionError, match="expected nothing more"):
        ann.expect_nothing()
    assert ann.ended == "broken"


def test_a_provider_that_fails(phone: Callable[..., Phone], lamp: Path) -> None:
    ann = phone(lamp)
    transport: FakeTransport = ann.world.transport
    transport.answer_sends(RetryLater("busy"))
    ann.send("on")
    ann.expect_nothing()
    ann.wait("5m")
    ann.expect("Let there be light.")
    transport.answer_sends(GiveUp("no such number"))
    ann.send("off")
    ann.expect("night.")
    transport.nonsense("<html>")
    ann.send("on")
    ann.expect("Let there be light.")


def test_services_that_fail_on_purpose_are_not_told_in_a_log(caplog: pytest.LogCaptureFixture) -> None:
    assert main(["test", str(ROOT / "examples" / "pizza_order")]) == 0
    assert caplog.records == []


def test_transcripts_are_not_the_flow(lamp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(lamp)]) == 1
    said = capsys.readouterr().out
    assert "lamp.yaml:1:1  X002  this is a flow; 'convo test' plays its transcripts" in said
    assert said.count("lamp.yaml:") == 1


def test_why_a_text_was_set_aside(lamp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = "switched: 0, name: {type: text, given: yes}"
    text = lamp.read_text(encoding="utf-8").replace("switched: 0", given)
    lamp.write_text(text, encoding="utf-8")
    code, said = played(lamp, "  it:\n    - them: on\n    - us starts: Let\n", capsys)
    assert code == 1
    assert "The text was set aside: only we begin 'lamp': it has to be given data, with convo start." in said
