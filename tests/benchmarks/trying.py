"""How long an author waits: check of 500 states, 1,000 steps of transcripts, explore of each example."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from convo.analysis.transcripts import read_transcripts
from convo.testing.play import play_case
from tests.benchmarks.figures import Figure, median

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(
    path
    for path in [*(ROOT / "flows").glob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")]
    # What the example of an extension knows, only its package knows.
    if path.read_text(encoding="utf-8").startswith("flow: ") and path.stem != "returns"
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


def long_transcript(steps: int) -> str:
    """Return transcripts of the stopwatch with so many steps, ten a case."""
    case = [
        "- them: START",
        "- us: The stopwatch is running.",
        "- wait: 60s",
        "- them: TIME",
        "- us: 1 min so far.",
        "- wait: 32s",
        "- them: STOP",
        "- us: Stopped after 1 min 32 s.",
        "- state: stopped",
        "- nothing: yes",
    ]
    lines = ["tests: stopwatch", "cases:"]
    for index in range(steps // len(case)):
        lines += [f"  case {index}:", *(f"    {step}" for step in case)]
    return "\n".join(lines) + "\n"


def figures(quick: bool) -> list[Figure]:
    """Measure whole processes, as an author waits for them."""
    times = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.yaml"
        large.write_text(large_flow(60 if quick else 500), encoding="utf-8")
        checked = _seconds(["check", str(large), "--strict"], times)
        shutil.copy(ROOT / "flows" / "stopwatch.yaml", folder)
        transcripts = Path(folder) / "stopwatch.test.yaml"
        transcripts.write_text(long_transcript(100 if quick else 1_000), encoding="utf-8")
        played = _played(transcripts, times)
    explored = {path.stem: _seconds(["explore", str(path)], times) for path in EXAMPLES}
    slowest = max(explored, key=explored.__getitem__)
    return [
        Figure("check, 500 states", f"{checked:.2f} s", "must < 2 s", "a whole process"),
        Figure(
            "1,000 transcript steps",
            f"{played:.2f} s",
            "must < 1 s",
            "without the start of Python; 100 cases, each played twice",
        ),
        Figure(
            "explore, the slowest example",
            f"{explored[slowest]:.2f} s ({slowest})",
            "must < 5 s",
            f"a whole process; all {len(explored)} examples together {sum(explored.values()):.1f} s",
        ),
    ]


def _played(path: Path, times: int) -> float:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        transcripts = read_transcripts(path)
        for case in transcripts.cases:
            play_case(case, transcripts)
        found.append(time.perf_counter() - started)
    return median(found)


def _seconds(arguments: list[str], times: int) -> float:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "convo", *arguments], check=True, capture_output=True)
        found.append(time.perf_counter() - started)
    return median(found)
