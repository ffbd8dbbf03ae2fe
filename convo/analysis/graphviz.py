"""The only door to Graphviz: its program ``dot`` lays pictures out, or its port in the extra ``pictures``."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig

from convo.analysis.graph_formats import FONT, STAYS
from convo.errors import ConfigError

PATIENCE = 30
"""Seconds that the program may take."""

PORT = "graphviz-pure"
"""The port's program. pip puts it beside Python, where PATH need not lead."""


def has_dot() -> bool:
    """Return whether pictures can be laid out here."""
    return _program() is not None


def draw(source: str, form: str) -> bytes:
    """Return a picture in DOT as ``svg`` or ``png``.

    Raises:
        ConfigError: Graphviz is not installed, or could not draw it.
    """
    program = _program()
    if program is None:
        raise ConfigError(
            f"{form} is drawn by the program dot, which is not here: pip install 'convo[pictures]', or"
            " install Graphviz (apt install graphviz, brew install graphviz), or take --format mermaid or dot"
        )
    if program != shutil.which("dot"):
        # The port measures letters by the fonts that it brings, of which this is one by another name.
        source = source.replace(FONT, "Arial")
        if form == "png":
            source = source.replace(STAYS, "•")  # they have no such arrow
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


def _program() -> str | None:
    """Return Graphviz itself where it is installed, else its port."""
    return shutil.which("dot") or shutil.which(PORT, path=sysconfig.get_path("scripts")) or shutil.which(PORT)
