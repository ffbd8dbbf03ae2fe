"""``convo check``: every problem of flow files, before anybody is texted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.flow.problems import Problem


@click.command("check")
@click.argument("flows", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FLOW…")
@click.option(
    *("--format", "form"), type=click.Choice(["text", "json", "github"]), default="text", show_default=True
)
@click.option("--strict", is_flag=True, help="Exit 1 where there are warnings, too.")
@click.option("--transport", "transports", multiple=True, help="Compare words with those of a carrier.")
@click.option("--store", metavar="PATH", help="Say who waits in a state of this store that is gone.")
def command(
    flows: tuple[Path, ...], form: str, strict: bool, transports: tuple[str, ...], store: str | None
) -> int:
    """Show every problem of the flow files: code, place, line, hint, and the shortest chat that shows it.

    All that can happen in a flow is tried, by letting it happen. Exit 1 where there are errors. A comment
    '# convo: ignore C011 because …' above a line explains a finding away. A folder, or all its files, may be
    named: translations are checked with their flow, and files of tests for how they are written.
    """
    import json

    from convo.analysis.checks import looked_over
    from convo.analysis.stranded import stranded
    from convo.analysis.transcripts_reading import read_transcripts
    from convo.engine.machine import compile_flow
    from convo.flow.parse import load_flow
    from convo.flow.problems import FlowError, Severity
    from convo.runtime.log import count

    reserved = {name: _reserved(name) for name in transports}
    waiting = _waiting(store) if store is not None else {}
    problems: list[Problem] = []
    ignored, tried = 0, []
    # Words in another language are checked with their flow, which may be named beside them.
    files = list(_files_of(flows))
    for path in dict.fromkeys(_flow_of(path) for path in files):
        try:
            if _first_key(path) == "tests":
                read_transcripts(path)
                continue
            compiled = compile_flow(load_flow(path))
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            checked = looked_over(compiled, lines, reserved)
            problems += [*checked.found, *stranded(compiled, lines, waiting)]
            ignored += len(checked.ignored)
            tried.append(checked.bound)
        except FlowError as wrong:
            problems += wrong.problems
    # A sub-flow may be checked beside the flow that runs it.
    problems = list({(each.path, each.position, each.code, each.message): each for each in problems}.values())
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    warnings = sum(problem.severity is Severity.WARNING for problem in problems)
    if form == "json":
        every = [{"chat": [], **problem.as_data()} for problem in problems]
        click.echo(json.dumps(every, indent=2, ensure_ascii=False))
    elif form == "github":
        for line in _for_github(problems):
            click.echo(line)
    else:
        for problem in problems:
            click.echo(str(problem))
        advice = len(problems) - errors - warnings
        parts = [count(errors, "error"), count(warnings, "warning")]
        parts += [f"{advice} pieces of advice" if advice > 1 else "1 piece of advice"] if advice else []
        found = ", ".join(parts) if problems else "fine"
        explained = f", {ignored} explained" if ignored else ""
        how_far = f"  (tried: {tried[0]})" if len(tried) == 1 else ""
        click.echo(f"{count(len(files), 'file')}: {found}{explained}{how_far}")
    return 1 if errors or (strict and warnings) else 0


_FIRST_KEY = re.compile(rb"^(flow|tests|translates): *([A-Za-z]\w*)?", re.MULTILINE)


def _first_key(path: Path) -> str:
    """Return which kind of file it is, by the key that says so; empty where none does."""
    found = _FIRST_KEY.search(_head(path))
    return found[1].decode() if found else ""


def _flow_of(path: Path) -> Path:
    """Return the flow that a file of words in another language belongs to, else the file itself."""
    found = _FIRST_KEY.search(_head(path))
    if found is None or found[1] != b"translates" or not found[2]:
        return path
    flow = path.with_name(f"{found[2].decode()}.yaml")
    return flow if flow.is_file() else path


def _head(path: Path) -> bytes:
    with suppress(OSError, ValueError), path.open("rb") as file:
        return file.read(4096)
    return b""


def _files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that are named, and those below the folders that are named.

    A configuration and the description of a provider are left out: other commands look them over.

    Raises:
        ConfigError: a folder holds no flow.
    """
    from convo.errors import ConfigError
    from convo.flow.problems import FlowError
    from convo.flow.reader import read_file
    from convo.flow.shape import other_key

    for path in paths:
        found = [path]
        if path.is_dir():
            found = []
            for each in sorted(path.rglob("*.yaml")):
                other = None
                with suppress(FlowError):  # which is told when it is looked over
                    other = other_key(read_file(each).root)
                if other not in ("provider", "channels"):
                    found.append(each)
        if not found:
            raise ConfigError(f"there is no flow in {path}")
        yield from found


def _waiting(store: str) -> dict[tuple[str, str], int]:
    """Return how many open conversations of a store wait in each (flow, state)."""
    from convo.clock import SystemClock
    from convo.store import open_views

    with open_views(store) as views:
        flows = views.overview(SystemClock().now()).flows
    return {(flow.name, state): people for flow in flows for state, people in flow.open.items()}


def _for_github(problems: Iterable[Problem]) -> Iterator[str]:
    """Yield the problems as workflow commands, which GitHub shows beside the lines of a change."""
    kinds = {"error": "error", "warning": "warning", "advice": "notice"}
    for problem in problems:
        data = problem.as_data()
        chat = data.get("chat")
        lines = [problem.message, problem.hint, *(chat if isinstance(chat, Sequence) else ())]
        text = "\n".join(str(line) for line in lines if line)
        where = (
            f"file={_escaped(problem.path, ':,')},line={problem.position.line},col={problem.position.column}"
        )
        yield f"::{kinds[str(problem.severity)]} {where},title={problem.code}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for letter in ("%", "\r", "\n", *more):
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text


def _reserved(name: str) -> frozenset[str]:
    """Return the words that the carriers of a transport take for themselves.

    Raises:
        ConfigError: there is no transport of that name.
    """
    from importlib import import_module
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    from convo.errors import ConfigError
    from convo.transports import GROUP, names

    known = [point.module for point in entry_points(group=GROUP, name=name)]
    if name.isidentifier() and find_spec(f"convo.transports.{name}") is not None:
        known.insert(0, f"convo.transports.{name}")
    for module in known:
        found: set[str] = set()
        for each in vars(import_module(module)).values():
            words = getattr(each, "reserved_words", None)
            if isinstance(each, type) and isinstance(words, frozenset):
                found |= words
        return frozenset(found)
    raise ConfigError(f"there is no transport {name!r}  (transports: {', '.join(names())})")
