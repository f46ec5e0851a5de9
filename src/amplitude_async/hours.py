"""The building blocks of export jobs, for engines that map over hours: a pool of processes, Dask, Spark, a queue of tasks.

``plan_hours`` says which hours there are; ``export_hour`` fetches one into its file. Hours are text, settings name the environment
variables that hold the keys, results are counts: all of it pickles, and no key is in it unless ``with_secrets()`` was asked for.

    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(export_hour, ExportSettings(), target="raw"), plan_hours("20260501T00", "20260507T23")))
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio
import sniffio

from amplitude_async._protocol.dates import check_order
from amplitude_async._protocol.dates import export_hour as hour_bound
from amplitude_async.client import AsyncAmplitude
from amplitude_async.errors import ConfigurationError, InvalidArgumentError
from amplitude_async.exporting.files import checked_path
from amplitude_async.exporting.plan import hour_number, hour_text
from amplitude_async.exporting.sync import check_format
from amplitude_async.options import MASK

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from amplitude_async._protocol.decoding import BadRows
    from amplitude_async.exporting.files import PathLike
    from amplitude_async.exporting.manifest import HourRecord
    from amplitude_async.exporting.sync import SyncFormat

__all__ = ["ExportSettings", "export_hour", "plan_hours"]


class _Keys:
    """The two keys, carried along on demand: shown by nothing, but pickled as they are."""

    __slots__ = ("api_key", "secret_key")

    def __init__(self, api_key: str, secret_key: str) -> None:
        self.api_key: str = api_key
        self.secret_key: str = secret_key

    def __repr__(self) -> str:
        return MASK

    def __reduce__(self) -> tuple[Any, ...]:
        return (_Keys, (self.api_key, self.secret_key))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """How an hour is exported where no client can be handed over.

    Attributes:
        format: ``"parquet"``, ``"ndjson"`` (gzipped) or ``"zip"``.
        region: ``"us"`` or ``"eu"``; by default as for the client.
        base_url: One origin that serves every API; by default as for the client.
        bad_rows: ``"raise"`` or ``"skip"`` rows that cannot be read.
        api_key_variable: The environment variable that holds the API key, where the hour is exported.
        secret_key_variable: The one that holds the secret key.
        keys: What :meth:`with_secrets` put here; shown as a mask.
    """

    format: SyncFormat = "parquet"
    region: Literal["us", "eu"] | None = None
    base_url: str | None = None
    bad_rows: BadRows = "raise"
    api_key_variable: str = "AMPLITUDE_API_KEY"
    secret_key_variable: str = "AMPLITUDE_SECRET_KEY"  # noqa: S105 - a name, not a secret
    keys: _Keys | None = None

    def with_secrets(self) -> ExportSettings:
        """Return settings that carry the keys themselves, read from the environment now.

        Whoever can read the pickled settings can read the keys: use it only where the workers' environment cannot hold them.

        Raises:
            ConfigurationError: A variable is missing; names it.
        """
        return replace(self, keys=self.found_keys())

    def found_keys(self) -> _Keys:
        """Return the keys that are carried, or those of the environment.

        Raises:
            ConfigurationError: A variable is missing; names it.
        """
        if self.keys is not None:
            return self.keys
        # Nothing of the environment is kept in a local: a traceback shows those.
        for variable in (self.api_key_variable, self.secret_key_variable):
            if not os.environ.get(variable):
                message = f"The environment variable {variable!r} is missing; set it where hours are exported, or use with_secrets()."
                raise ConfigurationError(message)
        return _Keys(os.environ[self.api_key_variable], os.environ[self.secret_key_variable])


def plan_hours(start: date | str, end: date | str) -> list[str]:
    """Return the hours of a range as ``YYYYMMDDTHH``, UTC, in order, none twice and none left out.

    Args:
        start: The first hour: text, a datetime, or a date, as for :meth:`amplitude_async.AsyncAmplitude.export`.
        end: The last hour, included.

    Raises:
        InvalidArgumentError: A bound is no hour, or the start is after the end.
    """
    first, last = hour_bound(start, argument="start"), hour_bound(end, argument="end")
    check_order(first, last)
    return [hour_text(hour) for hour in range(hour_number(first), hour_number(last) + 1)]


def export_hour(settings: ExportSettings, hour: str, target: PathLike) -> HourRecord:
    """Export one hour into its file, named after it (``20260501T07.parquet``). Blocks: it is for processes of their own.

    Idempotent: the file appears complete or not at all, and the same data gives the same bytes, so an engine may run it again at any
    time. Everything it takes and gives pickles; rows never travel between processes.

    Args:
        settings: How; they name the environment variables that hold the keys.
        hour: The hour as ``YYYYMMDDTHH``, UTC; :func:`plan_hours` gives them.
        target: The folder, which exists.

    Returns:
        The hour's record: state (``"done"`` or ``"empty"``), file, bytes, rows, SHA-256.

    Raises:
        ConfigurationError: A key is missing, or it was called within a running event loop (use ``await export.sync()`` there).
        InvalidArgumentError: ``hour`` is no hour, or the folder is missing.
        ExportError: The archive is damaged, or the disk is full.
        RangeTooLargeError: The hour is more than Amplitude gives in one answer.
        AmplitudeError: Amplitude refused, or did not answer.

    Amplitude's page: https://amplitude.com/docs/apis/analytics/export
    """
    if not isinstance(settings, ExportSettings):
        message = f"settings must be ExportSettings, not {type(settings).__name__}"
        raise InvalidArgumentError(message, argument="settings")
    check_format(settings.format)
    folder = checked_path(target, argument="target")
    if not folder.is_dir():
        message = f"target must be a folder that exists; {os.fspath(folder)!r:.200} is not"
        raise InvalidArgumentError(message, argument="target")
    text = hour_bound(hour, argument="hour")
    if _is_within_an_event_loop():
        message = "export_hour blocks, and this thread runs an event loop; use 'await amplitude.export(...).sync(folder)' here."
        raise ConfigurationError(message)
    work = partial(anyio.run, _exported, settings, text, folder)
    if not _is_marked():
        return work()
    # A process that was forked from within an event loop, or a thread with a copied context, bears that loop's marks, and anyio goes
    # by them. A thread of its own has none.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: Context().run(work)).result()


def _is_within_an_event_loop() -> bool:
    """Say whether this thread really runs one, by what the loops themselves know."""
    try:
        # Knows of forks.
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        return True
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    # trio knows nothing of forks: in a child, such as a pool's worker, that task is its parent's.
    return multiprocessing.parent_process() is None


def _is_marked() -> bool:
    """Say whether this thread looks as if it ran an event loop."""
    try:
        sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return False
    return True


async def _exported(settings: ExportSettings, hour: str, folder: Path) -> HourRecord:
    keys = settings.found_keys()
    async with AsyncAmplitude(
        keys.api_key, secret_key=keys.secret_key, region=settings.region, base_url=settings.base_url
    ) as amplitude:
        return await amplitude.export(start=hour, end=hour, allow_incomplete=True).fetch(
            folder, format=settings.format, bad_rows=settings.bad_rows
        )
