"""Telstra pushing: the subscription is switched as configured, and nothing is lost or doubled by it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from convo.emulators.telstra_v2_push import PushingTelstraV2Emulator
from convo.engine.machine import CompiledFlow
from convo.engine.opening import ChannelFlows
from convo.errors import ConfigError, StoreError, TransportError
from convo.messages import Address, Status
from convo.runtime.deliver import Deliverer
from convo.runtime.process import Processor
from convo.runtime.receive import Receiver
from convo.runtime.run import drain
from convo.store import open_store
from convo.store.base import Store
from convo.transports import telstra_v3_push
from convo.transports.base import PushRequest
from convo.transports.http import Door
from convo.transports.telstra_v2 import Settings, TelstraV2
from convo.web import Hook, WebSettings, serve, webhook_app

NOON = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
SECRET = "vBq1x9-Lm3Tz_8RwKd5Y"
SENDER = "+61400000001"


class Watch:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment

    def go_on(self, **time: float) -> None:
        self.moment += timedelta(**time)


class Site:
    """An emulated Telstra, a store, and a channel that polls or is pushed to, started anew at will."""

    def __init__(self, watch: Watch, emulator: PushingTelstraV2Emulator, flow: CompiledFlow) -> None:
        self.watch = watch
        self.emulator = emulator
        self.store: Store = open_store("memory")
        self._flows = {"sms": ChannelFlows("sms", {flow.flow.name: flow}, flow.flow.name)}
        self._ends = ExitStack()
        # One webhook for all of the test: its port, and so its address, stays as the transports change.
        self.transport = self.connect()
        settings = WebSettings(receipt_again=(0.02,) * 500)
        hook = Hook("sms", self.transport, SECRET)
        self.app = webhook_app([hook], self.store, watch, settings=settings)
        self.server = self._ends.enter_context(serve(self.app, port=0))
        self.url = WebSettings(public_url=f"http://127.0.0.1:{self.server.port}").url_of(
            Hook("sms", self.transport, SECRET)
        )

    def connect(self) -> TelstraV2:
        settings = Settings.from_environ(self.emulator.environ())
        transport = TelstraV2(settings, channel="sms", clock=self.watch, door=Door(self.watch))
        self._ends.callback(transport.close)
        return transport

    def receiver(self) -> Receiver:
        return Receiver(self.store, self.transport, "sms", self.watch, random=Random(1))

    def restart(self, push_to: str | bool | None) -> Receiver:
        """Return the receiver of a process started with that setting; False: nothing is configured."""
        self.transport = self.connect()
        if not isinstance(push_to, bool):
            self.transport.push_to(push_to)
        return self.receiver()

    def work(self, *receivers: Receiver) -> None:
        deliverer = Deliverer(self.store, self.transport, "sms", self.watch, random=Random(1))
        drain(receivers, Processor(self.store, self._flows), [deliverer], self.watch)

    def settle(self, receiver: Receiver) -> None:
        """Poll and push until nothing is under way any more."""
        self.work(receiver)
        assert self.emulator.pusher.wait_until_idle(10)
        self.work()
        assert self.emulator.pusher.wait_until_idle(10)

    @property
    def notify_url(self) -> str | None:
        held = self.connect().subscription()
        return held.notify_url if held is not None else None

    def texts(self) -> list[str]:
        return [row.text for row in self.store.inbox()]

    def close(self) -> None:
        self._ends.close()
        self.store.close()


@pytest.fixture(params=[False, True], ids=["polled after the switch", "kept back by the switch"])
def keeps_waiting(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def open_site(watch: Watch, flow: CompiledFlow, **settings: object) -> Iterator[Site]:
    with PushingTelstraV2Emulator(watch, **settings) as emulator:  # type: ignore[arg-type]
        made = Site(watch, emulator, flow)
        yield made
        made.close()


@pytest.fixture
def site(watch: Watch, stopwatch: CompiledFlow) -> Iterator[Site]:
    yield from open_site(watch, stopwatch)


def test_a_conversation_by_push_with_receipts(site: Site) -> None:
    receiver = site.restart(site.url)
    site.settle(receiver)
    assert site.notify_url == site.url
    polls = site.emulator.calls("poll")
    site.emulator.text(SENDER, "START")
    site.settle(receiver)
    site.watch.go_on(seconds=60)
    site.emulator.text(SENDER, "STOP")
    site.settle(receiver)
    assert [each.text for each in site.emulator.sent()] == [
        "The stopwatch is running.",
        "Stopped after 1 min.",
    ]
    for _ in range(500):  # a receipt may overtake the commit of its send; it is then applied a little later
        if {row.status for row in site.store.outbox()} == {Status.DELIVERED}:
            break
        threading.Event().wait(0.02)
    assert [row.status for row in site.store.outbox()] == [Status.DELIVERED] * 2
    assert site.emulator.calls("poll") == polls, "once pushed, texts are no longer polled"
    assert {status for _, status in site.emulator.pusher.answers()} == {204}


def test_switching_with_texts_in_flight_loses_and_doubles_nothing(site: Site) -> None:
    receiver = site.restart(False)
    site.settle(receiver)
    for number in range(3):
        site.emulator.text(SENDER, f"queued {number}")
    receiver = site.restart(site.url)
    switched_at = None
    for number in range(12):  # a text before each poll: before, during and after the switch
        site.emulator.text(SENDER, f"in flight {number}")
        receiver.once(site.watch.now())
        site.watch.go_on(seconds=2)
        if switched_at is None and site.notify_url is not None:
            switched_at = number
    assert switched_at is None, "with a text waiting at every poll there was no moment to switch"
    site.settle(receiver)
    assert site.notify_url == site.url
    site.emulator.text(SENDER, "pushed")
    site.settle(receiver)
    receiver = site.restart(None)
    site.emulator.text(SENDER, "pushed before the switch back")
    assert site.emulator.pusher.wait_until_idle(10)
    receiver.once(site.watch.now())
    assert site.notify_url is None
    site.emulator.text(SENDER, "polled again")
    site.settle(receiver)
    expected = [
        *(f"queued {number}" for number in range(3)),
        *(f"in flight {number}" for number in range(12)),
        "pushed",
        "pushed before the switch back",
        "polled again",
    ]
    assert sorted(site.texts()) == sorted(expected)


def test_a_text_between_the_last_poll_and_the_switch(
    watch: Watch, stopwatch: CompiledFlow, keeps_waiting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for site in open_site(watch, stopwatch, keeps_waiting=keeps_waiting):
        receiver = site.restart(site.url)
        subscribe = site.transport.set_subscription

        def just_before(
            url: str | None, site: Site = site, subscribe: Callable[..., object] = subscribe
        ) -> object:
            site.emulator.text(SENDER, "in between")
            return subscribe(url)

        monkeypatch.setattr(site.transport._switch, "_subscribe", just_before)
        site.settle(receiver)
        assert site.notify_url == site.url
        # Where Telstra gives out nothing while it pushes, the text is there once the number polls again.
        assert site.texts() == ([] if keeps_waiting else ["in between"])
        site.settle(site.restart(None))
        assert site.texts() == ["in between"]


def test_a_text_that_is_pushed_and_polled_is_one(site: Site) -> None:
    receiver = site.restart(site.url)
    site.settle(receiver)
    site.emulator.text(SENDER, "START", message_id="DMASApiA1")
    site.settle(receiver)
    receiver = site.restart(None)
    receiver.once(site.watch.now())
    site.emulator.text(SENDER, "START", message_id="DMASApiA1")
    site.settle(receiver)
    assert site.texts() == ["START"]


def test_a_push_that_could_not_be_stored_comes_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = site.restart(site.url)
    site.settle(receiver)

    def full(*args: object, **named: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(site.store, "accept", full)
        site.emulator.text(SENDER, "START", message_id="M1")
        assert site.emulator.pusher.wait_until_idle(10)
    assert site.texts() == []
    site.emulator.pusher.retry_now()
    assert site.emulator.pusher.wait_until_idle(10)
    assert site.texts() == ["START"]
    assert site.emulator.pusher.answers() == (("M1", 503), ("M1", 204))


# Never by accident


def test_without_a_setting_a_pushed_number_is_left_alone(site: Site) -> None:
    site.settle(site.restart(site.url))
    with pytest.raises(ConfigError, match="subscription poll"):
        site.restart(False).once(site.watch.now())
    assert site.notify_url == site.url


def test_a_number_that_is_pushed_to_somebody_else_is_left_alone(site: Site) -> None:
    other = site.connect()
    other.set_subscription("https://someone.example.com/secret-of-theirs", 30)
    with pytest.raises(ConfigError, match=r"https://someone\.example\.com,") as caught:
        site.restart(site.url).once(site.watch.now())
    assert "secret-of-theirs" not in str(caught.value)
    assert site.notify_url == "https://someone.example.com/secret-of-theirs"


def test_a_new_secret_of_the_same_site_takes_the_place_of_the_old(site: Site) -> None:
    site.settle(site.restart(site.url + "-the-old-one"))
    site.settle(site.restart(site.url))
    assert site.notify_url == site.url


def test_a_restart_changes_nothing_that_is_right(site: Site) -> None:
    site.settle(site.restart(site.url))
    before = site.emulator.calls("subscription")
    site.restart(site.url).once(site.watch.now())
    assert site.emulator.calls("subscription") == before + 1, "it only looked"


def test_somebody_who_switches_it_back_is_noticed(site: Site) -> None:
    receiver = site.restart(site.url)
    site.settle(receiver)
    site.connect().set_subscription(None)
    receiver.once(site.watch.now())
    assert isinstance(receiver.trouble, TransportError)
    assert "no longer pushed" in str(receiver.trouble)
    assert site.notify_url is None


def test_a_number_lost_and_given_anew_is_pushed_again(site: Site) -> None:
    receiver = site.restart(site.url)
    site.settle(receiver)
    site.emulator.text(SENDER, "TIME")
    assert site.emulator.pusher.wait_until_idle(10)
    site.connect().delete_subscription()
    site.work()
    assert len(site.emulator.sent()) == 1
    assert site.notify_url == site.url


# What v3 pushes


def v3(**said: object) -> object:
    request = PushRequest("POST", "", {}, "", json.dumps(said).encode())
    return telstra_v3_push.read_push(request, "sms", Address("+61491570156"), NOON)


def test_a_reply_of_v3() -> None:
    result = v3(
        to="0491570156",
        **{"from": "0400000001"},
        timestamp="2022-11-10T05:06:42.823Z",
        messageId="c0ffee00-1111-2222-3333-444455556666",
        messageContent="TIME \U0001f600 \ud83d",
    )
    (found,) = result.batch.messages  # type: ignore[attr-defined]
    assert (found.sender, found.recipient, found.text) == (
        "+61400000001",
        "+61491570156",
        "TIME \U0001f600 �",
    )
    assert found.sent_at == datetime(2022, 11, 10, 5, 6, 42, 823000, UTC)
    assert found.provider_id == "c0ffee00-1111-2222-3333-444455556666"


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("queued", Status.SENT),
        ("sent", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("expired", Status.EXPIRED),
        ("undeliverable", Status.FAILED),
    ],
)
def test_a_status_of_v3(word: str, status: Status) -> None:
    result = v3(to="0400000001", timestamp="2022-11-10T05:06:42.823Z", messageId="id-1", status=word)
    (receipt,) = result.batch.receipts  # type: ignore[attr-defined]
    assert (receipt.provider_id, receipt.status, receipt.at.year) == ("id-1", status, 2022)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"from": "0400000001"},
        {"messageContent": "x"},
        {"status": "lost", "messageId": "1"},
        {"status": "sent"},
    ],
)
def test_what_v3_cannot_mean_is_set_aside(said: dict[str, object]) -> None:
    result = v3(**said)
    assert len(result.batch.unreadable) == 1  # type: ignore[attr-defined]
