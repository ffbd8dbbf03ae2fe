"""Reads bad flow files in a process of its own, which may not open, import or connect to anything any more.

``python -m tests.hostile.reading SEED COUNT`` prints as JSON what came of it: how many files were refused,
the slowest and the hungriest of them, and everything that must not be.
"""

from __future__ import annotations

import gc
import json
import random
import re
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from convo.engine.conversation import Received
from convo.engine.machine import compile_flow
from convo.engine.opening import ChannelFlows, answer
from convo.errors import ConvoError
from convo.flow.parse import parse_flow
from convo.flow.problems import FlowError
from convo.flow.reader import read_text
from convo.messages import Address

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
SECONDS, MEGABYTES = 1.0, 100
"""What one file may cost: time of the processor, and memory."""
FORBIDDEN = ("open", "import", "os.", "socket.", "subprocess.", "ctypes.", "shutil.", "urllib.", "glob.")
LISTS = re.compile(
    r"/zoneinfo(/|$)|/tzdata(/|$)|/[^/]+\.(dist|egg)-info/entry_points\.txt$|/python\d+\.zip$|/importlib/"
)
"""What a name in a flow is looked up in: the tables of time zones and the list of installed plugins."""
UNKNOWN = (
    "flow: f\nstates:\n  a:\n    ask: Hm?\n    answer: pattern [A-Z]{3}\n",
    "flow: f\nstates:\n  a:\n    ask: Hm?\n    answer: nonsense\n",
    "flow: f\ndata: {x: 1}\nstates:\n  a:\n    reply: ${x | nonsense}\n    end: e\n",
)
TEXTS = ("hello", "START", "1", "yes", "4/3", "${now}", "STOP")
PIECES = (
    *(
        "{",
        "}",
        "[",
        "]",
        "${",
        "}",
        "{%",
        "%}",
        "{{",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\n      ",
        "'",
        '"',
        "|",
        ">",
    ),
    *("#", "&a ", "*a", "!!python/object:os.system ", "<<: ", "\t", "\0", "\ud800", "\u202e", "9" * 300),
    *(
        "if: ",
        "set: ",
        "goto: ",
        "reply: ",
        "ask: ",
        "answer: ",
        "call: ",
        "run: ",
        "end: ",
        "after: ",
        "at: ",
    ),
    *("__class__", "lipsum", "x.y", "f()", "1/0", "10**99", "(((", "a if b else c", "pattern (a+)+$"),
)


def bombs() -> dict[str, str | bytes]:
    """Return files that were made to be too much."""
    names = [f"s{number}" for number in range(1_500)]
    jumps = "".join(f"  {name}:\n    triggers: {{A: {names[at - 1]}}}\n" for at, name in enumerate(names))
    steps = "".join(f"  {name}:\n    goto: {names[at - 1]}\n" for at, name in enumerate(names))
    nested = "x" + " + x" * 90
    return {
        "aliases": "a: &a [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n}, *a{n}]\n" for n in range(3_000)),
        "depth": "[" * 100_000,
        "depth in lines": "\n".join("  " * level + "a:" for level in range(340)),
        "size": "# " + "x" * 10_000_000,
        "keys": "".join(f"k{n}: v\n" for n in range(12_000)),
        "states": "flow: f\nstates:\n" + jumps,
        "circle": "flow: f\nstates:\n" + steps,
        "words": "flow: f\nstates:\n  a:\n    triggers:\n"
        + "".join(f"      W{n}: a\n" for n in range(7_000)),
        "one long list of words": "flow: f\nstates:\n  a:\n    triggers:\n"
        + "".join(f"      {', '.join(f'W{m}x{n}' for m in range(900))}: a\n" for n in range(14)),
        "templates": "flow: f\ndata: {x: 0}\nstates:\n  a:\n    triggers:\n"
        + "".join(f"      W{n}: {{reply: '${{{nested}}}'}}\n" for n in range(250)),
        "deep template": "flow: f\ndata: {x: 0}\nstates:\n  a:\n    triggers:\n      W: {reply: '${"
        + "(" * 900
        + "x"
        + ")" * 900
        + "}'}\n",
        "patterns": "flow: f\nstates:\n  a:\n    triggers:\n"
        + "".join(f"      pattern (a|a{n})*b{{1,99}}(c+)+: a\n" for n in range(1_500)),
        "choices": "flow: f\nstates:\n  a:\n    ask: Which?\n    choices:\n"
        + "".join(f"      c{n}: Choice number {n}\n" for n in range(3_500)),
        "bytes": bytes(range(256)) * 400,
        "half a surrogate": "flow: f\nabout: \ud800\n" * 2_000,
        "another zone": "flow: f\nzone: ../../../../../etc/passwd\nstates: {a: {end: e}}\n",
        "another file": "flow: f\nstates:\n  a:\n    run: ../../../../../etc/passwd\n    goto: {else: a}\n",
        "a number too long": f"flow: f\ndata: {{x: {'9' * 1_900}}}\nstates: {{a: {{end: e}}}}\n",
        "nothing": "",
    }


