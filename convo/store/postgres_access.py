"""A PostgreSQL connection as the store uses it: statements, texts of any kind, failures in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

import psycopg
from psycopg._cursor_base import BaseCursor
from psycopg.adapt import Buffer
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import BaseRowFactory, RowMaker
from psycopg.types.array import ListBinaryDumper
from psycopg.types.string import StrBinaryDumper, StrDumper
from psycopg_pool import PoolTimeout

from convo.errors import ConfigError, StoreError
from convo.store.address import shown
from convo.store.base import partition_of
from convo.store.rows import stored
from convo.store.sqlfiles import statements

Connection = psycopg.Connection[Any]

CONNECT_SECONDS = 5
"""How long a server may take to accept a connection before it counts as out of reach."""

_SILENCE = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Parameters by which we notice within 20 seconds that the network is gone."""

# -- texts ----------------------------------------------------------------------------------------------

_ESCAPE = "\ufdd0"  # a noncharacter: no text has it by chance, and where one does it is spelled, too
_SPELLED = re.compile("[\x00\ud800-\udfff\ufdd0]")
_SPELLING = re.compile(f"{_ESCAPE}([0-9a-f]{{4}})")


def spelled(text: str) -> str:
    """Return a text as PostgreSQL can hold it, which refuses NUL and halves of surrogate pairs."""
    if (text.isascii() and "\0" not in text) or _SPELLED.search(text) is None:
        return text
    return _SPELLED.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", text)


def unspelled(text: str) -> str:
    """Return the text that ``spelled`` wrote."""
    return _SPELLING.sub(lambda found: chr(int(found[1], 16)), text)


class _TextDumper(StrDumper):
    """Every text on its way to the server, in the form that a copy needs."""

    def dump(self, obj: str) -> Buffer | None:
        """Return the bytes of the text."""
        return super().dump(spelled(obj))


class _BinaryTextDumper(StrBinaryDumper):
    """Every text on its way to the server."""

    def dump(self, obj: str) -> Buffer | None:
        """Return the bytes of the text."""
        return super().dump(spelled(obj))


def _named(cursor: BaseCursor[Any, Any]) -> RowMaker[dict[str, Any]]:
    """Make rows dicts, with every text as it was."""
    names = [each.name for each in cursor.description or ()]

    def row(values: Sequence[Any]) -> dict[str, Any]:
        return {
            name: unspelled(value) if type(value) is str and _ESCAPE in value else value
            for name, value in zip(names, values, strict=True)
        }

    return row


_ROWS: BaseRowFactory[dict[str, Any]] = _named

# -- statements -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Statement:
    """A statement with PostgreSQL's placeholders.

    ``of_partition``: the last one is the partition of a person; ``within``: it is those of the fence.
    """

    text: str
    of_partition: bool
    within: bool


STORE = ("statements.sql", "privacy.sql", "postgres/statements.sql")
VIEWS = ("views.sql", "postgres/views.sql")


@cache
def _statement(files: tuple[str, ...], name: str, fenced: bool) -> _Statement:
    """Return a statement, with its lines for a fence where it is run within one."""
    text = statements(*files)[name]
    return _translated(text.replace("-- fenced: ", "") if fenced else text)


def _translated(text: str) -> _Statement:
    """Return a statement in the placeholders of PostgreSQL."""
    text = re.sub(r"--.*", "", text)
    count = 0

    def numbered(found: re.Match[str]) -> str:
        nonlocal count
        count = max(count, int(found[1])) if found[1] else count + 1
        return f"${found[1] or count}"

    text = re.sub(r"\?(\d*)", numbered, text)
    of_partition, within = ":partition" in text, ":within" in text
    text = text.replace(":partition", f"${count + 1}").replace(":within", f"${count + 1}::int[]")
    return _Statement(text, of_partition, within)


def ask(
    connection: Connection,
    name: str,
    values: Sequence[Any] = (),
    fence: Sequence[int] | None = None,
    files: tuple[str, ...] = STORE,
) -> list[dict[str, Any]]:
    """Run a named statement, and return what it found."""
    cursor = tell(connection, name, values, fence, files)
    return cursor.fetchall() if cursor.description is not None else []


def tell(
    connection: Connection,
    name: str,
    values: Sequence[Any] = (),
    fence: Sequence[int] | None = None,
    files: tuple[str, ...] = STORE,
) -> psycopg.Cursor[dict[str, Any]]:
    """Run a named statement. ``:partition`` is that of the first two values, ``:within`` is ``fence``."""
    statement = _statement(files, name, fence is not None)
    bound = [stored(each) for each in values]
    if statement.of_partition:
        bound.append(partition_of(values[0], values[1]))
    if statement.within:
        bound.append(list(fence or ()))
    cursor = psycopg.RawCursor(connection, row_factory=_ROWS)
    return cursor.execute(statement.text.encode(), bound)


