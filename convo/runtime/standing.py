"""The loop that sees whether the file of the store still stands where it was opened.

A file that is moved, removed or replaced under a run takes along all that the run writes from then on, and
nobody would notice before the next start.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from convo.errors import StoreError

EVERY = timedelta(seconds=1)


class Standing:
    """Watches the file at ``path``, which is there and open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = _which(path)

    def once(self, now: datetime) -> datetime | None:
        """Look; return when to be called again.

        Raises:
            StoreError: another file stands there, or none.
        """
        found = _which(self._path)
        if None not in (found, self._held) and found != self._held:
            raise StoreError(
                f"{self._path} was moved, removed or replaced while this run was at work, which wrote into"
                " the old file; stop a run before you do that, then start it on the one that is to go on"
            )
        return now + EVERY


def _which(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from any other on this machine, None where it cannot be told."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    except OSError:
        return None
    return found.st_dev, found.st_ino
