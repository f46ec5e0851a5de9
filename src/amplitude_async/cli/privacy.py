"""``privacy delete|jobs|cancel|dsar``: deletion of users, and what is known of one."""

import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amplitude_async.cli.exits import DONE, PARTLY
from amplitude_async.cli.printing import note, print_json, print_lines, print_table
from amplitude_async.cli.settings import CONNECTION, Connection
from amplitude_async.cli.spans import days_of
from amplitude_async.cli.writing import RowsOut, ids_from
from amplitude_async.errors import InvalidArgumentError


async def delete(
    user_ids: Annotated[list[str] | None, Parameter(name="USER_ID")] = None,
    /,
    *,
    amplitude_id: list[int] | None = None,
    file: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    requester: str | None = None,
    ignore_unknown: bool = False,
    delete_from_org: bool = False,
    yes: bool = False,
    connection: Connection = CONNECTION,
) -> int:
    """Have users deleted, with everything they did. What was submitted cannot be undone.

    Amplitude takes up to 30 days, and until three days before that `privacy cancel` takes a user out. What became of every id is told;
    the exit code is 1 unless all of them are scheduled.

    Args:
        user_ids: Your own user ids.
        amplitude_id: An Amplitude id; may be given several times.
        file: A file of user ids, one a line; - for standard input.
        requester: Who asked for it; kept with the job.
        ignore_unknown: Leave out ids that Amplitude does not know; otherwise they are refused.
        delete_from_org: Delete in every project of the organisation.
        yes: Do not ask.
    """
    ids = [*(user_ids or ()), *(ids_from(file) if file is not None else ())]
    numbers = amplitude_id or []
    count = len(set(ids)) + len(set(numbers))
    if not count:
        message = "Whom? Give user ids, --amplitude-id or --file"
        raise InvalidArgumentError(message, argument="USER_ID")
    _agree(f"Delete {count:,} users, with everything they did, for good?", yes=yes)
    async with connection.client() as client:
        report = await client.privacy.deletions.create(
            user_ids=ids or None,
            amplitude_ids=numbers or None,
            requester=requester,
            ignore_invalid_id=True if ignore_unknown else None,
            delete_from_org=True if delete_from_org else None,
        )
    fates: dict[str, Any] = {
        name: {"user_ids": list(fate.user_ids), "amplitude_ids": list(fate.amplitude_ids)}
        for name in ("accepted", "invalid", "rejected", "unknown", "unsent")
        if (fate := getattr(report, name))
    }
    if connection.json:
        print_json({**fates, "jobs": list(report.jobs)})
    else:
        counts = ", ".join(f"{len(getattr(report, name)):,} {name}" for name in fates)
        days = ", ".join(sorted({job["day"] for job in report.jobs}))
        print_lines(f"{counts}; to be deleted on {days}" if days else counts)
    return DONE if report.is_complete else PARTLY


def _agree(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        message = f"{question} --yes says that this is meant"
        raise InvalidArgumentError(message, argument="yes")
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        message = "nothing was done"
        raise InvalidArgumentError(message, argument="yes")


async def jobs(span: Annotated[str, Parameter(name="RANGE")], /, *, connection: Connection = CONNECTION) -> int:
    """List the deletion jobs that run, or ran, within some days.

    Args:
        span: A month (2026-05), a day, or two of them: 2026-05-01..2026-06-30.
    """
    days = days_of(span)
    async with connection.client() as client:
        found = await client.privacy.deletions.list(start_day=days.first, end_day=days.last)
    if connection.json:
        print_json(found)
    elif found:
        rows = [{"day": job["day"], "status": job["status"], "users": len(job.get("amplitude_ids", ()))} for job in found]
        print_table(("day", "status", "users"), rows)
    else:
        print_lines("there are no deletion jobs on these days")
    return DONE


async def cancel(amplitude_id: int, day: str, /, *, connection: Connection = CONNECTION) -> int:
    """Take a user out of a deletion job that is not submitted yet.

    Args:
        amplitude_id: The user's Amplitude id.
        day: The day the job runs, as `privacy jobs` lists it: 2026-05-31.
    """
    async with connection.client() as client:
        answer = await client.privacy.deletions.cancel(amplitude_id, days_of(day).first)
    if connection.json:
        print_json(answer)
    else:
        print_lines(f"{amplitude_id} is no longer to be deleted on {day}")
    return DONE


async def dsar(
    output: Annotated[Path | None, Parameter(name="FILE")] = None,
    /,
    *,
    user_id: str | None = None,
    amplitude_id: int | None = None,
    range: str | None = None,
    request_id: int | None = None,
    wait: float = 3 * 86_400,
    connection: Connection = CONNECTION,
) -> int:
    """Ask for everything that is known of a user, wait until it is there, and write it as JSON lines.

    It takes Amplitude up to three days. Stopped meanwhile, --request-id goes on. Needs the organisation's keys.

    Args:
        output: The file to write; standard output, if left out.
        user_id: Your own id of the user.
        amplitude_id: Amplitude's id; one of the two.
        range: The days: 2024-01-01..2026-05-31.
        request_id: Go on with a request that was made before, in place of all of these.
        wait: Seconds until it has to be done; three days, if left out.
    """
    if request_id is None and range is None:
        message = "Of which days? --range 2024-01-01..2026-05-31"
        raise InvalidArgumentError(message, argument="range")
    async with connection.client() as client:
        if request_id is None:
            first, last = days_of(range or "") if range else (date.min, date.max)
            asked = await client.privacy.dsar.request(user_id=user_id, amplitude_id=amplitude_id, start_date=first, end_date=last)
            request_id = asked["requestId"]
            note(f"asked for it; if this is stopped, go on with --request-id {request_id}")
        data = await client.privacy.dsar.download(request_id=request_id, timeout=wait)
        with RowsOut(output, as_json=True) as out:
            async with data.rows() as rows:
                async for row in rows:
                    out.add(row)
    note(f"{out.rows:,} rows of {len(data.outputs):,} files{f' in {output}' if output else ''}")
    return DONE
