"""Who is who: users, devices and groups in the database, and which Amplitude ID an upload belongs to.

The rules of assignment: a known ``user_id`` has its Amplitude ID; a new one takes over the anonymous user of its
device, or gets a new ID; without a ``user_id`` the device's last user counts. An anonymous user who turns out to
be a known one is merged into that one, and past rows keep the old ID
(https://amplitude.com/docs/data/sources/instrument-track-unique-users).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from amplitude_async.sandbox.properties import GROUP_OPERATIONS, apply
from amplitude_async.sandbox.rows import packed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

_MAX_HELD: Final = 50_000  # users, ids of theirs, and groups, in memory between transactions
_FIRST_AMPLITUDE_ID: Final = 1_610_447_000_001  # real ones exceed 32 bits too

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS users (
    amplitude_id INTEGER PRIMARY KEY,
    user_id TEXT UNIQUE,
    merged_into INTEGER,
    last_device_id TEXT,
    state TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS users_merged ON users (merged_into);
CREATE TABLE IF NOT EXISTS devices (device_id TEXT PRIMARY KEY, amplitude_id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS owned (
    amplitude_id INTEGER NOT NULL,
    device_id TEXT NOT NULL,
    PRIMARY KEY (amplitude_id, device_id)
);
CREATE TABLE IF NOT EXISTS erased (amplitude_id INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS group_state (
    group_type TEXT NOT NULL,
    group_value TEXT NOT NULL,
    properties TEXT NOT NULL,
    PRIMARY KEY (group_type, group_value)
);
"""


@dataclass(slots=True, kw_only=True)
class User:
    """A user's stored state."""

    amplitude_id: int
    user_id: str | None
    device_id: str | None = None
    properties: dict[str, object] = field(default_factory=dict)
    built_ins: dict[str, object] = field(default_factory=dict)
    groups: dict[str, list[object]] = field(default_factory=dict)
    paying: bool = False