def tell_all(
    connection: Connection, name: str, rows: Sequence[Sequence[Any]], *, people: bool = False
) -> psycopg.Cursor[dict[str, Any]]:
    """Run a named statement once for all rows, a column each; ``people``: the last one is their partition."""
    columns: list[list[Any]] = [[stored(each) for each in column] for column in zip(*rows, strict=True)]
    if people:
        columns.append([partition_of(row[0], row[1]) for row in rows])
    cursor = psycopg.RawCursor(connection, row_factory=_ROWS)
    return cursor.execute(_statement(STORE, name, False).text.encode(), columns)


def query(connection: Connection, text: str, named: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """Run a query of the ledger, which names its parameters, and return its rows as tuples."""
    used = [name for name in named if f":{name}" in text]
    for number, name in enumerate(used, 1):
        text = text.replace(f":{name}", f"${number}")
    rows = psycopg.RawCursor(connection, row_factory=_ROWS).execute(
        text.encode(), [named[name] for name in used]
    )
    return [tuple(row.values()) for row in rows]


_SESSION = b"""
SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),
    set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '4', false), set_config('tcp_user_timeout', '30000', false),
    set_config('lock_timeout', '60s', false), set_config('idle_in_transaction_session_timeout', '60s', false)
"""
# What was committed survives, whatever the server does by default; and who has fallen silent with a lock in
# hand, or the network of theirs, is dropped, so that the others go on.


# -- connecting -----------------------------------------------------------------------------------------


def whole(url: str) -> str:
    """Return the address with what every connection of ours has.

    Raises:
        ConfigError: it is no address of a database.
    """
    try:
        given = conninfo_to_dict(url)
        mine: dict[str, Any] = {
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "convo",
            **_SILENCE,
        }
        return make_conninfo(url, **{name: mine[name] for name in mine if name not in given})
    except psycopg.Error as wrong:
        raise ConfigError(
            f"{shown(url)} is no address of a database ({str(wrong).strip()});"
            " write postgresql://USER@HOST/DATABASE"
        ) from None


def prepare(connection: Connection) -> None:
    """Make a new connection one of ours: texts of any kind, each statement its own transaction."""
    connection.autocommit = True
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    connection.adapters.register_dumper(str, _TextDumper)
    connection.adapters.register_dumper(str, _BinaryTextDumper)
    # As text, every quote in the JSON of a column would be escaped one by one: a third of a commit's work.
    connection.adapters.register_dumper(list, ListBinaryDumper)
    connection.execute(_SESSION)


def connect(url: str) -> Connection:
    """Open one connection.

    Raises:
        StoreError: the server is out of reach, or refuses us.
    """
    with telling(url):
        connection = psycopg.connect(whole(url), autocommit=True)
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
    return connection


# -- failures -------------------------------------------------------------------------------------------


@contextmanager
def telling(url: str, on_lost: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Turn what PostgreSQL says into what the operator can do; ``on_lost``: a connection was lost."""
    try:
        yield
    except (psycopg.Error, PoolTimeout) as wrong:
        if isinstance(wrong, psycopg.OperationalError | psycopg.InterfaceError):
            on_lost()
        _raise_told(url, wrong)


def _raise_told(url: str, wrong: Exception) -> NoReturn:
    # What the server says in detail may hold numbers and texts of people: no cause is kept.
    raise StoreError(f"{shown(url)}: {told(wrong)}") from None


_TOLD: tuple[tuple[str, str], ...] = (
    ("28", "the server refuses the user or the password; both are part of the address of the store"),
    ("3D000", "there is no such database; make it first: createdb NAME"),
    ("42501", "the user may not do that; convo must own its tables (see docs/operating.md)"),
    ("53100", "the disk of the server is full; nothing that was read is lost"),
    ("53300", "the server has no connection left for us; raise max_connections, or run fewer workers"),
    ("53", "the server is short of something; nothing that was read is lost"),
    ("25006", "the server only reads (a standby, or set so); name the primary"),
    ("57P", "the server is shutting down or starting; it is tried again"),
    ("40", "another transaction was in the way; it is tried again"),
    ("42P01", "a table of convo's is missing; was something removed by hand?"),
)


def told(wrong: Exception) -> str:
    """Return what the operator can do about it, else what the server says, without the data in it."""
    state = getattr(wrong, "sqlstate", None) or ""
    said = str(wrong).strip()
    if not state:
        # A connection that could not be made has no code, only libpq's words.
        for words, code in (
            ("password authentication failed", "28"),
            ("no password supplied", "28"),
            ("no pg_hba.conf entry", "28"),
            ('role "', "28"),
            ("the database system is", "57P"),
            ("too many clients", "53300"),
            ("remaining connection slots", "53300"),
        ):
            if words in said:
                state = code
        if "does not exist" in said and 'database "' in said:
            state = "3D000"
        if "fe_sendauth" in said:
            state = "28"
    for code, text in _TOLD:
        if state.startswith(code):
            return text
    if isinstance(wrong, psycopg.OperationalError | PoolTimeout) and not state:
        return "the server cannot be reached; is it running, and is the address right? It is tried again"
    if isinstance(wrong, psycopg.Error) and wrong.diag.message_primary:
        return wrong.diag.message_primary
    return said.partition("\n")[0]
