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
from convo.flow.file import FlowFile
from convo.flow.filters import FILTERS
from convo.flow.parse import load_flow
from convo.flow.sentences import BUILT_IN_TEXTS
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


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_blocks_are_sound(block: str, tmp_path: Path) -> None:
    if block.startswith("tests:"):
        name = re.match(r"tests: (\w+)", block)
        assert name is not None
        flow = ROOT / "flows" / f"{name.group(1)}.yaml"
        (tmp_path / flow.name).write_bytes(flow.read_bytes())
        path = tmp_path / "page.test.yaml"
        path.write_text(block, encoding="utf-8")
        transcripts = read_transcripts(path)
        assert transcripts.cases
        for case in transcripts.cases:
            play_case(case, transcripts)
    else:
        path = tmp_path / "flow.yaml"
        path.write_text(block, encoding="utf-8")
        assert check(compile_flow(load_flow(path))) == []


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


def test_every_key_sentence_filter_and_command_is_documented() -> None:
    flows = (ROOT / "docs" / "flows.md").read_text(encoding="utf-8")
    readme = PAGES[0].read_text(encoding="utf-8")
    keys = {field.alias or name for name, field in FlowFile.model_fields.items()}
    for word in [*keys, *BUILT_IN_TEXTS, *FILTERS]:
        assert f"`{word}`" in flows, word
    for command in COMMANDS:
        assert f"`convo {command}" in readme, command
