"""The tracking plan. Page: https://amplitude.com/docs/apis/analytics/taxonomy."""

from __future__ import annotations

from .table import Row

REST = ("amplitude.com", "analytics.eu.amplitude.com")
DATA = ("data-api.amplitude.com", "data-api.eu.amplitude.com")
DONE = (200, "application/json", b'{"success":true}')
ONE = (200, "application/json", b'{"success":true,"data":{}}')
MANY = (200, "application/json", b'{"success":true,"data":[]}')
DRAFT = "a draft of 2023 that newer pages no longer have; its key is a personal access token"


def read(name: str, path: str, call: object, query: list[tuple[str, str]], answer: tuple[int, str, bytes] = ONE) -> Row:
    return Row(
        name=f"Taxonomy: {name}",
        method="GET",
        path=f"/api/2/taxonomy/{path}",
        hosts=REST,
        auth="Basic project",
        encoding="query",
        call=call,  # type: ignore[arg-type]  # a lambda that takes the client
        query=query,
        answer=answer,
    )


def write(name: str, method: str, path: str, call: object, body: list[tuple[str, str]] | None = None) -> Row:
    return Row(
        name=f"Taxonomy: {name}",
        method=method,
        path=f"/api/2/taxonomy/{path}",
        hosts=REST,
        auth="Basic project",
        encoding="none" if body is None else "form",
        call=call,  # type: ignore[arg-type]  # a lambda that takes the client
        query=[],
        body=body,
        answer=DONE,
    )


