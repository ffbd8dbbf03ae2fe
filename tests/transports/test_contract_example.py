"""The example package adds a transport by its entry point, and passes the conformance kit."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from convo.emulators.base import LoopbackServer, Request, Response, json_response
from convo.testing import FakeClock
from convo.testing.contract import TransportContract
from convo.transports import create
from convo.transports.base import Transport
from convo.transports.http import Door

EXAMPLE = Path(__file__).parents[2] / "examples" / "adding_a_transport"


class Postbox:
    """A stand-in of the made-up provider, and a transport that talks to it."""

    secrets: Sequence[str] = ("canary-token",)

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._listed: list[dict[str, str]] = []
        self._sent: list[tuple[str, str]] = []
        self._fast = self._held = False
        self.url = ""

    def answer(self, request: Request) -> Response:
        if self._fast:
            self._fast = False
            return json_response(429, {})
        if request.method == "GET":
            return json_response(200, self._listed[int(request.query["after"]) :])
        said = json.loads(request.body)
        self._sent.append((said["to"], said["text"]))
        return Response(201, delay=1.0) if self._held else json_response(201, {"number": "1"})

    def again(self) -> Transport:
        from convo_postbox import Postbox as Made

        door = Door(self._clock, timeout=(2.0, 0.3))
        made: Transport = Made(self.url, "canary-token", channel="sms", clock=self._clock, door=door)
        return made

    def text(self, sender: str, text: str) -> None:
        at, number = self._clock.advance(1).isoformat(), str(len(self._listed) + 1)
        self._listed.append({"number": number, "from": sender, "to": "+61491570156", "text": text, "at": at})

    def sent(self) -> list[tuple[str, str]]:
        return self._sent

    def too_fast(self) -> None:
        self._fast = True

    def hang(self) -> None:
        self._held = True


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the package look installed: its folder is on the path, with the entry point it declares."""
    declared = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    points = declared["entry-points"]["convo.transports"]
    info = tmp_path / "convo_postbox-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: convo-postbox\nVersion: 0.1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[convo.transports]\n{lines}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(EXAMPLE))


@pytest.mark.usefixtures("_installed")
class TestPostbox(TransportContract):
    @pytest.fixture
    def world(self, _installed: None) -> Iterator[Postbox]:
        world = Postbox(FakeClock())
        with LoopbackServer(world.answer) as server:
            world.url = server.url
            world.transport = world.again()  # type: ignore[attr-defined]
            yield world


@pytest.mark.usefixtures("_installed")
def test_it_is_found_by_its_entry_point() -> None:
    environ = {"POSTBOX_URL": "http://127.0.0.1:9", "POSTBOX_TOKEN": "x"}
    made = create("postbox", channel="sms", clock=FakeClock(), environ=environ)
    assert made.name == "postbox"
    made.close()
