"""The command line: one file a command, imported only when it is called."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import click

from convo.errors import ConfigError, ConvoError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "new": ("convo.cli.new", "Write a flow to begin with, and transcripts that pass."),
    "run": ("convo.cli.run", "Run a flow: receive texts, answer them, until stopped."),
    "worker": ("convo.cli.worker", "Step what a run elsewhere receives, beside other workers."),
    "start": ("convo.cli.start", "Open conversations from our side, with one person or a list."),
    "chat": ("convo.cli.chat", "Text with a flow on a simulated phone; nothing is kept."),
    "studio": ("convo.cli.studio", "Try a flow on a page in the browser: phones, diagram, timers."),
    "check": ("convo.cli.check", "Show every problem of flow files."),
    "test": ("convo.cli.test", "Run transcripts (*.test.yaml)."),
    "explore": ("convo.cli.explore", "Write transcripts that take every transition of a flow."),
    "machine": ("convo.cli.machine", "Print the explicit machine that a flow really is."),
    "why": ("convo.cli.why", "Say why a step went as it did, and which lines decided."),
    "graph": ("convo.cli.graph", "Draw a flow as a picture: Mermaid, DOT, SVG or PNG."),
    "translate": ("convo.cli.translate", "Keep a flow's words in another language up to date."),
    "config": ("convo.cli.config", "Check a configuration of channels, services and secrets."),
    "status": ("convo.cli.status", "How the channels and their messages stand."),
    "conversation": ("convo.cli.conversation", "How one sender's conversation stands, and its last steps."),
    "inbox": ("convo.cli.inbox", "Messages that were set aside: list, retry, drop."),
    "outbox": ("convo.cli.outbox", "Texts that did not leave: list, resend, drop."),
    "replay": ("convo.cli.replay", "Make the steps of a store's journal again, by the same flow or another."),
    "forget": ("convo.cli.forget", "Remove one person from a store, for good."),
    "store": ("convo.cli.store", "Check, audit and back up a store."),
    "schema": ("convo.cli.schema", "Print the JSON Schema of flow files, for an editor."),
    "emulate": ("convo.cli.emulate", "Run the stand-in of a provider on this machine."),
    "transport": ("convo.cli.transport", "Check a transport; look after the account of a provider."),
}
"""Each command with the module that holds it, as ``command``, and its line in the help."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class CommandTable(click.Group):
    """A group that knows its commands by name and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """Return the commands in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name][0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]}.command is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was perhaps meant."""
        from difflib import get_close_matches

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"commands: {', '.join(COMMANDS)}"
            ctx.fail(f"there is no command '{args[0]}'; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"convo {version('convo')}")
        except PackageNotFoundError:
            click.echo("convo, run from its source, not installed")
        ctx.exit()


@click.group(
    cls=CommandTable,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine, 1 problems in a flow, 2 configuration or credentials, 3 store, 4 provider.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """SMS conversations as state machines, written in YAML."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; every failure is a message on stderr, never a traceback.

    With CONVO_TRACEBACK set, a fault of convo itself is raised as it is.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for good
    try:
        code = cli.main(
            args=None if arguments is None else list(arguments), prog_name="convo", standalone_mode=False
        )
        sys.stdout.flush()
    except ConvoError as problem:
        click.echo(str(problem), err=True)
        return problem.exit_code
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (``convo check … | head``); leave without another word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno in _NO_ROOM:
            # What stores and flows could not write is told by them; here it is what a command says.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            click.echo(f"the output cannot be written: {os.strerror(problem.errno).lower()}", err=True)
            return ConfigError.exit_code
        if os.environ.get("CONVO_TRACEBACK"):
            raise
        from convo.runtime.log import origin

        click.echo(
            f"this is a fault of convo itself ({origin(problem)}); please report it, best with what it"
            " prints when the environment variable CONVO_TRACEBACK is set to 1",
            err=True,
        )
        return 70
    return code if isinstance(code, int) else 0
