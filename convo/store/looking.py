"""What an operator sees of a store, and decides by hand; see ``convo/store/views.py``.

Every store answers the same statements, which stand, named, in ``sql/views.sql``; a store says how they
are run, and what a transaction is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from convo.errors import ConfigError
from convo.messages import Address, Status
from convo.store.base import InboxRow, InboxStatus, OutboxRow
from convo.store.rows import (
    Row,
    conversation_of,
    inbox_row,
    journal_entry,
    moment,
    optional,
    outbox_row,
    stamp,
    stored,
)
from convo.store.views import ChannelView, ConsentView, FlowView, Overview, PersonView, Reason, TimerView

_SETTLED = {
    "queued": "it waits to be sent already",
    "sending": "it is on its way now; if no run is at work, the next one makes it unknown",
    "sent": "it has been sent",
    "delivered": "it has arrived",
}


class Looking(ABC):
    """Reads of a store; nothing here changes it."""

    @abstractmethod
    def _run(self, name: str, *values: object) -> list[Row]:
        """Run a named statement."""

    @abstractmethod
    def _snapshot(self) -> AbstractContextManager[None]:
        """Let every statement within see the same moment."""

    # -- the whole store ----------------------------------------------------------------------------

    def overview(self, now: datetime) -> Overview:
        """Return how the whole store stands."""
        with self._snapshot():
            waiting = {row["channel"]: row for row in self._run("waiting")}
            timers = {row["channel"]: row for row in self._run("timers")}
            opted_out = {row["channel"]: row["found"] for row in self._run("opted_out")}
            outbox: dict[str, dict[str, int]] = defaultdict(dict)
            oldest_out = {}
            for row in self._run("statuses"):
                outbox[row["channel"]][row["status"]] = row["found"]
                if row["status"] == "queued":
                    oldest_out[row["channel"]] = row["oldest"]
            polls = {row["channel"]: row["last_good_poll_at"] for row in self._run("channels")}
            reasons = self._reasons("reasons", "status")
            dead = self._reasons("dead", "kind")
            channels = tuple(
                ChannelView(
                    name=name,
                    last_good_poll_at=optional(polled),
                    waiting_in=waiting[name]["waiting"] if name in waiting else 0,
                    oldest_in=optional(waiting[name]["oldest"]) if name in waiting else None,
                    oldest_out=optional(oldest_out.get(name)),
                    outbox=outbox.get(name, {}),
                    reasons=tuple(reasons.get(name, ())),
                    dead=tuple(dead.get(name, ())),
                    timers=timers[name]["found"] if name in timers else 0,
                    next_timer_at=optional(timers[name]["next"]) if name in timers else None,
                    opted_out=opted_out.get(name, 0),
                )
                for name, polled in polls.items()
            )
            return Overview(now, channels, self._flows())

    def _reasons(self, name: str, status: str) -> dict[str, list[Reason]]:
        found: dict[str, list[Reason]] = defaultdict(list)
        for row in self._run(name):
            found[row["channel"]].append(
                Reason(row[status], row["reason"], row["found"], moment(row["last"]))
            )
        return found

    def _flows(self) -> tuple[FlowView, ...]:
        flows: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
        for row in self._run("flows"):
            waiting, ended = flows.setdefault(row["flow"], ({}, {}))
            if row["ended"] is None:
                waiting[row["state"]] = row["found"]
            else:
                ended[row["ended"]] = row["found"]
        return tuple(FlowView(name, waiting, ended) for name, (waiting, ended) in flows.items())

    def served(self) -> list[str]:
        """Return the channels that a run has received on."""
        return [row["channel"] for row in self._run("served")]

    # -- one person ---------------------------------------------------------------------------------

    def person(self, number: Address, *, channel: str | None = None, steps: int = 10) -> list[PersonView]:
        """Return what is known of a number, a view for each channel that knows it."""
        with self._snapshot():
            known = [row["channel"] for row in self._run("channels_of", number)]
            return [self._person(number, each, steps) for each in known if channel in (None, each)]

    def _person(self, number: Address, channel: str, steps: int) -> PersonView:
        who = (channel, number)
        last = [journal_entry(row) for row in self._run("steps_of", *who, steps)]
        return PersonView(
            channel=channel,
            number=number,
            conversations=tuple(conversation_of(row) for row in self._run("conversations_of", *who)),
            steps=tuple(reversed(last)),
            of=self._run("count_steps_of", *who)[0]["found"],
            timers=tuple(
                TimerView(row["name"], moment(row["due_at"])) for row in self._run("timers_of", *who)
            ),
            consent=tuple(
                ConsentView(row["kind"], moment(row["at"]), row["source"], stored(row["wording"]))
                for row in self._run("consent_of", *who)
            ),
            outbox=tuple(outbox_row(row) for row in self._run("outbox_of", *who)),
        )

    def people(self) -> list[tuple[str, Address]]:
        """Return everybody of whom the journal tells, by channel."""
        return [(row["channel"], Address(row["sender"])) for row in self._run("people")]

    def flows_told(self) -> list[tuple[str, str]]:
        """Return every flow of which the journal tells, by channel."""
        return [(row["channel"], row["flow"]) for row in self._run("flows_told")]

    # -- rows ---------------------------------------------------------------------------------------

    def outbox_rows(self, statuses: Sequence[str], channel: str | None = None) -> list[OutboxRow]:
        """Return the outbounds with one of these statuses that nobody has dropped, oldest first."""
        found = [outbox_row(row) for each in statuses for row in self._run("outbox_rows", channel, each)]
        return sorted(found, key=lambda each: each.outbound.id)

    def dead_rows(self, channel: str | None = None) -> list[InboxRow]:
        """Return the inbox rows that were set aside, oldest first."""
        return [inbox_row(row) for row in self._run("dead_rows", channel)]

    def opening_waits(self, channel: str, number: Address) -> bool:
        """Return whether a request to open a conversation with that number waits in the inbox."""
        return bool(self._run("opening_waits", channel, number))

    def inbox_id(self, channel: str, opening_key: str) -> int | None:
        """Return the id of the inbox row of an ``Opening``."""
        found = self._run("inbox_id", channel, f"opening:{opening_key}")
        return found[0]["id"] if found else None

    def inbox_row(self, row: int) -> InboxRow | None:
        """Return one row of the inbox."""
        found = self._run("inbox_row", row)
        return inbox_row(found[0]) if found else None


class Deciding(Looking):
    """What a person decides, beside what they see."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[None]:
        """Make one transaction of the statements within, with nobody else writing meanwhile."""

    def resend(self, row: int, now: datetime) -> str:
        """Queue an outbound that is unknown, failed, blocked or expired; return what it was."""
        with self._row("outbox", row) as was:
            if was in _SETTLED:
                raise ConfigError(f"outbox row {row} cannot be sent again: {_SETTLED[was]}")
            self._run("resend", stamp(now), stamp(now), row)
        return was

    def drop(self, row: int, now: datetime) -> str:
        """Give up an outbound that has not been sent; return what it was."""
        with self._row("outbox", row) as was:
            if was in _SETTLED and was != Status.QUEUED:
                raise ConfigError(f"outbox row {row} cannot be dropped: {_SETTLED[was]}")
            self._run("drop", stamp(now), row)
        return was

    def retry_message(self, row: int) -> None:
        """Have a message that was set aside stepped again."""
        with self._dead(row, "retried") as kind:
            if kind == "unreadable":
                raise ConfigError(
                    f"inbox row {row} cannot be retried: what came could not be read (convo inbox list"
                    f" --texts shows it raw); look after it yourself, then: convo inbox drop {row}"
                )
            self._retry(row)

    def drop_message(self, row: int) -> None:
        """Leave a message that was set aside unanswered for good."""
        with self._dead(row, "dropped"):
            self._run("drop_message", row)

    @contextmanager
    def _dead(self, row: int, verb: str) -> Iterator[str]:
        with self._row("inbox", row) as status:
            if status != InboxStatus.DEAD:
                said = "waits for its step" if status == InboxStatus.WAITING else "is done"
                raise ConfigError(f"inbox row {row} cannot be {verb}: it {said}; only dead rows can")
            yield self._run("inbox_row", row)[0]["kind"]

    def _hold(self, table: str, row: int) -> None:
        """Have nobody else change the row until the transaction ends."""

    def _retry(self, row: int) -> None:
        """Let a message wait for its step again."""
        self._run("retry_message", row)

    @contextmanager
    def _row(self, table: str, row: int) -> Iterator[str]:
        """Yield the status of a row, inside the transaction that will change it."""
        with self._transaction():
            self._hold(table, row)
            found = self._run("outbox_status" if table == "outbox" else "inbox_row", row)
            if not found:
                raise ConfigError(f"there is no row {row} in the {table}; see: convo {table} list")
            yield found[0]["status"]
