"""Data subject requests: a job that takes a moment, then a file for each month in which the user did anything.

Everything here runs in the store's thread. Rules from https://amplitude.com/docs/apis/analytics/ccpa-dsar; a real job takes up to
three days, this one a second by the sandbox's clock.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.sandbox.auditing import note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amplitude_async.sandbox.documents import Document
    from amplitude_async.sandbox.people import User
    from amplitude_async.sandbox.store import Store

__all__ = ["create", "is_expired", "month_of", "months", "shown", "status_of", "subject_of"]

STAGING_SECONDS: Final = 0.4
RUNNING_SECONDS: Final = 0.6
KEPT_SECONDS: Final = 2 * 86_400
MOST_EVENTS: Final = 100_000
"""In one month of one user; more is not supported."""
_KIND: Final = "dsar"
_DAY_US: Final = 86_400_000_000


def create(store: Store, now: float, *, user_id: str | None, amplitude_id: int | None, first: date, last: date) -> int:
    """Note a request, return its number."""
    number = store.documents.next_number(_KIND)
    request: Document = {
        "requestId": number,
        "amplitudeId": amplitude_id,
        "userId": user_id,
        "startDate": first.isoformat(),
        "endDate": last.isoformat(),
        "created": now,
    }
    store.documents.put(_KIND, number, request)
    note(store, now, domain="privacy", feature="dsar", action="create", target=f"request {number}")
    return number


def status_of(request: Mapping[str, Any], now: float) -> str:
    """Return where a request stands, failures aside."""
    age = now - request["created"]
    if age < STAGING_SECONDS:
        return "staging"
    return "submitted" if age < STAGING_SECONDS + RUNNING_SECONDS else "done"


def _expires(request: Mapping[str, Any]) -> float:
    return float(request["created"]) + STAGING_SECONDS + RUNNING_SECONDS + KEPT_SECONDS


def is_expired(request: Mapping[str, Any], now: float) -> bool:
    """Say whether a request's files are gone."""
    return now >= _expires(request)


def subject_of(store: Store, request: Mapping[str, Any]) -> User | None:
    """Return the user that a request is about, ``None`` if there is none."""
    user = store.people.get(request["amplitudeId"]) if request["userId"] is None else store.people.named(request["userId"])
    store.people.forget()
    return user


def _span(request: Mapping[str, Any]) -> tuple[int, int]:
    """Return a request's days, both included, as a half-open span in microseconds since the epoch."""
    first, last = (date.fromisoformat(request[name]) for name in ("startDate", "endDate"))
    return _midnight(first), _midnight(last) + _DAY_US


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def months(store: Store, request: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the months, ``YYYY-MM``, in which the user did anything within the days, with how much."""
    user = subject_of(store, request)
    return [] if user is None else store.months_of(user, *_span(request))


def month_of(request: Mapping[str, Any], month: str) -> tuple[int, int]:
    """Return the part of a month that lies in a request's days, as a half-open span in microseconds."""
    first = date.fromisoformat(f"{month}-01")
    start, end = _span(request)
    return max(start, _midnight(first)), min(end, _midnight((first + timedelta(days=32)).replace(day=1)))


def shown(store: Store, now: float, number: int, base_url: str) -> Document | None:
    """Return how a request stands as the API shows it, ``None`` if there is none."""
    request = store.documents.get(_KIND, number)
    if request is None:
        return None
    status = status_of(request, now)
    answer: Document = {
        **{name: request[name] for name in ("requestId", "amplitudeId", "userId", "startDate", "endDate")},
        "status": status,
        "urls": [],
        "expires": datetime.fromtimestamp(_expires(request), UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    }
    if status == "done":
        found = months(store, request)
        if any(count > MOST_EVENTS for _, count in found):
            answer["status"] = "failed"
            answer["failReason"] = f"The user has more than {MOST_EVENTS} events in a month"
        else:
            answer["urls"] = [f"{base_url}/api/2/dsar/requests/{number}/outputs/{index}" for index in range(len(found))]
    return answer
