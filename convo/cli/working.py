"""What ``convo worker`` does: configuration, store and the queue of wake-ups, put together until stopped."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from convo.cli.service import FAULT, Signals
from convo.clock import SystemClock
from convo.errors import ConfigError, ConvoError
from convo.runtime.config import read_config
from convo.runtime.log import configure, origin
from convo.runtime.process import Processor
from convo.runtime.together import Others
from convo.runtime.worker import Halt
from convo.store import is_postgres, open_store

_log = logging.getLogger(__name__)


def work(path: Path, written: str | None, at_once: int, log_level: str | None, log: str | None) -> int:
    """Step until a signal comes or it cannot go on; return the exit code.

    Raises:
        ConvoError: why it could not start, or could not go on.
    """
    config = read_config(path, os.environ, accounts=False)
    spec = written or config.store
    if not is_postgres(spec):
        raise ConfigError(
            f"the store {spec} belongs to one process: workers share one in PostgreSQL. Write"
            " 'store: postgresql://…' into the file, or name it with --store"
        )
    configure(log_level or config.log_level or "info", log or config.log)
    clock, halt = SystemClock(), Halt()
    store = open_store(spec)
    # These need the extra, which an open store has.
    from convo.runtime.queue import StepWorker
    from convo.store.postgres import PostgresStore
    from convo.store.postgres_shared import Shared

    assert isinstance(store, PostgresStore)
    shared = Shared(spec)
    try:
        flows = {each.name: each.flows for each in config.channels}
        processor = Processor(store, flows, hearing=Others(shared).heard)
        worker = StepWorker(store, shared, processor, clock, halt, url=spec, at_once=at_once)
        with Signals() as signals:
            try:
                worker.start()
                _log.info("start: %s", ", ".join(flows))
                while not halt.wait(1.0):
                    pass
            except KeyboardInterrupt:
                _log.info("stop: asked to")
            finally:
                signals.ignore()
                worker.stop()
                _log.info("stopped")
    finally:
        shared.close()
        store.close()
    if isinstance(halt.error, ConvoError):
        raise halt.error
    if halt.error is not None:
        click.echo(f"stopped by a fault of convo itself ({origin(halt.error)}); please report it", err=True)
        return FAULT
    return 0
