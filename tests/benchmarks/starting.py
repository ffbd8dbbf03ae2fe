"""How long ``python -m convo --help`` takes, beside Python that does nothing."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.benchmarks.figures import Figure, median


def figures(quick: bool) -> list[Figure]:
    """Measure both in turn, as whole processes."""
    helped, empty = [], []
    for _ in range(3 if quick else 11):
        for times, command in ((helped, ["-m", "convo", "--help"]), (empty, ["-c", "pass"])):
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            times.append(time.perf_counter() - started)
    return [
        Figure(
            "convo --help",
            f"{median(helped):.2f} s ({median(helped) / median(empty):.1f}× of Python doing nothing)",
            "must < 0.3 s",
            "a whole process",
        )
    ]
