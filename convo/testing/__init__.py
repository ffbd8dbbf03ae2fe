"""For people who test flows: a phone, a fake provider, a clock that stands. Public.

The pytest plugin comes with the package: fixtures ``phone``, ``fake_clock`` and ``fake_transport``, and
``*.test.yaml`` files as tests.
"""

from __future__ import annotations

from convo.testing.fakes import FakeClock, FakeServices, FakeTransport
from convo.testing.phone import Phone

__all__ = ["FakeClock", "FakeServices", "FakeTransport", "Phone"]
