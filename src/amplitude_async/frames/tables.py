"""A table: named columns of one length, and the ways out of it."""

from __future__ import annotations

import json
from datetime import date, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal

from amplitude_async.errors import ConfigurationError
from amplitude_async.frames.shapes import shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from amplitude_async.frames.shapes import Kind, Part

__all__ = ["Table", "table"]

HTML_ROWS: Final = 20
HTML_CELL: Final = 200
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1

_Type = Literal["flag", "whole", "number", "text", "day", "instant", "json"]


class Table:
    """Columns of one length; made by :func:`table`.

    Values are Python's own: text, numbers, ``bool``, ``date``, ``datetime`` (the project's zone, which an answer does not say),
    ``None``. Data frames are made when they are asked for, by the package that they are of. In a notebook it shows its first rows.
    Whatever reads Arrow's PyCapsule interface takes it as it is: ``polars.DataFrame(table)``, ``pyarrow.table(table)``,
    ``duckdb.sql("from table")``.

    Attributes:
        kind: What the answer was.
        title: What stood above the columns of a saved chart's CSV.
    """

    __slots__ = ("_columns", "kind", "title")

    def __init__(self, columns: Mapping[str, Sequence[Any]], *, kind: Kind, title: str = "") -> None:
        self._columns = {name: tuple(values) for name, values in columns.items()}
        self.kind: Kind = kind
        self.title: str = title

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        return self._columns[name]

    def __repr__(self) -> str:
        return f"<Table of {self.kind}: {len(self)} rows of {', '.join(self._columns)}>"

    def to_records(self) -> list[dict[str, Any]]:
        """Return the rows as mappings by column."""
        names = self.columns
        return [dict(zip(names, values, strict=True)) for values in zip(*self._columns.values(), strict=True)]

    def to_polars(self) -> Any:  # noqa: ANN401 - polars is the user's own, and not there for type checkers
        """Return a ``polars.DataFrame``.

        Nested values, as the properties of a user's events, are JSON text.

        Raises:
            ConfigurationError: polars is not installed.
        """
        try:
            import polars as pl  # noqa: PLC0415 - the user's own
        except ImportError:
            pl = None
        if pl is None:
            raise _missing(what="to_polars()", package="polars")
        types = {
            "flag": pl.Boolean,
            "whole": pl.Int64,
            "number": pl.Float64,
            "text": pl.String,
            "day": pl.Date,
            "instant": pl.Datetime("us"),
        }
        return pl.DataFrame(
            [pl.Series(name, values, dtype=types[kind]) for name, kind, values in self._typed()],
        )

    def to_pandas(self) -> Any:  # noqa: ANN401 - as above
        """Return a ``pandas.DataFrame``.

        Whole numbers and flags with gaps have pandas's nullable types; nested values are JSON text.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - the user's own
        except ImportError:
            pd = None
        if pd is None:
            raise _missing(what="to_pandas()", package="pandas")
        types = {"flag": "bool", "whole": "int64", "number": "float64", "text": "string"}
        nullable = {"flag": "boolean", "whole": "Int64"}
        made: dict[str, Any] = {}
        for name, kind, values in self._typed():
            if kind in types:
                is_full = None not in values
                made[name] = pd.Series(values, dtype=types[kind] if is_full else nullable.get(kind, types[kind]))
            else:
                made[name] = pd.Series(pd.to_datetime(values))
        return pd.DataFrame(made)

    def to_arrow(self) -> Any:  # noqa: ANN401 - as above
        """Return a ``pyarrow.Table``; nested values are JSON text.

        Raises:
            ConfigurationError: pyarrow is not installed.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415 - the user's own
        except ImportError:
            pa = None
        if pa is None:
            raise _missing(what="to_arrow()", package="pyarrow")
        types = {
            "flag": pa.bool_(),
            "whole": pa.int64(),
            "number": pa.float64(),
            "text": pa.string(),
            "day": pa.date32(),
            "instant": pa.timestamp("us"),
        }
        return pa.table({name: pa.array(values, types[kind]) for name, kind, values in self._typed()})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the table over by Arrow's PyCapsule interface, by means of pyarrow or polars.

        Raises:
            ConfigurationError: Neither is installed.
        """
        for make in (self.to_arrow, self.to_polars):
            try:
                made = make()
            except ConfigurationError:
                continue
            capsule: object = made.__arrow_c_stream__(requested_schema)
            return capsule
        raise _missing(what="Arrow's interface", package="pyarrow")

    def _repr_html_(self) -> str:
        """Show the first rows in a notebook."""
        head = "".join(f"<th>{_html(name)}</th>" for name in self._columns)
        shown_rows = zip(*(values[:HTML_ROWS] for values in self._columns.values()), strict=True)
        body = "".join(f"<tr>{''.join(f'<td>{_html(value)}</td>' for value in row)}</tr>" for row in shown_rows)
        count = len(self)
        rest = f"; the first {HTML_ROWS} are shown" if count > HTML_ROWS else ""
        title = f"{_html(self.title)}<br>" if self.title else ""
        caption = f"<caption>{title}{_html(self.kind)}: {count:,} rows{rest}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _typed(self) -> list[tuple[str, str, list[Any]]]:
        """Return columns with one type each, nested values as JSON text."""
        found: list[tuple[str, str, list[Any]]] = []
        for name, values in self._columns.items():
            kind = _type_of(values)
            if kind == "number":
                found.append((name, kind, [None if value is None else float(value) for value in values]))
            elif kind == "json":
                found.append((name, "text", [value if value is None or isinstance(value, str) else _json(value) for value in values]))
            else:
                found.append((name, kind, list(values)))
        return found


def _missing(*, what: str, package: str) -> ConfigurationError:
    return ConfigurationError(f"{what} needs {package}, which is not installed: pip install {package}")


def _type_of(values: Sequence[Any]) -> _Type:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {str}:
        return "text"
    if kinds == {bool}:
        return "flag"
    if kinds == {int}:
        # Beyond 64 bits no frame has whole numbers.
        return "whole" if all(value is None or _LEAST <= value <= _MOST for value in values) else "json"
    if kinds <= {int, float}:
        return "number"
    if kinds == {date}:
        return "day"
    return "instant" if kinds == {datetime} else "json"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _html(value: object) -> str:
    """Return a value as text that a page shows as it is, whatever is in it."""
    if value is None:
        return ""
    text = str(value) if isinstance(value, (str, int, float, date)) else _json(value)
    return escape(text if len(text) <= HTML_CELL else f"{text[:HTML_CELL]}…")


def table(answer: Mapping[str, Any] | Sequence[Any] | str, *, kind: Kind | None = None, part: Part | None = None) -> Table:
    """Make a table of what a dashboard query answered: tidy rows, one number a row beside what it is a number of.

    The columns are:

    - segmentation, charts: ``date``, ``label`` (or ``label_1``, ``label_2``), ``value``; collapsed: without ``date``
    - active and new users, averages of sessions: ``date``, ``segment`` or ``label``, ``value``
    - session lengths: ``length``, ``from_seconds``, ``to_seconds``, ``sessions``
    - composition: ``property``, ``value``, ``users``
    - real time: ``day``, ``time``, ``users``
    - funnels: ``segment``, ``group`` (if grouped), ``step`` (from 1), ``event``, ``users``, ``step_by_step``, ``cumulative``,
      ``median_ms``, ``average_ms``; by day: ``segment``, ``group``, ``date``, ``step``, ``event``, ``users``, ``median_ms``,
      ``average_ms``
    - retention: ``segment``, ``return_event``, ``group`` (if grouped), ``date``, ``interval`` (from 0), ``users``, ``outof``,
      ``share``, ``incomplete``, ``cohort`` (its size); combined: without ``date``
    - revenue LTV: ``date``, ``label``, ``day``, ``value``, ``count``, ``paid``, ``total_amount``
    - events list, user search, user activity, CSV: as they are

    ``date`` is a ``date``, or a ``datetime`` for hours and minutes, if all of them read as one; retention has texts such as
    ``"Feb 03"``, without a year.

    Args:
        answer: The answer of any query of ``amplitude.dashboard``, or what is under its ``data``; also the text of ``chart_csv``.
        kind: What it is, where it cannot be told from the answer: ``"composition"`` where the values are dates, ``"funnels"``,
            ``"retention"`` or ``"revenue_ltv"`` where there are none.
        part: Another part of the answer: ``"collapsed"`` (segmentation: the numbers of the whole range), ``"days"`` (funnels, by day),
            ``"combined"`` (retention, over all dates), ``"user"`` (user activity: who it is).

    Returns:
        A :class:`Table` with the columns above.

    Raises:
        InvalidArgumentError: The answer is of no query that is known here, or has no such part.
    """
    shape = shape_of(answer, kind, part)
    return Table(shape.columns, kind=shape.kind, title=shape.title)
