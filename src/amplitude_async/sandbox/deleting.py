"""Deletion jobs: users gathered into a batch, a day that is fixed by the first of them, and on that day they are gone.

Everything here runs in the store's thread. Rules from https://amplitude.com/docs/apis/analytics/user-privacy; the lead of twelve days
is what was recorded, where the page says "within 30 days".
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.sandbox.auditing import note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amplitude_async.sandbox.documents import Document
    from amplitude_async.sandbox.store import Store

__all__ = ["UnknownIdsError", "cancel", "create", "listed", "settle", "status_of"]

LEAD: Final = timedelta(days=12)
LOCKED: Final = timedelta(days=3)
"""Before its day a job can neither grow nor shrink."""
BACKUPS: Final = timedelta(days=5)
"""After its day a job's users are in backups still."""
_KIND: Final = "deletions"


class UnknownIdsError(ValueError):
    """Ids that nobody has, and that were not to be ignored."""


def _today(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()


def status_of(job: Mapping[str, Any], now: float) -> str:
    """Return where a job stands."""
    day = date.fromisoformat(job["day"])
    today = _today(now)
    if today >= day + BACKUPS:
        return "done"
    return "submitted" if today >= day - LOCKED else "staging"


def _shown(store: Store, job: Mapping[str, Any], now: float, *, is_mapped: bool = False) -> Document:
    hidden = frozenset() if is_mapped else frozenset({"user_id"})
    users = [{key: value for key, value in user.items() if key not in hidden} for user in job["users"]]
    return {
        "active_scrub_done_date": job["scrubbed"],
        "amplitude_ids": users,
        "app": str(store.project_id),
        "day": job["day"],
        "status": status_of(job, now),
    }


def create(
    store: Store,
    now: float,
    *,
    amplitude_ids: list[object],
    user_ids: list[object],
    requester: str,
    ignores: bool,
    shows_user_ids: bool,
) -> Document | None:
    """Put users into the batch that is open; return the job, ``None`` if nobody is left of the ids.

    Raises:
        UnknownIdsError: An id is unknown and must not be ignored; nobody was scheduled.
    """
    people = store.people
    found: dict[int, str | None] = {}
    invalid: list[object] = []
    for sent in amplitude_ids:
        user = people.get(int(str(sent))) if str(sent).isascii() and str(sent).isdigit() and len(str(sent)) < 19 else None  # noqa: PLR2004 - digits of 2**63
        found.update({user.amplitude_id: user.user_id} if user is not None else {})
        invalid += [] if user is not None else [sent]
    for sent in user_ids:
        user = people.named(str(sent))
        found.update({user.amplitude_id: user.user_id} if user is not None else {})
        invalid += [] if user is not None else [sent]
    people.forget()
    if invalid and not ignores:
        message = f"Invalid amplitude/user ids: {len(invalid)}"
        raise UnknownIdsError(message)
    if not found:
        return None
    job = _open_batch(store, now)
    known = {user["amplitude_id"] for user in job["users"]}
    today = _today(now).isoformat()
    job["users"] += [
        {"amplitude_id": amplitude_id, "requested_on_day": today, "requester": requester, "user_id": user_id}
        for amplitude_id, user_id in found.items()
        if amplitude_id not in known
    ]
    store.documents.put(_KIND, job["day"], job)
    note(store, now, domain="privacy", feature="user_deletion", action="create", target=f"{len(found)} users")
    shown = _shown(store, job, now, is_mapped=shows_user_ids)
    return {**shown, "invalid_ids": invalid} if ignores else shown


def _open_batch(store: Store, now: float) -> Document:
    for job in store.documents.all(_KIND):
        if status_of(job, now) == "staging":
            return job
    return {"day": (_today(now) + LEAD).isoformat(), "users": [], "scrubbed": None}


def listed(store: Store, now: float, first: str, last: str) -> list[Document]:
    """Return the jobs that are scheduled for these days, both included."""
    return [_shown(store, job, now) for job in store.documents.all(_KIND) if first <= job["day"] <= last]


def cancel(store: Store, now: float, amplitude_id: int, day: str) -> Document | None:
    """Take a user out of a job; return what was noted of it, ``None`` if there is no such user in such a job, or it is locked."""
    job = store.documents.get(_KIND, day)
    if job is None or status_of(job, now) != "staging":
        return None
    taken = [user for user in job["users"] if user["amplitude_id"] == amplitude_id]
    if not taken:
        return None
    job["users"] = [user for user in job["users"] if user["amplitude_id"] != amplitude_id]
    if job["users"]:
        store.documents.put(_KIND, day, job)
    else:
        store.documents.remove(_KIND, day)
    note(store, now, domain="privacy", feature="user_deletion", action="cancel", target="1 user")
    return {key: value for key, value in taken[0].items() if key != "user_id"}


def settle(store: Store, now: float) -> float:
    """Delete the users of every job whose day has come; return when the next one comes."""
    due = inf
    for job in store.documents.all(_KIND):
        if job["scrubbed"] is not None:
            continue
        day = date.fromisoformat(job["day"])
        if _today(now) >= day:
            gone = store.erase([user["amplitude_id"] for user in job["users"]])
            for user_id in gone:
                store.documents.remove("mappings", user_id)
            job["scrubbed"] = job["day"]
            store.documents.put(_KIND, job["day"], job)
            note(store, now, domain="privacy", feature="user_deletion", action="run", target=f"{len(job['users'])} users")
        else:
            due = min(due, datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return due
