"""Telstra v2 as the runtime uses it, against its stand-in on this machine, whole answers and broken ones."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convo import transports
from convo.cli.transport import command as transport_command
from convo.emulators.telstra_v2 import NUMBER, TelstraV2Emulator
from convo.errors import ConfigError, ConvoError, CredentialsError, NotProvisioned, TransportError
from convo.messages import Address, Inbound, Outbound, Status, Unreadable
from convo.transports.base import BadCredentials, Batch, GiveUp, RetryLater, SendResult, Sent, Unknown
from convo.transports.http import Door
from convo.transports.telstra_v2 import KEEP, Settings, TelstraV2, create
from convo.transports.telstra_v2_answers import normal, read_stamp

NOON = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
SENDER = "+61400000001"


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


@pytest.fixture
def transport(emulator: TelstraV2Emulator, watch: Watch) -> Iterator[TelstraV2]:
    made = connect(emulator, watch)
    made.start()
    yield made
    made.close()


def connect(emulator: TelstraV2Emulator, watch: Watch, **environ: str) -> TelstraV2:
    made = Settings.from_environ({**emulator.environ(), **environ})
    return TelstraV2(made, channel="sms", clock=watch, door=Door(watch, timeout=(2.0, 0.3)))


def outbound(recipient: str = SENDER, text: str = "hello") -> Outbound:
    return Outbound("sms", Address(recipient), text)


def drain(transport: TelstraV2) -> list[Inbound]:
    found: list[Inbound] = []
    while True:
        batch = transport.poll(None)
        found += batch.messages
        if not batch.more:
            return found


# Settings


def test_all_missing_settings_are_named_at_once(watch: Watch) -> None:
    with pytest.raises(ConfigError, match="TELSTRA_CLIENT_ID and TELSTRA_CLIENT_SECRET"):
        create(channel="sms", clock=watch, environ={"TELSTRA_CLIENT_ID": " "})
    with pytest.raises(ConfigError, match="variable TELSTRA_CLIENT_SECRET"):
        transports.create("telstra_v2", channel="sms", clock=watch, environ={"TELSTRA_CLIENT_ID": "x"})


@pytest.mark.parametrize(
    "url",
    [
        "tapi.telstra.com",
        "ftp://x",
        "http://example.com/v2",
        "https://me:you@example.com",
        "https://[",
        "https://x:y",
    ],
)
def test_an_address_that_a_secret_must_not_go_to(watch: Watch, url: str) -> None:
    environ = {"TELSTRA_CLIENT_ID": "a", "TELSTRA_CLIENT_SECRET": "b", "TELSTRA_BASE_URL": url}
    with pytest.raises(ConfigError, match="TELSTRA_BASE_URL"):
        create(channel="sms", clock=watch, environ=environ)


def test_a_name_nobody_knows(watch: Watch) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'telstra_v[23]'"):
        transports.create("telstra_v", channel="sms", clock=watch, environ={})
    assert "telstra_v2" in transports.names()


def test_naming_transports_does_not_import_them() -> None:
    code = "import sys, convo.transports as t; t.names(); print('requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_number_of_the_settings_must_be_the_accounts(emulator: TelstraV2Emulator, watch: Watch) -> None:
    other = connect(emulator, watch, TELSTRA_NUMBER="0491570157")
    with pytest.raises(ConfigError, match="TELSTRA_NUMBER") as caught:
        other.start()
    assert NUMBER not in str(caught.value)
    other.close()


# Polling


def test_one_message_a_poll_until_empty(transport: TelstraV2, emulator: TelstraV2Emulator) -> None:
    emulator.text(SENDER, "START ")
    emulator.text("+61400000002", "TIME", "2019-03-04T15:33:10+10:00")
    before = emulator.calls("poll")
    batch = transport.poll("kept")
    assert emulator.calls("poll") == before + 1
    assert (len(batch.messages), batch.more, batch.cursor) == (1, True, "kept")
    message = batch.messages[0]
    assert (message.sender, message.recipient, message.text) == (SENDER, NUMBER, "START ")
    assert (message.sent_at, message.received_at, message.channel) == (NOON, NOON, "sms")
    assert json.loads(message.raw)["message"] == "START "
    assert transport.poll(None).messages[0].sent_at == datetime(2019, 3, 4, 5, 33, 10, tzinfo=UTC)
    assert transport.poll(None) == Batch()


def test_blank_ids_are_no_ids(transport: TelstraV2, emulator: TelstraV2Emulator) -> None:
    emulator.text(SENDER, "one", message_id="")
    emulator.text(SENDER, "two", message_id="A" * 40 + "-1261400000001")
    emulator.text(SENDER, "three")
    assert [one.provider_id for one in drain(transport)] == ["", "", "DMASApiA0000000003"]


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("2018-04-20T14:24:35", datetime(2018, 4, 20, 4, 24, 35, tzinfo=UTC)),
        ("2018-04-20T14:24:35Z", datetime(2018, 4, 20, 14, 24, 35, tzinfo=UTC)),
        ("2018-04-20T14:24:35.5+1000", datetime(2018, 4, 20, 4, 24, 35, 500000, tzinfo=UTC)),
        ("2018-04-20", None),
        ("20180420", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday", None),
        ("2018-13-45T99:00:00", None),
        ("", None),
        (None, None),
        (1524198275, None),
        ({}, None),
    ],
)
def test_stamps(stamp: object, moment: datetime | None) -> None:
    assert read_stamp(stamp) == moment


@pytest.mark.parametrize(
    ("number", "address"),
    [
        ("0400000001", "+61400000001"),
        ("61400000001", "+61400000001"),
        ("+61 400 000 001", "+61400000001"),
        ("+14155550100", "+14155550100"),
        ("199123", "199123"),
        ("Telstra", "Telstra"),
        ("1800FLOWER", "1800FLOWER"),
        ("+000000000", "+000000000"),
    ],
)
def test_numbers(number: str, address: str) -> None:
    assert normal(number) == address


GOOD = {
    "status": "RECEIVED",
    "destinationAddress": NUMBER,
    "senderAddress": SENDER,
    "message": "START",
    "messageId": "DMASApiA0000000146",
    "sentTimestamp": "2019-03-04T15:33:10+10:00",
}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<html>hello</html>", "not JSON"),
        ('{"status":"RECEI', "not JSON"),
        ("", "not JSON"),
        ("[]", "no JSON object"),
        ('"EMPTY"', "no JSON object"),
        ("{}", "no sender"),
        (json.dumps({**GOOD, "senderAddress": None}), "no sender"),
        (json.dumps({**GOOD, "senderAddress": 61400000001}), "no sender"),
        (json.dumps({**GOOD, "message": None}), "no text"),
        (json.dumps({**GOOD, "message": ["START"]}), "no text"),
        ("[" * 100_000, "not JSON"),
        (b'{"message": "\xff\xfe caf\xe9"}', "not JSON"),
    ],
)
def test_a_200_that_is_not_understood_is_kept(
    transport: TelstraV2, emulator: TelstraV2Emulator, body: str | bytes, reason: str
) -> None:
    emulator.fault("answer", on="poll", status=200, body=body)
    batch = transport.poll(None)
    assert (batch.messages, batch.more) == ((), False)
    assert reason in batch.unreadable[0].reason
    whole = body if isinstance(body, bytes) else body.encode()
    assert batch.unreadable[0].raw.encode("latin-1" if isinstance(body, bytes) else "utf-8") == whole


@pytest.mark.parametrize("missing", ["destinationAddress", "messageId", "sentTimestamp", "status"])
def test_what_a_message_can_do_without(
    transport: TelstraV2, emulator: TelstraV2Emulator, missing: str
) -> None:
    said = {name: value for name, value in GOOD.items() if name != missing}
    emulator.fault("answer", on="poll", status=200, body=json.dumps(said))
    message = transport.poll(None).messages[0]
    assert (message.text, message.sender, message.recipient) == ("START", SENDER, NUMBER)


def test_half_surrogates_do_not_reach_the_store(transport: TelstraV2, emulator: TelstraV2Emulator) -> None:
    emulator.fault(
        "answer", on="poll", status=200, body=json.dumps({**GOOD, "message": "\ud83d x \U0001f600"})
    )
    message = transport.poll(None).messages[0]
    assert message.text == "\ufffd x \U0001f600"
    message.raw.encode()


@pytest.mark.parametrize("kind", ["half", "cut", "html"])
def test_broken_bodies_of_a_poll_are_kept(
    transport: TelstraV2, emulator: TelstraV2Emulator, kind: str
) -> None:
    emulator.text(SENDER, "START")
    emulator.fault(kind, on="poll")
    assert transport.poll(None).unreadable[0].raw


def test_a_huge_answer_is_cut(emulator: TelstraV2Emulator, transport: TelstraV2) -> None:
    emulator.fault("answer", on="poll", status=200, body="x" * 3_000_000)
    unreadable = transport.poll(None).unreadable[0]
    assert len(unreadable.raw) == 1_000_000


@pytest.mark.parametrize(
    ("fault", "final", "wait"),
    [
        ({"kind": "drop"}, False, None),
        ({"kind": "hold"}, False, None),
        ({"kind": "spike"}, False, None),
        ({"kind": "answer", "status": 500, "body": "<html>"}, False, None),
        ({"kind": "answer", "status": 503, "headers": {"Retry-After": "7"}}, False, 7),
        (
            {"kind": "answer", "status": 429, "headers": {"Retry-After": "Wed, 04 Mar 2026 02:00:30 GMT"}},
            False,
            30,
        ),
        ({"kind": "answer", "status": 503, "headers": {"Retry-After": "soon"}}, False, None),
        ({"kind": "answer", "status": 503, "headers": {"Retry-After": "99999999999"}}, False, 86400),
        ({"kind": "answer", "status": 302, "headers": {"Location": "https://example.com/"}}, False, None),
        ({"kind": "answer", "status": 405}, False, None),
        ({"kind": "answer", "status": 400, "body": "flagged as containing suspicious content"}, False, None),
        ({"kind": "answer", "status": 204}, False, None),
    ],
)
def test_a_poll_that_fails_is_a_transport_error_and_the_next_one_works(
    transport: TelstraV2, emulator: TelstraV2Emulator, fault: dict[str, Any], final: bool, wait: int | None
) -> None:
    emulator.fault(on="poll", **fault)
    with pytest.raises(TransportError) as caught:
        transport.poll(None)
    assert type(caught.value) is TransportError
    assert caught.value.final is final
    assert caught.value.retry_after == (None if wait is None else timedelta(seconds=wait))
    emulator.text(SENDER, "START")
    assert len(drain(transport)) == 1


def test_nobody_listens(emulator: TelstraV2Emulator, transport: TelstraV2) -> None:
    emulator.stop()
    with pytest.raises(TransportError, match="no connection: connection refused"):
        transport.poll(None)
    assert isinstance(transport.send(outbound()), RetryLater)


def test_a_number_lost_is_asked_for_once_then_said(
    transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch
) -> None:
    transport.delete_subscription()
    assert transport.poll(None) == Batch(more=True)
    assert transport.poll(None) == Batch()
    emulator.fault("answer", on="poll", times=0, status=400, body='{"code": "NOT-PROVISIONED"}')
    before = emulator.calls("subscription")
    assert transport.poll(None).more
    for _ in range(3):
        with pytest.raises(NotProvisioned):
            transport.poll(None)
    assert emulator.calls("subscription") == before + 1
    watch.go_on(minutes=10)
    assert transport.poll(None).more


def test_a_slow_answer_and_one_given_twice(transport: TelstraV2, emulator: TelstraV2Emulator) -> None:
    emulator.text(SENDER, "START")
    emulator.fault("slow", on="poll", seconds=0.05)
    assert len(transport.poll(None).messages) == 1
    emulator.text(SENDER, "STOP")
    emulator.fault("repeat", on="poll")
    first, second = drain(transport)
    assert (first.key, first.text) == (second.key, second.text)


def test_a_poll_whose_answer_is_lost_has_taken_the_text(
    transport: TelstraV2, emulator: TelstraV2Emulator
) -> None:
    """What v2 cannot promise: reading is destructive, so a lost answer is a lost text."""
    emulator.text(SENDER, "START")
    emulator.fault("lose", on="poll")
    with pytest.raises(TransportError):
        transport.poll(None)
    assert drain(transport) == []


# Tokens


def test_a_token_is_renewed_at_nine_tenths_of_its_life(
    transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch
) -> None:
    assert emulator.calls("token") == 1
    watch.go_on(seconds=3239)
    transport.poll(None)
    assert emulator.calls("token") == 1
    watch.go_on(seconds=1)
    transport.poll(None)
    transport.poll(None)
    assert emulator.calls("token") == 2


def test_thirty_days_of_tokens(transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch) -> None:
    for _ in range(29 * 48):
        watch.go_on(minutes=30)
        assert transport.poll(None) == Batch()
    assert emulator.calls("token") <= 29 * 24 + 1


@pytest.mark.parametrize("life", ['"3599"', "3599", '"soon"', "null", '"nan"', '"inf"', "-5", "1e300", "{}"])
def test_odd_lives_of_a_token(emulator: TelstraV2Emulator, watch: Watch, life: str) -> None:
    emulator.fault("answer", on="token", status=200, body=f'{{"access_token": "t", "expires_in": {life}}}')
    emulator.fault("answer", on="poll", times=0, status=200, body='{"status": "EMPTY"}')
    transport = connect(emulator, watch)
    transport.poll(None)
    transport.poll(None)
    assert emulator.calls("token") == 1
    transport.close()


def test_a_token_that_is_refused_is_renewed_once(transport: TelstraV2, emulator: TelstraV2Emulator) -> None:
    emulator.fault("unauthorized", on="poll")
    assert transport.poll(None) == Batch()
    assert emulator.calls("token") == 2
    emulator.fault("answer", on="poll", times=2, status=401)
    with pytest.raises(CredentialsError, match="TELSTRA_CLIENT_SECRET"):
        transport.poll(None)
    assert emulator.calls("token") == 3


def test_many_threads_renew_once(transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch) -> None:
    watch.go_on(hours=2)
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait(5)
        transport.poll(None)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert emulator.calls("token") == 2


def test_wrong_credentials(emulator: TelstraV2Emulator, watch: Watch) -> None:
    transport = connect(emulator, watch, TELSTRA_CLIENT_SECRET="canary-secret")
    with pytest.raises(CredentialsError, match="TELSTRA_CLIENT_ID") as caught:
        transport.start()
    assert "canary" not in str(caught.value)
    assert isinstance(transport.send(outbound()), BadCredentials)
    transport.close()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "answer", "status": 503},
        {"kind": "answer", "status": 403, "body": "SpikeArrest"},
        {"kind": "answer", "status": 200, "body": "<html>"},
        {"kind": "answer", "status": 200, "body": '{"access_token": "bad\\r\\nheader"}'},
        {"kind": "answer", "status": 200, "body": '{"access_token": 5}'},
        {"kind": "drop"},
        {"kind": "hold"},
    ],
)
def test_no_token_this_time(emulator: TelstraV2Emulator, watch: Watch, fault: dict[str, Any]) -> None:
    transport = connect(emulator, watch)
    emulator.fault(on="token", times=2, **fault)
    with pytest.raises(TransportError, match="token"):
        transport.poll(None)
    assert isinstance(transport.send(outbound()), RetryLater)
    transport.start()
    transport.close()


# Sending


def test_sending(transport: TelstraV2, emulator: TelstraV2Emulator) -> None:
    result = transport.send(outbound(text="ça va? \U0001f600"))
    sent = emulator.sent()[0]
    assert result == Sent(sent.message_id, 1)
    assert (sent.recipient, sent.text, sent.sender) == (SENDER, "ça va? \U0001f600", NUMBER)


def refusal(code: str, message: str = "") -> str:
    return json.dumps({"status": "400", "code": code, "message": message})


IMPOSSIBLE = json.dumps(
    {"messages": [{"to": SENDER, "deliveryStatus": "DeliveryImpossible", "code": "TO-MSISDN-NOT-VALID"}]}
)


@pytest.mark.parametrize(
    ("kind", "result", "left"),
    [
        ("drop", Unknown, 0),
        ("lose", Unknown, 1),
        ("hold", Unknown, 1),
        ("half", Unknown, 1),
        ("cut", Unknown, 1),
    ],
)
def test_a_line_that_breaks_after_asking_leaves_it_unknown(
    transport: TelstraV2, emulator: TelstraV2Emulator, kind: str, result: type[SendResult], left: int
) -> None:
    emulator.fault(kind, on="send")
    assert type(transport.send(outbound())) is result
    assert len(emulator.sent()) == left


@pytest.mark.parametrize("code", ["DELIVERY-IMPOSSIBLE", "NOT-PROVISIONED", "RESOURCE-NOT-FOUND"])
def test_a_send_without_a_number_asks_for_one_and_tries_again(watch: Watch, code: str) -> None:
    status = 404 if code == "RESOURCE-NOT-FOUND" else 400
    with TelstraV2Emulator(watch, unprovisioned=(status, code)) as emulator:
        transport = connect(emulator, watch)
        assert isinstance(transport.send(outbound()), Sent)
        assert len(emulator.sent()) == 1
        transport.close()


def test_a_recipient_that_cannot_be_reached_adds_no_days(
    transport: TelstraV2, emulator: TelstraV2Emulator
) -> None:
    emulator.fault("answer", on="send", times=0, status=400, body=refusal("DELIVERY-IMPOSSIBLE"))
    for _ in range(3):
        assert isinstance(transport.send(outbound()), GiveUp)
    held = transport.subscription()
    assert held is not None
    assert held.active_days == 30


# Receipts, by the status call


def test_what_became_of_a_send_is_asked_after_ten_seconds_and_told_once(
    transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch
) -> None:
    result = transport.send(outbound())
    assert isinstance(result, Sent)
    assert transport.poll(None) == Batch()
    assert emulator.calls("status") == 0
    watch.go_on(seconds=10)
    batch = transport.poll("kept")
    told = [(one.channel, one.provider_id, one.status, one.at) for one in batch.receipts]
    assert (told, batch.cursor) == ([("sms", result.provider_id, Status.DELIVERED, NOON)], "kept")
    watch.go_on(hours=1)
    assert transport.poll(None) == Batch()
    assert emulator.calls("status") == 1


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("DELIVRD", Status.DELIVERED),
        ("READ", Status.DELIVERED),
        ("EXPIRED", Status.EXPIRED),
        ("DELETED", Status.FAILED),
        ("UNDVBL", Status.FAILED),
        ("REJECTED", Status.FAILED),
        ("REJECTD", Status.FAILED),
    ],
)
def test_every_final_status(
    transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch, word: str, status: Status
) -> None:
    transport.send(outbound())
    watch.go_on(seconds=10)
    emulator.fault("answer", on="status", status=200, body=json.dumps([{"deliveryStatus": word}]))
    assert [one.status for one in transport.poll(None).receipts] == [status]


def test_statuses_that_stay_open_are_asked_ever_more_seldom_and_given_up(
    transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch
) -> None:
    transport.send(outbound())
    emulator.fault("answer", on="status", times=0, status=200, body='[{"deliveryStatus": "PEND"}]')
    for _ in range(3600):
        watch.go_on(seconds=1)
        assert transport.poll(None) == Batch()
    assert emulator.calls("status") <= 12
    for _ in range(3 * 24):
        watch.go_on(hours=1)
        transport.poll(None)
    asked = emulator.calls("status")
    watch.go_on(hours=1)
    transport.poll(None)
    assert emulator.calls("status") == asked


def test_one_question_a_poll_and_none_before_a_text(
    transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch
) -> None:
    for number in range(3):
        transport.send(outbound(text=str(number)))
    watch.go_on(seconds=30)
    emulator.text(SENDER, "START")
    assert transport.poll(None).receipts == ()
    assert emulator.calls("status") == 0, "texts come first"
    found = [transport.poll(None).receipts for _ in range(4)]
    assert [len(one) for one in found] == [1, 1, 1, 0]


@pytest.mark.parametrize("kind", ["spike", "drop", "hold", "html"])
def test_a_question_that_fails_holds_up_no_text(
    transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch, kind: str
) -> None:
    transport.send(outbound())
    watch.go_on(seconds=10)
    emulator.fault(kind, on="status")
    assert transport.poll(None) == Batch()
    emulator.text(SENDER, "START")
    assert len(transport.poll(None).messages) == 1
    watch.go_on(seconds=61)
    assert [one.status for one in transport.poll(None).receipts] == [Status.DELIVERED]


def test_a_message_that_telstra_does_not_know_is_let_go(
    transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch
) -> None:
    transport.send(outbound())
    watch.go_on(seconds=10)
    emulator.fault("answer", on="status", status=404, body=refusal("OLD-NONEXISTANT-MESSAGE-ID"))
    for _ in range(3):
        assert transport.poll(None) == Batch()
        watch.go_on(hours=1)
    assert emulator.calls("status") == 1


def test_pushed_receipts_are_not_asked_for(emulator: TelstraV2Emulator, watch: Watch) -> None:
    transport = connect(emulator, watch)
    transport.push_to("http://127.0.0.1:9/x")
    transport.start()
    transport.send(outbound())
    watch.go_on(seconds=60)
    for _ in range(4):
        transport.poll(None)
    assert emulator.calls("status") == 0
    transport.close()


# The subscription


def test_the_three_meanings_of_notify_url(transport: TelstraV2, emulator: TelstraV2Emulator) -> None:
    def replies_go_to() -> str | None:
        held = transport.subscription()
        assert held is not None
        return held.notify_url

    transport.set_subscription("https://example.com")
    assert replies_go_to() == "https://example.com/"
    transport.set_subscription(KEEP, 30)
    assert replies_go_to() == "https://example.com/"
    emulator.text(SENDER, "START")
    assert drain(transport) == []
    transport.set_subscription(None)
    assert replies_go_to() is None
    assert len(drain(transport)) == 1
    transport.delete_subscription()
    assert transport.subscription() is None
    for url in ("example.com", "", "https://["):
        with pytest.raises(ConfigError):
            transport.set_subscription(url)
    with pytest.raises(ConfigError):
        transport.set_subscription(active_days=0)


def test_start_stops_with_advice_where_replies_are_pushed(
    transport: TelstraV2, emulator: TelstraV2Emulator
) -> None:
    transport.set_subscription("https://example.com/x")
    with pytest.raises(ConfigError, match="convo transport telstra_v2 subscription poll"):
        transport.start()
    held = transport.subscription()
    assert held is not None
    assert held.notify_url == "https://example.com/x"


def test_start_adds_days_only_when_they_run_low(transport: TelstraV2, watch: Watch) -> None:
    def days() -> int | None:
        held = transport.subscription()
        assert held is not None
        return held.active_days

    transport.start()
    assert days() == 30
    watch.go_on(days=23)
    transport.start()
    assert days() == 37


def test_start_goes_on_where_no_more_days_are_given(
    transport: TelstraV2, emulator: TelstraV2Emulator, watch: Watch
) -> None:
    watch.go_on(days=25)
    transport.subscription()
    emulator.fault(
        "answer",
        on="subscription",
        status=200,
        body='{"destinationAddress": "0491570156", "activeDays": "5"}',
    )
    emulator.fault("answer", on="subscription", status=409, body=refusal("Active Days Max"))
    transport.start()


@pytest.mark.parametrize("status", [404, 405])
def test_start_that_gets_no_number_is_final(emulator: TelstraV2Emulator, watch: Watch, status: int) -> None:
    transport = connect(emulator, watch)
    emulator.fault("answer", on="subscription", status=404)
    emulator.fault("answer", on="subscription", status=status)
    with pytest.raises(TransportError) as caught:
        transport.start()
    assert caught.value.final
    transport.close()


def test_the_commands(emulator: TelstraV2Emulator) -> None:
    def run(*words: str) -> str:
        result = CliRunner(env=emulator.environ()).invoke(
            transport_command, ["telstra_v2", "subscription", *words], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    assert "there is no subscription" in run("show")
    assert NUMBER in run("keep")
    assert "https://example.com/x" in run("push", "https://example.com/x")
    assert "https://example.com/x" in run("keep", "--days", "1")
    assert "wait to be polled" in run("poll")
    assert "days left" in run("show")
    assert "deleted" in run("delete", "--yes")
    assert "there is no subscription" in run("show")


# Anything at all

ODD: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just([])
    | st.just({"a": [1]})
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A good answer with members changed or gone, then bytes changed, cut or added."""
    good: dict[str, Any] = draw(
        st.sampled_from([GOOD, {"status": "EMPTY"}, json.loads(IMPOSSIBLE), {"code": "X"}])
    )
    said = {name: draw(ODD) if draw(st.integers(0, 3)) == 0 else value for name, value in good.items()}
    said = {name: value for name, value in said.items() if draw(st.integers(0, 5))}
    whole = json.dumps(said).encode()
    return draw(
        st.sampled_from([whole, whole[: draw(st.integers(0, len(whole)))], draw(st.binary(max_size=50))])
    )


