"""The pytest plugin: fixtures for flows, and ``*.test.yaml`` files as tests, one for each case.

``--convo-cover`` says at the end which transitions no test has taken. convo is imported only inside the
hooks, so that projects without flows pay nothing for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from convo.analysis.cover import Cover
    from convo.analysis.transcripts import Case, Transcripts
    from convo.testing import FakeClock, FakeTransport, Phone

TAKEN: pytest.StashKey[dict[Path, set[str]]] = pytest.StashKey()
"""The names of the transitions that tests have taken, by the file of their flow."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--convo-cover`` and ``--convo-min``."""
    group = parser.getgroup("convo", "flows of convo")
    group.addoption("--convo-cover", action="store_true", help="say which transitions of flows no test takes")
    group.addoption(
        "--convo-min",
        type=float,
        metavar="PERCENT",
        help="fail where the tests take fewer of the transitions of a flow; goes with --convo-cover",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin to note what is taken, where it is asked for."""
    if config.getoption("--convo-cover") or config.getoption("--convo-min") is not None:
        config.stash[TAKEN] = {}


def pytest_runtest_setup() -> None:
    """Forget machines that another test has compiled, so that none can lean on it."""
    loaded = sys.modules.get("convo.testing.loaded")
    if loaded is not None:
        loaded.forget()


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

        play_case(self.case, self.transcripts, _taken_of(self.config, self.transcripts.flow))

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
def phone(fake_clock: FakeClock, pytestconfig: pytest.Config) -> Iterator[Callable[..., Phone]]:
    """Return a function that makes a phone on a flow file: ``phone("flows/stopwatch.yaml")``."""
    from convo.testing import Phone

    phones: list[Phone] = []

    def make(flow: str | Path, number: str = "+61400000000", **settings: Any) -> Phone:
        made = Phone(flow, number, clock=fake_clock, **settings)
        phones.append(made)
        return made

    yield make
    for made in phones:
        taken = _taken_of(pytestconfig, made.world.path)
        if taken is not None:
            taken |= made.world.taken()
        made.close()


def pytest_terminal_summary(
    terminalreporter: Any,
    exitstatus: int,  # noqa: ARG001 - pytest's own signature
    config: pytest.Config,
) -> None:
    """Say how much of each flow was taken, and what was not."""
    covers = _covers(config)
    if covers:
        terminalreporter.section("transitions of flows")
        for cover in covers:
            for line in cover.lines():
                terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where less was taken than was asked for."""
    least = session.config.getoption("--convo-min")
    if session.exitstatus == 0 and least and any(each.percent < least for each in _covers(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _taken_of(config: pytest.Config, flow: Path) -> set[str] | None:
    """Return the set to which what a test takes is added, None where nobody asked."""
    taken = config.stash.get(TAKEN, None)
    return None if taken is None else taken.setdefault(flow.resolve(), set())


def _covers(config: pytest.Config) -> list[Cover]:
    from convo.analysis.cover import cover_of
    from convo.errors import ConvoError
    from convo.testing.loaded import machine_of

    found = []
    for flow, taken in sorted(config.stash.get(TAKEN, {}).items()):
        path = flow.relative_to(config.rootpath) if flow.is_relative_to(config.rootpath) else flow
        with suppress(ConvoError):
            # One that cannot be read has failed its tests already.
            found.append(cover_of(machine_of(path if path.is_file() else flow), taken))
    return found
