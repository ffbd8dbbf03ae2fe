"""A chat as it went becomes a case of a test file."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from convo.analysis.transcripts_model import SENDER
from convo.analysis.transcripts_reading import read_transcripts
from convo.errors import ConfigError
from convo.flow.problems import FlowError

Script = Sequence[tuple[str, ...]]
"""What happened, step by step: ``("them", number, text, sent)``, ``("us", number, text)``,
``("start", number, name, value, …)``, ``("calls", service, result, name, value, …)``, ``("restart",)``,
``("comment", text)``, or any other step of a transcript with its value."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,.!?'()/+-]*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def case_of(name: str, script: Script) -> str:
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
                # Line ends count as spaces where a reply is compared, and one line reads better.
                lines.append(f"    - {key}: {quoted(' '.join(text.split()))}")
            case ("start", number, *given):
                key = "start" if number == SENDER else f"start {number}"
                lines.append(f"    - {key}: {{{_pairs(given)}}}")
            case ("calls", service, result, *values):
                lines.append(f"    - calls: {{{service}: {{{result}: {{{_pairs(values)}}}}}}}")
            case ("comment", text):
                lines.append(f"    # {text}")
            case ("restart",):
                lines.append("    - restart: yes")
            case (kind, value):
                lines.append(f"    - {kind}: {value}")
            case _:
                raise ValueError(f"no step of a chat: {step[0]}")
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """Return a text as YAML reads it back, in quotes only where it needs them."""
    plain = _PLAIN.fullmatch(text) and not text.endswith(" ") and text.casefold() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def new_file(flow: Path, cases: Iterable[str]) -> str:
    """Return the text of a new test file for a flow."""
    return f"tests: {flow.stem}\ncases:\n{''.join(cases)}"


def add_case(flow: Path, name: str, case: str, path: Path | None = None) -> Path:
    """Add a case to the test file beside a flow (or to ``path``), or begin that file; return its path.

    What is there stays as it is, letter for letter. The file is replaced as a whole, and only where it
    can be read with the new case in it.

    Raises:
        ConfigError: the file cannot be written, or has problems of its own.
    """
    path = path or flow.with_name(f"{flow.stem}.test.yaml")
    try:
        stands = path.read_text(encoding="utf-8") if path.is_file() else new_file(flow, ())
        if path.is_file():
            there = read_transcripts(path)
            if there.flow.resolve() != flow.resolve():
                raise ConfigError(f"{path.name} tests another flow, {there.flow.name}; name another file")
            if any(each.name == name for each in there.cases):
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
    except (OSError, UnicodeError) as problem:
        why = getattr(problem, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path.name} cannot be written: {why}") from None
    return path


def _pairs(parts: Sequence[str]) -> str:
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return ", ".join(f"{label}: {quoted(value)}" for label, value in pairs)
