"""The flows of a configuration: read once each, and judged as the flows of one channel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from convo.engine.machine import CompiledFlow, compile_flow
from convo.engine.opening import OPT_IN_WORDS, OPT_OUT_WORDS, ChannelFlows
from convo.flow.parse import load_flow
from convo.flow.problems import FlowError, Problem, nearest
from convo.flow.reader import Scalar
from convo.flow.triggers import fold
from convo.runtime.config_shape import ChannelShape

NOBODY = "none"
"""The ``default`` of a channel on which a text that is no keyword opens nothing."""


class Add(Protocol):
    """Notes a problem of the configuration."""

    def __call__(self, code: str, message: str, at: Scalar, hint: str = "", *, warning: bool = False) -> None:
        """Note what is wrong at ``at``."""
        ...


class Flows:
    """The flows that a file names. ``add`` notes problems of the file; those of the flows are kept here."""

    def __init__(self, folder: Path, add: Add) -> None:
        self._folder = folder
        self._add = add
        self._unread: set[str] = set()
        self._problems: dict[str, tuple[Problem, ...]] = {}
        self.flows: dict[Path, CompiledFlow | None] = {}
        self.places: dict[Path, Scalar] = {}

    @property
    def problems(self) -> list[Problem]:
        """What is wrong within flows that could be read."""
        return [each for path, found in self._problems.items() if path not in self._unread for each in found]

    def flows_of(self, shape: ChannelShape) -> ChannelFlows:
        """Return the flows of a channel, as far as they can be read."""
        by_name: dict[str, tuple[Scalar, CompiledFlow]] = {}
        broken = False
        for written in shape.flows:
            compiled = self.flow(written)
            if compiled is None:
                broken = True
                continue
            name = compiled.flow.name
            if name in by_name:
                message = f"the flow '{name}' is there already, from {by_name[name][0]}"
                self._add("G011", message, written, "give one of them another name, or leave one out")
                continue
            by_name[name] = (written, compiled)
        default = None if broken else self.default(shape, by_name)
        flows = ChannelFlows(
            str(shape.name),
            {name: compiled for name, (_, compiled) in by_name.items()},
            default,
            opt_out=shape.opt_out or OPT_OUT_WORDS,
            opt_in=shape.opt_in or OPT_IN_WORDS,
        )
        self.check_words(flows, by_name)
        if not broken and (default is not None or shape.default in (None, NOBODY)):
            self.check_openings(flows, by_name)
        return flows

    def flow(self, written: Scalar) -> CompiledFlow | None:
        """Return the flow in a file, None where it has problems."""
        path = self._folder / written
        self.places.setdefault(path, written)
        if path not in self.flows:
            self.flows[path] = None
            try:
                self.flows[path] = compile_flow(load_flow(path))
            except FlowError as wrong:
                self._problems[str(path)] = wrong.problems
        if any(each.code == "Y001" for each in self._problems.get(str(path), ())):
            why = self._problems[str(path)][0].message
            self._unread.add(str(path))
            self._add("G006", f"the flow {path}: {why}", written)
        return self.flows[path]

    def default(self, shape: ChannelShape, flows: Mapping[str, tuple[Scalar, CompiledFlow]]) -> str | None:
        """Return the flow that any text opens, None where there is none."""
        written = shape.default
        if written is None:
            if len(flows) == 1:
                name = next(iter(flows))
                return None if flows[name][1].flow.needs_data else name
            if len(flows) > 1:
                message = f"the channel '{shape.name}' has no default: what is no keyword is set aside"
                hint = "name a flow as 'default', or write 'default: none' if that is meant"
                self._add("G013", message, shape.name, hint, warning=True)
            return None
        if written == NOBODY and NOBODY not in flows:
            return None
        if written not in flows:
            hint = nearest(written, flows) or f"(flows: {', '.join(flows)})"
            self._add("G009", f"'{written[:60]}' is no flow of this channel", written, hint)
            return None
        if flows[written][1].flow.needs_data:
            message = f"'{written}' needs data that must be given, so no text can open it"
            self._add("G009", message, written, "take another default, or 'default: none'")
            return None
        return str(written)

    def check_words(self, flows: ChannelFlows, places: Mapping[str, tuple[Scalar, CompiledFlow]]) -> None:
        """See that each keyword opens one flow."""
        taken: dict[str, str] = {}
        leaving = flows.opt_out_words(None)
        for name, (place, compiled) in places.items():
            for word in dict.fromkeys(compiled.flow.keywords):
                folded = fold(word)
                if folded in leaving:
                    hint = "take another keyword, or other words under 'opt_out'"
                    self._add("G010", f"the keyword '{word}' of '{name}' means opting out here", place, hint)
                elif folded in taken:
                    message = f"the keyword '{word}' opens both '{taken[folded]}' and '{name}'"
                    self._add("G010", message, place, "a keyword opens one flow of a channel")
                taken.setdefault(folded, name)

    def check_openings(self, flows: ChannelFlows, places: Mapping[str, tuple[Scalar, CompiledFlow]]) -> None:
        """See that each flow is opened by something."""
        for name, (place, compiled) in places.items():
            flow = compiled.flow
            if flow.needs_data and flow.keywords:
                message = f"'{name}' needs data that must be given, so its keywords cannot open it"
                self._add("G009", message, place, "begin its conversations yourself", warning=True)
            elif not flow.needs_data and not flow.keywords and name != flows.default:
                hint = "give it 'keywords', or make it the default"
                self._add("G013", f"no text opens '{name}' on this channel", place, hint, warning=True)
