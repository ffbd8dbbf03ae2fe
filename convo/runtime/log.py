"""Logging for operators: one line an event on stderr, numbers masked, never a body or a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from traceback import extract_tb

from convo.messages import mask

LEVELS = ("debug", "info", "warning", "error")
FORMS = ("text", "json")

_channel: ContextVar[str | None] = ContextVar("channel", default=None)
_NUMBER = re.compile(r"\+[0-9]{8,15}")
_PLACEHOLDER = re.compile(r"%[-#0 +]*[0-9.]*[a-zA-Z]")
_OF_A_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "event", "channel"}


class about_channel:
    """Have every line that is logged within say which channel it is about."""

    __slots__ = ("_name", "_token")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Begin."""
        self._token = _channel.set(self._name)

    def __exit__(self, *_: object) -> None:
        """End."""
        _channel.reset(self._token)


class _Line(logging.Formatter):
    """One line with the time in UTC; what a stray line break would add becomes a space."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return _masked(" ".join(super().formatMessage(record).splitlines()))


class _Object(logging.Formatter):
    """One JSON object a line: time, level, event, channel, message, and the fields of ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", None) or _event(record),
            "channel": getattr(record, "channel", None) or _channel.get(),
            "message": " ".join(record.getMessage().splitlines()),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OF_A_RECORD}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return _masked(json.dumps(line, default=str))


def _event(record: logging.LogRecord) -> str:
    """Name what happened by the fixed words of its sentence, which are the same for every such line.

    They end at the first colon, bracket or value, or, where the sentence begins with a value, after it.
    """
    parts = [part for part in _PLACEHOLDER.split(str(record.msg)) if re.search("[a-z]", part)]
    said = re.split(r"[:;(]", parts[0])[0] if parts else ""
    words = re.findall("[a-z]+", said.lower())[:6]
    return "_".join(words) or record.name.rpartition(".")[2]


def _masked(line: str) -> str:
    """Mask whatever looks like a phone number, should a message hold one after all."""
    return _NUMBER.sub(lambda found: mask(found[0]), line)


def configure(level: str, form: str = "text") -> None:
    """Send what convo logs at ``level`` and above to stderr; what libraries log goes nowhere.

    ``form`` is one of ``FORMS``.
    """
    ours = logging.getLogger("convo")
    for old in [each for each in ours.handlers if isinstance(each.formatter, _Line | _Object)]:
        ours.removeHandler(old)
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Object() if form == "json" else _Line())
    ours.addHandler(lines)
    ours.setLevel(level.upper())
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())


@contextmanager
def silent() -> Iterator[None]:
    """Log nothing of ours for a while: where things go wrong on purpose, they are told elsewhere."""
    ours = logging.getLogger("convo")
    level = ours.level
    ours.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        ours.setLevel(level)


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
