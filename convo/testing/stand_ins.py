"""The stand-ins of the shipped transports, and those that other packages offer by entry point."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from convo.emulators import create as create_emulator
from convo.emulators.base import FaultKind
from convo.emulators.telstra_v3_wire import stamp_of
from convo.emulators.twilio_wire import signed
from convo.errors import ConfigError
from convo.messages import Status
from convo.testing.fakes import FakeClock
from convo.testing.stand_in import PATIENCE, SENDER, WEBHOOK, Said, StandIn, Trouble
from convo.testing.stand_in_kannel import KannelStandIn
from convo.transports.base import PushRequest, Transport
from convo.transports.http import Door
from convo.transports.telstra_v2 import Settings as TelstraV2Settings
from convo.transports.telstra_v2 import TelstraV2
from convo.transports.telstra_v3 import TelstraV3
from convo.transports.telstra_v3_settings import Settings as TelstraV3Settings
from convo.transports.twilio import Settings as TwilioSettings
from convo.transports.twilio import Twilio

GROUP = "convo.stand_ins"
"""The entry point group in which other packages offer the stand-ins of their transports."""

SUFFIXES = (".yaml", ".yml")
"""What the name of a description ends with."""

_FAULTS: Mapping[Trouble, FaultKind] = {
    Trouble.TOO_FAST: FaultKind.SPIKE,
    Trouble.SILENT: FaultKind.HOLD,
    Trouble.BROKEN: FaultKind.HALF,
    Trouble.PAGE: FaultKind.HTML,
}


class Emulated(StandIn):
    """One of the emulators that ``convo emulate`` runs."""

    emulator_name = ""
    secret = ""
    """The setting that holds the secret."""

    def __init__(self) -> None:
        """Start the emulator."""
        self.clock = FakeClock()
        self.emulator: Any = create_emulator(self.emulator_name, self.clock)
        self.emulator.start()
        self.environ = self.emulator.environ()
        self.secrets = [self.environ[self.secret], "canary-wrong"]

    def connect(self, *, wrong: bool = False) -> Transport:
        """Return a transport that talks to the emulator."""
        environ = {**self.environ, self.secret: "canary-wrong"} if wrong else self.environ
        return self.made(environ, Door(self.clock, timeout=PATIENCE))

    @abstractmethod
    def made(self, environ: Mapping[str, str], door: Door) -> Transport:
        """Return the transport of these settings."""

    def text(self, said: Said) -> None:
        """Text with the emulator's phone."""
        self.emulator.text(said.sender, said.text, said.sent_at or self.clock.now(), message_id=said.id)

    def sent(self) -> list[tuple[str, str]]:
        """Return what the emulator took."""
        return [(one.recipient, one.text) for one in self.emulator.sent()]

    def trouble(self, kind: Trouble) -> None:
        """Switch a fault on."""
        self.emulator.fault(_FAULTS[kind], "any")

    def leave(self) -> None:
        """Stop the emulator."""
        self.emulator.stop()


class TwilioStandIn(Emulated):
    """Twilio: lists, and pushes signed forms."""

    emulator_name = "twilio"
    secret = "TWILIO_AUTH_TOKEN"  # noqa: S105 - the name of a setting

    def made(self, environ: Mapping[str, str], door: Door) -> Transport:
        """Return the transport of these settings."""
        return Twilio(TwilioSettings.from_environ(environ), channel="sms", clock=self.clock, door=door)

    def pushed_text(self, said: Said) -> PushRequest:
        """Return the call of a text; one without an id has a blank MessageSid, as Twilio never writes it."""
        name = f"SM{self.clock.now().timestamp():.0f}" if said.id is None else said.id
        return self._call({"MessageSid": name, "From": said.sender, "Body": said.text})

    def pushed_receipt(self, provider_id: str, status: Status) -> PushRequest | None:
        """Return the call of a StatusCallback."""
        return self._call({"MessageSid": provider_id, "MessageStatus": status.value})

    def _call(self, said: Mapping[str, str]) -> PushRequest:
        form = {
            "AccountSid": self.environ["TWILIO_ACCOUNT_SID"],
            "To": self.environ["TWILIO_NUMBER"],
            **said,
        }
        headers = {
            key.lower(): value for key, value in signed(self.environ[self.secret], WEBHOOK, form).items()
        }
        return PushRequest("POST", WEBHOOK, headers, "", urlencode(form).encode())


