"""Files that appear under their name only when they are complete: written beside it, synced, renamed.

Everything that touches the disk runs in a worker thread, four megabytes at a time: a thread hop for every 16 kB costs three times as
much as the download.
"""

from __future__ import annotations

import os
import stat
import zlib
from contextlib import suppress
from errno import ENOTDIR
from hashlib import sha256
from inspect import isawaitable
from pathlib import Path
from secrets import token_hex
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar

import anyio
import anyio.to_thread

from amplitude_async.errors import ExportStorageError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

__all__ = ["AtomicFile", "Buffered", "BytesTarget", "PathLike", "as_folder", "as_path", "checked_path", "in_thread", "make_folder"]

T = TypeVar("T")

PathLike = str | os.PathLike[str]

HOP_BYTES: Final = 4 << 20
"""How much is gathered for one hop into a thread."""
TARGET_BYTES: Final = 2 << 20
"""How much a target of somebody else's is given at once: it gets a copy, which is memory too."""
RESERVED_FROM: Final = 1 << 20
"""From what length on of one write its room on the disk is reserved beforehand."""
GZIP: Final = 31
GZIP_LEVEL: Final = 6
_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_MAX_NAME: Final = 200
"""How much of a file's name its temporary one repeats, in bytes; file systems allow 255."""


class BytesTarget(Protocol):
    """What bytes can be written to: an aiofiles or anyio file, or anything else with an async ``write``."""

    @property
    def write(self) -> Callable[[bytes], Awaitable[Any]]:
        """Write bytes; awaited."""


async def in_thread(work: Callable[[], T]) -> T:
    """Run what blocks in a worker thread, and be back only when it has ended; a cancellation waits until then.

    A shield keeps anyio's cancellations away, but not asyncio's own (``task.cancel()``, its time limits), which would leave
    a thread writing to a file that is being closed.
    """
    turn, ended = Lock(), Event()
    has_begun = is_withdrawn = False
    results: list[T] = []

    def run() -> None:
        nonlocal has_begun
        with turn:
            if is_withdrawn:
                return
            has_begun = True
        try:
            results.append(work())
        finally:
            ended.set()

    with anyio.CancelScope(shield=True):
        try:
            await anyio.to_thread.run_sync(run)
        except BaseException:
            with turn:
                is_withdrawn = True
            while has_begun and not ended.is_set():
                with suppress(anyio.get_cancelled_exc_class()):
                    await anyio.to_thread.run_sync(ended.wait)
            raise
    return results[0]


