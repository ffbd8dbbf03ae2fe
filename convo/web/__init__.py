"""The way in for providers that push: webhooks as an ASGI app, and a server for it (extra ``web``)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convo.errors import ConfigError
from convo.web.settings import Hook, WebSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from convo.clock import Clock
    from convo.store.base import Store
    from convo.web.hooks import Webhooks
    from convo.web.server import WebServer

__all__ = ["Hook", "WebSettings", "app_of", "serve", "webhook_app"]

_MISSING = "a webhook needs the extra 'web': pip install 'convo[web]'"


def app_of(config: str | Path, environ: Mapping[str, str] | None = None) -> Webhooks:
    """Return an ASGI app with the webhooks of a configuration file, to be mounted in a server of yours.

    It takes pushes into the store that the file names; ``convo run`` on the same file, with
    ``web: {listen: none}``, does all the rest and sees a new text within two seconds. ``environ`` holds the
    secrets, None: the environment of the process.

    Raises:
        ConvoError: the file has problems, the store cannot be opened, no channel is pushed to, or the extra
            is not installed.
    """
    try:
        from convo.web import program
    except ImportError as missing:
        raise ConfigError(_MISSING) from missing
    return program.app_of(Path(config), os.environ if environ is None else environ)


def webhook_app(
    hooks: Sequence[Hook],
    store: Store,
    clock: Clock,
    *,
    settings: WebSettings | None = None,
    on_stored: Callable[[], None] = lambda: None,
) -> Webhooks:
    """Return an ASGI app that takes the pushes of ``hooks`` into ``store``; mount it where you like.

    ``on_stored`` is called, from a thread, whenever something new stands in the inbox.

    Raises:
        ConfigError: the extra is not installed, or two hooks share a path.
    """
    try:
        from convo.web.hooks import Webhooks
    except ImportError as missing:
        raise ConfigError(_MISSING) from missing
    return Webhooks(hooks, store, clock, settings=settings or WebSettings(), on_stored=on_stored)


def serve(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 8080) -> WebServer:
    """Return a server that answers for ``app`` between its ``start`` and ``stop``; port 0 takes any.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        from convo.web.server import WebServer
    except ImportError as missing:
        raise ConfigError(_MISSING) from missing
    return WebServer(app, host=host, port=port)
