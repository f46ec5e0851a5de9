"""Typed uses of the tracking plan, annotations, releases and SCIM; only type-checked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import assert_type

from amplitude_async import AsyncAmplitude
from amplitude_async.resources.annotations import Annotation, AnnotationCategory
from amplitude_async.resources.paging import Pages
from amplitude_async.resources.releases import Release
from amplitude_async.resources.scim import Group, User, add, condition, remove
from amplitude_async.resources.taxonomy import Category, Done, EventProperty, EventType, GroupProperty, UserProperty


async def plans(amplitude: AsyncAmplitude) -> None:
    """Read and change the plan."""
    taxonomy = amplitude.taxonomy
    assert_type((await taxonomy.categories.list())["data"], list[Category])
    category = (await taxonomy.categories.get("Checkout"))["data"]
    await taxonomy.categories.update(category["id"], name="Pay")
    assert_type(await taxonomy.categories.create("x"), Done)
    assert_type((await taxonomy.events.list(show_deleted=True))["data"], list[EventType])
    await taxonomy.events.create("order", tags=["a"], is_active=True, later="x")
    await taxonomy.events.update("order", tags="a,b")
    assert_type((await taxonomy.events.restore("order"))["success"], bool)
    assert_type((await taxonomy.event_properties.get("coupon", event_type="order"))["data"], EventProperty)
    await taxonomy.event_properties.update("coupon", event_type="order", override_scope="override", type="enum", enum_values=["a"])
    assert_type((await taxonomy.user_properties.list())["data"], list[UserProperty])
    await taxonomy.user_properties.create("tier", classifications=["PII"])
    assert_type((await taxonomy.group_properties.list(group_type="company"))["data"], list[GroupProperty])


async def notes(amplitude: AsyncAmplitude) -> None:
    """Annotate charts, mark a release."""
    made = await amplitude.annotations.create("x", start=datetime(2026, 2, 1, tzinfo=UTC), end="2026-02-02T00:00Z")
    assert_type(made["data"], Annotation)
    assert_type(made["data"]["category"], AnnotationCategory | None)
    await amplitude.annotations.update(made["data"]["id"], end=None, chart_id=None)
    await amplitude.annotations.categories.assign(311, [1, "2"])
    assert_type((await amplitude.annotations.list(start=date(2026, 2, 1)))["data"], list[Annotation])
    release = await amplitude.releases.create("3.6", title="x", release_start=date(2026, 2, 1), platforms=["iOS"])
    assert_type(release["release"], Release)


async def people(amplitude: AsyncAmplitude) -> None:
    """List, invite, group."""
    assert_type(amplitude.scim.users.list(filter=condition("userName", "eq", "a@b")), Pages[User])
    async for user in amplitude.scim.users.list():
        assert_type(user, User)
    async for page in amplitude.scim.groups.list().pages():
        assert_type(page, list[Group])
    group = await amplitude.scim.groups.create("x", members=["a@b"])
    assert_type(group["id"], str)
    await amplitude.scim.groups.update(group["id"], [add("a@b"), remove([{"value": "c@d"}])])
    members: list[dict[str, str]] = [{"value": "a@b"}]
    await amplitude.scim.groups.add_members(812, members)
