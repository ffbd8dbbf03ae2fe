"""A phone without a network: somebody hands texts in, and what is sent is shown to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from convo.clock import Clock
from convo.messages import Address, Inbound, Outbound
from convo.transports.base import Batch, RetryLater, SendResult, Sent

NUMBER = Address("console")
"""Who people write to here."""


class Console:
    """The transport of a terminal or a pipe; every text handed in is a new one, sent now.

    ``show`` is called with recipient and text of whatever is sent; an OSError of it means that nobody
    looks any more, and what was to be shown is kept for later. ``session`` goes into the ids of the
    texts and must be another one each time a store is used again.
    """

    name = "console"
    reserved_words: frozenset[str] = frozenset()

    def __init__(
        self, show: Callable[[Address, str], None], *, channel: str = "console", clock: Clock, session: str
    ) -> None:
        self._show = show
        self._channel = channel
        self._clock = clock
        self._session = session
        self._texts: deque[Inbound] = deque()
        self._handed_in = 0
        self._sent = 0

    def text(self, sender: Address, text: str) -> None:
        """Hand in a text; the next poll takes it."""
        now = self._clock.now()
        self._handed_in += 1
        number = f"{self._session}-{self._handed_in}"
        self._texts.append(Inbound(self._channel, sender, NUMBER, text, now, now, number, raw=text))

    def show_sent(self) -> None:
        """Nothing to do: what is sent is shown at once."""

    def start(self) -> None:
        """Nothing to make ready."""

    def poll(self, cursor: str | None) -> Batch:
        """Take the oldest text that was handed in."""
        if not self._texts:
            return Batch(cursor=cursor)
        text = self._texts.popleft()
        return Batch(messages=(text,), cursor=cursor, more=bool(self._texts))

    def send(self, outbound: Outbound) -> SendResult:
        """Show the text."""
        try:
            self._show(outbound.recipient, outbound.text)
        except OSError as problem:
            return RetryLater(
                f"it could not be shown: {(problem.strerror or 'the output is closed').lower()}"
            )
        self._sent += 1
        return Sent(f"{self._session}-shown-{self._sent}")

    def close(self) -> None:
        """Nothing to let go of."""