def test_mutated_answers_give_only_our_errors(transport: TelstraV2, emulator: TelstraV2Emulator) -> None:
    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        bodies(), st.integers(200, 599), st.sampled_from(["text/html", "application/json; charset=utf-16"])
    )
    def explore(body: bytes, status: int, kind: str) -> None:
        for on in ("poll", "send", "subscription", "token"):
            emulator.clear_faults()
            if on == "token":
                emulator.fault("unauthorized")
            emulator.fault("answer", on, times=0, status=status, body=body, headers={"Content-Type": kind})
            try:
                batch = transport.poll(None)
                if on == "poll" and status == 200:
                    assert len(batch.messages) + len(batch.unreadable) == 1 or b"EMPTY" in body
                for one in batch.messages:
                    one.text.encode()
                    assert one.sender
                assert all(isinstance(one, Unreadable) for one in batch.unreadable)
            except ConvoError:
                assert on != "poll" or status != 200
            assert isinstance(transport.send(outbound()), SendResult)
            with contextlib.suppress(ConvoError):
                transport.start()
        emulator.clear_faults()
        emulator.text(SENDER, "still alive")
        assert [one.text for one in drain(transport)][-1:] == ["still alive"]

    explore()


def test_a_silent_server_and_one_that_drips(watch: Watch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v2"
        environ = {"TELSTRA_CLIENT_ID": "a", "TELSTRA_CLIENT_SECRET": "b", "TELSTRA_BASE_URL": url}
        door = Door(watch, timeout=(0.2, 0.2))
        transport = TelstraV2(Settings.from_environ(environ), channel="sms", clock=watch, door=door)
        with pytest.raises(TransportError, match="in time"):
            transport.poll(None)
        transport.close()
        transport.close()
        with pytest.raises(TransportError, match="closed"):
            transport.poll(None)


def test_a_body_that_drips_ends(watch: Watch) -> None:
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not stop.wait(0.001):
                watch.go_on(seconds=10)
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        door = Door(watch, timeout=(2.0, 2.0), total=60)
        answer = door.exchange("GET", f"http://127.0.0.1:{server.getsockname()[1]}/")
        stop.set()
        thread.join(5)
        door.close()
    assert getattr(answer, "complete", None) is False


# Secrets


def test_no_secret_number_or_text_is_logged_or_shown(
    emulator: TelstraV2Emulator, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    transport = connect(emulator, watch)
    held = Settings.from_environ(emulator.environ())
    transport.start()
    emulator.text(SENDER, "canary-text")
    emulator.fault("unauthorized", on="poll")
    batch = transport.poll(None)
    transport.delete_subscription()
    results = [transport.send(outbound(text="canary-text"))]
    for kind in ("drop", "lose", "half", "spike"):
        emulator.fault(kind, on="send")
        results.append(transport.send(outbound(text="canary-text")))
    shown = caplog.text + "".join(map(repr, [transport, held, batch, results[1:]]))
    for canary in ("emulated-client", "canary-text", "Bearer", SENDER, NUMBER):
        assert canary not in shown
    transport.close()


def test_netrc_and_proxies_do_not_meddle(
    emulator: TelstraV2Emulator, watch: Watch, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", os.fspath(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    transport = connect(emulator, watch)
    transport.start()
    assert transport.poll(None) == Batch()
    transport.close()
