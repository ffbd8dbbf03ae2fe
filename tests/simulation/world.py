"""The whole runtime in one thread, on a store and against a provider that outlive its processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random

from convo.engine.machine import CompiledFlow, compile_flow
from convo.engine.opening import ChannelFlows
from convo.errors import ConvoError, StoreError
from convo.flow.parse import parse_flow
from convo.flow.reader import read_text
from convo.messages import Address, Outbound, OutboundKind, Status
from convo.runtime.calls import Caller
from convo.runtime.deliver import Deliverer
from convo.runtime.policy import Unknowns
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.timers import Heard
from convo.runtime.worker import Loop
from convo.store import open_store
from convo.store.base import Opening, OutboxRow, Store
from convo.testing.fakes import FakeClock
from tests.simulation.provider import CHANNEL, Fuse, Fused, Killed, Listing, Provider, Service, accepted

FLOW = """flow: sim
restart: any
opt_out: [QUIT]
opt_in: [BEGIN]
data:
  count: 0
  sky: {type: text, first: 'grey'}
states:
  ready:
    triggers:
      ASK: question
      WAIT: waiting
      CALL: calling
      TWO:
        reply: [First of two., Second of two.]
      BOOM:
        set: {count: 1 / (count - count)}
      BYE:
        reply: Bye.
        end: complete
      text:
        set: {count: count + 1}
        reply: Got ${message}, the ${count}th.
  waiting:
    triggers:
      text:
        reply: Got ${message}, waiting.
    after:
      10m:
        reply: Ten minutes.
      1h:
        reply: An hour.
        goto: ready
  calling:
    call: weather
    with: {place: count}
    save: [sky]
    goto: {ok: told, error: ready, timeout: ready}
  told:
    reply: The sky is ${sky}.
    goto: ready
  question:
    ask: How old are you?
    answer: number 1 to 120
    remind: 1h
    no_answer_after: 3h
    no_answer: ready
    goto: ready
