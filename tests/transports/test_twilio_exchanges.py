"""Twilio's answers as recorded, one row an error; the validator of its own package judges signatures."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from convo.transports import twilio_answers
from convo.transports.base import BadCredentials, GiveUp, OptedOut, RetryLater, SendResult, Sent, Unknown
from convo.transports.http import Answer
from convo.transports.twilio_answers import is_signed, read_sent, signature

NOON = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)

ERRORS: list[tuple[int, int | None, str, type[SendResult]]] = [
    # the account, and who we say we are
    (401, 20003, "Authenticate", BadCredentials),
    (403, 20003, "Permission Denied", BadCredentials),
    (403, 20005, "Account not active", BadCredentials),
    (403, 20006, "Access Denied", BadCredentials),
    (403, 20008, "Resource not accessible with Test Account Credentials", BadCredentials),
    (404, 20404, "The requested resource was not found", BadCredentials),
    (401, None, "", BadCredentials),
    (403, 30002, "Account suspended", BadCredentials),
    # our number
    (400, 21212, "The 'From' number is not a valid phone number, shortcode, or alphanumeric", BadCredentials),
    (400, 21603, "A 'From' phone number is required", BadCredentials),
    (400, 21606, "The From phone number is not a valid, SMS-capable inbound phone number", BadCredentials),
    (400, 21607, "The 'from' phone number must be sandbox phone number for trial accounts", BadCredentials),
    (400, 21659, "'From' is not a Twilio phone number or short code", BadCredentials),
    (400, 21660, "Mismatch between the 'From' number and the account", BadCredentials),
    (400, 21661, "'From' number is not SMS-capable", BadCredentials),
    # later
    (429, 20429, "Too Many Requests", RetryLater),
    (429, 14107, "Message rate limit exceeded", RetryLater),
    (503, 20503, "Service unavailable", RetryLater),
    (429, 21611, "This 'From' number has exceeded the maximum number of queued messages", RetryLater),
    (429, 30001, "Queue overflow", RetryLater),
    (429, 30022, "US A2P 10DLC - Rate limits exceeded", RetryLater),
    (408, None, "", RetryLater),
    (429, None, "", RetryLater),
    (500, 20500, "Internal Server Error", RetryLater),
    (503, None, "", RetryLater),
    # nobody knows
    (502, None, "", Unknown),
    (504, None, "", Unknown),
    # the recipient
    (400, 21610, "Attempt to send to unsubscribed recipient", OptedOut),
    (400, 21211, "The 'To' number +61400000001 is not a valid phone number", GiveUp),
    (400, 21214, "'To' phone number cannot be reached", GiveUp),
    (400, 21408, "Permission to send an SMS has not been enabled for the region", GiveUp),
    (400, 21612, "The 'To' phone number is not currently reachable using the 'From' phone number", GiveUp),
    (400, 21614, "'To' number is not a valid mobile number", GiveUp),
    (400, 21635, "'To' number cannot be a landline", GiveUp),
    # the text
    (400, 21602, "Message body is required", GiveUp),
    (400, 21604, "A 'To' phone number is required", GiveUp),
    (400, 21617, "The concatenated message body exceeds the 1600 character limit", GiveUp),
    (400, 99999, "An error of next year", GiveUp),
    (400, None, "", GiveUp),
    (302, None, "", GiveUp),
]


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"), ERRORS, ids=[f"{status}-{code}" for status, code, *_ in ERRORS]
)
def test_an_error(status: int, code: int | None, message: str, kind: type[SendResult]) -> None:
    more = f"https://www.twilio.com/docs/errors/{code}"
    said = {"code": code, "message": f"{message} canary", "more_info": more, "status": status}
    body = json.dumps(said).encode() if code is not None else b"<html>canary</html>"
    result = read_sent(Answer(status, {"retry-after": "9"}, body), NOON)
    assert isinstance(result, kind)
    assert not isinstance(result, Sent)
    assert "canary" not in result.reason
    assert "+61" not in result.reason
    assert str(code if code is not None else status) in result.reason
    if isinstance(result, RetryLater):
        assert result.after == timedelta(seconds=9)


def test_every_code_that_we_know_has_a_row() -> None:
    known = {twilio_answers._OPTED_OUT}
    known |= twilio_answers._CREDENTIALS | twilio_answers._OUR_NUMBER | twilio_answers._LATER
    assert known <= {code for _, code, *_ in ERRORS}


CREATED = {
    "account_sid": "ACe0000000000000000000000000000000",
    "api_version": "2010-04-01",
    "body": "hello",
    "date_created": "Wed, 04 Mar 2026 02:00:00 +0000",
    "date_sent": None,
    "date_updated": "Wed, 04 Mar 2026 02:00:00 +0000",
    "direction": "outbound-api",
    "error_code": None,
    "error_message": None,
    "from": "+61491570157",
    "messaging_service_sid": None,
    "num_media": "0",
    "num_segments": "2",
    "price": None,
    "price_unit": "AUD",
    "sid": "SM00000000000000000000000000000001",
    "status": "queued",
    "to": "+61400000001",
    "uri": "/2010-04-01/Accounts/AC…/Messages/SM….json",
}


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({}, Sent(str(CREATED["sid"]), 2)),
        ({"num_segments": None}, Sent(str(CREATED["sid"]), None)),
        ({"num_segments": "many"}, Sent(str(CREATED["sid"]), None)),
        ({"sid": " "}, Unknown("Twilio answered 201, but not in a form we can read")),
        ({"sid": None}, Unknown("Twilio answered 201, but not in a form we can read")),
    ],
)
def test_a_text_that_was_taken(changes: dict[str, object], result: SendResult) -> None:
    assert read_sent(Answer(201, {}, json.dumps({**CREATED, **changes}).encode()), NOON) == result


# The judge: RequestValidator of the package twilio

TOKEN = "12345"
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
urls = st.builds(
    "{}://{}{}/{}{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["sms.example.com", "10.0.0.1", "a-b.example"]),
    st.sampled_from(["", ":80", ":443", ":8443"]),
    st.sampled_from(["", "sms", "hooks/sms/vBq1x9-Lm3Tz", "a%20b"]),
    st.sampled_from(["", "?a=1&b=2", "?a=%C3%A9"]),
)


@given(url=urls, form=st.dictionaries(names, values, max_size=6))
@settings(max_examples=300, deadline=None)
@example(
    url="https://mycompany.com/myapp.php?foo=1&bar=2",
    form={"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234"},
)
def test_the_validator_of_twilio_agrees(url: str, form: dict[str, str]) -> None:
    validator = RequestValidator(TOKEN)
    theirs = validator.compute_signature(url, form)
    assert signature(TOKEN, url, form.items()) == theirs
    ours = signature(TOKEN, url, form.items())
    assert validator.validate(url, form, ours)
    body = urlencode(form).encode()
    query = url.partition("?")[2]
    assert is_signed(TOKEN, url, query, body, list(form.items()), theirs)
    assert not is_signed("another", url, query, body, list(form.items()), theirs)
    assert not is_signed(TOKEN, url + "x", query, body, list(form.items()), theirs)


@given(url=urls, form=st.dictionaries(names, values, max_size=4), seen=urls, altered=st.booleans())
@settings(max_examples=300, deadline=None)
def test_it_judges_calls_of_other_addresses_and_forms_alike(
    url: str, form: dict[str, str], seen: str, altered: bool
) -> None:
    """Whatever address was signed and whatever address is seen, with or without a port."""
    given_ = RequestValidator(TOKEN).compute_signature(url, form)
    read = {**form, "Body": "forged"} if altered else form
    theirs = RequestValidator(TOKEN).validate(seen, read, given_)
    query = seen.partition("?")[2]
    assert is_signed(TOKEN, seen, query, urlencode(read).encode(), list(read.items()), given_) == theirs


@given(body=st.binary(max_size=60), altered=st.booleans())
@settings(max_examples=100, deadline=None)
def test_it_judges_bodies_that_are_no_forms_alike(body: bytes, altered: bool) -> None:
    from hashlib import sha256

    query = f"bodySHA256={sha256(body).hexdigest()}"
    url = f"https://sms.example.com/sms?{query}"
    given_ = RequestValidator(TOKEN).compute_signature(url, {})
    read = body + b"x" if altered else body
    theirs = RequestValidator(TOKEN).validate(url, read.decode("latin-1"), given_)
    # The package digests a text as UTF-8, so it is asked only of bodies that are the same either way.
    if read.isascii():
        assert is_signed(TOKEN, url, query, read, [], given_) == theirs
    assert is_signed(TOKEN, url, query, read, [], given_) == (not altered)


def test_one_name_with_several_values() -> None:
    from urllib.parse import parse_qs

    body = "Body=b&MediaUrl=2&MediaUrl=1&MediaUrl=2"
    form = parse_qs(body)
    pairs = [(name, each) for name, found in form.items() for each in found]
    url = "https://sms.example.com/sms"

    class Many(dict[str, list[str]]):
        def getall(self, name: str) -> list[str]:
            return self[name]

    assert signature(TOKEN, url, pairs) == RequestValidator(TOKEN).compute_signature(url, Many(form))
