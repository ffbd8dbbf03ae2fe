"""All benchmarks, side by side in one run: ``python -m tests.benchmarks`` prints a table.

Figures are ratios of things measured in turn in the same run, so that they mean something on any machine.
``--quick`` takes small numbers, to see that everything works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from tests.benchmarks import answering, durable, memory, naive, postgres, starting, trying, webhook
from tests.benchmarks.figures import HEADER, Figure, row


def main() -> None:
    """Run them and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers; the figures mean nothing")
    parser.add_argument("--only", default="", help="only benchmarks whose name contains this")
    options = parser.parse_args()
    every: list[tuple[str, Callable[[bool], Iterable[Figure]]]] = [
        ("durable", durable.figures),
        ("share", durable.shares),
        ("memory", memory.figures),
        ("answering", answering.figures),
        ("postgres", postgres.figures),
        ("naive", naive.figures),
        ("webhook", webhook.figures),
        ("help", starting.figures),
        ("check and explore", trying.figures),
    ]
    sys.stdout.write(f"{_machine()}\n\n{HEADER}")
    for name, measure in every:
        if options.only in name:
            for figure in measure(options.quick):
                sys.stdout.write(row(figure))
                sys.stdout.flush()
    sys.stdout.write(f"\nLoad of the machine at the end: {os.getloadavg()[0]:.1f}\n")


def _machine() -> str:
    """Say when and on what this was measured, and what else the machine had to do."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.python_implementation()} {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores {platform.machine()},"
        f" load before the start {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
