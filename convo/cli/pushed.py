"""Channels that are pushed to, in ``convo run``: what the command line says of them, and their server."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from convo.clock import Clock
from convo.errors import ConfigError
from convo.runtime.config import ChannelConfig, Config
from convo.runtime.config_shape import variable_of
from convo.runtime.config_values import read_listen
from convo.runtime.health import Health
from convo.runtime.push import Lacks, NotPushable, WebConfig, WebSettings, check_push
from convo.runtime.run import Runtime
from convo.runtime.tally import Tally, counted
from convo.store.base import Store
from convo.store.views import Overview, Viewed
from convo.transports.base import Transport

if TYPE_CHECKING:
    from convo.web.server import WebServer
    from convo.web.settings import Hook

_NO_EXTRA = "a channel that is pushed to needs the extra 'web': pip install 'convo[web]'"
_LISTEN = "127.0.0.1:8080"


def web_of_options(push: str | None, listen: str | None) -> WebConfig | None:
    """Return where one flow is pushed to, by ``--push URL`` and ``--listen ADDRESS``; None: it is polled.

    Raises:
        ConfigError: one of them makes no sense.
    """
    if push is None:
        if listen is not None:
            raise ConfigError(
                "--listen goes with --push URL: the address under which the provider reaches it"
            )
        return None
    found = read_listen(listen or _LISTEN)
    if found is None:
        raise ConfigError(f"--listen {listen!r} is no address to listen on; write 127.0.0.1:8080")
    try:
        return WebConfig(*found, WebSettings(public_url=push))
    except ConfigError as wrong:
        raise ConfigError(f"--push: {wrong}") from None


def secret_of(transport: str, environ: Mapping[str, str]) -> str:
    """Return the secret of the webhook of one flow, blank where there is none: KANNEL_PUSH_SECRET."""
    return environ.get(variable_of(transport, "push_secret"), "").strip()


def check_one(channel: ChannelConfig, transport: Transport, web: WebConfig | None) -> None:
    """See that texts can reach the channel of one flow.

    Raises:
        ConfigError: they cannot, with what to write on the command line.
    """
    try:
        check_push(channel, transport, web)
    except NotPushable as refused:
        variable = variable_of(channel.transport, "push_secret")
        signed = getattr(transport, "signs_pushes", False)
        hints = {
            Lacks.PUSH: (
                f"; start it with --push URL, the address under which the provider reaches this program "
                f"(http://{_LISTEN} on this machine)"
                + ("" if signed else f", and with a secret for its path in {variable}")
            ),
            Lacks.SECRET: f", and set {variable} to it",
        }
        raise ConfigError(f"{refused}{hints.get(refused.lacks, '')}") from None


class Web:
    """The web side of one run: says to the transports how texts shall come, and serves what is pushed.

    ``store`` is what the run has to use, so that its figures are counted.
    """

    def __init__(self, config: Config, transports: Mapping[str, Transport], store: Viewed) -> None:
        self._config = config
        self._opened = store
        self._tally = Tally()
        self._server: WebServer | None = None
        self._hooks = _hooks(config, transports)
        self.store: Store = store if config.web is None else counted(store, self._tally)

    def open(self, runtime: Runtime, health: Health, clock: Clock, ends: ExitStack) -> None:
        """Listen until ``ends`` end, where the configuration wants it.

        Raises:
            ConfigError: the extra is missing, or the address cannot be had.
        """
        if self._config.web is None:
            return
        try:
            from convo.web.program import server_of
        except ImportError as missing:
            raise ConfigError(_NO_EXTRA) from missing
        self._server = server_of(
            self._config.web,
            self._hooks,
            self.store,
            clock,
            runtime=runtime,
            health=health,
            tally=self._tally,
            look=lambda: self._look(clock),
        )
        if self._server is not None:
            ends.enter_context(self._server)

    def end(self) -> None:
        """Begin to stop: no more calls are taken."""
        if self._server is not None:
            self._server.end()

    def _look(self, clock: Clock) -> Overview:
        if self._config.store == "memory":
            return self._opened.views.overview(clock.now())
        from convo.store import open_views

        # On a connection of its own, so that whoever asks for figures holds up no commit.
        with open_views(self._config.store) as views:
            return views.overview(clock.now())


def _hooks(config: Config, transports: Mapping[str, Transport]) -> list[Hook]:
    """Tell each transport how texts shall come, where the configuration says so; return the webhooks."""
    hooked = [each for each in config.channels if each.hook]
    for each in config.channels:
        if each.push is False and hasattr(transports[each.name], "push_to"):
            transports[each.name].push_to(None)  # type: ignore[attr-defined]
    if not hooked or config.web is None:
        return []
    try:
        from convo.web.program import hooks_of
    except ImportError as missing:
        raise ConfigError(_NO_EXTRA) from missing
    hooks = hooks_of(hooked, transports)
    for each, hook in zip(hooked, hooks, strict=True):
        if each.push:
            hook.transport.push_to(config.web.settings.url_of(hook))
    return hooks


def check_once(config: Config) -> None:
    """Refuse to end at once where providers would call later.

    Raises:
        ConfigError: a channel is pushed to.
    """
    pushed = [each.name for each in config.channels if each.push]
    if pushed:
        raise ConfigError(
            f"the channel '{pushed[0]}' is pushed to, so somebody has to be there when its provider calls: "
            "--once is for channels that are polled (pick them with --channel NAME)"
        )


__all__ = ["Web", "check_once", "check_one", "secret_of", "web_of_options"]
