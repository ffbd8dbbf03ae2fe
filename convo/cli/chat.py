"""``convo chat``: text with a flow on a simulated phone; nothing is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from datetime import datetime

    from convo.cli.chat_screen import PipeScreen, TerminalScreen
    from convo.cli.chat_session import Session
    from convo.clock import Clock

HELP = """\
a line is a text; '+NUMBER: text' is one from somebody else, '//text' one that begins with '/'
/wait 25h      time passes; without a duration, until the next timer
/as +NUMBER    go on as another person
/again         the provider hands your last text out a second time
/swap          your next two texts arrive in the wrong order
/late          your next text was sent before the last question had been handed over
/crash         everything is thrown away but the store, and goes on from there
/lang sw       go on in another language of the flow
/start a=b     we open the conversation, with what is given
/calls S ok    say what the service S answers: ok, error or timeout, with name=value
/state         state, data and timers
/why           why the last step went as it did
/undo          back to before your last line
/save [FILE]   this chat becomes a transcript that passes; a name for it may follow
/quit          ends the chat, as Ctrl-D does"""


@click.command("chat")
@click.argument("flow", type=click.Path(path_type=Path))
@click.option(
    "--greet", multiple=True, metavar="NUMBER", help="Open the conversation with NUMBER; repeatable."
)
@click.option("--clock", metavar="MOMENT", help="When it is, such as '2026-03-04 12:00', in the flow's zone.")
@click.option(
    "--still/--real",
    "still",
    default=None,
    help="Whether time stands until /wait, or goes on by itself.  [default: --real on a terminal]",
)
def command(flow: Path, greet: tuple[str, ...], clock: str | None, still: bool | None) -> int:
    """Text with FLOW on a simulated phone; nothing is sent or kept. /help shows what else it does.

    Inbox, machine and outbox are the real ones. State, data and timers stand beside the chat, and the flow
    is read again whenever its file is saved. On a pipe each line is a text, replies are printed as
    '+NUMBER: text', and everything else begins with '#'.
    """
    import sys
    from io import BytesIO

    from convo.cli.chat_screen import PipeScreen, TerminalScreen
    from convo.cli.chat_session import Session
    from convo.clock import SystemClock
    from convo.runtime.log import silent
    from convo.testing.fakes import START, FakeClock

    chatting = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    screen: PipeScreen | TerminalScreen
    if chatting:
        screen = TerminalScreen()
    else:
        screen = PipeScreen(sys.stdin.buffer if sys.stdin is not None else BytesIO(), sys.stdout.buffer)
    real = SystemClock()
    goes_on = chatting if still is None else not still
    begins = _begins(flow, clock) or (real.now().replace(microsecond=0) if goes_on else START)
    session = Session(flow, screen, FakeClock(begins))
    try:
        with silent():  # what goes wrong on purpose is told in the chat
            _converse(session, screen, real if goes_on else None, greet, opens=chatting)
    finally:
        session.close()
    return 0


def _begins(flow: Path, clock: str | None) -> datetime | None:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from convo.errors import ConfigError
    from convo.testing.loaded import machine_of

    if clock is None:
        return None
    try:
        moment = datetime.fromisoformat(clock)
    except ValueError:
        raise ConfigError(f"--clock: '{clock}' is no moment; write '2026-03-04 12:00'") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(machine_of(flow).flow.zone))


def _converse(
    session: Session,
    screen: PipeScreen | TerminalScreen,
    real: Clock | None,
    greet: tuple[str, ...],
    *,
    opens: bool,
) -> None:
    """Carry each line in until the input ends."""
    from datetime import timedelta

    from convo.errors import ConvoError

    if opens:
        about = session.world.flow.about or session.world.flow.name
        screen.note(f"{about} · you are {session.number} · /help shows what else you can do · Ctrl-D ends")
    for number in greet or ((session.number,) if opens else ()):
        try:
            session.be(number, quiet=True)
            session.start(())
        except ConvoError as problem:
            screen.note(str(problem))
    session.be(session.first, quiet=True)
    screen.settle(session.standing())
    at = real.now() if real is not None else None
    for line in screen.lines():
        if real is not None and at is not None:
            now = real.now()
            whole = timedelta(seconds=int((now - at).total_seconds()))
            session.pass_real(whole)
            at += whole
        if line.strip() == "/quit":
            return
        try:
            session.look()
            _do(session, screen, line)
        except ConvoError as problem:
            screen.note(str(problem))
        screen.settle(session.standing())
        if screen.gone:
            return


def _do(session: Session, screen: PipeScreen | TerminalScreen, line: str) -> None:
    """Do what one line says.

    Raises:
        ConvoError: it cannot be done.
    """
    from convo.cli.phone import PHONE, read_line
    from convo.messages import Address

    if not line.startswith("/") or line.startswith("//"):
        text = line.removeprefix("/") if line.startswith("//") else line
        found = read_line(text.encode("utf-8", "replace"))
        if found is None:
            return
        number, said = found
        if number == PHONE and not text.startswith("+"):
            number = Address(session.number)
        session.remember(said)
        session.send(str(number), said)
        return
    word, _, rest = line[1:].strip().partition(" ")
    _command(session, screen, word, rest.strip())


def _command(session: Session, screen: PipeScreen | TerminalScreen, word: str, rest: str) -> None:
    from difflib import get_close_matches
    from shlex import split

    from convo.cli.chat_saving import save
    from convo.errors import ConfigError, ConvoError

    try:
        words = split(rest)
    except ValueError:
        raise ConfigError("a quote is not closed") from None
    acts: Mapping[str, Callable[[], None]] = {
        "wait": lambda: session.wait(rest),
        "again": session.again,
        "crash": session.crash,
        "lang": lambda: session.speak(rest),
        "start": lambda: session.start(words),
        "calls": lambda: session.calls(words),
    }
    plain: Mapping[str, Callable[[], None]] = {
        "as": lambda: session.be(rest),
        "swap": session.swap,
        "late": session.late,
        "undo": session.undo,
        "state": lambda: screen.standing(session.standing()),
        "why": lambda: screen.note("\n".join(session.why())),
        "help": lambda: screen.note(HELP),
    }
    if word == "save":
        name, path = save(session, words[0] if words else "", " ".join(words[1:]))
        session.saved()
        screen.note(f"saved as '{name}' in {path}; it passes: convo test {path}")
    elif word in acts:
        session.remember(f"/{word} {rest}".strip())
        try:
            acts[word]()
        except ConvoError:
            session.forget()
            raise
    elif word in plain:
        plain[word]()
    elif word == "quit":
        raise ConfigError("nothing stands behind /quit; Ctrl-D ends the chat, too")
    else:
        near = get_close_matches(word, [*acts, *plain, "save", "quit"], 1)
        hint = f"did you mean /{near[0]}?" if near else "/help shows what there is"
        raise ConfigError(f"there is no /{word}; {hint}")
