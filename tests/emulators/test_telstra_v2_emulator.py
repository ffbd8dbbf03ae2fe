"""The stand-in of Telstra v2, spoken to as a stranger would: plain HTTP, no code of our transport."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from convo.emulators.telstra_v2 import NUMBER, TelstraV2Emulator
from convo.errors import ConfigError

NOON = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)


class Watch:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment

    def go_on(self, **time: float) -> None:
        self.moment += timedelta(**time)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def emulator(watch: Watch) -> Iterator[TelstraV2Emulator]:
    with TelstraV2Emulator(watch) as running:
        yield running


class Caller:
    """A program that knows Telstra's description and nothing else."""

    def __init__(self, emulator: TelstraV2Emulator) -> None:
        self.url = emulator.url
        self.emulator = emulator
        self.token = ""

    def raw(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        request = urllib.request.Request(self.url + path, data=body, method=method)
        request.add_header("Content-Type", kind)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, _read(answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, _read(refusal.read())

    def __call__(self, method: str, path: str, said: object = None) -> tuple[int, Any]:
        return self.raw(method, path, None if said is None else json.dumps(said).encode())

    def fetch_token(self, **form: str) -> tuple[int, Any]:
        settings = self.emulator.environ()
        whole = {
            "client_id": settings["TELSTRA_CLIENT_ID"],
            "client_secret": settings["TELSTRA_CLIENT_SECRET"],
            "grant_type": "client_credentials",
            **form,
        }
        body = urllib.parse.urlencode(whole).encode()
        status, said = self.raw("POST", "/v2/oauth/token", body, "application/x-www-form-urlencoded")
        if status == 200:
            self.token = said["access_token"]
        return status, said


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


@pytest.fixture
def call(emulator: TelstraV2Emulator) -> Caller:
    caller = Caller(emulator)
    caller.fetch_token()
    return caller


SUBSCRIPTIONS = "/v2/messages/provisioning/subscriptions"
SMS = "/v2/messages/sms"


@pytest.mark.parametrize("scope", [{}, {"scope": "NSMS"}])
def test_a_token_has_three_keys_and_its_life_is_text(
    emulator: TelstraV2Emulator, scope: dict[str, str]
) -> None:
    status, said = Caller(emulator).fetch_token(**scope)
    assert status == 200
    assert set(said) == {"access_token", "token_type", "expires_in"}
    assert said["expires_in"] == "3599"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_bad_credentials(emulator: TelstraV2Emulator, form: dict[str, str], status: int, error: str) -> None:
    got, said = Caller(emulator).fetch_token(**form)
    assert (got, said["error"]) == (status, error)


def test_without_a_token_or_with_an_expired_one_nothing_is_done(call: Caller, watch: Watch) -> None:
    assert call("POST", SUBSCRIPTIONS, {})[0] == 201
    watch.go_on(seconds=3599)
    status, said = call("GET", SMS)
    assert status == 401
    assert set(said) == {"status", "code", "message"}
    call.token = ""
    assert call("GET", SMS)[0] == 401


def test_the_subscription_and_the_three_meanings_of_notify_url(call: Caller, watch: Watch) -> None:
    assert call("GET", SUBSCRIPTIONS)[1]["code"] == "RESOURCE-NOT-FOUND"
    status, said = call("POST", SUBSCRIPTIONS, {})
    assert (status, said["destinationAddress"], said["activeDays"]) == (201, NUMBER, "30")
    assert isinstance(said["expiryDate"], int)
    assert call("GET", SUBSCRIPTIONS)[1]["notifyURL"] is None
    call("POST", SUBSCRIPTIONS, {"activeDays": 1, "notifyURL": "https://example.com/x"})
    call("POST", SUBSCRIPTIONS, {"activeDays": 1})
    status, said = call("GET", SUBSCRIPTIONS)
    assert (said["notifyURL"], said["activeDays"]) == ("https://example.com/x", "32")
    call("POST", SUBSCRIPTIONS, {"activeDays": 1, "notifyURL": None})
    assert call("GET", SUBSCRIPTIONS)[1]["notifyURL"] is None
    assert call("POST", SUBSCRIPTIONS, {"activeDays": 1825})[0] == 409
    assert call("DELETE", SUBSCRIPTIONS, {"emptyArr": 0}) == (204, b"")
    assert call("GET", SUBSCRIPTIONS)[0] == 404


def test_the_days_of_a_subscription_run_out(call: Caller, watch: Watch) -> None:
    call("POST", SUBSCRIPTIONS, {"activeDays": 2})
    watch.go_on(days=2)
    call.fetch_token()
    assert call("GET", SMS)[1]["code"] == "NOT-PROVISIONED"
    assert call("GET", SUBSCRIPTIONS)[0] == 404


def test_a_poll_reads_once_oldest_first_and_tolerates_a_body(
    call: Caller, emulator: TelstraV2Emulator
) -> None:
    call("POST", SUBSCRIPTIONS, {})
    emulator.text("+61400000001", "first ")
    emulator.text("+61400000002", "second", sent_at=None, message_id="")
    status, said = call("GET", SMS, {})
    assert (status, said["status"], said["message"]) == (200, "RECEIVED", "first ")
    assert said["sentTimestamp"] == "2026-03-04T12:00:00+10:00"
    _, second = call("GET", SMS)
    assert (second["messageId"], "sentTimestamp" in second) == ("", False)
    assert call("GET", SMS) == (200, {"status": "EMPTY"})


def test_while_replies_are_pushed_a_poll_finds_nothing(call: Caller, emulator: TelstraV2Emulator) -> None:
    call("POST", SUBSCRIPTIONS, {"notifyURL": "https://example.com/x"})
    emulator.text("+61400000001", "hello")
    assert call("GET", SMS)[1] == {"status": "EMPTY"}
    call("POST", SUBSCRIPTIONS, {"notifyURL": None})
    assert call("GET", SMS)[1]["message"] == "hello"


def test_sending(call: Caller, emulator: TelstraV2Emulator, watch: Watch) -> None:
    call("POST", SUBSCRIPTIONS, {})
    status, said = call("POST", SMS, {"to": ["0400000001", "+61400000002"], "body": "x" * 161})
    assert status == 201
    assert [one["to"] for one in said["messages"]] == ["+61400000001", "+61400000002"]
    assert (said["Country"], said["messageType"], said["numberSegments"]) == ([{"AUS": 2}], "SMS", 2)
    first = said["messages"][0]
    assert set(first) == {"to", "deliveryStatus", "messageId", "messageStatusURL"}
    path = f"{SMS}/{first['messageId']}/status"
    assert call("GET", path)[1][0]["deliveryStatus"] == "PEND"
    watch.go_on(seconds=2)
    assert call("GET", path)[1][0]["deliveryStatus"] == "DELIVRD"
    assert call("GET", f"{SMS}/nothing/status")[1]["code"] == "OLD-NONEXISTANT-MESSAGE-ID"
    assert [text.sender for text in emulator.sent()] == [NUMBER, NUMBER]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"to": "+61400000001"}, "BODY-MISSING"),
        ({"to": "+61400000001", "body": "x" * 1901}, "BODY-TOO-LONG"),
        ({"to": ["+61400000001", "+61400000002"], "body": "x" * 501}, "BODY-TOO-LONG"),
        ({"to": ["+61400000001"] * 11, "body": "x"}, "TOO MANY DESTINATIONS"),
        ({"to": "+61400000001", "body": "x", "from": "+61400000009"}, "DELIVERY-IMPOSSIBLE"),
        ({"to": "+61400000001", "body": "x", "from": "ABCDEFGHIJKLMNOP"}, "FROM-MSISDN-TOO-LONG"),
        ({"to": "+614000000010000000000000", "body": "x"}, "TO-MSISDN-TOO-LONG"),
    ],
)
def test_what_cannot_be_sent(call: Caller, emulator: TelstraV2Emulator, said: object, code: str) -> None:
    call("POST", SUBSCRIPTIONS, {})
    status, answer = call("POST", SMS, said)
    assert (status, answer["code"]) == (400, code)
    assert emulator.sent() == ()


