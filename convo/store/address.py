"""What names a store: ``memory``, the path of a file, or the address of a PostgreSQL database."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit


def is_postgres(spec: str | Path) -> bool:
    """Return whether a store is named by the address of a PostgreSQL database."""
    return str(spec).startswith(("postgresql://", "postgres://"))


def shown(spec: str | Path) -> str:
    """Return what names a store fit for a log or a message: without a password."""
    if not is_postgres(spec):
        return str(spec)
    try:
        parts = urlsplit(str(spec))
    except ValueError:
        return re.sub(r"//.*@", "//", str(spec))
    user, at, place = parts.netloc.rpartition("@")
    asked = parse_qsl(parts.query)
    kept = [(name, value) for name, value in asked if name not in ("password", "passfile", "sslpassword")]
    query = parts.query if len(kept) == len(asked) else urlencode(kept, safe="/")
    whose = user.partition(":")[0] + at
    return f"{parts.scheme}://{whose}{place}{parts.path}" + (f"?{query}" if query else "")
