"""A chat of ``convo chat`` becomes a transcript, written only where it passes."""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

from convo.analysis.transcripts import TranscriptFailure, read_transcripts
from convo.analysis.transcripts_writing import add_case, case_of, new_file, quoted
from convo.cli.chat_session import Session
from convo.errors import ConfigError, ConvoError
from convo.testing.fakes import START
from convo.testing.play import play_case

Step = tuple[str, ...]

MOST_TRIED = 40
"""So many waits of real time are tried to be left out, one after the other."""


def save(session: Session, written: str, name: str) -> tuple[str, Path]:
    """Add the chat to a test file beside the flow, in its shortest form that passes; return name and file.

    ``written`` is the file's name, "" for ``NAME.test.yaml``; without a ``name`` the chat gets one of what
    was written. Waits that were real time at the terminal, and the day, are left out where the chat is
    the same without them.

    Raises:
        ConfigError: it cannot be written, or does not pass when it is played.
    """
    if not any(step[0] in ("them", "start") for step in session.script):
        raise ConfigError("nothing has been said yet that could be saved")
    path = _file(session.path, written) or session.path.with_name(f"{session.path.stem}.test.yaml")
    name = name or _new_name(session, path)
    local = session.began.astimezone(ZoneInfo(session.world.flow.zone))
    clock: list[Step] = [("clock", f"{local:%Y-%m-%d %H:%M:%S}")]
    for head in [[], clock] if session.began != START else [[]]:
        script = _passing(session.path, name, head, [*session.script, *_end(session)])
        if script is not None:
            return name, add_case(session.path, name, case_of(name, script), path)
    failure = _failure(session.path, case_of(name, _as_waits([*clock, *session.script, *_end(session)])))
    lines = str(failure).split("\n")
    raise ConfigError("\n".join(["played again, this chat goes another way; it was not saved:", *lines[1:4]]))


def _new_name(session: Session, path: Path) -> str:
    """Return a name that no case of the file has: what was written first."""
    texts = [" ".join(step[2].split()) for step in session.script if step[0] == "them"]
    name = (", ".join(texts[:3]) or "we begin")[:60]
    taken = {case.name for case in read_transcripts(path).cases} if path.is_file() else set()
    return next(found for n in count(1) if (found := name if n == 1 else f"{name} ({n})") not in taken)


def _passing(flow: Path, name: str, head: list[Step], script: list[Step]) -> list[Step] | None:
    """Return the chat with as few waits as it passes with, None where it does not pass at all."""
    without = [*head, *(step for step in script if step[0] != "real")]
    if _failure(flow, case_of(name, without)) is None:
        return without
    if _failure(flow, case_of(name, [*head, *_as_waits(script)])) is not None:
        return None
    kept = list(script)
    waits = [index for index, step in enumerate(script) if step[0] == "real"]
    for index in reversed(waits[-MOST_TRIED:]):
        fewer = kept[:index] + kept[index + 1 :]
        if _failure(flow, case_of(name, [*head, *_as_waits(fewer)])) is None:
            kept = fewer
    return [*head, *_as_waits(kept)]


def _as_waits(script: list[Step]) -> list[Step]:
    return [("wait", step[1]) if step[0] == "real" else step for step in script]


def _file(flow: Path, written: str) -> Path | None:
    if not written:
        return None
    path = Path(written)
    if path.parent == Path():
        path = flow.with_name(path.name)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"'{written}' is no name for a test file; for example: {flow.stem}.test.yaml")
    if path.resolve().parent != flow.resolve().parent:
        raise ConfigError(f"a test file stands beside its flow: {flow.with_name(path.name)}")
    if path.resolve() == flow.resolve():
        raise ConfigError(f"{path.name} is the flow itself; for example: {flow.stem}.test.yaml")
    return path


def _end(session: Session) -> list[Step]:
    stands = session.standing()
    if not stands.state:
        return []
    whose = "" if stands.number == session.first else f" of {stands.number}"
    if stands.ended is not None:
        return [(f"ended{whose}", quoted(stands.ended))]
    return [(f"state{whose}", quoted(stands.state))]


def _failure(flow: Path, case: str) -> Exception | None:
    """Play the case as the test file that it would be; return what went wrong, None where it passes."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=flow.parent, prefix=f".{flow.stem}-", suffix=".part"
        ) as made:
            made.write(new_file(flow, [case]))
            made.flush()
            transcripts = read_transcripts(Path(made.name))
            play_case(transcripts.cases[0], transcripts)
    except (TranscriptFailure, ConvoError) as problem:
        return problem
    except OSError as problem:
        raise ConfigError(f"nothing can be written beside {flow}: {problem.strerror}") from None
    return None
