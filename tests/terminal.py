"""A person at a terminal: convo on a pty, keys typed once what they answer stands on the screen."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CTRL_C, CTRL_D = "\x03", "\x04"
PROMPT = "you ›"
LONGEST = 40.0


def chat(
    words: Sequence[str], typed: Sequence[tuple[str, str]], environ: Mapping[str, str] | None = None
) -> tuple[str, int]:
    """Run convo on a terminal; return all that the screen got, and the exit code.

    ``typed``: what has to be read on the screen, new since the keys before, with a prompt, and the keys that
    are then pressed. The last ones end the program; like a person one presses them again, as a key that comes
    between two prompts may get lost.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= environ or {}
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "convo", *words])
    screen, read = b"", 0
    ends = time.monotonic() + LONGEST
    try:
        for wanted, keys in typed:
            while not _stands(screen[read:], wanted):
                assert time.monotonic() < ends, f"no {wanted!r} on the screen: {screen[read:]!r}"
                screen += _shown(terminal)
            read = len(screen)
            os.write(terminal, keys.encode())
        again = time.monotonic() + 2
        while (gone := os.waitpid(child, os.WNOHANG))[0] == 0:
            assert time.monotonic() < ends, f"it does not end: {screen[read:]!r}"
            if time.monotonic() > again:
                os.write(terminal, typed[-1][1].encode())
                again = time.monotonic() + 2
            screen += _shown(terminal)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    while more := _shown(terminal):
        screen += more
    os.close(terminal)
    return screen.decode(), os.waitstatus_to_exitcode(gone[1])


def _stands(screen: bytes, wanted: str) -> bool:
    """Return whether the words stand there, and a prompt after them."""
    _, found, after = screen.partition(wanted.encode())
    return bool(found) and PROMPT.encode() in after


def _shown(terminal: int) -> bytes:
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            return os.read(terminal, 65536)
        except OSError:  # how a terminal says that the other side has closed it
            return b""
    return b""
