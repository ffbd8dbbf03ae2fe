"""The transport ``generic``: two described providers against loopback stand-ins, and bad descriptions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from convo.cli import main
from convo.cli.transport_check import command as check_command
from convo.emulators.base import LoopbackServer, Request, Response, json_response
from convo.errors import ConfigError, ConvoError, CredentialsError, TransportError
from convo.messages import Address, Outbound, Status
from convo.runtime.config import ConfigProblems
from convo.runtime.provider import read_description
from convo.runtime.provider_values import CODES
from convo.testing import FakeClock
from convo.transports import create
from convo.transports.base import (
    BadCredentials,
    GiveUp,
    OptedOut,
    PushRequest,
    PushResult,
    RetryLater,
    Sent,
    Transport,
    Unknown,
)

PROVIDERS = Path(__file__).parents[2] / "examples" / "providers"
SENDER, OURS = "+61400000001", "+61491570156"
KEY = "a-signing-key-of-tests"


class Provider:
    """Keeps what it was asked, and answers what the test says; listing newest first, two a page."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.listed: list[dict[str, str]] = []
        self.answers: list[Response] = []

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        if self.answers:
            return self.answers.pop(0)
        if request.path == "/inbounds":
            since, page = request.query["start_date"], int(request.query["page"])
            found = [one for one in reversed(self.listed) if one["received_at"] >= since]
            return json_response(200, {"inbounds": found[page * 2 : page * 2 + 2]})
        return json_response(201 if request.path == "/batches" else 202, {"id": f"sent-{len(self.asked)}"})

    def text(self, text: str, at: datetime) -> None:
        self.listed.append(
            {
                "id": f"in-{len(self.listed)}",
                "type": "mo_text",
                "from": SENDER[1:],
                "to": OURS[1:],
                "body": text,
                "received_at": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            }
        )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def url(provider: Provider) -> Iterator[str]:
    with LoopbackServer(provider.answer) as server:
        yield server.url


def made(name: str, url: str, clock: FakeClock) -> Transport:
    environ = {
        "GENERIC_DESCRIPTION": str(PROVIDERS / f"{name}.yaml"),
        "GENERIC_BASE_URL": url,
        "GENERIC_NUMBER": OURS,
        "ANDROID_GATEWAY_USER": "user",
        "ANDROID_GATEWAY_PASSWORD": "canary-password",
        "ANDROID_GATEWAY_SIGNING_KEY": KEY,
        "SINCH_API_TOKEN": "canary-token",
    }
    return create("generic", channel="sms", clock=clock, environ=environ)


def outbound(text: str = "hello") -> Outbound:
    return Outbound("sms", Address(SENDER), text, id=7)


# Sinch: polled by listing


def test_each_listed_text_comes_once_in_order_over_pages(
    provider: Provider, url: str, clock: FakeClock
) -> None:
    sinch = made("sinch", url, clock)
    cursor = sinch.poll(None).cursor
    for number in range(5):
        clock.advance(1)
        provider.text(f"text {number}", clock.now())
    batch = sinch.poll(cursor)
    assert [one.text for one in batch.messages] == [f"text {number}" for number in range(5)]
    assert (batch.messages[0].sender, batch.messages[0].recipient) == (SENDER, OURS)
    assert sinch.poll(batch.cursor).messages == ()
    again = made("sinch", url, clock).poll(batch.cursor)  # another process: the overlap brings them again
    assert [one.key for one in again.messages] == [one.key for one in batch.messages]
    sinch.close()


def test_what_was_there_before_the_first_poll_is_left(provider: Provider, url: str, clock: FakeClock) -> None:
    provider.text("last week", clock.now() - timedelta(days=7))
    assert made("sinch", url, clock).poll(None).messages == ()


def test_an_entry_that_makes_no_sense_is_kept_once(provider: Provider, url: str, clock: FakeClock) -> None:
    sinch = made("sinch", url, clock)
    provider.text("x", clock.now())
    del provider.listed[0]["from"]
    batch = sinch.poll(None)
    assert len(batch.unreadable) == 1
    assert sinch.poll(batch.cursor).unreadable == ()


