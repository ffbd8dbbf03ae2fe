"""All benchmarks, side by side in one run: ``python -m tests.benchmarks`` prints a table.

Figures are ratios of things measured in turn in the same run, so that they mean something on any machine.
``--quick`` takes small numbers, to see that everything works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.benchmarks import answering, durable, memory, naive, starting, trying
from tests.benchmarks.figures import Figure, table


def main() -> None:
    """Run them and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers; the figures mean nothing")
    parser.add_argument("--only", default="", help="only benchmarks whose name contains this")
    options = parser.parse_args()
    every: list[tuple[str, Callable[[bool], list[Figure]]]] = [
        ("durable", durable.figures),
        ("share", durable.shares),
        ("memory", memory.figures),
        ("answering", answering.figures),
        ("naive", naive.figures),
        ("help", starting.figures),
        ("check and explore", trying.figures),
    ]
    found: list[Figure] = []
    for name, measure in every:
        if options.only in name:
            sys.stderr.write(f"{name} …\n")
            found += measure(options.quick)
    sys.stdout.write(table(found))


if __name__ == "__main__":
    main()
