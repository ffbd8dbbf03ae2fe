"""``convo forget``: one person removed from a store, for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convo.store import Store
    from convo.store.removed import Removed


@click.command("forget")
@click.argument("number")
@click.option("--store", default="convo.db", show_default=True, metavar="PATH", help="The store.")
@click.option("--country", default="AU", show_default=True, help="Where a NUMBER without a prefix belongs.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(number: str, store: str, country: str, form: str) -> int:
    """Remove NUMBER from every table of the store, and every byte of theirs from its files.

    What others wrote loses the number. Counts go on counting the person, and an opt-out is kept as a keyed
    hash, so that they are not texted again. `convo run` may be at work meanwhile. Exit 1 where nothing is
    known. Copies that you made of the store (`convo store backup`) are not touched.
    """
    from convo.cli.show import as_json
    from convo.cli.typed import typed_number
    from convo.clock import SystemClock
    from convo.errors import StoreError
    from convo.messages import mask
    from convo.store import shown

    address = typed_number("NUMBER", number, country.upper())
    with opened(store) as known:
        removed = known.forget(address, SystemClock().now())
        try:
            known.scrub()
        except StoreError as problem:
            raise StoreError(
                f"{mask(address)} is out of every table, but bytes of theirs may stand in the file"
                f" until you do the same again: {problem}"
            ) from None
    if form == "json":
        as_json({"number": mask(address), **as_data(removed), "opt_out_kept": removed.opted_out})
    elif not removed:
        click.echo(f"nothing is known of {address} in {shown(store)}", err=True)
    else:
        click.echo(f"{mask(address)} is forgotten: {told(removed)}")
        if removed.opted_out:
            click.echo("their opt-out is kept as a hash: they are still not texted")
    return 0 if removed else 1


@contextmanager
def opened(store: str) -> Iterator[Store]:
    """Open a store that exists, to remove something from it.

    Raises:
        StoreError: there is no such store, or it cannot be opened.
    """
    from pathlib import Path

    from convo.errors import StoreError
    from convo.store import is_postgres, open_store, open_views

    if store == "memory":
        raise StoreError("a store in memory ends with its process; name a file with --store")
    if not is_postgres(store) and not Path(store).is_file():
        raise StoreError(f"{store}: there is no such store; name one with --store (convo run makes it)")
    if is_postgres(store):
        with open_views(store):
            pass  # there is one: opening it to write would make one
    known = open_store(store)
    try:
        yield known
    finally:
        known.close()


def told(removed: Removed) -> str:
    """Say in words what was removed."""
    from convo.runtime.log import count

    return ", ".join(
        (
            count(removed.conversations, "conversation"),
            count(removed.steps, "step"),
            f"{count(removed.texts, 'text')} received",
            f"{count(removed.outbounds, 'text')} sent or to be sent",
        )
    )


def as_data(removed: Removed) -> dict[str, object]:
    """Return what was removed as plain data."""
    return {
        "conversations": removed.conversations,
        "steps": removed.steps,
        "received": removed.texts,
        "outbound": removed.outbounds,
    }
