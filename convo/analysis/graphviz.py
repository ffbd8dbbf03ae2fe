"""The only door to Graphviz: its program ``dot``, which lays pictures out."""

from __future__ import annotations

import shutil
import subprocess

from convo.errors import ConfigError

PATIENCE = 30
"""Seconds that ``dot`` may take."""


def has_dot() -> bool:
    """Return whether the program ``dot`` is there."""
    return shutil.which("dot") is not None


def draw(source: str, form: str) -> bytes:
    """Return a picture in DOT as ``svg`` or ``png``.

    Raises:
        ConfigError: Graphviz is not installed, or could not draw it.
    """
    program = shutil.which("dot")
    if program is None:
        raise ConfigError(
            f"{form} is drawn by the program dot, which is not here: install Graphviz"
            " (apt install graphviz, brew install graphviz), or choose --format mermaid or dot"
        )
    size = ["-Gdpi=110"] if form == "png" else []
    try:
        found = subprocess.run(  # noqa: S603 - a program found by its name, with arguments of ours
            [program, f"-T{form}", *size],
            input=source.encode(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise ConfigError(f"dot did not draw the picture ({type(problem).__name__})") from None
    if found.returncode != 0:
        raise ConfigError(f"dot did not draw the picture (it ended with {found.returncode})")
    return found.stdout
