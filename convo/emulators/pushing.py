"""The side of an emulated provider that calls webhooks, and calls again where it was not heard.

It calls this machine only: an emulator must never reach the world, whatever address it was given.
"""

from __future__ import annotations

import http.client
import logging
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Push:
    """One call to make. ``key`` names what it is about, for whoever looks at what became of it."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    key: str
    method: str = "POST"


class Pusher:
    """Makes calls in a thread, one after the other; what is not answered 2xx is made again later.

    ``retry_after`` is in real seconds; ``tries`` 0 means without end, as the descriptions of Telstra have it.
    """

    def __init__(self, *, retry_after: float = 300.0, tries: int = 0, timeout: float = 10.0) -> None:
        self._retry_after = retry_after
        self._tries = tries
        self._timeout = timeout
        self._queue: queue.SimpleQueue[tuple[Push, int] | None] = queue.SimpleQueue()
        self._changed = threading.Condition()  # guards everything below
        self._answers: list[tuple[str, int]] = []
        self._open = 0
        self._later: dict[int, tuple[threading.Timer, Push, int]] = {}
        self._failed = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to make calls."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="emulator pushes", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Make no more calls; safe to call twice."""
        with self._changed:
            for timer, _, _ in self._later.values():
                timer.cancel()
            self._later.clear()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(self._timeout + 1)
            self._thread = None

    def push(self, push: Push) -> None:
        """Make this call as soon as those before it have been made."""
        with self._changed:
            self._open += 1
        self._queue.put((push, 1))

    def retry_now(self) -> None:
        """Make every call that waits for another try, at once."""
        with self._changed:
            waiting, self._later = list(self._later.values()), {}
            self._open += len(waiting)
        for timer, push, tried in waiting:
            timer.cancel()
            self._queue.put((push, tried + 1))

    def answers(self) -> tuple[tuple[str, int], ...]:
        """Return key and status of every call so far, in order; status 0 where there was no answer."""
        with self._changed:
            return tuple(self._answers)

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait, in real time, until no call is under way; those that wait for another try do not count."""
        with self._changed:
            return self._changed.wait_for(lambda: self._open == 0, seconds)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            push, tried = item
            status = self._call(push)
            with self._changed:
                self._answers.append((push.key, status))
                self._open -= 1
                if not 200 <= status < 300 and (self._tries == 0 or tried < self._tries):
                    self._plan(push, tried)
                self._changed.notify_all()

    def _plan(self, push: Push, tried: int) -> None:
        self._failed += 1
        name = self._failed
        timer = threading.Timer(self._retry_after, self._retry, [name])
        timer.daemon = True
        self._later[name] = (timer, push, tried)
        timer.start()

    def _retry(self, name: int) -> None:
        with self._changed:
            found = self._later.pop(name, None)
            if found is None:
                return
            self._open += 1
        self._queue.put((found[1], found[2] + 1))

    def _call(self, push: Push) -> int:
        try:
            parts = urlsplit(push.url)
            if parts.hostname not in _LOOPBACK:
                _log.warning("an emulator pushes to this machine only; the push was not made")
                return 0
            make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            line = make(parts.hostname or "", parts.port, timeout=self._timeout)
            try:
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                line.request(push.method, target, push.body, dict(push.headers))
                answer = line.getresponse()
                answer.read(65536)
                return answer.status
            finally:
                line.close()
        except (OSError, ValueError, http.client.HTTPException) as problem:
            _log.debug("a push was not answered: %s", type(problem).__name__)
            return 0
