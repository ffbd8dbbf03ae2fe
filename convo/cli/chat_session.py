"""What ``convo chat`` does: phones on the world that tests use, a script of what happened, ways back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from convo.analysis.transcripts_model import SENDER
from convo.errors import ConfigError, ConvoError
from convo.flow.cards import CALL_RESULTS
from convo.flow.values import parse_duration, show
from convo.messages import Address, to_address
from convo.runtime.aside import is_aside
from convo.store.base import InboxStatus
from convo.testing.fakes import FakeClock
from convo.testing.loaded import stamps_of
from convo.testing.phone import CHANNEL, Phone, World

LONGEST_WAIT = timedelta(days=400)
MOST_STEPS_BACK = 200


class Screen(Protocol):
    """Where a chat is shown."""

    def reply(self, recipient: Address, text: str) -> None:
        """Show a text that has left."""
        ...

    def note(self, text: str) -> None:
        """Show something that is no text of the conversation."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How one phone's conversation stands, in words. ``timers`` are names with how long they take yet.

    ``now`` is the whole time, ``clock`` as much of it as is needed beside a chat.
    """

    number: str
    state: str
    ended: str | None
    language: str
    tries: int
    data: Mapping[str, str]
    timers: Mapping[str, str]
    now: str
    clock: str


@dataclass(frozen=True, slots=True)
class _Before:
    """How everything stood before an input."""

    what: str
    snapshot: tuple[str, datetime]
    script: int
    number: str


class Session:
    """One chat. ``script`` is what happened, as ``case_of`` writes it; soft waits are real time."""

    def __init__(self, path: Path, screen: Screen, clock: FakeClock) -> None:
        """Open the flow.

        Raises:
            FlowError: it has problems.
        """
        self.path = path
        self.screen = screen
        self.clock = clock
        self.began = clock.now()
        self.world = World(path, clock=clock, on_disk=True)
        self.first = self.number = SENDER
        self.script: list[tuple[str, ...]] = []
        self._stamps = stamps_of(path)
        self._shown = 0
        self._dead = 0
        self._inputs = 0
        self._steps: dict[str, int] = {}
        # When each of a number's questions, by conversation and entry, was first handed over.
        self._heard: dict[str, list[tuple[tuple[int, int], datetime]]] = {}
        self._before: list[_Before] = []
        self._is_late = False
        self._swapping = False
        self._held: tuple[str, str, datetime] | None = None

    def close(self) -> None:
        """Let go of the world; nothing is kept."""
        self.world.close()

    # -- the flow's file ----------------------------------------------------------------------------

    def look(self) -> None:
        """Read the flow again where it, or a file beside it, was saved; say what that means."""
        stamps = stamps_of(self.path)
        if stamps == self._stamps:
            return
        saved = sorted({each[0] for each in set(stamps) ^ set(self._stamps)})
        self._stamps, what = stamps, " and ".join(saved)
        try:
            self.world.restart()
        except ConvoError as problem:
            self.screen.note(f"{what} was saved with problems; the flow as it was goes on")
            for line in str(problem).split("\n"):
                self.screen.note(line)
            return
        found = self.world.store.conversation(CHANNEL, Address(self.number))
        if found is None or not found.is_open:
            self.screen.note(f"{what} was saved and is read again")
        elif self.world.machine.has_state(found.state):
            self.screen.note(f"{what} was saved and is read again; you are still in '{found.state}'")
        elif (moved := self.world.flow.moved_to(found.state)) is not None:
            self.screen.note(f"{what} was saved; '{found.state}' has moved: you are in '{moved}'")
        else:
            self.screen.note(
                f"{what} was saved, and the state '{found.state}' that you were in is gone; /undo"
                " goes back a step, and 'moved' in the flow says where real people would go on"
            )

    def saved(self) -> None:
        """Count what stands in the folder now as known: a test file was written there."""
        self._stamps = stamps_of(self.path)

    # -- what the person does -----------------------------------------------------------------------

    def remember(self, what: str) -> None:
        """Keep how everything stands, for ``undo``; ``what`` is the input that follows."""
        self._inputs += 1
        snapshot = self.world.snapshot(f"undo-{self._inputs}")
        while len(self._before) >= MOST_STEPS_BACK:
            Path(self._before.pop(0).snapshot[0]).unlink(missing_ok=True)
        self._before.append(_Before(what, snapshot, len(self.script), self.number))

    def forget(self) -> None:
        """Forget what was remembered last: nothing came of that input."""
        self._before.pop()

    def undo(self) -> None:
        """Go back to before the last input.

        Raises:
            ConfigError: there is none.
        """
        if not self._before:
            raise ConfigError("there is nothing to undo")
        before = self._before.pop()
        self.world.put_back(before.snapshot)
        del self.script[before.script :]
        self.number = before.number
        now = self.clock.now()
        self._heard = {who: [each for each in all_ if each[1] <= now] for who, all_ in self._heard.items()}
        self._shown = len(self.world.transport.sent)
        self._dead = len(self.world.store.inbox(InboxStatus.DEAD))
        self._steps.clear()
        self._is_late = self._swapping = False
        self._held = None
        self.screen.note(f"undone: {before.what}")

    def send(self, number: str, text: str) -> None:
        """Send a text from a number."""
        now = self.clock.now()
        if self._swapping and self._held is None:
            self._held = (number, text, now)
            self.screen.note("held back; your next text overtakes it")
            return
        if self._is_late:
            self._is_late = False
            self._hand_in(number, text, self._before_the_question(number))
        elif self._held is not None:
            held, self._held, self._swapping = self._held, None, False
            self._pass(timedelta(seconds=1))
            self._hand_in(number, text, self.clock.now())
            self._hand_in(*held)
        else:
            self._hand_in(number, text, now)

    def _hand_in(self, number: str, text: str, sent_at: datetime) -> None:
        ago = ceil((self.clock.now() - sent_at).total_seconds())
        self.script.append(("them", number, text, f"{ago}s ago" if ago else ""))
        self.world.text(number, text, sent_at=self.clock.now() - timedelta(seconds=ago))
        self.world.work()
        if not self._show():
            self.screen.note("nothing was said")

    def late(self) -> None:
        """Have the next text count as sent before the last question was handed over."""
        self._before_the_question(self.number)
        self._is_late = True
        self.screen.note("your next text was sent before the last question had been handed over")

    def _before_the_question(self, number: str) -> datetime:
        if not self._heard.get(number):
            raise ConfigError("nothing has been said to this phone yet that a text could cross")
        return self._heard[number][-1][1] - timedelta(seconds=1)

    def swap(self) -> None:
        """Have the next two texts arrive in the wrong order."""
        if self._held is not None:
            raise ConfigError("a text is held back already; send the one that overtakes it")
        self._swapping = True
        self.screen.note("your next two texts arrive in the wrong order")

    def again(self) -> None:
        """Have the provider hand out the last text a second time."""
        self.world.again(self.number)
        self.script.append((_of("again", self.number), "yes"))
        self.screen.note("the provider handed your last text out a second time")
        if not self._show():
            self.screen.note("nothing was said")

    def wait(self, written: str) -> None:
        """Let time pass: a duration, or until the next timer.

        Raises:
            ConfigError: it is no duration, or too long, or no timer waits.
        """
        now = self.clock.now()
        if written in ("", "next"):
            due = self.world.next_at()
            if due is None:
                raise ConfigError("no timer waits; write how long: /wait 25h")
            by = timedelta(seconds=max(0, ceil((due - now).total_seconds())))
        else:
            found = parse_duration(written)
            if found is None:
                raise ConfigError(f"'{written}' is no duration; write 90s, 10m, 24h, 3d or 2w")
            by = found
        if by > LONGEST_WAIT:
            raise ConfigError(f"that is longer than {LONGEST_WAIT.days} days")
        self.screen.note(f"{show(by)} later")
        self._pass(by)
        self._show()

    def pass_real(self, by: timedelta) -> None:
        """Let the time pass that went by at the terminal: whole seconds."""
        if by:
            self._pass(by, kind="real")
            self._show()

    def _pass(self, by: timedelta, kind: str = "wait") -> None:
        last = self.script[-1] if self.script else ("",)
        if kind == "real" and last[0] == "real":
            by_then = int(last[1].removesuffix("s")) + int(by.total_seconds())
            self.script[-1] = ("real", f"{by_then}s")
        else:
            self.script.append((kind, _written(by)))
        # It stops at each timer, so that what is said then has its own time.
        phone, end = Phone(self.world), self.clock.now() + by
        while (due := self.world.next_at()) is not None and self.clock.now() < due < end:
            phone.pass_time(due - self.clock.now())
            self._show()
        phone.pass_time(end - self.clock.now())

    def speak(self, language: str) -> None:
        """Go on in another language."""
        self.world.speak(self.number, language)
        self.script.append((_of("language", self.number), language))
        self.screen.note(f"you speak '{language}' now")

    def crash(self) -> None:
        """Throw everything away that is not in the store, and go on from there."""
        self.world.restart()
        self.script.append(("restart",))
        self.world.work()
        self.screen.note("killed, and started again from the store")
        self._show()

    def start(self, settings: Sequence[str]) -> None:
        """Open the conversation from our side with what is given."""
        given = _pairs(settings)
        names = [
            name
            for name, datum in self.world.flow.data.items()
            if datum.given and datum.first is None and name not in given
        ]
        if names:
            raise ConfigError(f"this flow has to be given {', '.join(names)}: /start {names[0]}=…")
        self.world.open(self.number, given)
        self.script.append(("start", self.number, *(part for pair in given.items() for part in pair)))
        if not self._show():
            self.screen.note("nothing was said (a conversation that is open is not opened again)")

    def calls(self, words: Sequence[str]) -> None:
        """Say what a service answers from now on, and let the one that waits be asked again."""
        known = [state.call.service for state in self.world.flow.states.values() if state.call is not None]
        if len(words) < 2 or words[0] not in known or words[1] not in CALL_RESULTS:
            services = ", ".join(dict.fromkeys(known)) or "none in this flow"
            results = ", ".join(CALL_RESULTS)
            raise ConfigError(
                f"write /calls SERVICE RESULT name=value …  (services: {services}; results: {results})"
            )
        values = _pairs(words[2:])
        self.world.services.answer(words[0], words[1], values)
        self.script.append(("calls", words[0], words[1], *(part for pair in values.items() for part in pair)))
        self.screen.note(f"'{words[0]}' answers {words[1]} from now on")
        if (due := self.world.store.next_call()) is not None:
            self._pass(timedelta(seconds=max(1, ceil((due - self.clock.now()).total_seconds()))))
        self._show()

    def be(self, written: str, *, quiet: bool = False) -> None:
        """Go on as another person."""
        try:
            self.number = str(to_address(written, self.world.flow.country or "AU"))
        except ValueError as problem:
            raise ConfigError(str(problem)) from None
        if not quiet:
            self.screen.note(f"you are {self.number} now")

    def why(self) -> list[str]:
        """Return why the last step of this person went as it did."""
        return self.world.why(self.number) or ["nothing has happened with this phone yet"]

    # -- what is shown ------------------------------------------------------------------------------

    def _show(self) -> bool:
        """Show what has left since, and what went wrong; return whether there was anything."""
        sent = self.world.transport.sent
        new = sent[self._shown :]
        self._shown = len(sent)
        for outbound in new:
            number = str(outbound.recipient)
            found = self.world.store.conversation(CHANNEL, Address(number))
            entry = (found.number, found.entry) if found is not None else (0, 0)
            heard = self._heard.setdefault(number, [])
            if not heard or heard[-1][0] != entry:
                heard.append((entry, self.clock.now()))
            self.script.append(("us", number, outbound.text))
            self.screen.reply(outbound.recipient, outbound.text)
        notes = list(self._troubles())
        for note in notes:
            self.screen.note(note)
        return bool(new or notes)

    def _troubles(self) -> Iterator[str]:
        """Yield what has gone wrong since, or is waited for."""
        dead = self.world.store.inbox(InboxStatus.DEAD)
        for row in dead[self._dead :]:
            begin = " (here: /start name=value)" if self.world.flow.needs_data else ""
            yield f"set aside: {row.reason}{begin}"
        self._dead = len(dead)
        journal = self.world.store.journal(CHANNEL, Address(self.number))
        for entry in journal[self._steps.get(self.number, 0) :]:
            record = json.loads(entry.record)
            if is_aside(record["fault"]):
                # Of a text the inbox has told already.
                yield from () if record["event"] == "received" else (record["fault"],)
            elif record["fault"] is not None:
                yield f"the step was undone: {record['fault']}"
        self._steps[self.number] = len(journal)
        if self.world.store.next_call() is not None:
            found = self.world.store.conversation(CHANNEL, Address(self.number))
            state = self.world.flow.states.get(found.state) if found is not None else None
            if state is not None and state.call is not None:
                name = state.call.service
                yield f"the service '{name}' is asked; say what it answers: /calls {name} ok"

    def standing(self) -> Standing:
        """Return how the conversation of this phone stands."""
        found = self.world.store.conversation(CHANNEL, Address(self.number))
        flow = self.world.flow
        zone = ZoneInfo(flow.zone)
        now = self.clock.now()
        data = found.data if found is not None else {}
        return Standing(
            number=self.number,
            state=found.state if found is not None else "",
            ended=found.ended if found is not None else None,
            language=found.language if found is not None else flow.language,
            tries=found.tries if found is not None else 0,
            data={name: show(value, zone=zone) for name, value in data.items()},
            timers={
                timer.name: show(max(timer.due_at - now, timedelta(0)))
                for timer in self.world.timers(self.number)
            },
            now=f"{now.astimezone(zone):%a %d %b %Y, %H:%M:%S}",
            clock=f"{now.astimezone(zone):%d %b %H:%M}",
        )


def _of(step: str, number: str) -> str:
    return step if number == SENDER else f"{step} of {number}"


def _pairs(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, is_there, value = word.partition("=")
        if not is_there or not name:
            hint = 'write name=value, and quotes around a value with a space: name="a b"'
            raise ConfigError(f"'{word}': {hint}")
        found[name] = value
    return found


def _written(by: timedelta) -> str:
    seconds = int(by.total_seconds())
    for letter, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{letter}"
    return f"{seconds}s"
