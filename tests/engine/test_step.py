"""The engine through its public doors: ``answer`` for whatever happens, ``step`` beneath it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from convo.engine.conversation import ConsentKind, Conversation, Received, Started, Step
from convo.engine.machine import CompiledFlow, compile_flow
from convo.engine.opening import ChannelFlows, StateGone, answer
from convo.flow.values import decode, encode
from convo.messages import Address, OutboundKind

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
ANN = Address("+61400000001")
BEN = Address("+61400000002")
Compile = Callable[[str], CompiledFlow]


@dataclass
class Talk:
    """A sender's side of a conversation, as the runtime would carry it from step to step."""

    flows: ChannelFlows
    sender: Address = ANN
    conversation: Conversation | None = None
    opted_out: bool = False
    steps: list[Step] = field(default_factory=list)

    def said(self, text: str, at: float = 0, sent: datetime | None = None) -> list[str]:
        """Send ``text`` ``at`` seconds after noon and return what comes back."""
        received = NOON + timedelta(seconds=at)
        return self.happened(Received(text, received, sent or received), received)

    def happened(self, event: Received | Started, now: datetime = NOON) -> list[str]:
        """Let ``event`` happen and return the texts that leave."""
        steps = answer(self.flows, self.sender, self.conversation, event, now, opted_out=self.opted_out)
        for taken in steps:
            self.conversation = taken.conversation
            for entry in taken.consent:
                self.opted_out = entry.kind is ConsentKind.OPT_OUT
        self.steps += steps
        return [outbound.text for taken in steps for outbound in taken.outbound]


def talk(*compiled: CompiledFlow, sender: Address = ANN, default: str | None = None) -> Talk:
    """Return a sender's talk with a channel that serves those flows, the first by default."""
    by_name = {each.flow.name: each for each in compiled}
    return Talk(ChannelFlows("test", by_name, default or compiled[0].flow.name), sender)


def test_each_sender_has_a_machine_of_their_own(stopwatch: CompiledFlow) -> None:
    ann, ben = talk(stopwatch), talk(stopwatch, sender=BEN)
    ann.said("START", at=0)
    ben.said("START", at=30)
    assert ann.said("TIME", at=60) == ["1 min so far."]
    assert ben.said("TIME", at=60) == ["30 s so far."]
    ann.said("STOP", at=61)
    assert ann.conversation is not None
    assert ben.conversation is not None
    assert (ann.conversation.state, ben.conversation.state) == ("stopped", "running")


def test_a_machine_is_the_same_after_a_restart(stopwatch: CompiledFlow) -> None:
    before = talk(stopwatch)
    before.said("START")
    kept = before.conversation
    assert kept is not None
    # A restart: the flow is read and compiled anew, the data comes back from its stored text.
    again = compile_flow(stopwatch.flow)
    data = decode(encode(kept.data))
    after = talk(again)
    after.conversation = Conversation(
        kept.channel,
        kept.sender,
        kept.number,
        kept.flow,
        kept.state,
        kept.opened_at,
        kept.now_at,
        kept.version,
        data,
        kept.entry,
        kept.tries,
        kept.steps,
    )
    for text, at in [("TIME", 5), ("START", 6), ("STOP", 16), ("STOP", 20), ("TIME", 30)]:
        assert after.said(text, at) == before.said(text, at)
        assert after.conversation == before.conversation


def test_a_text_ends_with_its_last_letter(compiled: Compile) -> None:
    ann = talk(
        compiled(
            """flow: ends
people: {nurse: +61400000009}
states:
  ready:
    triggers:
      GO:
        reply: |
          One

          two
        tell:
          nurse: |
            They go.
        goto: size
  size:
    ask: |
      Which size?
    choices: {s: Small, l: Large}
  done:
    end: complete
"""
        )
    )
    assert ann.said("go") == ["One\n\ntwo\nWhich size?\n1. Small\n2. Large", "They go."]


def test_now_is_the_moment_the_message_was_sent(stopwatch: CompiledFlow) -> None:
    ann = talk(stopwatch)
    ann.said("START", at=60, sent=NOON)
    assert ann.said("STOP", at=120, sent=NOON + timedelta(seconds=7)) == ["Stopped after 7 s."]


@pytest.mark.parametrize(
    ("sent", "note"),
    [
        (None, "no sent time"),
        (NOON + timedelta(hours=2), "after the receive time"),
        (NOON - timedelta(days=31), "30 days back"),
    ],
)
def test_a_sent_time_that_cannot_be_is_replaced_and_noted(
    stopwatch: CompiledFlow, sent: datetime | None, note: str
) -> None:
    ann = talk(stopwatch)
    ann.happened(Received("START", NOON, sent))
    assert ann.said("STOP", at=9) == ["Stopped after 9 s."]
    assert note in " ".join(ann.steps[0].notes)


def test_time_never_runs_backwards_in_a_conversation(stopwatch: CompiledFlow) -> None:
    ann = talk(stopwatch)
    ann.said("START", at=10)
    assert ann.said("STOP", at=20, sent=NOON) == ["Stopped after 0 s."]


def test_an_own_word_goes_before_the_same_word_anywhere(compiled: Compile) -> None:
    ann = talk(
        compiled("""
flow: f
states:
  one:
    triggers:
      HELP:
        if: tries > 0
        reply: never
      GO: two
  two:
    triggers:
      HELP:
        reply: help in two
anywhere:
  HELP:
    reply: help anywhere
""")
    )
    assert ann.said("help") == ["help anywhere"]  # the own HELP's condition fails: matching goes on below
    assert ann.said("go") == []
    assert ann.said("Help!") == ["help in two"]


