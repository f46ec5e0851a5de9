"""Exported rows as a Parquet file, written as the rows come. Pure but for the file object it is given.

Rows become cells (:mod:`amplitude_async.exporting.cells`), which are turned into Arrow's arrays while they are still in the
processor's cache, a few hundred kB of text at a time: all the columns of a kind in one piece, since a call for each column costs more
than the values. Arrays are small beside rows; they wait until there are enough for a row group.

Made with pyarrow (the extra ``parquet``). DuckDB is about as quick (``benchmarks/parquet_engines.py``), but fails for a value of the
wrong kind or loses it, loses keys that have no column, and writes to a path of its own alone.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from amplitude_async._version import __version__
from amplitude_async.errors import ClosedError, ConfigurationError
from amplitude_async.exporting.cells import LAYOUT, CellReader, UnreadableRowError, read_instant, with_unknown
from amplitude_async.exporting.columns import COLUMNS, COLUMNS_VERSION, UNKNOWN, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from amplitude_async.exporting.cells import Cells

__all__ = ["METADATA", "BinaryFile", "ParquetWriter", "require"]

METADATA: Final = {"amplitude_async": __version__, "amplitude_async.columns_version": str(COLUMNS_VERSION)}
"""What the file's own metadata says: who wrote it, and by which list of columns."""

_BATCH_ROWS: Final = 256
_BATCH_BYTES: Final = 1 << 20
"""Rows are turned into arrays when there are so many, or so many bytes of them: a batch should fit a cache of 1 or 2 MB."""

_GROUP_ROWS: Final = 1 << 17
_GROUP_BYTES: Final = 32 << 20
"""A row group is written when there are so many rows, or so many bytes of text (16,000 rows of 2 kB).

Twice as much makes files 2 % smaller and takes 30 MB more.
"""

_COMPRESSION: Final = "zstd"
_COMPRESSION_LEVEL: Final = 1
_WITHOUT_DICTIONARY: Final = frozenset(
    {"$insert_id", "uuid", "event_id", "event_properties", "user_properties"}
    | {column.name for column in COLUMNS if column.kind == "timestamp"}
)
"""Columns in which hardly any value comes twice: without dictionaries they take a tenth less time and files are 4 % smaller."""

_START: Final = -62_135_596_800_000_000
_END: Final = 253_402_300_799_999_999
"""The years 1 to 9999 in microseconds: what Python's datetimes can say."""


class BinaryFile(Protocol):
    """A file that bytes are written to."""

    def write(self, data: memoryview, /) -> int | None:
        """Write, perhaps not all of it; return how much."""


class _Sink:
    """What pyarrow writes to: the file, until the writing is given up."""

    def __init__(self, file: BinaryFile) -> None:
        self._file: BinaryFile | None = file
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        rest = memoryview(data)
        size = rest.nbytes
        while self._file is not None and rest.nbytes:
            written = self._file.write(rest)
            rest = rest[rest.nbytes if written is None else written :]
        return size

    def let_go(self) -> None:
        """Let whatever is still to come go nowhere."""
        self._file = None

    def flush(self) -> None:
        """Do nothing: the file is its owner's to flush."""

    def close(self) -> None:
        """Note it: the file is its owner's to close."""
        self.closed = True


_PLACES: Final[dict[Kind, list[int]]] = {
    kind: [at for at, column in enumerate(LAYOUT[:-1]) if column.kind == kind]
    for kind in dict.fromkeys(column.kind for column in COLUMNS)
}
"""Where in LAYOUT the columns of each kind are."""


class _Batch(NamedTuple):
    """Some rows as arrays: those of all the columns of a kind one behind the other, in the order of LAYOUT."""

    rows: int
    arrays: dict[Kind, Any]
    unknown: Any


