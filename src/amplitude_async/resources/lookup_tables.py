"""Lookup tables: CSV files that derive further properties from one (Lookup Table API 2).

Amplitude's page: https://amplitude.com/docs/apis/analytics/lookup-table-2
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NotRequired, Required, TypedDict

from amplitude_async._protocol.bodies import Multipart, Part
from amplitude_async._protocol.call import Call, path_of, read_confirmation, read_json, read_json_object, read_nothing, read_text
from amplitude_async._protocol.codec import MalformedError
from amplitude_async.errors import BadRequestError, NotFoundError, UnexpectedResponseError
from amplitude_async.resources.csv_rows import CsvDownload
from amplitude_async.resources.parameters import json_body, refused, required_text, spelled
from amplitude_async.resources.tables import checked_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async.resources.runner import Download, Runner
    from amplitude_async.resources.tables import Table, TableFile

__all__ = [
    "DeletedTable",
    "KeyProperty",
    "LookupTable",
    "LookupTables",
    "create_call",
    "csv_call",
    "delete_call",
    "get_call",
    "list_call",
    "update_call",
]

_PATH: Final = "/api/3/lookup_table"
MAX_TEXT_BYTES: Final = 128 << 20
"""Of a table that is read whole; Amplitude takes none of more than 100 MB."""
_NO_CSV: Final = "<{["
"""How a page or an error begins, and no CSV file with a header does."""
_UNKNOWN: Final = "LOOKUP_TABLE_DOES_NOT_EXIST"


class KeyProperty(TypedDict):
    """The property that is looked up.

    ``value`` is its name, ``type`` its kind (``event``, ``user``, ...), and ``groupType`` is needed for properties of groups alone.
    """

    value: str
    type: str
    groupType: NotRequired[str]


class LookupTable(TypedDict, total=False):
    """A table. ``columnHeaders`` are those beside the key's (``keyColumnHeader``); times are in seconds since the epoch."""

    name: Required[str]
    appId: str
    columnHeaders: list[str]
    createdAt: int
    createdBy: str
    lastModifiedAt: int
    lastModifiedBy: str
    isDeleted: bool
    isConfigured: bool
    keyColumnHeader: str
    keyProperty: KeyProperty
    fileName: str
    rowCount: int
    sizeBytes: int


TableList = list[LookupTable]


class DeletedTable(TypedDict, total=False):
    """What Amplitude says of a deletion: ``{"message": "Lookup table ... deleted successfully", "success": true}``."""

    message: str
    success: bool


def _read_table(body: bytes) -> dict[str, Any]:
    answer = read_json_object(body)
    if not isinstance(answer.get("name"), str):
        message = "it has no name"
        raise MalformedError(message)
    return answer


def _read_deletion(body: bytes) -> dict[str, Any]:
    return read_confirmation(body, "message")


def _read_tables(body: bytes) -> list[Any]:
    """Read a list of tables; one within an object, as the older API has it, is taken out."""
    answer = read_json(body)
    if isinstance(answer, dict):
        answer = next((value for value in answer.values() if isinstance(value, list)), answer)
    if isinstance(answer, list) and all(isinstance(table, dict) for table in answer):
        return answer
    message = f"a JSON {type(answer).__name__} where a list of tables was expected"
    raise MalformedError(message)


def _call(method: str, path: str, reads: Callable[[bytes], Any], body: Multipart | None = None, *, repeatable: bool) -> Call:
    return Call("lookup_tables", "query", method, path, "project", reads, repeatable=repeatable, body=body)


def checked_name(name: object) -> str:
    """Return a table's name.

    Raises:
        InvalidArgumentError: It is blank.
    """
    return required_text(name, argument="name", what="the table's name")


def list_call() -> Call:
    """Describe the list of tables."""
    return _call("GET", _PATH, _read_tables, repeatable=True)


def get_call(name: object) -> Call:
    """Describe the question for a table."""
    return _call("GET", path_of(_PATH + "/{}", checked_name(name)), _read_table, repeatable=True)


def csv_call(name: object) -> Call:
    """Describe the download of a table's rows."""
    path = path_of(_PATH + "/{}/csv", checked_name(name))
    return Call("lookup_tables", "stream", "GET", path, "project", read_nothing, repeatable=True)


def delete_call(name: object) -> Call:
    """Describe a deletion."""
    return _call("DELETE", path_of(_PATH + "/{}", checked_name(name)), _read_deletion, repeatable=True)


def _property(value: object) -> Part:
    if not isinstance(value, Mapping):
        raise refused(argument="property", reason="must be a mapping such as {'value': 'sku', 'type': 'event'}")
    written = spelled("lookup_tables", value)
    for name in ("value", "type"):
        required_text(written.get(name), argument=f"property.{name}", what="a text")
    return Part("property", json_body(written, argument="property").content, "application/json")


