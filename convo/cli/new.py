"""``convo new``: a flow to begin with, and its first transcripts."""

from __future__ import annotations

from pathlib import Path

import click

FLOW = """\
flow: {name}
about: Two questions after a visit. Make them yours.

# Words that are understood in every state.
anywhere:
  HELP:
    reply: Two short questions about your visit. Send STOP to leave.

# The first state is where a conversation begins.
states:
  rating:
    ask: How was your visit, 1 (bad) to 5 (great)?
    answer: number 1 to 5
    sorry: Please send a number from 1 to 5.
    remind: 24h
    no_answer_after: 72h
    no_answer: silent
    goto:
      rating <= 2: reason
      else: done

  reason:
    ask: Sorry to hear that. What was it?
    choices:
      waiting: The waiting
      staff: The staff
      other: {{label: Something else, also: [no idea]}}

  done:
    reply: Thank you!
    end: complete

  silent:
    end: no answer
"""

TESTS = """\
# What people write (them), what we say (us), and how time passes (wait).
tests: {name}

cases:
  a happy visitor:
    - them: hello
    - us: How was your visit, 1 (bad) to 5 (great)?
    - them: 5
    - us: Thank you!
    - saved: {{rating: 5}}
    - ended: complete

  an unhappy one is asked why:
    - them: hello
    - us starts: How was your visit
    - them: 2
    - us: "Sorry to hear that. What was it? 1. The waiting 2. The staff 3. Something else"
    - state: reason
    - them: 2
    - us: Thank you!
    - saved: {{reason: The staff}}

  three is good enough:
    - them: hello
    - us starts: How was your visit
    - them: 3
    - us: Thank you!

  words do for numbers:
    - them: hello
    - us starts: How was your visit
    - them: one
    - us starts: Sorry to hear that.
    - them: waiting
    - us: Thank you!
    - saved: {{rating: 1, reason: The waiting}}

  answers that are none:
    - them: hello
    - us starts: How was your visit
    - them: 0
    - us: Please send a number from 1 to 5.
    - them: 6
    - us: Please send a number from 1 to 5.
    - them: 1
    - us starts: Sorry to hear that.
    - them: 4
    - us contains: 1 to 3
    - them: no idea
    - us: Thank you!
    - saved: {{reason: Something else}}

  help is there all the time:
    - them: hello
    - us starts: How was your visit
    - them: help?
    - us starts: Two short questions
    - them: 1
    - us starts: Sorry to hear that.
    - them: help
    - us starts: Two short questions

  nobody answers:
    - them: hello
    - us starts: How was your visit
    - wait: 23h
    - nothing: yes
    - wait: 1h
    - us starts: How was your visit
    - wait: 47h
    - state: rating
    - wait: 1h
    - ended: no answer
"""


@click.command("new")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to write them.  [default: here]",
)
def command(name: str, folder: Path) -> int:
    """Write NAME.yaml, a small survey to change into your own flow, and NAME.test.yaml, which passes.

    Nothing is overwritten.
    """
    from convo.errors import ConfigError
    from convo.flow.naming import name_problem
    from convo.flow.reader import Scalar

    wrong = name_problem(Scalar(name), "a flow")
    if wrong is not None:
        path = Path(name)
        hint = wrong.hint
        if path.parent != Path() and name_problem(Scalar(path.stem), "a flow") is None:
            hint = f"write: convo new {path.stem} --folder {path.parent}"
        elif path.suffix in (".yaml", ".yml") and name_problem(Scalar(path.stem), "a flow") is None:
            hint = f"write: convo new {path.stem}"
        raise ConfigError(f"{wrong.message}; {hint}")
    flow, tests = folder / f"{name}.yaml", folder / f"{name}.test.yaml"
    for path in (flow, tests):
        if path.exists():
            raise ConfigError(f"{path} is there already, and nothing is overwritten; take another name")
    written = {
        flow: FLOW.format(name=name),
        tests: TESTS.format(name=name),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in written.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as problem:
        raise ConfigError(f"{path} cannot be written: {problem.strerror}") from None
    click.echo(f"wrote {flow} and {tests}. What to do next:")
    for line, what in (
        (f"convo chat {flow}", "text with it; it is read again whenever you save it"),
        (f"convo test {tests}", "play its transcripts; /save in the chat adds one"),
        (f"convo check {flow}", "everything that is wrong or odd, with its line"),
        (f"convo run {flow}", "run it for real"),
    ):
        click.echo(f"  {line.ljust(len(f'convo test {tests}'))}   {what}")
    return 0