class _Arrow:
    """pyarrow, and what is made of cells by it.

    Raises:
        ConfigurationError: It is not installed.
    """

    def __init__(self) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra
            from pyarrow import compute, parquet  # noqa: PLC0415 - as above
        except ImportError:
            pass
        else:
            self.lib: Any = pa
            self.parquet: Any = parquet
            self._compute: Any = compute
            self._make_types()
            return
        message = "Parquet files need a package that is not installed: pip install 'amplitude-async[parquet]'"
        raise ConfigurationError(message)

    def _make_types(self) -> None:
        lib = self.lib
        self._text = lib.string()
        self._naive = lib.timestamp("us")
        self._instant = lib.timestamp("us", tz="UTC")
        self._types: dict[Kind, Any] = {
            "text": self._text,
            "timestamp": self._instant,
            "json": self._text,
            "integer": lib.int64(),
            "number": lib.float64(),
            "boolean": lib.bool_(),
        }
        columns = [(column.name, self._types[column.kind]) for column in (*COLUMNS, UNKNOWN)]
        self.schema = lib.schema(columns, metadata=METADATA)
        self._null = lib.scalar("null")

    def batch(self, cells: Sequence[Cells]) -> _Batch:
        """Make arrays of rows."""
        columns = list(zip(*cells, strict=True))
        unknown: list[str | None] = list(columns[-1])
        arrays: dict[Kind, Any] = {}
        for kind, places in _PLACES.items():
            values = list(chain.from_iterable([columns[at] for at in places]))
            if kind == "json":
                arrays[kind] = self._json(values)
            elif kind == "timestamp":
                arrays[kind] = self._instants(values, unknown)
            else:
                arrays[kind] = self.lib.array(values, self._types[kind])
        return _Batch(len(cells), arrays, self.lib.array(unknown, self._text))

    def table(self, batches: Sequence[_Batch]) -> Any:  # noqa: ANN401 - a table of pyarrow's, which has no types
        """Join batches into one table, with each column in one piece, which is written faster; the batches are used up."""
        columns = {UNKNOWN.name: self.lib.concat_arrays([batch.unknown for batch in batches])}
        for kind, places in _PLACES.items():
            # Taken out, so that of one kind only there are two copies at a time.
            taken = [(batch.arrays.pop(kind), batch.rows) for batch in batches]
            for place, at in enumerate(places):
                columns[LAYOUT[at].name] = self.lib.concat_arrays([array.slice(place * rows, rows) for array, rows in taken])
        return self.lib.Table.from_arrays([columns[name] for name in self.schema.names], schema=self.schema)

    def _json(self, values: list[msgspec.Raw]) -> Any:  # noqa: ANN401 - an array of pyarrow's, as below
        """Join the raw texts and have them split again: pyarrow does not take them as they are, and copying each is dearer."""
        lib = self.lib
        joined = lib.array([b"\n".join(values)], lib.binary())
        texts = self._compute.split_pattern(joined, b"\n").values
        if len(texts) != len(values):
            # There was a line end between the tokens of some value.
            texts = lib.array([bytes(value) for value in values], lib.binary())
        # That they are UTF-8 has been checked, line by line.
        texts = texts.view(self._text)
        is_value = self._compute.not_equal(texts, self._null)
        _, offsets, data = texts.buffers()
        return lib.Array.from_buffers(self._text, len(texts), [is_value.buffers()[1], offsets, data], offset=texts.offset)

    def _instants(self, values: list[str | None], unknown: list[str | None]) -> Any:  # noqa: ANN401
        """Read timestamps: all of them in one of the usual spellings, or else each by itself."""
        texts = self.lib.array(values, self._text)
        for kind in (self._naive, self._instant):
            try:
                instants = texts.cast(kind).view(self._instant)
            except self.lib.ArrowInvalid:
                continue
            if self._are_years(instants):
                return instants
        return self._instants_one_by_one(values, unknown)

    def _are_years(self, instants: Any) -> bool:  # noqa: ANN401
        extremes = self._compute.min_max(instants.view(self.lib.int64()))
        least, greatest = extremes["min"].as_py(), extremes["max"].as_py()
        return least is None or (least >= _START and greatest <= _END)

    def _instants_one_by_one(self, values: list[str | None], unknown: list[str | None]) -> Any:  # noqa: ANN401
        """Read timestamps in any spelling; what is none, or more precise than the column, goes into ``unknown``."""
        names = [LAYOUT[at].name for at in _PLACES["timestamp"]]
        rows = len(unknown)
        micros: list[int | None] = []
        for at, text in enumerate(values):
            if text is None:
                micros.append(None)
                continue
            instant, is_all = read_instant(text)
            micros.append(instant)
            if not is_all:
                name, row = names[at // rows], at % rows
                unknown[row] = with_unknown(unknown[row], {name: msgspec.json.encode(text)})
        return self.lib.array(micros, self.lib.int64()).view(self._instant)


def require() -> None:
    """See that pyarrow is there, before anything is sent.

    Raises:
        ConfigurationError: It is not installed.
    """
    _Arrow()


class ParquetWriter:
    """Writes rows into a Parquet file of the explicit columns, in bounded memory.

    The same rows make the same bytes, however they are handed over, as long as the versions of this library and of pyarrow are the
    same. At most one row group (32 MiB of text) waits in memory.

    ``write()`` and ``close()`` take about 60 ms when a row group is full, most of it without the interpreter's lock: call them in a
    thread.

    Args:
        file: Where the bytes go: anything with a blocking ``write()``. It is neither flushed nor closed.

    Raises:
        ConfigurationError: pyarrow, the extra ``parquet``, is not installed.
    """

    def __init__(self, file: BinaryFile) -> None:
        self._arrow = _Arrow()
        self._sink = _Sink(file)
        self._reader = CellReader()
        self._cells: list[Cells] = []
        self._cells_bytes = 0
        self._batches: list[_Batch] = []
        self._group_rows = 0
        self._group_bytes = 0
        self._is_closed = False
        self.rows: int = 0
        """How many rows were taken."""
        self.rows_with_unknown: int = 0
        """How many of those written have something in the ``_unknown`` column."""
        dictionaries = [column.name for column in (*COLUMNS, UNKNOWN) if column.name not in _WITHOUT_DICTIONARY]
        self._writer = self._arrow.parquet.ParquetWriter(
            self._arrow.lib.PythonFile(self._sink, mode="w"),
            self._arrow.schema,
            compression=_COMPRESSION,
            compression_level=_COMPRESSION_LEVEL,
            use_dictionary=dictionaries,
        )

    def write(self, lines: Iterable[bytes]) -> int:
        """Take rows.

        Args:
            lines: One JSON object each, without the line's end.

        Returns:
            How many rows there were.

        Raises:
            UnreadableRowError: One is no JSON object. Those before its ``index`` have been taken; go on with those behind it (of an
                iterator: with the iterator) to leave it out.
            ClosedError: The writer is closed.
            OSError: What the file raised; nothing but ``abort()`` is left then.
        """
        self._check_open()
        read = self._reader.read
        count = 0
        for line in lines:
            try:
                cells = read(line)
            except UnreadableRowError as refusal:
                reason = refusal.reason
            else:
                self._take([cells], len(line) + 1)
                count += 1
                continue
            raise UnreadableRowError(count, reason)
        return count

    def write_text(self, text: bytes, rows: int) -> int:
        """Take rows as they stand in a file: quicker than :meth:`write`, and the same otherwise.

        Args:
            text: Whole lines, one JSON object each; the last may lack its end.
            rows: How many they are.
        """
        self._check_open()
        size = len(text) + (not text.endswith(b"\n"))
        # Where a row group ends depends on rows alone, so that is found out row by row.
        if self._group_rows + len(self._cells) + rows < _GROUP_ROWS and self._group_bytes + self._cells_bytes + size < _GROUP_BYTES:
            cells = self._reader.read_all(text, rows)
            if cells is not None:
                self._take(cells, size)
                return rows
        lines = text.split(b"\n")
        if len(lines) > rows:
            lines.pop()
        return self.write(lines)

    def _check_open(self) -> None:
        if self._is_closed:
            message = "The Parquet file is closed"
            raise ClosedError(message)

    def _take(self, cells: list[Cells], size: int) -> None:
        """Take cells, which came of so many bytes."""
        self._cells += cells
        self._cells_bytes += size
        self.rows += len(cells)
        rows = len(self._cells)
        if self._group_rows + rows >= _GROUP_ROWS or self._group_bytes + self._cells_bytes >= _GROUP_BYTES:
            self._end_batch()
            self._end_group()
        elif rows >= _BATCH_ROWS or self._cells_bytes >= _BATCH_BYTES:
            self._end_batch()

    def close(self) -> None:
        """Write what waits, and the file's end. Closing again does nothing.

        Raises:
            OSError: What the file raised.
        """
        if self._is_closed:
            return
        self._end_batch()
        self._end_group()
        self._is_closed = True
        self._writer.close()

    def abort(self) -> None:
        """Give up: write nothing more, and free the memory. The file is left as it is, without an end."""
        self._sink.let_go()
        self._cells.clear()
        self._batches.clear()
        if not self._is_closed:
            self._is_closed = True
            self._writer.close()

    def __del__(self) -> None:
        # pyarrow's writer would write the file's end when it is collected.
        sink = getattr(self, "_sink", None)
        if sink is not None:
            sink.let_go()

    def _end_batch(self) -> None:
        if not self._cells:
            return
        batch = self._arrow.batch(self._cells)
        self.rows_with_unknown += batch.rows - batch.unknown.null_count
        self._batches.append(batch)
        self._group_rows += batch.rows
        self._group_bytes += self._cells_bytes
        self._cells.clear()
        self._cells_bytes = 0

    def _end_group(self) -> None:
        if self._batches:
            table = self._arrow.table(self._batches)
            self._batches.clear()
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._group_rows = self._group_bytes = 0
