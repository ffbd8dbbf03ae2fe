"""An end to answers that never end: the head of an answer has to come within a time, however it drips.

The timeout of a socket counts from byte to byte, so a server that sends a byte in time now and then holds
a caller for ever. The body is bounded by whoever reads it; the head is read inside of http.client.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from convo.clock import Clock


class HeadWithin(HTTPAdapter):
    """The adapter of a session whose answers have to begin, and come to their body, within ``total``.

    What takes longer is a timeout like that of a socket.
    """

    def __init__(self, clock: Clock, total: timedelta) -> None:
        """Make the connections of this session of our own classes."""
        answer = partial(_Answer, clock=clock, total=total)
        plain = type("PlainConnection", (HTTPConnection,), {"response_class": staticmethod(answer)})
        secure = type("SecureConnection", (HTTPSConnection,), {"response_class": staticmethod(answer)})
        self._pools = {
            "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }
        super().__init__()

    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        """Use our pools for direct connections."""
        super().init_poolmanager(*given, **named)
        cast(Any, self).poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *given: Any, **named: Any) -> Any:
        """Use our pools for connections by way of a proxy."""
        manager = super().proxy_manager_for(*given, **named)
        manager.pool_classes_by_scheme = self._pools
        return manager


class _Answer(http.client.HTTPResponse):
    """An answer whose head has a deadline."""

    def __init__(self, sock: Any, *given: Any, clock: Clock, total: timedelta, **named: Any) -> None:
        super().__init__(sock, *given, **named)
        self._hurried = _Hurried(cast(Any, self.fp).detach(), clock.now, clock.now() + total)
        self.fp = io.BufferedReader(self._hurried)

    def begin(self) -> None:
        """Read the head; what comes after it may take its time."""
        super().begin()
        self._hurried.until = None


class _Hurried(io.RawIOBase):
    """What comes from a socket, until a moment."""

    def __init__(self, inner: io.RawIOBase, now: Callable[[], datetime], until: datetime) -> None:
        self._inner = inner
        self._now = now
        self.until: datetime | None = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.until is not None and self._now() > self.until:
            raise TimeoutError("the head of the answer never ended")
        return cast("int | None", cast(Any, self._inner).readinto(buffer))

    def fileno(self) -> int:
        return self._inner.fileno()

    def close(self) -> None:
        self._inner.close()
        super().close()
