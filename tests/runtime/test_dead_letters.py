"""Messages whose step raises: tried again, set aside, explained; everybody else goes on."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from convo.engine import opening
from convo.engine.conversation import Received, TimerFired
from convo.messages import Address, OutboundKind
from convo.runtime import process
from convo.runtime.policy import STEP_TRIES
from convo.store.base import InboxStatus
from convo.store.sqlite_views import open_views
from convo.testing.world import CHANNEL, World
from tests.cli.test_operating import convo

ANN, BOB = "+61491570006", "+61491570110"
APOLOGY = "Sorry, something went wrong"
FLOW = """
flow: visit
states:
  name:
    ask: What is your name?
    answer: text
    save: name
    goto: age
  age:
    ask: How old are you?
    answer: number
    save: age
    after: {2h: {reply: "Still there?"}}
    goto: name
"""
RENAMED = FLOW.replace("  age:", "  years:").replace("goto: age", "goto: years")


@pytest.fixture
def world(tmp_path: Path) -> object:
    """A convo whose engine breaks at a text with BREAK in it, and at every timer when told to."""
    flow = tmp_path / "visit.yaml"
    flow.write_text(FLOW, encoding="utf-8")
    made = World(flow, on_disk=True)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def breaking(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Break the step of some events, and count how often each was tried."""
    tried: dict[str, int] = {}

    def answer(*arguments: object, **named: object) -> object:
        event = arguments[3]
        if isinstance(event, Received) and "BREAK" in event.text:
            tried[event.text] = tried.get(event.text, 0) + 1
            raise RuntimeError("secret words of somebody")
        if isinstance(event, TimerFired) and "timers" in tried:
            tried["timers"] += 1
            raise RuntimeError("a broken timer")
        return opening.answer(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "answer", answer)
    return tried


def say(world: World, who: str, *texts: str) -> list[str]:
    """Write, let it be answered, and return the new replies."""
    before = len(world.transport.replies(who))
    for text in texts:
        world.clock.advance(2)
        world.text(who, text)
        world.work()
    return world.transport.replies(who)[before:]


def sound(world: World) -> None:
    """See that no invariant of the store is broken."""
    with open_views(world.store.path) as views:  # type: ignore[attr-defined]
        assert [each.invariant.name for each in views.audit(world.clock.now()) if each.rows] == []


def test_it_is_tried_again_then_set_aside_and_the_sender_hears_of_it_once(
    world: World, breaking: dict[str, int]
) -> None:
    say(world, ANN, "hello")
    world.text(ANN, "BREAK 1")
    world.text(BOB, "hello")
    replies = say(world, ANN, "BREAK 2", "Ann")
    assert breaking == {"BREAK 1": STEP_TRIES, "BREAK 2": STEP_TRIES}
    # One apology for both; the same sender's next text is answered.
    assert [APOLOGY in each for each in replies] == [True, False]
    assert replies[1] == "How old are you?"
    assert world.transport.replies(BOB) == ["What is your name?"]
    dead = world.store.inbox(InboxStatus.DEAD)
    assert [row.text for row in dead] == ["BREAK 1", "BREAK 2"]
    assert all("raised RuntimeError" in row.reason and "secret" not in row.reason for row in dead)
    assert [APOLOGY in each for each in say(world, ANN, "BREAK 3")] == [True], "something worked since"
    sound(world)


def test_a_first_text_that_raises_is_answered_with_the_apology(world: World) -> None:
    (reply,) = say(world, ANN, "BREAK")
    assert APOLOGY in reply
    assert say(world, ANN, "hello") == ["What is your name?"]
    assert {row.outbound.kind for row in world.store.outbox()} == {OutboundKind.APOLOGY, OutboundKind.REPLY}
    sound(world)


