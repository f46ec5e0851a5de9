"""What came, as people or programs read it: tables and charts, JSON, CSV.

Answers go to standard output, everything else to standard error.

Text from outside is shown without what a terminal would take for commands, and never read as markup. What is not a terminal gets
tables as wide as they are, so that nothing is cut in a pipe; on a terminal too narrow for a table each row is a block of lines.

In a pipe or a file there is UTF-8, whatever the locale says, unless ``PYTHONIOENCODING`` wants something else. What a terminal has no
letter for becomes one that it has.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from amplitude_async.cli.exits import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    from rich.console import RenderableType

__all__ = [
    "CsvLines",
    "JsonArray",
    "as_text",
    "columns_that_fit",
    "drawn",
    "err_console",
    "note",
    "out_console",
    "print_csv",
    "print_json",
    "print_lines",
    "print_table",
    "table_of",
]

PIPE_WIDTH: Final = 10_000
_PLAIN: Final = {
    **dict.fromkeys((*range(0x2801, 0x2900), *map(ord, "▏▎▍▌▋▊▉█■")), "*"),
    **{ord(fancy): plain for fancy, plain in zip("⠀│└─…", " |+-.", strict=True)},
}
"""What charts are drawn with where there is nothing but ASCII."""
CHART_WIDTH: Final = 100
"""How wide a chart is where no terminal says otherwise."""
_LONGEST_CELL: Final = 200
_BETWEEN: Final = 2
"""Blanks between two columns."""


class _Console(Console):
    """A console that leaves a broken pipe to the program, which ends in silence."""

    def on_broken_pipe(self) -> None:
        """Pass it on."""
        raise BrokenPipeError


def out_console() -> Console:
    """Return the console on standard output."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return _Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def help_console() -> Console:
    """Return the console that help is printed on: as wide as a page where there is no terminal."""
    return _Console(file=sys.stdout)


def err_console() -> Console:
    """Return the console on standard error."""
    return _Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def note(text: str) -> None:
    """Say something that is not the answer."""
    print(one_line(text), file=sys.stderr, flush=True)  # noqa: T201 - a program that talks to its user


def print_lines(*lines: str) -> None:
    """Print lines of our own."""
    for line in lines:
        print(line)  # noqa: T201 - a program that talks to its user
    sys.stdout.flush()


def print_json(value: object) -> None:
    """Print one JSON document."""
    print(_json(value, indent=2))  # noqa: T201 - a program that talks to its user
    sys.stdout.flush()


def _json(value: object, *, indent: int | None) -> str:
    """Return JSON, in which letters that cannot be written are escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=_plain)
    return text if _can_write(text) else json.dumps(value, indent=indent, default=_plain)


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print comma-separated rows under a head."""
    CsvLines(columns).add(rows)


class CsvLines:
    """Prints comma-separated rows under a head, as they come.

    Args:
        columns: The head.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        self.add([dict(zip(columns, columns, strict=True))])

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Print rows."""
        for row in rows:
            self._writer.writerow([_cell(row.get(name)) for name in self._columns])
        sys.stdout.flush()


class JsonArray:
    """Prints rows as a JSON array, one a line, as they come. A context manager."""

    def __init__(self) -> None:
        self._has_rows = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None:
            print("\n]" if self._has_rows else "[]", flush=True)  # noqa: T201 - a program that talks to its user

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Print rows."""
        for row in rows:
            print(",\n" if self._has_rows else "[\n", _json(row, indent=None), sep="", end="")  # noqa: T201 - as above
            self._has_rows = True
        sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Print rows under a head, numbers to the right; or row by row, where the words of a row do not fit beside one another."""
    made: RenderableType = table_of(columns, rows)
    if rows and columns_that_fit(columns, rows) < len(columns):
        pad = max(cell_len(as_text(name)) for name in columns)
        blocks = [
            Text("\n").join(
                Text(f"{as_text(name)}{' ' * (pad - cell_len(as_text(name)))}  {as_text(row[name])}")
                for name in columns
                if row.get(name) is not None
            )
            for row in rows
        ]
        made = Text("\n\n").join(blocks)
    drawn(Group(Text(as_text(title), style="bold"), made) if title else made)


def columns_that_fit(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> int:
    """Return how many of the columns, from the left, fit on the terminal without a word that is cut."""
    room = out_console().width + _BETWEEN
    for count, name in enumerate(columns):
        words = [word for row in ({name: name}, *rows) for word in as_text(row.get(name)).split()]
        room -= max(map(cell_len, words), default=0) + _BETWEEN
        if room < 0:
            return count
    return len(columns)


def table_of(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return rows as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        is_number = bool(rows) and all(isinstance(row.get(name), (int, float, type(None))) for row in rows)
        table.add_column(Text(as_text(name)), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(as_text(row.get(name))) for name in columns))
    return table


def drawn(thing: RenderableType) -> None:
    """Print a table or a chart, without the blanks that columns are filled up with."""
    console = out_console()
    with console.capture() as captured:
        console.print(thing)
    text = "\n".join(line.rstrip() for line in captured.get().splitlines())
    print(text if _can_write(text) else text.translate(_PLAIN))  # noqa: T201 - a program that talks to its user
    sys.stdout.flush()


def as_text(value: object) -> str:
    """Return a value as a cell shows it: one line, nothing that a terminal would take for a command."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    text = one_line(str(_cell(value)))
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"


def _cell(value: object) -> object:
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return _plain(value) if isinstance(value, (date, datetime)) else value


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def silence() -> None:
    """Let what is still to be written go nowhere: whoever read it is gone."""
    try:
        void = os.open(os.devnull, os.O_WRONLY)
        os.dup2(void, sys.stdout.fileno())
    except (OSError, ValueError):
        return
