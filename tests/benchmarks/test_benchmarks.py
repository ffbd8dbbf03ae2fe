"""The benchmarks run; what they find is for people to judge, never for an assertion."""

from __future__ import annotations

import tempfile

import pytest

from convo.testing.world import IN_RAM
from tests.benchmarks.__main__ import main


@pytest.mark.parametrize(("name", "rows"), [("durable", 4), ("share", 3), ("naive", 1)])
def test_a_table_comes_of_it(
    name: str, rows: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", IN_RAM)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--quick", "--only", name])
    main()
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith("| ")][2:]
    assert len(table) == rows
    assert all(line.count(" | ") == 3 for line in table)