def checked_path(target: object, *, argument: str) -> Path:
    """Return a path that a file system can be asked about.

    Raises:
        InvalidArgumentError: It is none.
    """
    reason = "it is blank"
    try:
        text = os.fsdecode(target)  # type: ignore[arg-type]  # what is checked
        os.fsencode(text)
    except (TypeError, ValueError) as refusal:
        reason = f"it is {type(target).__name__}" if isinstance(refusal, TypeError) else "it is no text that a file system takes"
    else:
        if "\0" in text:
            reason = "it holds a NUL"
        elif text:
            return Path(text)
    message = f"{argument} must be a path; {reason}"
    raise InvalidArgumentError(message, argument=argument)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone whatever the umask.

    Raises:
        OSError: It cannot be made, or something else is there.
    """
    missing: list[Path] = []
    at = folder
    while not at.exists() and at != at.parent:
        missing.append(at)
        at = at.parent
    for one in reversed(missing):
        one.mkdir(_FOLDER_MODE, exist_ok=True)
        one.chmod(_FOLDER_MODE)
    if not folder.is_dir():
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR))


def as_path(target: object, *, argument: str) -> Path | None:
    """Return the path that a target is, ``None`` if it is something to write to.

    Raises:
        InvalidArgumentError: It is neither.
    """
    if isinstance(target, str) or (isinstance(target, os.PathLike) and not callable(getattr(target, "write", None))):
        path = checked_path(target, argument=argument)
        if not path.name or path.is_dir():
            message = f"{argument} must name a file, and {str(path)!r:.200} is a folder"
            raise InvalidArgumentError(message, argument=argument)
        return path
    if callable(getattr(target, "write", None)):
        return None
    message = f"{argument} must be a path, or have an async write(bytes); it is {type(target).__name__}"
    raise InvalidArgumentError(message, argument=argument)


def as_folder(target: object) -> Path | None:
    """Return the path of a folder that exists, ``None`` if the target is something else."""
    if not isinstance(target, (str, os.PathLike)) or callable(getattr(target, "write", None)):
        return None
    path = checked_path(target, argument="target")
    return path if path.is_dir() else None


def _failed(doing: str, path: Path, error: OSError) -> ExportStorageError:
    return ExportStorageError(f"{doing} {os.fspath(path)!r:.200} failed: {error.strerror or type(error).__name__}")


def hold(descriptor: int) -> bool:
    """Lock a file as long as it stays open; say whether that was possible. Where there is no such lock, it always is."""
    try:
        import fcntl  # noqa: PLC0415 - not everywhere
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def reserve(descriptor: int, at: int, length: int) -> None:
    """Have the file system find the room for what is written next at once, not page by page: a third off the time of writing.

    Where it cannot, nothing happens, and what is wrong is left to be said by the write.

    Raises:
        OSError: The file would not be as it was before.
    """
    try:
        import fcntl  # noqa: PLC0415 - not everywhere

        # The C library would make up for a file system that knows no such thing by a write to every page. It does not where a file
        # is appended to: https://man7.org/linux/man-pages/man3/posix_fallocate.3.html
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
    except (ImportError, OSError):
        return
    try:
        with suppress(AttributeError, OSError):
            os.posix_fallocate(descriptor, at, length)
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, 0)


class AtomicFile:
    """A file in the making; blocks, so use it in a thread.

    It is written under a name of its own in the same folder, created anew and never through a link, readable by its owner alone.
    ``commit()`` syncs it and gives it its final name in one step; ``abort()`` removes it.

    Args:
        path: The final name. What is there already is replaced by ``commit()``; a link is replaced, not followed.

    Raises:
        InvalidArgumentError: The folder is missing, or the path is one.
        ExportStorageError: It cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.length: int = 0
        self._digest: Any = None
        self._shown_to: list[Callable[[memoryview], object]] = []
        short = os.fsencode(path.name)[:_MAX_NAME].decode("utf-8", "ignore")
        self._part = path.with_name(f".{short}.{token_hex(4)}.part")
        failure: ExportStorageError | InvalidArgumentError | None = None
        try:
            self._descriptor = os.open(self._part, _FLAGS, _MODE)
        except (FileNotFoundError, NotADirectoryError):
            message = f"the folder of {os.fspath(path)!r:.200} does not exist; make it first"
            failure = InvalidArgumentError(message, argument="path")
        except OSError as error:
            failure = _failed("Creating", path, error)
        if failure is not None:
            raise failure
        self._is_open = True
        # Held while it is written, so that a job which tidies up can tell it from what a killed one left.
        hold(self._descriptor)
        with suppress(OSError, AttributeError):
            # Whatever the umask was.
            os.fchmod(self._descriptor, _MODE)

    def hashed(self) -> Self:
        """Have its SHA-256 computed as it is written."""
        self._digest = sha256()
        return self.shown_to(self._digest.update)

    def shown_to(self, look: Callable[[memoryview], object]) -> Self:
        """Have what is written looked at, piece by piece."""
        self._shown_to.append(look)
        return self

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written, in hex; ``""`` if it was not asked for."""
        return "" if self._digest is None else str(self._digest.hexdigest())

    def fileno(self) -> int:
        """Return the descriptor, for what writes by itself."""
        return self._descriptor

    def write(self, data: bytes | memoryview) -> int:
        """Write all of it.

        Raises:
            ExportStorageError: The disk is full, or broken.
        """
        view = memoryview(data)
        failure: ExportStorageError | None = None
        try:
            if len(view) >= RESERVED_FROM:
                reserve(self._descriptor, self.length, len(view))
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            failure = _failed("Writing", self.path, error)
        if failure is not None:
            raise failure
        self.length += len(data)
        for look in self._shown_to:
            look(memoryview(data))
        return len(data)

    def read(self, at: int, length: int) -> bytes:
        """Return so many bytes from a place on, fewer only at its end; nothing can be written afterwards.

        Raises:
            ExportStorageError: The disk is broken.
        """
        failure: ExportStorageError | None = None
        pieces: list[bytes] = []
        try:
            os.lseek(self._descriptor, at, os.SEEK_SET)
            while length and (piece := os.read(self._descriptor, length)):
                pieces.append(piece)
                length -= len(piece)
        except OSError as error:
            failure = _failed("Reading", self.path, error)
        if failure is not None:
            raise failure
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def commit(self) -> None:
        """Sync it and give it its name.

        Raises:
            ExportStorageError: The disk is full or broken, or the name is taken by a folder.
        """
        failure: ExportStorageError | None = None
        try:
            os.fsync(self._descriptor)
            self._close()
            self._part.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            failure = _failed("Finishing", self.path, error)
        if failure is not None:
            self.abort()
            raise failure

    def abort(self) -> None:
        """Remove it. Safe to call again, and after ``commit()``, when nothing happens."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            self._part.unlink()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)