class People:
    """The users, devices and groups of one database; used from the thread that owns the connection."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Use an open database, creating the tables that are missing."""
        self._database = database
        database.executescript(SCHEMA)
        self._known: dict[int, User] = {}
        self._ids_of_users: dict[str, int] = {}
        self._ids_of_devices: dict[str, int] = {}
        self._groups: dict[tuple[str, str], dict[str, object]] = {}

    def resolve(self, user_id: str | None, device_id: str) -> User:
        """Return the user of an upload, made or merged as the rules say, and tie the device to them."""
        tied = self._of_device(device_id)
        if user_id is None:
            user = tied or self._created(None)
        else:
            user = self._of_user_id(user_id) or self._new_with_id(user_id, tied)
            if tied is not None and tied.user_id is None and tied.amplitude_id != user.amplitude_id:
                self._merge(tied.amplitude_id, user.amplitude_id)
        if tied is None or tied.amplitude_id != user.amplitude_id:
            self._database.execute(
                "INSERT INTO devices VALUES (?, ?) ON CONFLICT (device_id) DO UPDATE SET amplitude_id = excluded.amplitude_id",
                (device_id, user.amplitude_id),
            )
            self._database.execute("INSERT OR IGNORE INTO owned VALUES (?, ?)", (user.amplitude_id, device_id))
            self._ids_of_devices[device_id] = user.amplitude_id
        user.device_id = device_id
        return user

    def _new_with_id(self, user_id: str, tied: User | None) -> User:
        if tied is None or tied.user_id is not None:
            return self._created(user_id)
        self._database.execute("UPDATE users SET user_id = ? WHERE amplitude_id = ?", (user_id, tied.amplitude_id))
        tied.user_id = user_id
        return tied

    def _created(self, user_id: str | None) -> User:
        # The id of a user who was deleted is nobody else's later.
        (last,) = self._database.execute(
            "SELECT max((SELECT coalesce(max(amplitude_id), 0) FROM users), (SELECT coalesce(max(amplitude_id), 0) FROM erased))"
        ).fetchone()
        user = User(amplitude_id=last + 1 if last else _FIRST_AMPLITUDE_ID, user_id=user_id)
        self._database.execute("INSERT INTO users (amplitude_id, user_id, state) VALUES (?, ?, '{}')", (user.amplitude_id, user_id))
        self._known[user.amplitude_id] = user
        return user

    def _merge(self, anonymous: int, known: int) -> None:
        self._ids_of_devices.clear()
        self._known.pop(anonymous, None)
        self._database.execute(
            "UPDATE users SET merged_into = ? WHERE amplitude_id = ? OR merged_into = ?",
            (known, anonymous, anonymous),
        )
        # The devices of the anonymous user are the known one's from here on.
        self._database.execute("UPDATE devices SET amplitude_id = ? WHERE amplitude_id = ?", (known, anonymous))
        self._database.execute(
            "INSERT OR IGNORE INTO owned SELECT ?, device_id FROM owned WHERE amplitude_id = ?",
            (known, anonymous),
        )

    def _of_device(self, device_id: str) -> User | None:
        amplitude_id = self._ids_of_devices.get(device_id)
        if amplitude_id is None:
            found = self._database.execute("SELECT amplitude_id FROM devices WHERE device_id = ?", (device_id,)).fetchone()
            if found is None:
                return None
            amplitude_id = self._ids_of_devices[device_id] = int(found[0])
        return self.get(amplitude_id)

    def _of_user_id(self, user_id: str) -> User | None:
        amplitude_id = self._ids_of_users.get(user_id)
        if amplitude_id is None:
            found = self._database.execute("SELECT amplitude_id FROM users WHERE user_id = ?", (user_id,)).fetchone()
            if found is None:
                return None
            amplitude_id = self._ids_of_users[user_id] = int(found[0])
        return self.get(amplitude_id)

    def get(self, amplitude_id: int) -> User | None:
        """Return a user by Amplitude ID, a merged one as the user it was merged into."""
        known = self._known.get(amplitude_id)
        if known is not None and known.user_id is not None:
            return known
        found = self._database.execute(
            "SELECT amplitude_id, user_id, last_device_id, state FROM users WHERE amplitude_id = "
            "(SELECT coalesce(merged_into, amplitude_id) FROM users WHERE amplitude_id = ?)",
            (amplitude_id,),
        ).fetchone()
        if found is None:
            return None
        if found[0] not in self._known:
            self._known[found[0]] = User(amplitude_id=found[0], user_id=found[1], device_id=found[2], **json.loads(found[3]))
        return self._known[found[0]]

    def on_device(self, device_id: str) -> User | None:
        """Return the user that a device belongs to."""
        return self._of_device(device_id)

    def named(self, user_id: str) -> User | None:
        """Return the user with exactly this user id."""
        return self._of_user_id(user_id)

    def erase(self, amplitude_id: int) -> None:
        """Forget a user, and every device and id that was theirs."""
        self._database.execute("INSERT OR IGNORE INTO erased VALUES (?)", (amplitude_id,))
        self._database.execute("DELETE FROM users WHERE amplitude_id = ?", (amplitude_id,))
        self._database.execute("DELETE FROM devices WHERE amplitude_id = ?", (amplitude_id,))
        self._database.execute("DELETE FROM owned WHERE amplitude_id = ?", (amplitude_id,))
        self._known.pop(amplitude_id, None)

    def save(self, user: User) -> None:
        """Write a user's state back."""
        state = {
            "properties": user.properties,
            "built_ins": user.built_ins,
            "groups": user.groups,
            "paying": user.paying,
        }
        self._database.execute(
            "UPDATE users SET state = ?, last_device_id = ? WHERE amplitude_id = ?",
            (packed(state), user.device_id, user.amplitude_id),
        )

    def forget(self, *, is_sound: bool = True) -> None:
        """Drop what is held in memory, once that is much, or when a transaction was taken back: the database has the truth."""
        held = len(self._known) + len(self._ids_of_users) + len(self._ids_of_devices) + len(self._groups)
        if not is_sound or held > _MAX_HELD:
            self._known.clear()
            self._ids_of_users.clear()
            self._ids_of_devices.clear()
            self._groups.clear()

    def canonical(self) -> dict[int, int]:
        """Return every Amplitude ID that anybody has, with the one that it stands for after merges."""
        return dict(self._database.execute("SELECT amplitude_id, coalesce(merged_into, amplitude_id) FROM users"))

    def ids_of(self, amplitude_id: int) -> list[int]:
        """Return the IDs that were merged into a user."""
        rows = self._database.execute("SELECT amplitude_id FROM users WHERE merged_into = ? ORDER BY amplitude_id", (amplitude_id,))
        return [row[0] for row in rows]

    def devices_of(self, amplitude_id: int) -> list[str]:
        """Return the devices that a user was seen on."""
        rows = self._database.execute("SELECT device_id FROM owned WHERE amplitude_id = ? ORDER BY rowid", (amplitude_id,))
        return [row[0] for row in rows]

    def search(self, text: str) -> tuple[str, list[User]]:
        """Find users by exact user or device id, else by Amplitude ID, else by the start of a user id."""
        users = [user for user in (self._of_user_id(text), self._of_device(text)) if user is not None]
        if users:
            return "match_user_or_device_id", list({user.amplitude_id: user for user in users}.values())
        if text.isascii() and text.isdigit() and len(text) <= len(str(2**63 - 1)) - 1:
            user = self.get(int(text))
            if user is not None:
                return "match_amplitude_id", [user]
        rows = self._database.execute(
            "SELECT amplitude_id FROM users WHERE substr(user_id, 1, ?) = ? ORDER BY user_id LIMIT 100",
            (len(text), text),
        ).fetchall()
        users = [user for user in (self.get(row[0]) for row in rows) if user is not None]
        return ("match_user_prefix", users) if users else ("nomatch", [])

    def find(self, user_id: str | None, device_id: str | None) -> User | None:
        """Return the user whose event would have these ids, made or merged by nobody; ``None`` if that would be a new one."""
        tied = None if device_id is None else self._of_device(device_id)
        if user_id is None:
            return tied
        return self._of_user_id(user_id) or (tied if tied is not None and tied.user_id is None else None)

    def group_properties(self, groups: Mapping[str, list[object]]) -> dict[str, object]:
        """Return what is stored of these groups: type to value to properties."""
        found: dict[str, object] = {}
        for group_type, values in groups.items():
            stored = {str(value): self._group(group_type, str(value)) for value in values}
            kept = {value: properties for value, properties in stored.items() if properties}
            if kept:
                found[group_type] = kept
        return found

    def property_names(self) -> list[str]:
        """Return the names of the custom properties that users have."""
        found = self._database.execute("SELECT DISTINCT each.key FROM users u, json_each(u.state, '$.properties') each")
        return [row[0] for row in found]

    def group_property_names(self, group_type: str | None) -> list[str]:
        """Return the names of the properties that groups have: of one type, or of all."""
        found = self._database.execute(
            "SELECT DISTINCT each.key FROM group_state g, json_each(g.properties) each WHERE ? IS NULL OR g.group_type = ?",
            (group_type, group_type),
        )
        return [row[0] for row in found]

    def _group(self, group_type: str, value: str) -> dict[str, object]:
        known = self._groups.get((group_type, value))
        if known is None:
            found = self._database.execute(
                "SELECT properties FROM group_state WHERE group_type = ? AND group_value = ?", (group_type, value)
            ).fetchone()
            known = self._groups[group_type, value] = {} if found is None else json.loads(found[0])
        return known

    def change_group(self, group_type: str, value: str, change: Mapping[str, object]) -> None:
        """Apply properties or operations to a group."""
        changed = self._groups[group_type, value] = apply(self._group(group_type, value), change, GROUP_OPERATIONS)
        self._database.execute(
            "INSERT INTO group_state VALUES (?, ?, ?) "
            "ON CONFLICT (group_type, group_value) DO UPDATE SET properties = excluded.properties",
            (group_type, value, packed(changed)),
        )
