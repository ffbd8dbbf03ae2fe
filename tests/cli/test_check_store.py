"""convo check --store: who waits in a state that an edited flow no longer has, said before the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convo.flow.parse import load_flow
from convo.messages import Address
from convo.store import open_store
from tests.cli.test_operating import convo
from tests.conftest import ROOT

STOPWATCH = ROOT / "flows" / "stopwatch.yaml"


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store in which one person runs a stopwatch, and one is about to."""
    path = str(tmp_path / "convo.db")
    assert convo("run", str(STOPWATCH), "--store", path, lines="START\n+61491570110: TIME\n")[0] == 0
    return path


def renamed(tmp_path: Path, more: str = "") -> str:
    """Return a stopwatch whose running state has another name."""
    text = STOPWATCH.read_text(encoding="utf-8")
    text = text.replace("  running:\n", "  ticking:\n").replace("goto: running", "goto: ticking")
    new = tmp_path / "stopwatch.yaml"
    new.write_text(f"{text}\n{more}", encoding="utf-8")
    return str(new)


def test_a_flow_that_knows_every_state_is_fine(store: str) -> None:
    assert convo("check", str(STOPWATCH), "--store", store)[0] == 0


def test_a_flow_that_was_edited_goes_on_and_its_hash_is_remembered(store: str, tmp_path: Path) -> None:
    def version() -> str:
        opened = open_store(store)
        found = opened.conversation("console", Address("+61400000000"))
        opened.close()
        assert found is not None
        return found.version

    before = version()
    new = tmp_path / "stopwatch.yaml"
    text = STOPWATCH.read_text(encoding="utf-8")
    new.write_text(text.replace("so far.", "until now."), encoding="utf-8")
    assert convo("check", str(new), "--store", store)[0] == 0
    code, said = convo("run", str(new), "--store", store, lines="TIME\n")
    assert (code, "until now." in said) == (0, True)
    assert before == load_flow(STOPWATCH).version
    assert version() == load_flow(new).version != before


def test_a_state_that_is_gone_is_named_with_those_who_wait_there(store: str, tmp_path: Path) -> None:
    new = renamed(tmp_path)
    code, said = convo("check", new, "--store", store)
    assert code == 1
    assert "S001  1 open conversation waits in 'running', which is no state any more" in said
    assert "moved" in said
    assert convo("check", new)[0] == 0, "the flow by itself is sound"
    (found,) = json.loads(convo("check", new, "--store", store, "--format", "json")[1])
    assert (found["code"], found["line"] > 1) == ("S001", True)


@pytest.mark.parametrize("moved", ["{running: ticking}", "{else: ready}"])
def test_moved_says_where_they_go_on_and_they_do(store: str, tmp_path: Path, moved: str) -> None:
    new = renamed(tmp_path, f"moved: {moved}\n")
    code, said = convo("check", new, "--store", store)
    assert (code, "S003" in said) == (0, True)
    code, said = convo("run", new, "--store", store, lines="TIME\n")
    assert code == 0
    assert ("so far" in said) == ("running" in moved)
    assert ("not running yet" in said) == ("else" in moved)
    assert convo("check", new, "--store", store)[1].startswith("1 file: fine")


def test_moved_to_where_nobody_waits_is_refused(store: str, tmp_path: Path) -> None:
    new = renamed(tmp_path, "moved: {running: over}\n")
    path = Path(new)
    path.write_text(
        path.read_text(encoding="utf-8").replace("anywhere:", "  over: {end: done}\n\nanywhere:"),
        encoding="utf-8",
    )
    code, said = convo("check", new, "--store", store)
    assert code == 1
    assert "S002" in said
    # All the same nothing breaks, and nobody is reset in silence.
    code, said = convo("run", new, "--store", store, lines="TIME\n")
    assert code == 0
    code, said = convo("conversation", "+61400000000", "--store", store, "--format", "json")
    assert json.loads(said)[0]["conversations"][0]["state"] in ("over", "running")


def test_without_a_word_about_it_they_are_held(store: str, tmp_path: Path) -> None:
    new = renamed(tmp_path)
    code, said = convo("run", new, "--store", store, lines="TIME\nSTOP\n+61491570110: START\n")
    assert code == 0
    assert said.count("Sorry, something went wrong") == 1
    assert "The stopwatch is running." in said
    code, said = convo("inbox", "--store", store)
    assert said.count("which") == 2
    assert "moved: {running: NEW_STATE}" in said
    # Mended: the messages are stepped after all, in their order.
    new = renamed(tmp_path, "moved: {running: ticking}\n")
    rows = [line.split()[0] for line in said.splitlines()[1:]]
    assert convo("inbox", "retry", *rows, "--store", store)[0] == 0
    code, said = convo("run", new, "--store", store)
    assert code == 0
    assert 0 <= said.find("s so far.") < said.find("Stopped after")
    assert convo("store", "check", "--store", store)[0] == 0


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    assert convo("check", str(STOPWATCH), "--store", str(tmp_path / "none.db"))[0] == 3
