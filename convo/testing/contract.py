"""What every transport must do, as a class of tests to subclass. Public; docs/adding_a_transport.md.

A subclass has a fixture ``stand_in`` that yields a fresh ``StandIn`` of the provider.
"""

from __future__ import annotations

import pytest

from convo.testing.conformance import CHECKS, Run
from convo.testing.conformance_parts import NotApplicable
from convo.testing.stand_in import StandIn

__all__ = ["TransportContract"]


class TransportContract:
    """Subclass it, and give it a fixture ``stand_in``: each check is a test.

    ``without`` names the checks that the provider has nothing for, so that none is left out by accident.
    """

    without: frozenset[str] = frozenset()

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_conformance(self, check: Run, stand_in: StandIn) -> None:
        """Make one check of the list."""
        without = ""
        try:
            check(stand_in)
        except NotApplicable as reason:
            without = str(reason)
        told = (
            f"{check.__name__} was left out: {without}" if without else f"{check.__name__} applies after all"
        )
        assert bool(without) == (check.__name__ in self.without), told
