"""Plays transcripts on changed flows, to find the changes that none of them notices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random

from convo.analysis.mutate import Change, Mutant, Mutation, Progress
from convo.analysis.transcripts import Case, TranscriptFailure, Transcripts
from convo.clock import Clock
from convo.errors import ConvoError
from convo.testing.play import play_case

MOST_STOPS = 2_000
"""So many timers may come due in a chat: a change may make a flow go round in circles for ever."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """What came of the changes of one flow.

    ``unnoticed`` are the changes after which every transcript passed, in file order; ``unsound`` counts
    those of which no sound flow came, ``left`` those for which there was no time.
    """

    flow: str
    path: Path
    tried: int
    unnoticed: tuple[Mutant, ...]
    unsound: int
    left: int

    @property
    def percent(self) -> float:
        """The share of the changes tried that were noticed, in percent."""
        return 100.0 if not self.tried else 100.0 * (self.tried - len(self.unnoticed)) / self.tried

    def lines(self) -> list[str]:
        """Return it in words, a line for each change that nobody noticed."""
        if not self.tried:
            said = [f"{self.flow}: nothing was changed"]
        elif not self.unnoticed:
            said = [f"{self.flow}: every one of {self.tried} changes is noticed"]
        else:
            noticed = self.tried - len(self.unnoticed)
            share = f"{noticed} of {self.tried} changes are noticed ({self.percent:.0f}%)"
            said = [f"{self.flow}: {share}; these are not:"]
        said += [f"  {self.path}:{each.change.position.line}  {each.sentence}" for each in self.unnoticed]
        if self.left:
            said.append(f"  (the time was up: {self.left} more were not tried)")
        return said

    def as_data(self) -> dict[str, object]:
        """Return it as plain data, for ``--format json``."""
        return {
            "flow": self.flow,
            "path": str(self.path),
            "tried": self.tried,
            "unsound": self.unsound,
            "left": self.left,
            "unnoticed": [
                {
                    "kind": each.change.kind,
                    "line": each.change.position.line,
                    "was": each.change.was,
                    "became": each.became,
                }
                for each in self.unnoticed
            ],
        }


@dataclass(frozen=True, slots=True)
class _Chat:
    """A case that passes, with the transitions that it takes."""

    case: Case
    file: Transcripts
    taken: frozenset[str]

    def concerns(self, change: Change, start: str) -> bool:
        """Return whether the case comes through the state that was changed."""
        state = change.state
        return state in ("", start) or any(
            f"{state} ·" in name or f"→ {state}" in name for name in self.taken
        )

    def takes(self, change: Change) -> bool:
        """Return whether the case takes a transition of the line that was changed."""
        return any(name.endswith(f"(line {change.position.line})") for name in self.taken)


def try_changes(
    path: Path,
    files: Sequence[Transcripts],
    *,
    clock: Clock,
    until: datetime,
    on_progress: Progress = lambda _done, _all: None,
) -> Noticed:
    """Return which changes of the flow in ``path`` no case of ``files`` notices.

    When ``until`` comes the rest is left; the changes are tried in an order that is the same each time
    and has nothing to do with where they stand.

    Raises:
        TranscriptFailure: a case does not pass as it is.
        FlowError: the flow has problems.
    """
    mutation = Mutation(path)
    chats = [_played(case, file) for file in files for case in file.cases]
    changes = list(mutation.changes)
    Random(0).shuffle(changes)  # noqa: S311 - an order, no secret
    unnoticed: list[Mutant] = []
    tried = unsound = 0
    for done, change in enumerate(changes):
        on_progress(done, len(changes))
        if clock.now() >= until:
            break
        mutant = mutation.made(change)
        if mutant is None:
            unsound += 1
            continue
        tried += 1
        if not _is_noticed(mutant, [chat for chat in chats if chat.concerns(change, mutation.start)]):
            unnoticed.append(mutant)
    on_progress(len(changes), len(changes))
    unnoticed.sort(key=lambda each: (each.change.position.line, each.change.position.column))
    return Noticed(path.stem, path, tried, tuple(unnoticed), unsound, len(changes) - tried - unsound)


def _played(case: Case, file: Transcripts) -> _Chat:
    taken: set[str] = set()
    play_case(case, file, taken, reloads=False)
    return _Chat(case, file, frozenset(taken))


def _is_noticed(mutant: Mutant, chats: Sequence[_Chat]) -> bool:
    """Return whether a case fails on the changed flow; those that come by the changed line go first."""
    for chat in sorted(chats, key=lambda chat: not chat.takes(mutant.change)):
        passed = False
        with suppress(TranscriptFailure, ConvoError):
            play_case(
                chat.case,
                chat.file,
                machine=mutant.machine,
                reloads=False,
                explains=False,
                most_stops=MOST_STOPS,
            )
            passed = True
        if not passed:
            return True
    return False
