"""``users search`` and ``users activity``."""

from typing import Any, Literal

from amplitude_async.cli.exits import DONE
from amplitude_async.cli.printing import drawn, print_csv, print_json, print_lines, print_table, table_of
from amplitude_async.cli.settings import CONNECTION, Connection
from amplitude_async.errors import InvalidArgumentError

_MATCH = ("amplitude_id", "user_id", "last_device_id", "last_seen", "country", "platform")
_EVENT = ("event_time", "event_type", "session_id", "platform", "event_properties")
_SUMMARY = {
    "user_id": "user id",
    "canonical_amplitude_id": "amplitude id",
    "first_used": "first used",
    "last_used": "last used",
    "num_events": "events",
    "num_sessions": "sessions",
    "usage_time": "usage time (ms)",
    "revenue": "revenue",
    "purchases": "purchases",
    "country": "country",
    "city": "city",
    "platform": "platform",
    "os": "os",
    "version": "version",
    "properties": "properties",
    "device_ids": "devices",
    "is_identified": "identified",
}


async def search(user: str, /, *, csv: bool = False, connection: Connection = CONNECTION) -> int:
    """Find users by an Amplitude id, a device id, a user id, or the beginning of a user id.

    Args:
        user: What to look for.
        csv: Print comma-separated rows.
    """
    async with connection.client() as client:
        answer = await client.user_search(user)
    rows: list[Any] = list(answer.get("matches", ()))
    if connection.json:
        print_json(answer)
    elif csv:
        print_csv(_columns(_MATCH, rows), rows)
    elif rows:
        print_table(_columns(_MATCH, rows), [{**row, "amplitude_id": str(row.get("amplitude_id", ""))} for row in rows])
    else:
        print_lines(f"nobody was found for {user!r}")
    return DONE


async def activity(
    amplitude_id: str,
    /,
    *,
    limit: int = 20,
    offset: int | None = None,
    direction: Literal["latest", "earliest"] = "latest",
    csv: bool = False,
    connection: Connection = CONNECTION,
) -> int:
    """Show a user's summary and events.

    Args:
        amplitude_id: The Amplitude id; `users search` gives it.
        limit: How many events, up to 1,000; 20 if left out. More may come so that no session is cut.
        offset: How many of them to skip.
        direction: The latest events first, or the earliest.
        csv: Print the events as comma-separated rows.
    """
    if not (amplitude_id.isascii() and amplitude_id.isdecimal()):
        message = f"{amplitude_id!r:.60} is no Amplitude id, which is a number; `users search` gives it"
        raise InvalidArgumentError(message, argument="AMPLITUDE_ID")
    async with connection.client() as client:
        answer = await client.user_activity(amplitude_id, limit=limit, offset=offset, direction=direction)
    events: list[Any] = list(answer.get("events", ()))
    columns = _columns(_EVENT, events)
    if connection.json:
        print_json(answer)
    elif csv:
        print_csv(columns, events)
    else:
        known: Any = answer.get("userData", {})
        if not events and not known.get("num_events") and not known.get("user_id"):
            print_lines(f"nobody is known under {amplitude_id}")
            return DONE
        facts = [
            {"": words, " ": str(known[name]) if name.endswith("_id") else known[name]}
            for name, words in _SUMMARY.items()
            if known.get(name) not in (None, "", [], {})
        ]
        drawn(table_of(("", " "), facts))
        print_lines("")
        if events:
            print_table(columns, [{**event, "session_id": str(event.get("session_id", ""))} for event in events])
        else:
            print_lines("no events")
    return DONE


def _columns(wanted: tuple[str, ...], rows: list[Any]) -> tuple[str, ...]:
    """Return those of the columns that any row has."""
    return tuple(name for name in wanted if any(row.get(name) not in (None, "", {}, []) for row in rows)) or wanted[:2]
