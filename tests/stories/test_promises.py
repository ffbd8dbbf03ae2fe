"""No sentence of docs/promises.md without a test that carries it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "promises.md"
NAMED = re.compile(r"`(test_\w+|tests/[\w./]+)`")


def promises() -> list[str]:
    """Return each promise: the items of the page's lists, in one line."""
    text = PAGE.read_text(encoding="utf-8")
    return [" ".join(each.split()) for each in re.findall(r"^- ((?:.+\n)(?:  .+\n)*)", text, re.MULTILINE)]


def written() -> set[str]:
    """Return the name of every test there is."""
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    return {name for text in files for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}


def test_each_promise_names_its_test() -> None:
    assert len(promises()) > 25
    assert [each for each in promises() if not NAMED.search(each)] == []


def test_the_tests_that_are_named_are_there() -> None:
    known = written()
    named = {name for each in promises() for name in NAMED.findall(each)}
    assert len(named) > 40
    missing = {name for name in named if name.startswith("test_") and name not in known}
    missing |= {name for name in named if name.startswith("tests/") and not (ROOT / name).exists()}
    assert missing == set()