def test_shown_retried_and_dropped_by_hand(
    world: World, breaking: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    say(world, ANN, "hello", "BREAK 1", "BREAK 2")
    store = world.store.path  # type: ignore[attr-defined]
    code, said = convo("inbox", "--store", store, "--format", "json")
    first, second = json.loads(said)
    assert code == 0
    assert "raised RuntimeError" in first["reason"]
    assert "BREAK" not in said
    assert ANN not in said
    monkeypatch.setattr(process, "answer", opening.answer)
    code, said = convo("why", ANN, "--store", store, "--flow", str(world.path))
    assert (code, "No step was made: set aside: its step raised RuntimeError" in said) == (0, True)
    assert convo("inbox", "retry", str(first["id"]), "--store", store)[0] == 0
    assert convo("inbox", "drop", str(second["id"]), "--store", store)[0] == 0
    assert convo("inbox", "retry", str(second["id"]), "--store", store)[0] == 2
    world.work()
    assert world.transport.replies(ANN)[-1] == "How old are you?"
    found = world.store.conversation(CHANNEL, Address(ANN))
    assert found is not None
    assert found.data["name"] == "BREAK 1"
    assert convo("inbox", "--store", store)[1].strip() == "there are none"
    sound(world)


def test_a_step_that_the_flow_cannot_complete_is_undone_and_answered_at_once(world: World) -> None:
    text = FLOW.replace("    save: age\n", "    save: age\n    set: {share: 100 / age}\n")
    world.path.write_text(text, encoding="utf-8")
    world.restart()
    say(world, ANN, "hello", "Ann")
    (reply,) = say(world, ANN, "0")
    assert APOLOGY in reply
    # It would go wrong again and again; the journal says why, and the next text is answered.
    assert world.store.inbox(InboxStatus.DEAD) == []
    assert "division by zero" in json.loads(world.store.journal(CHANNEL, Address(ANN))[-1].record)["fault"]
    assert say(world, ANN, "34") == ["What is your name?"]
    sound(world)


def test_a_timer_that_raises_is_tried_again_and_leaves_its_explanation(
    world: World, breaking: dict[str, int]
) -> None:
    say(world, ANN, "hello", "Ann")
    breaking["timers"] = 0
    world.clock.advance(timedelta(hours=3))
    world.work()
    world.clock.advance(timedelta(minutes=1))
    world.work()
    assert breaking["timers"] == STEP_TRIES
    assert "Still there?" not in world.transport.replies(ANN)
    last = json.loads(world.store.journal(CHANNEL, Address(ANN))[-1].record)
    assert last["fault"].startswith("set aside: its step raised RuntimeError")
    del breaking["timers"]
    assert say(world, ANN, "34") == ["What is your name?"]
    sound(world)


def test_a_state_that_is_gone_is_held_and_goes_on_once_it_is_mended(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    say(world, ANN, "hello", "Ann")
    world.path.write_text(RENAMED, encoding="utf-8")
    world.restart()
    replies = say(world, ANN, "34", "hello?")
    assert [APOLOGY in each for each in replies] == [True]
    assert say(world, BOB, "hello", "Bob") == ["What is your name?", "How old are you?"]
    # The timer of the state that is gone neither fires nor is lost.
    world.clock.advance(timedelta(hours=3))
    world.work()
    assert "Still there?" not in world.transport.replies(ANN)
    assert "Still there?" in world.transport.replies(BOB)
    sound(world)
    world.path.write_text(RENAMED + "moved: {age: years}\n", encoding="utf-8")
    world.restart()
    world.work()
    assert world.transport.replies(ANN)[-1] == "Still there?"
    store = world.store.path  # type: ignore[attr-defined]
    first = world.store.inbox(InboxStatus.DEAD)[0]
    assert "moved: {age: NEW_STATE}" in first.reason
    assert convo("inbox", "retry", str(first.id), "--store", store)[0] == 0
    world.work()
    assert world.transport.replies(ANN)[-1] == "What is your name?"
    sound(world)


def test_whoever_waits_in_any_state_that_is_gone_goes_on_where_else_says(world: World) -> None:
    say(world, ANN, "hello", "Ann")
    world.path.write_text(RENAMED + "moved: {else: name}\n", encoding="utf-8")
    world.restart()
    assert say(world, ANN, "Anna") == ["How old are you?"]
    assert world.store.inbox(InboxStatus.DEAD) == []
    sound(world)
