"""How ``convo chat`` looks: a terminal with what is known beside the chat, or plain lines on a pipe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from convo.cli.chat_session import Standing
from convo.cli.phone import visible_lines, written
from convo.messages import Address

if TYPE_CHECKING:
    from rich.panel import Panel

NARROW = 80
"""Below so many columns, what is known stands below the chat instead of beside it."""

LONGEST_VALUE = 60

LONG_NOTE = 4
"""A note of more line ends than that takes the whole width."""


class PipeScreen:
    """Lines in, lines out: a reply is ``+NUMBER: text``, everything else begins with ``#``."""

    shows_standing = False

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self.gone = False

    def lines(self) -> Iterator[str]:
        """Yield each line of the input."""
        while not self.gone and (line := self._source.readline()):
            yield line.decode("utf-8", "replace").rstrip("\r\n").removeprefix("\ufeff")

    def reply(self, recipient: Address, text: str) -> None:
        """Write a reply."""
        self._write(written(recipient, text))

    def note(self, text: str) -> None:
        """Write a note."""
        for line in visible_lines(text):
            self._write(f"# {line}".rstrip())

    def standing(self, stands: Standing) -> None:
        """Write how things stand."""
        for line in in_words(stands):
            self.note(line)

    def settle(self, stands: Standing) -> None:
        """Nothing more is shown after an input."""

    def _write(self, line: str) -> None:
        if self.gone:
            return
        try:
            self._sink.write((line + "\n").encode("utf-8", "replace"))
            self._sink.flush()
        except OSError:
            self.gone = True
            # Python would complain about the closed pipe once more at its end.
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._sink.fileno())
                os.close(nowhere)


class TerminalScreen:
    """A chat: what you write, what is said, and beside it the state, the data and the timers."""

    PROMPT = "you › "

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)
        self._said: list[tuple[str, str, str]] = []
        self.gone = False

    def lines(self) -> Iterator[str]:
        """Ask for one line after another until Ctrl-D or Ctrl-C."""
        with suppress(ImportError):
            import readline  # noqa: F401 - gives input() its line editing and history
        while not self.gone:
            try:
                yield input(self.PROMPT)
            except (EOFError, KeyboardInterrupt):
                with suppress(OSError):
                    self._console.print()
                return
            except UnicodeDecodeError:
                self.note("that was no UTF-8; nothing was sent")
                self.settle(None)

    def reply(self, recipient: Address, text: str) -> None:
        """Show a reply with what follows this input."""
        self._said.append(("reply", str(recipient), "\n".join(visible_lines(text))))

    def note(self, text: str) -> None:
        """Show a note with what follows this input."""
        self._said.append(("note", "", "\n".join(visible_lines(text))))

    def standing(self, stands: Standing) -> None:
        """It stands beside the chat after each input."""

    def settle(self, stands: Standing | None) -> None:
        """Draw what came of an input, and how things stand."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        beside, long = Table.grid(padding=(0, 1)), Table.grid(padding=(0, 1))
        for kind, recipient, text in self._said:
            if kind == "note":
                (long if text.count("\n") >= LONG_NOTE else beside).add_row("  ·", Text(text, "dim"))
                continue
            to = "" if stands is None or recipient == stands.number else f"to {recipient}: "
            beside.add_row(Text("  ◂", "green"), Text.assemble((to, "dim"), (text, "bold green")))
        self._said.clear()
        try:
            if long.row_count:
                self._console.print(long)
            if stands is None or self._console.width < NARROW:
                line = Text("" if stands is None else _one_line(stands), "dim")
                self._console.print(Group(*([beside] if beside.row_count else []), line))
                return
            grid = Table.grid(expand=True, padding=(0, 1))
            grid.add_column(ratio=3)
            grid.add_column(ratio=2)
            grid.add_row(beside, _panel(stands))
            self._console.print(grid)
        except OSError:
            self.gone = True


def in_words(stands: Standing) -> list[str]:
    """Return how things stand, a line each."""
    lines = [f"{stands.number}: {_state(stands)}", f"it is {stands.now}"]
    lines += [f"{name} = {_short(value)}" for name, value in stands.data.items()]
    lines += [f"timer '{name}' in {left}" for name, left in stands.timers.items()]
    return lines


def _state(stands: Standing) -> str:
    if not stands.state:
        return "no conversation yet"
    state = f"ended: {stands.ended}" if stands.ended is not None else stands.state
    tries = f", {stands.tries} wrong" if stands.tries else ""
    return f"{state} ({stands.language}{tries})"


def _one_line(stands: Standing) -> str:
    parts = [_state(stands), *(f"{name}={_short(value)}" for name, value in stands.data.items())]
    parts += [f"⏲ {name} in {left}" for name, left in stands.timers.items()]
    return "  [" + " · ".join(parts) + "]"


def _panel(stands: Standing) -> Panel:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    for name, value in stands.data.items():
        grid.add_row(Text(name, "cyan"), Text(_short(value)))
    for name, left in stands.timers.items():
        grid.add_row(Text("⏲ " + name, "yellow"), Text("in " + _roughly(left), "yellow"))
    if not stands.data and not stands.timers:
        grid.add_row(Text("nothing saved, no timers", "dim"))
    title = Text(_state(stands), "bold red" if stands.ended is not None else "bold cyan")
    return Panel(
        grid,
        title=title,
        title_align="left",
        subtitle=Text(f"{stands.number} {stands.clock}", "dim"),
        subtitle_align="right",
        border_style="dim",
    )


def _roughly(left: str) -> str:
    """Return the two largest parts of a duration: there is little room, and ``/state`` tells it all."""
    return " ".join(left.split()[:4])


def _short(value: str) -> str:
    line = " ⏎ ".join(visible_lines(value))
    return line if len(line) <= LONGEST_VALUE else line[: LONGEST_VALUE - 1] + "…"
