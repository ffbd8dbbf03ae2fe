"""Telstra v3 as the runtime uses it, against its stand-in: listing, sending, receipts, numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from convo.cli.transport import command as transport_command
from convo.emulators.base import LoopbackServer, Request, Response
from convo.emulators.telstra_v3 import NUMBER, TelstraV3Emulator
from convo.emulators.telstra_v3_wire import Paging, stamp_of
from convo.errors import ConfigError, CredentialsError, TransportError
from convo.messages import Address, Outbound, Receipt, Status
from convo.store import open_store
from convo.testing import FakeClock
from convo.transports import create, telstra_v3_listing
from convo.transports.base import GiveUp, PushRequest, Sent, Unknown
from convo.transports.http import Door
from convo.transports.telstra_v3 import BEGINNING, OVERLAP, TelstraV3
from convo.transports.telstra_v3_answers import national
from convo.transports.telstra_v3_settings import Settings, read_since

SENDER = Address("+61400000001")
OURS = "0491570158"
Connect = Callable[..., TelstraV3]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def emulator(clock: FakeClock) -> Iterator[TelstraV3Emulator]:
    with TelstraV3Emulator(clock, strict_headers=True) as running:
        yield running


@pytest.fixture
def connect(clock: FakeClock) -> Iterator[Connect]:
    made: list[TelstraV3] = []

    def to(emulator: TelstraV3Emulator, **environ: str) -> TelstraV3:
        settings = Settings.from_environ({**emulator.environ(), **environ})
        made.append(TelstraV3(settings, channel="sms", clock=clock, door=Door(clock, timeout=(2.0, 0.3))))
        return made[-1]

    yield to
    for transport in made:
        transport.close()


@pytest.fixture
def transport(emulator: TelstraV3Emulator, connect: Connect) -> TelstraV3:
    made = connect(emulator)
    made.start()
    return made


def outbound(text: str = "hello", recipient: str = SENDER, number: int = 7) -> Outbound:
    return Outbound("sms", Address(recipient), text, id=number)


def number_of(emulator: TelstraV3Emulator, connect: Connect) -> tuple[str | None, tuple[str, ...]]:
    """Return where replies go and the tags of the number, as another program sees them."""
    held = connect(emulator).numbers.get(Address(NUMBER))
    assert held is not None
    return held.reply_url, held.tags


# Settings


def test_all_missing_settings_are_named_at_once(clock: FakeClock) -> None:
    with pytest.raises(ConfigError, match="TELSTRA_CLIENT_ID and TELSTRA_CLIENT_SECRET"):
        create("telstra_v3", channel="sms", clock=clock, environ={})


def test_the_token_address_stands_beside_the_api() -> None:
    keys = {"TELSTRA_CLIENT_ID": "a", "TELSTRA_CLIENT_SECRET": "b"}
    usual = Settings.from_environ(keys)
    assert (usual.base_url, usual.token_url) == (
        "https://products.api.telstra.com/messaging/v3",
        "https://products.api.telstra.com/v2/oauth/token",
    )
    other = Settings.from_environ({**keys, "TELSTRA_BASE_URL": "https://example.com/messaging/v3"})
    assert other.token_url == "https://example.com/v2/oauth/token"


@pytest.mark.parametrize("written", ["soon", "5", "2026-11-01", "2026-11-01T00:00:00", "-5m", "1y"])
def test_a_since_that_makes_no_sense(written: str) -> None:
    with pytest.raises(ConfigError, match="TELSTRA_SINCE"):
        read_since(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("45 m", timedelta(minutes=45)),
        ("2w", timedelta(weeks=2)),
        ("2026-11-01T00:00:00+11:00", datetime(2026, 10, 31, 13, tzinfo=UTC)),
    ],
)
def test_how_far_back_to_begin(written: str, meant: object) -> None:
    assert read_since(written) == meant


@pytest.mark.parametrize(
    ("number", "written"),
    [("+61400000001", "0400000001"), ("+14155550100", "+14155550100"), ("12345", "12345")],
)
def test_numbers_are_written_nationally(number: str, written: str) -> None:
    assert national(Address(number)) == written


def test_wrong_credentials_and_a_number_of_others(emulator: TelstraV3Emulator, connect: Connect) -> None:
    with pytest.raises(CredentialsError, match="TELSTRA_CLIENT_SECRET") as caught:
        connect(emulator, TELSTRA_CLIENT_SECRET="canary").start()
    assert "canary" not in str(caught.value)
    with pytest.raises(ConfigError, match="TELSTRA_NUMBER"):
        connect(emulator, TELSTRA_NUMBER="0491570110").start()


# Listing


def texts(transport: TelstraV3, cursor: str | None) -> tuple[list[str], str | None]:
    batch = transport.poll(cursor)
    assert not batch.more
    return [one.text for one in batch.messages], batch.cursor


def test_each_text_is_handed_over_once_in_order(
    transport: TelstraV3, emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    _, cursor = texts(transport, None)
    seen: list[str] = []
    for number in range(6):
        emulator.text(SENDER, f"text {number}")
        if number % 2:
            clock.advance(3)
            found, cursor = texts(transport, cursor)
            seen += found
    assert seen == [f"text {number}" for number in range(6)]
    assert texts(transport, cursor)[0] == []
    message = TelstraV3.poll(transport, None)
    assert message.messages == ()


def test_what_a_listed_text_says_of_itself(
    transport: TelstraV3, emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    given = emulator.text(SENDER, "START ")
    message = transport.poll(None).messages[0]
    assert (message.sender, message.recipient, message.text) == (SENDER, NUMBER, "START ")
    assert (message.provider_id, message.sent_at, message.channel) == (given, clock.now(), "sms")
    assert json.loads(message.raw)["messageContent"] == "START "


def test_a_new_store_begins_five_minutes_back_and_since_widens_that(
    emulator: TelstraV3Emulator, connect: Connect, clock: FakeClock
) -> None:
    emulator.text(SENDER, "last week")
    clock.advance(7 * 86400)
    emulator.text(SENDER, "a while ago")
    clock.advance(BEGINNING.total_seconds() - 1)
    emulator.text(SENDER, "now")
    found, cursor = texts(connect(emulator), None)
    assert found == ["a while ago", "now"]
    assert texts(connect(emulator, TELSTRA_SINCE="30d"), None)[0] == ["last week", "a while ago", "now"]
    later = connect(emulator, TELSTRA_SINCE="8d")
    found, cursor = texts(later, cursor)
    assert found == ["last week", "a while ago", "now"], "widened later on: the inbox knows the new ones"
    clock.advance(60)
    assert texts(connect(emulator, TELSTRA_SINCE="8d"), cursor)[0] == ["a while ago", "now"], "the overlap"


def test_a_text_that_is_listed_late_is_found_by_the_overlap_and_known_ones_are_dropped(
    emulator: TelstraV3Emulator, connect: Connect, clock: FakeClock
) -> None:
    store, first = open_store("memory"), connect(emulator)
    _, cursor = texts(first, None)
    clock.advance(3600)
    emulator.text(SENDER, "newest")
    batch = first.poll(cursor)
    store.accept("sms", batch.messages, cursor=batch.cursor, now=clock.now())
    emulator.text(SENDER, "listed late", clock.now() - OVERLAP / 2)
    again = connect(emulator).poll(store.cursor("sms"))  # another process: it knows the cursor only
    assert [one.text for one in again.messages] == ["listed late", "newest"]
    accepted = store.accept("sms", again.messages, cursor=again.cursor, now=clock.now())
    assert (accepted.new, accepted.duplicates) == (1, 1)
    store.close()


def test_a_busy_number_is_not_listed_whole_at_every_poll(
    transport: TelstraV3, emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    found, cursor = texts(transport, None)
    for number in range(240):
        clock.advance(1)
        emulator.text(SENDER, f"text {number}")
        if number == 100:
            emulator.text(SENDER, "late", clock.now() - timedelta(seconds=60))
        more, cursor = texts(transport, cursor)
        found += more
    assert len(found) == len(set(found)) == 241, "late ones are found within a minute, nothing comes twice"
    calls = emulator.calls("poll")
    for _ in range(59):
        clock.advance(1)
        _, cursor = texts(transport, cursor)
    assert emulator.calls("poll") - calls <= 59 + 10


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("knows_start", [False, True])
@pytest.mark.parametrize("counts_pages", [False, True])
@pytest.mark.parametrize(("longest", "empty"), [(50, "list"), (10, "null"), (13, "absent")])
def test_whatever_a_listing_looks_like(
    clock: FakeClock,
    connect: Connect,
    newest_first: bool,
    knows_start: bool,
    counts_pages: bool,
    longest: int,
    empty: str,
) -> None:
    """Either order, with and without startTime, both meanings of offset, short pages, empty shapes."""
    paging = Paging(counts_pages=counts_pages, longest=longest, empty=empty)
    with TelstraV3Emulator(
        clock, paging=paging, newest_first=newest_first, knows_start=knows_start
    ) as emulator:
        transport = connect(emulator)
        found, cursor = texts(transport, None)
        assert found == []
        said = []
        for number in range(57):
            clock.advance(1)
            said.append(f"text {number}")
            emulator.text(SENDER, said[-1])
        found, cursor = texts(transport, cursor)
        assert found == said
        assert texts(transport, cursor)[0] == []


def test_a_backlog_that_is_too_long_for_one_poll_is_taken_in_several(
    emulator: TelstraV3Emulator, connect: Connect, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telstra_v3_listing, "MOST_PAGES", 4)
    for number in range(500):
        clock.advance(60)
        emulator.text(SENDER, str(number))
    transport, found, cursor = connect(emulator, TELSTRA_SINCE="1d"), [], None
    for _ in range(5):
        more, cursor = texts(transport, cursor)
        found += more
    assert found == [str(number) for number in range(500)]
    with TelstraV3Emulator(clock, newest_first=True) as other:
        for number in range(500):
            other.text(SENDER, str(number), clock.now() - timedelta(seconds=500 - number))
        with pytest.raises(TransportError, match="no end"):  # its first pages would be the newest
            connect(other, TELSTRA_SINCE="1d").poll(None)


def test_texts_of_another_number_and_pictures(
    transport: TelstraV3, emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    emulator.text(SENDER, "not for us", number="+61491570199")
    emulator.text(SENDER, "")
    batch = transport.poll(None)
    assert batch.messages == ()
    assert ["image/jpeg" in one.raw for one in batch.unreadable] == [True]
    assert transport.poll(batch.cursor).unreadable == (), "once"


def test_a_cursor_of_nobody_begins_anew(transport: TelstraV3, emulator: TelstraV3Emulator) -> None:
    emulator.text(SENDER, "hello")
    for odd in ("", "x", "[]", '{"first": 5, "mark": 6}'):
        transport._seen.clear()
        assert texts(transport, odd)[0] == ["hello"]


@pytest.mark.parametrize("kind", ["drop", "lose", "hold", "half", "cut", "html", "spike"])
def test_a_poll_that_fails_loses_nothing(
    transport: TelstraV3, emulator: TelstraV3Emulator, kind: str
) -> None:
    emulator.text(SENDER, "hello")
    emulator.fault(kind, on="poll")
    with pytest.raises(TransportError) as caught:
        transport.poll(None)
    assert not caught.value.final
    assert texts(transport, None)[0] == ["hello"]


# Sending


def test_a_send_bears_our_number_and_our_tag(transport: TelstraV3, emulator: TelstraV3Emulator) -> None:
    result = transport.send(outbound("ça va? \U0001f600"))
    sent = emulator.sent()[0]
    assert result == Sent(sent.message_id)
    assert (sent.sender, sent.recipient, sent.text, sent.tags) == (
        NUMBER,
        SENDER,
        "ça va? \U0001f600",
        ("convo-7",),
    )
    assert isinstance(transport.send(outbound(recipient="+14155550100")), Sent)
    assert isinstance(transport.send(outbound(text="x" * 1601)), GiveUp)


def test_a_token_is_renewed_by_the_clock_and_when_it_is_refused(
    transport: TelstraV3, emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    clock.advance(3240)
    assert isinstance(transport.send(outbound()), Sent)
    assert emulator.calls("token") == 2
    emulator.fault("unauthorized", on="send")
    assert isinstance(transport.send(outbound()), Sent)
    assert emulator.calls("token") == 3


@pytest.mark.parametrize(("kind", "left"), [("drop", 0), ("lose", 1), ("hold", 1), ("half", 1), ("cut", 1)])
def test_an_unknown_send_is_found_by_its_tag(
    transport: TelstraV3, emulator: TelstraV3Emulator, clock: FakeClock, kind: str, left: int
) -> None:
    since = clock.now()
    emulator.fault(kind, on="send")
    assert isinstance(transport.send(outbound()), Unknown)
    clock.advance(60)
    found = transport.find_sent(outbound(), since)
    assert [found] == [Sent(one.message_id) for one in emulator.sent()] or (found, left) == (None, 0)
    assert transport.find_sent(outbound(number=8), since) is None, "another of ours"
    assert transport.find_sent(outbound("other words"), since) is None, "the same number of an older store"
    known = {one.message_id for one in emulator.sent()}
    assert transport.find_sent(outbound(), since, known) is None


# Receipts


def receipts(transport: TelstraV3, cursor: str | None = None) -> tuple[tuple[Receipt, ...], str | None]:
    batch = transport.poll(cursor)
    return batch.receipts, batch.cursor


def test_receipts_are_listed_seldom_and_only_while_something_is_open(
    transport: TelstraV3, emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    cursor = None
    for _ in range(60):
        _, cursor = receipts(transport, cursor)
        clock.advance(1)
    assert emulator.calls("status") == 0, "nothing was sent"
    emulator.fate(SENDER, "expired")
    result = transport.send(outbound())
    assert isinstance(result, Sent)
    told = []
    for _ in range(3600):
        found, cursor = receipts(transport, cursor)
        told += found
        clock.advance(1)
    assert {(one.provider_id, one.status) for one in told} == {(result.provider_id, Status.EXPIRED)}
    assert emulator.calls("status") <= 4


def test_what_nobody_asked_to_be_told_is_let_go(
    transport: TelstraV3, emulator: TelstraV3Emulator, clock: FakeClock
) -> None:
    transport.send(outbound())
    cursor = None
    for _ in range(2 * 60):
        found, cursor = receipts(transport, cursor)
        assert found == ()
        clock.advance(60)
    calls = emulator.calls("status")
    assert calls <= 12
    for _ in range(60):
        _, cursor = receipts(transport, cursor)
        clock.advance(60)
    assert emulator.calls("status") == calls


def test_receipts_go_on_after_a_restart_and_a_failed_listing(
    emulator: TelstraV3Emulator, connect: Connect, clock: FakeClock
) -> None:
    first = connect(emulator)
    emulator.fate(SENDER, "undeliverable")
    result = first.send(outbound())
    _, cursor = receipts(first)
    assert isinstance(result, Sent)
    clock.advance(30)
    emulator.text(SENDER, "hello")
    emulator.fault("answer", on="status", status=500)
    again = connect(emulator)
    batch = again.poll(cursor)
    assert ([one.text for one in batch.messages], batch.receipts) == (["hello"], ()), (
        "texts come all the same"
    )
    clock.advance(600)
    found, _ = receipts(again, batch.cursor)
    assert [(one.provider_id, one.status) for one in found] == [(result.provider_id, Status.FAILED)]


# Numbers and pushes


def test_an_account_without_a_number_rents_one(clock: FakeClock, connect: Connect) -> None:
    with TelstraV3Emulator(clock, number=None) as emulator:
        transport = connect(emulator)
        assert transport.held_number() is None, "looking rents nothing"
        transport.start()
        assert isinstance(transport.send(outbound()), Sent)
        connect(emulator).start()
        assert len(transport.numbers.all()) == 1, "the second start finds it"
        transport.numbers.create()
        with pytest.raises(ConfigError, match="2 virtual numbers: set TELSTRA_NUMBER"):
            connect(emulator, TELSTRA_NUMBER="").start()


def test_a_reply_callback_is_never_wiped_by_accident_and_tags_stay(
    emulator: TelstraV3Emulator, connect: Connect
) -> None:
    tagged = {"replyCallbackUrl": "https://example.com/theirs", "tags": ["clinic"]}
    connect(emulator)._ask("PUT", f"/virtual-numbers/{OURS}", tagged)
    polled = connect(emulator)
    polled.start()
    polled.poll(None)
    assert number_of(emulator, connect) == ("https://example.com/theirs", ("clinic",)), "nobody asked"
    stranger = connect(emulator)
    stranger.push_to("https://sms.example.org/secret")
    with pytest.raises(ConfigError, match="number poll"):
        stranger.start()
    ours = connect(emulator)
    ours.push_to("https://example.com/ours")
    ours.start()
    assert number_of(emulator, connect) == ("https://example.com/ours", ("clinic",))
    back = connect(emulator)
    back.push_to(None)
    back.start()
    assert number_of(emulator, connect) == (None, ("clinic",))


def test_replies_and_receipts_are_pushed_where_that_is_asked_for(
    emulator: TelstraV3Emulator, connect: Connect
) -> None:
    got: list[bytes] = []

    def hook(request: Request) -> Response:
        got.append(request.body)
        return Response(204)

    with LoopbackServer(hook) as ours:
        transport = connect(emulator)
        transport.push_to(f"{ours.url}/secret")
        transport.start()
        given = emulator.text(SENDER, "hello")
        result = transport.send(outbound())
        assert isinstance(result, Sent)
        assert emulator.pusher.wait_until_idle(5)
        found = [transport.received(PushRequest("POST", "", {}, "", body)).batch for body in got]
        assert [one.text for batch in found for one in batch.messages] == ["hello"]
        told = [(one.provider_id, one.status) for batch in found for one in batch.receipts]
        assert told == [(result.provider_id, Status.SENT), (result.provider_id, Status.DELIVERED)]
        listed = transport.poll(None).messages
        assert [one.key for one in listed] == [f"id:{given}"] == [one.key for one in found[0].messages]


def test_a_plan_without_notices_is_asked_once(clock: FakeClock, connect: Connect) -> None:
    with TelstraV3Emulator(clock, pushes_status=False) as emulator:
        transport = connect(emulator)
        transport.push_to(f"{emulator.url}/x")
        assert isinstance(transport.send(outbound()), Sent)
        assert isinstance(transport.send(outbound()), Sent)
        assert emulator.calls("send") == 3
        assert len(emulator.sent()) == 2


@pytest.mark.parametrize(
    ("body", "status", "aside"),
    [
        (b"", 400, 0),
        (b"nonsense", 204, 1),
        (b'{"messageId": "a", "status": "lost"}', 204, 1),
        (b'{"messageContent": "hello"}', 204, 1),
        (b'{"from": "0400000001", "multimedia": []}', 204, 1),
    ],
)
def test_pushes_that_make_no_sense(transport: TelstraV3, body: bytes, status: int, aside: int) -> None:
    result = transport.received(PushRequest("POST", "", {}, "", body))
    assert (result.status, result.batch.messages, len(result.batch.unreadable)) == (status, (), aside)


def test_the_commands(clock: FakeClock) -> None:
    with TelstraV3Emulator(clock, number=None) as emulator:

        def run(*words: str) -> str:
            result: Result = CliRunner(env=emulator.environ()).invoke(
                transport_command, ["telstra_v3", "number", *words], catch_exceptions=False
            )
            assert result.exit_code == 0, result.output
            return result.output

        assert "there is no virtual number" in run("show")
        with pytest.raises(ConfigError, match="number rent"):
            run("poll")
        assert NUMBER in run("rent")
        assert "pushed to https://example.com/x" in run("push", "https://example.com/x")
        assert "https://example.com/x" in run("show")
        assert "example.com" not in run("poll")
        with pytest.raises(ConfigError, match="whole one"):
            run("push", "example.com")
        with pytest.raises(ConfigError, match="https://, or anybody between could read along"):
            run("push", "http://example.com/x")
        assert "example.com" not in run("show")
        assert run("optouts") == f"nobody has opted out of {NUMBER} with Telstra\n"
        emulator.text(SENDER, "STOP")
        assert run("optouts") == f"{SENDER}\n"
        assert "given back" in run("delete", "--yes")
        assert "there is no virtual number" in run("show")
        keys = {**emulator.environ(), "TELSTRA_CLIENT_SECRET": "wrong"}
        refused = CliRunner(env=keys).invoke(transport_command, ["telstra_v3", "number", "show"])
        assert isinstance(refused.exception, CredentialsError)
        assert refused.exception.exit_code == 2


def test_stamps_have_24_characters(clock: FakeClock) -> None:
    assert len(stamp_of(clock.now())) == 24
