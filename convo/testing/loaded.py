"""Machines of flow files, compiled once for as long as no file beside them changes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from convo.engine.machine import CompiledFlow, compile_flow
from convo.flow.parse import load_flow

MOST = 32
"""So many machines are kept."""

Stamps = tuple[tuple[str, int, int], ...]

_kept: dict[tuple[str, Path], tuple[Stamps, CompiledFlow]] = {}


def machine_of(path: Path) -> CompiledFlow:
    """Return the flow of a file as a Machine; one that was compiled before where nothing has changed.

    A Machine holds nothing of any sender, so tests may share it.

    Raises:
        FlowError: the file, or one that belongs to it, has problems.
    """
    key, stamps = (str(path), path.absolute()), stamps_of(path)
    found = _kept.get(key)
    if found is not None and found[0] == stamps:
        return found[1]
    compiled = compile_flow(load_flow(path))
    if len(_kept) >= MOST:
        _kept.pop(next(iter(_kept)))
    _kept[key] = (stamps, compiled)
    return compiled


def forget() -> None:
    """Keep no machine any more."""
    _kept.clear()


def stamps_of(path: Path) -> Stamps:
    """Return what changes where the flow, or a file beside it that may belong to it, is saved."""
    found = []
    # os.scandir: a test asks before each text, and a glob takes three times as long.
    with suppress(OSError), os.scandir(path.absolute().parent) as entries:
        for each in entries:
            if each.name.endswith(".yaml") and not each.name.endswith(".test.yaml"):
                with suppress(OSError):
                    stat = each.stat()
                    found.append((each.name, stat.st_mtime_ns, stat.st_size))
    return tuple(sorted(found))
