"""The stand-in of Telstra v3, spoken to as a stranger would: plain HTTP, no code of our transport.

Every answer of every test is held against ``telstra_v3_shapes.json``: names, types, bounds and codes of
Telstra's description of 3.x, as data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests

from convo.emulators.base import LoopbackServer, Request, Response
from convo.emulators.telstra_v3 import NUMBER, REACHED_AFTER, TelstraV3Emulator
from convo.emulators.telstra_v3_wire import Paging, stamp_of
from convo.errors import ConfigError
from convo.testing import FakeClock

DESCRIBED = json.loads(Path(__file__).with_name("telstra_v3_shapes.json").read_text(encoding="utf-8"))
OURS = "0491570158"
ANNA = "+61400000001"
HEADERS = {
    "Accept": "application/json",
    "Accept-Charset": "utf-8",
    "Content-Language": "en-au",
    "Content-Type": "application/json",
}
ALL = "messages:read messages:write virtual-numbers:read virtual-numbers:write"


def described(method: str, path: str) -> Mapping[str, Any] | None:
    """Return what the description says of a call."""
    for name, said in DESCRIBED["operations"].items():
        verb, _, template = name.partition(" ")
        if verb == method and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path):
            found: Mapping[str, Any] = said
            return found
    return None


def check(method: str, path: str, answer: requests.Response) -> None:
    """See that an answer is one of those that the description knows."""
    said = described(method, path)
    status = str(answer.status_code)
    assert answer.headers.get("Content-Language") == "en-au" or status == "204"
    if status[0] == "2":
        assert said is not None
        shape = said["success"][status]
        if shape is None:
            assert not answer.content
            return
        body = answer.json()
        # What a page without messages looks like the description leaves open: it wants one at least.
        if body.get("messages") == []:
            body = {**body, "messages": [{}]}
        jsonschema.validate(body, {**shape, "shapes": DESCRIBED["shapes"]})
        return
    jsonschema.validate(
        answer.json(),
        {**DESCRIBED["shapes"]["Errors"], "required": ["errors"], "shapes": DESCRIBED["shapes"]},
    )
    for each in answer.json()["errors"]:
        known = (said or {"errors": {"404": ["RESOURCE_NOT_FOUND"], "405": ["METHOD_INVALID"]}})["errors"]
        assert each["code"] in known.get(status, ())


class Caller:
    """A program that knows Telstra's description and nothing else."""

    def __init__(self, emulator: TelstraV3Emulator, scope: str = ALL) -> None:
        self.emulator = emulator
        self.token = ""
        self.fetch_token(scope=scope)

    def fetch_token(self, **form: str) -> requests.Response:
        held = self.emulator.environ()
        whole = {
            "client_id": held["TELSTRA_CLIENT_ID"],
            "client_secret": held["TELSTRA_CLIENT_SECRET"],
            "grant_type": "client_credentials",
            **form,
        }
        answer = requests.post(held["TELSTRA_TOKEN_URL"], data=whole, timeout=5)
        self.token = answer.json().get("access_token", "")
        return answer

    def __call__(
        self, method: str, path: str, said: object = None, *, headers: Mapping[str, str] = HEADERS
    ) -> tuple[int, Any]:
        answer = requests.request(
            method,
            self.emulator.environ()["TELSTRA_BASE_URL"] + path,
            data=None if said is None else json.dumps(said) if not isinstance(said, str) else said,
            headers={**headers, "Authorization": f"Bearer {self.token}"},
            timeout=5,
        )
        check(method, path.partition("?")[0], answer)
        return answer.status_code, answer.json() if answer.content else None

    def refused(self, method: str, path: str, said: object = None) -> tuple[int, str, str]:
        """Return status, code and field of a refusal."""
        status, body = self(method, path, said)
        return status, body["errors"][0]["code"], body["errors"][0].get("field", "")

    def send(self, **said: object) -> tuple[int, Any]:
        return self("POST", "/messages", {"to": "0400000001", "from": OURS, "messageContent": "hi", **said})

    def listed(self, query: str = "direction=incoming") -> list[str]:
        return [one["messageContent"] for one in self("GET", f"/messages?{query}")[1]["messages"]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def emulator(clock: FakeClock) -> Iterator[TelstraV3Emulator]:
    with TelstraV3Emulator(clock) as running:
        yield running


@pytest.fixture
def call(emulator: TelstraV3Emulator) -> Caller:
    return Caller(emulator)


# Tokens


def test_a_token_has_three_keys_and_its_life_is_text(call: Caller) -> None:
    said = call.fetch_token(scope=ALL)
    assert (said.status_code, set(said.json())) == (200, {"access_token", "token_type", "expires_in"})
    assert said.json()["expires_in"] == "3599"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "NSMS"}, 400, "invalid_scope"),
    ],
)
def test_a_token_that_is_refused(call: Caller, form: dict[str, str], status: int, error: str) -> None:
    answer = call.fetch_token(**form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_tokens_that_are_unknown_old_or_not_good_for_it(
    emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    call = Caller(emulator, "messages:read")
    assert call("GET", "/health-check") == (200, {"status": "up"})
    assert call.listed() == []
    assert call.refused("POST", "/messages", {})[:2] == (403, "INSUFFICIENT_SCOPE")
    assert call.refused("GET", "/virtual-numbers")[:2] == (403, "INSUFFICIENT_SCOPE")
    clock.advance(3599)
    assert call.refused("GET", "/messages")[:2] == (401, "TOKEN_EXPIRED")
    call.token = "nonsense"
    assert call.refused("GET", "/messages")[:2] == (401, "TOKEN_INVALID")


def test_paths_and_methods_that_there_are_not(call: Caller) -> None:
    assert call.refused("GET", "/nothing")[:2] == (404, "RESOURCE_NOT_FOUND")
    assert call.refused("DELETE", "/messages")[:2] == (405, "METHOD_INVALID")


@pytest.mark.parametrize("missing", HEADERS)
def test_headers_are_insisted_on_where_that_is_wanted(clock: FakeClock, missing: str) -> None:
    with TelstraV3Emulator(clock, strict_headers=True) as emulator:
        call = Caller(emulator)
        assert call.listed() == []
        fewer = {name: value for name, value in HEADERS.items() if name != missing} | {missing: ""}
        status, said = call("GET", "/messages", headers=fewer)
        assert (status, said["errors"][0]["field"]) == (400, missing.lower())
        assert call("GET", "/health-check", headers={"Accept": "application/json"})[0] == 200


# Virtual numbers


def test_what_is_left_out_of_a_number_is_wiped(call: Caller) -> None:
    whole = {"replyCallbackUrl": "https://example.com/x", "tags": ["one", "two"]}
    status, rented = call("POST", "/virtual-numbers", whole)
    path = f"/virtual-numbers/{rented['virtualNumber']}"
    assert (status, {**whole, **rented}) == (201, rented)
    assert call("GET", path) == (200, rented)
    assert call("PUT", path, {"tags": ["one"]}) == (
        200,
        {"virtualNumber": rented["virtualNumber"], "tags": ["one"]},
    )
    assert call("PUT", path, whole) == (200, rented)
    assert call("PUT", path, {"replyCallbackUrl": "https://example.com/x"})[1]["tags"] == []
    assert len(call("GET", "/virtual-numbers")[1]["virtualNumbers"]) == 2
    found = call("GET", f"/virtual-numbers?filter={OURS}")[1]["virtualNumbers"]
    assert [one["virtualNumber"] for one in found] == [OURS]
    assert call("DELETE", path) == (204, None)
    assert call.refused("GET", path)[:2] == (400, "VIRTUAL_NUM_UNASSIGNED")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("0400000000", 404, "VIRTUAL_NUM_UNKNOWN"), ("me", 400, "VIRTUAL_NUM_INVALID")],
)
@pytest.mark.parametrize("of", ["", "/optouts"])
def test_numbers_of_nobody(call: Caller, path: str, status: int, code: str, of: str) -> None:
    assert call.refused("GET", f"/virtual-numbers/{path}{of}")[:2] == (status, code)


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ({"replyCallbackUrl": "example.com"}, "FIELD_INVALID", "replyCallbackUrl"),
        ({"tags": ["x"] * 11}, "TAGS_ERR", "tags"),
        ({"tags": "x"}, "TAGS_ERR", "tags"),
        ("[]", "FIELD_INVALID", ""),
    ],
)
def test_numbers_that_are_refused(call: Caller, said: object, code: str, field: str) -> None:
    assert call.refused("POST", "/virtual-numbers", said) == (400, code, field)
    assert call.refused("PUT", f"/virtual-numbers/{OURS}", said) == (400, code, field)


