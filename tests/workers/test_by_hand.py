"""What an operator does by hand on a store in PostgreSQL, while a worker steps: start, why, copy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from convo.messages import Address, Inbound
from convo.store import Store, open_store
from tests.cli.test_operating import convo
from tests.workers.crowd import OURS, ROOT, Crowd, configured, until

FLOW = str(ROOT / "flows" / "stopwatch.yaml")
ANN = Address("+61400000001")


def serving(folder: Path, url: str) -> Path:
    """Write the configuration of a channel that serves the stopwatch."""
    config = configured(folder, url)
    config.write_text(config.read_text(encoding="utf-8").replace("echo.yaml", FLOW), encoding="utf-8")
    return config


def text(words: str) -> Inbound:
    return Inbound("sms", ANN, OURS, words, datetime.now(UTC), None, words, "")


def said(store: Store) -> list[str]:
    return [row.outbound.text for row in store.outbox()]


def test_who_was_started_by_hand_is_stepped_on_by_a_worker_and_explained(
    postgres_url: str, tmp_path: Path
) -> None:
    config = serving(tmp_path, postgres_url)
    store = open_store(postgres_url)
    with Crowd(config) as crowd:
        crowd.start("worker")
        code, told = convo("start", FLOW, "--to", ANN, "--config", str(config))
        assert code == 0, told
        assert until(lambda: len(said(store)) == 1, 20), crowd.told()
        store.accept("sms", [text("START")], cursor=None, now=datetime.now(UTC))
        assert until(lambda: len(said(store)) == 2, 20), crowd.told()
        code, told = convo("start", FLOW, "--to", ANN, "--config", str(config))
        assert (code, "has an open conversation already" in told) == (1, True)
    store.close()
    code, told = convo("why", ANN, "--store", postgres_url, "--flow", FLOW)
    assert (code, "step 2 of 2" in told, "“START”" in told) == (0, True, True), told
    code, told = convo("why", ANN, "--store", postgres_url, "--flow", FLOW, "--step", "1")
    assert (code, "We opened the conversation" in told) == (0, True), told


def test_what_waits_in_a_store_that_was_copied_is_stepped_though_nothing_woke_for_it(
    postgres_url: str, tmp_path: Path
) -> None:
    file = str(tmp_path / "before.db")
    before = open_store(file)
    before.accept("sms", [text("START")], cursor=None, now=datetime.now(UTC))
    before.close()
    code, told = convo("store", "copy", file, postgres_url)
    assert code == 0, told
    with Crowd(serving(tmp_path, postgres_url)) as crowd:
        crowd.start("worker")
        store = open_store(postgres_url)
        assert until(lambda: said(store), 20), crowd.told()
        store.close()
