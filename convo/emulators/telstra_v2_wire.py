"""How the emulated Telstra v2 writes and reads: paths, errors, numbers, stamps, segments. No state."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import unquote

from convo.emulators.base import Response, json_response

EASTERN_STANDARD = timezone(timedelta(hours=10))
"""Telstra stamps in this, in summer too."""

SMS = "/v2/messages/sms"
HINT = "Refer to API docs at https://dev.telstra.com"

_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_DOUBLE = frozenset("\f^{}\\[~]|€")


@dataclass(frozen=True, slots=True)
class Text:
    """One SMS that left through the emulator."""

    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    at: datetime
    message_id: str


def operation_of(path: str, method: str) -> str | None:
    """Return which call of the API this is, None where there is none."""
    match method, unquote(path):
        case "POST", "/v2/oauth/token":
            return "token"
        case (("GET" | "POST" | "DELETE"), "/v2/messages/provisioning/subscriptions"):
            return "subscription"
        case "GET", "/v2/messages/sms":
            return "poll"
        case "POST", "/v2/messages/sms":
            return "send"
        case "GET", ("/v2/messages/sms/healthcheck" | "/v2/messages/mms/healthcheck"):
            return "health"
        case "GET", plain if plain.startswith(SMS + "/") and plain.endswith("/status"):
            return "status"
        case _:
            return None


def error(status: int, code: str, message: str) -> Response:
    return json_response(status, {"status": str(status), "code": code, "message": message})


def printed(text: Text) -> dict[str, str]:
    return {
        "from": text.sender,
        "to": text.recipient,
        "text": text.text,
        "at": text.at.isoformat(),
        "id": text.message_id,
    }


def stamp_of(moment: datetime) -> str:
    return moment.astimezone(EASTERN_STANDARD).isoformat(timespec="seconds")


def e164(number: object) -> str | None:
    """Return a number as v2 answers with it, None where it takes it for none."""
    if not isinstance(number, str):
        return None
    if re.fullmatch(r"0[23478][0-9]{8}", number):
        return "+61" + number[1:]
    if re.fullmatch(r"\+61[23478][0-9]{8}", number):
        return number
    return number if re.fullmatch(r"\+(?!61|0)[0-9]{8,15}", number) else None


def segments(text: str) -> int:
    """Count segments by the usual 3GPP arithmetic (Telstra's own words stop at "160, then fewer")."""
    if all(one in _GSM or one in _GSM_DOUBLE for one in text):
        size, alone, each = sum(2 if one in _GSM_DOUBLE else 1 for one in text), 160, 153
    else:
        size, alone, each = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if size <= alone else -(-size // each)


def refused_text(
    recipients: list[object], body: object, sender: object, body_limit: tuple[int, int]
) -> Response | None:
    """Return the refusal of a send that is wrong whoever sends it, None where nothing is."""
    if not isinstance(body, str) or not body:
        return error(400, "BODY-MISSING", HINT)
    if len(recipients) > 10:
        return error(400, "TOO MANY DESTINATIONS", HINT)
    if len(body) > body_limit[1 if len(recipients) > 1 else 0]:
        return error(400, "BODY-TOO-LONG", HINT)
    if isinstance(sender, str) and len(sender) > 15:
        return error(400, "FROM-MSISDN-TOO-LONG", HINT)
    if isinstance(sender, str) and re.fullmatch(r"\+?[0-9]+", sender):
        return error(400, "DELIVERY-IMPOSSIBLE", "Invalid 'from' address specified")
    if any(isinstance(one, str) and len(one) > 20 for one in recipients):
        return error(400, "TO-MSISDN-TOO-LONG", HINT)
    return None


def refused_recipient(number: str, url: str) -> Response:
    """Return the refusal of a bad number: seen in the shape of a success, with a hole where the id was."""
    entry = {
        "to": number,
        "deliveryStatus": "DeliveryImpossible",
        "messageStatusURL": f"{url}{SMS}//status",
        "status": "400",
        "code": "TO-MSISDN-NOT-VALID",
        "message": HINT,
    }
    return json_response(400, {"messages": [entry], "Country": [], "messageType": "SMS", "numberSegments": 1})
