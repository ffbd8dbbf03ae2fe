"""What every transport must do, as a class of tests to subclass. Public; docs/adding_a_transport.md.

A subclass has a fixture ``world`` that returns a ``ContractWorld``: the transport, and a stand-in of the
provider.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from convo.errors import TransportError
from convo.messages import Address, Inbound, Outbound
from convo.transports.base import Batch, RetryLater, Sent, Transport, Unknown

SENDER = Address("+61400000001")
TEXTS = ("hello", "{to} %s ${x}", "é ü ñ €", "नमस्ते 🙂 ok", "x" * 1600, "line one\nline two")
MOST_POLLS = 200


class ContractWorld(Protocol):
    """A transport and a stand-in of its provider, for one test."""

    transport: Transport
    secrets: Sequence[str]
    """What must never be seen in a log or a printed object."""

    def text(self, sender: str, text: str) -> None:
        """Have somebody text our number, so that a poll can bring it."""
        ...

    def sent(self) -> Sequence[tuple[str, str]]:
        """Return recipient and text of everything the provider was handed, oldest first."""
        ...

    def too_fast(self) -> None:
        """Have the next call answered 429."""
        ...

    def hang(self) -> None:
        """Have the provider do what the next send asks and never answer it; the transport waits shortly."""
        ...

    def again(self) -> Transport:
        """Return another transport of the same channel, as after a restart."""
        ...


@dataclass(slots=True)
class _Inbox:
    """What a store keeps of the polls: each message once, by its key."""

    cursor: str | None = None
    held: dict[str, Inbound] = field(default_factory=dict)

    def take(self, batch: Batch) -> None:
        for one in batch.messages:
            self.held.setdefault(one.key or f"new {len(self.held)}", one)
        self.cursor = batch.cursor

    def drain(self, transport: Transport) -> None:
        for _ in range(MOST_POLLS):
            batch = transport.poll(self.cursor)
            self.take(batch)
            if not batch.more:
                return
        raise AssertionError("a transport that always says there is more")

    def texts(self) -> list[str]:
        return [one.text for one in self.held.values()]


class TransportContract:
    """Subclass it, and give it a fixture ``world``."""

    def test_each_text_comes_once_in_order_and_whole(self, world: ContractWorld) -> None:
        """Long and Unicode texts too, with our number format, and nothing after a restart is doubled."""
        world.transport.start()
        inbox = _Inbox()
        inbox.drain(world.transport)
        for text in TEXTS:
            world.text(SENDER, text)
        inbox.drain(world.transport)
        assert inbox.texts() == list(TEXTS)
        assert {one.sender for one in inbox.held.values()} == {SENDER}
        inbox.drain(world.transport)
        inbox.drain(world.again())
        assert inbox.texts() == list(TEXTS)

    @pytest.mark.parametrize("text", TEXTS)
    def test_a_text_leaves_once_and_whole(self, world: ContractWorld, text: str) -> None:
        """And it has an id."""
        world.transport.start()
        result = world.transport.send(Outbound("sms", SENDER, text, id=1))
        assert isinstance(result, Sent)
        assert result.provider_id
        assert list(world.sent()) == [(SENDER, text)]

    def test_too_fast_is_tried_again_later(self, world: ContractWorld) -> None:
        """A send that was refused with 429 did not leave; a poll says so, and loses nothing."""
        world.transport.start()
        world.too_fast()
        assert isinstance(world.transport.send(Outbound("sms", SENDER, "hi", id=1)), RetryLater)
        assert list(world.sent()) == []
        inbox = _Inbox()
        inbox.drain(world.transport)
        world.text(SENDER, "kept")
        world.too_fast()
        with pytest.raises(TransportError):
            world.transport.poll(inbox.cursor)
        inbox.drain(world.transport)
        assert inbox.texts() == ["kept"]

    def test_a_socket_that_hangs_leaves_an_unknown(self, world: ContractWorld) -> None:
        """It may have left, and must not be said to have failed."""
        world.transport.start()
        world.hang()
        assert isinstance(world.transport.send(Outbound("sms", SENDER, "hi", id=1)), Unknown)

    def test_no_secret_number_or_text_is_seen(
        self, world: ContractWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither in logs nor in what is printed."""
        caplog.set_level(logging.DEBUG)
        world.transport.start()
        inbox = _Inbox()
        inbox.drain(world.transport)
        world.text(SENDER, "canary text")
        inbox.drain(world.transport)
        world.too_fast()
        result = world.transport.send(Outbound("sms", SENDER, "canary text", id=1))
        seen = caplog.text + repr(world.transport) + repr(result) + repr(list(inbox.held.values()))
        for secret in (*world.secrets, "canary text", SENDER):
            assert secret not in seen

    def test_it_can_be_closed_twice(self, world: ContractWorld) -> None:
        """And sends nothing afterwards."""
        world.transport.close()
        world.transport.close()
