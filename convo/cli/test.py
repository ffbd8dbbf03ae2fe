"""``convo test``: play transcripts on the real runtime, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.analysis.transcripts import Transcripts
    from convo.testing.mutating import Noticed


@click.command("test")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--cover", is_flag=True, help="Say which transitions no transcript takes.")
@click.option("--mutate", is_flag=True, help="Change one thing at a time and say what nobody notices.")
@click.option(
    "--for", "time", default="5m", show_default=True, metavar="TIME", help="How long --mutate may take."
)
@click.option("--min", "least", type=click.FloatRange(0, 100), help="Exit 1 below so many percent.")
def command(
    paths: tuple[Path, ...], form: str, cover: bool, mutate: bool, time: str, least: float | None
) -> int:
    """Run the transcripts of the files and folders named. Exit 1 where one fails or cannot be read.

    --mutate changes a goto, a word, a limit, a condition, a timer or a set of the flow, one at a time, and
    lists the changes that no transcript notices.
    """
    import json

    from convo.analysis.transcripts import TranscriptFailure, read_transcripts
    from convo.errors import ConfigError, ConvoError
    from convo.flow.values import parse_duration
    from convo.runtime.log import silent
    from convo.testing.play import files_of, play_case

    results: list[dict[str, object]] = []
    taken: dict[Path, set[str]] = {}
    sound: dict[Path, list[Transcripts]] = {}
    patience = parse_duration(time)
    if patience is None:
        raise ConfigError(f"--for: '{time}' is no duration; write 90s or 5m")

    def note(path: Path, case: str, line: int, failure: str | None) -> None:
        found = {"file": str(path), "case": case, "line": line, "passed": failure is None, "failure": failure}
        results.append(found)
        if failure is not None and form == "text":
            click.echo(f"{failure}\n")

    files = list(files_of(paths))
    if not files:
        raise ConfigError("there is no *.test.yaml in what was named")
    for path in files:
        try:
            transcripts = read_transcripts(path)
        except ConvoError as problem:
            note(path, "", 1, str(problem))
            continue
        sound.setdefault(transcripts.flow, []).append(transcripts)
        for case in transcripts.cases:
            failure: str | None = None
            try:
                with silent():
                    play_case(case, transcripts, taken.setdefault(transcripts.flow, set()))
            except (TranscriptFailure, ConvoError) as problem:
                failure = str(problem)
            note(path, case.name, case.position.line, failure)
    failed = sum(not result["passed"] for result in results)
    noticed: list[Noticed] = []
    if mutate and not failed:
        with silent():
            noticed = _mutated(sound, patience.total_seconds())
    if form == "json":
        changes = {"changes": [each.as_data() for each in noticed]}
        found = {"cases": results, **changes} if mutate else results
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{len(results) - failed} passed, {failed} failed")
        for each in noticed:
            click.echo("\n".join(each.lines()))
    covers = cover or (least is not None and not mutate)
    too_little = covers and _covered(taken, least or 0.0, form)
    too_little = too_little or any(each.percent < (least or 0.0) for each in noticed)
    return 1 if failed or too_little else 0


def _mutated(sound: dict[Path, list[Transcripts]], seconds: float) -> list[Noticed]:
    """Try the changes of each flow, sharing the time; show how far it is where somebody looks."""
    import sys
    from datetime import timedelta

    from convo.clock import SystemClock
    from convo.testing.mutating import try_changes

    clock = SystemClock()
    until = clock.now() + timedelta(seconds=seconds)
    looks = sys.stderr.isatty()
    found = []
    for index, (flow, files) in enumerate(sound.items()):
        now = clock.now()
        share = now + (until - now) / (len(sound) - index)

        def tell(done: int, of: int, name: str = flow.stem) -> None:
            if looks:
                end = "\n" if done == of else ""
                click.echo(f"\r{name}: {done} of {of} changes tried{end}", nl=False, err=True)

        found.append(try_changes(flow, files, clock=clock, until=share, on_progress=tell))
    return found


def _covered(taken: dict[Path, set[str]], least: float, form: str) -> bool:
    """Say how much of each flow was taken; return whether one stays below ``least`` percent."""
    from convo.analysis.cover import cover_of
    from convo.engine.machine import compile_flow
    from convo.errors import ConvoError
    from convo.flow.parse import load_flow

    too_little = False
    for path, names in taken.items():
        try:
            found = cover_of(compile_flow(load_flow(path)), names)
        except ConvoError:
            continue  # it could not be played either, which has been told
        too_little = too_little or found.percent < least
        if form == "text":
            click.echo("\n".join(found.lines()))
    return too_little
