"""Typed uses of identities, privacy and operations; only type-checked."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, assert_type

from amplitude_async import AsyncAmplitude, ExportedEvent, JobError, PartialDeletionError, RequestTimeoutError
from amplitude_async.resources.identities import MappedUser
from amplitude_async.resources.ingestion import TrackResult
from amplitude_async.resources.privacy import DeletionJob, DeletionReport, DsarData, DsarRows, DsarStatus
from amplitude_async.resources.session_replay import Replay
from amplitude_async.resources.streaming import DeliveryMetrics


async def identities(amplitude: AsyncAmplitude) -> None:
    """Map users, attribute, upload in batches."""
    assert_type(await amplitude.batch([{"event_type": "x", "user_id": "u"}], options={"min_id_length": 1}, timeout=60), TrackResult)
    await amplitude.alias({"user_id": "a", "global_user_id": "b"})
    await amplitude.alias(({"user_id": "a", "unmap": True},))
    found = await amplitude.user_mappings("a")
    assert_type(found, dict[str, MappedUser])
    assert_type((await amplitude.user_mappings({"a", "b"}))["a"].get("mapped_to", []), list[dict[str, Any]])
    await amplitude.attribution({"event_type": "x", "platform": "ios", "idfa": "i"})


async def privacy(amplitude: AsyncAmplitude) -> None:
    """Delete users, and say what is known of one."""
    deletions = amplitude.privacy.deletions
    report = await deletions.create(user_ids=("a" for _ in "x"), amplitude_ids=[1], ignore_invalid_id=True)
    assert_type(report, DeletionReport)
    assert_type(report.accepted.user_ids, tuple[str, ...])
    assert_type(await deletions.list(start_day=date(2026, 1, 1), end_day="2026-02-01"), list[DeletionJob])
    await deletions.cancel(1, datetime(2026, 1, 1))  # noqa: DTZ001 - a day has no zone
    dsar = amplitude.privacy.dsar
    assert_type((await dsar.request(user_id="a", start_date="2026-01-01", end_date=date(2026, 1, 2)))["requestId"], int)
    assert_type(await dsar.status(1), DsarStatus)
    data = await dsar.download(amplitude_id=1, start_date="2026-01-01", end_date="2026-01-02", timeout=5)
    assert_type(data, DsarData)
    async for row in data:
        assert_type(row, dict[str, Any])
    assert_type(data.rows(model=ExportedEvent), DsarRows[ExportedEvent])
    async with data.outputs[0].rows(bad_rows="skip") as rows:
        assert_type(rows.skipped_rows, int)


async def operations(amplitude: AsyncAmplitude) -> None:
    """Look at streaming, logs, replays and translations."""
    assert_type(await amplitude.streaming.delivery_metrics(5, time_period="ONE_DAY"), DeliveryMetrics)
    assert_type(await amplitude.audit_logs.search(1, start_date="2026-01-01", end_date=date(2026, 1, 2), limit=5), Any)
    async for replay in amplitude.session_replay.list(sort_order="desc", page_size=10):
        assert_type(replay, Replay)
        async for event in amplitude.session_replay.events(replay["replay_id"], version=2):
            assert_type(event, dict[str, Any])
        async for link in amplitude.session_replay.files(replay["replay_id"]):
            assert_type(link, str)
    assert_type(await amplitude.localization.export_xliff("a", locales=["de"]), str)
    assert_type((await amplitude.localization.import_xliff(b"<xliff/>"))["a"]["de"].get("state"), str | None)


def reads(partial: PartialDeletionError, failed: JobError, late: RequestTimeoutError) -> None:
    """Read the facts of errors."""
    assert_type(partial.report.left.amplitude_ids, tuple[int, ...])
    assert_type(failed.job_id, int | str | None)
    assert_type(late.job_id, int | str | None)