def test_a_bad_number_is_refused_in_the_shape_of_a_success(call: Caller) -> None:
    call("POST", SUBSCRIPTIONS, {})
    status, said = call("POST", SMS, {"to": "12", "body": "x"})
    assert (status, said["messages"][0]["code"]) == (400, "TO-MSISDN-NOT-VALID")
    assert "messageId" not in said["messages"][0]


def test_no_number_no_sending_and_json_that_is_none(call: Caller) -> None:
    assert call("POST", SMS, {"to": "+61400000001", "body": "x"})[1]["code"] == "DELIVERY-IMPOSSIBLE"
    assert call.raw("POST", SMS, b"to=1")[0] == 500
    assert call("GET", "/v2/nowhere")[0] == 404


def test_too_fast(watch: Watch) -> None:
    with TelstraV2Emulator(watch, calls_per_second=2) as emulator:
        call = Caller(emulator)
        call.fetch_token()
        call("POST", SUBSCRIPTIONS, {})
        status, said = call("GET", SMS)
        assert (status, said["code"]) == (403, "SpikeArrest")
        watch.go_on(seconds=1)
        assert call("GET", SMS)[0] == 200


def test_the_phone(call: Caller, emulator: TelstraV2Emulator) -> None:
    call("POST", SUBSCRIPTIONS, {})
    assert (
        call("POST", "/phone/texts", {"from": "+61400000001", "text": "hi", "sent_at": "long ago"})[0] == 201
    )
    assert call("GET", SMS)[1]["sentTimestamp"] == "long ago"
    call("POST", SMS, {"to": "+61400000001", "body": "ho"})
    _, said = call("GET", "/phone/sent?after=0&wait=1")
    assert [(one["to"], one["text"]) for one in said["sent"]] == [("+61400000001", "ho")]
    assert call("POST", "/phone/faults", {"kind": "answer", "on": "poll", "status": 503})[0] == 201
    assert call("GET", SMS)[0] == 503
    assert call("GET", SMS)[0] == 200
    call("POST", "/phone/faults", {"kind": "html", "times": 0})
    assert call("GET", SMS)[1].startswith(b"<!DOCTYPE")
    assert call("DELETE", "/phone/faults")[0] == 204
    assert call("GET", SMS)[0] == 200


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/phone/texts", {}),
        ("/phone/texts", {"from": 1, "text": "x"}),
        ("/phone/texts", {"from": "1", "text": "x", "sent_at": 5}),
        ("/phone/texts", []),
        ("/phone/faults", {"kind": "nonsense"}),
        ("/phone/faults", {"kind": "slow", "seconds": "x"}),
        ("/phone/faults", {"kind": "answer", "status": 7}),
        ("/phone/faults", {"kind": "drop", "surprise": 1}),
    ],
)
def test_the_phone_refuses_nonsense(call: Caller, path: str, said: object) -> None:
    assert call("POST", path, said)[0] == 400


def test_a_taken_port_is_a_setting_to_mend(emulator: TelstraV2Emulator, watch: Watch) -> None:
    port = int(emulator.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=r"cannot listen on .*: address already in use"):
        TelstraV2Emulator(watch, port=port).start()


def test_stop_ends_answers_that_are_held(emulator: TelstraV2Emulator) -> None:
    call = Caller(emulator)
    call.fetch_token()
    emulator.fault("hold", on="poll")
    ended: list[str] = []

    def ask() -> None:
        try:
            call("GET", SMS)
        except OSError:
            ended.append("broken")

    thread = threading.Thread(target=ask)
    thread.start()
    assert emulator.wait_for_calls("poll", 1, 5)
    emulator.stop()
    thread.join(5)
    assert ended == ["broken"]
