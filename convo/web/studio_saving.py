"""A chat of the studio becomes a case of a test file."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from convo.analysis.transcripts import SENDER, read_transcripts
from convo.errors import ConfigError
from convo.flow.problems import FlowError

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,.!?'()/+-]*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def case_of(name: str, script: Sequence[tuple[str, ...]]) -> str:
    """Return what happened as a case of a test file, indented to stand below ``cases:``."""
    lines = [f"  {quoted(name)}:"]
    for step in script:
        match step:
            case ("them", number, text, sent):
                key = "them" if number == SENDER else f"from {number}"
                lines.append(f"    - {key}: {quoted(text)}")
                if sent:
                    lines.append(f"      sent: {sent}")
            case ("us", number, text):
                key = "us" if number == SENDER else f"us to {number}"
                lines.append(f"    - {key}: {quoted(text)}")
            case ("start", number, *given):
                key = "start" if number == SENDER else f"start {number}"
                pairs = zip(given[::2], given[1::2], strict=True)
                inside = ", ".join(f"{label}: {quoted(value)}" for label, value in pairs)
                lines.append(f"    - {key}: {{{inside}}}")
            case ("calls", service, result, *values):
                pairs = zip(values[::2], values[1::2], strict=True)
                inside = ", ".join(f"{label}: {quoted(value)}" for label, value in pairs)
                lines.append(f"    - calls: {{{service}: {{{result}: {{{inside}}}}}}}")
            case ("comment", text):
                lines.append(f"    # {text}")
            case ("restart",):
                lines.append("    - restart: ''")
            case (kind, value):
                lines.append(f"    - {kind}: {value}")
            case _:
                raise ValueError(f"no step of a chat: {step[0]}")
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """Return a text as YAML reads it back, in quotes only where it needs them."""
    plain = _PLAIN.fullmatch(text) and not text.endswith(" ") and text.casefold() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def add_case(flow: Path, name: str, case: str) -> Path:
    """Add a case to the test file beside a flow, or begin that file; return its path.

    What is there stays as it is, letter for letter. The file is replaced as a whole, and only where it
    can be read with the new case in it.

    Raises:
        ConfigError: the file cannot be written, or has problems of its own.
    """
    path = flow.with_name(f"{flow.stem}.test.yaml")
    stands = path.read_text(encoding="utf-8") if path.is_file() else f"tests: {flow.stem}\ncases:\n"
    try:
        if path.is_file() and any(each.name == name for each in read_transcripts(path).cases):
            raise ConfigError(f"{path.name} has a case '{name}' already; give this one another name")
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{flow.stem}-", suffix=".part", delete=False
        ) as made:
            made.write(stands.rstrip("\n") + "\n" + case)
        try:
            read_transcripts(Path(made.name))
            Path(made.name).replace(path)
        finally:
            with suppress(FileNotFoundError):
                Path(made.name).unlink()
    except FlowError:
        raise ConfigError(f"{path.name} cannot be read with this case in it; nothing was written") from None
    except OSError as problem:
        raise ConfigError(f"{path.name} cannot be written: {problem.strerror}") from None
    return path
