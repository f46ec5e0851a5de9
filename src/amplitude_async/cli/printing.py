"""What came, as people or programs read it: tables and charts, JSON, CSV.

Answers go to standard output, everything else to standard error.

Text from outside is shown without what a terminal would take for commands, and never read as markup. What is not a terminal gets
tables as wide as they are, so that nothing is cut in a pipe.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from amplitude_async.cli.exits import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType

__all__ = [
    "as_text",
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
CHART_WIDTH: Final = 100
"""How wide a chart is where no terminal says otherwise."""
_LONGEST_CELL: Final = 200


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
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))  # noqa: T201 - a program that talks to its user
    sys.stdout.flush()


def print_json_line(value: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(value, ensure_ascii=False, default=_plain))  # noqa: T201 - a program that talks to its user


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print comma-separated rows under a head."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns])
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Print rows under a head; numbers to the right."""
    table = table_of(columns, rows)
    drawn(Group(Text(as_text(title), style="bold"), table) if title else table)


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
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))  # noqa: T201 - a program that talks to its user
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