"""
PEOPLE = tuple(Address(f"+6140000000{number}") for number in range(1, 5))
ROUND = ("receiver", "processor", "caller", "processor", "deliverer")
WORDS = ("ASK", "WAIT", "CALL", "TWO", "BOOM", "BYE", "QUIT", "BEGIN", "34", "old")
_FINAL = {Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.BLOCKED}


@dataclass(frozen=True)
class Setting:
    """What a simulation is made of."""

    listed: bool = False
    askable: bool = False
    unknowns: Unknowns = Unknowns.HOLD
    batch: int = 1
    limit: int = 256
    on_disk: bool = False


Event = tuple[str, tuple[int, ...]]
"""What happens: its name, and numbers that say how; nothing else is left to chance."""


@cache
def flow() -> CompiledFlow:
    """Return the flow of all simulations."""
    return compile_flow(parse_flow(read_text(FLOW, "sim.yaml")))


class World:
    """One simulation; its store is in memory unless ``place``, a folder or an address, says where."""

    def __init__(self, setting: Setting, place: Path | str | None = None, seed: int = 0) -> None:
        self.setting = setting
        self.clock = FakeClock()
        self.fuse = Fuse()
        kind = Listing if setting.askable else Provider
        self.provider = kind(self.clock, listed=setting.listed, batch=setting.batch)
        self.provider.looks = self._looks
        self.service = Service()
        self.flows = ChannelFlows(CHANNEL, {"sim": flow()}, "sim")
        self._random = Random(seed)
        self._path = place / "sim.db" if isinstance(place, Path) else place or "memory"
        self.store: Store = open_store(self._path)
        self.wrongs: list[str] = []
        self.lost: set[str] = set()
        self.requests: set[str] = set()
        self._statuses: dict[int, Status] = {}
        self._words = 0
        self._boot()

    # -- processes ------------------------------------------------------------------------------

    def _boot(self) -> None:
        """Begin a new process on what the last one left."""
        while True:
            if self._path != "memory" and self.fuse.kills:
                self.store.close()
                self.store = open_store(self._path)
            store: Store = Fused(accepted(self.store, self.provider), self.fuse, store=True)  # type: ignore[assignment]
            provider: Provider = Fused(self.provider, self.fuse)  # type: ignore[assignment]
            clock: FakeClock = Fused(self.clock, self.fuse)  # type: ignore[assignment]
            self.receiver = Receiver(store, provider, CHANNEL, clock, random=self._random)
            self.processor = Processor(
                store,
                {CHANNEL: self.flows},
                limit=self.setting.limit,
                hearing=lambda _channel: Heard(self.receiver.polled_at),
            )
            self.caller = Caller(store, self.service, clock, random=self._random)
            self.deliverer = Deliverer(
                store,
                provider,
                CHANNEL,
                clock,
                random=self._random,
                unknowns=self.setting.unknowns,
            )
            self.fused = store
            try:
                store.recover(self.clock.now())
            except Killed:
                self._died()
                continue
            except StoreError:
                continue
            return

    def _died(self) -> None:
        # A provider that hands out once cannot be asked for what was in the dead process's hands.
        self.lost |= self.provider.in_hand
        self.provider.in_hand = set()

    def loop(self, loop: Loop) -> datetime | None:
        """Call one loop once; return when it wants to be called again."""
        try:
            return loop.once(self.clock.now())
        except Killed:
            self._died()
            self._boot()
            return self.clock.now()
        except ConvoError:
            return self.clock.now()

    def work(self, most: int = 500) -> bool:
        """Call the loops until none of them has anything to do now; False where that has no end."""
        for _ in range(most):
            now = self.clock.now()
            trouble = self.receiver.trouble
            # Looked up one by one: a loop that dies takes all of its process with it.
            wanted = [self.loop(getattr(self, name)) for name in ROUND]
            if trouble is not self.receiver.trouble:
                continue
            if all(at is None or at > now for at in wanted):
                return True
        return False

    # -- what happens ---------------------------------------------------------------------------

    def happen(self, event: Event) -> None:
        """Let one thing happen."""
        name, given = event
        getattr(self, f"on_{name}")(*given)
        self._watch()

    def on_text(self, who: int, word: int, identity: int, ago: int) -> None:
        """Somebody writes: one of the words of the flow, or one that nobody else writes."""
        self._words += 1
        text = WORDS[word] if word < len(WORDS) else f"w{self._words * 7919 % 100003:x}"
        # Two texts of one person that are alike in word and second are one, where there is no id.
        self.provider.text(
            PEOPLE[who], text, identity=bool(identity) or word < len(WORDS), sent_ago=float(ago)
        )

    def on_again(self, which: int) -> None:
        """A text comes twice."""
        self.provider.again(which)

    def on_nonsense(self) -> None:
        """An answer that nobody can read."""
        self.provider.nonsense()

    def on_reorder(self, by: int) -> None:
        """The provider hands out in another order."""
        self.provider.reorder(by)

    def on_open(self, who: int, key: int) -> None:
        """Somebody is written to first; asking twice does it once."""
        self.requests.add(f"{who}-{key}")
        try:
            self.fused.request([Opening(CHANNEL, PEOPLE[who], "sim", f"{who}-{key}")], self.clock.now())
        except StoreError:
            self.requests.discard(f"{who}-{key}")
        except Killed:
            self._died()
            self._boot()

    def on_loop(self, which: int) -> None:
        """One loop is called once."""
        self.loop((self.receiver, self.processor, self.caller, self.deliverer)[which])

    def on_work(self) -> None:
        """All loops work until nothing is due."""
        if not self.work():
            self.wrongs.append("the loops never come to rest")

    def on_advance(self, seconds: int) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    def on_jump(self, seconds: int) -> None:
        """The clock of the machine is put right, or wrong."""
        self.clock.advance(seconds)

    def on_kill(self, calls: int, after: int) -> None:
        """The process is killed at one of its next calls to the outside."""
        self.fuse.arm(calls, after=bool(after))

    def on_full(self, calls: int) -> None:
        """The disk is full at one of the next calls."""
        self.fuse.fail(calls)

    def on_poll(self, which: int) -> None:
        """The next poll fails."""
        self.provider.polls.append(("down", "slow down", "broken")[which])

    def on_send(self, which: int) -> None:
        """The next send ends badly."""
        self.provider.sends.append(SENDS[which])

    def on_answer(self, which: int) -> None:
        """The service does not answer well next time."""
        self.service.faults.append(("not yet", "error", "raises")[which])

    def on_receipt(self, which: int, status: int, known: int) -> None:
        """A receipt comes."""
        said = (Status.SENT, Status.DELIVERED, Status.FAILED, Status.EXPIRED)[status]
        self.provider.receipt(which, said, known=bool(known))

    # -- watching -------------------------------------------------------------------------------

    def _looks(self, outbound: Outbound) -> str | None:
        """Look at an outbound at the moment at which it is handed over."""
        if not self.store.opted_out(CHANNEL, outbound.recipient):
            return None
        if outbound.kind is not OutboundKind.CONSENT:
            return f"outbox {outbound.id} was handed over after an opt-out"
        return None

    def _watch(self) -> None:
        for row in self.store.outbox(CHANNEL):
            before = self._statuses.get(row.outbound.id)
            if before in _FINAL and row.status is not before:
                self.wrongs.append(f"outbox {row.outbound.id} went from {before} to {row.status}")
            if before is Status.SENT and row.status not in (Status.SENT, *_FINAL):
                self.wrongs.append(f"outbox {row.outbound.id} went from sent to {row.status}")
            self._statuses[row.outbound.id] = row.status

    # -- the end --------------------------------------------------------------------------------

    def heal(self) -> None:
        """Nothing fails any more, and time goes on until nothing is left to be done."""
        self.fuse.disarm()
        self.provider.polls.clear()
        self.provider.sends.clear()
        self.service.faults.clear()
        for turn in range(300):
            self.on_work()
            self._watch()
            if self.wrongs:
                return
            # What a clock that was a day ahead has dated is waited for, too.
            if not self._next(timedelta(minutes=1) if turn < 30 else timedelta(days=1)):
                return
        self.wrongs.append("there is something to do for ever")

    def _next(self, pause: timedelta) -> bool:
        """Go on to the next moment at which something is due; whether there is one."""
        times = [self.store.next_timer(), self.store.next_call(), self.store.next_outbound(CHANNEL)]
        # What is due already waits for something else.
        times = [at if at is None or at > self.clock.now() else self.clock.now() + pause for at in times]
        asking = self.setting.askable or self.setting.unknowns is Unknowns.RESEND
        if asking and self._unknown():
            times.append(self.clock.now() + pause)
        if self.provider.waiting and not self.setting.listed:
            times.append(self.clock.now() + pause)
        if self.provider.receipts or self.receiver.trouble or self.store.claim(1):
            times.append(self.clock.now() + pause)
        if self.setting.listed and int(self.store.cursor(CHANNEL) or 0) < len(self.provider.listing):
            times.append(self.clock.now() + pause)
        due = [at for at in times if at is not None]
        if not due:
            return False
        self.clock.set(max(min(due), self.clock.now() + timedelta(seconds=1)))
        return True

    def _unknown(self) -> list[OutboxRow]:
        return [row for row in self.store.outbox(CHANNEL) if row.status is Status.UNKNOWN]

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()


SENDS = (
    "retry",
    "retry after",
    "give up",
    "opted out",
    "credentials",
    "unknown",
    "unknown, and it left",
    "raises",
    "raises, and it left",
)
