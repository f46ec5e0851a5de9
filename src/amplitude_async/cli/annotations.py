"""``annotations`` and ``releases``: notes on charts."""

from datetime import datetime
from typing import Any, Final

from amplitude_async.cli.exits import DONE
from amplitude_async.cli.printing import print_csv, print_json, print_lines, print_table
from amplitude_async.cli.settings import CONNECTION, Connection
from amplitude_async.cli.spans import moment_of

_COLUMNS: Final = ("id", "start", "end", "label", "category", "chart_id", "details")


def _moment(text: str | None, argument: str) -> datetime | None:
    return None if text is None else moment_of(text, argument=argument)


async def list_annotations(
    *,
    category: str | None = None,
    chart_id: str | None = None,
    start: str | None = None,
    end: str | None = None,
    csv: bool = False,
    connection: Connection = CONNECTION,
) -> int:
    """List notes on charts.

    Args:
        category: Those of this category alone.
        chart_id: Those of this chart, and those on every chart.
        start: Those from then on: 2026-05-01, or 2026-05-01T13:00 (UTC, unless it says otherwise).
        end: Those up to then.
        csv: Print comma-separated rows.
    """
    async with connection.client() as client:
        answer = await client.annotations.list(
            category=category, chart_id=chart_id, start=_moment(start, "--start"), end=_moment(end, "--end")
        )
    notes: list[Any] = list(answer["data"])
    rows: list[dict[str, Any]] = [
        {**found, "id": str(found["id"]), "category": (found.get("category") or {}).get("name")} for found in notes
    ]
    columns = [name for name in _COLUMNS if any(row.get(name) for row in rows)]
    if connection.json:
        print_json(answer)
    elif csv:
        print_csv(_COLUMNS, rows)
    elif rows:
        print_table(columns, rows)
    else:
        print_lines("there are no annotations")
    return DONE


async def add(
    label: str,
    /,
    *,
    start: str,
    end: str | None = None,
    category: str | None = None,
    chart_id: str | None = None,
    details: str | None = None,
    connection: Connection = CONNECTION,
) -> int:
    """Put a note on a chart, or on all of them.

    Args:
        label: Its title.
        start: When it is about: 2026-05-01, or 2026-05-01T13:00 (UTC, unless it says otherwise).
        end: When that ends; a moment, if left out.
        category: The name of its category, which must exist.
        chart_id: The chart; every chart, if left out.
        details: More about it.
    """
    async with connection.client() as client:
        answer = await client.annotations.create(
            label,
            start=moment_of(start, argument="--start"),
            end=_moment(end, "--end"),
            category=category,
            chart_id=chart_id,
            details=details,
        )
    if connection.json:
        print_json(answer)
    else:
        print_lines(f"annotation {answer['data']['id']}")
    return DONE


async def remove(annotation_id: int, /, *, connection: Connection = CONNECTION) -> int:
    """Delete a note.

    Args:
        annotation_id: Its id, as `annotations list` shows it.
    """
    async with connection.client() as client:
        answer = await client.annotations.delete(annotation_id)
    if connection.json:
        print_json(answer)
    else:
        print_lines(f"annotation {annotation_id} is deleted")
    return DONE


async def add_release(
    version: str,
    /,
    *,
    title: str,
    start: str,
    end: str | None = None,
    description: str | None = None,
    platform: list[str] | None = None,
    created_by: str | None = None,
    hidden: bool = False,
    connection: Connection = CONNECTION,
) -> int:
    """Mark a release on charts. Amplitude takes new ones here; it neither lists nor changes them.

    Args:
        version: The version that is released.
        title: What charts call it.
        start: When it begins: 2026-05-01, or 2026-05-01T13:00 (UTC, unless it says otherwise).
        end: When it is out.
        description: More about it.
        platform: Where it is released, such as iOS; may be given several times.
        created_by: Who did it.
        hidden: Do not show it on charts.
    """
    async with connection.client() as client:
        answer = await client.releases.create(
            version,
            title=title,
            release_start=moment_of(start, argument="--start"),
            release_end=_moment(end, "--end"),
            description=description,
            platforms=platform,
            created_by=created_by,
            chart_visibility=False if hidden else None,
        )
    if connection.json:
        print_json(answer)
    else:
        print_lines(f"release {answer['release']['id']} ({version})")
    return DONE
