"""Each check of the conformance kit finds the transport that is wrong in just that way."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from convo.errors import ConfigError, TransportError
from convo.messages import Inbound, Status
from convo.testing.conformance import CHECKS, Run, run
from convo.testing.stand_ins import TwilioStandIn, stand_in_of
from convo.transports.base import BadCredentials, Batch, GiveUp, PushResult, RetryLater, Sent, Unknown

Spoil = Callable[[Any], None]


def each(change: Callable[[Inbound], Inbound | None], *ways: str) -> Spoil:
    """Spoil every text that comes; None: it is dropped."""

    def spoiled(batch: Batch) -> Batch:
        found = (change(one) for one in batch.messages)
        return replace(batch, messages=tuple(one for one in found if one is not None))

    def spoil(transport: Any) -> None:
        poll, received = transport.poll, transport.received
        if "poll" in ways:
            transport.poll = lambda cursor: spoiled(poll(cursor))
        if "push" in ways:
            transport.received = lambda request: _with(received(request), spoiled)

    return spoil


def _with(result: PushResult, change: Callable[[Batch], Batch]) -> PushResult:
    return replace(result, batch=change(result.batch))


def batches(change: Callable[[Batch], Batch]) -> Spoil:
    """Spoil every batch."""

    def spoil(transport: Any) -> None:
        poll, received = transport.poll, transport.received
        transport.poll = lambda cursor: change(poll(cursor))
        transport.received = lambda request: _with(received(request), change)

    return spoil


def sends(kind: type, instead: Callable[[], object]) -> Spoil:
    """Have sends that end in one way end in another."""

    def spoil(transport: Any) -> None:
        send = transport.send

        def other(outbound: object) -> object:
            result = send(outbound)
            return instead() if isinstance(result, kind) else result

        transport.send = other

    return spoil


def swallowing(transport: Any) -> None:
    """Take a poll that failed for an empty inbox."""
    poll = transport.poll

    def quiet(cursor: str | None) -> Batch:
        try:
            return poll(cursor)  # type: ignore[no-any-return]
        except TransportError:
            return Batch(cursor=cursor)

    transport.poll = quiet


def never_again() -> Spoil:
    """Hand each text out once, whatever became of it."""
    seen: set[str | None] = set()

    def change(one: Inbound) -> Inbound | None:
        known = one.key in seen
        seen.add(one.key)
        return None if known else one

    return each(change, "poll")


def newest_only() -> Spoil:
    """Leave out what is older than the newest text so far."""
    newest = []

    def change(one: Inbound) -> Inbound | None:
        assert one.sent_at is not None
        newest.append(one.sent_at)
        return one if one.sent_at == max(newest) else None

    return each(change, "poll")


def renamed() -> Spoil:
    names = itertools.count()
    return each(lambda one: replace(one, provider_id=f"{next(names)}"), "poll", "push")


def believing(transport: Any) -> None:
    """Take every call."""
    received = transport.received
    transport.received = lambda request: (
        result if (result := received(request)).status != 403 else PushResult(status=204)
    )


def strict(transport: Any) -> None:
    """Raise for what makes no sense."""
    received = transport.received

    def raising(request: Any) -> PushResult:
        request.body.decode("utf-8")
        return received(request)  # type: ignore[no-any-return]

    transport.received = raising


def backwards(batch: Batch) -> Batch:
    """Mix up what was delivered and what failed."""
    other = {Status.DELIVERED: Status.FAILED, Status.FAILED: Status.DELIVERED}
    return replace(
        batch,
        receipts=tuple(replace(one, status=other.get(one.status, one.status)) for one in batch.receipts),
    )


def twice(transport: Any) -> None:
    send = transport.send

    def doubled(outbound: object) -> object:
        send(outbound)
        return send(outbound)

    transport.send = doubled


def lost(transport: Any) -> None:
    transport.find_sent = lambda *_: None


def talkative(transport: Any) -> None:
    send = transport.send

    def logged(outbound: Any) -> object:
        logging.getLogger("some.library").debug("sending %s", outbound.text)
        return send(outbound)

    transport.send = logged


def open_for_ever(transport: Any) -> None:
    transport.close = lambda: None


SPOILED: dict[str, Spoil] = {
    "texts_are_polled_once_in_order_and_whole": batches(
        lambda batch: replace(batch, messages=batch.messages[::-1])
    ),
    "texts_are_pushed_whole": each(lambda one: replace(one, text=one.text[:160]), "push"),
    "what_was_not_stored_is_listed_again": never_again(),
    "a_text_that_is_listed_late_is_found": newest_only(),
    "texts_without_an_id_are_two": batches(lambda batch: replace(batch, unreadable=())),
    "the_same_text_twice_is_one": renamed(),
    "senders_are_written_in_one_way": each(lambda one: replace(one, sender=one.sender.lower()), "poll"),  # type: ignore[arg-type]
    "a_poll_too_fast_loses_nothing": swallowing,
    "a_poll_that_hangs_ends": swallowing,
    "an_answer_that_breaks_off_loses_nothing": swallowing,
    "a_page_instead_of_an_answer_loses_nothing": swallowing,
    "forged_calls_are_refused": believing,
    "calls_that_make_no_sense_bring_no_text": strict,
    "receipts_come_in_any_order": batches(backwards),
    "texts_leave_once_and_whole": twice,
    "a_send_too_fast_is_tried_later": sends(RetryLater, lambda: GiveUp("429")),
    "a_send_that_hangs_is_unknown": sends(Unknown, lambda: RetryLater("no answer")),
    "an_answer_to_a_send_that_breaks_off_is_unknown": sends(Unknown, lambda: GiveUp("no id")),
    "a_page_instead_of_an_id_is_unknown": sends(Unknown, lambda: Sent("200")),
    "nobody_there_is_no_loss": sends(RetryLater, lambda: Unknown("nobody")),
    "wrong_credentials_are_named": sends(BadCredentials, lambda: GiveUp("401")),
    "what_was_not_heard_can_be_looked_up": lost,
    "no_secret_number_or_text_is_seen": talkative,
    "it_can_be_closed_twice": open_for_ever,
}


def spoiled(spoil: Spoil) -> type[TwilioStandIn]:
    class Spoiled(TwilioStandIn):
        def made(self, environ: Any, door: Any) -> Any:
            transport = super().made(environ, door)
            spoil(transport)
            return transport

    return Spoiled


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_check_finds_what_it_is_for(check: Run) -> None:
    with spoiled(SPOILED[check.__name__])() as stand_in, pytest.raises(AssertionError) as found:
        check(stand_in)
    assert "canary" not in str(found.value)


def test_a_stand_in_or_a_transport_that_raises_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Raising(TwilioStandIn):
        def connect(self, *, wrong: bool = False) -> Any:
            raise KeyError("canary text")

    monkeypatch.setattr("convo.testing.conformance.CHECKS", CHECKS[:3])
    outcomes = list(run(Raising))
    assert [bool(one.wrong) for one in outcomes] == [True] * 3
    assert all("KeyError" in one.wrong and "canary" not in one.wrong for one in outcomes)


def test_where_nothing_stands_in_it_says_so() -> None:
    with pytest.raises(ConfigError, match=r"convo\.stand_ins"):
        stand_in_of("nobody")
    with pytest.raises(ConfigError, match="name its file"):
        stand_in_of("generic")
