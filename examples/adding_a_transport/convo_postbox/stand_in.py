"""A stand-in of Postbox, for the conformance kit and for trying a flow without an account."""

from __future__ import annotations

import json

from convo.emulators.base import Request, Response, json_response
from convo.messages import Status
from convo.testing.stand_in import PATIENCE, WEBHOOK, HttpStandIn, Said
from convo.transports.base import PushRequest
from convo.transports.http import Door
from convo_postbox import STATUS_OF, Postbox, signature

TOKEN = "canary-token"  # noqa: S105 - a secret of nobody


class PostboxStandIn(HttpStandIn):
    """One number at Postbox, on this machine."""

    secrets = (TOKEN, "canary-wrong")

    def __init__(self) -> None:
        """Listen."""
        super().__init__()
        self._listed: list[dict[str, str]] = []

    def connect(self, *, wrong: bool = False) -> Postbox:
        """Return a transport that talks to it."""
        token, door = "canary-wrong" if wrong else TOKEN, Door(self.clock, timeout=PATIENCE)
        return Postbox(self.url, token, channel="sms", clock=self.clock, door=door)

    def text(self, said: Said) -> None:
        """Have a text wait to be polled."""
        self._listed.append(self._as_json(said))

    def answer(self, request: Request) -> Response:
        """List texts, or take one."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return json_response(401, {})
        if request.method == "GET":
            return json_response(200, self._listed[int(request.query["after"]) :])
        said = json.loads(request.body)
        self.taken.append((said["to"], said["text"]))
        return json_response(201, {"number": str(len(self.taken))})

    def pushed_text(self, said: Said) -> PushRequest:
        """Return the call that brings a text."""
        return self._call(self._as_json(said))

    def pushed_receipt(self, provider_id: str, status: Status) -> PushRequest:
        """Return the call that says what became of a send."""
        (word,) = (word for word, each in STATUS_OF.items() if each is status)
        return self._call({"number": provider_id, "became": word})

    def _call(self, said: object) -> PushRequest:
        body = json.dumps(said).encode()
        headers = {"postbox-signature": signature(TOKEN, body).decode()}
        return PushRequest("POST", WEBHOOK, headers, "", body)

    def _as_json(self, said: Said) -> dict[str, str]:
        number = str(len(self._listed) + 1) if said.id is None else said.id
        at = (said.sent_at or self.clock.now()).isoformat()
        return {"number": number, "from": said.sender, "to": "+61491570156", "text": said.text, "at": at}
