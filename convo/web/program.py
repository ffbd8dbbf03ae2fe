"""The web side of one ``convo run``: its webhooks, health and figures, on one server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from convo.clock import Clock, SystemClock
from convo.errors import ConfigError
from convo.runtime.channels import ChannelState
from convo.runtime.config import ChannelConfig, read_config
from convo.runtime.health import Health
from convo.runtime.log import count, origin
from convo.runtime.push import LOOPBACK, WebConfig
from convo.runtime.run import Runtime
from convo.runtime.tally import Tally
from convo.store import open_store
from convo.store.base import Store
from convo.store.views import Overview
from convo.transports.base import Pushed, Transport
from convo.web import front, hooks
from convo.web.server import WebServer
from convo.web.settings import Hook

_log = logging.getLogger(__name__)


def hooks_of(channels: Sequence[ChannelConfig], transports: Mapping[str, Transport]) -> list[Hook]:
    """Return a hook for each channel.

    Raises:
        ConfigError: a path could be guessed.
    """
    return [Hook(each.name, cast(Pushed, transports[each.name]), each.secret) for each in channels]


def app_of(path: Path, environ: Mapping[str, str]) -> hooks.Webhooks:
    """Return the webhooks of a configuration as an app of its own; see ``convo.web.app_of``."""
    config = read_config(path, environ)
    hooked = [each for each in config.channels if each.hook]
    if not hooked or config.web is None:
        raise ConfigError(f"no channel of {path} is pushed to")
    if config.store == "memory":
        raise ConfigError(f"{path}: an app of yours needs a store that it shares with 'convo run': a file")
    clock = SystemClock()
    made = hooks_of(hooked, config.transports(clock))
    return hooks.Webhooks(made, open_store(config.store), clock, settings=config.web.settings)


def server_of(
    web: WebConfig,
    made: Sequence[Hook],
    store: Store,
    clock: Clock,
    *,
    runtime: Runtime,
    health: Health,
    tally: Tally,
    look: Callable[[], Overview],
) -> WebServer | None:
    """Return the server of a run, not yet started; None where ``web`` says that it is served elsewhere.

    Raises:
        ConfigError: two hooks share a path, or figures are wanted and the extra ``metrics`` is missing.
    """
    if web.port is None:
        return None
    states = {state.channel.name: state for state in runtime.states}

    def answered(channel: str, status: int) -> None:
        tally.add("pushed", channel, str(status))
        if 200 <= status < 300:
            states[channel].last_push_at = clock.now()

    app = hooks.Webhooks(
        made, store, clock, settings=web.settings, on_stored=runtime.texts_stored, on_answer=answered
    )
    whole = front.Front(
        app,
        web,
        alive=health.alive,
        ready=health.ready,
        metrics=_metrics(web, runtime.states, tally, look, clock),
    )
    _log.info("web: %s on %s port %s", count(len(made), "webhook"), web.host, web.port)

    def broken(problem: Exception) -> None:
        _log.error("the web server broke down: %s", origin(problem))
        runtime.halt.stop(problem)

    return WebServer(whole, host=web.host, port=web.port, on_broken=broken)


def _metrics(
    web: WebConfig,
    states: Sequence[ChannelState],
    tally: Tally,
    look: Callable[[], Overview],
    clock: Clock,
) -> Callable[[], tuple[bytes, str]] | None:
    if not web.metrics:
        return None
    try:
        from convo.web.metrics import page
    except ImportError as missing:
        if web.metrics == LOOPBACK:  # nobody has asked for them
            return None
        raise ConfigError("figures need the extra 'metrics': pip install 'convo[metrics]'") from missing
    return page(states, tally, look, clock)