def _file(table: Table) -> Part:
    return Part("file", table.content, "text/csv", table.filename)


def create_call(name: object, table: Table, key: str, key_property: object) -> Call:
    """Describe the making of a table. Not repeatable: what a second try met would be its own table, and an error."""
    parts = (
        Part("name", checked_name(name).encode()),
        Part("key", key.encode()),
        _property(key_property),
        _file(table),
    )
    return _call("POST", _PATH, _read_table, Multipart(parts), repeatable=False)


def update_call(method: str, name: object, table: Table | None, key_property: object) -> Call:
    """Describe a replacement (PUT), or a merge (PATCH). Repeatable: rows that are there already are there once."""
    parts = [] if key_property is None else [_property(key_property)]
    if table is not None:
        parts.append(_file(table))
    if not parts:
        raise refused(argument="file", reason="and property are both missing; give at least one of them")
    return _call(method, path_of(_PATH + "/{}", checked_name(name)), _read_table, Multipart(tuple(parts)), repeatable=True)


def missing_table(refusal: BadRequestError) -> NotFoundError | None:
    """Return a 400 that says that there is no such table as the error that this is, ``None`` if it says something else."""
    data = refusal.data
    if not isinstance(data, dict) or data.get("errorCode") != _UNKNOWN:
        return None
    return NotFoundError(
        str(refusal), status=refusal.status, data=data, headers=refusal.headers, outcome=refusal.outcome, request=refusal.request
    )


def _as_rows(header: list[str]) -> Callable[[list[str]], dict[str, str]]:
    names = list(header)
    return lambda cells: dict(zip(names, cells, strict=True))


async def _opened(runner: Runner, call: Call, deadline: float | None) -> Download:
    try:
        return await runner.open(call, deadline=deadline)
    except BadRequestError as refusal:
        unknown = missing_table(refusal)
        if unknown is None:
            raise
    raise unknown


async def _text_of(download: Download) -> str:
    content = bytearray()
    while (chunk := await download.next_chunk()) is not None:
        content += chunk
        if len(content) > MAX_TEXT_BYTES:
            await download.aclose()
            break
    fault = f"more than {MAX_TEXT_BYTES:,} bytes" if len(content) > MAX_TEXT_BYTES else ""
    try:
        text = read_text(bytes(content))
    except MalformedError as malformed:
        text, fault = "", fault or str(malformed)
    if not fault and (not text.strip() or text.lstrip()[0] in _NO_CSV):
        fault = "it is empty" if not text.strip() else f"it begins with {text.lstrip()[0]!r}"
    if not fault:
        return text
    message = f"Amplitude answered {download.status}, but not with the CSV file of a table ({fault})"
    raise UnexpectedResponseError(message, status=download.status, outcome="unknown", request=download.request)


class TableDownload(CsvDownload[dict[str, str]]):
    """The rows of a table. Nothing is sent until it is used, and each use is a download of its own.

    ``rows = await download`` gives all rows in a list; ``async for row in download`` gives them one by one while the file arrives, in
    constant memory; ``async with download.rows() as rows`` closes the download where the block is left. Rows are mappings from column
    to text.
    """

    def __init__(self, runner: Runner, call: Call) -> None:
        super().__init__(runner, lambda deadline: _opened(runner, call, deadline), _as_rows, None)
        self._path = call.path

    def __repr__(self) -> str:
        return f"<TableDownload {self._path}>"


