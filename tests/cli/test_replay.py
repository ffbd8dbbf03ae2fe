"""convo replay: what the journal tells is made again, alike by the same flow, side by side by another."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from convo.analysis.transcripts import read_transcripts
from convo.runtime.rerun import Replayed, compared, verified
from convo.testing.play import play_case
from convo.testing.world import World
from tests.cli.test_operating import convo
from tests.conftest import ROOT

ANN, BOB, CLEO = "+61491570006", "+61491570110", "+61491570156"
STOPWATCH = ROOT / "flows" / "stopwatch.yaml"


@pytest.fixture
def running(tmp_path: Path) -> object:
    """Make worlds of flows, with their stores in files."""
    made: list[World] = []

    def run(flow: Path) -> World:
        made.append(World(flow, on_disk=True))
        return made[-1]

    yield run
    for world in made:
        world.close()


Running = Callable[[Path], World]


def say(world: World, who: str, *texts: str, wait: float = 20) -> None:
    """Write, one text after another."""
    for text in texts:
        world.clock.advance(wait)
        world.text(who, text)
        world.work()


def store_of(world: World) -> str:
    """Return the path of the store."""
    return str(world.store.path)  # type: ignore[attr-defined]


def test_the_same_flow_makes_every_step_again(running: Running) -> None:
    world = running(STOPWATCH)
    say(world, ANN, "START", "TIME", "what?", "STOP", "TIME", "UNSUBSCRIBE", "hello", "START", "START")
    say(world, BOB, "TIME", "start", "stop")
    code, said = convo("replay", store_of(world), "--flow", str(STOPWATCH))
    assert (code, said.strip()) == (0, "3 conversations, 11 steps: all alike")
    code, said = convo("replay", store_of(world), "--against", str(STOPWATCH))
    assert (code, said.strip()) == (0, "3 conversations, 11 steps: all alike")


def test_another_flow_is_held_beside_the_one_that_answered(running: Running, tmp_path: Path) -> None:
    world = running(STOPWATCH)
    say(world, ANN, "START", "TIME", "STOP")
    say(world, BOB, "TIME")
    new = tmp_path / "new.yaml"
    text = STOPWATCH.read_text(encoding="utf-8")
    new.write_text(text.replace("${now - started} so far.", "Up to now ${now - started}."), encoding="utf-8")
    code, said = convo("replay", store_of(world), "--against", str(new), "--texts")
    assert code == 1
    assert f"{ANN} on fake, conversation 1 (stopwatch), from step 2" in said
    assert "they wrote: TIME" in said
    assert "said: 20 s so far.  |  said: Up to now 20 s." in said
    assert "2 conversations, 4 steps: 1 would have gone otherwise" in said
    code, said = convo("replay", store_of(world), "--against", str(new))
    assert ANN not in said
    assert "so far" not in said
    code, said = convo("replay", store_of(world), "--against", str(new), "--format", "json", "--texts")
    found = json.loads(said)
    assert found["conversations"] == 2
    (otherwise,) = found["otherwise"]
    assert otherwise["number"] == ANN
    assert otherwise["steps"][0]["then"]["said"] == ["20 s so far."]
    assert otherwise["steps"][0]["now"]["said"] == ["Up to now 20 s."]
    assert [each["step"] for each in otherwise["steps"]] == [2, 3]


def test_a_renamed_state_is_no_difference_and_a_missing_one_is(running: Running, tmp_path: Path) -> None:
    world = running(STOPWATCH)
    say(world, ANN, "START", "TIME")
    text = STOPWATCH.read_text(encoding="utf-8")
    renamed = text.replace("  running:\n", "  ticking:\n").replace("goto: running", "goto: ticking")
    new = tmp_path / "new.yaml"
    new.write_text(renamed + "\nmoved: {running: ticking}\n", encoding="utf-8")
    assert convo("replay", store_of(world), "--against", str(new))[0] == 0
    new.write_text(renamed, encoding="utf-8")
    code, said = convo("replay", store_of(world), "--against", str(new))
    assert code == 1
    assert "in 'running', 1 text said  |  in 'ticking', 1 text said" in said


def test_another_version_is_not_called_a_difference(running: Running, tmp_path: Path) -> None:
    flow = tmp_path / "stopwatch.yaml"
    text = STOPWATCH.read_text(encoding="utf-8")
    flow.write_text(text, encoding="utf-8")
    world = running(flow)
    say(world, ANN, "START", "TIME")
    flow.write_text(text + "# changed\n", encoding="utf-8")
    world.restart()
    say(world, ANN, "STOP")
    code, said = convo("replay", store_of(world), "--flow", str(flow))
    assert code == 0
    assert "2 steps not made again" in said
    assert convo("replay", store_of(world), "--against", str(flow))[0] == 0


def test_a_journal_that_was_tampered_with_is_noticed(running: Running) -> None:
    world = running(STOPWATCH)
    say(world, ANN, "START", "TIME")
    db = sqlite3.connect(store_of(world))
    db.execute("DROP TRIGGER journal_is_append_only")
    db.execute("UPDATE journal SET record = replace(record, 'so far', 'so good') WHERE step = 2")
    db.commit()
    db.close()
    code, said = convo("replay", store_of(world), "--flow", str(STOPWATCH), "--texts")
    assert code == 1
    assert "said: 20 s so good.  |  said: 20 s so far." in said


def test_a_flow_that_breaks_on_what_was_written_is_said_and_does_not_break_the_replay(
    running: Running, tmp_path: Path
) -> None:
    world = running(STOPWATCH)
    say(world, ANN, "START", "TIME")
    new = tmp_path / "new.yaml"
    text = STOPWATCH.read_text(encoding="utf-8")
    text = text.replace("states:", "data: {zero: 0}\nstates:", 1)
    new.write_text(text.replace("${now - started} so far.", "${1 / zero} so far."), encoding="utf-8")
    code, said = convo("replay", store_of(world), "--against", str(new), "--texts")
    assert code == 1
    assert "Sorry" in said


def test_mistakes_of_a_replay(running: Running, tmp_path: Path) -> None:
    world = running(STOPWATCH)
    say(world, ANN, "START")
    other = tmp_path / "other.yaml"
    other.write_text(STOPWATCH.read_text(encoding="utf-8").replace("flow: stopwatch", "flow: clock"))
    assert convo("replay", str(tmp_path / "missing.db"))[0] == 3
    code, said = convo("replay", store_of(world), "--against", str(other))
    assert code == 2
    assert "the journal tells of stopwatch" in said


def test_one_flow_after_another_in_one_store(running: Running, tmp_path: Path) -> None:
    store = str(tmp_path / "convo.db")
    clock = tmp_path / "clock.yaml"
    clock.write_text(
        STOPWATCH.read_text(encoding="utf-8").replace("flow: stopwatch", "flow: clock"), encoding="utf-8"
    )
    convo("run", str(STOPWATCH), "--store", store, lines="START\n")
    convo("run", str(clock), "--store", store, lines="START\nTIME\n")
    code, said = convo("replay", store, "--flow", str(STOPWATCH), "--flow", str(clock))
    assert (code, said.strip()) == (0, "2 conversations, 4 steps: all alike")


EXAMPLES = sorted(
    path
    for folder in ("flows", "examples", "tests/language")
    for path in (ROOT / folder).glob("**/*.test.yaml")
    # Its answer types come from a package of its own.
    if path.parent.name != "extending"
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_journal_of_every_transcript_is_equal_when_replayed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = World.close
    steps = 0

    def checked(world: World) -> None:
        nonlocal steps
        for channel, sender in world.store.views.people():  # type: ignore[attr-defined]
            entries = world.store.journal(channel, sender)
            same, against = Replayed(), Replayed()
            verified(entries, world.flows, same)
            compared(entries, world.flows, against)
            assert (same.otherwise, same.elsewhere, against.otherwise) == ([], 0, [])
            steps += same.steps
        close(world)

    monkeypatch.setattr(World, "close", checked)
    transcripts = read_transcripts(path)
    for case in transcripts.cases:
        play_case(case, transcripts, reloads=False, explains=False)
    assert steps
