"""Every store that there is, each of which has to pass all of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from convo.store import Store, open_store


class Opened(Protocol):
    """A store that can be closed and opened again as after a restart."""

    store: Store
    durable: bool

    def again(self) -> Store:
        """Close it and open it anew."""
        ...


class Memory:
    """The store of this process alone: closing it forgets everything."""

    durable = False

    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store("memory")

    def again(self) -> Store:
        """Keep it: there is nothing to open again."""
        return self.store


class File:
    """The store in one SQLite file."""

    durable = True

    def __init__(self, folder: Path) -> None:
        self.path = folder / "contract.db"
        self.store: Store = open_store(self.path)

    def again(self) -> Store:
        """Close it and open the file anew."""
        self.store.close()
        self.store = open_store(self.path)
        return self.store


class Database:
    """The store in a database of a real PostgreSQL."""

    durable = True

    def __init__(self, url: str) -> None:
        self.url = url
        self.store: Store = open_store(url)

    def again(self) -> Store:
        """Close it and connect anew."""
        self.store.close()
        self.store = open_store(self.url)
        return self.store


KINDS: dict[str, Callable[[Path], Opened]] = {"memory": Memory, "sqlite": File}


@pytest.fixture(params=[*sorted(KINDS), "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """A new store of each kind."""
    if request.param == "postgres":
        made: Opened = Database(request.getfixturevalue("postgres_url"))
    else:
        made = KINDS[request.param](tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def store(opened: Opened) -> Store:
    """A new store of each kind, for what needs no restart."""
    return opened.store
