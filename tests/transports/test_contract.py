"""The conformance kit, run against every shipped transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from convo.testing import TransportContract
from convo.testing.stand_in import StandIn
from convo.testing.stand_ins import BUILT_IN, stand_in_of
from convo.transports import BUILT_IN as TRANSPORTS
from tests.transports.providers import PROVIDERS, AndroidGateway, Sinch

NOT_POLLED = {
    "texts_are_polled_once_in_order_and_whole",
    "what_was_not_stored_is_listed_again",
    "a_text_that_is_listed_late_is_found",
    "a_poll_too_fast_loses_nothing",
    "a_poll_that_hangs_ends",
    "an_answer_that_breaks_off_loses_nothing",
    "a_page_instead_of_an_answer_loses_nothing",
}
NOT_LISTED = {"what_was_not_stored_is_listed_again", "a_text_that_is_listed_late_is_found"}
NOT_SIGNED = {"forged_calls_are_refused"}
NOT_ASKED = {"what_was_not_heard_can_be_looked_up"}


NOT_PUSHED = {
    "texts_are_pushed_whole",
    "forged_calls_are_refused",
    "calls_that_make_no_sense_bring_no_text",
    "receipts_come_in_any_order",
}


class Shipped(TransportContract):
    make: Callable[[], StandIn]

    @pytest.fixture
    def stand_in(self) -> Iterator[StandIn]:
        with type(self).make() as made:
            yield made


class TestTwilio(Shipped):
    make = BUILT_IN["twilio"]


class TestTelstraV2(Shipped):
    make = BUILT_IN["telstra_v2"]
    without = frozenset(NOT_LISTED | NOT_SIGNED | NOT_ASKED)


class TestTelstraV3(Shipped):
    make = BUILT_IN["telstra_v3"]
    without = frozenset(NOT_SIGNED)


class TestKannel(Shipped):
    make = BUILT_IN["kannel"]
    without = frozenset(NOT_POLLED | NOT_SIGNED | NOT_ASKED)


class TestSinchByDescription(Shipped):
    make = Sinch
    without = frozenset(NOT_PUSHED | NOT_ASKED)


class TestAndroidGatewayByDescription(Shipped):
    make = AndroidGateway
    without = frozenset(NOT_POLLED | NOT_ASKED)


def test_every_shipped_transport_and_description_is_here() -> None:
    classes = {each.make for each in Shipped.__subclasses__()}
    assert classes >= set(BUILT_IN.values())
    assert set(BUILT_IN) | {"generic"} == set(TRANSPORTS)
    described = {each.name for each in (Sinch, AndroidGateway)}
    assert described == {path.stem for path in PROVIDERS.glob("*.yaml")}


@pytest.mark.parametrize("name", ["sinch", "android_gateway"])
def test_a_stand_in_made_from_the_description_does_as_well(name: str) -> None:
    from convo.testing.conformance import run

    outcomes = list(run(stand_in_of(str(PROVIDERS / f"{name}.yaml"))))
    assert [each for each in outcomes if each.wrong] == []
    assert sum(not each.without for each in outcomes) >= 16
