"""Every documented error of Telstra, v2 and v3, as a recorded exchange: what is done next, one row an error.

What a send comes to is its result. What a poll comes to is a letter: L, later (a TransportError that is
not final); C, the credentials (a CredentialsError: exit code 2); N, our number is asked for once, and then
it is said that there is none. A test walks the documented codes and fails where a row is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from convo.emulators import create as create_emulator
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import CredentialsError, NotProvisioned, TransportError
from convo.messages import Address, Outbound, Status
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.run import drain
from convo.store import open_store
from convo.testing import FakeClock
from convo.transports import create
from convo.transports.base import (
    BadCredentials,
    Batch,
    GiveUp,
    OptedOut,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)
from convo.transports.telstra_v2_answers import VERDICT_OF_CODE as V2_CODES
from convo.transports.telstra_v3_answers import VERDICT_OF_CODE as V3_CODES

SENDER = Address("+61400000001")
WHO = "TELSTRA_CLIENT_ID and TELSTRA_CLIENT_SECRET"
NINE = timedelta(seconds=9)
SHAPES = json.loads(
    (Path(__file__).parents[1] / "emulators" / "telstra_v3_shapes.json").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Row:
    """An answer, and what a send and a poll come to. ``says`` stands in the reason."""

    status: int
    code: str
    send: type[SendResult]
    poll: str
    says: str = ""
    body: str | None = None

    @property
    def name(self) -> str:
        return f"{self.status} {self.code}"


def v2(row: Row) -> str:
    if row.body is not None:
        return row.body
    return json.dumps({"status": str(row.status), "code": row.code, "message": f"canary {SENDER}"})


def v3(row: Row) -> str:
    if row.body is not None:
        return row.body
    said = {"code": row.code, "issue": "canary", "suggested_action": "canary", "value": SENDER}
    return json.dumps({"errors": [said]})


IMPOSSIBLE = json.dumps(
    {"messages": [{"to": SENDER, "deliveryStatus": "DeliveryImpossible", "code": "TO-MSISDN-NOT-VALID"}]}
)
GATEWAY = json.dumps(
    {"fault": {"faultstring": "Spike arrest violation", "detail": {"errorcode": "SpikeArrestViolation"}}}
)
V2 = [
    Row(400, "TO-MSISDN-NOT-VALID", GiveUp, "L"),
    Row(400, "TO-MSISDN-NOT-VALID", GiveUp, "L", body=IMPOSSIBLE),
    Row(400, "TO-MSISDN-TOO-LONG", GiveUp, "L"),
    Row(400, "FROM-MSISDN-TOO-LONG", GiveUp, "L"),
    Row(400, "SENDER-MISSING", GiveUp, "L"),
    Row(400, "BODY-MISSING", GiveUp, "L"),
    Row(400, "BODY-TOO-LONG", GiveUp, "L"),
    Row(400, "BODY-NOT-VALID", GiveUp, "L"),
    Row(400, "DELIVERY-IMPOSSIBLE", GiveUp, "N"),
    Row(400, "NOT-PROVISIONED", RetryLater, "N"),
    Row(400, "TECH-ERR", GiveUp, "L"),
    Row(400, "TOO MANY DESTINATIONS", GiveUp, "L"),
    Row(400, "FREE-TRIAL-NO-BNUM", GiveUp, "L"),
    Row(400, "FREE-TRIAL-INVALID-BNUM", GiveUp, "L"),
    Row(400, "FREE-TRIAL-MAX-BNUM", GiveUp, "L"),
    Row(400, "BNUM-TOO-LONG", GiveUp, "L"),
    Row(400, "DR-NOTIFY-URL-MISSING", GiveUp, "L"),
    Row(400, "MMS-TYPE-MISSING", GiveUp, "L"),
    Row(400, "MMS-PAYLOAD-MISSING", GiveUp, "L"),
    Row(400, "MMS-FILENAME-MISSING", GiveUp, "L"),
    Row(400, "SUBJECT-TOO-LONG", GiveUp, "L"),
    Row(400, "", GiveUp, "L", "suspicious content", "Request flagged as containing suspicious content"),
    Row(400, "SOMETHING-NEW", GiveUp, "L"),
    Row(401, "", BadCredentials, "C", WHO),
    Row(401, "TECH-ERR", BadCredentials, "C", WHO),
    Row(403, "SpikeArrest", RetryLater, "L", "SPIKEARREST"),
    Row(403, "SpikeArrest", RetryLater, "L", "SPIKEARREST", GATEWAY),
    Row(403, "MSG_Monetization_ERR", RetryLater, "L", "MSG_MONETIZATION_ERR"),
    Row(403, "", BadCredentials, "C", WHO, '{"message": "account does not have permission"}'),
    Row(403, "", RetryLater, "L", "403", "<html>"),
    Row(404, "RESOURCE-NOT-FOUND", RetryLater, "N"),
    Row(404, "TO-MSISDN-NOT-VALID", GiveUp, "L"),
    Row(404, "OLD-NONEXISTANT-MESSAGE-ID", GiveUp, "L"),
    Row(405, "", GiveUp, "L", "405"),
    Row(409, "Active Days Max", GiveUp, "L", "ACTIVE DAYS MAX"),
    Row(415, "", GiveUp, "L", "415"),
    Row(422, "", GiveUp, "L", "422"),
    Row(429, "", RetryLater, "L", "429"),
    Row(500, "TECH-ERR", RetryLater, "L"),
    Row(500, "BODY-MISSING", RetryLater, "L", "500"),
    Row(501, "", RetryLater, "L", "501"),
    Row(502, "", Unknown, "L", "502", "<html>"),
    Row(503, "", RetryLater, "L", "503", "<html>"),
    Row(504, "", Unknown, "L", "504"),
    Row(302, "", RetryLater, "L", "TELSTRA_BASE_URL"),
]
V2_CREATED: list[tuple[int, str, type, str]] = [
    (200, "{}", Unknown, "200"),
    (201, "<html>", Unknown, "201"),
    (201, IMPOSSIBLE, GiveUp, "TO-MSISDN-NOT-VALID"),
    (201, '{"messages": [{"to": "x"}]}', Sent, ""),
]
V3 = [
    Row(400, "FIELD_INVALID", GiveUp, "L"),
    Row(400, "FIELD_MISSING", GiveUp, "L"),
    Row(400, "FIELD_LENGTH_ERR", GiveUp, "L"),
    Row(400, "TAGS_ERR", GiveUp, "L"),
    Row(400, "MODERATION_ERR", GiveUp, "L"),
    Row(400, "MULTIMEDIA_TOO_LARGE", GiveUp, "L"),
    Row(400, "ID_INVALID", GiveUp, "L"),
    Row(400, "ID_NOT_ASSIGNED", GiveUp, "L"),
    Row(400, "TIMEFRAME_ERR", GiveUp, "L"),
    Row(400, "UPDATE_INVALID_MSG_SENT", GiveUp, "L"),
    Row(400, "DELETE_INVALID_MSG_SENT", GiveUp, "L"),
    Row(400, "RECIPIENT_OPTOUT", OptedOut, "L", "opted out"),
    Row(400, "SENDERNAME_ERR", RetryLater, "L", "our number"),
    Row(400, "VIRTUAL_NUM_INVALID", RetryLater, "L", "our number"),
    Row(400, "VIRTUAL_NUM_UNASSIGNED", RetryLater, "L", "our number"),
    Row(400, "SOMETHING_NEW", GiveUp, "L"),
    Row(401, "TOKEN_INVALID", BadCredentials, "C", WHO),
    Row(401, "TOKEN_EXPIRED", BadCredentials, "C", WHO),
    Row(401, "", BadCredentials, "C", WHO, "<html>"),
    Row(402, "ACCOUNT_ERR", RetryLater, "L", "the account or its plan"),
    Row(402, "RATE_PLAN_ERR", RetryLater, "L", "the account or its plan"),
    Row(402, "ACCOUNT_NOT_LINKED", BadCredentials, "C", WHO),
    Row(402, "ACCOUNT_LIMIT_ERROR", GiveUp, "L"),
    Row(402, "FREE_TRIAL_INTERNATIONAL_ERR", GiveUp, "L"),
    Row(403, "RESOURCE_AUTH_ERR", BadCredentials, "C", WHO),
    Row(403, "INSUFFICIENT_SCOPE", BadCredentials, "C", WHO),
    Row(403, "FREE_TRIAL_ERR", GiveUp, "L"),
    Row(403, "", RetryLater, "L", "SPIKEARREST", GATEWAY),
    Row(404, "RESOURCE_NOT_FOUND", RetryLater, "L", "TELSTRA_BASE_URL"),
    Row(404, "RESOURCE_TEMP_ERR", RetryLater, "L"),
    Row(404, "VIRTUAL_NUM_UNKNOWN", RetryLater, "L", "our number"),
    Row(405, "METHOD_INVALID", GiveUp, "L"),
    Row(406, "MEDIA_TYPE_INVALID", GiveUp, "L"),
    Row(413, "PAYLOAD_TOO_LARGE", GiveUp, "L"),
    Row(413, "MULTIMEDIA_TOO_LARGE", GiveUp, "L"),
    Row(415, "PAYLOAD_MEDIA_TYPE_ERR", GiveUp, "L"),
    Row(422, "LOGIC_ERR", GiveUp, "L"),
    Row(429, "TOO_MANY_REQUESTS", RetryLater, "L"),
    Row(500, "INTERNAL_TIMEOUT", Unknown, "L"),
    Row(500, "INTERNAL_SERVER_ERR", RetryLater, "L"),
    Row(500, "NETWORK_ERR", RetryLater, "L"),
    Row(502, "", Unknown, "L", "502", "<html>"),
    Row(503, "", RetryLater, "L", "503", "<html>"),
    Row(504, "GATEWAY_TIMEOUT", Unknown, "L"),
    Row(302, "", RetryLater, "L", "TELSTRA_BASE_URL"),
]
ROWS = [("telstra_v2", row) for row in V2] + [("telstra_v3", row) for row in V3]
BODIES: dict[str, Callable[[Row], str]] = {"telstra_v2": v2, "telstra_v3": v3}

V2_DOCUMENTED = {
    400: "TO-MSISDN-NOT-VALID TO-MSISDN-TOO-LONG FROM-MSISDN-TOO-LONG SENDER-MISSING BODY-MISSING"
    " BODY-TOO-LONG BODY-NOT-VALID DELIVERY-IMPOSSIBLE NOT-PROVISIONED TECH-ERR TOO_MANY_DESTINATIONS"
    " FREE-TRIAL-NO-BNUM FREE-TRIAL-INVALID-BNUM FREE-TRIAL-MAX-BNUM BNUM-TOO-LONG DR-NOTIFY-URL-MISSING"
    " MMS-TYPE-MISSING MMS-PAYLOAD-MISSING MMS-FILENAME-MISSING SUBJECT-TOO-LONG",
    401: "TECH-ERR",
    403: "SpikeArrest MSG_Monetization_ERR",
    404: "RESOURCE-NOT-FOUND OLD-NONEXISTANT-MESSAGE-ID TO-MSISDN-NOT-VALID",
    405: "",
    409: "Active_Days_Max",
    415: "",
    422: "",
    429: "",
    500: "TECH-ERR",
    501: "",
    503: "",
}
"""Statuses and codes of Telstra's v2 descriptions 2.2.9 and 2.2.10; a blank is a ``_`` here."""