def test_an_account_has_so_many_numbers(clock: FakeClock) -> None:
    with TelstraV3Emulator(clock, number=None, most_numbers=1) as emulator:
        assert "TELSTRA_NUMBER" not in emulator.environ()
        call = Caller(emulator)
        assert call("GET", "/virtual-numbers")[1]["virtualNumbers"] == []
        assert call("POST", "/virtual-numbers", {})[0] == 201
        assert call.refused("POST", "/virtual-numbers", {})[:2] == (402, "ACCOUNT_LIMIT_ERROR")
        assert emulator.environ()["TELSTRA_NUMBER"] == NUMBER


# Sending


def test_a_send_is_queued_then_sent_or_what_became_of_it(
    call: Caller, emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    status, said = call.send(tags=["a", "b"])
    assert (status, said["status"], said["to"], said["from"]) == (201, "queued", "0400000001", OURS)
    assert emulator.sent()[0].recipient == ANNA
    path = f"/messages/{said['messageId']}"
    assert call("GET", path)[1]["status"] == "queued"
    clock.advance(REACHED_AFTER.total_seconds())
    found = call("GET", path)[1]
    assert (found["status"], found["tags"], found["direction"]) == ("sent", ["a", "b"], "outgoing")
    emulator.fate("+14155550100", "undeliverable")
    far = call.send(to="+14155550100")[1]["messageId"]
    clock.advance(1)
    assert call("GET", f"/messages/{far}")[1]["status"] == "undeliverable"
    assert call.listed("direction=outgoing&filter=b&status=sent") == ["hi"]
    assert call.refused("GET", "/messages/0")[:2] == (400, "ID_NOT_ASSIGNED")
    assert call("GET", f"/virtual-numbers/{OURS}")[1]["lastUse"] == stamp_of(
        clock.now() - timedelta(seconds=1)
    )


def test_several_recipients_have_ids_of_their_own(call: Caller, emulator: TelstraV3Emulator) -> None:
    ids = call.send(to=["0400000001", "+14155550100"])[1]["messageId"]
    assert [one.message_id for one in emulator.sent()] == ids
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ({"to": None}, "FIELD_MISSING", "to"),
        ({"from": ""}, "FIELD_MISSING", "from"),
        ({"messageContent": None}, "FIELD_MISSING", "messageContent"),
        ({"messageContent": 5}, "FIELD_INVALID", "messageContent"),
        ({"messageContent": "x" * 1601}, "FIELD_LENGTH_ERR", "messageContent"),
        ({"to": "12"}, "FIELD_INVALID", "to"),
        ({"to": ["0400000001", 7]}, "FIELD_INVALID", "to"),
        ({"from": "0400000009"}, "FIELD_INVALID", "from"),
        ({"from": "Telstra"}, "SENDERNAME_ERR", "from"),
        ({"tags": ["x" * 65]}, "TAGS_ERR", "tags"),
        ({"deliveryNotification": True}, "FIELD_MISSING", "statusCallbackUrl"),
    ],
)
def test_sends_that_are_refused(
    call: Caller, emulator: TelstraV3Emulator, said: dict[str, object], code: str, field: str
) -> None:
    whole = {"to": "0400000001", "from": OURS, "messageContent": "hi", **said}
    assert call.refused("POST", "/messages", whole) == (400, code, field)
    assert emulator.sent() == ()


