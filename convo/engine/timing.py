"""When timers come due: clock times, moments, silence, and the hours of quiet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from convo.engine.conversation import Timer, TimerFired
from convo.flow.model import After, ClockTime, Flow, Hours, Moment, Question, State
from convo.flow.values import Value

NO_ANSWER = "no answer"
"""The name of the timer that gives a question up."""


def reminder_name(index: int) -> str:
    """Return the name of the timer of a question's reminder, counted from 0."""
    return f"reminder {index + 1}"


def timers_of(state: State, flow: Flow, now: datetime, data: Mapping[str, Value]) -> list[Timer]:
    """Return the timers that start where a state is entered at ``now``; past moments are left out."""
    zone = ZoneInfo(flow.zone)
    found = []
    for rule in state.timers:
        due = _due(rule.when, now, zone, data)
        if due is not None:
            found.append(Timer(rule.name, due))
    return found


def moment_timers(state: State, flow: Flow, now: datetime, data: Mapping[str, Value]) -> list[Timer]:
    """Return the timers of a state that wait for a moment in the data: setting it moves them."""
    rules = [rule for rule in state.timers if isinstance(rule.when, Moment)]
    zone = ZoneInfo(flow.zone)
    due = [(rule.name, _due(rule.when, now, zone, data)) for rule in rules]
    return [Timer(name, at) for name, at in due if at is not None]


def silence_timers(question: Question, since: datetime) -> list[Timer]:
    """Return the timers of a question that measure silence, which began at ``since``."""
    silence = question.silence
    found = [Timer(reminder_name(index), since + after) for index, after in enumerate(silence.remind)]
    if silence.no_answer_after is not None:
        found.append(Timer(NO_ANSWER, since + silence.no_answer_after))
    return found


def silence_of(question: Question, name: str) -> timedelta | None:
    """Return after how much silence a timer is due; None for one that does not measure silence."""
    if name == NO_ANSWER:
        return question.silence.no_answer_after
    for index, after in enumerate(question.silence.remind):
        if name == reminder_name(index):
            return after
    return None


def chosen(due: Sequence[TimerFired]) -> list[TimerFired]:
    """Return which of several timers of one state are to fire, in order.

    Giving up beats reminders, and of several reminders the last one speaks; all others fire as due.
    """
    ordered = sorted(due, key=lambda fired: fired.due_at)
    given_up = any(fired.name == NO_ANSWER for fired in ordered)
    reminders = [fired for fired in ordered if fired.name.startswith("reminder ")]
    speaks = None if given_up or not reminders else reminders[-1]
    return [fired for fired in ordered if fired not in reminders or fired is speaks]


def quiet_until(flow: Flow, now: datetime) -> datetime | None:
    """Return when the time of quiet that ``now`` lies in ends; None where it lies in none."""
    if flow.quiet is None:
        return None
    begins, ends = flow.quiet
    zone = ZoneInfo(flow.zone)
    local = now.astimezone(zone)
    at = local.time().replace(tzinfo=None)
    if begins < ends:
        return _ending(local.date(), ends, zone, now) if begins <= at < ends else None
    if at >= begins:
        return _ending(local.date() + timedelta(days=1), ends, zone, now)
    return _ending(local.date(), ends, zone, now) if at < ends else None


def is_open(hours: Iterable[Hours], closed: frozenset[date], local: datetime) -> bool:
    """Return whether opening hours cover a local time."""
    if local.date() in closed:
        return False
    at = local.time().replace(tzinfo=None)
    return any(
        local.weekday() in each.days and each.opens <= at and (at < each.closes or each.closes == time(0))
        for each in hours
    )


def _due(
    when: After | ClockTime | Moment, now: datetime, zone: ZoneInfo, data: Mapping[str, Value]
) -> datetime | None:
    if isinstance(when, After):
        return (now + when.duration).astimezone(UTC)
    if isinstance(when, ClockTime):
        return _next_clock(when, now, zone)
    moment = data.get(when.name)
    if not isinstance(moment, datetime):
        return None
    due = moment.astimezone(UTC) - when.before
    return due if due > now else None


def _next_clock(when: ClockTime, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the next such time of day after ``now``.

    A time that is skipped when clocks go forward comes as much later as they go forward; one that comes
    twice when they go back is the first of the two.
    """
    local = now.astimezone(zone)
    for ahead in range(9):
        day = local.date() + timedelta(days=ahead)
        if day.weekday() in when.days and (due := _at(day, when.at, zone)) > now:
            return due
    raise AssertionError("every day of the week comes within nine days")


def _ending(day: date, at: time, zone: ZoneInfo, now: datetime) -> datetime:
    """Return a time of day after ``now``: where clocks go back and it comes twice, it may be the second."""
    first = _at(day, at, zone)
    return first if first > now else datetime.combine(day, at.replace(fold=1), tzinfo=zone).astimezone(UTC)


def _at(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)
