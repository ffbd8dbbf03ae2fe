"""Logging for operators: one line an event on stderr, numbers masked, never a body or a secret."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from traceback import extract_tb

LEVELS = ("debug", "info", "warning", "error")


class _Line(logging.Formatter):
    """One line with the time in UTC; what a stray line break would add becomes a space."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return " ".join(super().formatMessage(record).splitlines())


def configure(level: str) -> None:
    """Send what convo logs at ``level`` and above to stderr; what libraries log goes nowhere."""
    ours = logging.getLogger("convo")
    for old in [each for each in ours.handlers if isinstance(each.formatter, _Line)]:
        ours.removeHandler(old)
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Line())
    ours.addHandler(lines)
    ours.setLevel(level.upper())
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 message``, ``2 messages``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def seconds(wait: timedelta) -> str:
    """Return a wait for a log line: ``0.8 s``, ``12 s``."""
    value = wait.total_seconds()
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def origin(error: BaseException) -> str:
    """Name an unexpected exception and the line of ours it came from, without its message.

    The message of a foreign exception may quote what somebody wrote, so it is for the debug level alone.
    """
    frames: Iterable[str] = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in extract_tb(error.__traceback__)
        if "convo" in Path(frame.filename).parts
    ]
    places = list(frames)
    return f"{type(error).__name__} at {places[-1]}" if places else type(error).__name__
