"""How long ``convo check`` takes on a flow of 500 states, and ``convo explore`` on each example."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Figure, median

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = (
    *("appointment", "bilingual_intake", "clinic_visit", "hotline", "medication_diary", "pizza_order"),
    *("quiz", "stopwatch_carrier_safe"),
)


def large_flow(count: int) -> str:
    """Return a flow of ``count`` states: questions of three kinds, command states, timers, branches, ends."""
    asked = count - 2
    lines = ["flow: large", "every_question:", "  tries: 2", "  out_of_tries: gave_up"]
    lines += ["anywhere:", "  HELP:", "    reply: Send what you are asked for.", "states:"]
    for index in range(asked):
        here, (following, further) = (
            f"q{index}",
            (f"q{index + ahead}" if index + ahead < asked else "done" for ahead in (1, 2)),
        )
        kinds = (
            f"ask: How many?\n    answer: number 1 to 9\n    goto:\n      {here} <= 3: {following}\n"
            f"      else: {further}",
            f"ask: Which?\n    choices: [Apple, Banana, Cherry]\n    goto:\n      Apple: {further}\n"
            f"      else: {following}",
            f"ask: Is it so?\n    answer: yes or no\n    remind: 24h\n    goto: {following}",
            f"triggers:\n      GO: {following}\n      WAIT:\n        reply: I wait.\n    after:\n"
            f"      24h: {following}",
        )
        lines += [f"  {here}:", f"    {kinds[index % 4]}"]
    lines += ["  gave_up:", "    reply: Enough.", "    end: gave up"]
    lines += ["  done:", "    reply: Thank you.", "    end: complete"]
    return "\n".join(lines) + "\n"


def figures(quick: bool) -> list[Figure]:
    """Measure whole processes, as an author waits for them."""
    times = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.yaml"
        large.write_text(large_flow(60 if quick else 500), encoding="utf-8")
        checked = _seconds(["check", str(large), "--strict"], times)
    explored = {
        name: _seconds(["explore", str(ROOT / "examples" / name / f"{name}.yaml")], times)
        for name in EXAMPLES
    }
    slowest = max(explored, key=explored.__getitem__)
    return [
        Figure("check, 500 states", f"{checked:.2f} s", "must < 2 s", "a whole process"),
        Figure(
            "explore, the slowest example",
            f"{explored[slowest]:.2f} s ({slowest})",
            "must < 5 s",
            f"a whole process; all {len(explored)} examples together {sum(explored.values()):.1f} s",
        ),
    ]


def _seconds(arguments: list[str], times: int) -> float:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "convo", *arguments], check=True, capture_output=True)
        found.append(time.perf_counter() - started)
    return median(found)