@pytest.mark.parametrize("word", ["STOP", "stopall", "Unsubscribe ", "QUIT", "END", "CANCEL"])
def test_who_says_stop_can_be_written_to_no_more(
    call: Caller, emulator: TelstraV3Emulator, word: str
) -> None:
    emulator.text(ANNA, word)
    whole = {"to": "0400000001", "from": OURS, "messageContent": "hi"}
    assert call.refused("POST", "/messages", whole) == (400, "RECIPIENT_OPTOUT", "to")
    assert call.send(to="0400000002")[0] == 201
    said = call("GET", f"/virtual-numbers/{OURS}/optouts")[1]
    assert [one["optoutNumber"] for one in said["recipientOptouts"]] == ["0400000001"]
    assert call.listed() == [word]
    emulator.opt_in(ANNA)
    assert call.send()[0] == 201


def test_a_stop_that_we_are_not_shown(clock: FakeClock) -> None:
    with TelstraV3Emulator(clock, lists_stop=False) as emulator:
        emulator.text(ANNA, "STOP")
        call = Caller(emulator)
        assert call.listed() == []
        assert call.send()[0] == 400


# Listing


def test_listing_takes_nothing_away_and_is_cut_in_pages(
    call: Caller, emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    texts = [f"text {number}" for number in range(23)]
    for text in texts:
        clock.advance(1)
        emulator.text(ANNA, text)
    assert call.listed() == texts[:10]
    first = call("GET", "/messages?direction=incoming&limit=10")[1]["paging"]
    assert (first["totalCount"], "previousPage" in first) == (3, False)
    second = first["nextPage"].partition("/messages?")[2]
    assert call.listed(second) == texts[10:20]
    assert call.listed("direction=incoming&limit=50&offset=20") == texts[20:]
    assert call.listed("direction=incoming&limit=50&reverse=true") == texts[::-1]
    since = stamp_of(clock.now() - timedelta(seconds=2))
    assert call.listed(f"direction=incoming&startTime={since}") == texts[-3:]
    assert call.listed(f"direction=incoming&endTime={stamp_of(clock.now())}&limit=1") == texts[:1]
    clock.advance(31 * 86400)
    call.fetch_token(scope=ALL)
    assert call.listed() == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=51", "limit"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("direction=both", "direction"),
        ("status=lost", "status"),
        ("startTime=2020-01-01T00:00:00.000Z", "startTime"),
        ("startTime=soon", "startTime"),
        ("endTime=2020-01-01", "endTime"),
    ],
)
def test_queries_that_make_no_sense(call: Caller, query: str, field: str) -> None:
    assert call.refused("GET", f"/messages?{query}") == (400, "FIELD_INVALID", field)


