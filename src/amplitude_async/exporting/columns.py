"""The columns of exported rows, as data with a version: what tables (Parquet files) of them are made of.

The list is explicit because inferring it fails: a map that is ``{}`` in all the rows of one hour has no type, and has another one in
the next. Properties and other nested values are therefore kept as their JSON text. The order is that of recorded rows: alphabetical.

Amplitude's page, which lists 40 of the keys: https://amplitude.com/docs/apis/analytics/export
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = ["COLUMNS", "COLUMNS_VERSION", "UNKNOWN", "Column", "Kind"]

COLUMNS_VERSION: Final = 1
"""Raised whenever a column is added, removed or changes its kind."""

Kind = Literal["text", "integer", "number", "boolean", "timestamp", "json"]
"""What a column holds. Any of them may be null.

``text``: text. ``integer``: 64 bits, signed. ``number``: a double. ``boolean``. ``timestamp``: microseconds since the epoch, in UTC.
``json``: the JSON text of whatever was sent.
"""


class Column(NamedTuple):
    """One column.

    Attributes:
        name: The key of exported rows, which is also the column's name.
        kind: What it holds.
    """

    name: str
    kind: Kind


COLUMNS: Final = (
    Column("$insert_id", "text"),
    Column("$insert_key", "text"),
    Column("$schema", "integer"),
    Column("adid", "text"),
    # Text by the page above, a list by that of the export to S3; a list is kept as its JSON text.
    Column("amplitude_attribution_ids", "text"),
    Column("amplitude_event_type", "text"),
    Column("amplitude_id", "integer"),
    Column("app", "integer"),
    Column("city", "text"),
    Column("client_event_time", "timestamp"),
    Column("client_upload_time", "timestamp"),
    Column("country", "text"),
    Column("data", "json"),
    Column("data_type", "text"),
    Column("device_brand", "text"),
    Column("device_carrier", "text"),
    Column("device_family", "text"),
    Column("device_id", "text"),
    Column("device_manufacturer", "text"),
    Column("device_model", "text"),
    Column("device_type", "text"),
    Column("dma", "text"),
    Column("event_id", "integer"),
    Column("event_properties", "json"),
    Column("event_time", "timestamp"),
    Column("event_type", "text"),
    Column("global_user_properties", "json"),
    Column("group_properties", "json"),
    Column("groups", "json"),
    Column("idfa", "text"),
    Column("ip_address", "text"),
    Column("is_attribution_event", "boolean"),
    Column("language", "text"),
    Column("library", "text"),
    Column("location_lat", "number"),
    Column("location_lng", "number"),
    Column("os_name", "text"),
    Column("os_version", "text"),
    Column("partner_id", "text"),
    Column("paying", "boolean"),
    Column("plan", "json"),
    Column("platform", "text"),
    Column("processed_time", "timestamp"),
    Column("region", "text"),
    Column("sample_rate", "number"),
    Column("server_received_time", "timestamp"),
    Column("server_upload_time", "timestamp"),
    Column("session_id", "integer"),
    Column("source_id", "text"),
    Column("start_version", "text"),
    Column("user_creation_time", "timestamp"),
    Column("user_id", "text"),
    Column("user_properties", "json"),
    Column("uuid", "text"),
    Column("version_name", "text"),
)

UNKNOWN: Final = Column("_unknown", "json")
"""One more column: an object of what the others cannot hold, so that nothing is lost.

Keys that are in no list, and values that are not of their column's kind, under their key. Null for rows that have neither.
"""