@pytest.mark.parametrize("text", ["hello", "x" * 1600, "नमस्ते 🙂 {to} {number}"])
def test_a_text_goes_out_as_it_is(provider: Provider, url: str, clock: FakeClock, text: str) -> None:
    assert made("sinch", url, clock).send(outbound(text)) == Sent("sent-1")
    assert json.loads(provider.asked[0].body) == {"from": OURS[1:], "to": [SENDER[1:]], "body": text}
    assert provider.asked[0].headers["authorization"] == "Bearer canary-token"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (json_response(429, {}, Retry_After="9"), RetryLater),
        (json_response(503, {}), RetryLater),
        (json_response(500, {}), Unknown),
        (json_response(401, {}), BadCredentials),
        (json_response(400, {"code": "syntax_invalid_json"}), GiveUp),
        (json_response(201, {"nothing": 1}), Unknown),
        (Response(201, b"<html>"), Unknown),
    ],
)
def test_what_an_answer_means(
    provider: Provider, url: str, clock: FakeClock, answer: Response, kind: type
) -> None:
    provider.answers = [answer]
    result = made("sinch", url, clock).send(outbound())
    assert isinstance(result, kind)
    assert "canary" not in str(result)
    if isinstance(result, RetryLater) and answer.status == 429:
        assert result.after == timedelta(seconds=9)


def test_polls_that_fail(provider: Provider, url: str, clock: FakeClock) -> None:
    sinch = made("sinch", url, clock)
    provider.answers = [Response(200, b"<html>"), json_response(401, {}), json_response(429, {})]
    with pytest.raises(TransportError, match="not JSON"):
        sinch.poll(None)
    with pytest.raises(CredentialsError, match="SINCH_API_TOKEN"):
        sinch.poll(None)
    with pytest.raises(TransportError, match="429"):
        sinch.poll(None)


# The app: pushed, and signed


