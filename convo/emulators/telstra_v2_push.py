"""The emulated Telstra v2 with its pushes: replies to the subscription's notifyURL, receipts to a send's.

Facts: the descriptions 2.2.9 and 2.2.10 (shapes, 204 expected, another try after five minutes, stamps
without an offset). CHOICE: a text that waited when a notifyURL was set can still be polled, unless
``keeps_waiting``: then it can be polled only once the notifyURL is gone. CHOICE: one receipt a send.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from convo.clock import Clock
from convo.emulators.base import Request, Response, json_response
from convo.emulators.pushing import Push, Pusher
from convo.emulators.telstra_v2 import NOW, Now, TelstraV2Emulator
from convo.emulators.telstra_v2_wire import stamp_of


class PushingTelstraV2Emulator(TelstraV2Emulator):
    """As its parent, and pushes. ``retry_after`` is in real seconds."""

    def __init__(
        self,
        clock: Clock,
        *,
        port: int = 0,
        retry_after: float = 300.0,
        keeps_waiting: bool = False,
        **settings: object,
    ) -> None:
        self.pusher = Pusher(retry_after=retry_after)
        super().__init__(clock, port=port, pusher=self.pusher, **settings)  # type: ignore[arg-type]
        self._keeps_waiting = keeps_waiting

    def text(
        self,
        sender: str,
        text: str,
        sent_at: datetime | str | Now | None = NOW,
        *,
        message_id: str | None = None,
    ) -> str:
        """Text our number as ``sender``: pushed where a notifyURL is set, else it waits to be polled."""
        with self._changed:
            given = super().text(sender, text, sent_at, message_id=message_id)
            if self._notify_url is not None and self._provisioned():
                said = self._waiting.pop()
                told = {
                    "to": said["destinationAddress"],
                    "from": said["senderAddress"],
                    "body": said["message"],
                    "messageId": given,
                }
                stamp = said.get("sentTimestamp")
                if isinstance(stamp, str):
                    told["sentTimestamp"] = stamp[:19]
                self._push(self._notify_url, told, given)
        return given

    def _push(self, url: str, told: Mapping[str, object], key: str) -> None:
        body = json.dumps(told).encode()
        self.pusher.push(Push(url, body, {"Content-Type": "application/json"}, key))

    def _act(self, operation: str, request: Request, repeat: bool) -> Response:
        before = len(self._sent)
        answer = super()._act(operation, request, repeat)
        if operation == "send" and len(self._sent) > before:
            url = json.loads(request.body).get("notifyURL")
            for text in self._sent[before:] if isinstance(url, str) and url else ():
                stamp = stamp_of(text.at)[:19]
                told = {"to": text.recipient, "sentTimestamp": stamp, "receivedTimestamp": stamp}
                said = {**told, "messageId": text.message_id, "deliveryStatus": "DELIVRD"}
                self._push(str(url), said, text.message_id)
        return answer

    def _poll(self, repeat: bool) -> Response:
        if self._provisioned() and self._notify_url is not None and self._waiting and not self._keeps_waiting:
            return json_response(200, self._waiting[0] if repeat else self._waiting.popleft())
        return super()._poll(repeat)
