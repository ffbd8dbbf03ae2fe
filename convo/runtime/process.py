"""The loop that steps what waits in the inbox and commits what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from convo.engine.conversation import (
    ConsentKind,
    Conversation,
    Event,
    Received,
    Started,
    Step,
    TimerFired,
)
from convo.engine.opening import ChannelFlows, NoFlow, NotGiven, StateGone, answer
from convo.errors import StoreError
from convo.messages import Address, mask
from convo.runtime.aside import Aside, apology
from convo.runtime.log import about_channel, count, origin
from convo.runtime.policy import LONGEST_MESSAGE, STEP_TRIES, in_parts
from convo.runtime.timers import Heard, Hearing, due_timers
from convo.store.base import Result, Store, Waiting

BATCH = 256
"""The most rows that are stepped and committed together."""

SENT_TO_THE_SECOND = timedelta(seconds=1)
"""Providers cut their timestamps to whole seconds: a text may be that much younger than they say."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Sender:
    """How one sender stands within a batch: each of their messages is stepped on what the last one left."""

    conversation: Conversation | None
    opted_out: bool
    held: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one batch: when to be called again, and whom to wake once it is committed.

    ``stepped``: there was something to step.
    """

    next_at: datetime | None
    leaves: bool = False
    asks: bool = False
    stepped: bool = False


class Processor:
    """Steps the inbox of the channels in ``flows``; ``on_committed`` is called when something may leave.

    ``longest`` is how many characters one message on a channel takes; longer texts leave as several.
    Any number of them may step one store, in threads, processes and machines: the order of a sender's steps
    rests on the fence of the partition, not on who steps.
    """

    def __init__(
        self,
        store: Store,
        flows: Mapping[str, ChannelFlows],
        *,
        limit: int = BATCH,
        on_committed: Callable[[], None] = lambda: None,
        on_request: Callable[[], None] = lambda: None,
        hearing: Hearing = lambda _channel: Heard(pushed=True),
        longest: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._store = store
        self._longest = longest
        self._flows = flows
        self._limit = limit
        self._on_committed = on_committed
        self._on_request = on_request
        self._hearing = hearing
        self._elsewhere = 0
        self._told: set[tuple[str, str]] = set()
        self._aside = Aside()

    def once(self, now: datetime) -> datetime | None:
        """Step and commit one batch of all that waits; return when to be called again, None: nothing waits.

        Raises:
            StoreError: nothing of the batch was written; the next call steps it again.
        """
        busy = self._store.busy(now)
        again_at = self._process(busy, now) if busy else None
        if again_at == now or not self._store.divided:
            return again_at
        # One that is due already has been seen to, with its partition.
        next_at = self._store.next_timer()
        times = [each for each in (again_at, next_at if next_at is None or next_at > now else None) if each]
        return min(times, default=None)

    def _process(self, partitions: Sequence[int], now: datetime) -> datetime | None:
        """Step and commit one batch of partitions.

        Whoever steps one of them at the same time waits for the commit, and then finds what is left.
        """
        with self._store.fenced(*partitions) as store:
            done = self.batch(store, now)
        if done.leaves:
            self._on_committed()
        if done.asks:
            self._on_request()
        return done.next_at

    def batch(self, store: Store, now: datetime) -> Done:
        """Step one batch within a fence and commit it there; whoever calls this tells what became of it.

        Texts go before the answers of services, and those before timers. Raises as ``once``.
        """
        waiting, full = self._claim(store)
        if waiting:
            done, again = self._step_all(store, waiting, (), now)
            return (
                done if full or again else Done(self._next(store, now), done.leaves, done.asks, stepped=True)
            )
        answers = self._aside.answers
        found = store.answered(self._limit + len(answers.held))
        answered = [row for row in found if row.channel in self._flows and row.id not in answers.held]
        if answered:
            return self._step_all(store, answered, (), now)[0]
        held = frozenset(self._aside.timers.held)
        due = due_timers(store, self._hearing, tuple(self._flows), now, held)
        if due.fire or due.dropped:
            return self._step_all(store, due.fire, due.dropped, now)[0]
        return Done(due.next_at)

    @staticmethod
    def _next(store: Store, now: datetime) -> datetime | None:
        """Return when a timer may be due; at once where one is due already."""
        next_at = store.next_timer()
        return None if next_at is None else max(next_at, now)

    def _step_all(
        self, store: Store, waiting: Sequence[Waiting], dropped: Sequence[Result], now: datetime
    ) -> tuple[Done, bool]:
        """Step and commit; return what came of it, and whether one of them is to be tried again."""
        senders: dict[tuple[str, Address], _Sender] = {}
        results = []
        for each in waiting:
            with about_channel(each.channel):
                result = self._step(store, each, senders, now)
            if result is not None:
                results.append(result)
        held = self._commit(store, [*results, *dropped], now)
        steps = [step for result in results for step in result.steps]
        leaves, asks = any(step.outbound for step in steps), any(step.request for step in steps)
        return Done(now, leaves, asks, stepped=True), held or any(result.retry for result in results)

    def _claim(self, store: Store) -> tuple[list[Waiting], bool]:
        """Return what waits on our channels, and whether there may be more.

        Rows of a channel that this run does not serve stay where they are, for the run that does.
        """
        while True:
            asked = self._limit + self._elsewhere
            rows = store.claim(asked)
            ours = [row for row in rows if row.channel in self._flows]
            self._elsewhere = len(rows) - len(ours)
            if ours or len(rows) < asked:
                return ours, len(rows) == asked

    def _step(
        self, store: Store, waiting: Waiting, senders: dict[tuple[str, Address], _Sender], now: datetime
    ) -> Result | None:
        """Return what becomes of one row; None where it waits behind an earlier one of its sender."""
        key = (waiting.channel, waiting.sender)
        sender = senders.setdefault(key, _Sender(waiting.conversation, waiting.opted_out))
        if sender.held:
            return None
        event = _placed(waiting, sender.conversation)
        try:
            steps = answer(
                self._flows[waiting.channel],
                waiting.sender,
                sender.conversation,
                event,
                now,
                opted_out=sender.opted_out,
            )
        except (StateGone, NoFlow, NotGiven) as problem:
            self._tell(waiting, sender.conversation, problem)
            if not isinstance(waiting.event, Received | Started):
                # A timer, or a service's answer, waits where it is until the flow has been mended.
                self._aside.of(waiting).held.add(waiting.id)
                return None
            return self._set_aside(store, waiting, sender, str(problem), now)
        except Exception as problem:
            return self._raised(store, waiting, sender, problem, now)
        longest = self._longest.get(waiting.channel, LONGEST_MESSAGE)
        steps = tuple(in_parts(step, longest) for step in steps)
        for step in steps:
            sender.conversation = step.conversation
            for entry in step.consent:
                sender.opted_out = entry.kind is ConsentKind.OPT_OUT
            _note(step)
            if step.request is not None:
                # What the sender wrote meanwhile waits until the service has answered.
                sender.held = True
        return Result(waiting, steps=steps)

    def _raised(
        self, store: Store, waiting: Waiting, sender: _Sender, problem: Exception, now: datetime
    ) -> Result | None:
        what = origin(problem)
        _log.debug("the step raised", exc_info=True)
        is_message = isinstance(waiting.event, Received | Started)
        tries = waiting.attempts + 1 if is_message else self._aside.of(waiting).tried(waiting.id)
        if tries < STEP_TRIES:
            _log.warning("a step of %s raised %s; tried again", mask(waiting.sender), what)
            sender.held = True
            return Result(waiting, retry=what) if is_message else None
        thing = "message" if is_message else "timer" if isinstance(waiting.event, TimerFired) else "answer"
        _log.error("a %s of %s is set aside: its step raised %s", thing, mask(waiting.sender), what)
        return self._set_aside(store, waiting, sender, f"its step raised {what}, {STEP_TRIES} times", now)

    def _set_aside(
        self, store: Store, waiting: Waiting, sender: _Sender, reason: str, now: datetime
    ) -> Result:
        """Return the row as dead; the journal says why, and the sender hears the apology, once."""
        flows = self._flows[waiting.channel]
        step = apology(store, flows, waiting, sender.conversation, reason, now, sender.opted_out)
        if step is None:
            return Result(waiting, dead=reason)
        sender.conversation = step.conversation
        return Result(waiting, steps=(step,), dead=reason)

    def _tell(self, waiting: Waiting, conversation: Conversation | None, problem: Exception) -> None:
        state = (conversation.flow, conversation.state) if conversation is not None else ("", "")
        key = (type(problem).__name__, "/".join(state))
        if key not in self._told:
            self._told.add(key)
            _log.error("messages are set aside: %s", problem)
        _log.info("dead: a message of %s", mask(waiting.sender))

    def _commit(self, store: Store, results: Sequence[Result], now: datetime) -> bool:
        """Commit; return whether some of it has to be stepped again."""
        try:
            store.commit(results, now)
            return False
        except StoreError:
            raise
        except Exception as problem:
            _log.error(
                "a batch of %s could not be committed: %s", count(len(results), "message"), origin(problem)
            )
            return self._commit_one_by_one(store, results, now)

    def _commit_one_by_one(self, store: Store, results: Sequence[Result], now: datetime) -> bool:
        """Commit each result on its own; the one that cannot be is set aside, with its sender's later ones.

        Those later ones were stepped on a conversation that now never was, so they wait to be stepped again;
        returns whether there are any.
        """
        held: set[tuple[str, Address]] = set()
        again = False
        for result in results:
            key = (result.waiting.channel, result.waiting.sender)
            if key in held:
                again = True
                continue
            try:
                store.commit([result], now)
            except StoreError:
                raise
            except Exception as problem:
                what = f"its step cannot be stored: {origin(problem)}"
                _log.error("a message of %s is set aside: %s", mask(result.waiting.sender), what)
                self._commit_aside(store, result.waiting, what, now)
                held.add(key)
        return again

    def _commit_aside(self, store: Store, waiting: Waiting, what: str, now: datetime) -> None:
        """Set a row aside with an apology, or, where that cannot be stored either, without."""
        sender = _Sender(store.conversation(waiting.channel, waiting.sender), waiting.opted_out)
        try:
            store.commit([self._set_aside(store, waiting, sender, what, now)], now)
        except StoreError:
            raise
        except Exception:
            store.commit([Result(waiting, dead=what)], now)


def _placed(waiting: Waiting, conversation: Conversation | None) -> Event:
    """Return the event; a text knows whether it was sent before the question that waits was handed over."""
    event = waiting.event
    if not isinstance(event, Received) or event.sent_at is None:
        return event
    if conversation is None or not conversation.is_open:
        return event
    before = waiting.conversation
    same = before is not None and (before.number, before.entry) == (conversation.number, conversation.entry)
    asked_at = waiting.asked_at if same else None
    late = asked_at is None or event.sent_at + SENT_TO_THE_SECOND <= asked_at
    return Received(event.text, event.received_at, event.sent_at, late=True) if late else event


def _note(step: Step) -> None:
    after = step.conversation
    who = mask(after.sender)
    replies = count(len(step.outbound), "reply", "replies")
    if step.fault is not None:
        _log.error("fault: a step of %s in %s/%s was undone: %s", who, after.flow, after.state, step.fault)
        return
    end = f", ended: {after.ended}" if after.ended is not None else ""
    _log.info(
        "stepped %s: %s %s -> %s, %s%s",
        who,
        after.flow,
        step.state_before or "(new)",
        after.state,
        replies,
        end,
    )
