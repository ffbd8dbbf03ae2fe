"""Plays test files on the real runtime, each case both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from convo.analysis.transcripts import Case, Transcripts, play
from convo.engine.machine import CompiledFlow
from convo.testing.phone import Phone

ENDING = ".test.yaml"


def play_case(
    case: Case,
    transcripts: Transcripts,
    taken: set[str] | None = None,
    *,
    machine: CompiledFlow | None = None,
    reloads: bool = True,
    explains: bool = True,
    most_stops: int | None = None,
) -> None:
    """Play a case with the conversation kept in memory, then saved and loaded between any two messages.

    The names of the transitions that were taken are added to ``taken``. ``machine`` is played instead of
    the flow's file; ``reloads=False`` leaves the second way out, and ``explains=False`` the reasons of a
    failure. ``most_stops`` is how many timers may come due before it counts as a failure.

    Raises:
        TranscriptFailure: it did not go as written.
        FlowError: the flow has problems.
    """
    for reload in (False, True) if reloads else (False,):
        phone = Phone(transcripts.flow, reload=reload, machine=machine)
        phone.explains = explains
        phone.most_stops = most_stops or phone.most_stops
        try:
            play(case, phone, transcripts)
        finally:
            if taken is not None:
                taken |= phone.world.taken()
            phone.close()


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the test files that the paths name: files as they are, folders searched."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob(f"*{ENDING}"))
        else:
            yield path
