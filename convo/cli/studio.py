"""``convo studio``: an author's page in the browser."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("studio")
@click.argument("flow", type=click.Path(path_type=Path))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8717, show_default=True, help="0 takes any that is free."
)
@click.option("--open/--no-open", "opens", default=True, help="Open the page in the browser.")
def command(flow: Path, port: int, opens: bool) -> None:
    """Try FLOW on a page of this machine: phones, the live diagram, data, timers, costs, problems.

    It needs the extra 'web' and is reachable on 127.0.0.1 only. Ctrl-C ends it; nothing is kept.
    """
    import logging
    import threading

    from convo.errors import ConfigError

    try:
        from convo.web.studio import Studio
    except ImportError as missing:
        raise ConfigError("the studio needs the extra 'web': pip install 'convo[web]'") from missing
    # What goes wrong on purpose stands on the page, not in this terminal.
    logging.getLogger("convo").setLevel(logging.ERROR)
    with Studio(flow, port=port) as studio:
        click.echo(f"the studio of {flow.name} is at {studio.url} (Ctrl-C ends it)")
        if opens:
            import webbrowser

            webbrowser.open(studio.url)
        threading.Event().wait()
