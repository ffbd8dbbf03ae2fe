"""The studio: an author's page with phones, the live diagram, data, timers and the file's problems.

It is for one person on this machine. Requests that name another host are refused, so that no page
elsewhere can reach it under a name of its own; what changes something needs our origin and the token
of this start.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import threading
from collections.abc import AsyncIterator, Mapping
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from convo.analysis.graph_formats import dot
from convo.analysis.graphviz import draw, has_dot
from convo.errors import ConfigError, ConvoError
from convo.testing.fakes import FakeClock
from convo.web.server import WebServer
from convo.web.studio_layout import svg
from convo.web.studio_session import Session

LONGEST_BODY = 64 * 1024
LOOKS_EVERY = 0.5
"""Seconds between two looks at the flow's folder."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
FILES = {"studio.js": "text/javascript", "studio.css": "text/css"}


class Guarded:
    """Lets only requests through that were meant for this page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        reason = _refusal(request)
        if reason:
            await PlainTextResponse(reason, 403, headers=HEADERS)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Studio:
    """The page for one flow, served on 127.0.0.1 between ``start`` and ``stop``. Port 0 takes any."""

    def __init__(
        self, flow: Path, *, port: int = 0, clock: FakeClock | None = None, graphviz: bool | None = None
    ) -> None:
        """Open the flow; ``graphviz`` says whether to draw with it, by default where it is installed.

        Raises:
            FlowError: it has problems.
        """
        self.session = Session(flow, clock=clock)
        self.token = secrets.token_urlsafe(24)
        self._graphviz = has_dot() if graphviz is None else graphviz
        self._drawn: tuple[int, str] = (-1, "")
        self._port = port
        self._server = WebServer(Guarded(self._routes()), port=port)
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="convo studio", daemon=True)

    @property
    def url(self) -> str:
        """Where the page is; known once started."""
        return f"http://127.0.0.1:{self._server.port}/"

    def start(self) -> None:
        """Serve the page.

        Raises:
            ConfigError: the port is taken.
        """
        try:
            self._server.start()
        except ConfigError:
            raise ConfigError(
                f"the studio cannot listen on 127.0.0.1:{self._port}; choose another with --port"
            ) from None
        self._watcher.start()

    def stop(self) -> None:
        """End; safe to call twice."""
        if self._ended.is_set():
            return
        self._ended.set()
        self.session.close()
        self._server.stop()
        self._watcher.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch(self) -> None:
        while not self._ended.wait(LOOKS_EVERY):
            self.session.look()

    def _routes(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/static/{name}", self._static),
                Route("/diagram", self._diagram),
                Route("/events", self._events),
                Route("/do", self._do, methods=["POST"]),
            ]
        )

    async def _page(self, _: Request) -> Response:
        text = _file("studio.html").replace("%TOKEN%", self.token)
        return Response(text, media_type="text/html", headers=HEADERS)

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in FILES:
            return PlainTextResponse("there is no such file", 404, headers=HEADERS)
        return Response(_file(name), media_type=FILES[name], headers=HEADERS)

    async def _diagram(self, _: Request) -> Response:
        picture = await run_in_threadpool(self._picture)
        return Response(picture, media_type="image/svg+xml", headers=HEADERS)

    def _picture(self) -> str:
        session = self.session
        at, graph = session.drawn_at, session.graph
        if self._drawn[0] != at:
            self._drawn = (at, self._draw_with_dot(dot(graph)) if self._graphviz else svg(graph))
        return self._drawn[1]

    def _draw_with_dot(self, source: str) -> str:
        try:
            found = draw(source, "svg").decode()
        except ConfigError:
            self._graphviz = False
            return svg(self.session.graph)
        return re.sub(r"<g id=\"graph0\"[^>]*>\s*<title>[^<]*</title>", _titled, found[found.index("<svg") :])

    async def _events(self, request: Request) -> Response:
        return EventSourceResponse(self._pictures(request), headers=HEADERS, ping=15)

    async def _pictures(self, request: Request) -> AsyncIterator[ServerSentEvent]:
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def told() -> None:
            loop.call_soon_threadsafe(changed.set)

        end = self.session.listen(told)
        try:
            while not self.session.closed and not await request.is_disconnected():
                changed.clear()
                picture = await run_in_threadpool(self.session.picture)
                yield ServerSentEvent(json.dumps(picture), event="picture")
                await changed.wait()
        finally:
            end()

    async def _do(self, request: Request) -> Response:
        if not secrets.compare_digest(request.headers.get("x-convo-token", "").encode(), self.token.encode()):
            return _refused("this page is of an earlier start of the studio; reload it", 403)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_BODY:
                return _refused("that is too long", 413)
        try:
            what = json.loads(body)
        except (ValueError, RecursionError):
            what = None
        if not isinstance(what, dict):
            return _refused("that is no JSON object", 400)
        try:
            found = await run_in_threadpool(self._act, what)
        except ConvoError as problem:
            return _refused(str(problem), 422)
        return JSONResponse(found, headers=HEADERS)

    def _act(self, what: Mapping[str, Any]) -> dict[str, Any]:
        return self.session.act(what)


def _refusal(request: Request) -> str:
    """Return why a request is not answered, or nothing where it is."""
    server = request.scope.get("server") or ("", 0)
    ours = {f"127.0.0.1:{server[1]}", f"localhost:{server[1]}"}
    host = request.headers.getlist("host")
    if len(host) != 1 or host[0].lower() not in ours:
        return "the studio answers on 127.0.0.1 and localhost only"
    origin = request.headers.get("origin")
    if request.method not in ("GET", "HEAD") and origin != f"http://{host[0].lower()}":
        return "only the studio's own page can do that"
    if origin is not None and origin != f"http://{host[0].lower()}":
        return "only the studio's own page can look at that"
    if request.headers.get("sec-fetch-site") == "cross-site" and request.url.path != "/":
        return "only the studio's own page can look at that"
    return ""


def _refused(reason: str, status: int) -> Response:
    return JSONResponse({"problem": reason}, status, headers=HEADERS)


def _titled(found: re.Match[str]) -> str:
    """Return Graphviz's outermost group without its title, which browsers show everywhere as a hint."""
    return found[0].partition("<title>")[0]


def _file(name: str) -> str:
    return resources.files("convo.web").joinpath("static", name).read_text(encoding="utf-8")
