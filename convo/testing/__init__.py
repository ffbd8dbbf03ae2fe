"""For people who test flows: a phone, a fake provider, a clock that stands. Public.

The pytest plugin comes with the package: fixtures ``phone``, ``fake_clock`` and ``fake_transport``, and
``*.test.yaml`` files as tests. ``TransportContract`` is for those who write a transport
(docs/adding_a_transport.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convo.testing.fakes import FakeClock, FakeServices, FakeTransport
from convo.testing.phone import Phone

if TYPE_CHECKING:
    from convo.testing.contract import TransportContract

__all__ = ["FakeClock", "FakeServices", "FakeTransport", "Phone", "TransportContract"]


def __getattr__(name: str) -> object:
    """Import what needs pytest at its first use: whoever checks a transport on the command line has none."""
    if name == "TransportContract":
        from convo.testing.contract import TransportContract

        return TransportContract
    raise AttributeError(f"module 'convo.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
