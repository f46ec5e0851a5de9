"""One owner for a file, held by the operating system.

The lock is a POSIX record lock on ``<file>.lock``: it goes with the process that holds it, however that ends, and a forked child does
not inherit it. (``flock`` would be inherited: a child that outlives its parent would keep a dead owner's file locked.) Such a lock
is also dropped when *any* descriptor of the lock file is closed in the process, so a table of what is held here is asked first, and no
second descriptor is ever opened. SQLite's own lock, taken as well, guards against programs that know nothing of this one.

The lock file stays when the lock is given up: removing it would let two processes lock two files of one name.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Final

from amplitude_async.delivery.files import companion, open_private, storage_error
from amplitude_async.errors import OutboxLocked

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FileLock", "forget_parent", "take_lock"]

_held: Final[dict[tuple[int, int], int]] = {}
"""Device and inode of each lock file held, and the process that holds it."""
_guard = threading.Lock()


class FileLock:
    """The right to use one file, until :meth:`release` or the end of the process."""

    __slots__ = ("_descriptor", "_key", "path")

    def __init__(self, path: Path, descriptor: int, key: tuple[int, int]) -> None:
        self.path: Path = path
        """The file that is locked (not the lock file)."""
        self._descriptor: int | None = descriptor
        self._key = key

    def release(self) -> None:
        """Give the file up. Safe to call again; in a forked child it does nothing, because the lock is the parent's."""
        with _guard:
            if self._descriptor is None or _held.get(self._key) != os.getpid():
                return
            os.close(self._descriptor)
            self._descriptor = None
            del _held[self._key]


def _locked(path: Path, owner: str) -> OutboxLocked:
    message = f"The outbox file {path} is in use by {owner}; give each process its own path, or pass folder= instead."
    return OutboxLocked(message, path=str(path))


def take_lock(path: Path) -> FileLock:
    """Lock the file at once or not at all.

    Raises:
        OutboxLocked: Another process, or another outbox of this one, holds it.
        OutboxStorageError: The lock file cannot be made.
    """
    lock_path = companion(path, ".lock")
    with _guard:
        while True:
            try:
                facts = os.lstat(lock_path)
            except OSError:
                pass
            else:
                if _held.get((facts.st_dev, facts.st_ino)) == os.getpid():
                    raise _locked(path, "another outbox of this process")
            try:
                descriptor = open_private(lock_path, named=path)
            except FileNotFoundError:
                try:
                    descriptor = open_private(lock_path, create=True, named=path)
                except FileExistsError:
                    continue  # another process was faster by a moment
            break
        try:
            facts = os.fstat(descriptor)
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            raise _locked(path, "another process") from None
        except OSError as refusal:
            os.close(descriptor)
            raise storage_error(path, "cannot be locked", refusal) from None
        key = (facts.st_dev, facts.st_ino)
        _held[key] = os.getpid()
        return FileLock(path, descriptor, key)


def forget_parent() -> None:
    """In a forked child, where no other thread runs: free what one may have held at the fork."""
    global _guard  # noqa: PLW0603 - a lock that nobody will release can only be replaced
    _guard = threading.Lock()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
