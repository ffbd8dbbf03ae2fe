"""A loop in a thread of its own: woken when there is something to do, until the run is to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

from convo.clock import Clock
from convo.errors import ConvoError, StoreError
from convo.runtime.log import origin, seconds
from convo.runtime.policy import backoff

_LONGEST_REST = 2.0
_log = logging.getLogger(__name__)


class Loop(Protocol):
    """A piece of work that is done over and over."""

    def once(self, now: datetime) -> datetime | None:
        """Do the next piece; return when to be called again, None: when woken."""
        ...


class Halt:
    """Whether the run is to stop, and why: the first error that stopped it, None where it was asked to."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.error: Exception | None = None
        self.on_error: Callable[[], None] = lambda: None

    def stop(self, error: Exception | None = None) -> None:
        """Ask everything to stop after the step in hand."""
        with self._lock:
            first = not self._event.is_set()
            if first:
                self.error = error
            self._event.set()
        if first and error is not None:
            self.on_error()

    def asked(self) -> bool:
        """Whether the run is to stop."""
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run is to stop; False where ``timeout`` (seconds) ran out first."""
        return self._event.wait(timeout)


class Worker:
    """Calls one loop until the halt: at once after ``wake``, else when the loop said.

    A store that fails is tried again with growing waits for ``patience``; after that the run stops.
    """

    def __init__(
        self,
        name: str,
        loop: Loop,
        clock: Clock,
        halt: Halt,
        random: Random,
        patience: timedelta,
        on_rest: Callable[[], None],
    ) -> None:
        self.name = name
        self._loop = loop
        self._clock = clock
        self._halt = halt
        self._random = random
        self._patience = patience
        self._on_rest = on_rest
        self._woken = threading.Event()
        self._resting = False
        self._store_failures = 0
        self._failing_since: datetime | None = None
        # Daemon: a call that hangs must not keep a stopped program alive.
        self.thread = threading.Thread(target=self._work, name=f"convo {name}", daemon=True)

    def wake(self) -> None:
        """Have the loop called at once, or again if it is at work now."""
        self._woken.set()

    @property
    def resting(self) -> bool:
        """Whether the loop has done all there was, and nothing has woken it since."""
        return self._resting and not self._woken.is_set()

    @property
    def store_fails(self) -> bool:
        """Whether the last call ended with a failure of the store."""
        return self._store_failures > 0

    def _work(self) -> None:
        try:
            while not self._halt.asked():
                self._resting = False
                self._woken.clear()
                next_at = self._call()
                if self._halt.asked():
                    return
                rest = _LONGEST_REST
                if next_at is not None:
                    rest = min((next_at - self._clock.now()).total_seconds(), _LONGEST_REST)
                    if rest <= 0:
                        continue
                self._resting = self._store_failures == 0
                self._on_rest()
                self._woken.wait(rest)
        except ConvoError as problem:
            self._halt.stop(problem)
        except Exception as problem:
            _log.error("the %s loop broke down: %s", self.name, origin(problem))
            _log.debug("the %s loop broke down", self.name, exc_info=True)
            self._halt.stop(problem)
        finally:
            self._on_rest()

    def _call(self) -> datetime | None:
        now = self._clock.now()
        try:
            next_at = self._loop.once(now)
        except StoreError as problem:
            since = self._failing_since = self._failing_since or now
            self._store_failures += 1
            if self._clock.now() - since >= self._patience:
                raise
            wait = backoff(self._store_failures, self._random, first=timedelta(seconds=0.2))
            _log.error("store (%s loop): %s; next try in %s", self.name, problem, seconds(wait))
            return self._clock.now() + wait
        self._store_failures, self._failing_since = 0, None
        return next_at
