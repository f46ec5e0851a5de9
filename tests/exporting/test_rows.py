"""ExportedEvent: a row of an export with its types."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from archives import COLUMNS, HOUR, Member, hour_member, line_of, rows
from servers import HourServer

from amplitude_async import AsyncAmplitude, ExportedEvent, ExportError
from amplitude_async.exporting import columns

INSTANTS = [column.name for column in columns.COLUMNS if column.kind == "timestamp"]
MAPS = ["data", "event_properties", "group_properties", "groups", "plan", "user_properties"]
# As Export.events() decodes.
decode = msgspec.json.Decoder(ExportedEvent, strict=False).decode


def field_of(column: str) -> str:
    return column.removeprefix("$")


def test_it_has_the_recorded_columns_and_no_others() -> None:
    """The 55 keys are those that were recorded, in their order, each a field of the same name."""
    assert tuple(field.encode_name for field in msgspec.structs.fields(ExportedEvent)) == COLUMNS
    assert [field.name for field in msgspec.structs.fields(ExportedEvent)] == [field_of(column) for column in COLUMNS]


def test_each_of_them_is_described() -> None:
    """No field is left without a word on what it holds."""
    described = (ExportedEvent.__doc__ or "").partition("Attributes:")[2]
    assert [line.strip().partition(":")[0] for line in described.splitlines() if line.strip()] == [field_of(name) for name in COLUMNS]


@pytest.mark.parametrize("row", rows(30, 3))
def test_a_row_comes_out_as_it_was_sent(row: dict[str, Any]) -> None:
    """Every value is the one in the row; instants are the same instants, in UTC."""
    event = decode(line_of(row))
    for column in COLUMNS:
        value = getattr(event, field_of(column))
        sent = row.get(column)
        if column in INSTANTS and sent is not None:
            assert value == datetime.strptime(sent, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
            assert value.tzinfo is UTC
        else:
            assert value == sent


def test_keys_that_are_missing_have_defaults() -> None:
    """A row without keys is None throughout, and its maps are empty and its own."""
    event, other = decode(b"{}"), decode(b"{}")
    for column in COLUMNS:
        assert getattr(event, field_of(column)) == ({} if column in MAPS else None)
    assert event == ExportedEvent() == other
    assert all(getattr(event, name) is not getattr(other, name) for name in MAPS)


def test_keys_of_null_are_like_missing_ones() -> None:
    """Null for a map is an empty map, so that properties can be looked up without a check."""
    event = decode(json.dumps(dict.fromkeys(COLUMNS)).encode())
    assert event == ExportedEvent()
    assert event.user_properties.get("plan") is None


def test_unknown_keys_are_left_out() -> None:
    """A key that Amplitude adds one day does no harm."""
    assert decode(b'{"event_type":"x","brand_new":{"a":[1]}}') == ExportedEvent(event_type="x")


@pytest.mark.parametrize("column", INSTANTS)
@pytest.mark.parametrize(
    "text, instant",
    [
        ("2026-05-01 07:14:03.250000", datetime(2026, 5, 1, 7, 14, 3, 250000, UTC)),
        ("2026-05-01T07:14:03.250000", datetime(2026, 5, 1, 7, 14, 3, 250000, UTC)),
        ("2026-05-01 07:14:03", datetime(2026, 5, 1, 7, 14, 3, 0, UTC)),
        ("2026-05-01T07:14:03Z", datetime(2026, 5, 1, 7, 14, 3, 0, UTC)),
        ("2026-05-01 07:14:03.5Z", datetime(2026, 5, 1, 7, 14, 3, 500000, UTC)),
        ("2026-05-01 07:14:03.250+00:00", datetime(2026, 5, 1, 7, 14, 3, 250000, UTC)),
        ("2026-05-01T00:14:03-07:00", datetime(2026, 5, 1, 7, 14, 3, 0, UTC)),
        ("2026-05-02 04:44:03.000001+21:30", datetime(2026, 5, 1, 7, 14, 3, 1, UTC)),
        ("0001-01-01 00:00:00.000000", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31 23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    ],
)
def test_instants_are_read_in_every_spelling(column: str, text: str, instant: datetime) -> None:
    """Space or T, a fraction or none, Z, an offset or neither: it is an aware datetime in UTC."""
    value = getattr(decode(json.dumps({column: text}).encode()), column)
    assert value == instant
    assert value.tzinfo is UTC


@settings(deadline=None)
@given(
    instant=st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),
    separator=st.sampled_from(["T", "t", " "]),
    zone=st.sampled_from(["", "Z", "z", "+00:00"]) | st.integers(-23 * 60, 23 * 60),
    digits=st.integers(0, 6),
)
def test_any_instant_keeps_its_meaning(instant: datetime, separator: str, zone: str | int, digits: int) -> None:
    """Whatever the spelling, no instant is shifted."""
    instant = instant.replace(microsecond=instant.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits)).replace(tzinfo=UTC)
    if isinstance(zone, int):
        shown = instant.astimezone(timezone(timedelta(minutes=zone)))
        zone = f"{'-' if zone < 0 else '+'}{abs(zone) // 60:02}:{abs(zone) % 60:02}"
    else:
        shown = instant
    fraction = f".{shown.microsecond:06}"[: digits + 1] if digits else ""
    # %Y has no leading zeros everywhere.
    text = f"{shown.year:04}-{shown:%m-%d}{separator}{shown:%H:%M:%S}{fraction}{zone}"
    assert decode(json.dumps({"event_time": text}).encode()).event_time == instant


@pytest.mark.parametrize("text", ["yesterday", "", "2026-05-01", "2026-13-01 00:00:00", "0001-01-01 00:00:00+01:00"])
def test_what_is_no_instant_is_refused_by_name(text: str) -> None:
    """A text that is none, or is none in UTC, is an error that says where, and never a wrong instant."""
    with pytest.raises(msgspec.ValidationError) as refusal:
        decode(json.dumps({"event_type": "x", "event_time": text}).encode())
    assert "event_time" in str(refusal.value) or "UTC" in str(refusal.value)


def test_instants_of_the_callers_own_mean_utc_too() -> None:
    """An event made by hand is like one that was read."""
    plus_two = timezone(timedelta(hours=2))
    assert ExportedEvent(event_time=datetime(2026, 5, 1, 7)) == ExportedEvent(event_time=datetime(2026, 5, 1, 9, tzinfo=plus_two))


def test_numbers_that_come_as_text_are_numbers() -> None:
    """An id in quotes is the id."""
    event = decode(b'{"amplitude_id":"1610447909911","location_lat":"59.9","session_id":-1.0,"paying":"true"}')
    assert (event.amplitude_id, event.location_lat, event.session_id, event.paying) == (1610447909911, 59.9, -1, True)


def test_it_is_a_value() -> None:
    """It cannot be changed, and survives copying, pickling and being encoded."""
    event = decode(line_of(rows(1)[0]))
    with pytest.raises(AttributeError):
        event.user_id = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(event)) == copy.deepcopy(event) == event
    assert decode(msgspec.json.encode(event)) == event


@pytest.mark.anyio
async def test_events_come_as_it() -> None:
    """It is what events() and batches() make of rows when asked to."""
    member = hour_member(HOUR, 25)
    lines = member.lines or ()
    with HourServer({HOUR: [member]}) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url) as amplitude:
            export = amplitude.export(start=HOUR, end=HOUR)
            events = [event async for event in export.events(model=ExportedEvent)]
            batches = [event async for batch in export.batches(model=ExportedEvent) for event in batch]
    assert events == batches == [decode(line) for line in lines]


@pytest.mark.anyio
async def test_an_event_that_is_unlike_it_is_named_or_skipped() -> None:
    """A row whose instant is none is an ExportError with its line, or left out and counted."""
    member = hour_member(HOUR, 3)
    bad = Member(member.name, [*(member.lines or ()), b'{"event_time":"never"}'])
    with HourServer({HOUR: [bad]}) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url) as amplitude:
            export = amplitude.export(start=HOUR, end=HOUR)
            with pytest.raises(ExportError) as refusal:
                _ = [event async for event in export.events(model=ExportedEvent)]
            assert refusal.value.line == 4
            export = amplitude.export(start=HOUR, end=HOUR)
            assert len([event async for event in export.events(model=ExportedEvent, bad_rows="skip")]) == 3
            assert export.counts.skipped_rows == 1