ROWS = [
    write(
        "create a category", "POST", "category", lambda a: a.taxonomy.categories.create("Checkout"), [("category_name", "Checkout")]
    ),
    read("list categories", "category", lambda a: a.taxonomy.categories.list(), [], MANY),
    read("get a category", "category/Check%2Fout%20%26%20pay", lambda a: a.taxonomy.categories.get("Check/out & pay"), []),
    write(
        "rename a category",
        "PUT",
        "category/41290",
        lambda a: a.taxonomy.categories.update(41290, name="Checkout"),
        [("category_name", "Checkout")],
    ),
    write("delete a category", "DELETE", "category/41290", lambda a: a.taxonomy.categories.delete(41290)),
    write(
        "create an event type",
        "POST",
        "event",
        lambda a: a.taxonomy.events.create(
            "order placed",
            category="Checkout",
            description="a paid order & more",
            is_active=True,
            is_hidden_from_dropdowns=False,
            tags=["core", "paid"],
            owner="kari@example.org",
        ),
        [
            ("event_type", "order placed"),
            ("category", "Checkout"),
            ("description", "a paid order & more"),
            ("is_active", "true"),
            ("is_hidden_from_dropdowns", "false"),
            ("tags", "core,paid"),
            ("owner", "kari@example.org"),
        ],
    ),
    read("list event types", "event", lambda a: a.taxonomy.events.list(show_deleted=True), [("showDeleted", "true")], MANY),
    read("get an event type", "event/Play%20Song", lambda a: a.taxonomy.events.get("Play Song"), []),
    write(
        "update an event type",
        "PUT",
        "event/Play%20Song",
        lambda a: a.taxonomy.events.update("Play Song", new_event_type="Song Played", display_name="Song played"),
        [("new_event_type", "Song Played"), ("display_name", "Song played")],
    ),
    write("delete an event type", "DELETE", "event/Play%20Song", lambda a: a.taxonomy.events.delete("Play Song")),
    write("restore an event type", "POST", "event/Play%20Song/restore", lambda a: a.taxonomy.events.restore("Play Song")),
    write(
        "create an event property",
        "POST",
        "event-property",
        lambda a: a.taxonomy.event_properties.create(
            "coupon", event_type="order_placed", type="enum", enum_values=["a", "b"], is_required=True
        ),
        [
            ("event_property", "coupon"),
            ("event_type", "order_placed"),
            ("type", "enum"),
            ("enum_values", "a,b"),
            ("is_required", "true"),
        ],
    ),
    read(
        "list event properties",
        "event-property",
        lambda a: a.taxonomy.event_properties.list(event_type="order_placed"),
        [("event_type", "order_placed")],
        MANY,
    ),
    read(
        "get an event property",
        "event-property/coupon",
        lambda a: a.taxonomy.event_properties.get("coupon", event_type="order_placed"),
        [("event_type", "order_placed")],
    ),
    Row(
        name="Taxonomy: get an event property by query",
        method="GET",
        path="/api/2/taxonomy/event-property",
        hosts=REST,
        auth="Basic project",
        encoding="query",
        why="one of the page's two samples of one call; the client uses the other, with the name in the path",
    ),
    write(
        "update an event property",
        "PUT",
        "event-property/coupon",
        lambda a: a.taxonomy.event_properties.update(
            "coupon", event_type="order_placed", override_scope="override", new_event_property_value="voucher", regex="[A-Z]+"
        ),
        [
            ("event_type", "order_placed"),
            ("overrideScope", "override"),
            ("new_event_property_value", "voucher"),
            ("regex", "[A-Z]+"),
        ],
    ),
    write(
        "delete an event property",
        "DELETE",
        "event-property/coupon",
        lambda a: a.taxonomy.event_properties.delete("coupon", event_type="order_placed"),
        [("event_type", "order_placed")],
    ),
    write(
        "restore an event property",
        "POST",
        "event-property/coupon/restore",
        lambda a: a.taxonomy.event_properties.restore("coupon", event_type="order_placed"),
        [("event_type", "order_placed")],
    ),
    write(
        "create a user property",
        "POST",
        "user-property",
        lambda a: a.taxonomy.user_properties.create("tier", classifications=["PII", "SENSITIVE"]),
        [("user_property", "tier"), ("classifications", "PII,SENSITIVE")],
    ),
    read(
        "list user properties",
        "user-property",
        lambda a: a.taxonomy.user_properties.list(show_deleted=True),
        [("showDeleted", "true")],
        MANY,
    ),
    read(
        "get a user property",
        "user-property/gp%3Atier",
        lambda a: a.taxonomy.user_properties.get("gp:tier", show_deleted=True),
        [("showDeleted", "true")],
    ),
    write(
        "update a user property",
        "PUT",
        "user-property/gp%3Atier",
        lambda a: a.taxonomy.user_properties.update("gp:tier", new_user_property_value="plan", is_array_type=True),
        [("new_user_property_value", "plan"), ("is_array_type", "true")],
    ),
    write(
        "delete a user property",
        "DELETE",
        "user-property/gp%3Atier",
        lambda a: a.taxonomy.user_properties.delete("gp:tier"),
    ),
    write(
        "restore a user property",
        "POST",
        "user-property/gp%3Atier/restore",
        lambda a: a.taxonomy.user_properties.restore("gp:tier"),
    ),
    write(
        "create a group property",
        "POST",
        "group-property",
        lambda a: a.taxonomy.group_properties.create("grp:plan", group_type="company", description=""),
        [("group_property", "grp:plan"), ("group_type", "company"), ("description", "")],
    ),
    read(
        "list group properties",
        "group-property",
        lambda a: a.taxonomy.group_properties.list(group_type="company"),
        [("group_type", "company")],
        MANY,
    ),
    read(
        "get a group property",
        "group-property/grp%3Aplan",
        lambda a: a.taxonomy.group_properties.get("grp:plan", group_type="company"),
        [("group_type", "company")],
    ),
    write(
        "update a group property",
        "PUT",
        "group-property/grp%3Aplan",
        lambda a: a.taxonomy.group_properties.update(
            "grp:plan", group_type="company", override_scope="shared", new_group_property_value="grp:tier", is_hidden=False
        ),
        [
            ("group_type", "company"),
            ("overrideScope", "shared"),
            ("new_group_property_value", "grp:tier"),
            ("is_hidden", "false"),
        ],
    ),
    Row(name="Taxonomy import: GraphQL", method="POST", path="/graphql", hosts=DATA, auth="none", encoding="json", why=DRAFT),
    Row(
        name="Taxonomy import: CSV",
        method="POST",
        path="/import/csv/workspace/main",
        hosts=DATA,
        auth="none",
        encoding="multipart",
        why=DRAFT,
    ),
]
