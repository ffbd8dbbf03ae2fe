"""What stands in README.md and docs/ is run: flows are checked, transcripts played, tests run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from convo.analysis.checks import check
from convo.analysis.transcripts import read_transcripts
from convo.cli import COMMANDS
from convo.engine.machine import compile_flow
from convo.flow import answers
from convo.flow.file import (
    CARDS,
    ActionFile,
    CallFile,
    ChoiceFile,
    CommandFile,
    DatumFile,
    EndCardFile,
    EveryQuestionFile,
    FlowFile,
    OutcomeFile,
    QuestionFile,
    RunFile,
    StepFile,
)
from convo.flow.filters import FILTERS
from convo.flow.parse import load_flow
from convo.flow.sentences import BUILT_IN_TEXTS
from convo.flow.shape import keys_of
from convo.flow.triggers import MatcherKind
from convo.runtime.config import read_config
from convo.testing.play import play_case

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[object]:
    """Return the code blocks of all pages in ``language``, each named by page and line."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 1
            found.append(pytest.param(match.group(1), id=f"{page.name}:{line}"))
    return found


def put_the_flows_of_the_pages(folder: Path) -> None:
    """Write every flow of the pages, and its words in other languages, into files of their names."""
    for block in (block.values[0] for block in blocks("yaml")):
        flow = re.match(r"flow: (\w+)", block)
        twin = re.match(r"translates: (\w+)\nlanguage: (\w+)", block)
        if flow is not None:
            (folder / f"{flow[1]}.yaml").write_text(block, encoding="utf-8")
        elif twin is not None:
            (folder / f"{twin[1]}.{twin[2]}.yaml").write_text(block, encoding="utf-8")


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_blocks_are_sound(block: str, tmp_path: Path) -> None:
    put_the_flows_of_the_pages(tmp_path)
    if block.startswith("translates:"):
        return
    if "\nchannels:" in block:
        path = tmp_path / "convo.yaml"
        path.write_text(block, encoding="utf-8")
        secrets = dict.fromkeys(re.findall(r"env: (\w+)", block), "x")
        assert read_config(path, secrets).warnings == ()
        return
    if block.startswith("tests:"):
        path = tmp_path / "page.test.yaml"
        path.write_text(block, encoding="utf-8")
        transcripts = read_transcripts(path)
        assert transcripts.cases
        for case in transcripts.cases:
            play_case(case, transcripts)
    else:
        name = re.match(r"flow: (\w+)", block)
        assert name is not None
        compiled = compile_flow(load_flow(tmp_path / f"{name[1]}.yaml"))
        assert compiled.flow.warnings == ()
        assert check(compiled) == []


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_pass(
    block: str, phone: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Callable[..., None]] = {}
    exec(compile(block, "docs", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test(phone)


def test_the_readme_shows_the_shipped_stopwatch() -> None:
    flow = (ROOT / "flows" / "stopwatch.yaml").read_text(encoding="utf-8")
    assert f"```yaml\n{flow}```" in PAGES[0].read_text(encoding="utf-8")


def test_the_table_of_keys_is_the_models() -> None:
    page = (ROOT / "docs" / "flows.md").read_text(encoding="utf-8")
    table = page.partition("## Which key stands where")[2].partition("\n## ")[0]
    rows = [set(re.findall("`([a-z_]+)`", row.split("|")[2])) for row in table.splitlines()[4:] if row]
    cards = [QuestionFile, CommandFile, RunFile, CallFile, EndCardFile, StepFile]
    models = [FlowFile, *cards, EveryQuestionFile, ActionFile, OutcomeFile, ChoiceFile, DatumFile]
    assert rows == [set(keys_of(model)) for model in models]


def test_the_tutorial_is_read_in_one_go() -> None:
    page = (ROOT / "docs" / "flows.md").read_text(encoding="utf-8")
    assert len(page.partition("\n# Reference\n")[0].split()) <= 4_000


def test_every_key_sentence_filter_and_command_is_documented() -> None:
    flows = (ROOT / "docs" / "flows.md").read_text(encoding="utf-8")
    readme = PAGES[0].read_text(encoding="utf-8")
    models = [FlowFile, EveryQuestionFile, ActionFile, OutcomeFile, ChoiceFile, DatumFile]
    models += [model for _, model in CARDS]
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()}
    kinds = {kind.value for kind in MatcherKind} - {"word"}
    for word in [*keys, *kinds, *answers.BUILT_IN, *BUILT_IN_TEXTS, *FILTERS]:
        assert f"\n### `{word}`\n" in flows, word
    for command in COMMANDS:
        assert f"`convo {command}" in readme, command
