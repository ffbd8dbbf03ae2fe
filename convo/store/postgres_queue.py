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
WITH woken AS (
    INSERT INTO procrastinate_jobs AS job (queue_name, task_name, queueing_lock, args)
    SELECT %(queue)s, %(task)s, 'convo ' || p, jsonb_build_object('partition', p)
    FROM unnest(%(partitions)s::int[]) AS p ORDER BY p
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO UPDATE SET priority = job.priority
    RETURNING job.id)
SELECT pg_notify('procrastinate_queue_v1#' || %(queue)s, '{"type": "job_inserted", "job_id": 0}')
FROM (SELECT count(*) FROM woken) AS all_of_them
"""
# Without procrastinate's lock: the wake-up of a worker that died must not hold up those that come after it.
# A wake-up that waits already is locked until our commit, so that nobody takes it, finds nothing yet and
# leaves what we are about to commit without one. Whoever skipped it meanwhile is told of it at the commit.

OTHERS = 15
"""So many partitions at most are stepped beside the one that a wake-up names: others may be at work, too."""

_TAKE = """
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
found AS (
    SELECT i.partition, i.id FROM inbox i
    WHERE i.status = 'waiting' AND NOT EXISTS (SELECT 1 FROM calls k
        WHERE k.channel = i.channel AND k.sender = i.sender AND k.status != 'done' OFFSET 0)
    LIMIT 256),
wanted AS MATERIALIZED (
    SELECT %(own)s::int AS p FROM quick
    UNION
    (SELECT partition FROM found GROUP BY partition ORDER BY min(id) LIMIT %(others)s)),
done AS (
    DELETE FROM procrastinate_jobs WHERE id IN (
        SELECT id FROM procrastinate_jobs
        WHERE status = 'todo' AND queueing_lock IN (SELECT 'convo ' || p FROM wanted)
        FOR UPDATE SKIP LOCKED))
SELECT p, p IN (SELECT partition FROM found) FROM wanted ORDER BY p
"""
# Texts in whatever order: to find the oldest of a backlog reads all of it where the statistics are stale.


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


def take(connection: Connection, own: int) -> dict[int, bool]:
    """Return a partition and some others in which texts wait, and of each whether they do.

    Their wake-ups are ended. One on which a transaction relies that is not committed yet stays: what that
    brings cannot be seen yet.
    """
    found = connection.execute(_TAKE, {"own": own, "others": OTHERS})
    return dict(found.fetchall())
