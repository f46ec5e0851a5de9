"""One exported row with its types, for ``events(model=ExportedEvent)``.

Amplitude's page: https://amplitude.com/docs/apis/analytics/export
"""

from __future__ import annotations

from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import force_setattr

__all__ = ["ExportedEvent"]

if TYPE_CHECKING:
    Properties = dict[str, Any]
else:
    # Should Amplitude send null for a map it does not have, an empty one is what users see.
    Properties = dict[str, Any] | None

_INSTANTS: Final = (
    "client_event_time",
    "client_upload_time",
    "event_time",
    "processed_time",
    "server_received_time",
    "server_upload_time",
    "user_creation_time",
)
_MAPS: Final = ("data", "event_properties", "group_properties", "groups", "plan", "user_properties")

# All of them in one call: this is done for every row.
_instants: Final = attrgetter(*_INSTANTS)
_maps: Final = attrgetter(*_MAPS)
_combine: Final = datetime.combine


class ExportedEvent(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,  # what JSON says holds no cycles, so the collector has nothing to look for
    rename={"insert_id": "$insert_id", "insert_key": "$insert_key", "schema": "$schema"},
):
    """A row of an export: an event as Amplitude stored it.

    All instants are aware datetimes in UTC, to the microsecond. Keys that a row does not have are ``None`` (maps: empty); keys that
    are not listed here are left out, so take plain dicts to see them. Amplitude documents 40 of these keys
    (https://amplitude.com/docs/apis/analytics/export); the others are in the files all the same.

    Attributes:
        insert_id: ``$insert_id``: by which repeated uploads are found; Amplitude makes one up where none was sent.
        insert_key: ``$insert_key``.
        schema: ``$schema``.
        adid: The Android advertising id.
        amplitude_attribution_ids: Attribution ids; text by the page of this API, a list by that of the export to S3.
        amplitude_event_type: Amplitude's own name of the kind of event.
        amplitude_id: Amplitude's id of the user; more than 32 bits.
        app: The project's id.
        city: City.
        client_event_time: When the event happened by the client's clock: the ``time`` that was sent.
        client_upload_time: When the client sent it, by its own clock.
        country: Country.
        data: What the server noted about the event, such as ``path`` and ``first_event``.
        data_type: ``event``.
        device_brand: Brand of the device.
        device_carrier: Carrier; ``carrier`` in uploads.
        device_family: Family of devices.
        device_id: Id of the device; derived from ``user_id`` where none was sent.
        device_manufacturer: Manufacturer of the device.
        device_model: Model of the device.
        device_type: Type of the device.
        dma: Designated market area.
        event_id: A counter that tells events of the same instant apart.
        event_properties: The event's properties.
        event_time: When the event happened, corrected for the client's clock.
        event_type: The event's name.
        global_user_properties: ``None`` in all files seen.
        group_properties: Properties of the event's groups.
        groups: The values of each group type.
        idfa: The iOS advertising id.
        ip_address: Address of the client; ``ip`` in uploads.
        is_attribution_event: Whether the event is about attribution.
        language: Language by its name.
        library: What sent the event, such as ``http/2.0``.
        location_lat: Degrees of latitude.
        location_lng: Degrees of longitude.
        os_name: Name of the operating system.
        os_version: Version of the operating system.
        partner_id: Partner's id.
        paying: True once the user had any revenue, else ``None``.
        plan: The tracking plan that was sent along.
        platform: Platform.
        processed_time: When Amplitude processed the event.
        region: Region.
        sample_rate: ``None``.
        server_received_time: When the request arrived.
        server_upload_time: When the event was stored: what an export's hours go by.
        session_id: Start of the session in milliseconds since the epoch; -1 outside any session.
        source_id: Source's id.
        start_version: The app's version when the user was first seen.
        user_creation_time: When the user was first seen.
        user_id: Your id of the user.
        user_properties: The user's properties at the time of the event.
        uuid: Unique for each stored event.
        version_name: The app's version; ``app_version`` in uploads.
    """

    insert_id: str | None = None
    insert_key: str | None = None
    schema: int | None = None
    adid: str | None = None
    amplitude_attribution_ids: Any = None
    amplitude_event_type: str | None = None
    amplitude_id: int | None = None
    app: int | None = None
    city: str | None = None
    client_event_time: datetime | None = None
    client_upload_time: datetime | None = None
    country: str | None = None
    data: Properties = {}
    data_type: str | None = None
    device_brand: str | None = None
    device_carrier: str | None = None
    device_family: str | None = None
    device_id: str | None = None
    device_manufacturer: str | None = None
    device_model: str | None = None
    device_type: str | None = None
    dma: str | None = None
    event_id: int | None = None
    event_properties: Properties = {}
    event_time: datetime | None = None
    event_type: str | None = None
    global_user_properties: dict[str, Any] | None = None
    group_properties: Properties = {}
    groups: Properties = {}
    idfa: str | None = None
    ip_address: str | None = None
    is_attribution_event: bool | None = None
    language: str | None = None
    library: str | None = None
    location_lat: float | None = None
    location_lng: float | None = None
    os_name: str | None = None
    os_version: str | None = None
    partner_id: str | None = None
    paying: bool | None = None
    plan: Properties = {}
    platform: str | None = None
    processed_time: datetime | None = None
    region: str | None = None
    sample_rate: float | None = None
    server_received_time: datetime | None = None
    server_upload_time: datetime | None = None
    session_id: int | None = None
    source_id: str | None = None
    start_version: str | None = None
    user_creation_time: datetime | None = None
    user_id: str | None = None
    user_properties: Properties = {}
    uuid: str | None = None
    version_name: str | None = None

    def __post_init__(self) -> None:
        """Make instants aware, and maps of null empty."""
        for name, instant in zip(_INSTANTS, _instants(self), strict=True):
            if instant is not None:
                force_setattr(self, name, _in_utc(instant))
        if None in _maps(self):
            for name in _MAPS:
                if getattr(self, name) is None:
                    force_setattr(self, name, {})


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        # As Amplitude writes them they have no zone, and mean UTC. In Python 3.11 this takes a seventh of what replace() does.
        return _combine(instant, instant.time(), UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        pass
    message = "in UTC it is not within the years 1 to 9999"
    raise ValueError(message)
