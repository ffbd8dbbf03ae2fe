"""The loops of one channel, kept apart from those of the others: its pace, and what cannot go on.

A provider that refuses us (wrong credentials, a number that is gone) at the very start ends the run: a
person is there to see it. Later on it ends the run only where no other channel is left to serve; else the
channel rests, is bad for all to see, and looks every ten minutes whether somebody has mended it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from convo.clock import Clock
from convo.errors import ConfigError, ConvoError, TransportError
from convo.runtime.deliver import LISTED_AFTER, Deliverer
from convo.runtime.log import about_channel
from convo.runtime.policy import LONGEST_MESSAGE, Limits, Unknowns
from convo.runtime.receive import Receiver
from convo.runtime.together import LONGEST_CALL, STAND_BY, Alone, Role
from convo.transports.base import Transport

LOOK_AGAIN = timedelta(minutes=10)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Channel:
    """One number that we serve.

    ``every`` is how long to rest between polls that brought nothing; ``pace`` is the least time from
    the beginning of one send to the next, None: no limit. ``sources`` says where its settings come
    from, for whoever has to mend them. ``unknowns`` is what becomes of an outbound that may have left where
    the provider cannot be asked, ``ask_after`` how long after it was handed over it is asked about, and
    ``limits`` what bounds what leaves. ``pushed``: its provider calls us, and polls are a safety net.
    A text of more than ``longest`` characters leaves as several; ``plain`` is the deliverer's.
    """

    name: str
    transport: Transport
    every: timedelta = timedelta(seconds=1)
    pace: timedelta | None = None
    sources: str = ""
    unknowns: Unknowns = Unknowns.HOLD
    ask_after: timedelta = LISTED_AFTER
    limits: Limits = field(default_factory=Limits)
    pushed: bool = False
    longest: int = LONGEST_MESSAGE
    plain: bool = False


@dataclass(slots=True)
class ChannelState:
    """How one channel stands; written by its own loops, read by anybody.

    ``refused`` holds, for each of its loops that cannot go on, why. ``asked`` says that the provider
    has answered something, or been found away, without refusing us. ``standby``: another process serves it.
    """

    channel: Channel
    asked: bool = False
    last_good_poll_at: datetime | None = None
    last_push_at: datetime | None = None
    trouble: str = ""
    failed_polls: int = 0
    refused: dict[str, ConvoError] = field(default_factory=dict)
    standby: bool = False

    def explained(self, problem: ConvoError) -> str:
        """Return what a problem says, with the channel and where its settings come from."""
        about = ""
        if self.channel.sources and isinstance(problem, ConfigError):
            about = f"  ({self.channel.sources})"
        return f"the channel '{self.channel.name}': {problem}{about}"


class GoesOn(Protocol):
    """Decides whether the run goes on without a channel."""

    def __call__(self, state: ChannelState, problem: ConvoError) -> bool:
        """Whether others are left, now that this channel was refused because of ``problem``."""
        ...


class _Apart:
    """What both loops of a channel share."""

    side = ""

    def __init__(self, state: ChannelState, clock: Clock, goes_on: GoesOn, role: Role | None) -> None:
        self._state = state
        self._clock = clock
        self._goes_on = goes_on
        self._role = role or Alone()
        self._held_at: datetime | None = None
        self._not_before: datetime | None = None

    def _too_early(self, now: datetime) -> datetime | None:
        return self._not_before if self._not_before is not None and now < self._not_before else None

    def _holds(self, now: datetime) -> bool:
        """Whether the role is ours; the server is asked at most once a second.

        Who takes over from a process that may be alive waits longer than that before it acts.
        """
        if self._held_at is None or not self._held_at <= now < self._held_at + STAND_BY:
            self._held_at = now if self._role.held() else None
        return self._held_at is not None

    def _refused(self, problem: ConfigError | TransportError) -> datetime:
        """Rest this loop, or raise ``problem`` again."""
        self._state.refused[self.side] = problem
        if not self._goes_on(self._state, problem):
            raise problem
        self._not_before = self._clock.now() + LOOK_AGAIN
        return self._not_before

    def _went_on(self) -> None:
        if self._state.refused.pop(self.side, None) is not None:
            _log.info("%s goes on again (%s)", self._state.channel.name, self.side)


class Polling(_Apart):
    """The receiving loop of a channel."""

    side = "polling"

    def __init__(
        self,
        receiver: Receiver,
        state: ChannelState,
        clock: Clock,
        goes_on: GoesOn,
        role: Role | None = None,
        on_heard: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(state, clock, goes_on, role)
        self._receiver = receiver
        self._on_heard = on_heard
        self._told_at: datetime | None = None
        self._rests_until: datetime | None = None
        self._hurried = False

    @property
    def trouble(self) -> TransportError | None:
        """Why the last poll failed, None after a good one."""
        return self._receiver.trouble

    def hurry(self) -> None:
        """Let the next call poll, however short ago the last one did; from any thread."""
        self._hurried = True

    def once(self, now: datetime) -> datetime | None:
        """Poll once and store what came, if it is time; return when to ask again.

        Raises:
            ConfigError, TransportError: the run cannot go on until a person has changed something.
            StoreError: as the receiver.
        """
        early = self._too_early(now) or self._resting(now)
        if early is not None:
            return early
        self._note_standby(not self._holds(now))
        if self._state.standby and not self._receiver.in_hand:
            return now + STAND_BY
        self._hurried = False
        try:
            with about_channel(self._state.channel.name):
                next_at = self._receiver.once(now)
        except (ConfigError, TransportError) as problem:
            return self._refused(problem)
        self._state.asked = True
        self._went_on()
        trouble = self._receiver.trouble
        if trouble is None:
            self._state.last_good_poll_at = self._clock.now()
            self._state.trouble, self._state.failed_polls = "", 0
            self._rests_until = next_at
            told = self._told_at
            if not self._state.standby and (told is None or not told <= now < told + STAND_BY):
                self._told_at = now
                self._on_heard()
        else:
            self._state.trouble = str(trouble)
            self._state.failed_polls += 1
        return next_at

    def _note_standby(self, standby: bool) -> None:
        if standby and not self._state.standby:
            _log.info("%s is served by another process; standing by", self._state.channel.name)
        elif self._state.standby and not standby:
            _log.info("%s is served here now", self._state.channel.name)
        self._state.standby = standby

    def _resting(self, now: datetime) -> datetime | None:
        until = self._rests_until
        # Further away than the interval it can only be by a clock that was set back.
        if self._hurried or until is None or not now < until <= now + self._state.channel.every:
            return None
        return until


class Sending(_Apart):
    """The delivering loop of a channel, at its pace.

    Until ``ready`` says that the transport has started nothing is handed over: a provider that has not
    given us a number yet refuses a text for good.
    """

    side = "sending"

    def __init__(
        self,
        deliverer: Deliverer,
        state: ChannelState,
        clock: Clock,
        goes_on: GoesOn,
        ready: Callable[[], bool] = lambda: True,
        role: Role | None = None,
        recover: Callable[[datetime, datetime | None], None] = lambda _now, _before: None,
    ) -> None:
        super().__init__(state, clock, goes_on, role)
        self._deliverer = deliverer
        self._ready = ready
        self._recover = recover
        self._turn = 0
        self._turn_at: datetime | None = None
        self._recovers_at = datetime.min.replace(tzinfo=UTC)

    @property
    def paced_until(self) -> datetime | None:
        """When the next outbound may leave, where nothing but the pace holds it back."""
        return None if self._state.refused.get(self.side) else self._not_before

    def once(self, now: datetime) -> datetime | None:
        """Hand over the next outbound if its time has come; return when to call again, None: when woken.

        Raises:
            ConfigError, TransportError: the run cannot go on until a person has changed something.
            StoreError: as the deliverer.
        """
        if not self._holds(now):
            self._deliverer.settle(now)
            return now + STAND_BY
        self._take_over(now)
        if not self._ready():
            return None
        early = self._too_early(now)
        if early is not None:
            return early
        self._not_before = None
        try:
            with about_channel(self._state.channel.name):
                next_at = self._deliverer.once(now)
        except (ConfigError, TransportError) as problem:
            return self._refused(problem)
        self._went_on()
        pace = self._state.channel.pace
        at_once = next_at is not None and next_at <= now
        if pace is not None and (at_once or self._deliverer.handed_over):
            self._not_before = now + pace
            return self._not_before if at_once else next_at
        return next_at

    def _take_over(self, now: datetime) -> None:
        """See to what the process that had the role before left behind, or may be about to finish."""
        if self._turn != self._role.turns:
            self._turn, self._turn_at, self._recovers_at = self._role.turns, now, now
            pace = self._state.channel.pace
            if pace is not None and not isinstance(self._role, Alone):
                # Nobody knows when the other one sent last.
                self._not_before = now + pace
        # A clock that was set back must not make a wait longer than it was meant to be.
        if self._turn_at is None or now < self._recovers_at <= now + STAND_BY:
            return
        if self._role.alone or abs(now - self._turn_at) > LONGEST_CALL:
            self._recover(now, None)
            self._turn_at = None
        else:
            self._recover(now, now - LONGEST_CALL)
            self._recovers_at = now + STAND_BY
