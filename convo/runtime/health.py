"""How a run is doing, for machines: a file that is written anew every few seconds, and GET /health.

Both say the same: ``status`` is ``ok``, ``bad`` or, in the file after an orderly end, ``stopped``. A file
whose ``at`` is old belongs to a program that has died.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from convo.clock import Clock
from convo.errors import ConfigError
from convo.runtime.channels import ChannelState
from convo.runtime.run import Runtime

EVERY = 5.0
"""Seconds from one writing of the file to the next."""
SILENCE = timedelta(minutes=10)
"""A channel without a good poll for so long, or for three times its own interval, is bad."""

_log = logging.getLogger(__name__)


class Health:
    """Judges a run. It only reads what the loops leave behind, and never asks the store or a provider."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock
        self._started_at = clock.now()

    def summary(self) -> dict[str, object]:
        """Return how things stand, as plain data."""
        now = self._clock.now()
        channels = {state.channel.name: self._channel(state, now) for state in self._runtime.states}
        asked, error = self._runtime.halt.asked(), self._runtime.halt.error
        fine = all(each["status"] == "ok" for each in channels.values())
        status = "ok" if fine and error is None and not self._runtime.stalled else "bad"
        return {
            "status": "stopped" if asked and error is None else status,
            "at": _iso(now),
            "started_at": _iso(self._started_at),
            "pid": os.getpid(),
            "channels": channels,
        }

    def alive(self) -> bool:
        """Whether every loop is at work: if not, only a new start helps."""
        return not self._runtime.stalled and not self._runtime.halt.asked()

    def ready(self) -> bool:
        """Whether texts are answered: each channel has been heard of lately and is refused nowhere."""
        heard = all(state.standby or state.last_good_poll_at is not None for state in self._runtime.states)
        return heard and not self._runtime.store_fails and self.summary()["status"] == "ok"

    def _channel(self, state: ChannelState, now: datetime) -> dict[str, object]:
        refused = [f"{side}: {problem}" for side, problem in list(state.refused.items())]
        silent = now - (state.last_good_poll_at or self._started_at)
        if state.standby:
            silent = timedelta(0)
        bad = bool(refused) or silent > max(SILENCE, 3 * state.channel.every)
        return {
            "status": "bad" if bad else "ok",
            **({"standby": True} if state.standby else {}),
            "last_good_poll_at": _iso(state.last_good_poll_at),
            **({"last_push_at": _iso(state.last_push_at)} if state.channel.pushed else {}),
            "failed_polls": state.failed_polls,
            "reason": "; ".join(refused) or state.trouble,
        }


@contextmanager
def published(health: Health, file: Path | None, port: int | None) -> Iterator[None]:
    """Publish ``health`` for as long as the context lasts.

    Raises:
        ConfigError: the file cannot be written, or the port not be had.
    """
    ended = threading.Event()
    threads: list[threading.Thread] = []
    server = _server(health, port) if port is not None else None
    try:
        if file is not None:
            try:
                write(file, health.summary())
            except OSError as problem:
                why = (problem.strerror or "it cannot be opened").lower()
                raise ConfigError(f"the health file {file} cannot be written: {why}") from None
            target = file
            keep = threading.Thread(
                target=lambda: _keep_writing(health, target, ended), name="convo health", daemon=True
            )
            threads.append(keep)
        if server is not None:
            serving = threading.Thread(target=server.serve_forever, name="convo health http", daemon=True)
            threads.append(serving)
        for thread in threads:
            thread.start()
        yield
    finally:
        ended.set()
        if server is not None:
            if len(threads) and threads[-1].is_alive():
                server.shutdown()
            server.server_close()
        for thread in threads:
            if thread.is_alive():
                thread.join(2.0)
        if file is not None and threads:
            _try_to_write(file, health)


def write(file: Path, summary: dict[str, object]) -> None:
    """Put ``summary`` into ``file``; whoever reads it sees the old content or the new, whole.

    Raises:
        OSError: it could not be written; the old content stands.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _keep_writing(health: Health, file: Path, ended: threading.Event) -> None:
    while not ended.wait(EVERY):
        _try_to_write(file, health)


def _try_to_write(file: Path, health: Health) -> None:
    try:
        write(file, health.summary())
    except OSError as problem:
        # A full disk must not end the run; the file grows old, which is how its reader learns of it.
        _log.warning("the health file could not be written: %s", problem.strerror)


def _server(health: Health, port: int) -> ThreadingHTTPServer:
    class Endpoint(BaseHTTPRequestHandler):
        timeout = 10
        server_version = "convo"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/health":
                self.send_error(404)
                return
            summary = health.summary()
            body = (json.dumps(summary, indent=2) + "\n").encode()
            self.send_response(200 if summary["status"] == "ok" else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: whoever watches asks every few seconds."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of callers that went away."""

    try:
        return Server(("127.0.0.1", port), Endpoint)
    except OSError as problem:
        why = (problem.strerror or "it cannot be had").lower()
        raise ConfigError(f"the health port {port} cannot be opened: {why}") from None


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