def test_nothing_matched_is_never_silence(compiled: Compile) -> None:
    ann = talk(compiled("flow: f\nstates:\n  one:\n    triggers:\n      A, B: two\n  two:\n    end: done\n"))
    (text,) = ann.said("what?")
    assert "A and B" in text


def test_a_list_of_actions_takes_the_first_that_holds_and_goto_sees_what_was_set(compiled: Compile) -> None:
    ann = talk(
        compiled("""
flow: f
data: {score: 0}
states:
  play:
    triggers:
      UP:
        - if: score >= 10
          reply: too high
        - set: {score: score + 4}
          reply: now ${score}
          goto:
            score > 7: won
            else: play
  won:
    reply: You won with ${score}.
    end: won
""")
    )
    assert ann.said("up") == ["now 4"]
    assert ann.said("up") == ["now 8\nYou won with 8."]
    assert ann.conversation is not None
    assert ann.conversation.ended == "won"


def test_steps_go_on_within_one_message_and_list_items_begin_new_ones(compiled: Compile) -> None:
    ann = talk(
        compiled("""
flow: f
states:
  wait:
    triggers:
      GO:
        reply: going
        goto: first
  first:
    reply: one
  second:
    reply: [two, three]
    goto: wait
""")
    )
    assert ann.said("go") == ["going\none\ntwo", "three"]
    assert ann.conversation is not None
    assert ann.conversation.state == "wait"


def test_a_fault_undoes_the_whole_step_and_the_sender_hears_an_apology(compiled: Compile) -> None:
    ann = talk(
        compiled("""
flow: f
data: {n: 0}
states:
  one:
    triggers:
      GO:
        set: {n: n + 1, share: 10 / (n - 1)}
        reply: half done
""")
    )
    ann.said("hello")
    before = ann.conversation
    (text,) = ann.said("go")
    assert ann.steps[-1].fault is not None
    assert ann.steps[-1].outbound[0].kind is OutboundKind.APOLOGY
    assert "half done" not in text
    assert before is not None
    assert ann.conversation is not None
    assert (ann.conversation.data, ann.conversation.state) == (before.data, before.state)


def test_a_keyword_opens_greets_and_is_used_up(compiled: Compile) -> None:
    park = compiled(
        "flow: park\ngreeting: Hello!\nkeywords: [PARK]\nstates:\n  one:\n    reply: Which zone?\n"
        "    triggers:\n      A: two\n      PARKED: two\n  two:\n    end: parked\n"
    )
    pizza = compiled(
        "flow: pizza\nkeywords: [PIZZA]\nstates:\n  one:\n    reply: Which pizza?\n    wait: yes\n"
    )
    ann = talk(park, pizza)
    assert ann.said("park") == ["Hello!\nWhich zone?"]
    assert ann.said("PARK") == ["Which zone?"]
    assert ann.said("pizza") == ["Which pizza?"]
    assert [(each.conversation.flow, each.conversation.ended) for each in ann.steps[-2:]] == [
        ("park", "left"),
        ("pizza", None),
    ]
    ann.said("park")
    ann.said("a")
    assert ann.conversation is not None
    assert ann.conversation.ended == "parked"
    assert len(ann.said("hi again")) == 1  # over, said once
    assert ann.said("hello?") == []
    assert ann.said("Park") == ["Hello!\nWhich zone?"]


def test_opting_out_is_confirmed_once_and_an_ordinary_text_does_not_take_it_back(compiled: Compile) -> None:
    flow = compiled("flow: f\nstates:\n  one:\n    triggers:\n      A:\n        reply: a\n")
    ann = talk(flow)
    assert ann.said("a") == ["a"]
    assert len(ann.said("Stop.")) == 1
    assert ann.steps[-1].outbound[0].kind is OutboundKind.CONSENT
    assert ann.said("stop") == []
    assert ann.said("a") == []
    assert len(ann.said("START")) == 1
    assert ann.said("a") == ["a"]


def test_the_stopwatch_keeps_stop_for_itself(stopwatch: CompiledFlow) -> None:
    ann = talk(stopwatch)
    assert ann.said("STOP") == ["The stopwatch is not running yet. Send START first."]
    assert not ann.opted_out
    ann.said("unsubscribe")
    assert ann.opted_out


def test_a_conversation_in_a_state_that_is_gone_says_so_or_follows_moved(compiled: Compile) -> None:
    old = compiled(
        "flow: f\nstates:\n  one:\n    triggers:\n      A: two\n  two:\n    triggers:\n      A: one\n"
    )
    new = "flow: f\n{}states:\n  one:\n    triggers:\n      A:\n        reply: back in one\n"
    ann = talk(old)
    ann.said("a")
    ann.flows = talk(compiled(new.format(""))).flows
    with pytest.raises(StateGone, match="state 'two'"):
        ann.said("a")
    ann.flows = talk(compiled(new.format("moved: {two: one}\n"))).flows
    assert ann.said("a") == ["back in one"]


def test_we_open_a_conversation_unless_one_is_open(stopwatch: CompiledFlow) -> None:
    ann = talk(stopwatch)
    assert ann.happened(Started("stopwatch")) == ["Stopwatch online! I understand START, STOP and TIME."]
    assert ann.happened(Started("stopwatch")) == []


def test_a_senders_text_is_never_a_template(compiled: Compile) -> None:
    ann = talk(
        compiled(
            "flow: f\nstates:\n  one:\n    triggers:\n      text:\n        set: {said: message}\n"
            "        reply: You said ${said}\n"
        )
    )
    payload = "${ 1 + 1 } {% if true %}x{% endif %} {{ 7 }}"
    assert ann.said(payload) == [f"You said {payload}"]
