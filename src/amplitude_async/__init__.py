"""The Amplitude client for async Python: the public names, each loaded on first use (PEP 562).

Importing this package reads no environment, opens nothing and loads no dependency.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from amplitude_async._protocol.budget import Period, Quota, Window
    from amplitude_async._protocol.inflating import ArchiveLimits
    from amplitude_async._version import __version__
    from amplitude_async.client import AsyncAmplitude
    from amplitude_async.context import event_context
    from amplitude_async.delivery.hooks import Setback
    from amplitude_async.delivery.ledger import Settlement
    from amplitude_async.delivery.outbox import Outbox
    from amplitude_async.delivery.receipts import OutboxReport, OutboxStats, Receipt
    from amplitude_async.errors import (
        AmplitudeError,
        AuthenticationError,
        BadRequestError,
        BudgetError,
        ClosedError,
        ConfigurationError,
        ExportError,
        ExportStorageError,
        ExportWarning,
        InvalidArgumentError,
        InvalidEventError,
        JobError,
        NotFoundError,
        OutboxClosed,
        OutboxError,
        OutboxFull,
        OutboxLocked,
        OutboxStorageError,
        PartialDeletionError,
        PartialDeliveryError,
        PayloadTooLargeError,
        RangeTooLargeError,
        RateLimitedError,
        RedirectError,
        RequestTimeoutError,
        ResponseError,
        ServerError,
        TransportError,
        UnexpectedResponseError,
    )
    from amplitude_async.exporting.export import Export, SavedExport
    from amplitude_async.exporting.rows import ExportedEvent
    from amplitude_async.exporting.sync import SyncProgress, SyncReport
    from amplitude_async.hours import ExportSettings, export_hour, plan_hours
    from amplitude_async.options import UNSET, Backoff, Timeout, Unset
    from amplitude_async.queries import Event, Segment

__all__ = [
    "UNSET",
    "AmplitudeError",
    "ArchiveLimits",
    "AsyncAmplitude",
    "AuthenticationError",
    "Backoff",
    "BadRequestError",
    "BudgetError",
    "ClosedError",
    "ConfigurationError",
    "Event",
    "Export",
    "ExportError",
    "ExportSettings",
    "ExportStorageError",
    "ExportWarning",
    "ExportedEvent",
    "InvalidArgumentError",
    "InvalidEventError",
    "JobError",
    "NotFoundError",
    "Outbox",
    "OutboxClosed",
    "OutboxError",
    "OutboxFull",
    "OutboxLocked",
    "OutboxReport",
    "OutboxStats",
    "OutboxStorageError",
    "PartialDeletionError",
    "PartialDeliveryError",
    "PayloadTooLargeError",
    "Period",
    "Quota",
    "RangeTooLargeError",
    "RateLimitedError",
    "Receipt",
    "RedirectError",
    "RequestTimeoutError",
    "ResponseError",
    "SavedExport",
    "Segment",
    "ServerError",
    "Setback",
    "Settlement",
    "SyncProgress",
    "SyncReport",
    "Timeout",
    "TransportError",
    "UnexpectedResponseError",
    "Unset",
    "Window",
    "__version__",
    "event_context",
    "export_hour",
    "plan_hours",
]

_HOMES = {
    "UNSET": "options",
    "ArchiveLimits": "_protocol.inflating",
    "AsyncAmplitude": "client",
    "Backoff": "options",
    "Event": "queries",
    "Export": "exporting.export",
    "ExportSettings": "hours",
    "ExportedEvent": "exporting.rows",
    "Outbox": "delivery.outbox",
    "OutboxReport": "delivery.receipts",
    "OutboxStats": "delivery.receipts",
    "Receipt": "delivery.receipts",
    "Period": "_protocol.budget",
    "Quota": "_protocol.budget",
    "SavedExport": "exporting.export",
    "Segment": "queries",
    "Setback": "delivery.hooks",
    "Settlement": "delivery.ledger",
    "SyncProgress": "exporting.sync",
    "SyncReport": "exporting.sync",
    "Timeout": "options",
    "Unset": "options",
    "Window": "_protocol.budget",
    "__version__": "_version",
    "event_context": "context",
    "export_hour": "hours",
    "plan_hours": "hours",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
