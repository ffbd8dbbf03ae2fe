"""Random operations on each store and on the model: they never disagree."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from convo.engine.conversation import Consent, ConsentKind, Received, Step
from convo.messages import Address, Outbound, Receipt, Status
from convo.store.base import InboxStatus, LastLook, Result, Settlement
from tests.contract.conftest import KINDS, Database, Opened
from tests.contract.model import Model, Out
from tests.contract.pieces import CHANNEL, at, conversation, text
from tests.postgres import Databases

PEOPLE = [Address(f"+6140000000{number}") for number in range(3)]
MESSAGES = st.builds(
    text,
    st.sampled_from(["START", "TIME", "\x00", "STOP"]),
    sender=st.sampled_from(PEOPLE),
    identity=st.sampled_from(["", "a", "b", "c", "d"]),
    sent=st.sampled_from([None, 0.0, 1.0, 2.0]),
)


class Comparison(RuleBasedStateMachine):
    """One store beside the model."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.opened = self.opened_anew()
        self.model = Model()
        self.now = 10.0
        self.sent = 0

    def opened_anew(self) -> Opened:
        """Make a store that holds nothing."""
        return KINDS[self.kind](Path(self.folder.name))

    def teardown(self) -> None:
        """Let go of the files."""
        self.opened.store.close()
        self.folder.cleanup()

    @rule(messages=st.lists(MESSAGES, max_size=4), cursor=st.sampled_from([None, "c1", "c2"]))
    def accept(self, messages: list, cursor: str | None) -> None:
        """Texts come in."""
        said = self.opened.store.accept(CHANNEL, messages, cursor=cursor, now=at(self.now))
        assert (said.new, said.duplicates) == self.model.accept(messages, cursor)

    @rule(
        fate=st.sampled_from(["done", "dead", "retry"]),
        says=st.lists(st.sampled_from(["one", "two"]), max_size=3),
        held=st.sampled_from([0.0, 30.0]),
        consent=st.sampled_from([None, ConsentKind.OPT_OUT, ConsentKind.OPT_IN]),
    )
    def step(self, fate: str, says: list[str], held: float, consent: ConsentKind | None) -> None:
        """The oldest text is stepped, or cannot be."""
        rows = self.opened.store.claim(1)
        mine = self.model.waiting()
        assert bool(rows) == bool(mine)
        if not rows:
            return
        waiting, row = rows[0], mine[0]
        assert isinstance(waiting.event, Received)
        assert (waiting.sender, waiting.event.text, waiting.attempts) == (row.sender, row.text, row.attempts)
        assert waiting.opted_out is self.model.opted_out.get(row.sender, False)
        if fate == "retry":
            row.attempts += 1
            self.opened.store.commit([Result(waiting, retry="once more")], at(self.now))
            return
        row.status = fate
        if fate == "dead":
            row.attempts += 1
            self.opened.store.commit([Result(waiting, dead="no")], at(self.now))
            return
        count = self.model.steps[row.sender] = self.model.steps.get(row.sender, 0) + 1
        due = self.now + held
        outbound = tuple(
            Outbound(CHANNEL, waiting.sender, words, not_before=at(due) if held else None) for words in says
        )
        made = Step(conversation(waiting.sender, steps=count), waiting.event, at(0), outbound=outbound)
        if consent is not None:
            made = replace(made, consent=(Consent(CHANNEL, waiting.sender, consent, at(0)),))
            self.model.opted_out[row.sender] = consent is ConsentKind.OPT_OUT
        self.model.outbox += [Out(row.sender, words, next_at=due) for words in says]
        self.opened.store.commit([Result(waiting, (made,))], at(self.now))

    @rule(limit=st.integers(1, 3), result=st.sampled_from([Status.SENT, Status.QUEUED, Status.UNKNOWN, None]))
    def deliver(self, limit: int, result: Status | None) -> None:
        """Rows leave, and the provider says something, or we die before it does (None)."""

        def allows(look: LastLook) -> str | None:
            return "opted out" if look.opted_out else None

        rows = self.opened.store.mark_sending(CHANNEL, at(self.now), limit, allows)
        mine = self.model.mark(self.now, limit)
        assert [(row.outbound.recipient, row.outbound.text) for row in rows] == [
            (row.recipient, row.text) for row in mine
        ]
        for row, its in zip(rows, mine, strict=True):
            if result is None:
                continue
            self.sent += 1
            provider_id = f"p{self.sent}" if result is not Status.QUEUED else ""
            retry = at(self.now + 5) if result is Status.QUEUED else None
            self.opened.store.settle(
                [Settlement(row.outbound.id, result, provider_id, retry_at=retry)], at(self.now)
            )
            its.status, its.provider_id = result, provider_id or its.provider_id
            if retry is not None:
                its.next_at = self.now + 5

    @rule(number=st.integers(1, 5), status=st.sampled_from([Status.SENT, Status.DELIVERED, Status.FAILED]))
    def receipt(self, number: int, status: Status) -> None:
        """A receipt comes, perhaps of nothing."""
        said = self.opened.store.receipts([Receipt(CHANNEL, f"p{number}", status)], at(self.now))
        assert said == self.model.receipt(f"p{number}", status)

    @rule(seconds=st.sampled_from([1.0, 6.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule()
    def restart(self) -> None:
        """The process dies and comes again."""
        store = self.opened.again()
        assert store.recover(at(self.now)) == self.model.recover()

    @invariant()
    def agrees(self) -> None:
        """Inbox and outbox stand alike."""
        store = self.opened.store
        assert [row.status.value for row in store.inbox()] == [row.status for row in self.model.inbox]
        assert [(row.outbound.text, row.status) for row in store.outbox()] == [
            (row.text, row.status) for row in self.model.outbox
        ]
        assert store.cursor(CHANNEL) == self.model.cursor
        assert len(store.inbox(InboxStatus.DEAD)) == sum(row.status == "dead" for row in self.model.inbox)


class FileComparison(Comparison):
    """The same with a file."""

    kind = "sqlite"


def test_a_database_and_the_model_never_disagree(postgres: Databases) -> None:
    """The same with databases, which a fixture lends."""

    class DatabaseComparison(Comparison):
        def opened_anew(self) -> Opened:
            return Database(postgres.new())

        def teardown(self) -> None:
            super().teardown()
            postgres.take_back()

    run_state_machine_as_test(DatabaseComparison, settings=settings(QUICK, max_examples=12))


QUICK = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMemory = Comparison.TestCase
TestMemory.settings = QUICK
TestFile = FileComparison.TestCase
TestFile.settings = settings(QUICK, max_examples=25)
