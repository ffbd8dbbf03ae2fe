"""The picture of a flow: what is drawn, what is put together, and that nothing an author writes is markup."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from convo.analysis import graphviz
from convo.analysis.graph import Edge, Graph, Kind, Node, graph_of
from convo.analysis.graph_formats import dot, mermaid
from convo.cli import main
from convo.engine.machine import compile_flow, rows
from convo.flow.parse import load_flow

ROOT = Path(__file__).resolve().parents[2]
FLOWS = [
    *sorted((ROOT / "flows").glob("*.yaml")),
    *sorted((ROOT / "examples").rglob("*.yaml")),
    *sorted((ROOT / "tests" / "language").glob("*.yaml")),
]
FLOWS = [
    path
    for path in FLOWS
    if not path.name.endswith(".test.yaml")
    and re.search(r"^flow:", path.read_text(encoding="utf-8"), re.M)
    # needs answer types of a package that is not installed here
    and "extending" not in path.parts
]


def drawn(path: Path, *, everything: bool = False) -> Graph:
    return graph_of(compile_flow(load_flow(path)), everything=everything)


def written(tmp_path: Path, text: str, name: str = "made") -> Path:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def node(graph: Graph, title: str) -> Node:
    (found,) = [each for each in graph.nodes if each.title == title]
    return found


def edges(graph: Graph, source: str, dest: str) -> list[Edge]:
    ids = node(graph, source).id, node(graph, dest).id
    return [each for each in graph.edges if (each.source, each.dest) == ids]


def test_the_stopwatch() -> None:
    graph = drawn(ROOT / "flows" / "stopwatch.yaml")
    assert graph.start == node(graph, "ready").id
    (start,) = edges(graph, "ready", "running")
    assert start.label == ("START",)
    assert node(graph, "running").inside == ("START, TIME",)
    assert node(graph, "anywhere").inside == ("anything else",)
    assert len(graph.edges) == 3


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_every_transition_of_the_machine_is_in_the_whole_picture(path: Path) -> None:
    compiled = compile_flow(load_flow(path))
    graph = graph_of(compiled, everything=True)
    taken = set().union(*(edge.taken for edge in graph.edges)) if graph.edges else set()
    always: set[tuple[str, str]] = set()
    for row in rows(compiled):
        hidden = (row.source, row.name) in always or row.name == "onward"
        always |= set() if row.condition else {(row.source, row.name)}
        assert row.dest is None or hidden or row.taken in taken
    ids = {each.id for each in graph.nodes}
    assert all({edge.source, edge.dest} <= ids for edge in graph.edges)


def test_a_transition_taken_out_of_the_machine_is_gone_from_the_picture() -> None:
    compiled = compile_flow(load_flow(ROOT / "flows" / "stopwatch.yaml"))
    row = next(row for row in rows(compiled) if (row.source, row.trigger) == ("running", "STOP"))
    compiled.machine.remove_transition(row.name, "running")
    assert not edges(graph_of(compiled), "running", "stopped")


def test_questions_timers_and_ends_look_their_own() -> None:
    graph = drawn(ROOT / "tests" / "language" / "time.yaml")
    assert node(graph, "asked").kind is Kind.QUESTION
    assert node(graph, "done").kind is Kind.END
    plain, timer = edges(graph, "soon", "done")
    assert (plain.label, plain.timer) == (("OK",), False)
    assert (timer.label, timer.timer) == (("after 3h",), True)
    text = dot(graph)
    assert re.search(rf'{timer.source} -> {timer.dest} \[id="{timer.id}".*style=dashed', text)
    assert re.search(rf"{node(graph, 'done').id} \[.*peripheries=2", text)
    assert f"{timer.source} -.->|" in mermaid(graph)


def test_wrong_answers_going_back_and_reminders_only_when_asked_for() -> None:
    path = ROOT / "tests" / "language" / "asking.yaml"
    few, all_of_it = drawn(path), drawn(path, everything=True)
    assert not edges(few, "age", "name")
    assert edges(all_of_it, "age", "name")
    assert node(few, "age").inside == ("WHY",)
    assert "wrong answer" in ", ".join(node(all_of_it, "age").inside)
    time = ROOT / "tests" / "language" / "time.yaml"
    assert node(drawn(time), "asked").inside == ()
    assert "reminder 1" in ", ".join(node(drawn(time, everything=True), "asked").inside)


def test_what_holds_everywhere_is_drawn_once() -> None:
    graph = drawn(ROOT / "tests" / "language" / "asking.yaml")
    (leave,) = [edge for edge in graph.edges if edge.dest == node(graph, "left").id]
    assert leave.source == node(graph, "anywhere").id
    (given_up,) = [edge for edge in graph.edges if edge.dest == node(graph, "gave_up").id]
    assert given_up.source == node(graph, "any question").id


def test_transitions_between_the_same_two_states_are_one_arrow() -> None:
    graph = drawn(ROOT / "tests" / "language" / "asking.yaml")
    (both,) = edges(graph, "clinic", "visited")
    assert both.label == ("1 Town", "2 Riverside")


def test_conditions_and_choices_are_told_where_they_decide_the_way(tmp_path: Path) -> None:
    graph = drawn(ROOT / "tests" / "language" / "asking.yaml")
    (conditions,) = edges(graph, "age", "clinic")
    assert conditions.label == ()
    quiz = drawn(ROOT / "examples" / "quiz" / "quiz.yaml")
    assert [edge.label for edge in edges(quiz, "over", "record")] == [("if score > best",)]
    assert [edge.label for edge in edges(quiz, "over", "bye")] == [("else",)]
    assert [edge.label for edge in edges(quiz, "planet", "over")] == [()]


SUB_FLOW = """\
flow: rating
states:
  stars:
    ask: How many stars, 1 to 5?
    answer: number 1 to 5
    goto:
      stars > 3: good
      else: bad
  good:
    end: good
  bad:
    reply: What a pity.
    end: bad
