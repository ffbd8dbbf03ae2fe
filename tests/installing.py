"""An example package as if an installer had put it there: on the path, its entry points written down."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path


def installed(example: Path, folder: Path) -> dict[str, str]:
    """Return an environment in which the package of ``example`` is installed; ``folder`` is to write into."""
    project = tomllib.loads((example / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in found.items())
        for group, found in project["entry-points"].items()
    )
    info.joinpath("entry_points.txt").write_text(points)
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(example)))}
