"""The conformance kit, run against shipped transports that can be polled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from convo.emulators import create as create_emulator
from convo.emulators.base import FaultKind, LoopbackServer, Request, Response, json_response
from convo.runtime.provider import read_description
from convo.testing import FakeClock
from convo.testing.contract import TransportContract
from convo.transports.base import Transport
from convo.transports.generic import Generic
from convo.transports.http import Door
from convo.transports.telstra_v2 import Settings as TelstraSettings
from convo.transports.telstra_v2 import TelstraV2
from convo.transports.twilio import Settings as TwilioSettings
from convo.transports.twilio import Twilio

SINCH = Path(__file__).parents[2] / "examples" / "providers" / "sinch.yaml"


class Emulated:
    """A transport of ours against its emulator."""

    def __init__(self, emulator, make: Callable[[], Transport], clock: FakeClock) -> None:  # type: ignore[no-untyped-def]
        self._emulator, self.again, self._clock = emulator, make, clock
        self.transport = make()
        held = emulator.environ()
        self.secrets: Sequence[str] = [held[name] for name in held if "SECRET" in name or "TOKEN" in name][:1]

    def text(self, sender: str, text: str) -> None:
        self._clock.advance(1)
        self._emulator.text(sender, text)

    def sent(self) -> list[tuple[str, str]]:
        return [(one.recipient, one.text) for one in self._emulator.sent()]

    def too_fast(self) -> None:
        self._emulator.fault(FaultKind.SPIKE, "any")

    def hang(self) -> None:
        self._emulator.fault(FaultKind.HOLD, "send")


def emulated(name: str, make: Callable[[dict[str, str], FakeClock, Door], Transport]) -> Iterator[Emulated]:
    clock = FakeClock()
    with create_emulator(name, clock) as emulator:
        yield Emulated(
            emulator, lambda: make(emulator.environ(), clock, Door(clock, timeout=(2.0, 0.3))), clock
        )


class TestTwilio(TransportContract):
    @pytest.fixture
    def world(self) -> Iterator[Emulated]:
        yield from emulated(
            "twilio",
            lambda env, clock, door: Twilio(
                TwilioSettings.from_environ(env), channel="sms", clock=clock, door=door
            ),
        )


class TestTelstraV2(TransportContract):
    @pytest.fixture
    def world(self) -> Iterator[Emulated]:
        yield from emulated(
            "telstra_v2",
            lambda env, clock, door: TelstraV2(
                TelstraSettings.from_environ(env), channel="sms", clock=clock, door=door
            ),
        )


class Described:
    """The transport ``generic`` by the description of Sinch, against a stand-in of it."""

    def __init__(self, url: str, clock: FakeClock) -> None:
        self.listed: list[dict[str, str]] = []
        self.handed: list[tuple[str, str]] = []
        self.fast = self.held = 0
        self._url, self._clock = url, clock
        self.secrets: Sequence[str] = ["canary-token"]

    def answer(self, request: Request) -> Response:
        import json

        if self.fast:
            self.fast -= 1
            return json_response(429, {})
        if request.path == "/inbounds":
            since, first = request.query["start_date"], request.query["page"] == "0"
            found = [one for one in reversed(self.listed) if one["received_at"] >= since]
            return json_response(200, {"inbounds": found if first else []})
        said = json.loads(request.body)
        self.handed.append(("+" + said["to"][0], said["body"]))
        if self.held:
            return Response(201, delay=1.0)
        return json_response(201, {"id": f"sent-{len(self.handed)}"})

    def again(self) -> Transport:
        environ = {
            "GENERIC_BASE_URL": self._url,
            "GENERIC_NUMBER": "+61491570156",
            "SINCH_API_TOKEN": "canary-token",
        }
        door = Door(self._clock, timeout=(2.0, 0.3))
        return Generic(read_description(SINCH, environ), channel="sms", clock=self._clock, door=door)

    def text(self, sender: str, text: str) -> None:
        now = self._clock.advance(1)
        stamp = now.isoformat(timespec="seconds").replace("+00:00", "Z")
        name = f"in-{len(self.listed)}"
        ours = {"id": name, "type": "mo_text", "from": sender[1:], "to": "61491570156"}
        self.listed.append({**ours, "body": text, "received_at": stamp})

    def sent(self) -> list[tuple[str, str]]:
        return self.handed

    def too_fast(self) -> None:
        self.fast = 1

    def hang(self) -> None:
        self.held = 1


class TestGeneric(TransportContract):
    @pytest.fixture
    def world(self) -> Iterator[Described]:
        made: list[Described] = []
        with LoopbackServer(lambda request: made[0].answer(request)) as server:
            made.append(Described(server.url, FakeClock()))
            made[0].transport = made[0].again()  # type: ignore[attr-defined]
            yield made[0]
