"""What happens to people before the loops of a run begin: greetings, and states that are gone."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from convo.cli.typed import typed_number
from convo.clock import Clock
from convo.errors import ConfigError
from convo.flow.triggers import fold
from convo.messages import Address
from convo.runtime.config import ChannelConfig, Config
from convo.runtime.log import count
from convo.store.base import Opening, Store
from convo.transports.base import Transport

_log = logging.getLogger(__name__)


def numbers_to_greet(config: Config, written: Sequence[str]) -> list[Address]:
    """Return the numbers after ``--greet``; one without a prefix belongs to the flow's ``country``.

    Raises:
        ConfigError: one is no number, or there is no one flow to greet with.
    """
    if not written:
        return []
    channel, name = _greeter(config)
    country = channel.flows.flows[name].flow.country or "AU"
    return [typed_number("--greet", each, country) for each in written]


def greet(store: Store, config: Config, numbers: Sequence[Address], clock: Clock) -> None:
    """Ask for an opening with each number that has no open conversation in the flow.

    The key counts the sender's conversations, so that a start which is repeated before the opening has
    been stepped asks for the same one.

    Raises:
        ConfigError: no flow, or none that opens without data, is there to greet with.
    """
    if not numbers:
        return
    channel, flow = _greeter(config)
    if channel.flows.flows[flow].flow.needs_data:
        raise ConfigError(
            f"the flow '{flow}' needs data that must be given at its opening; --greet gives none"
        )
    openings = []
    for number in dict.fromkeys(numbers):
        last = store.conversation(channel.name, number)
        if last is not None and last.is_open and last.flow == flow:
            continue
        count_so_far = last.number if last is not None else 0
        openings.append(Opening(channel.name, number, flow, f"greet {flow} {number} {count_so_far + 1}"))
    store.request(openings, clock.now())


def warn_of_lost_states(store: Store, config: Config) -> None:
    """Say before the run which people wait in a state that the edited flow no longer has."""
    served = {name: compiled for channel in config.channels for name, compiled in channel.flows.flows.items()}
    for (name, state), waiting in sorted(store.open_states().items()):
        compiled = served.get(name)
        if compiled is None or compiled.has_state(state):
            continue
        flow = compiled.flow
        target = flow.moved_to(state)
        if target is None or not compiled.has_state(target):
            _log.warning(
                "%s in state '%s', which %s no longer has; their messages will be set aside. Write"
                " 'moved: {%s: NEW_STATE}' in the flow to say where they go on (states: %s)",
                count(waiting, "open conversation waits", "open conversations wait"),
                state,
                flow.path or flow.name,
                state,
                ", ".join(flow.states),
            )


def warn_of_the_carriers_words(config: Config, transports: Mapping[str, Transport]) -> None:
    """Say before the run which words of a flow its carrier takes for itself: who texts one may be lost."""
    for channel in config.channels:
        transport = transports[channel.name]
        reserved = {fold(word): word for word in transport.reserved_words}
        for name, compiled in channel.flows.flows.items():
            labels = compiled.recognisers.labels.items()
            words = {fold(label) for trigger, label in labels if "word" in trigger}
            taken = ", ".join(sorted(reserved[word] for word in words & reserved.keys()))
            if taken:
                _log.warning(
                    "the carrier of %s takes %s for itself: a sender of the flow '%s' who texts that may be"
                    " opted out, and get no reply any more; see: convo check %s --transport %s",
                    channel.transport,
                    taken,
                    name,
                    compiled.flow.path or "FLOW",
                    channel.transport,
                )


def _greeter(config: Config) -> tuple[ChannelConfig, str]:
    if len(config.channels) > 1:
        names = ", ".join(each.name for each in config.channels)
        raise ConfigError(f"--greet needs to know on which channel: add --channel NAME  (channels: {names})")
    channel = config.channels[0]
    name = channel.flows.default
    if name is None:
        only = list(channel.flows.flows)
        if len(only) == 1:
            return channel, only[0]
        raise ConfigError(f"--greet opens the default flow, and the channel '{channel.name}' has none")
    return channel, name
