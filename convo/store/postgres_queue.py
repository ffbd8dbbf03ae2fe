"""What the queue of wake-ups needs of the database: its tables, and a wake-up in the commit that wants one.

procrastinate claims and runs the wake-ups (``convo/runtime/queue.py``); here stands what has to happen in our
own transactions. Nothing of procrastinate is imported for that.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources

from convo.errors import ConfigError
from convo.store.postgres_access import Connection

QUEUE = "convo"
TASK = "convo.process"

_WAKE = """
INSERT INTO procrastinate_jobs AS job (queue_name, task_name, lock, queueing_lock, args)
SELECT %(queue)s, %(task)s, 'convo ' || p, 'convo ' || p, jsonb_build_object('partition', p)
FROM unnest(%(partitions)s::int[]) AS p ORDER BY p
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO UPDATE SET priority = job.priority
"""
# A wake-up that waits already is locked until our commit, so that nobody takes it, finds nothing yet and
# leaves what we are about to commit without one. Whoever skipped it meanwhile is told of it at the commit.

_TELL = """
SELECT pg_notify('procrastinate_queue_v1#' || %s, '{"type": "job_inserted", "job_id": 0}')
"""


def install(connection: Connection) -> None:
    """Make procrastinate's tables in the connection's schema, where they are not there yet.

    Raises:
        ConfigError: the extra is missing.
    """
    (there,) = connection.execute("SELECT to_regclass('procrastinate_jobs') IS NOT NULL").fetchone() or (0,)
    if there:
        return
    try:
        schema = resources.files("procrastinate.sql").joinpath("schema.sql").read_text(encoding="utf-8")
    except ModuleNotFoundError as missing:
        raise ConfigError(
            "a store in PostgreSQL needs the extra 'postgres': pip install 'convo[postgres]'"
        ) from missing
    connection.execute(schema.encode())


def wake(connection: Connection, partitions: Iterable[int]) -> None:
    """Have these partitions stepped once the transaction in hand is committed; one wake-up each waits."""
    wanted = sorted(set(partitions))
    if wanted:
        connection.execute(_WAKE, {"queue": QUEUE, "task": TASK, "partitions": wanted})
        connection.execute(_TELL, (QUEUE,))
