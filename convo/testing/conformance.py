"""The one list of what every transport must do: for ``TransportContract`` and ``convo transport check``.

Each check is a function of a fresh stand-in. It raises AssertionError with what is wrong, in words for
whoever writes the transport, or ``NotApplicable`` where a provider has nothing of the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

from convo.errors import ConfigError, CredentialsError, TransportError
from convo.messages import Inbound, Outbound, Status
from convo.runtime.log import origin
from convo.testing.conformance_parts import (
    Inbox,
    NotApplicable,
    expect,
    listening,
    of_both_ways,
    opened,
    polled,
    pushed,
    receipt_store,
    said_of,
    sending,
)
from convo.testing.stand_in import SENDER, WEBHOOK, Said, StandIn, Trouble
from convo.transports.base import (
    BadCredentials,
    PushRequest,
    Reconciling,
    RetryLater,
    SendResult,
    Sent,
    Unknown,
)

TEXTS = ("hello", "{to} %s ${x} & = +", "é ü ñ €", "नमस्ते 🙂 ok", "x" * 1600, "line one\nline two")
SHORT_NAMES = ("MyGov", "12345")
CANARY = "canary text"
GARBAGE = (
    b"",
    b" \n",
    b"\xff\x00",
    b"[]",
    b"{}",
    b"null",
    b"<html>",
    b"[" * 20_000,
    b"a=%FF&b",
    b"x" * 60_000,
)


# Texts that come


def texts_are_polled_once_in_order_and_whole(stand_in: StandIn) -> None:
    """Long and Unicode ones too, and nothing is doubled or lost by a restart."""
    transport = polled(stand_in)
    inbox = Inbox()
    inbox.drain(transport)
    for text in TEXTS:
        stand_in.clock.advance(1)
        stand_in.text(Said(text))
    inbox.drain(transport)
    expect(inbox.texts() == list(TEXTS), f"{len(TEXTS)} texts came as {inbox.shown()}")
    expect({one.sender for one in inbox.held} == {SENDER}, "the sender is not written like +61400000001")
    expect(all(one.channel == "sms" for one in inbox.held), "a text has not the channel it was made with")
    inbox.drain(transport)
    inbox.drain(opened(stand_in))
    expect(inbox.texts() == list(TEXTS), f"after a restart there are {inbox.shown()}")


def texts_are_pushed_whole(stand_in: StandIn) -> None:
    """Long and Unicode ones too; each call is answered 2xx."""
    transport = pushed(stand_in)
    for text in TEXTS:
        stand_in.clock.advance(1)
        result = transport.received(stand_in.pushed_text(Said(text)))
        expect(200 <= result.status < 300, f"a text that was pushed is answered {result.status}")
        found = [(one.sender, one.text) for one in result.batch.messages]
        expect(
            found == [(SENDER, text)], f"a text of {len(text)} characters was pushed, {said_of(found)} came"
        )


def what_was_not_stored_is_listed_again(stand_in: StandIn) -> None:
    """A listing takes nothing away: without the new cursor the same texts come."""
    transport = polled(stand_in)
    if stand_in.read_once:
        raise NotApplicable("a text is handed out once")
    inbox = Inbox()
    inbox.drain(transport)
    stand_in.clock.advance(1)
    stand_in.text(Said("kept"))
    transport.poll(inbox.cursor)
    inbox.drain(opened(stand_in))
    expect(inbox.texts() == ["kept"], "a text whose commit failed did not come again with the old cursor")


def a_text_that_is_listed_late_is_found(stand_in: StandIn) -> None:
    """Each poll overlaps with the one before, since lists are not written in the order of stamps."""
    transport = polled(stand_in)
    if stand_in.read_once:
        raise NotApplicable("a text is handed out once")
    inbox = Inbox()
    inbox.drain(transport)
    stand_in.clock.advance(3600)
    stand_in.text(Said("newest"))
    inbox.drain(transport)
    stand_in.clock.advance(1)
    stand_in.text(Said("late", sent_at=stand_in.clock.now() - timedelta(seconds=60)))
    inbox.drain(transport)
    inbox.drain(opened(stand_in))
    expect(sorted(inbox.texts()) == ["late", "newest"], f"of a late and a new text came {inbox.shown()}")


def texts_without_an_id_are_two(stand_in: StandIn) -> None:
    """Equal words of one sender at two moments are two texts; what cannot be known again is set aside."""
    transport = opened(stand_in)
    inbox = Inbox()
    if hasattr(transport, "received"):
        caller = pushed(stand_in)
        calls = []
        for _ in range(2):
            stand_in.clock.advance(60)
            calls.append(stand_in.pushed_text(Said("TIME", id="")))
        for call in calls:
            inbox.take(caller.received(call).batch)
        expect(inbox.count == 2, f"of two pushed texts without an id {inbox.count} are kept")
        known = inbox.known
        for call in calls:
            inbox.take(caller.received(call).batch)
        expect(not known or inbox.count == 2, "a push without an id that came again is a new text")
    if not getattr(transport, "only_pushed", False):
        inbox = Inbox()
        inbox.drain(transport)
        for _ in range(2):
            stand_in.clock.advance(60)
            stand_in.text(Said("TIME", id=""))
        inbox.drain(transport)
        expect(inbox.count == 2, f"of two polled texts without an id {inbox.count} are kept")


def the_same_text_twice_is_one(stand_in: StandIn) -> None:
    """However often, and by whichever way, the provider brings it: its key is the same."""
    one = Said("TIME", id="twice-1", sent_at=stand_in.clock.now())
    found: list[Inbound] = []
    for brought in of_both_ways(stand_in, one):
        expect(bool(brought), "a text that came twice was brought by no call")
        found += brought
    expect(len(found) >= 2, f"a text that came twice was seen {len(found)} times")
    if all(each.key is None for each in found):
        raise NotApplicable("its provider gives a text neither an id nor a time")
    expect(
        len({each.key for each in found}) == 1, "a text that came twice has two keys, so it is stepped twice"
    )


def senders_are_written_in_one_way(stand_in: StandIn) -> None:
    """Whatever way the provider writes numbers; short codes and names stay as they are."""
    forms = [*((each, SENDER) for each in stand_in.writes), *((each, each) for each in SHORT_NAMES)]
    transport = opened(stand_in)
    inbox = Inbox()
    calls = not getattr(transport, "only_pushed", False)
    if calls:
        inbox.drain(transport)
    for form, wanted in forms:
        stand_in.clock.advance(1)
        if calls:
            stand_in.text(Said("hi", form))
            inbox.drain(transport)
            expect(bool(inbox.held), f"a text from {form!r} did not come")
            got = inbox.held[-1].sender
            expect(got == wanted, f"a text from {form!r} is from {got!r}, not {wanted!r}")
        if hasattr(transport, "received"):
            batch = pushed(stand_in).received(stand_in.pushed_text(Said("hi", form))).batch
            read = batch.messages[0].sender if batch.messages else "nobody"
            expect(read == wanted, f"a text pushed from {form!r} is from {read!r}, not {wanted!r}")


# Polls that fail


def a_poll_too_fast_loses_nothing(stand_in: StandIn) -> None:
    """429 is a TransportError, and the text comes afterwards."""
    _poll_in_trouble(stand_in, Trouble.TOO_FAST)


def a_poll_that_hangs_ends(stand_in: StandIn) -> None:
    """It is a TransportError within its time, and the next poll goes on."""
    _poll_in_trouble(stand_in, Trouble.SILENT)


def an_answer_that_breaks_off_loses_nothing(stand_in: StandIn) -> None:
    """It is kept as unreadable, or the text comes again."""
    _poll_in_trouble(stand_in, Trouble.BROKEN)


def a_page_instead_of_an_answer_loses_nothing(stand_in: StandIn) -> None:
    """A site that is down for maintenance is no empty inbox."""
    _poll_in_trouble(stand_in, Trouble.PAGE)


def _poll_in_trouble(stand_in: StandIn, kind: Trouble) -> None:
    transport = polled(stand_in)
    inbox = Inbox()
    inbox.drain(transport)
    stand_in.clock.advance(1)
    stand_in.text(Said("kept"))
    stand_in.trouble(kind)
    try:
        batch = transport.poll(inbox.cursor)
    except TransportError as problem:
        expect(not problem.final, "it is called final, so nobody would ask again")
    else:
        refused = bool(batch.unreadable) or bool(batch.messages)
        expect(refused, "the poll says that nothing came, as if all were well")
        expect(kind in (Trouble.BROKEN, Trouble.PAGE), "the poll does not say that it failed")
        inbox.take(batch)
    inbox.drain(transport)
    if kind is Trouble.SILENT and stand_in.read_once:
        # The one text that a read-once provider handed out to nobody is lost; no later one may be.
        stand_in.clock.advance(1)
        stand_in.text(Said("later"))
        inbox.drain(transport)
        expect("later" in inbox.texts(), "after a poll that hung no text comes any more")
        return
    expect("kept" in inbox.texts() or bool(inbox.odd), "the text that waited is lost")


# Calls of our webhook


def forged_calls_are_refused(stand_in: StandIn) -> None:
    """Another text, or no signature, is not 2xx and brings nothing."""
    transport = pushed(stand_in)
    if not transport.signs_pushes:
        raise NotApplicable("its provider signs nothing, so the path has to hold a secret")
    good = stand_in.pushed_text(Said(CANARY))
    expect(200 <= transport.received(good).status < 300, "a good signature is refused")
    forged = {
        "whose text was changed": replace(
            good, body=good.body.replace(b"canary", b"forged"), query=good.query.replace("canary", "forged")
        ),
        "without its headers": replace(good, headers={}),
        "with another signature": replace(
            good, headers={name: value + "0" for name, value in good.headers.items()}
        ),
    }
    for what, call in forged.items():
        result = transport.received(call)
        taken = 200 <= result.status < 300 or bool(result.batch.messages)
        expect(not taken, f"a call {what} is answered {result.status}")


def calls_that_make_no_sense_bring_no_text(stand_in: StandIn) -> None:
    """They are refused, or set aside; nothing is raised."""
    transport = pushed(stand_in)
    good = stand_in.pushed_text(Said(CANARY))
    calls = [PushRequest(good.method, WEBHOOK, good.headers, "", b"")]
    for content in GARBAGE:
        query = content[:2000].decode("latin-1") if good.method == "GET" else good.query
        calls.append(replace(good, query=query, body=content))
    for call in calls:
        try:
            result = transport.received(call)
        except Exception as problem:
            raise AssertionError(f"received() raised {origin(problem)}") from problem
        expect(not result.batch.messages, "a text was read out of a call that makes no sense")
        if not 200 <= result.status < 300:
            expect(not result.batch.unreadable, "a call that is refused brings something all the same")


def receipts_come_in_any_order(stand_in: StandIn) -> None:
    """Late, twice and backwards: what was delivered stays delivered."""
    transport = pushed(stand_in)
    sent = sending(transport, "hello", 1)
    expect(isinstance(sent, Sent), f"a send gave {type(sent).__name__}")
    name = cast(Sent, sent).provider_id
    calls = [stand_in.pushed_receipt(name, each) for each in (Status.DELIVERED, Status.SENT, Status.FAILED)]
    delivered, earlier, _ = calls
    if delivered is None:
        raise NotApplicable("its provider never says that a text was delivered")
    batches = [transport.received(each).batch for each in (delivered, earlier, delivered) if each is not None]
    for batch in batches:
        expect(bool(batch.receipts), "a receipt was not taken for one")
        known = any(one.provider_id == name for one in batch.receipts)
        expect(known, "a receipt speaks of another id than send() returned")
    with receipt_store(name) as store:
        early = store.receipts(batches[0].receipts, stand_in.clock.now())
        expect(early == 1, "a receipt changes nothing")
        for batch in batches[1:]:
            store.receipts(batch.receipts, stand_in.clock.now())
        status = store.outbox()[0].status
        expect(status is Status.DELIVERED, f"delivered, then sent, then delivered again is {status}")
    failed = stand_in.pushed_receipt(name, Status.FAILED)
    if failed is not None:
        found = {one.status for one in transport.received(failed).batch.receipts}
        expect(found == {Status.FAILED}, f"a text that failed is {said_of(found)}")


# Texts that leave


def texts_leave_once_and_whole(stand_in: StandIn) -> None:
    """Long and Unicode ones too; each has an id, and goes to the number that was meant."""
    transport = opened(stand_in)
    names = []
    for number, text in enumerate(TEXTS, 1):
        stand_in.clock.advance(1)
        result = sending(transport, text, number)
        expect(isinstance(result, Sent), f"a text of {len(text)} characters gave {type(result).__name__}")
        names.append(cast(Sent, result).provider_id)
    expect(all(names) and len(set(names)) == len(names), "two sends have the same id, or one has none")
    left = list(stand_in.sent())
    expect([text for _, text in left] == list(TEXTS), f"{len(TEXTS)} texts left as {said_of(left)}")
    expect({to for to, _ in left} == {SENDER}, "a text left for another number")


def a_send_too_fast_is_tried_later(stand_in: StandIn) -> None:
    """429 is RetryLater, because nothing left."""
    result = _send_in_trouble(stand_in, Trouble.TOO_FAST)
    expect(isinstance(result, RetryLater), f"429 gave {type(result).__name__}; it certainly did not leave")
    expect(not stand_in.sent(), "a send that was refused was made again at once")


def a_send_that_hangs_is_unknown(stand_in: StandIn) -> None:
    """It may have left, so it must not be said to have failed, or be sent again."""
    result = _send_in_trouble(stand_in, Trouble.SILENT)
    expect(isinstance(result, Unknown), f"a send without an answer gave {type(result).__name__}")
    expect(len(stand_in.sent()) == 1, f"it was made {len(stand_in.sent())} times")


def an_answer_to_a_send_that_breaks_off_is_unknown(stand_in: StandIn) -> None:
    """So it is where the answer has no id that could be read."""
    result = _send_in_trouble(stand_in, Trouble.BROKEN)
    fine = isinstance(result, Unknown) or (isinstance(result, Sent) and bool(result.provider_id))
    expect(fine, f"half an answer gave {type(result).__name__}, although it left")


def a_page_instead_of_an_id_is_unknown(stand_in: StandIn) -> None:
    """Status 200 alone does not say that it left."""
    result = _send_in_trouble(stand_in, Trouble.PAGE)
    expect(isinstance(result, Unknown), f"a page of HTML gave {type(result).__name__}")


def _send_in_trouble(stand_in: StandIn, kind: Trouble) -> SendResult:
    transport = opened(stand_in)
    stand_in.trouble(kind)
    return sending(transport, "hello", 1)


def nobody_there_is_no_loss(stand_in: StandIn) -> None:
    """Where nothing can be reached nothing left: RetryLater; a poll is a TransportError."""
    transport = opened(stand_in)
    stand_in.leave()
    result = sending(transport, "hello", 1)
    expect(isinstance(result, RetryLater), f"with nobody there a send gave {type(result).__name__}")
    if getattr(transport, "only_pushed", False):
        return
    try:
        transport.poll(None)
    except TransportError:
        return
    raise AssertionError("with nobody there a poll says that nothing came")


def wrong_credentials_are_named(stand_in: StandIn) -> None:
    """They are CredentialsError or BadCredentials, and the message holds no secret."""
    if not stand_in.takes_credentials:
        raise NotApplicable("its provider takes texts from anybody")
    transport = opened(stand_in, start=False, wrong=True)
    said = ""
    try:
        transport.start()
        if not getattr(transport, "only_pushed", False):
            transport.poll(None)
    except CredentialsError as problem:
        said = str(problem)
    result = sending(transport, "hello", 1)
    expect(isinstance(result, BadCredentials), f"with wrong credentials a send gave {type(result).__name__}")
    said += cast(BadCredentials, result).reason
    expect(not any(each in said for each in stand_in.secrets), "the message repeats a secret")
    if not getattr(transport, "only_pushed", False):
        try:
            transport.poll(None)
        except CredentialsError:
            return
        raise AssertionError("with wrong credentials a poll raises no CredentialsError")


def what_was_not_heard_can_be_looked_up(stand_in: StandIn) -> None:
    """``find_sent`` finds the one that left, and none that never did."""
    transport = opened(stand_in)
    if not hasattr(transport, "find_sent"):
        raise NotApplicable("its provider cannot be asked what it was given")
    asked = cast(Reconciling, transport)
    sending(transport, "hello", 1)
    stand_in.clock.advance(30)
    since = stand_in.clock.now()
    stand_in.trouble(Trouble.SILENT)
    outbound = Outbound("sms", SENDER, "hello", id=2)
    expect(isinstance(transport.send(outbound), Unknown), "a send without an answer is not unknown")
    stand_in.clock.advance(60)
    found = asked.find_sent(outbound, since)
    expect(found is not None, "a text that left was not found")
    again = asked.find_sent(outbound, since, {cast(Sent, found).provider_id})
    expect(again is None, "an id that is another outbound's was taken")
    never = asked.find_sent(replace(outbound, text="never sent"), since)
    expect(never is None, "a text that never left was found")


# Discretion


def no_secret_number_or_text_is_seen(stand_in: StandIn) -> None:
    """Neither in a log, however talkative, nor in what is printed."""
    with listening() as heard:
        transport = opened(stand_in)
        shown = [repr(transport)]
        inbox = Inbox()
        stand_in.clock.advance(1)
        if not getattr(transport, "only_pushed", False):
            stand_in.text(Said(CANARY))
            inbox.drain(transport)
        if hasattr(transport, "received"):
            call = stand_in.pushed_text(Said(CANARY))
            result = pushed(stand_in).received(call)
            shown += [repr(call), repr(result)]
        for kind in Trouble:
            stand_in.trouble(kind)
            shown.append(repr(sending(transport, CANARY, 1)))
        shown += [repr(inbox.held), repr(inbox.odd), *heard]
    seen = "\n".join(shown)
    for what, secrets in (
        ("a secret", stand_in.secrets),
        ("a text", (CANARY,)),
        ("a number", (SENDER, SENDER[1:])),
    ):
        expect(not any(each and each in seen for each in secrets), f"{what} is seen in a log or a repr")


def it_can_be_closed_twice(stand_in: StandIn) -> None:
    """And sends nothing afterwards."""
    transport = opened(stand_in)
    transport.close()
    transport.close()
    result = sending(transport, "hello", 1)
    expect(not isinstance(result, Sent) and not stand_in.sent(), "a text left by a transport that was closed")


Run = Callable[[StandIn], None]

CHECKS: tuple[Run, ...] = (
    texts_are_polled_once_in_order_and_whole,
    texts_are_pushed_whole,
    what_was_not_stored_is_listed_again,
    a_text_that_is_listed_late_is_found,
    texts_without_an_id_are_two,
    the_same_text_twice_is_one,
    senders_are_written_in_one_way,
    a_poll_too_fast_loses_nothing,
    a_poll_that_hangs_ends,
    an_answer_that_breaks_off_loses_nothing,
    a_page_instead_of_an_answer_loses_nothing,
    forged_calls_are_refused,
    calls_that_make_no_sense_bring_no_text,
    receipts_come_in_any_order,
    texts_leave_once_and_whole,
    a_send_too_fast_is_tried_later,
    a_send_that_hangs_is_unknown,
    an_answer_to_a_send_that_breaks_off_is_unknown,
    a_page_instead_of_an_id_is_unknown,
    nobody_there_is_no_loss,
    wrong_credentials_are_named,
    what_was_not_heard_can_be_looked_up,
    no_secret_number_or_text_is_seen,
    it_can_be_closed_twice,
)
"""Every check, in the order in which people read them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check ended: ``wrong`` says what it found, ``without`` why it does not apply."""

    name: str
    wrong: str = ""
    without: str = ""


def run(make: Callable[[], AbstractContextManager[StandIn]]) -> Iterator[Outcome]:
    """Make every check, each on a stand-in of its own, and yield how it ended.

    Raises:
        ConfigError: the transport cannot be made at all.
    """
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        with make() as stand_in:
            try:
                check(stand_in)
            except NotApplicable as reason:
                yield Outcome(name, without=str(reason))
            except AssertionError as wrong:
                yield Outcome(name, wrong=str(wrong) or "an assertion of the stand-in failed")
            except ConfigError as wrong:
                yield Outcome(name, wrong=str(wrong))
            except Exception as wrong:
                yield Outcome(name, wrong=f"it raised {origin(wrong)}")
            else:
                yield Outcome(name)
