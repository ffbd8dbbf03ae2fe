"""The list of ``convo start --csv``: whom to text, as spreadsheets write it."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from convo.errors import ConfigError

if TYPE_CHECKING:
    from convo.flow.model import Flow

NUMBER = "number"
_DELIMITERS = (",", ";", "\t")
_SEPARATOR = re.compile(r"sep=([,;\t])\s*")
"""Excel's own first line, which says what stands between two cells."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number as it was written: ``place`` says where, ``given`` is what stands beside it.

    ``typed``: by the operator themselves, so that it may be said in full.
    """

    place: str
    number: str = field(repr=False)
    given: Mapping[str, str] = field(repr=False)
    typed: bool = False


def read_people(file: Path, flow: Flow) -> list[Row]:
    """Return the rows of a list, each named by its line; blank cells give nothing, blank lines are skipped.

    The number stands in the column ``number``, or else in the first; a column without a name is empty.

    Raises:
        ConfigError: it cannot be read, has no header, or a column that is neither number nor data.
    """
    import csv

    text, first = _text_of(file), 1
    head, _, rest = text.partition("\n")
    said = _SEPARATOR.fullmatch(head)
    if said:
        text, first = rest, 2
    delimiter = said[1] if said else max(_DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    header: list[str] = []
    line, number, columns = first, 0, dict[str, int]()
    try:
        for cells in reader:
            place = f"{file}, line {line}"
            if not header:
                header = [cell.strip() for cell in cells]
                if header:
                    number, columns = _columns(header, place, flow)
            elif any(cell.strip() for cell in cells):
                rows.append(_row(cells, place, header, number, columns))
            line = first + reader.line_num
    except csv.Error as wrong:
        told = str(wrong)
        if "unexpected end" in told:
            told = "a quoted cell begins here, and the quote that should end it is missing"
        raise ConfigError(f"{file}, line {line}: {told}") from None
    if not header:
        raise ConfigError(f"{file} is empty; its first line names the columns: number, and data of the flow")
    return rows


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as wrong:
        raise ConfigError(f"{file}: {(wrong.strerror or str(wrong)).lower()}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8; save it as 'CSV UTF-8'") from None


def _columns(header: Sequence[str], place: str, flow: Flow) -> tuple[int, dict[str, int]]:
    """Return where the number stands, and where each name of the flow's data does."""
    from convo.flow.given import known_name
    from convo.messages import NotANumber, to_address

    for cell in header:
        try:
            to_address(cell, flow.country or "AU")
        except NotANumber:
            continue
        raise ConfigError(
            f"{place} is a person already; it has to name the columns: number, and data of the flow"
        )
    number = next((at for at, cell in enumerate(header) if cell.lower() == NUMBER), 0)
    names = [name for at, name in enumerate(header) if name and at != number]
    if len(set(names)) != len(names):
        raise ConfigError(f"{place}: two columns have one name")
    for name in names:
        try:
            known_name(flow, name)
        except ConfigError as unknown:
            raise ConfigError(f"{place}: {unknown}") from None
    return number, {name: at for at, name in enumerate(header) if name and at != number}


def _row(
    cells: Sequence[str], place: str, header: Sequence[str], number: int, columns: Mapping[str, int]
) -> Row:
    for at, cell in enumerate(cells):
        if cell.strip() and at != number and not (at < len(header) and header[at]):
            raise ConfigError(f"{place}: the header has no name for cell {at + 1}")
    given = {name: cells[at] for name, at in columns.items() if at < len(cells) and cells[at].strip()}
    return Row(place, cells[number] if number < len(cells) else "", given)