def test_pages_as_other_descriptions_have_them(clock: FakeClock) -> None:
    paging = Paging(counts_pages=True, longest=3, empty="absent")
    with TelstraV3Emulator(clock, paging=paging, newest_first=True, knows_start=False) as emulator:
        call = Caller(emulator)
        assert "messages" not in call("GET", "/messages")[1]
        for number in range(5):
            clock.advance(1)
            emulator.text(ANNA, f"text {number}")
        assert call.listed("offset=0&limit=50") == ["text 4", "text 3", "text 2"]
        assert call.listed("offset=1&limit=50") == ["text 1", "text 0"]
        assert call.refused("GET", f"/messages?startTime={stamp_of(clock.now())}")[1] == "FIELD_INVALID"


def test_a_picture_has_no_words(call: Caller, emulator: TelstraV3Emulator) -> None:
    emulator.text(ANNA, "")
    said = call("GET", "/messages?direction=incoming")[1]["messages"][0]
    assert "messageContent" not in said
    assert said["multimedia"][0]["type"] == "image/jpeg"


# Pushes, faults and the phone


def test_replies_and_states_are_pushed_until_they_are_taken(
    call: Caller, emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    got: list[dict[str, object]] = []

    def hook(request: Request) -> Response:
        got.append(json.loads(request.body))
        return Response(500 if len(got) == 1 else 200)

    with LoopbackServer(hook) as ours:
        call("PUT", f"/virtual-numbers/{OURS}", {"replyCallbackUrl": f"{ours.url}/x"})
        given = emulator.text(ANNA, "hello")
        assert emulator.pusher.wait_until_idle(5)
        emulator.pusher.retry_now()
        assert emulator.pusher.wait_until_idle(5)
        reply = {"to": OURS, "from": "0400000001", "messageId": given, "messageContent": "hello"}
        assert got == [{**reply, "timestamp": stamp_of(clock.now())}] * 2
        left = call.send(deliveryNotification=True, statusCallbackUrl=f"{ours.url}/y")[1]["messageId"]
        assert emulator.pusher.wait_until_idle(5)
        assert [(one["messageId"], one["status"]) for one in got[2:]] == [(left, "sent"), (left, "delivered")]
        clock.advance(1)
        assert call("GET", f"/messages/{left}")[1]["status"] == "delivered"


def test_states_that_a_trial_is_not_told(clock: FakeClock) -> None:
    with TelstraV3Emulator(clock, pushes_status=False) as emulator:
        whole = {"to": "0400000001", "from": OURS, "messageContent": "hi", "deliveryNotification": True}
        assert Caller(emulator).refused(
            "POST", "/messages", {**whole, "statusCallbackUrl": "http://127.0.0.1/x"}
        ) == (400, "FIELD_INVALID", "deliveryNotification")


def test_faults_and_too_many_calls(clock: FakeClock) -> None:
    with TelstraV3Emulator(clock, calls_per_second=2) as emulator:
        call = Caller(emulator)
        assert call.listed() == []
        assert call.refused("GET", "/messages")[:2] == (429, "TOO_MANY_REQUESTS")
        clock.advance(1)
        emulator.fault("unauthorized", on="poll")
        assert call.refused("GET", "/messages?direction=incoming")[:2] == (401, "TOKEN_INVALID")
        emulator.fault("answer", on="status", status=500, body="x")
        url = f"{emulator.url}/messaging/v3/messages"
        assert requests.get(f"{url}?direction=outgoing", timeout=5).status_code == 500


def test_the_phone_is_plain_http(emulator: TelstraV3Emulator, call: Caller) -> None:
    def phone(method: str, path: str, said: object = None) -> tuple[int, Any]:
        answer = requests.request(method, f"{emulator.url}/phone/{path}", json=said, timeout=5)
        return answer.status_code, answer.json() if answer.content else None

    assert phone("POST", "texts", {"from": ANNA, "text": "START", "id": "7"}) == (201, {"id": "7"})
    call.send()
    sent = phone("GET", "sent?after=0&wait=1")[1]["sent"]
    assert [(one["from"], one["to"], one["text"]) for one in sent] == [(NUMBER, ANNA, "hi")]
    assert phone("POST", "faults", {"kind": "drop", "on": "send"})[0] == 201
    assert phone("DELETE", "faults")[0] == 204
    for bad in ({"from": 5, "text": "x"}, {"text": "x"}, "x"):
        assert phone("POST", "texts", bad)[0] == 400
    assert phone("POST", "faults", {"kind": "nonsense"})[0] == 400
    assert phone("GET", "nothing")[0] == 404


def test_a_port_that_is_taken(emulator: TelstraV3Emulator, clock: FakeClock) -> None:
    port = int(emulator.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=str(port)):
        TelstraV3Emulator(clock, port=port).start()
