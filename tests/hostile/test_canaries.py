"""Bodies, numbers and secrets that must not be seen: in logs from INFO up, in tracebacks, in what is printed.

Every loop is made to fail in every way, by exceptions that quote what people wrote; then everything that
was logged, and the repr of every object of ours that is alive, is looked through.
"""

from __future__ import annotations

import gc
import logging
import os
import stat
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from convo.engine import opening
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import ConvoError, CredentialsError
from convo.messages import Address, Inbound, Receipt, Status
from convo.runtime import process
from convo.runtime.calls import Caller, HttpServices, Service
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.store import open_store
from convo.store.base import Opening
from convo.testing.fakes import FakeClock, FakeTransport
from convo.transports import create, names
from convo.transports.base import BadCredentials, GiveUp, OptedOut, PushRequest, RetryLater, Unknown

BODY, NUMBER, SECRET = "wombat-marmalade", "+61498765432", "hunter2-hunter2-hunter2"
CANARIES = (BODY, NUMBER, NUMBER[3:], SECRET)
WHO = Address(NUMBER)
FLOW = """flow: canary
restart: any
data: {kept: {type: text, first: 'x', keep: yes}, sky: {type: text, first: 'x'}}
states:
  ready:
    triggers:
      CALL: calling
      text:
        set: {kept: message}
        reply: Got ${message}.
    after:
      10m: {reply: 'Still there, ${kept}?'}
  calling:
    call: weather
    with: {about: kept}
    save: [sky]
    goto: {else: ready}
"""


def seen(text: str) -> list[str]:
    """Return which canaries are in a text."""
    return [canary for canary in CANARIES if canary in text]


class Quoting(Exception):
    """What a careless library raises."""

    def __init__(self) -> None:
        super().__init__(f"cannot take {BODY!r} of {NUMBER} with {SECRET}")


class Breaks:
    """A store one of whose methods raises, once, what quotes its arguments."""

    def __init__(self, store: object, name: str) -> None:
        self._store, self._name = store, name

    def __getattr__(self, name: str) -> object:
        if name == self._name:
            self._name = ""

            def breaks(*_given: object, **_named: object) -> object:
                raise Quoting

            return breaks
        return getattr(self._store, name)

    @contextmanager
    def fenced(self, *partitions: int) -> Iterator[Breaks]:
        with self._store.fenced(*partitions):  # type: ignore[attr-defined]
            yield self


def test_nothing_is_seen_in_logs_tracebacks_and_printed_objects(
    compiled: Callable[[str], CompiledFlow],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    clock, flow = FakeClock(), compiled(FLOW)
    flows = {"fake": ChannelFlows("fake", {"canary": flow}, "canary")}
    inner, provider = open_store("memory"), FakeTransport(clock)
    errors: list[BaseException] = []
    services = HttpServices({"weather": Service("http://127.0.0.1:9/", token=SECRET)}, clock)
    kept: list[object] = []

    def work(breaks: str = "") -> None:
        store = Breaks(inner, breaks)
        loops = (
            Receiver(store, provider, "fake", clock, random=Random(1)),  # type: ignore[arg-type]
            Processor(store, flows),  # type: ignore[arg-type]
            Caller(store, services, clock, random=Random(1)),  # type: ignore[arg-type]
            Deliverer(store, provider, "fake", clock, random=Random(1)),  # type: ignore[arg-type]
        )
        kept.extend(loops)
        for _ in range(3):
            for loop in loops:
                try:
                    loop.once(clock.now())
                except Exception as problem:
                    errors.append(problem)
        clock.advance(61)

    for name in ("", "accept", "claim", "commit", "mark_sending", "settle", "receipts", "due", "calls"):
        provider.text(WHO, BODY)
        provider.text(WHO, "CALL")
        work(name)
    for result in (RetryLater, GiveUp, Unknown, OptedOut, BadCredentials):
        provider.text(WHO, BODY)
        provider.answer_sends(result("it said no"))
        work()
    provider.fail_poll(Quoting(), CredentialsError("the key in TELSTRA_CLIENT_SECRET is refused"))
    work()
    provider.nonsense(f"<html>{BODY} {NUMBER}</html>")
    provider.receipt(Receipt("fake", "nobody", Status.DELIVERED, raw=f"{BODY} {NUMBER}"))
    inner.request([Opening("fake", WHO, "canary", "one", f'{{"kept": "{BODY}"}}')], clock.now())
    work()

    def raises(*_given: object, **_named: object) -> object:
        raise Quoting

    monkeypatch.setattr(process, "answer", raises)
    assert opening.answer is not raises
    provider.text(WHO, BODY)
    work()
    clock.advance(timedelta(minutes=20))
    work()
    sender = provider.send
    monkeypatch.setattr(provider, "send", raises)
    work()
    assert sender
    logged = [(record, logging.Formatter().format(record)) for record in caplog.records]
    assert len(logged) > 30
    assert [(record.msg, seen(line)) for record, line in logged if seen(line)] == []
    ours = [each for each in errors if isinstance(each, ConvoError)]
    assert ours
    assert [each for each in ours if seen(str(each) + repr(each))] == []
    assert [each for each in ours if seen("".join(traceback.format_exception(each)))] == []
    rows = [
        *inner.inbox(),
        *inner.outbox(),
        *inner.journal("fake", WHO),
        *inner.claim(9),
        *inner.calls(clock.now(), 9),
    ]
    kept += [*rows, inner.conversation("fake", WHO), services, *provider.sent]
    shown = [each for each in gc.get_objects() if str(type(each).__module__).startswith("convo.")]
    assert len(shown) > 200
    assert [type(each) for each in (*shown, *kept) if seen(repr(each))] == []
    services.close()
    inner.close()


def test_nothing_is_seen_in_transports_and_their_settings() -> None:
    environ = {
        **{"TELSTRA_CLIENT_ID": "id", "TELSTRA_CLIENT_SECRET": SECRET, "TELSTRA_NUMBER": NUMBER},
        **{"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": SECRET, "TWILIO_NUMBER": NUMBER},
        **{"KANNEL_SENDSMS_URL": "http://127.0.0.1:9/x", "KANNEL_USERNAME": "u"},
        **{"KANNEL_PASSWORD": SECRET, "KANNEL_NUMBER": NUMBER},
    }
    for name in sorted({"telstra_v2", "telstra_v3", "twilio", "kannel"} & set(names())):
        transport = create(name, channel="sms", clock=FakeClock(), environ=environ)
        request = PushRequest("POST", f"/{SECRET}", {"x": SECRET}, f"from={NUMBER}", BODY.encode())
        texts = [repr(transport), repr(request), repr(transport.received(request))]  # type: ignore[attr-defined]
        texts += [repr(value) for value in vars(transport).values() if not isinstance(value, str)]
        assert [text for text in texts if seen(text)] == [], name
        transport.close()
    inbound = Inbound("sms", WHO, WHO, BODY, FakeClock().now(), raw=BODY)
    assert seen(repr(inbound)) == []


def test_the_files_of_a_store_are_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(tmp_path / "convo.db")
        store.lock_for_run()
        store.accept("fake", [], cursor="1", now=FakeClock().now())
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert set(modes) >= {"convo.db", "convo.db-wal", "convo.db-shm", "convo.db.lock"}
    assert set(modes.values()) == {0o600}
