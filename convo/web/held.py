"""Answers to a call of a provider: at once, or as soon as there is a reply that can be the answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from convo.transports.base import HeldCall, PushResult

AT_ONCE = 1.0
"""Seconds. Whoever has begun to set a reply sets it now."""


def answer_of(result: PushResult) -> Response:
    """Return the answer that ``result`` says."""
    return Response(result.body, result.status, dict(result.headers))


class HeldAnswer(Response):
    """The reply that is set within the time of ``held``, else what ``result`` says; as ASGI has it."""

    def __init__(self, result: PushResult, held: HeldCall) -> None:
        super().__init__(result.body, result.status, dict(result.headers))
        self._result = result
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, answer, and say whether the reply went out."""
        held, written = self._held, False
        try:
            reply = await self._reply()
            if reply is None:
                await answer_of(self._result)(scope, receive, send)
            elif not await Request(scope, receive).is_disconnected():
                await answer_of(reply)(scope, receive, send)
                written = True
        finally:
            held.reply.cancel()
            if not held.written.done():
                held.written.set_result(written)

    async def _reply(self) -> PushResult | None:
        """Return the reply, None where none came in time or we stop; after that it goes another way."""
        reply = asyncio.wrap_future(self._held.reply)
        # A server that stops cancels what is in hand: the text is stored, and its caller shall hear that.
        with suppress(asyncio.CancelledError):
            await asyncio.wait({reply}, timeout=self._held.within)
        if self._held.reply.cancel() or self._held.reply.cancelled():
            return None
        return self._held.reply.result(AT_ONCE)