@dataclass
class World:
    """A transport, started, against the emulator of its provider."""

    name: str
    emulator: Any
    transport: Any
    clock: FakeClock

    def answers(self, row: Row, on: str, times: int = 0) -> None:
        self.emulator.fault(
            "answer",
            on,
            times=times,
            status=row.status,
            body=BODIES[self.name](row),
            headers={"Retry-After": "9"},
        )


@pytest.fixture
def worlds() -> Iterator[Callable[[str], World]]:
    clock, made = FakeClock(), {}
    for name in ("telstra_v2", "telstra_v3"):
        emulator = create_emulator(name, clock)
        emulator.start()
        transport = create(name, channel="sms", clock=clock, environ=emulator.environ())
        made[name] = World(name, emulator, transport, clock)
    yield made.__getitem__
    for world in made.values():
        world.transport.close()
        world.emulator.stop()


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{name} {row.name}" for name, row in ROWS])
def test_what_telstra_says_to_a_send(worlds: Callable[[str], World], name: str, row: Row) -> None:
    world = worlds(name)
    world.transport.start()
    world.answers(row, "send")
    result = world.transport.send(Outbound("sms", SENDER, "canary-body", id=1))
    assert type(result) is row.send
    assert (row.says or row.code) in result.reason
    assert "canary" not in result.reason
    assert SENDER not in result.reason
    if isinstance(result, RetryLater):
        lost = "NOT-PROVISIONED" in result.reason or "RESOURCE-NOT-FOUND" in result.reason
        assert result.after == (timedelta(minutes=1) if lost or "our number" in result.reason else NINE)


