"""The queue of wake-ups, which procrastinate distributes over workers on any number of machines.

A wake-up names a partition; it is deferred in the commit that gives the partition something to step.
Claiming, waking by LISTEN, heartbeats, ticks and the end are procrastinate's. It may misbehave as it likes:
what a wake-up does is a batch behind the fences of its partition and of others in which texts wait, so
running it twice, late, or on two machines at once steps nothing twice and nothing out of order; and each tick
wakes what waits.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Protocol

from convo.clock import Clock
from convo.errors import ConvoError, StoreError
from convo.runtime.log import origin, seconds
from convo.runtime.policy import backoff
from convo.runtime.process import Processor
from convo.runtime.worker import Halt
from convo.store.postgres_queue import QUEUE, TASK

if TYPE_CHECKING:
    from procrastinate import App
    from procrastinate.worker import Worker as Engine
    from psycopg import AsyncConnection

    from convo.store.postgres import PostgresStore

HEARTBEAT = timedelta(seconds=1.5)
STALLED = timedelta(seconds=6)
"""Whose heartbeat is older is taken for dead, and what it had in hand is woken again; wrongly, at no harm."""

LOOK = timedelta(seconds=0.25)
"""How long a wake-up may wait that nobody was told of: procrastinate can miss a notice while it claims."""

TICK = "convo.tick"
_EVERY_SECOND = "* * * * * *"
_GRACE = timedelta(seconds=1.2)
_LONGEST_AWAY = timedelta(seconds=5)

_log = logging.getLogger(__name__)


class Waking(Protocol):
    """Puts wake-ups into the queue."""

    def wake(self, partitions: Sequence[int]) -> None:
        """Have partitions stepped by whoever is free."""
        ...


class StepWorker:
    """Steps what wake-ups name until the halt. ``at_once`` is how many it has in hand at one moment.

    ``url`` is the store's. A database that is away for longer than ``patience`` ends it.
    """

    def __init__(
        self,
        store: PostgresStore,
        waking: Waking,
        processor: Processor,
        clock: Clock,
        halt: Halt,
        *,
        url: str,
        at_once: int = 1,
        patience: timedelta = timedelta(minutes=10),
        random: Random | None = None,
    ) -> None:
        self._store = store
        self._waking = waking
        self._processor = processor
        self._clock = clock
        self._halt = halt
        self._url = url
        self._at_once = at_once
        self._patience = patience
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._engine: Engine | None = None
        self._thread = threading.Thread(target=self._work, name="convo queue", daemon=True)

    def start(self) -> None:
        """Begin to step."""
        self._thread.start()

    def stop(self, grace: timedelta = _GRACE) -> None:
        """Finish the batches in hand, at most ``grace``; what is left of their partitions is woken again."""
        self._halt.stop()
        engine = self._engine
        if engine is not None:
            engine.stop()  # type: ignore[no-untyped-call]
        if self._thread.is_alive():
            self._thread.join(grace.total_seconds())

    # -- what is run ------------------------------------------------------------------------------

    def step(self, partition: int) -> None:
        """Step a partition, and others in which texts wait; what fails is woken again by the next tick.

        What somebody else steps just now is left to them, because they look once more when they have done.
        """
        try:
            now = self._clock.now()
            wanted = self._store.take(partition, now)
            if not wanted:
                return
            if self._halt.asked():
                self._waking.wake(wanted)
                return
            with self._store.fenced_free(*wanted) as fence:
                done = self._processor.batch(fence, now) if fence is not None else None
            if fence is not None and done is not None and done.stepped:
                self._waking.wake(self._store.busy(self._clock.now(), fence.partitions))
        except ConvoError as problem:
            _log.error("the senders of partition %s wait: %s", partition, problem)
        except Exception as problem:
            _log.error("the senders of partition %s wait: %s", partition, origin(problem))
            _log.debug("a step broke down", exc_info=True)

    def wake_busy(self) -> None:
        """Wake every partition in which something waits: due timers, and what no wake-up was left for."""
        try:
            self._waking.wake(self._store.busy(self._clock.now()))
        except StoreError as problem:
            _log.error("due timers wait: %s", problem)

    # -- procrastinate ----------------------------------------------------------------------------

    def _app(self) -> App:
        from procrastinate import App, PsycopgConnector
        from psycopg_pool import AsyncConnectionPool

        from convo.store.postgres_access import whole

        connector = PsycopgConnector(
            conninfo=whole(self._url),
            configure=_soon_enough,
            # Not asked before each use whether it lives: where it does not, all is made anew.
            pool_factory=lambda **given: AsyncConnectionPool(**{**given, "check": None}),
            min_size=1,
            max_size=self._at_once + 3,
            timeout=5.0,
        )
        app = App(connector=connector)

        @app.task(name=TASK, queue=QUEUE)
        def process(partition: int) -> None:
            self.step(partition)

        @app.periodic(cron=_EVERY_SECOND)
        @app.task(name=TICK, queue=QUEUE, queueing_lock=f"{QUEUE} tick", priority=1)
        async def tick(timestamp: int) -> None:  # noqa: ARG001 - procrastinate's own signature
            # Without a lock: the tick of a worker that was killed must not hold up those of the others.
            await asyncio.to_thread(self.wake_busy)
            await rescue(app, self._waking)

        return app

    async def _run(self) -> None:
        from procrastinate.worker import Worker as Engine

        app = self._app()
        async with app.open_async():
            self._engine = Engine(
                app,
                queues=[QUEUE],
                name="convo",
                concurrency=self._at_once,
                install_signal_handlers=False,
                delete_jobs="always",
                fetch_job_polling_interval=LOOK.total_seconds(),
                update_heartbeat_interval=HEARTBEAT.total_seconds(),
                stalled_worker_timeout=STALLED.total_seconds(),
                shutdown_graceful_timeout=_GRACE.total_seconds(),
            )
            try:
                if not self._halt.asked():
                    await self._engine.run()  # type: ignore[no-untyped-call]
            finally:
                self._engine = None

    def _work(self) -> None:
        """Run procrastinate's worker, and again where it gave up because the database went away."""
        quiet_library()
        failures, failing_since = 0, None
        while not self._halt.asked():
            began_at = self._clock.now()
            why = "it stopped by itself"
            try:
                asyncio.run(self._run())
            except Exception as problem:
                why = origin(problem)
                _log.debug("the queue broke down", exc_info=True)
            if self._halt.asked():
                return
            now = self._clock.now()
            if now - began_at > _LONGEST_AWAY * 2:
                failures, failing_since = 0, None
            failing_since = failing_since or now
            failures += 1
            if now - failing_since >= self._patience:
                self._halt.stop(StoreError(f"the queue of wake-ups cannot be read: {why}"))
                return
            wait = backoff(failures, self._random, first=timedelta(seconds=0.2), longest=_LONGEST_AWAY)
            _log.error("the queue of wake-ups is away (%s); next try in %s", why, seconds(wait))
            self._halt.wait(wait.total_seconds())


