"""Both ends compared: the provider's book and the store, and the store with itself."""

from __future__ import annotations

import json
from collections import Counter

from convo.engine.opening import answer
from convo.messages import Inbound, OutboundKind, Status
from convo.runtime.policy import Unknowns
from convo.runtime.replay import recorded
from convo.store.base import InboxStatus
from convo.store.rows import record
from tests.simulation.provider import CHANNEL
from tests.simulation.world import PEOPLE, World

BACKWARDS = "which counts instead"
_MAY_HAVE_LEFT = {Status.SENT, Status.DELIVERED, Status.UNKNOWN, Status.FAILED}


def verdict(world: World) -> list[str]:
    """Return every promise that is broken at the end of a simulation."""
    return [
        *world.wrongs,
        *world.provider.wrongs,
        *world.service.wrongs,
        *_ledger(world),
        *_inbox(world),
        *_outbox(world),
        *_order(world),
        *_consent(world),
        *_held(world),
        *_replay(world),
    ]


def _ledger(world: World) -> list[str]:
    found = world.store.views.audit(world.clock.now())  # type: ignore[attr-defined]
    return [f"{each.invariant.name}: {', '.join(map(str, each.examples))}" for each in found if each.rows]


def _inbox(world: World) -> list[str]:
    """What people wrote stands in the inbox once, and is done; what was lost was in a dead hand."""
    found = []
    rows = world.store.inbox()
    texts = Counter((row.sender, row.text) for row in rows if row.status is not InboxStatus.DEAD)
    written = Counter(_once(world.provider.written))
    for (sender, text), times in written.items():
        have = texts[sender, text]
        if have > times:
            found.append(f"'{text}' was written {times} times and is {have} times in the inbox")
        if have < times and text not in world.lost:
            found.append(f"'{text}' was written {times} times and is {have} times in the inbox: lost")
    waiting = [row.id for row in rows if row.status is InboxStatus.WAITING]
    if waiting:
        found.append(f"inbox {waiting} still waits")
    dead = [row for row in rows if row.status is InboxStatus.DEAD and row.raw != "<html>"]
    found += [f"inbox {row.id} was set aside: {row.reason}" for row in dead]
    return found


def _once(written: list[Inbound]) -> list[tuple[str, str]]:
    keys = {each.key: (each.sender, each.text) for each in written}
    return list(keys.values())


def _outbox(world: World) -> list[str]:
    """What the store says of an outbound is what the provider's book says of it."""
    found = []
    left = Counter(each.id for each in world.provider.left)
    doubles = world.setting.unknowns is Unknowns.RESEND and not world.setting.askable
    for row in world.store.outbox(CHANNEL):
        times = left.pop(row.outbound.id, 0)
        told = f"outbox {row.outbound.id} is {row.status} ({row.reason}) and left {times} times"
        if times > 1 and not doubles:
            found.append(f"{told}: twice")
        if row.status in (Status.SENT, Status.DELIVERED) and times == 0:
            found.append(f"{told}: lost")
        told_so = row.status is Status.EXPIRED and row.provider_id
        may = row.status in _MAY_HAVE_LEFT or told_so or (doubles and row.attempts > 0)
        if times and not may:
            found.append(f"{told}: nobody knows")
        if row.status in (Status.QUEUED, Status.SENDING):
            found.append(f"{told}: still there")
        if row.status is Status.UNKNOWN and (world.setting.askable or doubles):
            found.append(f"{told}: not settled")
    found += [f"outbox {number} left and the store does not know it" for number in left]
    answers = Counter(
        (row.outbound.recipient, row.outbound.text.removeprefix("Got ").partition(",")[0])
        for row in world.store.outbox(CHANNEL)
        if row.outbound.text.startswith("Got ")
    )
    unique = Counter(_once(world.provider.written))
    for (who, words), times in answers.items():
        if times > unique[who, words]:
            found.append(f"'{words}' was answered {times} times")
    return found


def _order(world: World) -> list[str]:
    """Replies to one person leave in the order in which they were said."""
    if world.setting.unknowns is Unknowns.RESEND and not world.setting.askable:
        return []
    found = []
    for who in PEOPLE:
        order = [each.id for each in world.provider.left if each.recipient == who]
        if order != sorted(order):
            found.append(f"replies left out of order: {order}")
    return found


def _consent(world: World) -> list[str]:
    """Each opt-out is confirmed once at most."""
    found = []
    for who in PEOPLE:
        records = [json.loads(each.record) for each in world.store.journal(CHANNEL, who)]
        said = sum(kind == OutboundKind.CONSENT for each in records for _to, kind, _text in each["said"])
        left = {e.id for e in world.provider.left if e.recipient == who and e.kind is OutboundKind.CONSENT}
        words = sum(each["event"] == "received" and each["text"] in ("QUIT", "BEGIN") for each in records)
        if said > words or len(left) > said:
            found.append(f"{len(left)} confirmations left, {said} were said, to {words} words")
    return found


def _held(world: World) -> list[str]:
    """What somebody writes while a service is asked for them waits for its answer."""
    records = [json.loads(each.record) for who in PEOPLE for each in world.store.journal(CHANNEL, who)]
    return [
        f"'{each['text']}' was stepped while a service was asked"
        for each in records
        if each["event"] == "received" and each["before"] == "calling"
    ]


def _replay(world: World) -> list[str]:
    """The journal, stepped once more, says the same."""
    found = []
    for who in PEOPLE:
        for each in recorded(world.store.journal(CHANNEL, who), world.flows):
            # What the carrier said of an opt-out stands in the consent ledger, not in the journal.
            made = [
                json.loads(record(step))
                for opted_out in (False, True)
                for step in answer(
                    world.flows, who, each.before, each.event, each.entry.at, opted_out=opted_out
                )
            ]
            kept = json.loads(each.entry.record)
            if any(BACKWARDS in note for note in kept["notes"]):
                continue  # The journal has the conversation's moment, not what the clock said.
            same = [[m["said"], m["after"], m["data"]] for m in made if m["took"] == kept["took"]]
            if [kept["said"], kept["after"], kept["data"]] not in same:
                found.append(f"step {each.entry.step} of conversation {each.entry.number} goes otherwise")
    return found
