"""A phone for tests: texts go in, replies come out, time passes as the test says.

Behind it is a ``World``: the real inbox, machine and outbox, with a provider in memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from convo.analysis.transcripts_model import SENDER, Text
from convo.engine.machine import CompiledFlow
from convo.errors import Fault
from convo.flow.values import Value, parse_duration, show
from convo.messages import Address
from convo.testing.fakes import FakeClock
from convo.testing.world import CHANNEL, World

__all__ = ["CHANNEL", "Phone", "World"]


class Phone:
    """A person's phone: sends texts to the flow and looks at what comes back.

    What acts and what expects returns the phone, so that a chat can be written in one go:
    ``phone.send("START").expect("Running.")``.
    """

    def __init__(
        self,
        flow: str | Path | World,
        number: str = SENDER,
        *,
        clock: FakeClock | None = None,
        reload: bool = False,
        machine: CompiledFlow | None = None,
    ) -> None:
        """Make a phone on a flow file, or on the world of another phone."""
        made = flow if isinstance(flow, World) else World(flow, clock=clock, reload=reload, machine=machine)
        self.world = made
        self.number = number
        self.chat: list[str] = []
        self.explains = True
        self.most_stops = 1_000_000
        self._seen: dict[str, int] = {}

    def __repr__(self) -> str:
        """Return whose phone it is and where they stand."""
        state, _, ended = self.position(self.number)
        stands = f"ended: {ended}" if ended is not None else f"in {state}" if state else "nothing yet"
        return f"<Phone {self.number} on {self.world.flow.name}, {stands}>"

    # -- what a person does -------------------------------------------------------------------------

    def send(self, text: str, *, sent: datetime | timedelta | None = timedelta(0)) -> Self:
        """Send a text. ``sent`` is the provider's time: how long ago, a moment, or None for none given."""
        now = self.world.clock.now()
        before = now - sent if isinstance(sent, datetime) else sent
        self.receive([Text(self.number, text, before)])
        return self

    def send_together(self, *texts: str | tuple[str, timedelta]) -> Self:
        """Send texts that come in one poll; beside each may stand how long ago it was sent."""
        pairs = [(text, timedelta(0)) if isinstance(text, str) else text for text in texts]
        self.receive([Text(self.number, text, ago) for text, ago in pairs])
        return self

    def send_again(self) -> Self:
        """Have the provider hand out the last text a second time."""
        self.again(self.number)
        return self

    def as_(self, number: str) -> Phone:
        """Return another person's phone in the same world."""
        return Phone(self.world, number)

    def wait(self, duration: str | timedelta) -> Self:
        """Let time pass: a timedelta, or ``60s``, ``10m``, ``24h``, ``3d``, ``2w``."""
        by = parse_duration(duration) if isinstance(duration, str) else duration
        if by is None:
            raise ValueError(f"{duration!r} is no duration; write 90s, 10m, 24h, 3d or 2w")
        self.chat.append(f"({duration} later)")
        self.pass_time(by)
        return self

    # -- what is expected ---------------------------------------------------------------------------

    def expect(self, *texts: str) -> Self:
        """The next replies are these texts, whole; spaces and line ends count as one space."""
        __tracebackhide__ = True
        for text in texts:
            self._expect(f"{text!r}", _collapsed(text).__eq__)
        return self

    def expect_starts(self, text: str) -> Self:
        """The next reply begins like this."""
        __tracebackhide__ = True
        return self._expect(f"a text that starts {text!r}", lambda said: said.startswith(_collapsed(text)))

    def expect_contains(self, text: str) -> Self:
        """The next reply has this in it."""
        __tracebackhide__ = True
        return self._expect(f"a text that contains {text!r}", lambda said: _collapsed(text) in said)

    def expect_like(self, pattern: str) -> Self:
        """The whole next reply fits a regular expression."""
        __tracebackhide__ = True
        return self._expect(f"a text like {pattern!r}", lambda said: re.fullmatch(pattern, said) is not None)

    def expect_nothing(self) -> Self:
        """There is no further reply."""
        __tracebackhide__ = True
        left = self.replies(self.number)
        if left:
            self._fail("nothing more", repr(left[0]), left[0])
        return self

    def expect_state(self, name: str) -> Self:
        """The machine of this person is in that state."""
        __tracebackhide__ = True
        if self.state != name:
            self._fail(f"the state {name!r}", repr(self.state))
        return self

    def expect_saved(self, **values: Value | str) -> Self:
        """The data has these values; a text also fits what would be shown in a text."""
        __tracebackhide__ = True
        for name, wanted in values.items():
            found = self.saved.get(name)
            if found != wanted and (found is None or wanted not in (str(found), show(found))):
                self._fail(f"{name} to be {wanted!r}", repr(found))
        return self

    def expect_ended(self, how: str) -> Self:
        """The conversation is over, and ended so."""
        __tracebackhide__ = True
        if self.ended != how:
            self._fail(f"an end: {how!r}", repr(self.ended) if self.ended else "open")
        return self

    def _expect(self, expected: str, fits: Callable[[str], bool]) -> Self:
        __tracebackhide__ = True
        replies = self._unseen(self.number)
        if not replies:
            self._fail(expected, "")
        self._seen[self.number] = self._seen.get(self.number, 0) + 1
        self.chat.append(f"us: {replies[0]}")
        if not fits(_collapsed(replies[0])):
            self._fail(expected, repr(replies[0]), replies[0])
        return self

    def _fail(self, expected: str, actual: str, said: str = "") -> None:
        __tracebackhide__ = True
        parts = [f"expected {expected}", f"but it was {actual}" if actual else "but nothing was said"]
        parts += ["the chat so far:", *("    " + line for line in "\n".join(self.chat).split("\n"))]
        if why := self.why(said=said):
            parts += ["why:", *("    " + line for line in why)]
        raise AssertionError("\n".join(parts))

    # -- how things stand ---------------------------------------------------------------------------

    @property
    def state(self) -> str | None:
        """The state of this person's machine, None where there is none."""
        return self.position(self.number)[0] or None

    @property
    def saved(self) -> Mapping[str, Value]:
        """The conversation's data."""
        return self.position(self.number)[1]

    @property
    def ended(self) -> str | None:
        """How the conversation ended, None while it is open."""
        return self.position(self.number)[2]

    @property
    def timers(self) -> Mapping[str, datetime]:
        """The timers that wait, the next one first, with when they come due."""
        return {timer.name: timer.due_at for timer in self.world.timers(self.number)}

    # -- what transcripts need ----------------------------------------------------------------------

    def receive(self, texts: Sequence[Text]) -> None:
        """Hand in texts in one poll, and let everything happen that follows."""
        self.world.before_text()
        now = self.world.clock.now()
        for text in texts:
            self.chat.append(f"{'them' if text.sender == self.number else text.sender}: {text.text}")
            if text.sent is None:
                self.world.text(text.sender, text.text, stamped=False)
            else:
                self.world.text(text.sender, text.text, sent_at=now - text.sent)
        self.world.work()

    def replies(self, who: str) -> list[str]:
        """Return what has been sent to that number and was not returned before."""
        unseen = self._unseen(who)
        self._seen[who] = self._seen.get(who, 0) + len(unseen)
        return unseen

    def _unseen(self, who: str) -> list[str]:
        return self.world.transport.replies(who)[self._seen.get(who, 0) :]

    def pass_time(self, by: timedelta) -> None:
        """Let time pass, and let happen what comes due."""
        end = self.world.clock.now() + by
        while (next_at := self.world.next_at()) is not None and next_at < end:
            self.most_stops -= 1
            if self.most_stops < 0:
                raise Fault("timers come due without end")
            self.world.clock.set(max(next_at, self.world.clock.now()))
            self.world.work()
        self.world.clock.set(end)
        self.world.work()

    def set_clock(self, now: datetime) -> None:
        """Put the clock there; a moment without a zone is in the flow's."""
        zone = ZoneInfo(self.world.flow.zone)
        self.world.clock.set((now if now.tzinfo else now.replace(tzinfo=zone)).astimezone(UTC))

    def open(self, who: str | None = None, given: Mapping[str, Value] | None = None) -> None:
        """Open the conversation from our side, with this person by default."""
        self.world.open(who or self.number, given or {})

    def again(self, who: str) -> None:
        """Have the provider hand out the last text of that sender a second time."""
        self.world.again(who)

    def speak(self, who: str, language: str) -> None:
        """Have that sender's conversation go on in another language."""
        self.world.speak(who, language)

    def restart(self) -> None:
        """Stop the program and start it again on the same store."""
        self.world.restart()

    def calls(self, answers: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
        """Say what services answer from now on: by name, the result (ok, error, timeout) and its values."""
        for service, said in answers.items():
            for result, values in said.items():
                self.world.services.answer(service, result, values)

    def keep(self, who: str, values: Mapping[str, str]) -> None:
        """Say what an earlier conversation of that sender has left behind, before anything happens."""
        self.world.keep(who, values)

    def position(self, who: str) -> tuple[str, Mapping[str, Value], str | None]:
        """Return that sender's state, data and disposition."""
        found = self.world.store.conversation(CHANNEL, Address(who))
        return (found.state, found.data, found.ended) if found is not None else ("", {}, None)

    def why(self, who: str | None = None, said: str = "") -> list[str]:
        """Return why this person's last step, or the last one that said ``said``, went as it did."""
        return self.world.why(who or self.number, said) if self.explains else []

    def close(self) -> None:
        """Let go of the world."""
        self.world.close()


def _collapsed(text: str) -> str:
    return " ".join(text.split())
