"""The CSV of a saved chart. Pure.

What its columns are depends on the chart. Amplitude puts a tab before texts, so that a spreadsheet takes none for a formula, and may
put a title above the columns.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any, Final

__all__ = ["read_csv"]

_WHOLE: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?", re.ASCII)


def read_csv(text: str) -> tuple[dict[str, list[Any]], str]:
    """Return the columns of a CSV, and the title above them.

    The columns begin with the first line that is as long as any; what stands above is the title. A column whose cells are all numbers
    is one of numbers; empty cells are ``None``. Columns without a name, or with the same, are numbered.

    Raises:
        ValueError: It is no CSV.
    """
    try:
        lines = [[cell.removeprefix("\t").strip() for cell in line] for line in csv.reader(io.StringIO(text, newline=""))]
    except csv.Error as fault:
        message = f"no CSV ({fault})"
        raise ValueError(message) from None
    lines = [line for line in lines if any(line)]
    # Lines may end in commas with nothing behind, the header or the others.
    width = max(map(_width, lines), default=0)
    top = next((index for index, line in enumerate(lines) if len(line) >= width), 0)
    title = "\n".join(", ".join(filter(None, line)) for line in lines[:top])
    header, *rows = [(line + [""] * width)[:width] for line in lines[top:]] or [[]]
    return {name: _values([row[index] for row in rows]) for index, name in enumerate(_names(header))}, title


def _width(line: list[str]) -> int:
    return max(position for position, cell in enumerate(line, 1) if cell)


def _names(header: list[str]) -> list[str]:
    names: list[str] = []
    for position, cell in enumerate(header, 1):
        name, number = cell or f"column_{position}", 2
        while name in names:
            name, number = f"{cell or 'column'}_{number}", number + 1
        names.append(name)
    return names


def _values(cells: list[str]) -> list[Any]:
    filled = [cell for cell in cells if cell]
    if filled and all(_WHOLE.fullmatch(cell) for cell in filled):
        return [int(cell) if cell else None for cell in cells]
    if filled and all(_NUMBER.fullmatch(cell) for cell in filled):
        return [float(cell) if cell else None for cell in cells]
    return [cell or None for cell in cells]