@pytest.mark.parametrize(("status", "body", "kind", "reason"), V2_CREATED)
def test_a_success_of_v2_that_is_none(
    worlds: Callable[[str], World], status: int, body: str, kind: type, reason: str
) -> None:
    world = worlds("telstra_v2")
    world.answers(Row(status, "", kind, "", body=body), "send")
    result = world.transport.send(Outbound("sms", SENDER, "hello"))
    assert type(result) is kind
    assert isinstance(result, Sent) or reason in result.reason


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{name} {row.name}" for name, row in ROWS])
def test_what_telstra_says_to_a_poll(worlds: Callable[[str], World], name: str, row: Row) -> None:
    world = worlds(name)
    world.transport.start()
    world.answers(row, "poll")
    if row.poll == "N":
        asked = world.emulator.calls("subscription")
        assert world.transport.poll(None) == Batch(more=True), "once: the number was asked for, go on"
        assert world.emulator.calls("subscription") == asked + 1
    with pytest.raises(TransportError if row.poll != "C" else CredentialsError) as caught:
        world.transport.poll(None)
    assert "canary" not in str(caught.value)
    if isinstance(caught.value, CredentialsError):
        assert (caught.value.exit_code, WHO in str(caught.value)) == (2, True)
    else:
        assert not caught.value.final, "what refuses a poll today may be gone tomorrow"
        assert isinstance(caught.value, NotProvisioned) == (row.poll == "N")
        assert row.poll == "N" or caught.value.retry_after == NINE
    world.emulator.clear_faults()
    world.emulator.text(SENDER, "still there")
    assert [one.text for one in world.transport.poll(None).messages] == ["still there"]


