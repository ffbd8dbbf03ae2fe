"""Twilio as the runtime uses it, against its stand-in: listing, sending, signed webhooks, reconciling."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from twilio.request_validator import RequestValidator

from convo.emulators.twilio import ACCOUNT, NUMBER, TwilioEmulator
from convo.errors import ConfigError, CredentialsError, TransportError
from convo.messages import Address, Outbound, Status
from convo.store import open_store
from convo.transports import create, twilio
from convo.transports.base import (
    GiveUp,
    OptedOut,
    PushRequest,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)
from convo.transports.http import Answer, Door
from convo.transports.twilio import OVERLAP, Settings, Twilio
from convo.transports.twilio_answers import Entry, signature
from convo.web import Hook, WebSettings, serve, webhook_app
from tests.web.conftest import call

NOON = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
SENDER = "+61400000001"
TOKEN = "emulated-auth-token"


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
def emulator(watch: Watch) -> Iterator[TwilioEmulator]:
    with TwilioEmulator(watch) as running:
        yield running


def connect(emulator: TwilioEmulator, watch: Watch, **environ: str) -> Twilio:
    made = Settings.from_environ({**emulator.environ(), **environ})
    return Twilio(made, channel="sms", clock=watch, door=Door(watch, timeout=(2.0, 0.3)))


@pytest.fixture
def transport(emulator: TwilioEmulator, watch: Watch) -> Iterator[Twilio]:
    made = connect(emulator, watch)
    made.start()
    yield made
    made.close()


def outbound(recipient: str = SENDER, text: str = "hello") -> Outbound:
    return Outbound("sms", Address(recipient), text)


# Settings


def test_all_missing_settings_are_named_at_once(watch: Watch) -> None:
    with pytest.raises(ConfigError, match="TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN and TWILIO_NUMBER"):
        create("twilio", channel="sms", clock=watch, environ={})


@pytest.mark.parametrize(
    ("name", "value"),
    [("TWILIO_ACCOUNT_SID", "../x"), ("TWILIO_NUMBER", "me"), ("TWILIO_BASE_URL", "http://example.com")],
)
def test_settings_that_make_no_sense(emulator: TwilioEmulator, watch: Watch, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        connect(emulator, watch, **{name: value})


def test_a_wrong_token_and_a_number_of_others(emulator: TwilioEmulator, watch: Watch) -> None:
    with pytest.raises(CredentialsError, match="TWILIO_AUTH_TOKEN") as caught:
        connect(emulator, watch, TWILIO_AUTH_TOKEN="canary-token").start()
    assert "canary" not in str(caught.value)
    with pytest.raises(ConfigError, match="TWILIO_NUMBER"):
        connect(emulator, watch, TWILIO_NUMBER="+61491570110").start()


# Listing


def test_each_text_is_handed_over_once_in_order(
    transport: Twilio, emulator: TwilioEmulator, watch: Watch
) -> None:
    cursor = transport.poll(None).cursor
    seen = []
    for number in range(6):
        emulator.text(SENDER, f"text {number}")
        if number % 2:
            watch.go_on(seconds=3)
            batch = transport.poll(cursor)
            seen += [one.text for one in batch.messages]
            cursor = batch.cursor
    assert seen == [f"text {number}" for number in range(6)]
    assert transport.poll(cursor).messages == ()


def test_what_was_there_before_the_first_poll_is_not_answered(
    transport: Twilio, emulator: TwilioEmulator, watch: Watch
) -> None:
    emulator.text(SENDER, "last week")
    watch.go_on(days=7)
    cursor = transport.poll(None).cursor
    watch.go_on(minutes=1)
    emulator.text(SENDER, "today")
    assert [one.text for one in transport.poll(cursor).messages] == ["today"]


def test_a_text_that_is_listed_late_is_found_by_the_overlap_and_known_ones_are_dropped(
    emulator: TwilioEmulator, watch: Watch
) -> None:
    store, first = open_store("memory"), connect(emulator, watch)
    cursor = first.poll(None).cursor
    watch.go_on(hours=1)
    emulator.text(SENDER, "newest")
    batch = first.poll(cursor)
    store.accept("sms", batch.messages, cursor=batch.cursor, now=watch.now())
    emulator.text(SENDER, "listed late", watch.now() - OVERLAP / 2)
    again = connect(emulator, watch).poll(store.cursor("sms"))  # another process: it knows the cursor only
    assert [one.text for one in again.messages] == ["listed late", "newest"]
    accepted = store.accept("sms", again.messages, cursor=again.cursor, now=watch.now())
    assert (accepted.new, accepted.duplicates) == (1, 1)
    store.close()
    first.close()


def test_a_busy_number_is_not_listed_whole_at_every_poll(
    transport: Twilio, emulator: TwilioEmulator, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    listed: list[int] = []
    read = twilio.read_entries

    def counted(answer: Answer) -> tuple[tuple[Entry, ...], str | None, tuple[str, ...]]:
        entries, path, odd = read(answer)
        listed.append(len(entries))
        return entries, path, odd

    monkeypatch.setattr(twilio, "read_entries", counted)
    cursor = None
    for number in range(300):
        watch.go_on(seconds=1)
        emulator.text(SENDER, f"text {number}")
        if number == 100:
            emulator.text(SENDER, "late", watch.now() - timedelta(seconds=60))
        batch = transport.poll(cursor)
        found += [one.text for one in batch.messages]
        cursor = batch.cursor
    assert len(found) == len(set(found)) == 301, "late ones are found within a minute, nothing comes twice"
    whole = [count for count in listed if count > 20]
    assert 3 <= len(whole) <= 6, "the whole overlap once a minute, a quarter of one in between"


@pytest.mark.parametrize("theirs", [-240, 240])
def test_clocks_that_differ_delay_no_text(
    transport: Twilio, emulator: TwilioEmulator, watch: Watch, theirs: int
) -> None:
    cursor = None
    for number in range(8):
        watch.go_on(seconds=1)
        emulator.text(SENDER, f"text {number}", watch.now() + timedelta(seconds=theirs))
        batch = transport.poll(cursor)
        assert [one.text for one in batch.messages] == [f"text {number}"]
        cursor = batch.cursor


def test_a_listing_of_many_pages(transport: Twilio, emulator: TwilioEmulator, watch: Watch) -> None:
    cursor = transport.poll(None).cursor
    for number in range(450):
        emulator.text(SENDER, f"{number}")
    batch = transport.poll(cursor)
    assert [one.text for one in batch.messages] == [f"{number}" for number in range(450)]
    assert emulator.calls("poll") == 1 + 3


@pytest.mark.parametrize("fault", ["drop", "half", "html", "cut", "hold", "lose", "spike"])
def test_a_poll_that_fails_loses_nothing(
    transport: Twilio, emulator: TwilioEmulator, watch: Watch, fault: str
) -> None:
    cursor = transport.poll(None).cursor
    emulator.text(SENDER, "hello")
    emulator.fault(fault, "poll")
    with pytest.raises(TransportError):
        transport.poll(cursor)
    assert [one.text for one in transport.poll(cursor).messages] == ["hello"]


def test_an_entry_that_makes_no_sense_is_set_aside_once(transport: Twilio, emulator: TwilioEmulator) -> None:
    page = json.dumps({"messages": [{"sid": 7}, "x"], "next_page_uri": None})
    emulator.fault("answer", "poll", times=2, status=200, body=page)
    first = transport.poll(None)
    assert len(first.unreadable) == 2
    assert transport.poll(first.cursor).unreadable == ()


def test_a_next_page_elsewhere_is_not_followed(transport: Twilio, emulator: TwilioEmulator) -> None:
    page = json.dumps({"messages": [], "next_page_uri": "@example.com/steal"})
    emulator.fault("answer", "poll", status=200, body=page)
    with pytest.raises(TransportError, match="none of this account"):
        transport.poll(None)


# Sending


def test_a_text_is_sent(transport: Twilio, emulator: TwilioEmulator) -> None:
    result = transport.send(outbound(text="é 😀 " * 40))
    (left,) = emulator.sent()
    assert result == Sent(left.message_id, 3)
    assert (left.sender, left.recipient, left.text) == (NUMBER, SENDER, "é 😀 " * 40)


@pytest.mark.parametrize(
    ("recipient", "kind", "code"),
    [
        ("+15005550001", GiveUp, "21211"),
        ("+15005550009", GiveUp, "21614"),
        ("+15005550003", GiveUp, "21408"),
        ("+15005550004", OptedOut, "21610"),
    ],
)
def test_recipients_that_are_refused(
    transport: Twilio, recipient: str, kind: type[SendResult], code: str
) -> None:
    result = transport.send(outbound(recipient))
    assert isinstance(result, kind)
    assert code in result.reason  # type: ignore[union-attr]


def test_after_stop_twilio_refuses_until_start(transport: Twilio, emulator: TwilioEmulator) -> None:
    emulator.text(SENDER, " stop ")
    assert isinstance(transport.send(outbound()), OptedOut)
    emulator.text(SENDER, "START")
    assert isinstance(transport.send(outbound()), Sent)


def test_a_line_that_breaks_around_a_send(transport: Twilio, emulator: TwilioEmulator) -> None:
    emulator.fault("lose", "send")
    assert isinstance(transport.send(outbound()), Unknown)
    emulator.stop()
    assert isinstance(transport.send(outbound()), RetryLater)


def test_an_unknown_send_is_found_in_the_list(
    transport: Twilio, emulator: TwilioEmulator, watch: Watch
) -> None:
    old = transport.send(outbound())
    assert isinstance(old, Sent)
    watch.go_on(seconds=5)
    since = watch.now()
    assert transport.find_sent(outbound(), since) is None
    emulator.fault("lose", "send")
    assert isinstance(transport.send(outbound()), Unknown)
    emulator.text(SENDER, "hello")
    found = transport.find_sent(outbound(), since)
    assert found is not None
    assert found.provider_id == emulator.sent()[1].message_id != old.provider_id
    assert transport.find_sent(outbound(), since, {found.provider_id}) is None
    assert transport.find_sent(outbound(text="other"), since) is None


# The webhook


def push(url: str, form: dict[str, str], *, sign: str | None = None, query: str = "") -> PushRequest:
    given = signature(TOKEN, url, form.items()) if sign is None else sign
    return PushRequest("POST", url, {"x-twilio-signature": given}, query, urlencode(form).encode())


FORM = {"MessageSid": "SM1", "From": SENDER, "To": NUMBER, "Body": "é 😀 TIME", "AccountSid": ACCOUNT}


@pytest.mark.parametrize(
    "seen", ["https://a.example.com/sms", "https://a.example.com:443/sms"], ids=["without port", "with port"]
)
def test_a_signed_push_is_read_whether_the_port_was_signed_or_not(transport: Twilio, seen: str) -> None:
    for signed_for in ("https://a.example.com/sms", "https://a.example.com:443/sms"):
        given = signature(TOKEN, signed_for, FORM.items())
        result = transport.received(push(seen, FORM, sign=given))
        assert (result.status, result.headers["Content-Type"]) == (200, "text/xml")
        (found,) = result.batch.messages
        assert (found.sender, found.text, found.provider_id) == (SENDER, "é 😀 TIME", "SM1")


@pytest.mark.parametrize("sign", ["", "AAAA", "é", "KiczoGnau4EOmjIbHw5jj3k/HWM="])
def test_a_push_without_the_right_signature_is_refused(transport: Twilio, sign: str) -> None:
    result = transport.received(push("https://a.example.com/sms", FORM, sign=sign))
    assert (result.status, result.batch.messages) == (403, ())


def test_a_push_that_was_altered_is_refused(transport: Twilio) -> None:
    url = "https://a.example.com/sms"
    good = signature(TOKEN, url, FORM.items())
    for form in ({**FORM, "Body": "other"}, {**FORM, "Extra": ""}, {"Body": "x"}):
        assert transport.received(push(url, form, sign=good)).status == 403
    for other in ("https://b.example.com/sms", "http://a.example.com/sms", url + "?x=1", "https://[", ""):
        assert transport.received(push(other, FORM, sign=good)).status == 403
    theirs = {**FORM, "AccountSid": "AC1111111111111111"}
    assert transport.received(push(url, theirs)).status == 403


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("sent", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("undelivered", Status.FAILED),
        ("failed", Status.FAILED),
    ],
)
def test_a_status_callback_is_a_receipt(transport: Twilio, word: str, status: Status) -> None:
    form = {"MessageSid": "SM9", "MessageStatus": word, "ErrorCode": "30007", "AccountSid": ACCOUNT}
    result = transport.received(push("https://a.example.com/sms", form))
    (receipt,) = result.batch.receipts
    assert (result.status, receipt.provider_id, receipt.status) == (204, "SM9", status)


def test_a_signed_push_that_says_nothing_known_is_set_aside(transport: Twilio) -> None:
    result = transport.received(
        push("https://a.example.com/sms", {"MessageSid": "SM9", "MessageStatus": "x"})
    )
    assert (result.status, len(result.batch.unreadable)) == (204, 1)


def test_by_push_with_replay_receipts_and_a_sweep(emulator: TwilioEmulator, watch: Watch) -> None:
    transport, store = connect(emulator, watch), open_store("memory")
    # The emulator signs the address it calls; a proxy would change it, and public_url puts it right.
    app = webhook_app([Hook("sms", transport)], store, watch, settings=WebSettings(receipt_again=()))
    with serve(app, port=0) as server:
        url = f"http://127.0.0.1:{server.port}/sms"
        transport.push_to(url)
        transport.start()
        assert emulator.sms_url == url
        cursor = transport.poll(None).cursor
        emulator.text(SENDER, "START", message_id="SM1")
        assert emulator.pusher.wait_until_idle(10)
        assert [row.text for row in store.inbox()] == ["START"]
        form = {"MessageSid": "SM1", "From": SENDER, "To": NUMBER, "Body": "START", "AccountSid": ACCOUNT}
        headers = {"X-Twilio-Signature": signature(TOKEN, url, form.items())}
        assert requests.post(url, data=form, headers=headers, timeout=10).status_code == 200
        assert requests.post(url, data=form, timeout=10).status_code == 403
        swept = transport.poll(cursor)
        assert store.accept("sms", swept.messages, cursor=None, now=watch.now()).new == 0
        assert len(store.inbox()) == 1
        assert isinstance(transport.send(outbound()), Sent)
        assert emulator.pusher.wait_until_idle(10)
        assert [status for _, status in emulator.pusher.answers()] == [200, 204, 204]
    store.close()
    transport.close()


def test_polled_pushed_and_polled_again_with_texts_in_flight(emulator: TwilioEmulator, watch: Watch) -> None:
    """Each is in the inbox once, whichever way it came, and the number is set as configured."""
    store, first = open_store("memory"), connect(emulator, watch)
    app = webhook_app([Hook("sms", first)], store, watch)

    def poll(transport: Twilio) -> None:
        watch.go_on(seconds=5)
        batch = transport.poll(store.cursor("sms"))
        store.accept("sms", batch.messages, cursor=batch.cursor, now=watch.now())

    with serve(app, port=0) as server:
        url = f"http://127.0.0.1:{server.port}/sms"
        first.start()
        poll(first)
        emulator.text(SENDER, "polled")
        poll(first)
        emulator.text(SENDER, "waiting at the switch")
        second = connect(emulator, watch)
        second.push_to(url)
        second.start()
        watch.go_on(seconds=5)
        emulator.text(SENDER, "pushed")
        assert emulator.pusher.wait_until_idle(10)
        poll(second)
        emulator.text(SENDER, "pushed and stored before the switch back")
        assert emulator.pusher.wait_until_idle(10)
        third = connect(emulator, watch)
        third.push_to(None)
        third.start()
        assert emulator.sms_url == ""
        watch.go_on(seconds=5)
        emulator.text(SENDER, "polled again")
        poll(third)
        poll(third)
    assert sorted(row.text for row in store.inbox()) == sorted(each.text for each in emulator._texts)
    assert len(store.inbox()) == 5
    for each in (first, second, third):
        each.close()
    store.close()


FORWARDED = {
    "x-forwarded-proto": "https",
    "x-forwarded-host": "sms.example.com",
    "x-forwarded-for": "54.1.2.3",
}


@pytest.mark.parametrize(
    ("client", "headers", "given", "status"),
    [
        ("10.0.0.1", FORWARDED, {"proxies": ("10.0.0.0/8",)}, 200),
        ("10.0.0.1", {}, {"public_url": "https://sms.example.com"}, 200),
        ("10.0.0.1", FORWARDED, {"public_url": "https://other.example.com"}, 403),
        ("10.0.0.1", FORWARDED, {}, 403),
        ("203.0.113.9", FORWARDED, {"proxies": ("10.0.0.0/8",)}, 403),
    ],
    ids=["a proxy of ours", "the public url", "another public url", "no proxy named", "a stranger"],
)
def test_a_signature_behind_a_proxy_that_changes_scheme_and_host(
    transport: Twilio,
    watch: Watch,
    client: str,
    headers: dict[str, str],
    given: dict[str, Any],
    status: int,
) -> None:
    """Twilio signed https://sms.example.com/sms?a=1; we are called as http://10.0.0.7:8080/sms?a=1."""
    store = open_store("memory")
    app = webhook_app([Hook("sms", transport)], store, watch, settings=WebSettings(**given))
    signed = RequestValidator(TOKEN).compute_signature("https://sms.example.com/sms?a=1", FORM)
    sent = {"host": "10.0.0.7:8080", "x-twilio-signature": signed, **headers}
    scope: dict[str, object] = {
        "path": "/sms",
        "query_string": b"a=1",
        "scheme": "http",
        "client": (client, 5),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    assert call(app, scope, urlencode(FORM).encode()) == status
    assert len(store.inbox()) == (status == 200)
    store.close()


def test_the_webhook_of_the_number_changes_only_as_configured(emulator: TwilioEmulator, watch: Watch) -> None:
    emulator.sms_url = "https://someone.example.com/theirs"
    connect(emulator, watch).start()
    pushed = connect(emulator, watch)
    pushed.push_to("https://ours.example.com/sms")
    with pytest.raises(ConfigError, match="someone") as caught:
        pushed.start()
    assert "theirs" not in str(caught.value)
    assert emulator.sms_url == "https://someone.example.com/theirs"
    for before in ("", "https://demo.twilio.com/welcome/sms/reply", "https://ours.example.com/old"):
        emulator.sms_url = before
        pushed.start()
        assert emulator.sms_url == "https://ours.example.com/sms"
    polled = connect(emulator, watch)
    polled.push_to(None)
    polled.start()
    assert emulator.sms_url == ""
