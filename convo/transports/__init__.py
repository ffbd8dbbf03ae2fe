"""The outside: one file per provider, found here by name and imported only when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol

from convo.errors import ConfigError

if TYPE_CHECKING:
    from convo.clock import Clock
    from convo.transports.base import Transport

GROUP = "convo.transports"
"""The entry point group in which other packages offer transports."""

BUILT_IN: Mapping[str, str] = {
    "generic": "convo.runtime.provider:create",  # it reads a file, which transports do not
    "kannel": "convo.transports.kannel:create",
    "telstra_v2": "convo.transports.telstra_v2:create",
    "telstra_v3": "convo.transports.telstra_v3:create",
    "twilio": "convo.transports.twilio:create",
}
"""Transports that are made from an environment, and where the function is that makes each."""


class Factory(Protocol):
    """What an entry point names: a function that makes a transport from its settings."""

    def __call__(self, *, channel: str, clock: Clock, environ: Mapping[str, str]) -> Transport:
        """Return a transport for ``channel``, or raise ConfigError naming every setting that is wrong."""
        ...


def names() -> tuple[str, ...]:
    """Return the names ``create`` knows, our own and those of installed packages, sorted."""
    return tuple(sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))}))


def create(name: str, *, channel: str, clock: Clock, environ: Mapping[str, str]) -> Transport:
    """Return the transport called ``name``; our own names go before those of other packages.

    Raises:
        ConfigError: there is none of that name, it cannot be imported, or its settings are wrong.
    """
    if name in BUILT_IN:
        module, _, function = BUILT_IN[name].partition(":")
        own: Factory = getattr(import_module(module), function)
        return own(channel=channel, clock=clock, environ=environ)
    for point in entry_points(group=GROUP, name=name):
        try:
            factory: Factory = point.load()
        except (ImportError, AttributeError) as problem:
            raise ConfigError(
                f"the transport {name!r} ({point.value}) cannot be loaded: {problem}"
            ) from problem
        return factory(channel=channel, clock=clock, environ=environ)
    known = names()
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"there is no transport {name!r}{hint}  (transports: {', '.join(known)})")
