"""The day's work: every loop in a thread of its own, woken when there is something to do, until stopped.

Nothing ends quietly: a loop that cannot go on stops the whole run, and ``error`` says why.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from convo.clock import Clock
from convo.engine.opening import ChannelFlows
from convo.errors import ConvoError
from convo.runtime.calls import Caller, HttpServices, Services
from convo.runtime.channels import Channel, ChannelState, Polling, Sending
from convo.runtime.deliver import Deliverer
from convo.runtime.log import count, origin
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.retention import Retention
from convo.runtime.standing import Standing
from convo.runtime.timers import Heard
from convo.runtime.together import Gated, NobodyElse, Together
from convo.runtime.worker import Halt, Loop, Worker
from convo.store.base import Store

SOON = timedelta(minutes=15)
"""What may leave within this time is waited for before a run calls itself done."""

GRACE = timedelta(seconds=1.2)
"""How long a stop waits for the steps in hand; a poll or a send may hang much longer than that."""

_log = logging.getLogger(__name__)


class Runtime:
    """The loops of one store and its channels. ``patience`` is how long a failing store is borne.

    ``together`` are the other processes on the store, None where there can be none. Without ``steps``
    somebody else steps what comes in. ``file`` is that of the store, to be watched; None where it has none.
    """

    def __init__(
        self,
        store: Store,
        flows: Mapping[str, ChannelFlows],
        channels: Sequence[Channel],
        clock: Clock,
        *,
        random: Random | None = None,
        patience: timedelta = timedelta(minutes=10),
        services: Services | None = None,
        keep: timedelta | None = None,
        together: Together | None = None,
        steps: bool = True,
        file: Path | None = None,
    ) -> None:
        self._store = store
        self._together = together or NobodyElse()
        self._steps = steps
        self._channels = tuple(channels)
        self._draining = False
        self.states = tuple(ChannelState(each) for each in self._channels)
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._rested = threading.Condition()
        self.halt = Halt()
        self._receivers = [
            Receiver(
                store,
                each.transport,
                each.name,
                clock,
                every=each.every,
                random=self._random,
                on_stored=self._wake_processor,
                on_ready=self._wake_deliverers,
            )
            for each in self._channels
        ]
        polled = {each.name: (each, one) for each, one in zip(self._channels, self._receivers, strict=True)}
        began_at = clock.now()
        stands = {state.channel.name: state for state in self.states}

        def hearing(channel: str) -> Heard:
            if channel not in polled:
                return Heard()
            if stands[channel].standby:
                return self._together.heard(channel)
            served, receiver = polled[channel]
            # What waited at the provider from before is polled first, also where later texts are pushed.
            pushed = served.pushed and receiver.polled_at is not None
            return Heard(receiver.polled_at, pushed, began_at)

        self._services = services or HttpServices({}, clock)
        self._caller = Caller(
            store, self._services, clock, random=self._random, on_answered=self._wake_processor
        )
        self._processor = Processor(
            store,
            flows,
            on_committed=self._wake_deliverers,
            on_request=self._wake_caller,
            hearing=hearing,
            longest={each.name: each.longest for each in self._channels},
        )
        self._deliverers = [
            Deliverer(
                store,
                each.transport,
                each.name,
                clock,
                random=self._random,
                limits=each.limits,
                unknowns=each.unknowns,
                ask_after=each.ask_after,
                plain=each.plain,
            )
            for each in self._channels
        ]

        def tells(channel: str) -> Callable[[], None]:
            return lambda: self._together.tell_heard(channel, hearing(channel))

        serving = [self._together.role(f"channel {each.name}") for each in self._channels]
        asking, removing = self._together.role("services"), self._together.role("retention")
        self._roles = [*serving, asking, removing]
        self._polling = [
            Polling(receiver, state, clock, self._goes_on, role, tells(state.channel.name))
            for receiver, state, role in zip(self._receivers, self.states, serving, strict=True)
        ]
        self._sending = [
            Sending(
                deliverer,
                state,
                clock,
                self._goes_on,
                receiver.is_ready,
                role,
                self._recovering(state.channel.name),
            )
            for deliverer, state, receiver, role in zip(
                self._deliverers, self.states, self._receivers, serving, strict=True
            )
        ]

        def worker(name: str, loop: Loop) -> Worker:
            return Worker(name, loop, clock, self.halt, self._random, patience, self._tell_rest)

        self._receiving = [
            worker(f"receive {channel.name}", loop)
            for channel, loop in zip(self._channels, self._polling, strict=True)
        ]
        self._processing = worker("process", self._processor)
        self._retention = Retention(store, keep) if keep is not None else None
        self._retaining = (
            [worker("retain", Gated(self._retention, removing))] if self._retention is not None else []
        )
        # Whoever takes the file away from under a run is told at once: no patience helps.
        self._watching = (
            [Worker("watch", Standing(file), clock, self.halt, self._random, timedelta(0), self._tell_rest)]
            if file is not None
            else []
        )
        self._calling = worker("call", Gated(self._caller, asking))
        self._delivering = [
            worker(f"deliver {channel.name}", loop)
            for channel, loop in zip(self._channels, self._sending, strict=True)
        ]
        self._once = threading.Thread(target=self._drain, name="convo once", daemon=True)
        self._threads: list[threading.Thread] = []

    # -- running --------------------------------------------------------------------------------

    def start(self) -> None:
        """Recover what a dead run left behind, and set the loops going."""
        self._recover()
        self._threads = [worker.thread for worker in self._workers()]
        for thread in self._threads:
            thread.start()
        self._together.listen(self._told)

    def start_once(self) -> None:
        """Poll until nothing more comes, step and deliver what is due; then the halt comes by itself."""
        self._recover()
        self._threads = [self._once]
        self._once.start()

    def wait(self) -> None:
        """Wait for the halt."""
        # In short waits, so that a signal is noticed on every system.
        while not self.halt.wait(1.0):
            pass

    def stop(self, grace: timedelta = GRACE) -> None:
        """Let every loop finish the step in hand, at most ``grace`` in all, and close the transports."""
        self.halt.stop()
        for worker in self._workers():
            worker.wake()
        # What hangs is most likely a poll; the steps come first, so that it cannot use up their time.
        for thread in reversed(self._threads):
            if thread.is_alive():  # a signal may come before the last one was started
                thread.join(grace.total_seconds() / len(self._threads))
        if not any(thread.is_alive() for thread in self._threads):
            # Where one hangs, whoever takes over has to reckon with what it may still do.
            for role in self._roles:
                role.release()
        self._together.close()
        for channel in self._channels:
            channel.transport.close()
        self._services.close()
        lost = sum(receiver.in_hand for receiver in self._receivers)
        if lost:
            _log.error("%s had been read and could not be stored", count(lost, "message"))
        _log.info("stopped")

    @property
    def stalled(self) -> bool:
        """Whether a loop has ended though nothing has asked for it."""
        return not self.halt.asked() and not all(thread.is_alive() for thread in self._threads)

    @property
    def store_fails(self) -> bool:
        """Whether a loop could not read or write the store when it last tried."""
        return any(worker.store_fails for worker in self._workers())

    def texts_stored(self) -> None:
        """Step at once what somebody else, a webhook, has put into the inbox; from any thread."""
        self._wake_processor()

    # -- a phone beside it ----------------------------------------------------------------------

    def poll_now(self) -> None:
        """Poll every channel at once: somebody beside us knows that a text waits there."""
        for polling, worker in zip(self._polling, self._receiving, strict=True):
            polling.hurry()
            worker.wake()

    @property
    def heard(self) -> int:
        """How many texts have come in and been stored since the start, known or new."""
        return sum(receiver.heard for receiver in self._receivers)

    def quiet(self, heard: int = 0, *, empty: bool = False) -> bool:
        """Whether ``heard`` texts have come in and all that could be done about them has been done.

        With ``empty``, nothing waits in the outbox for another try either; what waits for a transport to
        be ready is never done.
        """
        # In the order a text passes: each loop wakes the next one before it rests itself.
        if self.heard < heard or (self._steps and not self._processing.resting) or not self._calling.resting:
            return False
        if not all(worker.resting for worker in [*self._delivering, *self._retaining]):
            return False
        return not any(
            (empty or not receiver.is_ready()) and self._leaves_soon(channel.name)
            for channel, receiver in zip(self._channels, self._receivers, strict=True)
        )

    def _leaves_soon(self, channel: str) -> bool:
        """Whether something waits in the outbox for another try; what a time of quiet holds does not."""
        next_at = self._store.next_outbound(channel)
        return next_at is not None and next_at <= self._clock.now() + SOON

    def wait_until_quiet(
        self,
        heard: int = 0,
        *,
        empty: bool = False,
        timeout: float | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Wait until ``quiet``; False where the halt, ``given_up`` or ``timeout`` (seconds) came first."""
        deadline = None if timeout is None else self._clock.now() + timedelta(seconds=timeout)
        with self._rested:
            while not self.halt.asked() and not given_up():
                if self.quiet(heard, empty=empty):
                    return True
                left = 0.5 if deadline is None else min(0.5, (deadline - self._clock.now()).total_seconds())
                if left <= 0:
                    return False
                self._rested.wait(left)
        return False

    # -- inside ---------------------------------------------------------------------------------

    def _workers(self) -> list[Worker]:
        processing = [self._processing] if self._steps else []
        return [
            *self._watching,
            *self._retaining,
            *self._receiving,
            self._calling,
            *processing,
            *self._delivering,
        ]

    def _told(self, word: str) -> None:
        """Wake whom a commit of another process concerns."""
        if word == "calls":
            self._wake_caller()
        else:
            self._wake_deliverers()

    def _recover(self) -> None:
        if isinstance(self._together, NobodyElse):
            self._note_unknown(self._store.recover(self._clock.now()))

    def _recovering(self, channel: str) -> Callable[[datetime, datetime | None], None]:
        """Return what recovers the channel's rows, where we have taken it over from another process."""

        def recover(now: datetime, before: datetime | None) -> None:
            self._note_unknown(self._store.recover(now, channel=channel, before=before))

        return (lambda _now, _before: None) if isinstance(self._together, NobodyElse) else recover

    @staticmethod
    def _note_unknown(unknown: int) -> None:
        if unknown:
            _log.warning(
                "%s may have left before the last run ended; held as unknown", count(unknown, "outbound")
            )

    def _goes_on(self, state: ChannelState, problem: ConvoError) -> bool:
        if self._draining:
            return True
        others = any(not each.refused for each in self.states if each is not state)
        if not others or not state.asked:
            return False
        _log.error("%s; it rests and is looked at every 10 minutes", state.explained(problem))
        return True

    def _wake_processor(self) -> None:
        self._processing.wake()

    def _wake_caller(self) -> None:
        self._calling.wake()

    def _wake_deliverers(self) -> None:
        for worker in self._delivering:
            worker.wake()

    def _tell_rest(self) -> None:
        with self._rested:
            self._rested.notify_all()

    def _drain(self) -> None:
        try:
            self._draining = True
            drain(
                self._polling,
                self._processor,
                self._sending,
                self._clock,
                self.halt.asked,
                self.halt.wait,
                self._caller,
            )
            while self._retention is not None and not self.halt.asked():
                next_at = self._retention.once(self._clock.now())
                if next_at is None or next_at > self._clock.now():
                    break
            for state in self.states:
                for refused in state.refused.values():
                    raise refused
        except ConvoError as problem:
            self.halt.stop(problem)
        except Exception as problem:
            _log.error("broke down: %s", origin(problem))
            _log.debug("broke down", exc_info=True)
            self.halt.stop(problem)
        self.halt.stop()


