"""``cohorts``: listed, downloaded, uploaded, changed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from amplitude_async.cli.exits import DONE, PARTLY
from amplitude_async.cli.printing import note, print_csv, print_json, print_lines, print_table
from amplitude_async.cli.settings import CONNECTION, Connection
from amplitude_async.cli.writing import RowsOut, ids_from

_COLUMNS: Final = ("id", "name", "size", "published", "computed", "owners")
_MOST_IDS: Final = 100_000
_File = Annotated[Path | None, Parameter(name="FILE", allow_leading_hyphen=True)]
_IdType = Annotated[Literal["user", "amplitude"], Parameter(show_default=True)]


async def list_cohorts(*, csv: bool = False, connection: Connection = CONNECTION) -> int:
    """List the project's cohorts that can be discovered.

    Args:
        csv: Print comma-separated rows.
    """
    async with connection.client() as client:
        answer = await client.cohorts.list()
    rows: list[dict[str, Any]] = [{**cohort, "computed": _instant(cohort.get("lastComputed"))} for cohort in answer["cohorts"]]
    if connection.json:
        print_json(answer)
    elif csv:
        print_csv(_COLUMNS, rows)
    elif rows:
        print_table(_COLUMNS, [{**row, "owners": ", ".join(map(str, row.get("owners") or ()))} for row in rows])
    else:
        print_lines("there are no cohorts that can be discovered")
    return DONE


def _instant(seconds: Any) -> str:  # noqa: ANN401 - a number of JSON
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ") if isinstance(seconds, (int, float)) else ""


async def download(
    cohort_id: str | None = None,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    properties: bool = False,
    property: list[str] | None = None,
    request_id: str | None = None,
    wait: float = 3600,
    connection: Connection = CONNECTION,
) -> int:
    """Download the members of a cohort, as they come: CSV, or JSON lines with --json or a file that is called so.

    Amplitude prepares the file, which is waited for. Stopped meanwhile, --request-id goes on with it; each request counts among
    500 a month.

    Args:
        cohort_id: The cohort; `cohorts list` gives its id.
        output: The file to write, .csv or .ndjson; standard output, if left out.
        properties: Include the user properties.
        property: Include this user property alone; may be given several times.
        request_id: Go on with a request that was made before, in place of the cohort.
        wait: Seconds until the file has to begin to arrive; 3600, if left out.
    """
    async with connection.client() as client:
        if request_id is None:
            asked = await client.cohorts.request(cohort_id or "", props=True if properties else None, prop_keys=property)
            request_id = asked["request_id"]
            note(f"asked for it; if this is stopped, go on with --request-id {request_id}")
        members = client.cohorts.download(request_id=request_id, timeout=wait)
        with RowsOut(output, as_json=connection.json) as out:
            async with members.rows() as rows:
                async for row in rows:
                    out.add(row)
    note(f"{out.rows:,} members{f' in {output}' if output else ''}")
    return DONE


async def upload(
    name: str,
    file: _File = None,
    /,
    *,
    app_id: int,
    owner: str,
    ids: _IdType = "user",
    published: bool = False,
    replace: str | None = None,
    all_known: bool = False,
    connection: Connection = CONNECTION,
) -> int:
    """Make a cohort of the ids in a file, one a line; or replace what is in one.

    Args:
        name: What the cohort is called.
        file: The file of ids; standard input, if left out or -.
        app_id: The project's number.
        owner: The login e-mail of the owner.
        ids: What the ids are: your own user ids, or Amplitude's.
        published: Let others discover it.
        replace: The cohort to replace, by its id.
        all_known: Refuse the whole upload if an id is not known; otherwise such ids are left out.
    """
    found = ids_from(file)
    async with connection.client() as client:
        answer = await client.cohorts.upload(
            name,
            found[:_MOST_IDS],
            app_id=app_id,
            id_type="BY_USER_ID" if ids == "user" else "BY_AMP_ID",
            owner=owner,
            published=published,
            existing_cohort_id=replace,
            skip_invalid_ids=False if all_known else None,
        )
        cohort_id = str(answer.get("cohort_id", ""))
        for at in range(_MOST_IDS, len(found), _MOST_IDS):
            await client.cohorts.add_members(cohort_id, found[at : at + _MOST_IDS], id_type="BY_NAME" if ids == "user" else "BY_ID")
    if connection.json:
        print_json(answer)
    else:
        counts = answer.get("metadata") or {}
        known = f"; of the first {counts['totals']:,}, {counts.get('matched', 0):,} are known" if "totals" in counts else ""
        print_lines(f"cohort {cohort_id}: {len(found):,} ids{known}")
    return DONE


async def add(
    cohort_id: str,
    file: _File = None,
    /,
    *,
    ids: _IdType = "user",
    connection: Connection = CONNECTION,
) -> int:
    """Add the ids in a file, one a line, to a cohort.

    Args:
        cohort_id: The cohort.
        file: The file of ids; standard input, if left out or -.
        ids: What the ids are: your own user ids, or Amplitude's.
    """
    return await _change(cohort_id, file, ids, connection, removes=False)


async def remove(
    cohort_id: str,
    file: _File = None,
    /,
    *,
    ids: _IdType = "user",
    connection: Connection = CONNECTION,
) -> int:
    """Take the ids in a file, one a line, out of a cohort.

    Args:
        cohort_id: The cohort.
        file: The file of ids; standard input, if left out or -.
        ids: What the ids are: your own user ids, or Amplitude's.
    """
    return await _change(cohort_id, file, ids, connection, removes=True)


async def _change(cohort_id: str, file: Path | None, ids: str, connection: Connection, *, removes: bool) -> int:
    found = ids_from(file)
    skipped: list[str] = []
    async with connection.client() as client:
        change = client.cohorts.remove_members if removes else client.cohorts.add_members
        for at in range(0, max(len(found), 1), _MOST_IDS):
            answer = await change(cohort_id, found[at : at + _MOST_IDS], id_type="BY_NAME" if ids == "user" else "BY_ID")
            for result in answer["memberships_result"]:
                skipped += result["skipped_ids"]
    if connection.json:
        print_json({"cohort_id": cohort_id, "ids": len(found), "skipped_ids": skipped})
    else:
        print_lines(f"{len(found) - len(skipped):,} ids {'removed' if removes else 'added'}, {len(skipped):,} left out")
        for each in skipped[:10]:
            note(f"left out: {each}")
    return PARTLY if skipped else DONE


async def usage(*, connection: Connection = CONNECTION) -> int:
    """Say how many of the month's downloads were asked for."""
    async with connection.client() as client:
        answer = await client.cohorts.usage()
    if connection.json:
        print_json(answer)
    else:
        quota = answer["rest_download"]
        print_lines(f"{quota.get('usage', 0):,} of {quota.get('limit', 0):,} requests for downloads this month")
    return DONE
