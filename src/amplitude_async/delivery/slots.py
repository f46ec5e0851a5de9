"""A file for each process in a shared folder, and the files of those that are gone.

Slots are numbered. A process takes the lowest that is free, so a worker that was restarted finds its own events, or another's, in
place; what lies in higher slots whose owners are gone is taken over by :meth:`SQLiteStore.adopt`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from amplitude_async.delivery.files import make_folder, normal_path, storage_error
from amplitude_async.delivery.locking import take_lock
from amplitude_async.errors import OutboxLocked

if TYPE_CHECKING:
    from pathlib import Path

    from amplitude_async.delivery.locking import FileLock

__all__ = ["Slot", "claim_slot", "dead_slots"]

MAX_SLOTS: Final = 4096
_NAME: Final = re.compile(r"slot-(\d{4})\.db", re.ASCII)


class Slot(NamedTuple):
    """One process's place in a folder.

    Attributes:
        path: Its file.
        lock: The lock on it; pass it to :meth:`SQLiteStore.open`, which gives it up in the end.
        dead: Files of owners that are gone, each to be adopted.
    """

    path: Path
    lock: FileLock
    dead: tuple[Path, ...]


async def claim_slot(folder: str | os.PathLike[str]) -> Slot:
    """Take the lowest slot that is free; the folder is made if it is missing (for its owner alone).

    Raises:
        OutboxStorageError: The folder cannot be made or written.
        OutboxLocked: Every slot is taken.
    """
    place = normal_path(folder)
    make_folder(place)
    for number in range(1, MAX_SLOTS + 1):
        path = place / f"slot-{number:04}.db"
        try:
            lock = take_lock(path)
        except OutboxLocked:
            continue
        try:
            return Slot(path, lock, dead_slots(place, path))
        except BaseException:
            lock.release()
            raise
    message = f"All {MAX_SLOTS} slots of the outbox folder {place} are taken."
    raise OutboxLocked(message, path=str(place))


def dead_slots(folder: Path, own: Path) -> tuple[Path, ...]:
    """Return the files in the folder whose owners are gone, without keeping them locked.

    Raises:
        OutboxStorageError: The folder cannot be read.
    """
    dead: list[Path] = []
    try:
        names = sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))  # noqa: PTH208 - names, not paths
    except OSError as refusal:
        raise storage_error(folder, "is a folder that cannot be read", refusal) from None
    for name in names:
        path = folder / name
        if path == own:
            continue
        try:
            take_lock(path).release()
        except OutboxLocked:
            continue
        dead.append(path)
    return tuple(dead)
