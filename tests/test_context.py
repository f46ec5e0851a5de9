"""What events inherit: set once, for a request or a job, and below what an event says itself."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from amplitude_async import AsyncAmplitude, InvalidEventError, event_context
from amplitude_async.context import with_inherited

if TYPE_CHECKING:
    from amplitude_async.sandbox import Sandbox


@pytest.mark.parametrize(
    ("event", "inherited", "expected"),
    [
        ({"event_type": "a"}, {"user_id": "u"}, {"user_id": "u", "event_type": "a"}),
        ({"user_id": "own"}, {"user_id": "u"}, {"user_id": "own"}),
        ({"userId": "own"}, {"user_id": "u"}, {"user_id": "own"}),
        ({"user_id": None, "device_id": ""}, {"user_id": "u", "device_id": "d"}, {"user_id": "u", "device_id": "d"}),
        ({"event_properties": {"a": 1}}, {"event_properties": {"a": 0, "b": 2}}, {"event_properties": {"a": 1, "b": 2}}),
        ({"eventProperties": {"a": 1}}, {"event_properties": {"b": 2}}, {"event_properties": {"a": 1, "b": 2}}),
        ({"groups": {"org": "x"}}, {"groups": {"team": "y"}}, {"groups": {"org": "x", "team": "y"}}),
        ({"event_properties": "bad"}, {"event_properties": {"b": 2}}, {"event_properties": "bad"}),
        ({"ip": None}, {"country": "Norway"}, {"ip": None, "country": "Norway"}),
    ],
    ids=repr,
)
def test_what_an_event_says_itself_wins(event: dict[str, Any], inherited: dict[str, Any], expected: dict[str, Any]) -> None:
    """Its own fields win, mappings are put together key by key, and neither object is changed."""
    before = copy.deepcopy((event, inherited))
    assert with_inherited(event, inherited) == expected
    assert (event, inherited) == before


@pytest.mark.anyio
async def test_events_inherit_where_they_are_tracked(box: Sandbox) -> None:
    """Blocks add up, tasks started in a block inherit, others do not, and afterwards nothing is inherited."""
    box.events()
    async with AsyncAmplitude(**box.credentials, user_id="default-user") as amplitude:
        with event_context(user_id="user-1", event_properties={"job": "nightly"}):
            await amplitude.track({"event_type": "outer"})
            with event_context(user_id=None, event_properties={"step": 2}, country="Norway"):
                async with anyio.create_task_group() as group:
                    group.start_soon(amplitude.track, {"event_type": "inner"})
            await amplitude.track({"event_type": "own", "userId": "user-9"})
        await amplitude.track({"event_type": "after"})
    found = {event["event_type"]: event for event in box.events()}
    assert found["outer"]["user_id"] == "user-1"
    assert found["outer"]["event_properties"] == {"job": "nightly"}
    assert found["inner"]["user_id"] == "default-user"
    assert found["inner"]["event_properties"] == {"job": "nightly", "step": 2}
    assert found["inner"]["country"] == "Norway"
    assert found["own"]["user_id"] == "user-9"
    assert found["after"]["user_id"] == "default-user"
    assert "event_properties" not in found["after"]


@pytest.mark.asyncio
async def test_an_outbox_takes_what_was_inherited_at_the_put(box: Sandbox) -> None:
    """An event keeps what it inherited when it was put, whatever surrounds its delivery."""
    box.events()
    async with AsyncAmplitude(**box.credentials) as amplitude, amplitude.outbox() as outbox:
        with event_context(user_id="user-1"):
            outbox.put_nowait({"event_type": "a"})
        assert await outbox.flush(5)
    assert box.events()[0]["user_id"] == "user-1"


@pytest.mark.parametrize(("name", "value"), [("event_properties", 1), ("groups", "x"), ("insert_id", "i"), ("event_type", "x")])
def test_what_makes_no_sense_for_all_events_is_refused(name: str, value: Any) -> None:
    """A field of a single event, or a mapping that is none, is refused by name."""
    with pytest.raises(InvalidEventError) as caught, event_context(**{name: value}):
        pass
    assert caught.value.argument == name
