"""The schema of a PostgreSQL store: which version it has, and how it is brought up to date."""

from __future__ import annotations

from psycopg import errors

from convo.errors import StoreError
from convo.store.address import shown
from convo.store.postgres_access import Connection, connect, telling
from convo.store.postgres_queue import install
from convo.store.sqlfiles import migrations

FOLDER = "postgres"


def bring_up(url: str) -> str:
    """Make the store's tables, or bring older ones up to date; return the name of their schema.

    Raises:
        StoreError: the server is out of reach, or the store is newer than this convo.
    """
    with connect(url) as db, telling(url):
        schema = schema_of(db, url)
        if version_of(db) == len(migrations(FOLDER)):
            return schema
        with db.transaction():
            # Processes that start at one moment do it one after the other.
            db.execute("SELECT pg_advisory_xact_lock(hashtext('convo schema ' || current_schema()))")
            version = version_of(db)
            refuse_newer(url, version)
            db.execute("CREATE TABLE IF NOT EXISTS convo_schema (version integer NOT NULL)")
            for script in migrations(FOLDER)[version:]:
                _run(db, url, script)
            install(db)
            db.execute("DELETE FROM convo_schema")
            db.execute("INSERT INTO convo_schema (version) VALUES (%s)", (len(migrations(FOLDER)),))
    return schema


def version_of(db: Connection) -> int:
    """Return the version of the schema, 0 where there is none of ours."""
    # Asked of the catalogue itself: to_regclass may remember that there was none while another made it.
    found = db.execute(
        "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'convo_schema'"
    ).fetchone()
    if found is None:
        return 0
    row = db.execute("SELECT max(version) FROM convo_schema").fetchone()
    return int(row[0] or 0) if row else 0


def refuse_newer(url: str, version: int) -> None:
    """Raise a StoreError where a newer convo wrote the store."""
    known = len(migrations(FOLDER))
    if version > known:
        raise StoreError(
            f"{shown(url)} was written by a newer convo (schema {version}; this one knows {known});"
            " install that version, or name another database with --store"
        )


def schema_of(db: Connection, url: str) -> str:
    """Return the schema in which our tables are, or are to be.

    Raises:
        StoreError: there is none, or the database cannot hold every text.
    """
    found = db.execute("SELECT current_schema(), current_setting('server_encoding')").fetchone()
    schema, encoding = found if found is not None else (None, "")
    if encoding != "UTF8":
        raise StoreError(
            f"{shown(url)} is encoded as {encoding}, which cannot hold every text;"
            " make a database with: createdb -T template0 -E UTF8 NAME"
        )
    if schema is None:
        raise StoreError(
            f"{shown(url)}: the schema of its search_path is not there; make it first: CREATE SCHEMA NAME"
        )
    return str(schema)


def _run(db: Connection, url: str, script: str) -> None:
    try:
        db.execute(script.encode())
    except (errors.DuplicateTable, errors.DuplicateFunction) as wrong:
        raise StoreError(
            f"{shown(url)} holds things of another program ({wrong.diag.message_primary}); give convo a"
            " database of its own, or a schema: CREATE SCHEMA convo, and ?options=-csearch_path%3Dconvo after"
            " the name of the database"
        ) from None