def _sync_folder(folder: Path) -> None:
    """Make a rename last; not every system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


_spare: Final[list[memoryview]] = []
"""A buffer that is not in use, kept for the next file. Whether the C library gives freed memory back to the system depends on what
lies beside it, and each 4 kB of new memory is a page fault: 2.5 ms for all, a tenth of what it takes to save 20 MB."""


def _take_buffer() -> memoryview:
    with suppress(IndexError):
        buffer = _spare.pop()
        if len(buffer) == HOP_BYTES:
            return buffer
    return memoryview(bytearray(HOP_BYTES))


def _give_back(buffer: memoryview) -> None:
    if buffer and not _spare:
        _spare.append(buffer)


class Buffered:
    """Gathers pieces and writes them to a path or a target; an async context manager.

    Left without ``commit()`` having been called, a path's file is removed; leaving never fails.

    Pieces are copied into one buffer that is used again and again. To keep them until they are written would cost more than the copy:
    a megabyte of them that is freed at once goes back to the system, and each page of the next comes as a fault.

    Args:
        target: A path, or something with an async ``write``.
        is_gzipped: Compress what is written (a gzip without a time, so that equal rows are equal bytes).
        is_hashed: Compute the SHA-256 of the file.
        look: Looks at what is written to a path, in the thread that writes it.
    """

    def __init__(
        self,
        target: Path | BytesTarget,
        *,
        is_gzipped: bool = False,
        is_hashed: bool = False,
        look: Callable[[memoryview], object] | None = None,
    ) -> None:
        self._target = target
        self._is_hashed = is_hashed
        self._look = look
        self._buffer = memoryview(b"")
        self._filled = 0
        self._deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP) if is_gzipped else None
        self._file: AtomicFile | None = None
        self._is_committed = False
        self.length: int = 0
        """How many bytes were written, once committed."""
        self.sha256: str = ""

    async def __aenter__(self) -> Self:
        if isinstance(self._target, Path):
            path = self._target

            def create() -> None:
                self._file = AtomicFile(path)
                if self._is_hashed:
                    self._file.hashed()
                if self._look is not None:
                    self._file.shown_to(self._look)

            try:
                await in_thread(create)
            except BaseException:
                await self.__aexit__(None, None, None)
                raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        _give_back(self._buffer)
        self._buffer = memoryview(b"")
        if self._file is not None and not self._is_committed:
            await in_thread(self._file.abort)

    async def write(self, piece: bytes | memoryview) -> None:
        """Take a piece; now and then this waits for the disk.

        Raises:
            ExportStorageError: The disk is full, or broken.
        """
        begin, end = self._filled, self._filled + len(piece)
        if end < len(self._buffer):
            self._buffer[begin:end] = piece
            self._filled = end
            return
        rest = memoryview(piece)
        if rest and not self._buffer:
            self._buffer = _take_buffer()
        while rest:
            taken = rest[: len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rest = rest[len(taken) :]
            if self._filled == len(self._buffer):
                await self._hop()

    def read(self, at: int, length: int) -> bytes:
        """Return what was written to a path: so many bytes from a place on, fewer only at the end. Blocks; for ``commit()``'s check.

        Raises:
            ExportStorageError: The disk is broken.
        """
        return b"" if self._file is None else self._file.read(at, length)

    async def commit(self, check: Callable[[], bool] | None = None) -> None:
        """Write what is left and give the file its name.

        Args:
            check: Checks some of what was written, in a thread; says whether there is more to check. If it raises, there is no file.

        Raises:
            ExportStorageError: The disk is full, or broken.
        """
        file = self._file
        if file is None or self._deflate is not None:
            await self._hop(is_last=True)
        if file is None:
            return
        rest, self._filled = self._buffer[: self._filled], 0

        def finish() -> bool:
            nonlocal rest
            if rest:
                file.write(rest)
                rest = rest[:0]
            if check is not None and check():
                return False
            file.commit()
            return True

        while not await in_thread(finish):
            pass  # between steps a cancellation is heard
        self._is_committed = True
        self.length, self.sha256 = file.length, file.sha256

    async def _hop(self, *, is_last: bool = False) -> None:
        """Write what is in the buffer. Nothing is put there meanwhile: whoever writes waits for this, and so does a cancellation."""
        gathered, self._filled = self._buffer[: self._filled], 0
        file, deflate = self._file, self._deflate
        if not gathered and deflate is None:
            return
        if file is not None:
            await in_thread(lambda: file.write(gathered if deflate is None else _compressed(deflate, gathered, is_last=is_last)))
            return
        # This takes more than a turn of the event loop to compress.
        data = gathered if deflate is None else await in_thread(lambda: _compressed(deflate, gathered, is_last=is_last))
        self.length += len(data)
        if not isinstance(self._target, Path):
            for at in range(0, len(data), TARGET_BYTES):
                await self._hand_on(self._target.write(bytes(data[at : at + TARGET_BYTES])))

    @staticmethod
    async def _hand_on(written: object) -> None:
        if not isawaitable(written):
            message = "the target's write(bytes) must be async, as that of an aiofiles or anyio file; open() gives a file that blocks"
            raise InvalidArgumentError(message, argument="target")
        await written


def _compressed(deflate: zlib._Compress, data: memoryview, *, is_last: bool) -> bytes:
    return deflate.compress(data) + (deflate.flush() if is_last else b"")