class LookupTables:
    """CSV tables that properties are looked up in.

    A file has at most 100 MB, 1,000,000 rows and 1,024 characters in a cell; its first row names the columns; its keys are unique, and
    are matched exactly, case included. What breaks that is refused here, before anything is sent. A large file on a slow line takes
    its time: ``amplitude.with_options(timeout=600)`` allows for it.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def _run(self, call: Call) -> Any:  # noqa: ANN401 - this is where JSON enters
        try:
            return await self._runner.run(call)
        except BadRequestError as refusal:
            unknown = missing_table(refusal)
            if unknown is None:
                raise
        raise unknown

    async def list(self) -> TableList:
        """List the project's tables.

        Returns:
            A list of :class:`LookupTable`.

        Raises:
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/lookup-table-2
        """
        result: TableList = await self._run(list_call())
        return result

    async def get(self, name: str) -> LookupTable:
        """Ask for a table: its columns, its key, its size.

        Args:
            name: The table's name.

        Returns:
            A :class:`LookupTable`.

        Raises:
            InvalidArgumentError: The name is blank.
            NotFoundError: There is no such table, whichever status Amplitude says so with.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/lookup-table-2
        """
        result: LookupTable = await self._run(get_call(name))
        return result

    async def csv(self, name: str) -> str:
        """Download a table as the text of a CSV file, everything that was merged into it included.

        Args:
            name: The table's name.

        Returns:
            The text; its first line names the columns. Whole, in memory; :meth:`rows` reads it bit by bit.

        Raises:
            InvalidArgumentError: The name is blank.
            NotFoundError: There is no such table.
            UnexpectedResponseError: Something else came in place of a CSV file.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/lookup-table-2
        """
        return await _text_of(await _opened(self._runner, csv_call(name), None))

    def rows(self, name: str) -> TableDownload:
        """Download a table's rows. Nothing is sent until the result is used.

        Args:
            name: The table's name.

        Returns:
            A :class:`TableDownload`: ``await`` it for a list of rows, or go through it with ``async for``.

        Raises:
            InvalidArgumentError: The name is blank. When the result is used, also: NotFoundError: there is no such table.
                ExportError: the file is damaged or cut; names the line. AmplitudeError: Amplitude refused otherwise, or did not
                answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/lookup-table-2
        """
        return TableDownload(self._runner, csv_call(name))

    async def create(
        self,
        name: str,
        file: TableFile,
        *,
        key: str,
        property: Mapping[str, str],  # noqa: A002 - Amplitude's own name for it
    ) -> LookupTable:
        """Make a table of a CSV file, or of rows.

        Not repeated when its outcome is unknown: a second try would meet the table that the first one made.

        Args:
            name: The table's name.
            file: CSV as bytes or text, the path of a file (a :class:`pathlib.Path`), or rows: mappings from column to value.
            key: The column whose values are looked up; each of them once.
            property: The property that they are looked up for: ``{"value": "sku", "type": "event"}``; for a property of groups also
                ``groupType``.

        Returns:
            The :class:`LookupTable`.

        Raises:
            InvalidArgumentError: The file is no CSV, is more than Amplitude takes, or lacks the key; names the place. Nothing was
                sent.
            ResponseError: 409: there is such a table already.
            BadRequestError: Amplitude refused it; its ``.data["errorCode"]`` says why.
            PayloadTooLargeError: The file has more than 100 MB.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/lookup-table-2
        """
        column = required_text(key, argument="key", what="the name of the key's column")
        table = await checked_table(self._runner, file, checked_name(name), key=column)
        result: LookupTable = await self._run(create_call(name, table, column, property))
        return result

    async def replace(
        self,
        name: str,
        file: TableFile | None = None,
        *,
        property: Mapping[str, str] | None = None,  # noqa: A002 - Amplitude's own name for it
    ) -> LookupTable:
        """Put other rows in place of all of a table's, or have it looked up for another property; at least one of the two.

        Args:
            name: The table's name.
            file: As for :meth:`create`.
            property: As for :meth:`create`.

        Returns:
            The :class:`LookupTable` as it is now.

        Raises:
            InvalidArgumentError: As for :meth:`create`, or there is nothing to change. Nothing was sent.
            NotFoundError: There is no such table.
            BadRequestError: Amplitude refused it; its ``.data["errorCode"]`` says why.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/lookup-table-2
        """
        return await self._updated("PUT", name, file, property)

    async def merge(
        self,
        name: str,
        file: TableFile | None = None,
        *,
        property: Mapping[str, str] | None = None,  # noqa: A002 - Amplitude's own name for it
    ) -> LookupTable:
        """Merge rows into a table: those of a known key are replaced, others come to it.

        Args:
            name: The table's name.
            file: As for :meth:`create`; it needs the key's column, as the table has it.
            property: As for :meth:`create`.

        Returns:
            The :class:`LookupTable` as it is now.

        Raises:
            InvalidArgumentError: As for :meth:`create`, or there is nothing to change. Nothing was sent.
            NotFoundError: There is no such table.
            BadRequestError: Amplitude refused it; its ``.data["errorCode"]`` says why.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/lookup-table-2
        """
        return await self._updated("PATCH", name, file, property)

    async def _updated(self, method: str, name: str, file: TableFile | None, key_property: Mapping[str, str] | None) -> LookupTable:
        checked = checked_name(name)
        table = None if file is None else await checked_table(self._runner, file, checked, key=None)
        result: LookupTable = await self._run(update_call(method, name, table, key_property))
        return result

    async def delete(self, name: str) -> DeletedTable:
        """Delete a table, and the properties that came of it.

        Args:
            name: The table's name.

        Returns:
            ``{"message": ..., "success": true}``.

        Raises:
            InvalidArgumentError: The name is blank.
            NotFoundError: There is no such table; also if a first try worked, its answer was lost, and a second was made.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/lookup-table-2
        """
        result: DeletedTable = await self._run(delete_call(name))
        return result
