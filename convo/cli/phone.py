"""Your side of a conversation: texts typed or piped in, replies shown."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, Protocol

from convo.messages import Address, to_address
from convo.runtime.run import Runtime

PHONE = Address("+61400000000")
"""Who texts where a line does not say."""

_FROM = re.compile(r"(\+[0-9][0-9 ().-]{4,24}):[ \t]?(.*)", re.DOTALL)


class Network(Protocol):
    """What carries a text to us: the console transport, or an emulated provider."""

    def text(self, sender: Address, text: str) -> object:
        """Somebody writes to our number."""
        ...

    def show_sent(self) -> None:
        """Show what has been sent and not been shown yet."""
        ...


class Phone(Protocol):
    """Where texts come from and replies are shown."""

    patience: float
    """How long, in seconds, the next text waits for the last one to come in and be answered."""

    waits_for_replies: bool
    """Whether at the end of input every reply must have been shown before we leave."""

    @property
    def gone(self) -> bool:
        """Whether nobody looks any more."""
        ...

    def lines(self) -> Iterator[tuple[Address, str]]:
        """Yield each text with its sender until the input ends."""
        ...

    def show(self, recipient: Address, text: str) -> None:
        """Show a reply (OSError: nobody looks any more)."""
        ...


def converse(phone: Phone, network: Network, runtime: Runtime) -> None:
    """Carry every text in, one after the other has been answered, until the input or the run ends."""
    texts = 0

    def gone() -> bool:
        return phone.gone

    def settle() -> None:
        runtime.wait_until_quiet(texts, timeout=phone.patience, given_up=gone)
        network.show_sent()

    settle()
    for sender, text in phone.lines():
        network.text(sender, text)
        texts += 1
        runtime.poll_now()
        settle()
        if runtime.halt.asked() or phone.gone:
            return
    if phone.waits_for_replies:
        runtime.wait_until_quiet(empty=True, given_up=gone)
        network.show_sent()


def read_line(line: bytes) -> tuple[Address, str] | None:
    """Read ``text`` or ``+NUMBER: text``; None for a line with nothing on it.

    What is no UTF-8 becomes the replacement character: a text with a broken letter is still a text.
    """
    text = line.decode("utf-8", "replace").rstrip("\r\n").removeprefix("\ufeff")
    found = _FROM.fullmatch(text)
    if found is not None:
        with suppress(ValueError):
            return to_address(found[1]), found[2]
    return (PHONE, text) if text.strip() else None


def written(recipient: Address, text: str) -> str:
    """Write a reply for a pipe: ``+NUMBER: text``, its further lines indented by two spaces."""
    return f"{recipient}: " + "\n  ".join(visible_lines(text))


class Pipe:
    """Lines in, lines out. Bytes inside, so that the locale of a cron job changes nothing."""

    patience = 30.0
    waits_for_replies = True

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._gone = False

    @property
    def gone(self) -> bool:
        """Whether whoever read the output has closed it."""
        return self._gone

    def lines(self) -> Iterator[tuple[Address, str]]:
        """Yield each line of the input as a text."""
        while line := self._source.readline():
            found = read_line(line)
            if found is not None:
                yield found

    def show(self, recipient: Address, text: str) -> None:
        """Write a reply and flush it."""
        try:
            self._sink.write((written(recipient, text) + "\n").encode("utf-8", "replace"))
            self._sink.flush()
        except OSError:
            self._gone = True
            self._silence()
            raise

    def _silence(self) -> None:
        """Point stdout elsewhere: Python would complain about the closed pipe once more at its end."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._sink.fileno())
            os.close(nowhere)


class Terminal:
    """A chat: a prompt for what you write, replies set apart, whenever they come."""

    patience = 3.0
    waits_for_replies = False
    PROMPT = "you › "

    def __init__(self, title: str) -> None:
        from rich.console import Console

        self._title = title
        self._console = Console(highlight=False)
        self._lock = threading.Lock()
        self._asking = False
        self._gone = False

    @property
    def gone(self) -> bool:
        """Whether the terminal was closed."""
        return self._gone

    def introduce(self) -> None:
        """Say what this is and how to leave it."""
        self.note(f"{self._title} · you are {PHONE}; '+NUMBER: text' writes from another · Ctrl-D ends")

    def lines(self) -> Iterator[tuple[Address, str]]:
        """Ask for one text after another until Ctrl-D."""
        with suppress(ImportError):
            import readline  # noqa: F401 - gives input() its line editing and history
        while True:
            with self._lock:
                self._asking = True
            try:
                line = input(self.PROMPT)
            except EOFError:
                self._end_line()
                return
            except KeyboardInterrupt:
                self._end_line()
                raise
            except UnicodeDecodeError:
                self.note("that was no UTF-8; nothing was sent")
                continue
            finally:
                with self._lock:
                    self._asking = False
            found = read_line(line.encode("utf-8", "replace"))
            if found is not None:
                yield found

    def show(self, recipient: Address, text: str) -> None:
        """Show a reply, above the prompt if you are writing."""
        from rich.text import Text

        to = "" if recipient == PHONE else f"to {recipient}  "
        shown = "\n      ".join(visible_lines(text))
        self._above_the_prompt(
            Text.assemble(("  ◂   ", "green"), (to, "dim"), (shown, "bold green"), end="\n")
        )

    def note(self, text: str) -> None:
        """Say something that is no text of the conversation."""
        from rich.text import Text

        self._above_the_prompt(Text(text, style="dim"))

    def _end_line(self) -> None:
        """End the line that the prompt stands on."""
        with suppress(OSError):
            self._console.file.write("\n")
            self._console.file.flush()

    def _above_the_prompt(self, text: object) -> None:
        try:
            with self._lock:
                if self._asking:
                    self._console.file.write("\r\x1b[K")
                self._console.print(text, soft_wrap=True)
                if self._asking:
                    self._console.file.write(self.PROMPT + _typed())
                self._console.file.flush()
        except OSError:
            self._gone = True
            raise


def _typed() -> str:
    """Return what stands behind the prompt and has not been sent yet."""
    try:
        import readline
    except ImportError:
        return ""
    return readline.get_line_buffer()


def visible_lines(text: str) -> list[str]:
    """Return the lines of a text; what could steer a terminal is made visible."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return ["".join(_visible(letter) for letter in line) for line in lines]


def _visible(letter: str) -> str:
    return "\ufffd" if (letter < " " and letter != "\t") or "\x7f" <= letter <= "\x9f" else letter