class TelstraV2StandIn(Emulated):
    """Telstra's v2: a poll takes a text away, and pushes are signed by nobody."""

    emulator_name = "telstra_v2"
    secret = "TELSTRA_CLIENT_SECRET"  # noqa: S105 - the name of a setting
    read_once = True
    writes = (SENDER, "61400000001", "0400000001")

    def made(self, environ: Mapping[str, str], door: Door) -> Transport:
        """Return the transport of these settings."""
        return TelstraV2(TelstraV2Settings.from_environ(environ), channel="sms", clock=self.clock, door=door)

    def pushed_text(self, said: Said) -> PushRequest:
        """Return the call of a reply."""
        stamp = (said.sent_at or self.clock.now()).strftime("%Y-%m-%dT%H:%M:%S")
        name = f"DMASApiA{self.clock.now().timestamp():.0f}" if said.id is None else said.id
        told = {"to": "0491570156", "from": said.sender, "body": said.text, "sentTimestamp": stamp}
        return _json_call({**told, "messageId": name})

    def pushed_receipt(self, provider_id: str, status: Status) -> PushRequest | None:
        """Return the call of a delivery notification."""
        word = {Status.SENT: "SENT", Status.DELIVERED: "DELIVRD", Status.FAILED: "UNDVBL"}[status]
        return _json_call({"to": SENDER, "messageId": provider_id, "deliveryStatus": word})


class TelstraV3StandIn(Emulated):
    """Telstra's v3: lists, and pushes that are signed by nobody."""

    emulator_name = "telstra_v3"
    secret = "TELSTRA_CLIENT_SECRET"  # noqa: S105 - the name of a setting
    writes = (SENDER, "0400000001")

    def made(self, environ: Mapping[str, str], door: Door) -> Transport:
        """Return the transport of these settings."""
        return TelstraV3(TelstraV3Settings.from_environ(environ), channel="sms", clock=self.clock, door=door)

    def pushed_text(self, said: Said) -> PushRequest:
        """Return the call of a reply."""
        name = f"{self.clock.now().timestamp():.0f}" if said.id is None else said.id
        told = {"to": "0491570158", "from": said.sender, "messageContent": said.text, "messageId": name}
        return _json_call({**told, "timestamp": stamp_of(said.sent_at or self.clock.now())})

    def pushed_receipt(self, provider_id: str, status: Status) -> PushRequest | None:
        """Return the call of a delivery notification."""
        word = {Status.SENT: "sent", Status.DELIVERED: "delivered", Status.FAILED: "undeliverable"}[status]
        ours = {"to": "0400000001", "from": "0491570158", "timestamp": stamp_of(self.clock.now())}
        return _json_call({**ours, "messageId": provider_id, "status": word})


def _json_call(said: object) -> PushRequest:
    import json

    body = json.dumps(said).encode()
    return PushRequest("POST", WEBHOOK, {"content-type": "application/json"}, "", body)


BUILT_IN: Mapping[str, Callable[[], StandIn]] = {
    "kannel": KannelStandIn,
    "telstra_v2": TelstraV2StandIn,
    "telstra_v3": TelstraV3StandIn,
    "twilio": TwilioStandIn,
}
"""What makes the stand-in of a shipped transport, by its name."""


def stand_in_of(name: str) -> Callable[[], StandIn]:
    """Return what makes stand-ins of the provider that the transport, or the description, ``name`` is for.

    Raises:
        ConfigError: there is none, or it cannot be loaded.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name.endswith(SUFFIXES):
        from convo.testing.stand_in_described import DescribedStandIn

        return partial(DescribedStandIn, Path(name))
    if name == "generic":
        raise ConfigError("generic is as good as a description: name its file, like sinch.yaml")
    for point in entry_points(group=GROUP, name=name):
        try:
            make: Callable[[], StandIn] = point.load()
        except (ImportError, AttributeError) as problem:
            raise ConfigError(
                f"the stand-in {name!r} ({point.value}) cannot be loaded: {problem}"
            ) from problem
        return make
    known = sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})
    raise ConfigError(
        f"nothing stands in for the provider of {name!r}, so it cannot be checked: its package offers one"
        f" by an entry point in {GROUP!r} (docs/adding_a_transport.md)  (there are: {', '.join(known)})"
    )
