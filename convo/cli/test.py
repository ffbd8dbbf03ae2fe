"""``convo test``: play transcripts on the real runtime, without a network."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("test")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(paths: tuple[Path, ...], form: str) -> int:
    """Run the transcripts of the files and folders named. Exit 1 where one fails or cannot be read."""
    import json

    from convo.analysis.transcripts import TranscriptFailure, read_transcripts
    from convo.errors import ConfigError, ConvoError
    from convo.testing.play import files_of, play_case

    results: list[dict[str, object]] = []

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
                play_case(case, transcripts)
            except (TranscriptFailure, ConvoError) as problem:
                failure = str(problem)
            note(path, case.name, case.position.line, failure)
    failed = sum(not result["passed"] for result in results)
    if form == "json":
        click.echo(json.dumps(results, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0
