"""What all tests share: flows written in a test, and a fixed moment."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from convo.engine.machine import CompiledFlow, compile_flow
from convo.flow import answer_pattern
from convo.flow.parse import parse_flow
from convo.flow.reader import read_text
from tests.postgres import postgres, postgres_server, postgres_url

__all__ = ["postgres", "postgres_server", "postgres_url"]

ROOT = Path(__file__).resolve().parent.parent
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that a test calls sets logging up for its process, which is that of the next test too."""
    ours = logging.getLogger("convo")
    level, handlers = ours.level, list(ours.handlers)
    yield
    ours.setLevel(level)
    ours.handlers[:] = handlers


@pytest.fixture
def noon() -> datetime:
    """Return a fixed moment."""
    return NOON


@pytest.fixture
def without_re2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have patterns matched by Python, whatever is installed."""
    monkeypatch.setitem(sys.modules, "re2", None)
    answer_pattern.compiled.cache_clear()
    yield
    answer_pattern.compiled.cache_clear()


@pytest.fixture
def root() -> Path:
    """Return the top of the checkout."""
    return ROOT


@pytest.fixture
def compiled() -> Callable[[str], CompiledFlow]:
    """Return a function that compiles a flow from its text."""
    return lambda text: compile_flow(parse_flow(read_text(text, "flow.yaml")))


@pytest.fixture
def stopwatch() -> CompiledFlow:
    """Return the shipped stopwatch, compiled."""
    path = ROOT / "flows" / "stopwatch.yaml"
    return compile_flow(parse_flow(read_text(path.read_text(encoding="utf-8"), str(path))))
