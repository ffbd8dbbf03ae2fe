"""What opens, what is over, and who left: several flows on one number, through ``answer``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from convo.engine.conversation import ConsentKind, Conversation, Received, Started, Step
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows, NoFlow, answer
from convo.messages import Address

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
ANN = Address("+61400000001")
Compile = Callable[[str], CompiledFlow]

DESK = "flow: desk\nstates:\n  ready:\n    triggers:\n      LIGHT:\n        reply: Lit.\n"
PIZZA = """
flow: pizza
keywords: [PIZZA]
opt_out: [NO MORE PIZZA]
opt_in: [PIZZA PLEASE]
states:
  name:
    ask: What is your name?
    answer: text up to 20
  size:
    ask: Which size?
    choices: [Small, Large]
    hint: Just the number.
  done:
    reply: A ${size} one.
    end: ordered
"""
TAXI = """
flow: taxi
keywords: [TAXI]
states:
  place:
    ask: Where to?
    answer: text
  done:
    end: ordered
"""
VISIT = """
flow: visit
data: {at_what: {type: moment, given: yes}}
states:
  asking:
    ask: Coming on ${at_what}?
    answer: yes or no
  done:
    reply: Thanks.
    end: answered
"""


@dataclass
class Talk:
    """A sender and a channel."""

    flows: ChannelFlows
    conversation: Conversation | None = None
    opted_out: bool = False
    steps: list[Step] = field(default_factory=list)

    def said(self, text: str) -> list[str]:
        """Send a text and return what comes back."""
        return self.happened(Received(text, NOON, NOON))

    def happened(self, event: Received | Started) -> list[str]:
        """Let something happen and return what is said."""
        found = answer(self.flows, ANN, self.conversation, event, NOON, opted_out=self.opted_out)
        for taken in found:
            self.conversation = taken.conversation
            for entry in taken.consent:
                self.opted_out = entry.kind is ConsentKind.OPT_OUT
        self.steps += found
        return [outbound.text for taken in found for outbound in taken.outbound]

    @property
    def flow(self) -> str:
        """Which flow the sender is in."""
        assert self.conversation is not None
        assert self.conversation.is_open
        return self.conversation.flow


@pytest.fixture
def several(compiled: Compile) -> Talk:
    flows = {each.flow.name: each for each in map(compiled, (DESK, PIZZA, TAXI, VISIT))}
    return Talk(ChannelFlows("test", flows, "desk"))


def test_another_keyword_leaves_but_not_where_it_could_be_an_answer(several: Talk) -> None:
    assert several.said("light") == ["Lit."]
    assert several.said("pizza") == ["What is your name?"]
    (asked,) = several.said("Taxi")
    assert asked == "Send Taxi again to leave this conversation and begin that one."
    assert several.flow == "pizza"
    assert several.said("Ann") == ["Which size?\n1. Small\n2. Large\nJust the number."]
    assert several.said("taxi") == ["Where to?"]  # no text could be meant here, so it is not asked
    assert several.steps[-2].conversation.ended == "left"
    several.said("pizza")
    assert several.said("pizza") == ["What is your name?"]


def test_what_was_asked_is_forgotten_with_the_next_text(several: Talk) -> None:
    several.said("taxi")
    several.said("pizza")
    several.said("the station")
    assert several.conversation is not None
    assert several.conversation.data["place"] == "the station"


def test_the_own_keyword_says_the_question_again_without_its_hint(several: Talk) -> None:
    several.said("pizza")
    assert several.said("Ann") == ["Which size?\n1. Small\n2. Large\nJust the number."]
    assert several.said("Pizza") == ["Which size?\n1. Small\n2. Large"]


def test_a_keyword_with_a_value_and_the_same_word_alone(compiled: Compile) -> None:
    park = (
        "states:\n  one:\n    set: {place: value | default(0)}\n    reply: Place ${place}.\n    end: parked\n"
    )
    both = compiled(f"flow: both\nkeywords: [PARK, PARK number]\n{park}")
    alone = Talk(ChannelFlows("test", {"both": both}))
    assert alone.said("Park") == ["Place 0."]
    assert alone.said("park ١٢") == ["Place 12."]
    assert alone.said("hello") == ["This conversation is over. To begin again, send PARK."]
    needs = compiled(f"flow: needs\nkeywords: [PARK number]\n{park}")
    with pytest.raises(NoFlow):
        Talk(ChannelFlows("test", {"needs": needs})).said("park")


def test_words_of_consent_are_those_of_the_flow_that_is_open(several: Talk) -> None:
    several.said("pizza")
    assert several.said("stop") == ["Which size?\n1. Small\n2. Large\nJust the number."]  # a name like any
    assert several.said("no more pizza") == [
        "You will get no more messages from us. To come back, send PIZZA PLEASE."
    ]
    assert several.said("start") == []
    assert several.said("pizza") == []
    assert several.said("pizza please") == ["Welcome back. You will get our messages again."]
    assert several.said("light") == ["Lit."]
    assert several.said("no more pizza") != []
    assert not several.opted_out
    several.said("STOP")
    assert several.opted_out
    several.said("start")
    assert not several.opted_out


def test_what_only_we_begin_is_over_and_that_is_said_once(several: Talk) -> None:
    several.flows = replace(several.flows, default=None)
    with pytest.raises(NoFlow):
        several.said("hello")
    several.happened(Started("visit", {"at_what": NOON}))
    assert several.said("yes") == ["Thanks."]
    assert several.said("Thank you too") == ["This conversation is over."]
    assert several.said("bye") == []
    assert several.said("taxi") == ["Where to?"]
