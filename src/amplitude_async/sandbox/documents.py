"""What the sandbox's smaller APIs remember: JSON documents by kind and name, in the order in which they were made.

Every method runs in the store's thread.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS documents (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (kind, name)
);
"""

Document = dict[str, Any]


class Documents:
    """A drawer for each kind."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Make the table where it is missing."""
        self._database = database
        database.executescript(_SCHEMA)

    def get(self, kind: str, name: object) -> Document | None:
        """Return one document, ``None`` if there is none."""
        found = self._database.execute("SELECT body FROM documents WHERE kind = ? AND name = ?", (kind, str(name))).fetchone()
        return None if found is None else json.loads(found[0])

    def all(self, kind: str) -> list[Document]:
        """Return the documents of a kind, the oldest first."""
        found = self._database.execute("SELECT body FROM documents WHERE kind = ? ORDER BY place", (kind,))
        return [json.loads(body) for (body,) in found]

    def named(self, kind: str) -> list[tuple[str, Document]]:
        """Return the names and documents of a kind, the oldest first."""
        found = self._database.execute("SELECT name, body FROM documents WHERE kind = ? ORDER BY place", (kind,))
        return [(name, json.loads(body)) for name, body in found]

    def put(self, kind: str, name: object, document: Document) -> Document:
        """Keep a document; one of the same name is replaced in its place. Returns it."""
        self._database.execute(
            "INSERT INTO documents (kind, name, body) VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
            (kind, str(name), json.dumps(document)),
        )
        return document

    def remove(self, kind: str, name: object) -> bool:
        """Forget a document; say whether there was one."""
        return self._database.execute("DELETE FROM documents WHERE kind = ? AND name = ?", (kind, str(name))).rowcount > 0

    def next_number(self, kind: str) -> int:
        """Return a number that no document of this kind had before, from 1."""
        counter = self.get("counters", kind) or {"last": 0}
        counter["last"] += 1
        self.put("counters", kind, counter)
        return int(counter["last"])
