"""``convo emulate``: run the stand-in of a provider on this machine until it is interrupted."""

from __future__ import annotations

import click


@click.command("emulate")
@click.argument("name", metavar="PROVIDER")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Where to listen; 0 takes any free port."
)
@click.option("--number", metavar="NUMBER", help="The number it is; without: one kept for fiction.")
@click.option(
    "--token-life", type=click.IntRange(1), default=3599, show_default=True, help="Seconds a token is good."
)
@click.option(
    "--calls-per-second", type=click.IntRange(1), help="Answer SpikeArrest above this; without: never."
)
@click.option("--quiet", is_flag=True, help="Do not print what is sent.")
def command(
    name: str, port: int, number: str | None, token_life: int, calls_per_second: int | None, quiet: bool
) -> None:
    """Run an emulator of PROVIDER, named as its transport, on 127.0.0.1 and print what is sent through it."""
    import shlex
    import signal
    import threading

    from convo.cli.phone import written
    from convo.cli.typed import typed_number
    from convo.clock import SystemClock
    from convo.emulators import create

    settings: dict[str, object] = {"token_life": token_life, "calls_per_second": calls_per_second}
    if number is not None:
        settings["number"] = typed_number("--number", number)
    emulator = create(name, SystemClock(), port=port, **settings)
    stopped = threading.Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        with emulator:
            click.echo(f"# {name} on {emulator.url}; for the transport:")
            for variable, value in emulator.environ().items():
                click.echo(f"export {variable}={shlex.quote(value)}")
            click.echo("# to text as a person:")
            click.echo(
                f"# curl -s {emulator.url}/phone/texts -d "
                + shlex.quote('{"from": "+61400000000", "text": "START"}')
            )
            click.echo(f"# what was sent: curl -s {emulator.url}/phone/sent   (more: docs/emulators.md)")
            seen = 0
            while not stopped.is_set():
                for text in emulator.sent(seen, wait=0.2):
                    seen += 1
                    if not quiet:
                        click.echo(written(text.recipient, text.text))
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
