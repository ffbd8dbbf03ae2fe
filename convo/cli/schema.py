"""``convo schema``: what editors need to know of flow files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

SCHEMA = Path(".vscode") / "convo.schema.json"
SETTINGS = Path(".vscode") / "settings.json"

_FLOW = re.compile(rb"^(flow|tests|translates):", re.MULTILINE)
_SKIPPED = frozenset({".git", ".venv", "venv", "node_modules", "site-packages", "__pycache__"})


@click.command("schema")
@click.argument("kind", type=click.Choice(["flow", "words", "tests", "all"]), default="all")
@click.option(
    "--install",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Set up Visual Studio Code in this folder instead of printing.",
)
def command(kind: str, folder: Path | None) -> int:
    """Print a JSON Schema; a YAML language server completes, explains and checks with it.

    It is for flows, for their words in another language, for tests, or, without KIND, for all of them in
    one: the file's first keys say which it is. For any editor with a YAML language server, a file may
    name it in its first line: # yaml-language-server: $schema=PATH
    """
    from convo.analysis.schemas import schema_text

    if folder is None:
        click.echo(schema_text(kind), nl=False)
        return 0
    for line in _install(folder, schema_text(kind)):
        click.echo(line)
    return 0


def _install(folder: Path, schema: str) -> Iterator[str]:
    """Write the schema and name it in the editor's settings, whose other entries stay."""
    from convo.errors import ConfigError

    path, settings = folder / SCHEMA, folder / SETTINGS
    globs = _globs(folder)
    wanted = {f"./{SCHEMA.as_posix()}": globs}
    by_hand = f'add to it by hand: "yaml.schemas": {json.dumps(wanted)}'
    try:
        known = json.loads(settings.read_text(encoding="utf-8")) if settings.exists() else {}
    except (OSError, ValueError):
        raise ConfigError(f"{settings} cannot be read as plain JSON; {by_hand}") from None
    schemas = known.get("yaml.schemas", {}) if isinstance(known, dict) else None
    if not isinstance(schemas, dict):
        raise ConfigError(f"{settings} has other things where 'yaml.schemas' belongs; {by_hand}")
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(schema, encoding="utf-8")
        after = {**known, "yaml.schemas": {**schemas, **wanted}}
        settings.write_text(json.dumps(after, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as problem:
        raise ConfigError(f"{path.parent} cannot be written: {problem.strerror}") from None
    yield f"wrote {path}, and named it in {settings} for {', '.join(globs)}"
    yield "the extension 'YAML' by Red Hat completes, explains and checks with it"


def _globs(folder: Path) -> list[str]:
    """Return patterns for the folders below that hold flows."""
    found = set()
    for path in sorted(folder.rglob("*.yaml")):
        inside = path.relative_to(folder)
        if _SKIPPED.isdisjoint(inside.parts) and not any(part.startswith(".") for part in inside.parts):
            with suppress(OSError), path.open("rb") as file:
                if _FLOW.search(file.read(4096)):
                    found.add((inside.parent / "*.yaml").as_posix())
    return sorted(found) or ["flows/*.yaml"]
