"""What an author's editor makes of flows: the schemas, their installation, and a real language server.

The server is the npm package yaml-language-server; ``CONVO_YAML_LS`` names its program.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from convo.analysis.schemas import KINDS, schema_for
from convo.cli import cli, main
from convo.flow.file import card_of
from convo.flow.reader import ListNode, MapNode, Node, Scalar, read_text
from tests.editor.language_server import LanguageServer

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for folder in ("flows", "examples")
    for path in (ROOT / folder).rglob("*.yaml")
    if path.name != "convo.yaml"
)

NAMED = frozenset(
    {"states", "data", "set", "choices", "triggers", "anywhere", "goto", "tell", "people", "with", "hours"}
    | {"moved", "translated", "cases", "saved", "start", "kept", "calls", "after", "at"}
)
"""Keys below which authors choose the names."""

WRONG = {
    "flow": "flow: x\nstates:\n  a: {ask: 'x?', answer: {type: number, mn: 3}}\n",
    "sentence": "flow: x\ntexts: {apolgy: Oh}\nstates:\n  a: {end: x}\n",
    "datum": "flow: x\ndata: {n: {type: number, frist: 3}}\nstates:\n  a: {end: x}\n",
    "choice": "flow: x\nstates:\n  a: {ask: 'x?', choices: {b: {lable: B}}}\n",
    "arm": "flow: x\nstates:\n  a: {ask: 'x?', answer: yes or no, goto: {yes: {replay: B}, no: a}}\n",
    "call": "tests: x\ncases:\n  a:\n    - calls: {towns: {okay: {}}}\n",
    "together": "tests: x\ncases:\n  a:\n    - together: [{tham: x}]\n",
    "number": "tests: x\ncases:\n  a:\n    - form +61400000002: x\n",
    "words": "translates: x\nlanguage: sw\ntexts: {apolgy: Oh}\n",
}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the schema for all kinds of files, as ``convo schema`` prints it."""
    path = tmp_path_factory.mktemp("schema") / "convo.schema.json"
    path.write_text(CliRunner().invoke(cli, ["schema"]).output, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def server(schema: Path) -> Iterator[LanguageServer]:
    """Return a language server that knows the schema."""
    program = os.environ.get("CONVO_YAML_LS") or shutil.which("yaml-language-server")
    if program is None or shutil.which("node") is None:
        reason = "there is no yaml-language-server (npm install yaml-language-server; see .ci/run)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with LanguageServer([program, "--stdio"], schema) as started:
        yield started


def test_no_shipped_file_has_a_diagnostic(server: LanguageServer) -> None:
    documents = {path.as_uri(): path.read_text(encoding="utf-8") for path in FILES}
    assert len(documents) > 20
    found = server.diagnostics(documents)
    assert {uri: each for uri, each in found.items() if each} == {}


def test_every_misspelt_key_has_one(server: LanguageServer) -> None:
    tried = {f"file:///misspelt/{' '.join(shape)}.yaml": text for shape, text in misspelt()}
    assert len(tried) > 100
    assert [uri for uri, each in server.diagnostics(tried).items() if not each] == []


def test_keys_that_no_shipped_file_has_are_known_too(server: LanguageServer) -> None:
    found = server.diagnostics({f"file:///wrong/{name}.yaml": text for name, text in WRONG.items()})
    assert [uri for uri, each in found.items() if not each] == []


def test_completion_and_hover(server: LanguageServer) -> None:
    flow = "flow: x\nstates:\n  a:\n    ask: x\n    remind: 24h\n    \n"
    found = server.at("completion", "file:///completion/1.yaml", flow, 5, 4)
    labels = [item["label"] for item in found["items"]]
    assert {"answer", "choices", "no_answer_after", "goto"} <= set(labels)
    assert "end" not in labels
    hover = server.at("hover", "file:///hover/1.yaml", flow, 4, 6)
    assert "After so much silence" in json.dumps(hover)
    tests = "tests: x\ncases:\n  a:\n    - \n"
    found = server.at("completion", "file:///completion/2.yaml", tests, 3, 6)
    assert {"them", "us", "us starts", "wait", "again"} <= {item["label"] for item in found["items"]}


def misspelt() -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the shipped files with one key misspelt, once for each kind of place that a key stands in."""
    seen: set[tuple[str, ...]] = set()
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        root = read_text(text).root
        kind = str(next(iter(root)))
        if kind == "provider":  # `convo transport check` reads those; an editor leaves them alone
            continue
        for place, key in keys(root, "", named=False):
            shape = (kind, place, str(key))
            if shape in seen or (not place and key in ("flow", "translates", "tests", "cases")):
                continue
            seen.add(shape)
            lines = text.split("\n")
            at, column = key.position.line - 1, key.position.column - 1 + int(key.quoted)
            lines[at] = f"{lines[at][: column + 1]}zq{lines[at][column + 1 :]}"
            yield shape, "\n".join(lines)


def keys(node: Node, place: str, *, named: bool) -> Iterator[tuple[str, Scalar]]:
    """Yield the keys that the language gives, each with what it stands in; authors' names are ``*``."""
    if isinstance(node, ListNode):
        for item in node:
            yield from keys(item, place, named=False)
    elif isinstance(node, MapNode):
        if place == "states.*":
            # A state is another card by its keys.
            place = card_of(node)
        for key, value in node.items():
            if not named:
                yield place, key
            inside = f"{place}.*" if named else str(key)
            below = not named and key in NAMED and isinstance(value, MapNode)
            # What a service answers is an author's name too.
            if place != "calls.*":
                yield from keys(value, inside, named=below)


def test_each_kind_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in KINDS:
        assert main(["schema", kind]) == 0
        assert json.loads(capsys.readouterr().out) == schema_for(kind)
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema_for("all")


def test_it_is_installed_beside_what_stands_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("flows", "deep/er", ".hidden", "node_modules"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.yaml").write_text("# x\nflow: a\n", encoding="utf-8")
    (tmp_path / "other.yaml").write_text("services: {}\n", encoding="utf-8")
    settings = tmp_path / ".vscode" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{"editor.tabSize": 2, "yaml.schemas": {"x": ["y"]}}', encoding="utf-8")
    assert main(["schema", "--install", str(tmp_path)]) == 0
    assert "deep/er/*.yaml, flows/*.yaml" in capsys.readouterr().out
    assert json.loads(settings.read_text(encoding="utf-8")) == {
        "editor.tabSize": 2,
        "yaml.schemas": {"x": ["y"], "./.vscode/convo.schema.json": ["deep/er/*.yaml", "flows/*.yaml"]},
    }
    written = json.loads((settings.parent / "convo.schema.json").read_text(encoding="utf-8"))
    assert written == schema_for("all")
    once = settings.read_text(encoding="utf-8")
    assert main(["schema", "--install", str(tmp_path)]) == 0
    assert settings.read_text(encoding="utf-8") == once


@pytest.mark.parametrize("text", ["{ // mine\n}", "[]", '{"yaml.schemas": 3}'])
def test_settings_that_cannot_be_read_stay_as_they_are(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / ".vscode" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(text, encoding="utf-8")
    assert main(["schema", "--install", str(tmp_path)]) == 2
    assert 'add to it by hand: "yaml.schemas": {"./.vscode/convo.schema.json": ["flows/*.yaml"]}' in (
        capsys.readouterr().err
    )
    assert settings.read_text(encoding="utf-8") == text
    assert [each.name for each in settings.parent.iterdir()] == ["settings.json"]


def hooks() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(
        (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    )
    return found


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook["id"])
def test_the_hooks_of_pre_commit_run(
    hook: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each hook is a command of ours that passes on sound files and stops broken ones."""
    assert {"id", "name", "entry", "language", "files"} <= set(hook)
    assert hook["language"] == "python"
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "flows", tmp_path / "flows")
    program, *words = [*hook["entry"].split(), *hook.get("args", [])]
    assert program == "convo"
    files = [] if hook.get("pass_filenames") is False else ["flows/stopwatch.yaml"]
    assert main([*words, *files]) == 0, capsys.readouterr()
    flow = tmp_path / "flows" / "stopwatch.yaml"
    broken = flow.read_text(encoding="utf-8").replace("goto: running", "goto: runing")
    flow.write_text(broken, encoding="utf-8")
    assert main([*words, *files]) == 1
    assert "runing" in capsys.readouterr().out


def test_the_hook_of_check_is_given_flows_only() -> None:
    import re

    pattern = next(hook["files"] for hook in hooks() if hook["id"] == "convo-check")
    given = ("flows/a.yaml", "deep/flows/a.yaml")
    left = ("flows/a.test.yaml", "flows/a.sw.yaml", "convo.yaml", "flows/deep/a.yaml", "flowers/a.yaml")
    assert all(re.search(pattern, path) for path in given)
    assert not any(re.search(pattern, path) for path in left)
