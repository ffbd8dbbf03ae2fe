"""A phone for tests: the real runtime, its loops called one after another, on a clock that stands.

Nothing here is a second engine: a text goes through the transport, the inbox, the step, the outbox and
the transport again, as it does in ``convo run``.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from convo.analysis.transcripts import SENDER, Text
from convo.engine.conversation import Conversation, Step
from convo.engine.machine import compile_flow
from convo.engine.opening import ChannelFlows
from convo.flow.given import read_given
from convo.flow.parse import load_flow
from convo.flow.values import Value, encode, parse_duration
from convo.messages import Address, Inbound
from convo.runtime.calls import Caller
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.run import drain
from convo.runtime.timers import Heard
from convo.store import Store, open_store
from convo.store.base import Opening, Result
from convo.testing.fakes import FakeClock, FakeServices, FakeTransport

CHANNEL = "fake"


class World:
    """One running convo with a fake provider: the flow, its store, its loops. Shared by its phones.

    With ``reload`` everything but the store's file is thrown away and built anew before each text, so
    that a conversation has to survive saving and loading between any two messages.
    """

    def __init__(self, flow: str | Path, *, clock: FakeClock | None = None, reload: bool = False) -> None:
        self.path = Path(flow)
        self.clock = clock or FakeClock()
        self.reload = reload
        self._folder = tempfile.TemporaryDirectory() if reload else None
        self._spec = str(Path(self._folder.name) / "test.db") if self._folder else "memory"
        self.transport = FakeTransport(self.clock, channel=CHANNEL)
        self.store: Store = open_store(self._spec)
        self._openings = 0
        self.services = FakeServices()
        self._build()

    def _build(self) -> None:
        compiled = compile_flow(load_flow(self.path))
        self.flow = compiled.flow
        flows = ChannelFlows(CHANNEL, {compiled.flow.name: compiled}, compiled.flow.name)
        self._receiver = Receiver(self.store, self.transport, CHANNEL, self.clock, random=Random(0))  # noqa: S311
        self._processor = Processor(
            self.store, {CHANNEL: flows}, hearing=lambda _channel: Heard(self._receiver.polled_at)
        )
        self._caller = Caller(self.store, self.services, self.clock, random=Random(0))  # noqa: S311
        self._deliverer = Deliverer(self.store, self.transport, CHANNEL, self.clock, random=Random(0))  # noqa: S311

    def restart(self) -> None:
        """Stop, and go on from the store: the flow is read again, and no object lives on."""
        if self._folder is not None:
            self.store.close()
            self.store = open_store(self._spec)
        self.store.recover(self.clock.now())
        self._build()

    def work(self) -> None:
        """Do all there is to do now."""
        drain([self._receiver], self._processor, [self._deliverer], self.clock, caller=self._caller)

    def next_at(self) -> datetime | None:
        """Return when something comes due by itself: a timer, or a text that is held."""
        times = [self.store.next_timer(), self.store.next_outbound(CHANNEL), self.store.next_call()]
        return min((at for at in times if at is not None), default=None)

    def open(self, who: str, given: Mapping[str, Value]) -> None:
        """Open the conversation from our side; what is given as text is read by its declared type."""
        self._openings += 1
        written = {name: value for name, value in given.items() if isinstance(value, str)}
        given = {**given, **read_given(self.flow, written, partial=True)}
        opening = Opening(CHANNEL, Address(who), self.flow.name, f"test-{self._openings}", encode(given))
        self.store.request([opening], self.clock.now())
        self.work()

    def taken(self) -> set[str]:
        """Return the names of the transitions that have been taken, by whomever."""
        people = {row.sender for row in self.store.inbox()}
        records = [each.record for who in people for each in self.store.journal(CHANNEL, who)]
        return {name for record in records for name in json.loads(record)["took"]}

    def keep(self, who: str, values: Mapping[str, str]) -> None:
        """Put an ended conversation of that sender into the store, with what it has kept."""
        kept = {self.flow.name: read_given(self.flow, values, partial=True)}
        now = self.clock.now()
        self.store.accept(CHANNEL, [_note_of(who, now)], cursor=None, now=now)
        waiting = self.store.claim(1)[0]
        ended = Conversation(
            channel=CHANNEL,
            sender=Address(who),
            number=1,
            flow=self.flow.name,
            state=self.flow.start,
            opened_at=now,
            now_at=now,
            ended="left",
            ended_at=now,
            kept=kept,
        )
        self.store.commit([Result(waiting, (Step(ended, waiting.event, now),))], now)

    def close(self) -> None:
        """Let go of the store and its folder."""
        self.store.close()
        if self._folder is not None:
            self._folder.cleanup()


class Phone:
    """A person's phone: sends texts to the flow and looks at what comes back."""

    def __init__(
        self,
        flow: str | Path | World,
        number: str = SENDER,
        *,
        clock: FakeClock | None = None,
        reload: bool = False,
    ) -> None:
        """Make a phone on a flow file, or on the world of another phone."""
        self.world = flow if isinstance(flow, World) else World(flow, clock=clock, reload=reload)
        self.number = number
        self.chat: list[str] = []
        self._seen: dict[str, int] = {}

    # -- what a person does -------------------------------------------------------------------------

    def send(self, text: str, *, sent: datetime | timedelta | None = timedelta(0)) -> None:
        """Send a text. ``sent`` is the provider's time: how long ago, a moment, or None for none given."""
        now = self.world.clock.now()
        before = now - sent if isinstance(sent, datetime) else sent
        self.receive([Text(self.number, text, before)])

    def as_(self, number: str) -> Phone:
        """Return another person's phone in the same world."""
        return Phone(self.world, number)

    def wait(self, duration: str | timedelta) -> None:
        """Let time pass: a timedelta, or ``60s``, ``10m``, ``24h``, ``3d``, ``2w``."""
        by = parse_duration(duration) if isinstance(duration, str) else duration
        if by is None:
            raise ValueError(f"{duration!r} is no duration; write 90s, 10m, 24h, 3d or 2w")
        self.pass_time(by)

    # -- what is expected ---------------------------------------------------------------------------

    def expect(self, text: str) -> None:
        """The next reply is this text; spaces and line ends count as one space."""
        self._expect(f"{text!r}", lambda said: said == _collapsed(text))

    def expect_starts(self, text: str) -> None:
        """The next reply begins like this."""
        self._expect(f"a text that starts {text!r}", lambda said: said.startswith(_collapsed(text)))

    def expect_contains(self, text: str) -> None:
        """The next reply has this in it."""
        self._expect(f"a text that contains {text!r}", lambda said: _collapsed(text) in said)

    def expect_like(self, pattern: str) -> None:
        """The whole next reply fits a regular expression."""
        self._expect(f"a text like {pattern!r}", lambda said: re.fullmatch(pattern, said) is not None)

    def expect_nothing(self) -> None:
        """There is no further reply."""
        left = self.replies(self.number)
        if left:
            raise AssertionError(f"expected nothing more, but it was {left[0]!r}\n{self._so_far()}")

    def _expect(self, expected: str, fits: Callable[[str], bool]) -> None:
        replies = self._unseen(self.number)
        if not replies:
            raise AssertionError(f"expected {expected}, but nothing was said\n{self._so_far()}")
        self._seen[self.number] = self._seen.get(self.number, 0) + 1
        self.chat.append(f"us: {replies[0]}")
        if not fits(_collapsed(replies[0])):
            raise AssertionError(f"expected {expected}\nbut it was {replies[0]!r}\n{self._so_far()}")

    def _so_far(self) -> str:
        return "the chat so far:\n" + "\n".join("    " + line for line in self.chat)

    # -- how things stand ---------------------------------------------------------------------------

    @property
    def state(self) -> str | None:
        """The state of this person's machine, None where there is none."""
        return self.position(self.number)[0] or None

    @property
    def saved(self) -> Mapping[str, Value]:
        """The conversation's data."""
        return self.position(self.number)[1]

    @property
    def ended(self) -> str | None:
        """How the conversation ended, None while it is open."""
        return self.position(self.number)[2]

    # -- what transcripts need ----------------------------------------------------------------------

    def receive(self, texts: Sequence[Text]) -> None:
        """Hand in texts in one poll, and let everything happen that follows."""
        if self.world.reload:
            self.world.restart()
        now = self.world.clock.now()
        for text in texts:
            self.chat.append(f"{'them' if text.sender == self.number else text.sender}: {text.text}")
            settings: dict[str, Any] = (
                {"stamped": False} if text.sent is None else {"sent_at": now - text.sent}
            )
            self.world.transport.text(text.sender, text.text, **settings)
        self.world.work()

    def replies(self, who: str) -> list[str]:
        """Return what has been sent to that number and was not returned before."""
        unseen = self._unseen(who)
        self._seen[who] = self._seen.get(who, 0) + len(unseen)
        return unseen

    def _unseen(self, who: str) -> list[str]:
        return self.world.transport.replies(who)[self._seen.get(who, 0) :]

    def pass_time(self, by: timedelta) -> None:
        """Let time pass, and let happen what comes due."""
        end = self.world.clock.now() + by
        while (next_at := self.world.next_at()) is not None and next_at < end:
            self.world.clock.set(max(next_at, self.world.clock.now()))
            self.world.work()
        self.world.clock.set(end)
        self.world.work()

    def set_clock(self, now: datetime) -> None:
        """Put the clock there; a moment without a zone is in the flow's."""
        zone = ZoneInfo(self.world.flow.zone)
        self.world.clock.set((now if now.tzinfo else now.replace(tzinfo=zone)).astimezone(UTC))

    def open(self, who: str | None = None, given: Mapping[str, Value] | None = None) -> None:
        """Open the conversation from our side, with this person by default."""
        self.world.open(who or self.number, given or {})

    def restart(self) -> None:
        """Stop the program and start it again on the same store."""
        self.world.restart()

    def calls(self, answers: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
        """Say what services answer from now on: by name, the result (ok, error, timeout) and its values."""
        for service, said in answers.items():
            for result, values in said.items():
                self.world.services.answer(service, result, values)

    def keep(self, who: str, values: Mapping[str, str]) -> None:
        """Say what an earlier conversation of that sender has left behind, by the names that are kept."""
        self.world.keep(who, values)

    def position(self, who: str) -> tuple[str, Mapping[str, Value], str | None]:
        """Return that sender's state, data and disposition."""
        found = self.world.store.conversation(CHANNEL, Address(who))
        return (found.state, found.data, found.ended) if found is not None else ("", {}, None)

    def close(self) -> None:
        """Let go of the world."""
        self.world.close()


def _note_of(who: str, now: datetime) -> Inbound:
    return Inbound(CHANNEL, Address(who), Address(""), "", now, None, f"kept-{who}")


def _collapsed(text: str) -> str:
    return " ".join(text.split())