"""
CALLER = """\
flow: shop
states:
  rate:
    run: rating
    goto:
      good: thanks
      else: again
  again:
    ask: Again?
    answer: yes or no
    goto: {yes: rate, no: thanks}
  thanks:
    reply: Thank you!
    end: done
"""


def test_a_sub_flow_has_a_box_around_it(tmp_path: Path) -> None:
    written(tmp_path, SUB_FLOW, "rating")
    graph = drawn(written(tmp_path, CALLER, "shop"))
    (cluster,) = graph.clusters
    assert (cluster.path, cluster.title) == ("rate", "rate runs rating")
    inside = {each.title for each in graph.nodes if each.cluster == "rate"}
    assert inside == {"rate", "stars", "good", "bad"}
    assert edges(graph, "good", "thanks")
    assert not edges(graph, "good", "again")  # an arm behind the one that is always taken
    assert "subgraph cluster_0" in dot(graph)
    assert 'subgraph c0["rate runs rating"]' in mermaid(graph)


NASTY = """\
flow: nasty
states:
  ask:
    ask: '</b><script>alert("1")</script> %% \\" ]; x -> y; `z` # & {brace} and so on until it wraps'
    answer: text
    triggers:
      'A"B':
        reply: 'no'
        goto: done
  done:
    reply: Bye.
    end: ok