def test_every_documented_code_has_a_row() -> None:
    """A code that Telstra adds gets its row, or this fails."""
    rows = {(row.status, row.code.replace(" ", "_")) for row in V2}
    documented = {(status, code) for status, codes in V2_DOCUMENTED.items() for code in codes.split() or [""]}
    assert documented - rows == set()
    assert {row.code.upper() for row in V2} >= set(V2_CODES), "a code that is mapped and has no row"

    named = {
        (int(status), code)
        for operation in SHAPES["operations"].values()
        for status, codes in operation["errors"].items()
        for code in codes
    }
    assert len(named) > 35
    assert named - {(row.status, row.code) for row in V3} == set()
    assert {row.code for row in V3} >= set(V3_CODES) - {"SPIKEARREST"}
    assert {code for _, code in named} <= set(V3_CODES), "a code that only its status decides"


# The token address


@pytest.mark.parametrize("name", ["telstra_v2", "telstra_v3"])
@pytest.mark.parametrize(
    ("status", "error", "refused"),
    [
        (401, "invalid_client", True),
        (400, "invalid_client", True),
        (400, "unauthorized_client", True),
        (400, "access_denied", True),
        (400, "invalid_scope", True),
        (403, "access_denied", True),
        (400, "invalid_request", False),
        (400, "invalid_grant", False),
        (400, "unsupported_grant_type", False),
        (404, "canary", False),
        (429, "canary", False),
        (503, "temporarily_unavailable", False),
    ],
)
def test_what_the_token_address_says(
    worlds: Callable[[str], World], name: str, status: int, error: str, refused: bool
) -> None:
    world = worlds(name)
    body = json.dumps({"error": error, "error_description": "canary"})
    world.answers(Row(status, "", Sent, "", body=body), "token")
    with pytest.raises(CredentialsError if refused else TransportError) as caught:
        world.transport.poll(None)
    told = str(caught.value)
    assert str(status) in told
    assert (error in told) == (error != "canary")
    assert "canary" not in told
    result = world.transport.send(Outbound("sms", SENDER, "hello"))
    if refused:
        assert (WHO in told, isinstance(result, BadCredentials)) == (True, True)
    else:
        assert isinstance(result, RetryLater)
        assert result.after == NINE


# What the runtime makes of it


def test_who_opted_out_with_telstra_goes_into_our_ledger(
    worlds: Callable[[str], World], stopwatch: CompiledFlow
) -> None:
    world, store = worlds("telstra_v3"), open_store("memory")
    receiver = Receiver(store, world.transport, "sms", world.clock)
    processor = Processor(store, {"sms": ChannelFlows("sms", {"stopwatch": stopwatch}, "stopwatch")})
    deliverer = Deliverer(store, world.transport, "sms", world.clock)
    for text in ("START", "STOP", "TIME"):
        world.clock.advance(1)
        world.emulator.text(SENDER, text)
        drain([receiver], processor, [deliverer], world.clock)
    assert [row.status for row in store.outbox()] == [Status.SENT, Status.BLOCKED]
    assert world.emulator.calls("send") == 2, "the third text is not answered any more"
    store.close()


def test_a_number_that_v3_denies_is_rented_once_then_that_is_said(clock_and_no_number: World) -> None:
    world = clock_and_no_number
    world.transport.start()
    assert world.emulator.calls("numbers") == 2, "looked for, and rented"
    row = Row(400, "VIRTUAL_NUM_UNASSIGNED", RetryLater, "L")
    world.answers(row, "send")
    for _ in range(3):
        result = world.transport.send(Outbound("sms", SENDER, "hello"))
        assert isinstance(result, RetryLater)
        assert "our number" in result.reason
    assert world.emulator.calls("numbers") == 3, "looked for once more, not at every send"
    world.clock.advance(601)
    world.emulator.clear_faults()
    assert isinstance(world.transport.send(Outbound("sms", SENDER, "hello")), Sent)


@pytest.fixture
def clock_and_no_number() -> Iterator[World]:
    clock = FakeClock()
    with create_emulator("telstra_v3", clock, number=None) as emulator:
        transport = create("telstra_v3", channel="sms", clock=clock, environ=emulator.environ())
        yield World("telstra_v3", emulator, transport, clock)
        transport.close()
