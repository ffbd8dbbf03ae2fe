"""Services that ``call`` cards name: asked after the commit, by HTTP, with one key for one call."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from random import Random

import pytest

from convo.engine.machine import compile_flow
from convo.engine.opening import ChannelFlows
from convo.flow.parse import load_flow
from convo.messages import Address
from convo.runtime.calls import Caller, HttpServices, Service
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.run import drain
from convo.store import open_store
from convo.testing import FakeClock, FakeTransport

FLOW = """flow: bus
data: {first_bus: {type: time}, seats: {type: number}}
states:
  stop:
    ask: Which stop?
    answer: text
  asking:
    call: bus_times
    with: {stop: stop, at: now}
    save: [first_bus, seats]
    goto:
      ok: found
      error: unknown
      timeout: later
  found:
    reply: The first bus from ${stop} leaves at ${first_bus}, ${seats} seats.
    end: complete
  unknown:
    reply: I do not know that stop.
    goto: stop
  later:
    reply: The timetable does not answer.
    end: no answer
"""
SENDER = "+61400000000"


class Timetable(HTTPServer):
    """A service that answers what the test says, one answer a request."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        self.asked: list[tuple[str, dict[str, object], str | None]] = []
        super().__init__(("127.0.0.1", 0), Desk)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/first"


class Desk(BaseHTTPRequestHandler):
    server: Timetable

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.headers["Idempotency-Key"], body, self.headers.get("Authorization")))
        status, said = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def timetable() -> Iterator[Timetable]:
    server = Timetable()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class World:
    """The loops of one channel with a caller, on a clock that stands."""

    def __init__(self, folder: Path, services: dict[str, Service]) -> None:
        path = folder / "bus.yaml"
        path.write_text(FLOW, encoding="utf-8")
        compiled = compile_flow(load_flow(path))
        self.clock = FakeClock()
        self.store = open_store("memory")
        self.transport = FakeTransport(self.clock, channel="fake")
        flows = {"fake": ChannelFlows("fake", {"bus": compiled}, "bus")}
        self.receiver = Receiver(self.store, self.transport, "fake", self.clock, random=Random(1))
        self.processor = Processor(self.store, flows)
        self.caller = Caller(self.store, HttpServices(services, self.clock), self.clock, random=Random(1))
        self.deliverer = Deliverer(self.store, self.transport, "fake", self.clock, random=Random(1))

    def work(self) -> None:
        drain([self.receiver], self.processor, [self.deliverer], self.clock, caller=self.caller)

    def says(self, text: str) -> list[str]:
        """Send a text and return all that has been said to the sender so far."""
        self.transport.text(SENDER, text)
        self.work()
        return self.transport.replies(SENDER)


def test_the_answer_of_a_service_goes_on_with_the_conversation(tmp_path: Path, timetable: Timetable) -> None:
    timetable.answers = [(200, '{"first_bus": "10:42", "seats": 7, "driver": "Ann"}')]
    world = World(tmp_path, {"bus_times": Service(timetable.url, token="s3cret-token")})
    world.says("hello")
    assert world.says("Kings Road")[-1] == "The first bus from Kings Road leaves at 10:42, 7 seats."
    key, body, authorization = timetable.asked[0]
    assert body["stop"] == "Kings Road"
    assert authorization == "Bearer s3cret-token"
    assert len(key) == 32
    found = world.store.conversation("fake", Address(SENDER))
    assert found is not None
    assert set(found.data) == {"stop", "first_bus", "seats"}


def test_a_service_that_is_down_is_asked_again_with_the_same_key(
    tmp_path: Path, timetable: Timetable
) -> None:
    timetable.answers = [(503, ""), (200, '{"first_bus": "10:42", "seats": 1}')]
    world = World(tmp_path, {"bus_times": Service(timetable.url)})
    world.says("hello")
    assert world.says("Kings Road") == ["Which stop?"]
    # What the sender writes meanwhile waits for the service.
    assert world.says("hello?") == ["Which stop?"]
    world.clock.advance(timedelta(seconds=5))
    world.work()
    said = world.transport.replies(SENDER)
    assert said[1] == "The first bus from Kings Road leaves at 10:42, 1 seats."
    assert len({key for key, _, _ in timetable.asked}) == 1
    assert len(timetable.asked) == 2


def test_an_error_and_an_answer_of_another_type_have_their_branch(
    tmp_path: Path, timetable: Timetable
) -> None:
    timetable.answers = [(404, "no such stop"), (200, "[1, 2]"), (200, '{"first_bus": "soon"}')]
    world = World(tmp_path, {"bus_times": Service(timetable.url)})
    world.says("hello")
    assert world.says("Nowhere")[-1] == "I do not know that stop.\nWhich stop?"
    assert world.says("Anywhere")[-1] == "I do not know that stop.\nWhich stop?"
    assert world.says("Somewhere")[-1] == "I do not know that stop.\nWhich stop?"


def test_a_service_that_never_answers_is_given_up(tmp_path: Path, timetable: Timetable) -> None:
    timetable.answers = [(500, "")] * 20
    world = World(tmp_path, {"bus_times": Service(timetable.url, patience=timedelta(seconds=20))})
    world.says("hello")
    world.says("Kings Road")
    for _ in range(10):
        world.clock.advance(timedelta(seconds=10))
        world.work()
    assert world.transport.replies(SENDER)[-1] == "The timetable does not answer."
    assert len(timetable.asked) < 10


def test_a_service_that_nobody_configured_is_an_error(tmp_path: Path) -> None:
    world = World(tmp_path, {})
    world.says("hello")
    assert world.says("Kings Road")[-1] == "I do not know that stop.\nWhich stop?"
