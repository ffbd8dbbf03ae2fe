"""What several processes on one store agree about: who serves a channel, and what has been heard on it.

A store that one process runs on needs none of it. Where there may be several, each channel is polled and
delivered by one of them at a time, which is therefore the only one that knows its pace and its provider's
troubles; the others stand by. Stepping needs no such role: the fence of a partition sees to that.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from convo.runtime.timers import Heard
from convo.runtime.worker import Loop

if TYPE_CHECKING:
    from convo.store.postgres_notices import Listener
    from convo.store.postgres_shared import Shared

STAND_BY = timedelta(seconds=1)
"""How often a process that stands by looks whether the role is free."""

LONGEST_CALL = timedelta(seconds=130)
"""No call of a provider takes longer: to connect, then the head of its answer, then its body."""


class Role(Protocol):
    """Something that one process at a time does. ``turns`` counts how often it came to this process.

    ``alone``: whoever did it before is certainly gone, so that nothing of theirs can be under way.
    """

    turns: int
    alone: bool

    def held(self) -> bool:
        """Return whether it is ours now, and try to get it if not."""
        ...

    def release(self) -> None:
        """Let go of it, so that another process need not wait."""
        ...


class Together(Protocol):
    """The other processes on the same store."""

    def role(self, name: str) -> Role:
        """Return a role by its name."""
        ...

    def tell_heard(self, channel: str, heard: Heard) -> None:
        """Tell the others what has been heard on a channel that we serve."""
        ...

    def heard(self, channel: str) -> Heard:
        """Return what whoever serves the channel has told last."""
        ...

    def listen(self, on_notice: Callable[[str], None]) -> None:
        """Call ``on_notice`` whenever another process commits something: ``outbox`` or ``calls``."""
        ...

    def close(self) -> None:
        """Listen no more."""
        ...


class Alone:
    """The role of a process that has no others beside it."""

    turns = 1
    alone = True

    def held(self) -> bool:
        """It always is."""
        return True

    def release(self) -> None:
        """Nobody waits for it."""


class NobodyElse:
    """What a process knows that is the only one on its store."""

    def role(self, name: str) -> Role:  # noqa: ARG002 - every role
        """Return a role that is always ours."""
        return Alone()

    def tell_heard(self, channel: str, heard: Heard) -> None:
        """Nobody is there to be told."""

    def heard(self, channel: str) -> Heard:  # noqa: ARG002 - of no channel
        """Nobody else has heard anything."""
        return Heard()

    def listen(self, on_notice: Callable[[str], None]) -> None:
        """Nobody else commits anything."""

    def close(self) -> None:
        """Nothing is open."""


class Others:
    """The other processes on a store in PostgreSQL."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._listener: Listener | None = None

    def role(self, name: str) -> Role:
        """Return a role by its name."""
        return self._shared.lease(name)

    def tell_heard(self, channel: str, heard: Heard) -> None:
        """Tell the others what has been heard on a channel that we serve."""
        self._shared.tell_heard(channel, heard.polled_at, heard.pushed, heard.since)

    def heard(self, channel: str) -> Heard:
        """Return what whoever serves the channel has told last."""
        return Heard(*self._shared.heard(channel))

    def listen(self, on_notice: Callable[[str], None]) -> None:
        """Call ``on_notice`` whenever another process commits something: ``outbox`` or ``calls``."""
        self._listener = self._shared.listener(on_notice)
        self._listener.start()

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.stop()
        self._shared.close()


class Gated:
    """A loop that is at work in one of the processes only."""

    def __init__(self, loop: Loop, role: Role) -> None:
        self._loop = loop
        self._role = role

    def once(self, now: datetime) -> datetime | None:
        """Do the next piece if the role is ours; return when to be called again."""
        return self._loop.once(now) if self._role.held() else now + STAND_BY
