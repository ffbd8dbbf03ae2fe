"""Figures of a run for Prometheus (extra ``metrics``): counters since the start, and how things stand now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from convo.clock import Clock
from convo.runtime.channels import ChannelState
from convo.runtime.tally import Tally
from convo.store.views import ChannelView, Overview

STATUSES = ("queued", "sending", "sent", "delivered", "failed", "expired", "blocked", "unknown")

_COUNTERS = (
    ("received", "convo_received", "Texts that came in and were committed.", "result"),
    ("stepped", "convo_steps", "Steps of conversations that were committed.", ""),
    ("set_aside", "convo_set_aside", "Inbox rows that no flow could step.", ""),
    ("outbound", "convo_outbound", "Hand-overs to the provider by how they ended.", "status"),
    ("pushed", "convo_pushes", "Calls of providers to our webhooks by the status we answered.", "code"),
)


def page(
    states: Sequence[ChannelState], tally: Tally, look: Callable[[], Overview], clock: Clock
) -> Callable[[], tuple[bytes, str]]:
    """Return what writes the page and names its type; each call reads the store once, through ``look``."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(states, tally, look, clock))
    return lambda: (generate_latest(registry), CONTENT_TYPE_LATEST)


class _Figures(Collector):
    def __init__(
        self, states: Sequence[ChannelState], tally: Tally, look: Callable[[], Overview], clock: Clock
    ) -> None:
        self._states = states
        self._tally = tally
        self._look = look
        self._clock = clock

    def describe(self) -> Iterator[Metric]:
        """Say nothing before there is somebody to ask."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield every figure."""
        counts = self._tally.counts()
        for name, metric, help_, label in _COUNTERS:
            counter = CounterMetricFamily(metric, help_, labels=["channel", *([label] if label else [])])
            for (counted, channel, detail), value in sorted(counts.items()):
                if counted == name:
                    counter.add_metric([channel, *([detail] if label else [])], value)
            yield counter
        yield from self._of_loops()
        yield from self._of_rows(self._look())

    def _of_loops(self) -> Iterator[Metric]:
        now = self._clock.now()
        good = _gauge("convo_last_good_poll_age_seconds", "Since the last good poll.")
        pushed = _gauge("convo_last_push_age_seconds", "Since the last push that was stored.")
        failed = _gauge("convo_failed_polls", "Failed polls in a row.")
        refused = _gauge("convo_channel_refused", "1 where the provider refuses us and the channel rests.")
        for state in self._states:
            name = [state.channel.name]
            if state.last_good_poll_at is not None:
                good.add_metric(name, (now - state.last_good_poll_at).total_seconds())
            if state.last_push_at is not None:
                pushed.add_metric(name, (now - state.last_push_at).total_seconds())
            failed.add_metric(name, state.failed_polls)
            refused.add_metric(name, 1 if state.refused else 0)
        yield from (good, pushed, failed, refused)

    def _of_rows(self, overview: Overview) -> Iterator[Metric]:
        seen = {each.name: each for each in overview.channels}
        served = {state.channel.name: seen.get(state.channel.name) for state in self._states}
        inbox = _gauge("convo_inbox_waiting", "Inbox rows that wait for a step.")
        dead = _gauge("convo_inbox_dead", "Inbox rows that were set aside.")
        rows = _gauge("convo_outbox_rows", "Outbox rows by status.", "channel", "status")
        oldest = _gauge("convo_oldest_waiting_seconds", "How long the oldest row waits.", "channel", "box")
        timers = _gauge("convo_timers", "Timers that wait.")
        for name, view in served.items():
            inbox.add_metric([name], view.waiting_in if view else 0)
            dead.add_metric([name], sum(each.rows for each in view.dead) if view else 0)
            timers.add_metric([name], view.timers if view else 0)
            for status in STATUSES:
                rows.add_metric([name, status], view.outbox.get(status, 0) if view else 0)
            for box, seconds in _ages(view, overview):
                oldest.add_metric([name, box], seconds)
        conversations = _gauge("convo_open_conversations", "Conversations in a state.", "flow", "state")
        for flow in overview.flows:
            for state, number in flow.open.items():
                conversations.add_metric([flow.name, state], number)
        yield from (inbox, dead, rows, oldest, timers, conversations)


def _gauge(name: str, help_: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_, labels=labels or ("channel",))


def _ages(view: ChannelView | None, overview: Overview) -> Iterator[tuple[str, float]]:
    oldest = (view.oldest_in, view.oldest_out) if view is not None else (None, None)
    for box, at in zip(("inbox", "outbox"), oldest, strict=True):
        yield box, (overview.at - at).total_seconds() if at is not None else 0.0
