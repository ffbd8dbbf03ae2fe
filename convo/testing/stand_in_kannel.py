"""A stand-in of Kannel's smsbox: sendsms, and calls of a get-url and of a dlr-url."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from convo.emulators.base import Request, Response
from convo.messages import Status
from convo.testing.stand_in import PATIENCE, SENDER, WEBHOOK, HttpStandIn, Said
from convo.transports.base import PushRequest, Transport
from convo.transports.http import Door
from convo.transports.kannel import Kannel, Settings


class KannelStandIn(HttpStandIn):
    """One sendsms user of one Kannel."""

    secrets = ("canary-password", "canary-wrong")
    writes = (SENDER, "61400000001", "0400000001", "0061400000001")

    def __init__(self) -> None:
        """Listen."""
        super().__init__()
        self._urls: dict[str, str] = {}

    def connect(self, *, wrong: bool = False) -> Transport:
        """Return a transport that sends to this Kannel."""
        environ = {
            "KANNEL_SENDSMS_URL": f"{self.url}/cgi-bin/sendsms",
            "KANNEL_USERNAME": "convo",
            "KANNEL_PASSWORD": "canary-wrong" if wrong else "canary-password",
            "KANNEL_NUMBER": "+61491570156",
        }
        door = Door(self.clock, timeout=PATIENCE)
        return Kannel(Settings.from_environ(environ), channel="sms", clock=self.clock, door=door)

    def pushed_text(self, said: Said) -> PushRequest:
        """Return the call of the get-url of docs/kannel.md, with ``mo-recode``."""
        at = said.sent_at or self.clock.now()
        name = f"{at.timestamp():.6f}" if said.id is None else said.id
        fields = {"from": said.sender, "to": "+61491570156", "text": said.text, "coding": "0"}
        return _call({**fields, "charset": "UTF-8", "epoch": f"{at.timestamp():.0f}", "id": name})

    def pushed_receipt(self, provider_id: str, status: Status) -> PushRequest | None:
        """Return the call of the dlr-url that was given with the send."""
        kind = {Status.SENT: "8", Status.DELIVERED: "1", Status.FAILED: "2"}[status]
        url = self._urls.get(provider_id, f"?receipt={quote(provider_id)}&type=%d")
        return PushRequest("GET", WEBHOOK, {}, url.partition("?")[2].replace("%d", kind), b"")

    def answer(self, request: Request) -> Response:
        """Take a text by sendsms."""
        query = request.query
        if (query.get("username"), query.get("password")) != ("convo", "canary-password"):
            return Response(403, b"Authorization failed for sendsms")
        self.taken.append((query["to"], query["text"]))
        url = query.get("dlr-url", "")
        self._urls[dict(parse_qsl(url.partition("?")[2])).get("receipt", "")] = url
        return Response(202, b"0: Accepted for delivery")


def _call(fields: Mapping[str, str]) -> PushRequest:
    return PushRequest("GET", WEBHOOK, {}, urlencode(fields), b"")
