"""Names on disk: what may stand at an outbox's path, with which modes, and how a damaged file steps aside.

Nothing here follows a link at the path itself: a link there was planted, or is a mistake. Folders above it may be links, those are the
user's own business.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Final

from amplitude_async.errors import OutboxStorageError

__all__ = [
    "FileBytes",
    "check_companions",
    "check_place",
    "companion",
    "first_bytes",
    "make_folder",
    "move_aside",
    "normal_path",
    "open_private",
    "same_file",
    "storage_error",
    "sync_folder",
]

COMPANIONS: Final = ("-wal", "-journal", "-shm")
"""What SQLite may put beside a database (https://www.sqlite.org/tempfiles.html)."""

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700

# Windows has none of these; there, O_BINARY keeps line ends as they are.
_CAREFUL: Final = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)


def storage_error(path: Path, what: str, cause: BaseException | None = None) -> OutboxStorageError:
    """Describe what the disk refused; the message names the path."""
    detail = "" if cause is None else f"{type(cause).__name__}: {cause}"
    words = getattr(cause, "strerror", None) or (str(cause) if cause is not None else "")
    message = f"The outbox file {path} {what}{f': {words}' if words else ''}."
    return OutboxStorageError(message, path=str(path), detail=detail)


def normal_path(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Path:
    """Return the path made absolute, so that a later change of folder does not move it; links stay as they are.

    Raises:
        OutboxStorageError: It is no path at all.
    """
    text = os.fsdecode(path)
    if not text or "\0" in text:
        message = f"{text!r} cannot be the path of an outbox."
        raise OutboxStorageError(message, path=text)
    return Path(text).absolute()


def companion(path: Path, ending: str) -> Path:
    """Return the name beside the path that has a further ending."""
    return path.with_name(path.name + ending)


def check_place(path: Path) -> None:
    """Refuse a path that cannot become an outbox file, before anything is put beside it.

    Raises:
        OutboxStorageError: It is a folder or a link, or its own folder is missing.
    """
    try:
        is_link, is_folder, has_folder = path.is_symlink(), path.is_dir(), path.parent.is_dir()
    except OSError as refusal:
        raise storage_error(path, "cannot be looked at", refusal) from None
    if is_link:
        raise storage_error(path, "is a link, and links are not followed")
    if is_folder:
        raise storage_error(path, "is a folder; pass folder= to give each process a file in it")
    if not has_folder:
        raise storage_error(path, f"cannot be made, because there is no folder {path.parent}")


def open_private(path: Path, *, create: bool = False, named: Path | None = None) -> int:
    """Open a plain file that nobody else can read, for reading and writing, and return its descriptor.

    Args:
        path: The file; a link, a folder, a pipe or a file with a second name is refused.
        create: Make it, and refuse one that is there.
        named: The path that messages name.

    Raises:
        FileNotFoundError: There is none, and none was to be made.
        FileExistsError: There is one, and one was to be made.
        OutboxStorageError: It is no plain file, or may not be read and written.
    """
    named = named or path
    flags = os.O_RDWR | _CAREFUL | (os.O_CREAT | os.O_EXCL if create else 0)
    try:
        descriptor = os.open(path, flags, PRIVATE_FILE)
    except (FileNotFoundError, FileExistsError):
        if not create or path.parent.is_dir():
            raise
        raise storage_error(named, f"cannot be made, because there is no folder {path.parent}") from None
    except OSError as refusal:
        if path.is_symlink():
            raise storage_error(named, "is a link, or has one beside it, and links are not followed") from None
        raise storage_error(named, "cannot be opened for writing", refusal) from None
    try:
        _check(descriptor, named)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(descriptor: int, named: Path) -> None:
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        raise storage_error(named, "is no plain file of its own (a pipe, a device, or a second name of another file)")
    if stat.S_IMODE(facts.st_mode) == PRIVATE_FILE or os.name == "nt":  # there, rights come from the folder
        return
    try:
        os.fchmod(descriptor, PRIVATE_FILE)
    except OSError as refusal:
        raise storage_error(named, "can be read by others, and that cannot be changed", refusal) from None


def first_bytes(descriptor: int, count: int) -> bytes:
    """Read the beginning of an open file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, count)


def make_folder(folder: Path) -> None:
    """Make the folder for its owner alone if it is missing; its parent must be there.

    Raises:
        OutboxStorageError: It cannot be made, or something else has its name.
    """
    try:
        folder.mkdir(mode=PRIVATE_FOLDER)
        folder.chmod(PRIVATE_FOLDER)  # whatever the umask took away
    except FileExistsError:
        if not folder.is_dir():
            raise storage_error(folder, "stands where a folder was expected") from None
    except OSError as refusal:
        raise storage_error(folder, "is a folder that cannot be made", refusal) from None


def sync_folder(folder: Path) -> None:
    """Make names that were added to a folder survive a loss of power, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network and overlay file systems cannot; nothing better is to be had there
    finally:
        os.close(descriptor)


def move_aside(path: Path, now_ms: int) -> Path:
    """Rename a damaged file, and what SQLite has beside it; nothing is deleted or overwritten. Return the new name.

    Raises:
        OutboxStorageError: It cannot be renamed.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_ms // 1000))
    aside = companion(path, f".damaged-{moment}")
    number = 1
    while any(os.path.lexists(companion(aside, ending)) for ending in ("", *COMPANIONS)):
        number += 1
        aside = companion(path, f".damaged-{moment}-{number}")
    try:
        for ending in ("", *COMPANIONS):
            old = companion(path, ending)
            if os.path.lexists(old):
                old.rename(companion(aside, ending))
    except OSError as refusal:
        raise storage_error(path, "is damaged and cannot be moved aside", refusal) from None
    return aside


def check_companions(path: Path) -> bool:
    """Refuse links and the like beside the path; say whether SQLite's write-ahead log is there and holds anything.

    Raises:
        OutboxStorageError: Something other than a plain file has a name that SQLite would use.
    """
    has_log = False
    for ending in COMPANIONS:
        try:
            descriptor = open_private(companion(path, ending), named=path)
        except FileNotFoundError:
            continue
        try:
            has_log |= ending == "-wal" and os.fstat(descriptor).st_size > 0
        finally:
            os.close(descriptor)
    return has_log


def same_file(path: Path, descriptor: int) -> bool:
    """Say whether the path still names the open file, and not through a link."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


class FileBytes:
    """A file's bytes, read piece by piece; what the disk no longer gives reads as nothing.

    (A memory map would end the process where the disk has a bad block.)
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor: int | None = open_private(path)
            self._length = os.fstat(self._descriptor).st_size
        except (OSError, OutboxStorageError):
            self._descriptor, self._length = None, 0

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, piece: slice) -> bytes:
        start, stop, _ = piece.indices(self._length)
        if self._descriptor is None or stop <= start:
            return b""
        try:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            return os.read(self._descriptor, stop - start)
        except OSError:
            return b""

    def close(self) -> None:
        """Close the file; it is empty from then on."""
        descriptor, self._descriptor, self._length = self._descriptor, None, 0
        if descriptor is not None:
            os.close(descriptor)
