"""A whole convo with a fake provider, its loops called one after another, on a clock that stands.

Nothing here is a second engine: a text goes through the transport, the inbox, the step, the outbox and
the transport again, as it does in ``convo run``.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from convo.analysis.explain import explain, told
from convo.engine.conversation import Conversation, Step, TimerFired
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import ConfigError, ConvoError
from convo.flow.given import read_given
from convo.flow.values import Value, encode
from convo.messages import Address, Inbound
from convo.runtime.calls import Caller
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.replay import recorded
from convo.runtime.run import drain
from convo.runtime.timers import Heard
from convo.store import Store, open_store
from convo.store.base import InboxStatus, Opening, Result
from convo.store.sqlite_views import open_views
from convo.testing.fakes import FakeClock, FakeServices, FakeTransport
from convo.testing.loaded import machine_of
from convo.testing.spare import SpareStore

CHANNEL = "fake"

IN_RAM = "/dev/shm" if "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK) else None  # noqa: S108
"""Where a store is written fastest that has to outlive objects, not the power; None: the usual place."""

_PUT = "put in place"
"""The note of a step that nobody has caused: a test has set the scene."""

_FAR = datetime(9998, 1, 1, tzinfo=UTC)


class World:
    """One running convo with a fake provider: the flow, its store, its loops. Shared by its phones.

    With ``reload`` everything but the store is thrown away and built anew before each text, so that a
    conversation has to survive saving and loading between any two messages. ``on_disk`` keeps the store in
    a file from the beginning, for ``snapshot``. ``machine`` is run instead of what stands in the file.
    """

    def __init__(
        self,
        flow: str | Path,
        *,
        clock: FakeClock | None = None,
        reload: bool = False,
        on_disk: bool = False,
        machine: CompiledFlow | None = None,
    ) -> None:
        self.path = Path(flow)
        self.clock = clock or FakeClock()
        self.reload = reload
        self._given_machine = machine
        compiled = machine or machine_of(self.path)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._spec = ""
        self.transport = FakeTransport(self.clock, channel=CHANNEL)
        self.store: Store = SpareStore()
        if on_disk:
            self._reopen()
        self.services = FakeServices()
        self._reloads = 0
        self._openings = 0
        self._notes = 0
        self._last: dict[str, Inbound] = {}
        self._build(compiled)

    def _build(self, compiled: CompiledFlow) -> None:
        self.machine = compiled
        self.flow = compiled.flow
        self.flows = ChannelFlows(CHANNEL, {compiled.flow.name: compiled}, compiled.flow.name)
        self._receiver = Receiver(self.store, self.transport, CHANNEL, self.clock, random=Random(0))  # noqa: S311
        self._processor = Processor(
            self.store, {CHANNEL: self.flows}, hearing=lambda _channel: Heard(self._receiver.polled_at)
        )
        self._caller = Caller(self.store, self.services, self.clock, random=Random(0))  # noqa: S311
        self._deliverer = Deliverer(self.store, self.transport, CHANNEL, self.clock, random=Random(0))  # noqa: S311

    # -- running ------------------------------------------------------------------------------------

    def before_text(self) -> None:
        """Where this world reloads, restart before somebody writes.

        The store is written to a file, and opened from there, before the second text of a world and not at
        each: that takes longer than a step, and nothing is left in a connection, as each method of a store
        is a whole transaction.
        """
        if self.reload:
            self._reloads += 1
            self.restart(reopen=self._reloads == 2)

    def restart(self, *, reopen: bool = True) -> None:
        """Stop, and go on from the store: the flow's file is read again, and no object lives on.

        Raises:
            FlowError: the file has problems; everything stays as it was.
        """
        compiled = self._given_machine or machine_of(self.path)
        if reopen and (self.reload or self._folder is not None):
            self._reopen()
        self.store.recover(self.clock.now())
        self._build(compiled)

    def _reopen(self) -> None:
        """Open the store from its file; one that is in memory is written to a file first."""
        if isinstance(self.store, SpareStore):
            self._folder = tempfile.TemporaryDirectory(prefix="convo-", dir=IN_RAM)
            self._spec = str(Path(self._folder.name) / "test.db")
            self.store.save_to(Path(self._spec))
        self.store.close()
        self.store = open_store(self._spec)

    def work(self) -> None:
        """Do all there is to do now."""
        drain([self._receiver], self._processor, [self._deliverer], self.clock, caller=self._caller)

    def next_at(self) -> datetime | None:
        """Return when something comes due by itself: a timer, or a text that is held."""
        times = [self.store.next_timer(), self.store.next_outbound(CHANNEL), self.store.next_call()]
        return min((at for at in times if at is not None), default=None)

    # -- what people and the provider do ------------------------------------------------------------

    def text(self, who: str, text: str, *, sent_at: datetime | None = None, stamped: bool = True) -> Inbound:
        """Have somebody write; ``work`` brings it in."""
        inbound = self.transport.text(who, text, sent_at=sent_at, stamped=stamped)
        self._last[who] = inbound
        return inbound

    def again(self, who: str) -> None:
        """Have the provider hand out the last text of that sender a second time.

        Raises:
            ConfigError: they have sent none.
        """
        if who not in self._last:
            raise ConfigError("that phone has sent nothing yet that could come a second time")
        self.transport.again(self._last[who])
        self.work()

    def open(self, who: str, given: Mapping[str, Value]) -> None:
        """Open the conversation from our side; what is given as text is read by its declared type."""
        self._openings += 1
        written = {name: value for name, value in given.items() if isinstance(value, str)}
        given = {**given, **read_given(self.flow, written, partial=True)}
        opening = Opening(CHANNEL, Address(who), self.flow.name, f"test-{self._openings}", encode(given))
        self.store.request([opening], self.clock.now())
        self.work()

    # -- what is put in place -----------------------------------------------------------------------

    def keep(self, who: str, values: Mapping[str, str]) -> None:
        """Put an ended conversation of that sender into the store, with what it has kept.

        Raises:
            ConfigError: they have written, or been written to; the journal would not tell where it came from.
        """
        if any(not _is_put(each.record) for each in self.store.journal(CHANNEL, Address(who))):
            raise ConfigError("what an earlier conversation left behind is said before anything happens")
        kept = {self.flow.name: read_given(self.flow, values, partial=True)}
        before = self._before(who)
        self._put(who, replace(before, kept={**before.kept, **kept}))

    def speak(self, who: str, language: str) -> None:
        """Have that sender's conversation, or the one they will begin, go on in another language.

        Raises:
            ConfigError: the flow does not speak it.
        """
        known = self.flow.languages or (self.flow.language,)
        if language not in known:
            raise ConfigError(f"this flow does not speak '{language}'  (languages: {', '.join(known)})")
        if self.store.next_call() is not None:
            raise ConfigError("a service is being asked; the language can change after its answer")
        self._put(who, replace(self._before(who), language=language))

    def _before(self, who: str) -> Conversation:
        """Return the conversation of somebody, or one that has ended where there is none."""
        found = self.store.conversation(CHANNEL, Address(who))
        now = self.clock.now()
        return found or Conversation(
            channel=CHANNEL,
            sender=Address(who),
            number=1,
            flow=self.flow.name,
            state=self.flow.start,
            opened_at=now,
            now_at=now,
            language=self.flow.language,
            ended="left",
            ended_at=now,
        )

    def _put(self, who: str, conversation: Conversation) -> None:
        self._notes += 1
        now = self.clock.now()
        note = Inbound(CHANNEL, Address(who), Address(""), "", now, None, f"put-{self._notes}-{who}")
        self.store.accept(CHANNEL, [note], cursor=self.store.cursor(CHANNEL), now=now)
        waiting = next(each for each in self.store.claim(256) if each.sender == who)
        after = replace(conversation, steps=conversation.steps + 1)
        step = Step(after, waiting.event, now, state_before=conversation.state, notes=(_PUT,))
        self.store.commit([Result(waiting, (step,))], now)

    # -- how things stand ---------------------------------------------------------------------------

    def timers(self, who: str) -> list[TimerFired]:
        """Return the timers of somebody that wait, the next one first."""
        found = [each.event for each in self.store.due(_FAR, 1_000) if each.sender == who]
        timers = [event for event in found if isinstance(event, TimerFired)]
        return sorted(timers, key=lambda event: event.due_at)

    def taken(self) -> set[str]:
        """Return the names of the transitions that have been taken, by whomever."""
        people = {row.sender for row in self.store.inbox()}
        records = [each.record for who in people for each in self.store.journal(CHANNEL, who)]
        return {name for record in records for name in json.loads(record)["took"]}

    def why(self, who: str, said: str = "") -> list[str]:
        """Return why that sender's last step, or the last one that said ``said``, went as it did."""
        steps = list(recorded(self.store.journal(CHANNEL, Address(who)), self.flows))
        steps = [each for each in steps if each.record["notes"] != [_PUT]]
        wanted = " ".join(said.split())
        if wanted:
            texts = [[" ".join(text.split()) for _, _, text in each.record["said"]] for each in steps]
            steps = [each for each, lines in zip(steps, texts, strict=True) if wanted in lines] or steps
        if not steps:
            dead = [row for row in self.store.inbox(InboxStatus.DEAD) if row.sender == who]
            return [f"The text was set aside: {dead[-1].reason}."] if dead else []
        last = steps[-1]
        try:
            explanation = explain(
                self.flows,
                last.entry.sender,
                last.before,
                last.event,
                last.entry.at,
                opted_out=last.opted_out,
            )
        except ConvoError as problem:
            return [str(problem)]
        return list(told([explanation]))

    # -- going back ---------------------------------------------------------------------------------

    def snapshot(self, name: str) -> tuple[str, datetime]:
        """Keep the store as it is now under a name; give the result to ``put_back``.

        Raises:
            ConfigError: this world keeps its store in memory.
        """
        if self._folder is None:
            raise ConfigError("only a world that was made with on_disk=True can go back")
        copy = Path(self._folder.name) / f"{name}.copy"
        copy.unlink(missing_ok=True)
        with open_views(self._spec) as views:
            views.copy_to(copy)
        return str(copy), self.clock.now()

    def put_back(self, snapshot: tuple[str, datetime]) -> None:
        """Go on from the store as it was at a snapshot, at the time that it was then."""
        copy, now = snapshot
        self.store.close()
        for ending in ("-wal", "-shm"):
            Path(self._spec + ending).unlink(missing_ok=True)
        shutil.copyfile(copy, self._spec)
        self.clock.set(now)
        self.store = open_store(self._spec)
        self._build(self.machine)

    def close(self) -> None:
        """Let go of the store and its folder."""
        self.store.close()
        if self._folder is not None:
            self._folder.cleanup()


def _is_put(record: str) -> bool:
    return bool(json.loads(record)["notes"] == [_PUT])