def mutants(seed: int, count: int) -> Iterator[str]:
    """Yield good flows with something wrong, and heaps of scraps."""
    chance = random.Random(seed)
    good = [path.read_text(encoding="utf-8") for path in flows()]
    for number in range(count):
        if number % 10 == 0:
            yield "".join(chance.choice(PIECES) for _ in range(chance.randrange(200)))
            continue
        text = chance.choice(good)
        for _ in range(chance.randrange(1, 6)):
            at, size = chance.randrange(len(text)), chance.randrange(1, 40)
            other = chance.choice(
                (chance.choice(PIECES), chance.choice(PIECES), text[at : at + size] * 2, "")
            )
            text = text[:at] + other + text[at + chance.choice((0, 1, size)) :]
        yield text


def flows() -> list[Path]:
    """Return the flows that are shipped, but for twins, which are nothing alone."""
    found = [*(ROOT / "flows").glob("*.yaml"), *(ROOT / "examples").glob("*/*.yaml")]
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(found)}
    return [path for path, text in texts.items() if "\nflow:" in f"\n{text}" and "translates" not in text]


def lived(text: str | bytes) -> bool:
    """Read a flow and let somebody write to it; whether it could be read."""
    try:
        compiled = compile_flow(parse_flow(read_text(text, "bad.yaml")))
    except FlowError as refused:
        if not refused.problems or any(each.position.line < 1 for each in refused.problems):
            raise AssertionError("a refusal without a place") from None
        str(refused)
        return False
    flow = ChannelFlows("sms", {compiled.flow.name: compiled}, compiled.flow.name)
    conversation = None
    for words in TEXTS:
        try:
            event = Received(words, NOW, NOW)
            steps = answer(flow, Address("+61400000001"), conversation, event, NOW, opted_out=False)
        except ConvoError:
            continue
        conversation = steps[-1].conversation if steps else conversation
    return True


def main(seed: int, count: int) -> dict[str, object]:
    """Read them all."""
    files = [*bombs().items(), *((f"mutant {at}", text) for at, text in enumerate(mutants(seed, count)))]
    # Whatever is imported late is imported now, and plugins are looked for where a name is unknown.
    for text in (*(path.read_text(encoding="utf-8") for path in flows()), *UNKNOWN):
        lived(text)
    events: set[str] = set()
    watching = False

    def hook(event: str, given: tuple[object, ...]) -> None:
        about = str(given[0]) if given else ""
        listed = event in ("open", "os.listdir", "os.scandir", "os.walk") and LISTS.search(about)
        if watching and event.startswith(FORBIDDEN) and not listed and not about.startswith("importlib."):
            events.add(f"{event} {about}")

    sys.addaudithook(hook)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEGABYTES * 2**20, resource.RLIM_INFINITY))
    odd: list[str] = []
    refused, slowest = 0, (0.0, "")
    for name, text in files:
        began = time.process_time()
        watching = True
        try:
            refused += not lived(text)
        except BaseException as problem:
            odd.append(f"{name}: {type(problem).__name__}: {problem}"[:300])
        watching = False
        slowest = max(slowest, (time.process_time() - began, name))
        if not name.startswith("mutant"):
            gc.collect()
    seen = set(events)
    watching = True
    Path(__file__).open().close()
    watching = False
    return {
        "files": len(files),
        "refused": refused,
        "slowest": slowest,
        "odd": odd,
        "events": sorted(seen),
        "notices": sorted(events - seen),
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