"""


def test_what_an_author_writes_is_never_markup(tmp_path: Path) -> None:
    graph = drawn(written(tmp_path, NASTY, "nasty"))
    assert "<script" not in dot(graph)
    assert not re.search(r"<(?!br>|b>|/b>)", mermaid(graph))
    for line in mermaid(graph).splitlines():
        assert line.count('"') % 2 == 0
    assert max(len(line) for each in graph.nodes for line in each.text) <= 30


def test_mermaid_and_dot_by_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flow = str(ROOT / "flows" / "stopwatch.yaml")
    assert main(["graph", flow]) == 0
    assert capsys.readouterr().out.startswith("flowchart LR\n")
    target = tmp_path / "made.dot"
    assert main(["graph", flow, "-o", str(target)]) == 0
    assert target.read_text(encoding="utf-8").startswith('digraph "stopwatch" {')
    assert main(["graph", flow, "-o", str(tmp_path / "no" / "made.dot")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_an_ending_that_is_no_picture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "made.gif"
    assert main(["graph", str(ROOT / "flows" / "stopwatch.yaml"), "-o", str(target)]) == 2
    assert "take .svg, .png, .dot or .mmd" in " ".join(capsys.readouterr().err.split())
    assert not target.exists()
    assert main(["graph", str(ROOT / "flows" / "stopwatch.yaml"), "-o", str(tmp_path / "made.mmd")]) == 0


def test_without_graphviz_the_error_names_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(graphviz, "PORT", "no-such-program")
    assert main(["graph", str(ROOT / "flows" / "stopwatch.yaml"), "--format", "svg"]) == 2
    said = capsys.readouterr().err
    assert "pip install 'convo[pictures]'" in said
    assert "install Graphviz" in " ".join(said.split())


def test_problems_of_the_flow_end_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "flow: broken\nstates:\n  a:\n    goto: nowhere\n", "broken")
    assert main(["graph", str(path)]) == 1
    assert "broken.yaml:4" in capsys.readouterr().err


@pytest.fixture
def needs_dot() -> None:
    if shutil.which("dot") is None:
        reason = "Graphviz is not installed (apt-get install graphviz)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.mark.usefixtures("needs_dot")
@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_graphviz_draws_every_flow(path: Path, tmp_path: Path) -> None:
    for everything in ([], ["--all"]):
        target = tmp_path / "made.svg"
        assert main(["graph", str(path), "-o", str(target), *everything]) == 0
        text = target.read_text(encoding="utf-8")
        assert "<svg" in text
        assert 'id="begin"' in text


@pytest.fixture
def without_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which(graphviz.PORT, path=sysconfig.get_path("scripts")) is None:
        reason = "the extra 'pictures' is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    monkeypatch.setenv("PATH", "")


@pytest.mark.usefixtures("without_dot")
def test_the_extra_escapes_what_looks_like_markup(tmp_path: Path) -> None:
    target = tmp_path / "made.svg"
    assert main(["graph", str(written(tmp_path, NASTY, "nasty")), "-o", str(target)]) == 0
    assert "<script" not in target.read_text(encoding="utf-8")


@pytest.mark.usefixtures("without_dot")
@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_the_extra_draws_every_flow_without_graphviz(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.svg"
    assert main(["graph", str(path), "-o", str(target), "--all"]) == 0
    text = target.read_text(encoding="utf-8")
    assert 'id="begin"' in text
    assert 'font-family="Arial"' in text
    png = tmp_path / "made.png"
    assert main(["graph", str(path), "-o", str(png)]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("needs_dot")
def test_graphviz_draws_what_looks_like_markup(tmp_path: Path) -> None:
    target = tmp_path / "made.svg"
    assert main(["graph", str(written(tmp_path, NASTY, "nasty")), "-o", str(target)]) == 0
    assert "<script" not in target.read_text(encoding="utf-8")
    png = tmp_path / "made.png"
    assert main(["graph", str(tmp_path / "nasty.yaml"), "-o", str(png)]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")


def test_drawing_loads_no_page(tmp_path: Path) -> None:
    """Graph needs none of the web extra."""
    script = (
        "import sys, json; from convo.cli import main;"
        f" main(['graph', {str(ROOT / 'flows' / 'stopwatch.yaml')!r}, '-o', {str(tmp_path / 'a.mmd')!r}]);"
        " print(json.dumps(sorted(set(sys.modules) & {'starlette', 'uvicorn', 'sse_starlette'})))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []
