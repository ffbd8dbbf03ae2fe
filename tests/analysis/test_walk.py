"""The walk behind ``check`` and ``explore``: how far it goes, and that it steps the real thing."""

from __future__ import annotations

from pathlib import Path

from convo.analysis.pattern_texts import text_of
from convo.analysis.walk import walk
from convo.engine.machine import CompiledFlow, compile_flow
from convo.flow.parse import parse_flow
from convo.flow.reader import read_text
from tests.benchmarks.trying import large_flow

ROOT = Path(__file__).resolve().parents[2]


def compiled(text: str) -> CompiledFlow:
    """Return the machine of a flow."""
    return compile_flow(parse_flow(read_text(text, "flow.yaml")))


def test_five_hundred_states_take_few_moves() -> None:
    found = walk(compiled(large_flow(500)))
    assert not found.missed
    assert not found.cut
    # Conditions on 125 numbers would make 2**125 places of the last question.
    assert len(found.points) < 3 * 500
    assert found.steps < 10 * 500


def test_the_chat_to_each_transition_is_the_shortest() -> None:
    found = walk(compiled((ROOT / "flows" / "stopwatch.yaml").read_text(encoding="utf-8")))
    lengths = {name.split(" →")[0]: len(found.path(hop.source)) + 1 for name, hop in found.taken.items()}
    assert lengths["ready · STOP"] == 1
    assert lengths["running · STOP"] == 2
    assert lengths["stopped · TIME"] == 3


def test_a_transition_that_is_taken_out_of_the_machine_is_not_walked() -> None:
    machine = compiled((ROOT / "flows" / "stopwatch.yaml").read_text(encoding="utf-8"))
    start = machine.recognisers.words["start"][0][0]
    machine.machine.remove_transition(start, source="ready")
    found = walk(machine)
    assert {row.source for row in found.missed} == {"running", "stopped"}


COUNTING = """flow: counting
data: {seen: 0}
states:
  one:
    triggers:
      GO:
        - if: seen >= LIMIT
          reply: Enough.
          end: enough
        - set: {seen: seen + 1}
          reply: On and on.
      LEAVE:
        reply: Good bye.
        end: left
"""


def test_counters_are_followed_as_far_as_they_are_compared_and_the_bound_is_told() -> None:
    assert not walk(compiled(COUNTING.replace("LIMIT", "90"))).missed
    found = walk(compiled(COUNTING.replace("LIMIT", "9999")))
    assert found.cut == "at 120 points of the state 'one'"
    assert [row.trigger for row in found.missed] == ["GO"]


def test_texts_are_made_for_patterns() -> None:
    for pattern in (
        "[A-Z]{3}[0-9]+",
        r"\d{4}",
        "(yes|no) please",
        "a?b+c",
        "[^a-z]x",
        r"\+61 ?4\d{8}",
        "x|y",
    ):
        text = text_of(pattern)
        assert text is not None, pattern
    assert text_of("[A-Z]{3}[0-9]+") == "AAA1"
    assert text_of("(?!x)") is None
