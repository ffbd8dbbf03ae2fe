"""Stand-ins of the two providers described in examples/providers, written from their own documentation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import ClassVar

from convo.emulators.base import Request, Response, json_response
from convo.messages import Status
from convo.runtime.provider import create
from convo.testing.stand_in import PATIENCE, SENDER, WEBHOOK, HttpStandIn, Said
from convo.transports.base import PushRequest, Transport
from convo.transports.http import Door

PROVIDERS = Path(__file__).parents[2] / "examples" / "providers"
OURS = "+61491570156"
KEY = "canary-signing-key"


class Provider(HttpStandIn):
    """A provider with one description."""

    name = ""
    environ: ClassVar[dict[str, str]]

    def connect(self, *, wrong: bool = False) -> Transport:
        secrets = {key: "canary-wrong" if wrong else value for key, value in self.environ.items()}
        given = {
            "GENERIC_DESCRIPTION": str(PROVIDERS / f"{self.name}.yaml"),
            "GENERIC_BASE_URL": self.url,
            "GENERIC_NUMBER": OURS,
        }
        made = create(channel="sms", clock=self.clock, environ={**given, **secrets})
        made._door = Door(self.clock, timeout=PATIENCE)
        return made


class Sinch(Provider):
    """Lists newest first, two a page; numbers without a plus; ``received_at`` with milliseconds."""

    name = "sinch"
    secrets = ("canary-token", "canary-wrong")
    environ: ClassVar = {"SINCH_API_TOKEN": "canary-token"}
    writes = (SENDER[1:], SENDER)

    def __init__(self) -> None:
        super().__init__()
        self._listed: list[dict[str, object]] = []

    def text(self, said: Said) -> None:
        at = said.sent_at or self.clock.now()
        entry: dict[str, object] = {
            "id": f"in-{len(self._listed)}" if said.id is None else said.id,
            "type": "mo_text",
            "from": said.sender.removeprefix("+"),
            "to": OURS[1:],
            "body": said.text,
            "received_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        self._listed.append(entry)

    def answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer canary-token":
            return json_response(401, {"code": "unauthorized"})
        if request.path == "/inbounds":
            page, since = int(request.query["page"]), request.query["start_date"][:19]
            assert request.query["to"] == OURS[1:]
            found = [one for one in self._listed if str(one["received_at"])[:19] >= since]
            found.sort(key=lambda one: str(one["received_at"]), reverse=True)
            shown = found[page * 2 : page * 2 + 2]
            return json_response(200, {"count": len(found), "page": page, "inbounds": shown})
        said = json.loads(request.body)
        assert said["from"] == OURS[1:]
        self.taken.append(("+" + said["to"][0], said["body"]))
        return json_response(201, {"id": f"batch-{len(self.taken)}", "canceled": False})


class AndroidGateway(Provider):
    """The app's cloud server: basic, and webhooks signed over body and timestamp."""

    name = "android_gateway"
    secrets = ("canary-password", KEY, "canary-wrong")
    environ: ClassVar = {
        "ANDROID_GATEWAY_USER": "user",
        "ANDROID_GATEWAY_PASSWORD": "canary-password",
        "ANDROID_GATEWAY_SIGNING_KEY": KEY,
    }

    def pushed_text(self, said: Said) -> PushRequest:
        at = (said.sent_at or self.clock.now()).isoformat(timespec="milliseconds")
        payload = {"messageId": "abc123", "message": said.text, "phoneNumber": said.sender, "simNumber": 1}
        return self._call("sms:received", {**payload, "receivedAt": at})

    def pushed_receipt(self, provider_id: str, status: Status) -> PushRequest:
        return self._call(f"sms:{status}", {"messageId": provider_id, "phoneNumber": SENDER})

    def _call(self, event: str, payload: dict[str, object]) -> PushRequest:
        said = {"deviceId": "d", "event": event, "id": "e", "webhookId": "w", "payload": payload}
        body, stamp = json.dumps(said).encode(), str(int(self.clock.now().timestamp()))
        signature = hmac.new(KEY.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-signature": signature, "x-timestamp": stamp}
        return PushRequest("POST", WEBHOOK, headers, "", body)

    def answer(self, request: Request) -> Response:
        who = base64.b64encode(b"user:canary-password").decode()
        if request.headers.get("authorization") != f"Basic {who}":
            return json_response(401, {"message": "Unauthorized"})
        said = json.loads(request.body)
        self.taken.append((said["phoneNumbers"][0], said["textMessage"]["text"]))
        state = {"id": f"msg-{len(self.taken)}", "state": "Pending", "recipients": []}
        return json_response(202, state)