def drain(
    receivers: Sequence[Receiver | Polling],
    processor: Processor,
    deliverers: Sequence[Deliverer | Sending],
    clock: Clock,
    stopped: Callable[[], bool] = lambda: False,
    rest: Callable[[float], object] | None = None,
    caller: Caller | None = None,
) -> None:
    """Call the loops one after another until nothing is due any more; nothing waits for a retry.

    ``rest`` waits so many seconds where a pace holds the next outbound back; without it that is left.

    Raises:
        TransportError: a channel could not be polled; what was there has been answered all the same.
        ConvoError: as the loops raise.
    """

    def run(loop: Loop) -> None:
        while not stopped():
            next_at = loop.once(clock.now())
            if next_at is None or (isinstance(loop, Receiver | Polling) and loop.trouble):
                break
            left = (next_at - clock.now()).total_seconds()
            if left <= 0:
                continue
            if rest is None or not isinstance(loop, Sending) or loop.paced_until != next_at:
                break
            rest(left)

    for each in receivers:
        run(each)
    run(processor)
    while caller is not None and caller.is_due(clock.now()) and not stopped():
        run(caller)
        run(processor)
    for each_out in deliverers:
        run(each_out)
    for receiver in receivers:
        if receiver.trouble is not None:
            raise receiver.trouble


__all__ = ["GRACE", "Channel", "Runtime", "drain"]
