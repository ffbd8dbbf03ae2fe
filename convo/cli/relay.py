"""Between your terminal and an emulated provider: the phone that stands in the provider's network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from convo.messages import Address

if TYPE_CHECKING:
    from convo.emulators.emulator import Emulator


class Relay:
    """Carries texts into an emulator, and what is sent through it to ``show``, each once and in order.

    ``session`` goes into the ids of the texts: an emulator that was started anew counts from 1 again,
    and a store that knows those ids would take new texts for old ones.
    """

    def __init__(self, emulator: Emulator, show: Callable[[Address, str], None], session: str) -> None:
        self._emulator = emulator
        self._show = show
        self._session = session
        self._texts = 0
        self._shown = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="convo phone", daemon=True)

    def text(self, sender: Address, text: str) -> None:
        """Text the emulated number."""
        self._texts += 1
        self._emulator.text(sender, text, message_id=f"{self._session}-{self._texts}")

    def show_sent(self) -> None:
        """Show what has been sent and not been shown yet."""
        with self._lock:
            for sent in self._emulator.sent(self._shown):
                self._shown += 1
                with suppress(OSError):  # nobody looks any more; whoever shows it has noted that
                    self._show(Address(sent.recipient), sent.text)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(1.0)
        self.show_sent()

    def _watch(self) -> None:
        while not self._ended.is_set():
            if self._emulator.sent(self._shown, wait=0.2):
                self.show_sent()
