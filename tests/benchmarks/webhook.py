"""From a call of a webhook to the commit in the inbox, against a bare endpoint that writes the same row.

Each server is a process of its own, with a store of its own: ``python -m tests.benchmarks.webhook ours PATH``
is one, and prints the address that takes the calls.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks.figures import Figure, median

SECRET = "vBq1x9-Lm3Tz_8RwKd5Y"
PIECE = 400


def figures(quick: bool) -> Iterator[Figure]:
    """Measure one call at a time and sixteen, pieces of both servers in turn."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ends:
        ours = ends.enter_context(_running("ours", Path(folder) / "ours.db"))
        bare = ends.enter_context(_running("bare", Path(folder) / "bare.db"))
        for at_once in (1, 16):
            pairs = []
            for number in range(4 if quick else 24):
                first = (at_once * 1000 + number) * PIECE
                times = [_seconds(url, at_once, first, 64 if quick else PIECE) for url in (bare, ours)]
                if number:  # the first piece warms both up
                    pairs.append(times)
            ratios = sorted(floor / took for floor, took in pairs)
            low, high = ratios[len(ratios) // 4], ratios[len(ratios) * 3 // 4]
            rate = (64 if quick else PIECE) / median([took for _, took in pairs])
            yield Figure(
                f"webhook to inbox commit, {at_once} at once",
                f"{median(ratios):.2f} of a bare starlette endpoint ({rate:.0f} calls/s)",
                "must ≥ 0.50, aim 0.70",
                f"median of {len(pairs)} × {64 if quick else PIECE} calls (quartiles {low:.2f}, {high:.2f}),"
                " SQLite FULL; the endpoint writes the same row with the same statement",
            )


def _seconds(url: str, at_once: int, first: int, count: int) -> float:
    """Make so many calls over so many lines and return how long that took."""
    lines = [_Line(url) for _ in range(at_once)]
    threads = [
        threading.Thread(target=line.call, args=(range(first + index, first + count, at_once),))
        for index, line in enumerate(lines)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    for line in lines:
        line.end()
    return took


class _Line:
    """One connection that is kept."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wrong: list[bytes] = []

    def call(self, numbers: range) -> None:
        """Push a text for each number, one after the other."""
        for number in numbers:
            body = json.dumps(
                {
                    "to": "+61491570156",
                    "from": f"+614{number % 256:08d}",
                    "body": "START",
                    "messageId": f"DMASApiA{number}",
                    "sentTimestamp": "2026-03-04T02:00:00",
                }
            ).encode()
            head = f"POST {self._path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            self._socket.sendall(head.encode() + body)
            got = b""
            while b"\r\n\r\n" not in got:
                got += self._socket.recv(4096)
            if not got.startswith(b"HTTP/1.1 204 "):
                self._wrong.append(got)

    def end(self) -> None:
        """Hang up."""
        self._socket.close()
        assert self._wrong == [], self._wrong[0]


@contextmanager
def _running(kind: str, path: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.benchmarks.webhook", kind, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _serve_ours(path: str) -> None:
    from convo.clock import SystemClock
    from convo.store import open_store
    from convo.transports.telstra_v2 import Settings, TelstraV2
    from convo.web import Hook, WebSettings, serve, webhook_app

    clock, store = SystemClock(), open_store(path)
    settings = Settings.from_environ({"TELSTRA_CLIENT_ID": "a", "TELSTRA_CLIENT_SECRET": "b"})
    hook = Hook("sms", TelstraV2(settings, channel="sms", clock=clock), SECRET)
    app = webhook_app([hook], store, clock, settings=WebSettings(rate=1e9, burst=10**9))
    with serve(app, port=0) as server:
        print(f"http://127.0.0.1:{server.port}{hook.path}", flush=True)
        threading.Event().wait()


def _serve_bare(path: str) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from convo.store import open_store
    from convo.store.sqlfiles import statements

    open_store(path).close()
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        db.execute(f"PRAGMA {setting}")
    insert, lock = statements("statements.sql", "privacy.sql")["accept"], threading.Lock()

    def write(body: bytes) -> None:
        said = json.loads(body)
        at = datetime.now(UTC).isoformat()
        key = "id:" + said["messageId"]
        row = ("sms", key, said["messageId"], said["from"], said["to"], said["body"], at, at, body.decode())
        with lock:
            db.execute(insert, row)

    async def take(request: Request) -> Response:
        await asyncio.to_thread(write, await request.body())
        return Response(status_code=204)

    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/sms", flush=True)
    app = Starlette(routes=[Route("/sms", take, methods=["POST"])])
    config = uvicorn.Config(app, log_level="error", access_log=False, ws="none", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    {"ours": _serve_ours, "bare": _serve_bare}[sys.argv[1]](sys.argv[2])
