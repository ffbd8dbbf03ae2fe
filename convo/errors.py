"""Everything convo raises on purpose, and the exit code each kind ends a command with.

    ConvoError
    ├── FlowError            1   a flow or test file has problems; carries them (flow/problems.py)
    ├── ConfigError          2   a setting is missing or wrong
    │   └── CredentialsError 2   the provider refuses who we say we are
    ├── StoreError           3   the store cannot be opened, read or written
    ├── TransportError       4   the provider did not do what it was asked; carries what to do next
    │   └── NotProvisioned   4   the number is not ours (any more): provision once, then say so
    └── Fault                1   a step could not be completed and was undone

A message says what is wrong, where, and what the reader can do about it. No message carries a secret,
the text of an SMS or a full phone number, but for one that the reader has just typed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar


class ConvoError(Exception):
    """Base of everything convo raises on purpose; ``exit_code`` is what a command ends with."""

    exit_code: ClassVar[int] = 1


class ConfigError(ConvoError):
    """A setting (option, environment variable, configuration file) is missing or wrong."""

    exit_code = 2


class CredentialsError(ConfigError):
    """The provider refuses our credentials; the message names the setting that holds them."""


class StoreError(ConvoError):
    """The store cannot be opened, read or written: no database, newer, locked, read-only, full."""

    exit_code = 3


class TransportError(ConvoError):
    """The provider did not do what it was asked, or its answer made no sense.

    ``retry_after`` is how long it asked us to wait (None: it did not say). ``final`` means that
    asking again cannot help until a person has changed something.
    """

    exit_code = 4

    def __init__(self, message: str, *, retry_after: timedelta | None = None, final: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.final = final


class NotProvisioned(TransportError):
    """The provider says that this account has no number (any more)."""


class Fault(ConvoError):
    """A step could not be completed (division by zero, unset name, limit) and is undone as a whole."""
