"""Whatever somebody writes stays text: in every place of a flow, of the store and of what is shown."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from click.testing import CliRunner

from convo.cli import cli
from convo.engine.machine import compile_flow
from convo.engine.opening import ChannelFlows
from convo.flow.answer_pattern import BadPattern, compiled
from convo.flow.parse import parse_flow
from convo.flow.reader import read_text
from convo.messages import Address
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.run import drain
from convo.store import open_store
from convo.store.base import InboxStatus
from convo.store.sqlite_views import open_views
from convo.testing.fakes import FakeClock, FakeTransport

# A person's words come into every place that a flow has for them.
FLOW = """flow: places
restart: any
data:
  said: {type: text, first: 'nothing'}
  kept: {type: text, first: 'nothing', keep: yes}
people: {nurse: +61400000009}
every_question: {tries: 9, out_of_tries: over}
states:
  first:
    triggers:
      pattern X(.*)Y:
        reply: Pattern ${value}.
      text:
        set: {said: message, kept: message ~ '!'}
        reply: Got ${message} and ${said}.
        tell: {nurse: "Somebody wrote ${message}"}
        goto: name
  name:
    ask: Who are you, ${said | default('x')}?
    answer: text up to 300
    confirm: You are ${name}?
    goto:
      name == 'admin': over
      else: age
  age:
    ask: How old are you, ${name | first_word}?
    answer: number 1 to 120
    sorry: "'${message}' is no age."
    triggers:
      BACK: first
  over:
    reply: Bye ${name | upper}.
    end: complete
