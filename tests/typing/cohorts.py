"""Typed uses of cohorts, profiles and lookup tables; only type-checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

from amplitude_async import AsyncAmplitude, JobError, RequestTimeoutError
from amplitude_async.resources.cohorts import CohortDownload
from amplitude_async.resources.cohorts.shapes import CohortUpload, MembershipOperation
from amplitude_async.resources.csv_rows import CsvRows
from amplitude_async.resources.lookup_tables import LookupTable, TableDownload
from amplitude_async.resources.profiles import Recommendation


async def cohorts(amplitude: AsyncAmplitude) -> None:
    """Use every call of cohorts."""
    for cohort in (await amplitude.cohorts.list(include_sync_info=True))["cohorts"]:
        assert_type(cohort["id"], str)
        download = amplitude.cohorts.download(cohort["id"], prop_keys=["plan"], timeout=60)
        assert_type(download, CohortDownload)
        assert_type(await download, list[dict[str, Any]])
        assert_type(download.request_id, str | None)
        async for row in download:
            assert_type(row, dict[str, Any])
        async with download.rows() as rows:
            assert_type(rows, CsvRows[dict[str, Any]])
            assert_type(await rows.next_batch(), list[dict[str, Any]] | None)
    asked = await amplitude.cohorts.request("k3x9q2f", props=True)
    assert_type(asked["request_id"], str)
    assert_type((await amplitude.cohorts.status(asked["request_id"]))["async_status"], str)
    assert_type(amplitude.cohorts.file(asked["request_id"]), CohortDownload)
    ids = (str(number) for number in range(3))
    made = await amplitude.cohorts.upload("A", ids, app_id=1, id_type="BY_AMP_ID", owner="ops@example.org", published=False)
    assert_type(made, CohortUpload)
    operations: list[MembershipOperation] = [{"ids": ["u"], "id_type": "BY_NAME", "operation": "REMOVE"}]
    changed = await amplitude.cohorts.membership("p8w1c5n", operations)
    assert_type(changed["memberships_result"][0]["skipped_ids"], list[str])
    await amplitude.cohorts.add_members("p8w1c5n", {"u-1", "u-2"})
    await amplitude.cohorts.remove_members("p8w1c5n", ("u-1",), id_type="BY_ID")
    await amplitude.cohorts.usage()


def reads(late: RequestTimeoutError, failed: JobError) -> None:
    """Read the facts of errors."""
    assert_type(late.job_id, int | str | None)
    assert_type(failed.reason, str)


async def profiles(amplitude: AsyncAmplitude) -> None:
    """Use the one call of profiles."""
    data = (await amplitude.profiles.get(user_id="u", rec_id=["r"], rec_type="model", propensity_type="pct", prediction_id="p"))[
        "userData"
    ]
    for recommendation in data.get("recommendations") or []:
        assert_type(recommendation, Recommendation)
        assert_type(recommendation["items"], list[str])


async def lookup_tables(amplitude: AsyncAmplitude) -> None:
    """Use every call of lookup tables."""
    rows: list[dict[str, str]] = [{"SKU": "a"}]
    made = await amplitude.lookup_tables.create("t", rows, key="SKU", property={"value": "sku", "type": "event"})
    assert_type(made, LookupTable)
    assert_type(made["name"], str)
    await amplitude.lookup_tables.replace("t", Path("t.csv"))
    await amplitude.lookup_tables.merge("t", "SKU\na\n", property={"value": "sku", "type": "user"})
    assert_type(await amplitude.lookup_tables.list(), list[LookupTable])
    assert_type(await amplitude.lookup_tables.csv("t"), str)
    assert_type(amplitude.lookup_tables.rows("t"), TableDownload)
    assert_type(await amplitude.lookup_tables.rows("t"), list[dict[str, str]])
    async for row in amplitude.lookup_tables.rows("t"):
        assert_type(row, dict[str, str])
    assert_type((await amplitude.lookup_tables.get("t"))["name"], str)
    await amplitude.lookup_tables.delete("t")
