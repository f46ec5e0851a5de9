"""A progress bar for export jobs, drawn by rich (the extra ``cli``)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType

    from amplitude_async.exporting.sync import SyncProgress

__all__ = ["ProgressBar"]


class ProgressBar:
    """Shows how far a job is; a context manager to be handed to ``sync(progress=...)``.

        with ProgressBar() as bar:
            await export.sync("raw", progress=bar)

    Args:
        console: The ``rich.console.Console`` to draw on; standard error by default.

    Raises:
        ConfigurationError: rich, the extra ``cli``, is not installed.
    """

    def __init__(self, console: object = None) -> None:
        progress = console_class = None
        try:
            progress = import_module("rich.progress")
            console_class = import_module("rich.console").Console
        except ImportError:
            pass
        if progress is None or console_class is None:
            message = "The progress bar needs a package that is not installed: pip install 'amplitude-async[cli]'"
            raise ConfigurationError(message)
        self._progress: Any = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("hours"),
            progress.TextColumn("{task.fields[rows]:,} rows"),
            progress.TextColumn("{task.fields[size]}"),
            progress.TimeRemainingColumn(),
            console=console_class(stderr=True) if console is None else console,
        )
        self._task: Any = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._progress.stop()

    def __call__(self, told: SyncProgress) -> None:
        """Show what a job tells."""
        words = "export" if not told.hours_failed else f"export ({told.hours_failed} failed)"
        if self._task is None:
            self._task = self._progress.add_task(words, total=told.hours_total, rows=0, size="")
        self._progress.update(
            self._task, description=words, completed=told.hours_done, rows=told.rows, size=f"{told.bytes / 1e6:,.1f} MB"
        )