"""
TEXTS = {
    "template": "${7*7} {{7*7}} {% for x in y %} #{7*7}",
    "attributes": "${''.__class__.__mro__[1].__subclasses__()}",
    "name of ours": "${kept} ${sender} $said {said}",
    "sql": "'; DROP TABLE inbox; --",
    "more sql": "\" OR 1=1; UPDATE outbox SET status='sent' WHERE ''='",
    "like": "%_\\%",
    "yaml": "&a [*a, !!python/object/apply:os.system ['id']]\n---\n",
    "json": '{"a": "\\u0000"}',
    "nul": "a\0b",
    "half a surrogate": "a\ud83db",
    "the other half": "\ude00",
    "64 KB": "x" * 65_536,
    "many lines": "\n" * 3_000 + "x",
    "right to left": "\u202egnp.exe \u2067abc\u2069",
    "no characters": "\u200b\u2060\ufeff",
    "combining": "e" + "\u0301" * 500,
    "escape": "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "crlf": "a\r\nX-Header: b\r\n\r\nc",
    "path": "../../../../etc/passwd\0.yaml",
    "shell": "$(touch /tmp/x) `id` | rm -rf ~ &",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "format": "%s%n{0}{0.__class__}",
    "number": "9" * 5_000,
    "infinite": "1e999",
    "other digits": "\u0663\u0664",
    "family": "👩‍👩‍👧‍👦" * 50,
    "bell": "\x07\x08\x7f\x9b",
    "not characters": "\ufffe\uffff\U0010ffff",
}
ANNA, NURSE = Address("+61400000001"), Address("+61400000009")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "convo.db"


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_stays_text_in_every_place(path: Path, text: str) -> None:
    clock, flow = FakeClock(), compile_flow(parse_flow(read_text(FLOW, "places.yaml")))
    provider, store = FakeTransport(clock), open_store(path)
    loops = (
        [Receiver(store, provider, "fake", clock)],
        Processor(store, {"fake": ChannelFlows("fake", {"places": flow}, "places")}),
        [Deliverer(store, provider, "fake", clock)],
    )
    for words in (text, text, "yes", text, f"X{text}Y", text, "34", text):
        provider.text(ANNA, words, provider_id=f"{text[:50]!a}-{len(store.inbox())}")
        drain(*loops, clock)
    # It was stepped like any other text: nothing waits, nothing was set aside, nobody stumbled.
    assert store.inbox(InboxStatus.WAITING) == store.inbox(InboxStatus.DEAD) == []
    assert store.inbox()[0].text == text
    journal = store.journal("fake", ANNA)
    assert len(journal) >= 8
    # But for what is too long to be kept, of which the sender is told.
    faults = {json.loads(each.record)["fault"] for each in journal} - {None}
    assert not faults or (
        len(text) > 4_000 and all("longer than 10000 characters" in each for each in faults)
    )
    # What was said of it is what was written, not what it would mean somewhere.
    conversation = store.conversation("fake", ANNA)
    assert conversation is not None
    echoed = " ".join(provider.replies(ANNA))
    assert "49" not in echoed.replace(text, "") or "49" in text
    told = "".join(provider.replies(NURSE))
    if 0 < len(text) < 300 and text.isprintable():
        assert " ".join(f"Somebody wrote {text}".split()) in " ".join(told.split())
    store.close()
    with open_views(str(path)) as views:
        assert views.check() == []
        assert not [each.invariant.name for each in views.audit(clock.now()) if each.rows]
    for command in (
        ["conversation", ANNA, "--store", str(path)],
        ["conversation", ANNA, "--store", str(path), "--format", "json"],
        ["outbox", "--store", str(path)],
        ["inbox", "--store", str(path)],
    ):
        shown = CliRunner().invoke(cli, command, standalone_mode=False)
        assert shown.exception is None, (command, shown.output[-300:], shown.exception)
        shown.stdout_bytes.decode("utf-8")
        assert "\x1b" not in shown.output, "a terminal must not be steered by what somebody wrote"
        assert "\x07" not in shown.output


def test_payloads_in_every_field_that_a_provider_fills(path: Path) -> None:
    """Senders, ids, cursors and reasons are bound, never pasted into SQL."""
    clock, flow = FakeClock(), compile_flow(parse_flow(read_text(FLOW, "places.yaml")))
    provider, store = FakeTransport(clock), open_store(path)
    processor = Processor(store, {"fake": ChannelFlows("fake", {"places": flow}, "places")})
    payloads = [each for each in TEXTS.values() if "\ud83d" not in each and "\ude00" not in each]
    for number, payload in enumerate(payloads):
        provider.text(payload[:1_000], "hello", provider_id=payload[:1_000] + str(number))
        provider.nonsense(payload, payload[:1_000])
    drain(
        [Receiver(store, provider, "fake", clock)],
        processor,
        [Deliverer(store, provider, "fake", clock)],
        clock,
    )
    rows = store.inbox()
    assert len([row for row in rows if row.status is InboxStatus.DONE]) == len(payloads)
    assert {row.raw for row in store.inbox(InboxStatus.DEAD)} == set(payloads)
    assert {each.recipient for each in provider.sent} >= {payload[:1_000] for payload in payloads}
    for payload in payloads:
        assert store.conversation("fake", Address(payload[:1_000])) is not None
        assert not store.opted_out("fake", Address(payload[:1_000]))
    store.close()


# -- patterns ------------------------------------------------------------------------------------------

SLOW = [
    *("(a+)+", "(a|a)*", "(a|aa)+", "(.*)*x", "(a*)*b", "([a-z]+)*d", "(a?){30}a{30}", "(x+x+)+y"),
    *("(a|b|ab)*c", "(\\w+\\s?)*!", "((a+)b?)+c", "a*a*a*a*a*a*b", "(.+)+\\d", "(?:a+){2,}b", ".*.*.*.*=.*"),
    *("(\\d+)*-(\\d+)*", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a{1,99}){1,99}b", "(a|a?)+b", "[ab]*[bc]*[ac]*d"),
]


def worst() -> Iterator[str]:
    """Yield texts at which a matcher that goes back and forth would stay for ever."""
    for letter in ("a", "ab", "1", "a ", "x", "=", "A"):
        for tail in ("", "!", "\0", "b", "é"):
            yield (letter * 200)[: 200 - len(tail)] + tail


def test_patterns_of_authors_are_quick_or_refused() -> None:
    """With google-re2 all are linear; without it what could be slow is refused."""
    chance = Random(3)
    pieces = ("a", "b", ".", "\\d", "[a-c]", "(a|b)", "(a|ab)", "(a+)", "(.*)", "x", "\\w", "(?:b*)")
    many = ("", "*", "+", "?", "{2}", "{1,5}", "{0,40}", "*?")
    made = (
        "".join(chance.choice(pieces) + chance.choice(many) for _ in range(chance.randrange(1, 8)))
        for _ in range(400)
    )
    taken = 0
    for source in (*SLOW, *made):
        try:
            matches = compiled(source)
        except BadPattern:
            continue
        taken += 1
        for text in worst():
            began = time.process_time()
            matches(text)
            assert time.process_time() - began < 0.05, (source, text)
    assert taken > 100, "most simple patterns are let in"


def test_a_folder_that_is_called_re2_is_no_matcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a flow it can be imported, and has nothing in it."""
    monkeypatch.setitem(sys.modules, "re2", ModuleType("re2"))
    assert compiled("[p-q]{3}")("pqp")
