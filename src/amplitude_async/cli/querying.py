"""``export-query``: SQL over a folder of exported events, by DuckDB where it is installed."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from cyclopts import Parameter

from amplitude_async.cli.exits import DONE
from amplitude_async.cli.printing import CsvLines, JsonArray, print_table
from amplitude_async.errors import ConfigurationError, InvalidArgumentError
from amplitude_async.exporting.manifest import NAME as MANIFEST

CHUNK_ROWS: Final = 10_000
_Result = TypeVar("_Result")


class Found(NamedTuple):
    """What a query found.

    Attributes:
        columns: Their names, each once.
        chunks: Its rows, as they are asked for.
    """

    columns: Sequence[str]
    chunks: Iterator[list[dict[str, Any]]]


def export_query(
    sql: Annotated[str, Parameter(name="SQL")],
    folder: Annotated[Path, Parameter(name="FOLDER")] = Path(),
    /,
    *,
    json: bool = False,
    csv: bool = False,
) -> int:
    """Ask SQL of a folder that `export` has filled; the table is `events`. It needs DuckDB (pip install duckdb).

    `amplitude-async export-query "select event_type, count(*) from events group by 1" raw`

    Folders of Parquet (quickest) and of JSON lines can be asked; of zips cannot.

    Args:
        sql: The query.
        folder: The folder; the current one if left out.
        json: Print JSON.
        csv: Print comma-separated rows.
    """
    if json and csv:
        message = "give one of --json, --csv"
        raise InvalidArgumentError(message, argument="--json")
    format_, files = _files_of(folder)
    try:
        import duckdb  # noqa: PLC0415 - the user's own
    except ImportError:
        duckdb = None  # type: ignore[assignment,unused-ignore]  # it is not there
    if duckdb is None:
        message = "export-query needs DuckDB, which is not installed: pip install duckdb"
        raise ConfigurationError(message)
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    failure = ""
    try:
        found = _ask(connection, sql, format_, files)
        if json:
            with JsonArray() as array:
                for chunk in found.chunks:
                    array.add({name: _as_json(value) for name, value in row.items()} for row in chunk)
        elif csv:
            lines = CsvLines(found.columns)
            for chunk in found.chunks:
                lines.add(chunk)
        else:
            print_table(found.columns, [row for chunk in found.chunks for row in chunk])
    except duckdb.Error as error:
        failure = str(error)
    finally:
        connection.close()
    if failure:
        message = f"DuckDB: {failure}"
        raise InvalidArgumentError(message, argument="SQL")
    return DONE


def _ask(connection: Any, sql: str, format_: str, files: Sequence[str]) -> Found:  # noqa: ANN401 - DuckDB's, which may not be there
    connection.execute("SET TimeZone = 'UTC'")
    if format_ == "parquet":
        events = connection.read_parquet(list(files), union_by_name=True)
    else:
        events = connection.read_json(list(files), format="newline_delimited", union_by_name=True, sample_size=20_000)
    events.create_view("events")
    result = _interruptibly(connection, lambda: connection.execute(sql))
    if result is None:
        message = "there is no query in it"
        raise InvalidArgumentError(message, argument="SQL")
    columns = _each_once(column[0] for column in result.description or ())

    def chunks() -> Iterator[list[dict[str, Any]]]:
        while rows := _interruptibly(connection, lambda: result.fetchmany(CHUNK_ROWS)):
            yield [dict(zip(columns, row, strict=True)) for row in rows]

    return Found(columns, chunks())


def _interruptibly(connection: Any, work: Callable[[], _Result]) -> _Result:  # noqa: ANN401 - as above
    """Do what blocks in a thread: DuckDB does not hear Ctrl-C by itself."""
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def _each_once(names: Iterator[str]) -> list[str]:
    """Return names of columns, the second ``a`` as ``a_2``, as rows have each name once."""
    found: dict[str, None] = {}
    for name in names:
        free, number = name, 1
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found[free] = None
    return list(found)


def _as_json(value: object) -> object:
    """Return a value as JSON has it: neither NaN nor bytes are any."""
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _as_json(each) for key, each in value.items()}
    return [_as_json(each) for each in value] if isinstance(value, (list, tuple)) else value


def _files_of(folder: Path) -> tuple[str, list[str]]:
    """Return the format of a folder and its files, by its manifest.

    Raises:
        InvalidArgumentError: It is no folder that `export` has filled, or holds zips.
    """
    reason = ""
    files: dict[str, str] = {}
    format_ = ""
    try:
        with (folder / MANIFEST).open(encoding="utf-8") as lines:
            head, *records = [json.loads(line) for line in lines if line.endswith("\n")]
        format_ = str(head.get("format"))
        # The last line of an hour counts.
        files = {record["hour"]: record["file"] for record in records if Path(record["file"]).name == record["file"]}
    except FileNotFoundError:
        reason = f"{folder} holds no exported hours (there is no {MANIFEST} in it); amplitude-async export fills one"
    except (ValueError, KeyError, TypeError):
        reason = f"{folder / MANIFEST} cannot be read; run the export again"
    found = [str(folder / name) for _, name in sorted(files.items()) if name]
    if not reason and format_ not in {"parquet", "ndjson"}:
        reason = f"{folder} holds hours as {format_:.20}, which DuckDB does not read; export them as parquet or ndjson"
    if not reason and not found:
        reason = f"{folder} holds no hour that has events"
    if reason:
        raise InvalidArgumentError(reason, argument="FOLDER")
    return format_, found
