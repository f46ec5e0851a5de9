"""What the sandbox notes of who did what, for its audit log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.sandbox.documents import Document
    from amplitude_async.sandbox.store import Store

__all__ = ["entries", "note"]

_KIND = "audit_log"


def note(store: Store, now: float, *, domain: str, feature: str, action: str, target: str) -> None:
    """Note that something was done. Runs in the store's thread."""
    number = store.documents.next_number(_KIND)
    entry: Document = {
        "id": number,
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "domain": domain,
        "feature": feature,
        "action": action,
        "target": target,
        "user_email": None,
        "project_id": store.project_id,
        "event_properties": {},
        "error": None,
    }
    store.documents.put(_KIND, number, entry)


def entries(store: Store) -> list[Document]:
    """Return what was noted, the oldest first. Runs in the store's thread."""
    return store.documents.all(_KIND)
