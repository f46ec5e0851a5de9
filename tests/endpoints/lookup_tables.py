"""Lookup tables. Page: https://amplitude.com/docs/apis/analytics/lookup-table-2."""

from __future__ import annotations

from .table import Row

DATA = ("data-api.amplitude.com", "data-api.eu.amplitude.com")
CSV = "SKU,Brand\na-1,Acme\n"
PROPERTY = {"value": "sku", "type": "event"}
TABLE = (200, "application/json", b'{"name":"sku_meta"}')
DEPRECATED = "version 1 is deprecated and no longer supported; version 2 is called"

ROWS = [
    Row(
        name="Lookup tables: create",
        method="POST",
        path="/api/3/lookup_table",
        hosts=DATA,
        auth="Basic project",
        encoding="multipart",
        call=lambda amplitude: amplitude.lookup_tables.create("sku_meta", CSV, key="SKU", property=PROPERTY),
        body={"name": "sku_meta", "key": "SKU", "property": '{"value":"sku","type":"event"}', "file": CSV},
        answer=TABLE,
    ),
    Row(
        name="Lookup tables: get",
        method="GET",
        path="/api/3/lookup_table/sku%20meta",
        hosts=DATA,
        auth="Basic project",
        call=lambda amplitude: amplitude.lookup_tables.get("sku meta"),
        query=[],
        answer=TABLE,
    ),
    Row(
        name="Lookup tables: download",
        method="GET",
        path="/api/3/lookup_table/sku_meta/csv",
        hosts=DATA,
        auth="Basic project",
        call=lambda amplitude: amplitude.lookup_tables.csv("sku_meta"),
        query=[],
        answer=(200, "text/csv", CSV.encode()),
    ),
    Row(
        name="Lookup tables: replace",
        method="PUT",
        path="/api/3/lookup_table/sku_meta",
        hosts=DATA,
        auth="Basic project",
        encoding="multipart",
        call=lambda amplitude: amplitude.lookup_tables.replace("sku_meta", CSV),
        body={"file": CSV},
        answer=TABLE,
    ),
    Row(
        name="Lookup tables: merge",
        method="PATCH",
        path="/api/3/lookup_table/sku_meta",
        hosts=DATA,
        auth="Basic project",
        encoding="multipart",
        call=lambda amplitude: amplitude.lookup_tables.merge("sku_meta", CSV, property=PROPERTY | {"groupType": "org"}),
        body={"property": '{"value":"sku","type":"event","groupType":"org"}', "file": CSV},
        answer=TABLE,
    ),
    Row(
        name="Lookup tables: delete",
        method="DELETE",
        path="/api/3/lookup_table/sku_meta",
        hosts=DATA,
        auth="Basic project",
        call=lambda amplitude: amplitude.lookup_tables.delete("sku_meta"),
        query=[],
        answer=(200, "application/json", b'{"message":"Lookup table sku_meta deleted successfully","success":true}'),
    ),
    Row(
        name="Lookup tables: list",
        method="GET",
        path="/api/3/lookup_table",
        hosts=DATA,
        auth="Basic project",
        call=lambda amplitude: amplitude.lookup_tables.list(),
        query=[],
        answer=(200, "application/json", b"[]"),
    ),
    *(
        Row(
            name=f"Lookup tables 1: {what}",
            method=method,
            path=path,
            hosts=("amplitude.com", "analytics.eu.amplitude.com"),
            auth="Basic project",
            why=DEPRECATED,
        )
        for what, method, path in (
            ("create", "POST", "/api/2/lookup_table/sku_meta"),
            ("get", "GET", "/api/2/lookup_table/sku_meta"),
            ("update", "PATCH", "/api/2/lookup_table/sku_meta"),
            ("delete", "DELETE", "/api/2/lookup_table/sku_meta"),
            ("list", "GET", "/api/2/lookup_table"),
        )
    ),
]
