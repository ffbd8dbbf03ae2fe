"""What one server answers: /healthz, /readyz and /metrics itself, anything else by the webhooks behind it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from convo.errors import ConvoError
from convo.runtime.push import WebConfig, is_within
from convo.web.world import client_of, path_of

_PLAIN = "text/plain; charset=utf-8"
_log = logging.getLogger(__name__)


class Front:
    """The ASGI app. ``alive`` and ``ready`` judge the run; ``metrics`` writes the page, None: there is none.

    Health is one word, for anybody: the reasons are for the log. Figures are for the addresses that ``web``
    names, and 404 for others.
    """

    def __init__(
        self,
        behind: ASGIApp,
        web: WebConfig,
        *,
        alive: Callable[[], bool],
        ready: Callable[[], bool],
        metrics: Callable[[], tuple[bytes, str]] | None,
    ) -> None:
        self._behind = behind
        self._web = web
        self._own = {"/healthz": alive, "/readyz": ready}
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, as ASGI has it."""
        if scope["type"] != "http":
            await self._behind(scope, receive, send)
            return
        request = Request(scope, receive)
        path = path_of(request)
        if path in self._own:
            response = self._word(request, self._own[path])
        elif path == "/metrics":
            response = await self._figures(request)
        else:
            await self._behind(scope, receive, send)
            return
        await response(scope, receive, send)

    def _word(self, request: Request, fine: Callable[[], bool]) -> Response:
        if request.method not in ("GET", "HEAD"):
            return _bare(405, Allow="GET, HEAD")
        good = fine()
        return Response(
            "ok\n" if good else "bad\n",
            200 if good else 503,
            {"Cache-Control": "no-store"},
            media_type=_PLAIN,
        )

    async def _figures(self, request: Request) -> Response:
        caller = client_of(request, self._web.settings)
        if self._metrics is None or not is_within(caller, self._web.metrics):
            return _bare(404)
        if request.method not in ("GET", "HEAD"):
            return _bare(405, Allow="GET, HEAD")
        try:
            written, kind = await asyncio.to_thread(self._metrics)
        except ConvoError as problem:
            _log.warning("the figures for /metrics cannot be had: %s", problem)
            return _bare(503)
        return Response(written, 200, {"Cache-Control": "no-store", "Content-Type": kind})


def _bare(status: int, **headers: str) -> Response:
    """Return a status alone. The rest of the call is not read, so the line ends with it."""
    return Response(status_code=status, headers={**headers, "Connection": "close"})
