"""Postbox passes the conformance kit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from convo_postbox.stand_in import PostboxStandIn

from convo.testing import TransportContract
from convo.testing.stand_in import StandIn


class TestPostbox(TransportContract):
    # Postbox cannot be asked what it was given.
    without = frozenset({"what_was_not_heard_can_be_looked_up"})

    @pytest.fixture
    def stand_in(self) -> Iterator[StandIn]:
        with PostboxStandIn() as made:
            yield made
