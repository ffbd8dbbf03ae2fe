"""Loopback stand-ins of providers, with faults to switch on: for tests, and to try a flow for free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from convo.errors import ConfigError

if TYPE_CHECKING:
    from convo.clock import Clock
    from convo.emulators.emulator import Emulator

EMULATORS: Mapping[str, str] = {
    "telstra_v2": "convo.emulators.telstra_v2_push:PushingTelstraV2Emulator",
    "telstra_v3": "convo.emulators.telstra_v3:TelstraV3Emulator",
    "twilio": "convo.emulators.twilio:TwilioEmulator",
}
"""The providers that can be emulated, by the name of their transport."""


def create(name: str, clock: Clock, *, port: int = 0, **settings: object) -> Emulator:
    """Return an emulator, not yet started; ``port`` 0 takes any that is free; ``settings`` are its own.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in EMULATORS:
        raise ConfigError(f"there is no emulator of {name!r}  (emulators: {', '.join(sorted(EMULATORS))})")
    module, _, kind = EMULATORS[name].partition(":")
    make: Callable[..., Emulator] = getattr(import_module(module), kind)
    return make(clock, port=port, **settings)
