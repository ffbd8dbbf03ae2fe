"""Conversations that we start: asked for in the inbox, stepped by the same engine, committed by the store.

It may run beside ``convo run``. Whichever of the two commits an opening first has made its step; the
other's commit breaks on the journal, which holds each step of a conversation once, and looks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from convo.engine.conversation import Started
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows, answer
from convo.errors import StoreError
from convo.flow.values import Value, encode
from convo.messages import Address
from convo.runtime.policy import LONGEST_MESSAGE, in_parts
from convo.store.base import InboxStatus, Opening, Result, Store, Waiting
from convo.store.views import Views

BATCH = 64
"""So many openings are committed together."""

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """A conversation to start. ``place`` says where it was asked for: an option, a line of a file."""

    place: str
    number: Address = field(repr=False)
    given: Mapping[str, Value] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish: ``refused`` is why nothing was started, None where it was."""

    wish: Wish
    refused: str | None = None


class Starter:
    """Starts conversations in one flow on one channel. ``views`` looks at the same store.

    ``session`` sets this run's requests apart from every other one's. A text of more than ``longest``
    characters leaves as several.
    """

    def __init__(
        self,
        store: Store,
        views: Views,
        compiled: CompiledFlow,
        channel: str,
        session: str,
        longest: int = LONGEST_MESSAGE,
    ) -> None:
        self._store = store
        self._views = views
        self._flow = compiled.flow.name
        self._flows = ChannelFlows(channel, {self._flow: compiled}, self._flow)
        self._channel = channel
        self._session = session
        self._longest = longest
        self._asked: set[Address] = set()

    def start(self, wishes: Iterable[Wish], now: datetime) -> Iterator[Outcome]:
        """Start each, in batches; yield what became of it once that is committed.

        Raises:
            StoreError: nothing of the batch in hand is told; what of it was asked for waits in the inbox.
        """
        left = iter(wishes)
        while batch := list(islice(left, BATCH)):
            yield from self._batch(batch, now)

    def _batch(self, wishes: Sequence[Wish], now: datetime) -> list[Outcome]:
        outcomes: dict[str, Outcome] = {}
        going: list[Wish] = []
        for wish in wishes:
            refused = self._refused(wish, now)
            if refused is None:
                going.append(wish)
                self._asked.add(wish.number)
            else:
                outcomes[wish.place] = Outcome(wish, refused)
        self._store.request(
            [
                Opening(self._channel, wish.number, self._flow, self._key(wish), encode(wish.given))
                for wish in going
            ],
            now,
        )
        for outcome in self._step(going, now):
            outcomes[outcome.wish.place] = outcome
        return [outcomes[wish.place] for wish in wishes]

    def _key(self, wish: Wish) -> str:
        return f"start {self._session} {wish.number}"

    def _refused(self, wish: Wish, now: datetime) -> str | None:
        """Return why there is nothing to start with that number, trying the opening's step beforehand."""
        if wish.number in self._asked:
            return "this number has been named before"
        if self._store.opted_out(self._channel, wish.number):
            return "opted out"
        held = self._store.conversation(self._channel, wish.number)
        if held is not None and held.is_open:
            return f"has an open conversation already, in {held.flow}"
        if self._views.opening_waits(self._channel, wish.number):
            return "an opening waits in the inbox already; a run steps it"
        (opening,) = answer(
            self._flows, wish.number, held, Started(self._flow, wish.given), now, opted_out=False
        )
        return f"its opening cannot be completed: {opening.fault}" if opening.fault is not None else None

    def _step(self, wishes: Sequence[Wish], now: datetime) -> list[Outcome]:
        try:
            return self._commit(wishes, now)
        except StoreError:
            # Most likely a run beside us, or somebody who wrote at this very moment, was first.
            return [self._one(wish, now) for wish in wishes]

    def _one(self, wish: Wish, now: datetime) -> Outcome:
        for _ in range(_TRIES - 1):
            try:
                return self._commit([wish], now)[0]
            except StoreError:
                continue
        return self._commit([wish], now)[0]

    def _commit(self, wishes: Sequence[Wish], now: datetime) -> list[Outcome]:
        outcomes, results = [], []
        for wish in wishes:
            row = self._views.inbox_id(self._channel, self._key(wish))
            found = self._views.inbox_row(row) if row is not None else None
            if row is None or found is None:
                raise StoreError("a request that was put into the inbox is gone")
            if found.status is not InboxStatus.WAITING:
                outcomes.append(self._by_a_run(wish, found.status, found.reason))
                continue
            event = Started(self._flow, wish.given)
            held = self._store.conversation(self._channel, wish.number)
            out = self._store.opted_out(self._channel, wish.number)
            waiting = Waiting(row, self._channel, wish.number, event, held, out)
            if out or (held is not None and held.is_open):
                results.append(Result(waiting))
                outcomes.append(Outcome(wish, "opted out" if out else "has opened a conversation meanwhile"))
                continue
            steps = answer(self._flows, wish.number, held, event, now, opted_out=False)
            results.append(Result(waiting, tuple(in_parts(step, self._longest) for step in steps)))
            outcomes.append(Outcome(wish))
        if results:
            self._store.commit(results, now)
        return outcomes

    def _by_a_run(self, wish: Wish, status: InboxStatus, reason: str) -> Outcome:
        if status is InboxStatus.DEAD:
            return Outcome(wish, f"the run that is at work set it aside: {reason}")
        last = self._store.conversation(self._channel, wish.number)
        return Outcome(wish, None if last is not None else "nothing was opened")
