"""The pytest plugin: fixtures for flows, and ``*.test.yaml`` files as tests, one for each case.

It imports convo only inside its hooks, so that projects without flows pay nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from convo.analysis.transcripts import Case, Transcripts
    from convo.testing import FakeClock, FakeTransport, Phone


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect transcripts."""
    if file_path.name.endswith(".test.yaml"):
        collector: TranscriptFile = TranscriptFile.from_parent(parent, path=file_path)
        return collector
    return None


class TranscriptFile(pytest.File):
    """A test file of a flow."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item for each case."""
        from convo.analysis.transcripts import read_transcripts

        transcripts = read_transcripts(self.path)
        for case in transcripts.cases:
            yield TranscriptItem.from_parent(self, name=case.name, case=case, transcripts=transcripts)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | Any:  # noqa: ARG002
        """Show the problems of the file rather than a traceback."""
        from convo.errors import ConvoError

        if isinstance(excinfo.value, ConvoError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


class TranscriptItem(pytest.Item):
    """One case, played both ways."""

    def __init__(self, *, case: Case, transcripts: Transcripts, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case
        self.transcripts = transcripts

    def runtest(self) -> None:
        """Play it."""
        from convo.testing.play import play_case

        play_case(self.case, self.transcripts)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | Any:  # noqa: ARG002
        """Show the chat as it went rather than a traceback."""
        from convo.analysis.transcripts import TranscriptFailure
        from convo.errors import ConvoError

        if isinstance(excinfo.value, (TranscriptFailure, ConvoError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Say where the case stands."""
        return self.path, self.case.position.line - 1, f"{self.path.name}: {self.case.name}"


@pytest.fixture
def fake_clock() -> FakeClock:
    """Return a clock that stands until it is moved."""
    from convo.testing import FakeClock

    return FakeClock()


@pytest.fixture
def fake_transport(fake_clock: FakeClock) -> FakeTransport:
    """Return a provider in memory, on the same clock."""
    from convo.testing import FakeTransport

    return FakeTransport(fake_clock)


@pytest.fixture
def phone(fake_clock: FakeClock) -> Iterator[Callable[..., Phone]]:
    """Return a function that makes a phone on a flow file: ``phone("flows/stopwatch.yaml")``."""
    from convo.testing import Phone

    phones: list[Phone] = []

    def make(flow: str | Path, number: str = "+61400000000", **settings: Any) -> Phone:
        made = Phone(flow, number, clock=fake_clock, **settings)
        phones.append(made)
        return made

    yield make
    for made in phones:
        made.close()
