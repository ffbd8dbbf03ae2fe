"""The loop that asks the services which ``call`` cards name, and puts their answers into the store.

A call is made after the commit of the step that wants it, again and again with the same idempotency key
until the service answers or its time is up; the answer is an event of the conversation like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import TYPE_CHECKING, Protocol

from convo.clock import Clock
from convo.flow.model import Flow
from convo.flow.values import Value, decode
from convo.runtime.log import origin, seconds
from convo.runtime.policy import backoff
from convo.store.base import PendingCall, Store
from convo.transports.url import check_url

if TYPE_CHECKING:
    from convo.transports.http import Door

BATCH = 16
LONGEST_WAIT = timedelta(seconds=30)
LONGEST_VALUE = 2_000
"""Characters of one value that a service may answer."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """A service that the operator configured. ``patience`` is after how long a call is given up."""

    url: str
    token: str | None = field(default=None, repr=False)
    timeout: timedelta = timedelta(seconds=10)
    patience: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Answered:
    """The service answered: ``ok`` with values, or ``error``; ``reason`` is for the journal."""

    result: str
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NotYet:
    """No answer so far; ``after`` is how long the service asks us to wait."""

    reason: str
    after: timedelta | None = None


class Services(Protocol):
    """What asks services."""

    def ask(self, call: PendingCall, given: Mapping[str, Value], now: datetime) -> Answered | NotYet:
        """Ask once."""
        ...

    def patience(self, service: str) -> timedelta:
        """Return after how long a call is given up."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class HttpServices:
    """Services asked by HTTP: POST with a JSON object, answered by one with the names of ``save``.

    2xx with a JSON object is ok, 408, 425, 429 and 5xx are asked again, anything else is an error. The
    header ``Idempotency-Key`` is the same each time that one call is made.
    """

    def __init__(self, services: Mapping[str, Service], clock: Clock) -> None:
        self._services = dict(services)
        self._doors: dict[str, Door] = {}
        if not self._services:
            return  # A flow that asks nobody loads no HTTP.
        from convo.transports.http import Door

        for name, service in self._services.items():
            check_url(f"services: {name}: url", service.url)
            length = service.timeout.total_seconds()
            self._doors[name] = Door(clock, timeout=(min(5.0, length), length), total=length, limit=100_000)

    def ask(self, call: PendingCall, given: Mapping[str, Value], now: datetime) -> Answered | NotYet:
        """Ask once."""
        from convo.transports.http import NoAnswer, NotJSON

        service = self._services.get(call.service)
        if service is None:
            return Answered("error", reason=f"no service '{call.service}' is configured")
        answer = self._doors[call.service].exchange(
            "POST",
            service.url,
            bearer=service.token,
            json_body={name: plain(value) for name, value in given.items()},
            headers={"Idempotency-Key": call.key},
        )
        if isinstance(answer, NoAnswer):
            return NotYet(answer.reason)
        if answer.status in (408, 425, 429) or answer.status >= 500:
            return NotYet(f"it answered {answer.status}", answer.retry_after(now))
        if not 200 <= answer.status < 300:
            return Answered("error", reason=f"it answered {answer.status}")
        try:
            said = answer.json()
        except NotJSON as wrong:
            return Answered("error", reason=str(wrong))
        if not isinstance(said, dict):
            return Answered("error", reason="its answer is no JSON object")
        return Answered("ok", {str(name): text for name, value in said.items() if (text := _text(value))})

    def patience(self, service: str) -> timedelta:
        """Return after how long a call is given up."""
        known = self._services.get(service)
        return known.patience if known is not None else timedelta(0)

    def close(self) -> None:
        """Let go of connections."""
        for door in self._doors.values():
            door.close()


class Caller:
    """Makes the calls that are due, one after another."""

    def __init__(
        self,
        store: Store,
        services: Services,
        clock: Clock,
        *,
        random: Random | None = None,
        on_answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._services = services
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._on_answered = on_answered

    def once(self, now: datetime) -> datetime | None:
        """Make what is due; return when the next call is, None where none waits.

        Raises:
            StoreError: an answer could not be written; the call is made again with the same key.
        """
        for call in self._store.calls(now, BATCH):
            self._make(call)
        next_at = self._store.next_call()
        return None if next_at is None else max(next_at, now)

    def is_due(self, now: datetime) -> bool:
        """Return whether a call is to be made now."""
        next_at = self._store.next_call()
        return next_at is not None and next_at <= now

    def _make(self, call: PendingCall) -> None:
        now = self._clock.now()
        said: Answered | NotYet
        try:
            said = self._services.ask(call, decode(call.given), now)
        except Exception as problem:
            # What asks must not end the program; the conversation has a branch for errors.
            _log.debug("the call raised", exc_info=True)
            said = Answered("error", reason=f"the call raised {origin(problem)}")
        now = self._clock.now()
        final = self._again(call, said, now) if isinstance(said, NotYet) else said
        if final is None:
            return
        level = logging.INFO if final.result == "ok" else logging.WARNING
        why = f": {final.reason}" if final.reason else ""
        _log.log(level, "called %s: %s%s", call.service, final.result, why)
        note = f"{call.service}: {final.result}{why}"
        self._store.call_answered(call.id, final.result, final.values, note)
        self._on_answered()

    def _again(self, call: PendingCall, said: NotYet, now: datetime) -> Answered | None:
        wait = backoff(call.attempts + 1, self._random, longest=LONGEST_WAIT, at_least=said.after)
        # Longer ago than its time, or by a clock that was set back: then nobody knows how long ago.
        if abs(now + wait - call.created_at) > self._services.patience(call.service):
            return Answered("timeout", reason=said.reason)
        _log.warning("called %s: %s; next try in %s", call.service, said.reason, seconds(wait))
        self._store.call_again(call.id, now + wait, said.reason)
        return None


def services_of(flow: Flow) -> tuple[str, ...]:
    """Return the services that a flow calls, in file order."""
    return tuple(dict.fromkeys(state.call.service for state in flow.states.values() if state.call))


def plain(value: Value) -> object:
    """Return a value as JSON has it: numbers as numbers, times as ISO 8601, a choice as its id."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return str(value)


def _text(value: object) -> str:
    """Return what a service answered for a name as the text that the flow's type is read from."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = ", ".join(_text(each) for each in value)
    return str(value)[:LONGEST_VALUE] if isinstance(value, str | int | float) else ""
