"""How steps and conversations look as rows; shared by the stores."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from convo.engine.conversation import (
    CallAnswered,
    Consent,
    Conversation,
    Event,
    Received,
    Started,
    Step,
    TimerFired,
)
from convo.flow.values import decode, encode_packed, packed
from convo.messages import Address, Outbound, OutboundKind, Status
from convo.store.base import InboxRow, InboxStatus, JournalEntry, OutboxRow, PendingCall, Waiting

Row = Any
"""A row whose columns are found by their names."""

Run = Callable[..., list[Row]]
"""Runs a named statement with its values, within the transaction of its caller; returns what it found."""


def stamp(moment: datetime) -> str:
    """Return a moment as text of fixed width, so that texts sort as moments do."""
    return _stamp(moment if moment.tzinfo is UTC else moment.astimezone(UTC))


@lru_cache(maxsize=64)
def _stamp(moment: datetime) -> str:
    """Return a moment of UTC as text; one moment is written into many rows of a transaction."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def moment(text: str) -> datetime:
    """Return the moment that ``stamp`` wrote."""
    return datetime.fromisoformat(text)


def optional(text: str | None) -> datetime | None:
    """Return the moment that ``stamp`` wrote, None for nothing."""
    return moment(text) if text else None


def storable(text: str) -> str | bytes:
    """Return a text as SQLite can hold it: half a surrogate pair is not UTF-8, so its bytes are kept."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def stored(value: Any) -> Any:
    """Return the text that ``storable`` wrote; anything else as it is."""
    return value.decode("utf-8", "surrogatepass") if type(value) is bytes else value


def conversation_row(conversation: Conversation, data: Mapping[str, object]) -> tuple[Any, ...]:
    """Return the columns of ``write_conversation``; ``data`` are those of the conversation, packed."""
    ended_at = conversation.ended_at
    return (
        conversation.channel,
        conversation.sender,
        conversation.number,
        conversation.flow,
        conversation.version,
        conversation.state,
        conversation.entry,
        conversation.tries,
        conversation.steps,
        conversation.language,
        encode_packed(data),
        stamp(conversation.opened_at),
        stamp(conversation.now_at),
        conversation.ended,
        stamp(ended_at) if ended_at else None,
        int(conversation.closed_told),
        _memo(conversation),
    )


def conversation_of(row: Row) -> Conversation:
    """Return the conversation in a row that has its columns."""
    return Conversation(
        channel=row["channel"],
        sender=Address(row["sender"]),
        number=row["number"],
        flow=row["flow"],
        version=row["version"],
        state=row["state"],
        entry=row["entry"],
        tries=row["tries"],
        steps=row["steps"],
        language=row["language"],
        data=decode(row["data"]),
        opened_at=moment(row["opened_at"]),
        now_at=moment(row["now_at"]),
        ended=row["ended"],
        ended_at=moment(row["ended_at"]) if row["ended_at"] else None,
        closed_told=bool(row["closed_told"]),
        **_remembered(row["memo"]),
    )


def _memo(conversation: Conversation) -> str:
    """Return what is kept beside the data, as JSON text; most conversations have nothing of it."""
    memo: dict[str, Any] = {}
    if conversation.trail:
        memo["trail"] = conversation.trail
    if conversation.heard:
        memo["heard"] = conversation.heard
    if conversation.leaving:
        memo["leaving"] = conversation.leaving
    if conversation.kept:
        memo["kept"] = {flow: packed(data) for flow, data in conversation.kept.items()}
    return json.dumps(memo) if memo else "{}"


def _remembered(text: str) -> dict[str, Any]:
    if text == "{}":
        return {}
    memo = json.loads(text)
    kept = {flow: decode(json.dumps(data)) for flow, data in memo.pop("kept", {}).items()}
    return {**memo, "trail": tuple(memo.get("trail", ())), "kept": kept}


def event_as_data(event: Event) -> dict[str, Any]:
    """Return an event as plain data."""
    match event:
        case Received():
            sent = stamp(event.sent_at) if event.sent_at else None
            return {
                "event": "received",
                "text": event.text,
                "sent_at": sent,
                "received_at": stamp(event.received_at),
                **({"late": True} if event.late else {}),
            }
        case TimerFired():
            asked = {"asked_at": stamp(event.asked_at)} if event.asked_at else {}
            due = {"name": event.name, "entry": event.entry, "due_at": stamp(event.due_at)}
            return {"event": "timer", **due, **asked, **({"pending": True} if event.pending else {})}
        case CallAnswered():
            return {
                "event": "call",
                "result": event.result,
                "entry": event.entry,
                "values": dict(event.values),
                "note": event.note,
            }
        case Started():
            return {"event": "started", "flow": event.flow, "given": packed(event.given)}


def event_of(data: Mapping[str, Any]) -> Event:
    """Return the event that ``event_as_data`` wrote."""
    match data["event"]:
        case "received":
            sent = moment(data["sent_at"]) if data["sent_at"] else None
            return Received(data["text"], moment(data["received_at"]), sent, data.get("late", False))
        case "timer":
            asked = moment(data["asked_at"]) if data.get("asked_at") else None
            due = moment(data["due_at"])
            return TimerFired(data["name"], data["entry"], due, asked, data.get("pending", False))
        case "call":
            return CallAnswered(data["result"], data["entry"], data["values"], data["note"])
        case _:
            return Started(data["flow"], decode(json.dumps(data["given"])))


def record(step: Step, data: Mapping[str, object] | None = None) -> str:
    """Return a step as the journal keeps it: enough to make it again, and to tell it in words.

    ``data`` are its data where they are ``packed`` already.
    """
    return json.dumps(
        {
            **event_as_data(step.event),
            "now": stamp(step.now),
            "version": step.conversation.version,
            "before": step.state_before,
            "after": step.conversation.state,
            "entry": step.conversation.entry,
            "ended": step.conversation.ended,
            "language": step.conversation.language,
            "tries": step.conversation.tries,
            "data": packed(step.conversation.data) if data is None else data,
            "said": [[outbound.recipient, outbound.kind, outbound.text] for outbound in step.outbound],
            "timers": [[timer.name, stamp(timer.due_at)] for timer in step.timers],
            "request": [step.request.service, packed(step.request.given)] if step.request else None,
            "answers": [[a.name, a.text, packed({"": a.value})[""], a.how] for a in step.answers],
            "took": list(step.took),
            "notes": list(step.notes),
            "fault": step.fault,
        }
    )


# -- rows that come back ------------------------------------------------------------------------------------


def waiting_text(row: Row) -> Waiting:
    """Return a row of ``claim``."""
    event: Event
    if row["kind"] == "opening":
        event = Started(stored(row["text"]), decode(stored(row["raw"])))
    else:
        event = Received(stored(row["text"]), moment(row["received_at"]), optional(row["sent_at"]))
    return Waiting(
        id=row["id"],
        channel=row["channel"],
        sender=Address(row["sender"]),
        event=event,
        conversation=conversation_of(row) if row["number"] is not None else None,
        opted_out=bool(row["opted_out"]),
        attempts=row["attempts"],
        asked_at=optional(row["asked_at"]),
    )


def waiting_timer(row: Row) -> Waiting:
    """Return a row of ``due``."""
    asked_at, pending = optional(row["asked_at"]), bool(row["pending"])
    return Waiting(
        id=row["id"],
        channel=row["channel"],
        sender=Address(row["sender"]),
        event=TimerFired(row["name"], row["timer_entry"], moment(row["due_at"]), asked_at, pending),
        conversation=conversation_of(row),
        opted_out=bool(row["opted_out"]),
    )


def waiting_answer(row: Row) -> Waiting:
    """Return a row of ``answered``."""
    return Waiting(
        id=row["id"],
        channel=row["channel"],
        sender=Address(row["sender"]),
        event=CallAnswered(row["result"], row["call_entry"], json.loads(row["answer"]), row["note"]),
        conversation=conversation_of(row),
        opted_out=bool(row["opted_out"]),
    )


def pending_call(row: Row) -> PendingCall:
    """Return a row of ``calls_to_make``."""
    return PendingCall(
        row["id"], row["service"], row["given"], row["key"], row["attempts"], moment(row["created_at"])
    )


def outbox_row(row: Row, segments: int | None = None) -> OutboxRow:
    """Return a row of the outbox; ``segments`` where they are known better."""
    return OutboxRow(
        outbound=Outbound(
            row["channel"],
            Address(row["recipient"]),
            stored(row["text"]),
            OutboundKind(row["kind"]),
            row["id"],
            None,
            row["number"],
            row["asks"],
        ),
        status=Status(row["status"]),
        created_at=moment(row["created_at"]),
        attempts=row["attempts"],
        next_at=optional(row["next_at"]),
        provider_id=row["provider_id"],
        reason=row["reason"],
        segments=row["segments"] if segments is None else segments,
    )


def inbox_row(row: Row) -> InboxRow:
    """Return a row of the inbox."""
    return InboxRow(
        id=row["id"],
        channel=row["channel"],
        sender=Address(row["sender"]),
        text=stored(row["text"]),
        raw=stored(row["raw"]),
        status=InboxStatus(row["status"]),
        reason=row["reason"],
        received_at=moment(row["received_at"]),
    )


def journal_entry(row: Row) -> JournalEntry:
    """Return a row of the journal."""
    return JournalEntry(
        row["channel"],
        Address(row["sender"]),
        row["number"],
        row["step"],
        row["flow"],
        moment(row["at"]),
        row["record"],
    )


# -- rows that go in ----------------------------------------------------------------------------------------


def consent_row(entry: Consent) -> tuple[Any, ...]:
    """Return the columns of an entry of the consent ledger, in the order of ``write_consent``."""
    return (entry.channel, entry.number, entry.kind, stamp(entry.at), storable(entry.wording), entry.source)
