"""``convo translate``: keep the words of another language beside a flow."""

from __future__ import annotations

import re
from pathlib import Path

import click

from convo.errors import ConfigError
from convo.flow.parse import languages_of, load_flow, texts_to_translate
from convo.flow.problems import FlowError
from convo.flow.reader import MapNode, Scalar, read_text
from convo.flow.settings import LANGUAGE
from convo.flow.twins import fingerprint, leaves

MARK = "# Still to translate; write the texts in their places above and run the command again:"
"""The line below which the command writes what is missing."""

_FINGERPRINTS = re.compile(r"^translated:(?: *\n(?:[ ]+.*\n?)*| .*\n?)", re.MULTILINE)


@click.command("translate")
@click.argument("flow", type=click.Path(path_type=Path))
@click.argument("language")
@click.option("--done", is_flag=True, help="Texts that changed have been looked at: call them up to date.")
def command(flow: Path, language: str, done: bool) -> None:
    """Write NAME.LANGUAGE.yaml beside FLOW, or bring it up to date.

    What you have translated stays as it is. Below it stand, as comments, the texts that are missing;
    beside each translation a fingerprint of the text that it translates is kept, so that `convo check`
    can say when that one has changed.
    """
    if not re.fullmatch(LANGUAGE, language):
        raise ConfigError(f"'{language}' is not the code of a language; for example: es")
    texts = texts_to_translate(flow)
    base, listed = languages_of(flow)
    if language == base:
        raise ConfigError(f"{flow} is in '{language}' itself; name another language")
    name = re.search(r"^flow:\s*(\S+)", flow.read_text(encoding="utf-8"), re.MULTILINE)
    path = flow.with_name(f"{flow.stem}.{language}.yaml")
    if path.exists():
        written = path.read_text(encoding="utf-8")
    else:
        written = f"translates: {name[1] if name else flow.stem}\nlanguage: {language}\n"
    kept = written.partition(MARK)[0]
    root = read_text(written, str(path)).root
    known = _fingerprints(root)
    there = {where for where, _ in leaves(root)} if isinstance(root, MapNode) else set()
    in_order = {where[:-1] for where in there if len(where) == 4 and where[2:] == ("choices", "0")}
    there |= {where for where in texts if where[:-1] in in_order}
    marks, stale = [], []
    for where, text in texts.items():
        if where in there:
            key, now = "/".join(where), fingerprint(text)
            mark = now if done else known.get(key, now)
            stale += [key] if mark != now else []
            marks.append(f"  {_quoted(key)}: {mark}")
    missing = {where: text for where, text in texts.items() if where not in there}
    kept = _FINGERPRINTS.sub("", kept).rstrip() + "\n"
    if marks:
        kept += "\ntranslated:\n" + "\n".join(marks) + "\n"
    if missing:
        kept += "\n" + MARK + "\n" + "\n".join(_outline(missing)) + "\n"
    path.write_text(kept, encoding="utf-8")
    click.echo(f"{path}: {len(marks)} translated, {len(missing)} missing, {len(stale)} to look at again")
    for key in stale:
        click.echo(f"  {key} has changed")
    if language not in listed:
        click.echo(f"{flow} does not list it yet; write there: languages: [{', '.join((*listed, language))}]")
    _check(flow)


def _check(flow: Path) -> None:
    """Say what is wrong with the words, as far as the flow can be read with them."""
    try:
        load_flow(flow)
    except FlowError as wrong:
        click.echo(str(wrong), err=True)


def _fingerprints(root: object) -> dict[str, str]:
    marks = root.get(Scalar("translated")) if isinstance(root, MapNode) else None
    return {str(key): str(value) for key, value in marks.items()} if isinstance(marks, MapNode) else {}


def _outline(missing: dict[tuple[str, ...], Scalar]) -> list[str]:
    """Return the missing texts as commented lines, in the shape in which they are written."""
    lines: list[str] = []
    last: tuple[str, ...] = ()
    for where, text in missing.items():
        shared = next((i for i, (a, b) in enumerate(zip(where, last, strict=False)) if a != b), len(last))
        for depth in range(min(shared, len(where) - 1), len(where) - 1):
            lines.append(f"# {'  ' * depth}{_quoted(where[depth])}:")
        shown = " ".join(text.split())
        lead = "-" if where[-1].isdigit() else f"{_quoted(where[-1])}:"
        lines.append(f"# {'  ' * (len(where) - 1)}{lead} {shown}")
        last = where
    return lines


def _quoted(key: str) -> str:
    return key if re.fullmatch(r"[\w/ ]+", key) else "'" + key.replace("'", "''") + "'"
