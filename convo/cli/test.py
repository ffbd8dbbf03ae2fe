"""``convo test``: play transcripts on the real runtime, without a network."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("test")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--cover", is_flag=True, help="Say which transitions no transcript takes.")
@click.option("--min", "least", type=click.FloatRange(0, 100), help="Exit 1 below so many percent.")
def command(paths: tuple[Path, ...], form: str, cover: bool, least: float | None) -> int:
    """Run the transcripts of the files and folders named. Exit 1 where one fails or cannot be read."""
    import json

    from convo.analysis.transcripts import TranscriptFailure, read_transcripts
    from convo.errors import ConfigError, ConvoError
    from convo.testing.play import files_of, play_case

    results: list[dict[str, object]] = []
    taken: dict[Path, set[str]] = {}

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
        for case in transcripts.cases:
            failure: str | None = None
            try:
                play_case(case, transcripts, taken.setdefault(transcripts.flow, set()))
            except (TranscriptFailure, ConvoError) as problem:
                failure = str(problem)
            note(path, case.name, case.position.line, failure)
    failed = sum(not result["passed"] for result in results)
    if form == "json":
        click.echo(json.dumps(results, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{len(results) - failed} passed, {failed} failed")
    too_little = bool(cover or least is not None) and _covered(taken, least or 0.0, form)
    return 1 if failed or too_little else 0


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