async def _soon_enough(connection: AsyncConnection) -> None:
    """Let procrastinate's own commits not wait for the disk: a server that crashes repeats wake-ups, no more.

    The commit that puts a wake-up into the queue is that of the inbox, which does wait.
    """
    await connection.set_autocommit(True)
    await connection.execute("SET synchronous_commit = off")


async def rescue(app: App, waking: Waking) -> int:
    """Finish the wake-ups of workers that are dead, or seem so, and wake their partitions anew.

    Safe to do twice, and at the same time: a wake-up that has been finished meanwhile is left alone. (To put
    one back in place would break procrastinate's rule of one that waits a partition.) Returns how many.
    """
    from procrastinate.exceptions import ConnectorException
    from procrastinate.jobs import Status

    stalled = await app.job_manager.get_stalled_jobs(
        queue=QUEUE, seconds_since_heartbeat=STALLED.total_seconds()
    )
    rescued = 0
    for job in stalled:
        if job.id is None:
            continue
        try:
            await app.job_manager.finish_job_by_id_async(job.id, Status.FAILED, delete_job=True)
        except ConnectorException:
            continue
        rescued += 1
        partition = job.task_kwargs.get("partition")
        if job.task_name == TASK and isinstance(partition, int):
            await asyncio.to_thread(waking.wake, [partition])
    if rescued:
        _log.warning("%s of a worker that is gone: woken again", rescued)
    return rescued


def quiet_library() -> None:
    """Keep procrastinate's own words, which are many, to whoever debugs."""
    logger = logging.getLogger("procrastinate")
    if not _log.isEnabledFor(logging.DEBUG):
        logger.setLevel(logging.CRITICAL + 1)
