"""The dashboard API over the sandbox: what was tracked comes back as numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest

from amplitude_async import AsyncAmplitude, BadRequestError, Event, InvalidArgumentError, Segment
from amplitude_async.frames import table

if TYPE_CHECKING:
    from amplitude_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

MAY: dict[str, Any] = {"start": date(2026, 5, 1), "end": "20260503"}


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 5, day, hour, tzinfo=UTC)


async def some_weeks(amplitude: AsyncAmplitude) -> None:
    """Track three users of two countries over three days."""
    users = [("ada", "Norway", "pro"), ("grace", "Norway", "free"), ("linus", "Sweden", "pro")]
    events: list[dict[str, object]] = []
    for number, (user, country, plan) in enumerate(users):
        who = {
            "user_id": f"{user}-12345",
            "country": country,
            "platform": "iOS" if number else "Web",
            "user_properties": {"plan": plan},
        }
        events.append({**who, "event_type": "signup", "time": at(1, number)})
        events += [
            {**who, "event_type": "order_placed", "time": at(day), "event_properties": {"channel": "web" if day == 1 else "ios"}}
            for day in range(1, number + 2)
        ]
    await amplitude.track(events)


async def test_a_query_built_step_by_step_and_a_plain_one_are_one(box: Sandbox) -> None:
    """An Event and a Segment ask the same as the mappings that they are."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await some_weeks(amplitude)
        built = await amplitude.dashboard.segmentation(
            e=Event("order_placed").where("channel", "is", "ios"), s=Segment().where("country", "is", "Norway"), m="totals", **MAY
        )
        plain = await amplitude.event_segmentation(
            e={
                "event_type": "order_placed",
                "filters": [{"subprop_type": "event", "subprop_key": "channel", "subprop_op": "is", "subprop_value": ["ios"]}],
            },
            s=[{"prop": "country", "op": "is", "values": ["Norway"]}],
            m="totals",
            **MAY,
        )
    assert built == plain
    assert built["data"]["series"] == [[0, 1, 0]]


async def test_a_segmentation_as_a_table(box: Sandbox) -> None:
    """Numbers by date and group, the sum of the rows being what was tracked."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await some_weeks(amplitude)
        made = table(await amplitude.dashboard.segmentation(e=Event("order_placed"), g="country", m="totals", **MAY))
    assert made.columns == ("date", "label", "value")
    assert sum(made["value"]) == 1 + 2 + 3
    records = made.to_records()
    assert {"date": date(2026, 5, 2), "label": "Norway", "value": 1} in records
    assert {"date": date(2026, 5, 3), "label": "Sweden", "value": 1} in records


async def test_segments_are_compared(box: Sandbox) -> None:
    """Two segments are two series, in their order; who performed something is asked by a count."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await some_weeks(amplitude)
        answer = await amplitude.dashboard.segmentation(
            e=Event.any_active(),
            s=[Segment(), Segment().where("gp:plan", "is", "pro"), Segment().performed("order_placed", ">=", 3)],
            i=30,
            **MAY,
        )
    assert [series[0] for series in answer["data"]["series"]] == [3, 2, 1]


async def test_a_user_is_found_and_told_of(box: Sandbox) -> None:
    """Search and activity, here and on the client, are one; their tables have a row a match and an event."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await some_weeks(amplitude)
        found = await amplitude.dashboard.user_search("linus-12345")
        assert found == await amplitude.user_search("linus-12345")
        (amplitude_id,) = table(found)["amplitude_id"]
        activity = await amplitude.dashboard.user_activity(amplitude_id, direction="earliest")
        assert activity == await amplitude.user_activity(amplitude_id, direction="earliest")
    assert table(activity)["event_type"] == ("signup", "order_placed", "order_placed", "order_placed")
    (who,) = table(activity, part="user").to_records()
    assert (who["user_id"], who["num_events"], who["country"]) == ("linus-12345", 4, "Sweden")


@pytest.mark.parametrize("direction", ["latest", "earliest"])
async def test_all_events_of_a_user(box: Sandbox, direction: Literal["latest", "earliest"]) -> None:
    """However many requests it takes: none twice, none left out, in order; it goes on where it was left."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await amplitude.track(
            {"event_type": f"x{number}", "user_id": "ada-12345", "time": at(1, 0) + timedelta(minutes=number)} for number in range(25)
        )
        found = await amplitude.user_search("ada-12345")
        amplitude_id = found["matches"][0]["amplitude_id"]
        expected = [f"x{number}" for number in range(25)]
        if direction == "latest":
            expected.reverse()
        events = amplitude.dashboard.user_events(amplitude_id, limit=10, direction=direction)
        kinds = [event["event_type"] async for event in events]
        assert kinds == expected
        assert events.is_finished
        first = amplitude.dashboard.user_events(amplitude_id, limit=10, direction=direction)
        pages = first.pages()
        assert [event["event_type"] for event in await anext(pages)] == expected[:10]
        assert first.cursor == 10
        rest = amplitude.dashboard.user_events(amplitude_id, offset=10, limit=5, direction=direction)
        assert [len(page) async for page in rest.pages()] == [5, 5, 5, 0]
        assert [event async for event in amplitude.dashboard.user_events(1)] == []


async def test_a_walk_through_events_is_refused_at_once(box: Sandbox) -> None:
    """What makes no sense is said when the iterator is made, not at its first event."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        for options, argument in (
            ({"amplitude_id": ""}, "amplitude_id"),
            ({"amplitude_id": 1, "limit": 1001}, "limit"),
            ({"amplitude_id": 1, "limit": 0}, "limit"),
            ({"amplitude_id": 1, "offset": -1}, "offset"),
        ):
            wrong: Any = options
            with pytest.raises(InvalidArgumentError) as caught:
                amplitude.dashboard.user_events(**wrong)
            assert caught.value.argument == argument


async def test_a_refusal_has_amplitudes_words(box: Sandbox) -> None:
    """What the server refuses is an error with its details."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        with pytest.raises(BadRequestError, match="days"):
            await amplitude.dashboard.segmentation(e=Event("x"), start="20260101", end="20260131", i=-300000)