def push(gateway: Transport, said: object, at: datetime, key: str = KEY) -> PushResult:
    body, stamp = json.dumps(said).encode(), str(int(at.timestamp()))
    signature = hmac.new(key.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
    headers = {"x-signature": signature, "x-timestamp": stamp}
    result = gateway.received(PushRequest("POST", "https://x/", headers, "", body))  # type: ignore[attr-defined]
    assert isinstance(result, PushResult)
    return result


def received(text: str, at: datetime) -> dict[str, object]:
    payload = {"messageId": "m", "phoneNumber": SENDER, "message": text, "receivedAt": at.isoformat()}
    return {"event": "sms:received", "id": "e", "payload": payload}


def test_the_app_is_asked_with_basic_and_posts_signed_texts(
    provider: Provider, url: str, clock: FakeClock
) -> None:
    gateway = made("android_gateway", url, clock)
    gateway.push_to("https://sms.example.com/x")  # type: ignore[attr-defined]
    gateway.start()
    assert gateway.send(outbound()) == Sent("sent-1")
    who = base64.b64encode(b"user:canary-password").decode()
    assert provider.asked[0].headers["authorization"] == f"Basic {who}"
    assert json.loads(provider.asked[0].body) == {"textMessage": {"text": "hello"}, "phoneNumbers": [SENDER]}
    now = clock.now()
    message = push(gateway, received("START", now), now).batch.messages[0]
    assert (message.sender, message.text, message.sent_at) == (SENDER, "START", now)
    assert message.key == push(gateway, received("START", now), now).batch.messages[0].key
    assert message.key != push(gateway, received("STOP", now), now).batch.messages[0].key


def test_bad_and_old_signatures_are_refused(url: str, clock: FakeClock) -> None:
    gateway, now = made("android_gateway", url, clock), clock.now()
    assert push(gateway, received("x", now), now, key="another").status == 403
    assert push(gateway, received("x", now), now - timedelta(days=3)).status == 403


def test_receipts_and_events_that_nobody_described(url: str, clock: FakeClock) -> None:
    gateway, now = made("android_gateway", url, clock), clock.now()
    receipt = push(gateway, {"event": "sms:failed", "payload": {"messageId": "a"}}, now).batch.receipts[0]
    assert (receipt.provider_id, receipt.status) == ("a", Status.FAILED)
    other = push(gateway, {"event": "system:ping", "payload": {}}, now)
    assert (other.status, other.batch.unreadable) == (200, ())
    odd = push(gateway, {"event": "sms:received", "payload": {}}, now)
    assert len(odd.batch.unreadable) == 1


def test_what_cannot_be_polled_has_to_be_pushed(url: str, clock: FakeClock) -> None:
    with pytest.raises(ConfigError, match="set the channel 'sms' to push"):
        made("android_gateway", url, clock).start()


# Descriptions

SOUND = """\
provider: example
base_url: https://api.example.com
send: {url: /send, form: {to: "{to}", text: "{text}"}, id: id}
webhook: {texts: {fields: {from: a, text: b}}}
"""


def test_an_outcome_by_a_field_goes_first(
    tmp_path: Path, provider: Provider, url: str, clock: FakeClock
) -> None:
    file = tmp_path / "x.yaml"
    rule = "outcomes: [{status: 2xx, field: error, is: [E1], means: opted_out}]"
    file.write_text(SOUND.replace("id: id}", "id: id, " + rule + "}"))
    environ = {"GENERIC_DESCRIPTION": str(file), "GENERIC_BASE_URL": url}
    provider.answers = [json_response(200, {"error": "E1", "id": "x"})]
    result = create("generic", channel="sms", clock=clock, environ=environ).send(outbound())
    assert isinstance(result, OptedOut)


GOLDEN = PROVIDERS.parents[1] / "tests" / "golden" / "providers"
BAD = sorted(GOLDEN.glob("*.yaml"))


def checked(path: Path | str, *options: str) -> tuple[int, str]:
    """Run ``convo transport check`` and return its exit code and what it said."""
    result = CliRunner(env={"SET": "canary", "NOT_SET": None}).invoke(
        check_command, [*options, str(path)], standalone_mode=False
    )
    if isinstance(result.exception, ConvoError):
        return result.exception.exit_code, str(result.exception) + "\n"
    assert result.exception is None, result.exception
    return result.return_value, result.output


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_description_has_exactly_these_problems(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    code, said = checked(path.name, "--secrets")
    expected = path.with_suffix(".txt")
    if os.environ.get("CONVO_UPDATE_GOLDEN"):
        expected.write_text(said, encoding="utf-8")
    assert (code, said) == (2, expected.read_text(encoding="utf-8"))
    assert "canary" not in said


def test_every_code_of_a_description_has_a_golden_file() -> None:
    for code in CODES:
        assert any(f"  {code}  " in path.with_suffix(".txt").read_text(encoding="utf-8") for path in BAD), (
            code
        )
        assert any(path.stem.startswith(code) for path in BAD), code


def test_the_sound_one_has_no_problem_and_passes_the_checks(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(SOUND)
    code, said = checked(tmp_path / "x.yaml", "--secrets")
    assert (code, "no problem  (example, texts are pushed)" in said, " 0 wrong" in said) == (0, True, True)


def test_a_description_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match="no such file"):
        read_description(tmp_path / "x.yaml", None)


@pytest.mark.parametrize("name", ["android_gateway", "sinch"])
def test_the_shipped_descriptions_have_no_problem(name: str) -> None:
    assert read_description(PROVIDERS / f"{name}.yaml", None).provider == name


def test_run_takes_the_file_as_transport(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(SOUND.replace("provider:", "povider:"))
    flow = PROVIDERS.parents[1] / "flows" / "stopwatch.yaml"
    assert main(["run", str(flow), "--transport", str(file), "--store", "memory"]) == 2
    assert "G001" in capsys.readouterr().err


TAKEN = """\
provider: example
base_url: https://api.example.com
auth: {oauth: {token_url: https://api.example.com/token, client_id: {env: ID}, client_secret: {env: KEY}}}
numbers: {format: national}
send: {url: "/send/{to}", form: {text: "{text}"}, id: id}
poll: {url: /next, takes: yes, list: ".", fields: {from: from, text: text}}
"""


def test_a_read_once_provider_with_tokens(
    tmp_path: Path, provider: Provider, url: str, clock: FakeClock
) -> None:
    (tmp_path / "x.yaml").write_text(TAKEN)
    environ = {
        "GENERIC_DESCRIPTION": str(tmp_path / "x.yaml"),
        "GENERIC_BASE_URL": url,
        "GENERIC_TOKEN_URL": f"{url}/token",
        "ID": "id",
        "KEY": "canary",
    }
    made = create("generic", channel="sms", clock=clock, environ=environ)
    provider.answers = [
        json_response(200, {"access_token": "t", "expires_in": "3600"}),
        json_response(200, {"from": "0400000001", "text": "TIME"}),
        Response(200, b'{"from": "04000'),
        json_response(200, []),
    ]
    made.start()
    first, second, third = (made.poll(None) for _ in range(3))
    assert [(one.sender, one.text, one.key) for one in first.messages] == [(SENDER, "TIME", None)]
    assert (first.more, len(second.unreadable), third.more) == (True, 1, False)
    assert isinstance(made.send(outbound()), Sent)
    assert provider.asked[-1].path == "/send/0400000001"
    assert provider.asked[-1].headers["authorization"] == "Bearer t"


def test_the_checks_of_a_read_once_provider_with_tokens(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(TAKEN)
    code, said = checked(tmp_path / "x.yaml")
    assert (code, " 0 wrong" in said) == (0, True), said


BY_FORM = """\
provider: forms
base_url: https://api.example.com
auth: {header: {name: X-Key, value: {env: KEY}}}
numbers: {format: digits}
send:
  url: "/v1/{number}/messages?to={to}"
  form: {body: "{text}", callback: "{webhook}"}
  id: data.0.id
  segments: data.0.parts
  outcomes: [{status: 2xx, field: state, is: [ok], means: sent}]
poll: {url: /inbox, query: {after: "{since}"}, since_format: unix, list: data.items, sent_format: unix_ms,
  fields: {id: id, from: from, text: text, sent: at}}
webhook:
  body: form
  signature:
    hmac: {header: X-Sig, secret: {env: KEY}, encoding: base64, algorithm: sha1, signs: "{url}{body}"}
  texts: {when: {kind: in}, fields: {id: id, from: from, text: text, sent: at}, sent_format: unix}
  receipts: {when: {kind: dlr}, id: id, status: state, values: {sent: sent, done: delivered, bad: failed}}
"""


def test_the_checks_of_a_provider_of_forms(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(BY_FORM)
    code, said = checked(tmp_path / "x.yaml")
    assert (code, "23 fine, 0 wrong" in said) == (0, True), said


@pytest.mark.parametrize(
    "pages",
    [
        "next_page: paging.next, query: {after: '{since}'}",
        "first_page: 1, query: {after: '{since}', page: '{page}'}",
        "order: newest_first, first_page: 0, query: {after: '{since}', page: '{page}'}",
    ],
)
def test_the_checks_of_a_listing_in_pages(tmp_path: Path, pages: str) -> None:
    (tmp_path / "x.yaml").write_text(BY_FORM.replace('query: {after: "{since}"}', pages))
    code, said = checked(tmp_path / "x.yaml")
    assert (code, "23 fine, 0 wrong" in said) == (0, True), said


def test_a_next_page_elsewhere_is_not_followed(
    tmp_path: Path, provider: Provider, url: str, clock: FakeClock
) -> None:
    """It would carry our credentials to a stranger."""
    query = "next_page: next, query: {after: '{since}'}"
    (tmp_path / "x.yaml").write_text(BY_FORM.replace('query: {after: "{since}"}', query))
    given = {"GENERIC_DESCRIPTION": str(tmp_path / "x.yaml"), "GENERIC_BASE_URL": url, "KEY": "canary"}
    made = create("generic", channel="sms", clock=clock, environ=given)
    provider.answers = [json_response(200, {"data": {"items": []}, "next": "https://example.org/steal"})]
    with pytest.raises(TransportError, match="none of this provider"):
        made.poll(None)
    assert len(provider.asked) == 1


def test_a_description_that_cannot_work_fails_the_checks(tmp_path: Path) -> None:
    """It is written without a mistake, but a listing of this order and overlap would lose texts."""
    (tmp_path / "x.yaml").write_text(BY_FORM.replace("list: data.items,", "list: data.items, overlap: 1s,"))
    code, said = checked(tmp_path / "x.yaml")
    assert (code, "wrong  a text that is listed late is found" in said) == (1, True), said
