"""The webhook: an ASGI app whose 2xx means that the push stands in the inbox.

What is wrong with a call is answered by a bare status: a stranger learns nothing. Whatever is not
2xx changes nothing here, so that a provider that tries again brings the same push once more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from hmac import compare_digest

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from convo.clock import Clock
from convo.errors import ConfigError, ConvoError
from convo.messages import Receipt
from convo.runtime.log import about_channel, count, origin
from convo.runtime.receive import keep_texts
from convo.store.base import Store
from convo.transports.base import PushRequest, PushResult
from convo.web.held import HeldAnswer, answer_of
from convo.web.rate import Rate
from convo.web.settings import Hook, WebSettings
from convo.web.together import Together
from convo.web.world import client_of, path_of, seen_url

MOST_RECEIPTS_WAITING = 1000
_log = logging.getLogger(__name__)


class Webhooks:
    """The ASGI app. Any number of calls at a time; ``settings`` says when it is too many.

    ``on_answer`` is told channel and status of each call that found its path.
    """

    def __init__(
        self,
        hooks: Sequence[Hook],
        store: Store,
        clock: Clock,
        *,
        settings: WebSettings,
        on_stored: Callable[[], None] = lambda: None,
        on_answer: Callable[[str, int], None] = lambda _channel, _status: None,
    ) -> None:
        paths = [hook.path for hook in hooks]
        if len(set(paths)) < len(paths):
            raise ConfigError("two webhooks have the same path; give each channel its own name and secret")
        self._hooks = tuple(hooks)
        self._store = store
        self._clock = clock
        self._settings = settings
        self._on_stored = on_stored
        self._on_answer = on_answer
        self._together = Together(store, clock)
        self._rate = Rate(clock, settings.rate, settings.burst)
        self._at_once = 0
        self._again: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, as ASGI has it."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            request = Request(scope, receive)
            try:
                response = await self._answer(request)
            except ClientDisconnect:
                return
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        hook = self._hook(request)
        if hook is None:
            return _refusal(404)
        with about_channel(hook.channel):
            response = await self._answer_of(hook, request)
        self._on_answer(hook.channel, response.status_code)
        return response

    async def _answer_of(self, hook: Hook, request: Request) -> Response:
        if request.method not in hook.transport.push_methods:
            return _refusal(405, Allow=", ".join(sorted(hook.transport.push_methods)))
        wait = self._rate.wait(f"{hook.channel} {client_of(request, self._settings)}")
        if wait is not None:
            return _refusal(429, Retry_After=str(wait))
        if self._at_once >= self._settings.at_once:
            return _refusal(503, Retry_After="1")
        self._at_once += 1
        try:
            body = await self._body(request)
            if isinstance(body, Response):
                return body
            push = PushRequest(
                method=request.method,
                url=seen_url(request, self._settings),
                headers={name.lower(): value for name, value in request.headers.items()},
                query=request.scope.get("query_string", b"").decode("latin-1"),
                body=body,
            )
            return await self._take(hook, push)
        finally:
            self._at_once -= 1  # a call that is held for a reply does not count

    def _hook(self, request: Request) -> Hook | None:
        path = path_of(request).encode("latin-1")
        found = None
        for hook in self._hooks:  # all of them, so that the time it takes says nothing
            if compare_digest(path, hook.path.encode("ascii")):
                found = hook
        return found

    async def _body(self, request: Request) -> bytes | Response:
        most = self._settings.largest_body
        announced = request.headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and (len(announced) > 12 or int(announced) > most):
            return _refusal(413)
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_within):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        return _refusal(413)
        except TimeoutError:
            return _refusal(408)
        return bytes(body)

    async def _take(self, hook: Hook, push: PushRequest) -> Response:
        try:
            result, unmatched, new = await asyncio.to_thread(self._keep, hook, push)
        except ConvoError as problem:
            _log.error("a push to %s could not be stored; it was refused: %s", hook.channel, problem)
            return _refusal(503, Retry_After="5")
        except Exception as problem:
            _log.error("a push to %s could not be taken: %s", hook.channel, origin(problem))
            _log.debug("the push raised", exc_info=True)
            return _refusal(500)
        if unmatched:
            self._look_again(unmatched)
        if 200 <= result.status < 300:
            if result.held is not None and new:
                return HeldAnswer(result, result.held)
            return answer_of(result)
        _log.warning("a push to %s was refused with %s", hook.channel, result.status)
        return _refusal(result.status)

    def _keep(self, hook: Hook, push: PushRequest) -> tuple[PushResult, tuple[Receipt, ...], bool]:
        """Read and store a push, in a thread; return the answer, lost receipts, and whether it is new."""
        result = hook.transport.received(push)
        batch, now, new = result.batch, self._clock.now(), False
        try:
            if not 200 <= result.status < 300:
                return result, (), new
            if batch.messages or batch.unreadable:
                if result.held is None:
                    new = self._together.keep(hook.channel, batch) > 0
                else:  # whether this very text is new decides what is answered
                    new = keep_texts(self._store, hook.channel, batch, now, "pushed to").new > 0
                if new:
                    self._on_stored()
        finally:
            if result.held is not None and not new:
                result.held.reply.cancel()
        if batch.receipts and not self._store.receipts(batch.receipts, now):
            return result, batch.receipts, new
        return result, (), new

    def _look_again(self, receipts: tuple[Receipt, ...]) -> None:
        """Apply receipts later: one may overtake the answer to the send it speaks of."""
        if len(self._again) >= MOST_RECEIPTS_WAITING:
            _log.warning("%s for nothing we sent; too many to keep", count(len(receipts), "receipt"))
            return
        task = asyncio.get_running_loop().create_task(self._apply_later(receipts))
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    async def _apply_later(self, receipts: tuple[Receipt, ...]) -> None:
        for wait in self._settings.receipt_again:
            await asyncio.sleep(wait)
            try:
                if await asyncio.to_thread(self._store.receipts, receipts, self._clock.now()):
                    return
            except ConvoError as problem:
                _log.warning("a receipt could not be written yet: %s", problem)


def _refusal(status: int, **headers: str) -> Response:
    """Return a bare status. The rest of the call is not read, so the line ends with it."""
    named: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status_code=status, headers={**named, "Connection": "close"})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        said: Message = await receive()
        await send({"type": f"{said['type']}.complete"})
        if said["type"] == "lifespan.shutdown":
            return
