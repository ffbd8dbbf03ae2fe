"""``convo store``: is the memory sound, and a copy of it while it is in use."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.store.ledger import Breach

_STORE = click.option(
    "--store", default="convo.db", show_default=True, metavar="PATH", help="The store to look at."
)
_FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group("store")
def command() -> None:
    """Look after the store: check it, copy it, remove what is old."""


@command.command("check")
@_STORE
@_FORMAT
def check(store: str, form: str) -> int:
    """Check the file and the invariants across its tables. Exit 3 where anything is broken.

    It only reads, also while `convo run` works on the store.
    """
    return _look(store, form, examples=0)


@command.command("audit")
@_STORE
@_FORMAT
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Rows shown of each broken invariant.",
)
def audit(store: str, form: str, rows: int) -> int:
    """Check as `check` does, and name the rows that break an invariant."""
    return _look(store, form, examples=rows)


@command.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@_STORE
def backup(file: Path, store: str) -> None:
    """Write a whole copy of the store to FILE, which must be new; `convo run` may go on meanwhile."""
    import os

    from convo.errors import ConfigError, StoreError
    from convo.store import is_postgres
    from convo.store.sqlite_views import open_views

    if is_postgres(store):
        raise ConfigError(
            "a database is backed up by its own tools (pg_dump), or copied: convo store copy FROM TO"
        )
    with open_views(store) as views:
        try:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            raise StoreError(f"{file} is there already; name a new file") from None
        except OSError as wrong:
            raise StoreError(f"{file}: {(wrong.strerror or str(wrong)).lower()}") from None
        try:
            views.copy_to(file)
            with open_views(str(file)) as copy:
                damage = copy.check()
                if damage:
                    raise StoreError(f"{file}: the copy is damaged; is the store? See: convo store check")
        except BaseException:
            file.unlink(missing_ok=True)
            raise
    click.echo(f"{file}: {file.stat().st_size} bytes, checked")


@command.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@_FORMAT
def copy(source: str, target: str, form: str) -> None:
    """Copy a whole store into one that is new or empty: SQLite to PostgreSQL, back, or to the same kind.

    Every id, cursor, timer and consent goes along, so that the next run goes on there. Stop whatever works
    on FROM first: what it wrote later would be missing.
    """
    from convo.cli.show import as_json
    from convo.store import shown
    from convo.store.copying import copy_store

    counts = copy_store(source, target)
    if form == "json":
        as_json({"from": shown(source), "to": shown(target), "rows": dict(counts)})
        return
    for table, rows in counts.items():
        if rows:
            click.echo(f"{table:<14}{rows:>9}")
    click.echo(f"copied     {sum(counts.values())} rows into {shown(target)}")


@command.command("migrate")
@click.argument("store", metavar="STORE", default="convo.db")
def migrate(store: str) -> None:
    """Make the tables of STORE, or bring those of an older convo up to date, before anything runs on it.

    `convo run` does the same by itself. Stop every convo that works on the store first.
    """
    from convo.store import open_store, shown

    with closing(open_store(store)) as opened:
        click.echo(f"{shown(store)} has schema {opened.views.schema()}")


@command.command("prune")
@_STORE
@click.option("--keep", required=True, metavar="DURATION", help="What is older is removed: 90d, 26w.")
@_FORMAT
def prune(store: str, keep: str, form: str) -> None:
    """Remove conversations in which nothing has happened for so long, with all that belongs to them.

    Texts received go with them; counts and the consent ledger stay. `keep: 90d` in convo.yaml has a run do
    this once a day; here every removed byte leaves the files, too. `convo run` may be at work meanwhile.
    """
    from convo.cli.forget import as_data, opened, told
    from convo.cli.show import as_json
    from convo.clock import SystemClock
    from convo.errors import ConfigError
    from convo.flow.values import parse_duration
    from convo.runtime.config_values import LONGEST_KEEP, SHORTEST_KEEP
    from convo.runtime.retention import prune_all

    duration = parse_duration(keep)
    if duration is None or not SHORTEST_KEEP <= duration <= LONGEST_KEEP:
        raise ConfigError(f"--keep: {keep!r} is no such duration; write 90d, 26w or 365d (1d to 3650d)")
    with opened(store) as known:
        removed = prune_all(known, duration, SystemClock().now())
        known.scrub()
    if form == "json":
        as_json(as_data(removed))
    else:
        click.echo(f"removed: {told(removed)}")


def _look(store: str, form: str, examples: int) -> int:
    from convo.cli.show import as_json
    from convo.clock import SystemClock
    from convo.errors import StoreError
    from convo.store import open_views, shown

    with open_views(store) as views:
        damage = views.check()
        schema = views.schema()
        # The tables of a damaged file tell nothing that could be trusted.
        breaches = [] if damage else views.audit(SystemClock().now(), examples)
    broken = sum(breach.rows > 0 for breach in breaches)
    if form == "json":
        as_json(
            {
                "store": shown(store),
                "schema": schema,
                "sound": not damage and not broken,
                "damage": damage,
                "invariants": [_as_data(breach, examples > 0) for breach in breaches],
            }
        )
    else:
        click.echo(f"schema     {schema}")
        click.echo(f"integrity  {'ok' if not damage else 'DAMAGED'}")
        for line in damage:
            click.echo(f"           {line}")
        for breach in breaches:
            click.echo(f"{'ok    ' if not breach.rows else 'BROKEN'}     {breach.invariant.name}")
            if breach.rows:
                click.echo(f"           {breach.invariant.sentence}  Broken by: {breach.rows}")
                for each in breach.examples:
                    click.echo(f"           - {each}")
                if 0 < len(breach.examples) < breach.rows:
                    click.echo(f"           - and {breach.rows - len(breach.examples)} more")
    return StoreError.exit_code if damage or broken else 0


def _as_data(breach: Breach, with_rows: bool) -> dict[str, object]:
    data: dict[str, object] = {
        "name": breach.invariant.name,
        "sentence": breach.invariant.sentence,
        "broken": breach.rows,
    }
    if with_rows:
        data["rows"] = [str(each) for each in breach.examples]
    return data
