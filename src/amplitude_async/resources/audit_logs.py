"""Who did what in the organisation.

The shape of the answer is not documented yet, so it is handed out as it comes.

Amplitude's page: https://amplitude.com/docs/apis/analytics/audit-logs
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, path_of, read_json
from amplitude_async._protocol.dates import iso_instant
from amplitude_async.resources.parameters import given, json_body, refused, required_text, whole_number

if TYPE_CHECKING:
    from datetime import date

    from amplitude_async.resources.runner import Runner

__all__ = ["AuditLogs", "search_call"]

LONGEST: Final = timedelta(days=30)


def search_call(org_id: object, start_date: object, end_date: object, options: Mapping[str, object]) -> Call:
    """Describe a search. A POST that changes nothing, so it may be repeated."""
    organisation = required_text(org_id, argument="org_id", what="the organisation's id")
    first, last = iso_instant(start_date, argument="start_date"), iso_instant(end_date, argument="end_date", is_end=True)
    span = _moment(last) - _moment(first)
    if span < timedelta(0):
        raise refused(argument="start_date", reason="is after end_date")
    if span > LONGEST:
        raise refused(argument="end_date", reason=f"is more than {LONGEST.days} days after start_date; ask in parts")
    body: dict[str, object] = {"start_date": first, "end_date": last}
    asked = given(options)
    filters = _members(asked, "filters")
    filters = {**{name: asked.pop(name) for name in ("domain", "feature", "action") if name in asked}, **filters}
    pagination = _members(asked, "pagination")
    if "limit" in asked:
        pagination["limit"] = whole_number(asked.pop("limit"), argument="limit", least=1)
    body |= {"filters": filters} if filters else {}
    body |= {"pagination": pagination} if pagination else {}
    return Call(
        api="audit_logs",
        kind="query",
        method="POST",
        path=path_of("/api/2/audit-logs/{}", organisation),
        credential="organisation",
        reads=read_json,
        repeatable=True,
        body=json_body({**body, **asked}),
        uses=(Use("rest"),),
    )


def _members(asked: dict[str, object], name: str) -> dict[str, object]:
    value = asked.pop(name, {})
    if not isinstance(value, Mapping):
        raise refused(argument=name, reason="must be a mapping")
    return dict(value)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class AuditLogs:
    """Who did what in the organisation. Needs the organisation's keys; not offered in the EU."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def search(
        self,
        org_id: int | str,
        *,
        start_date: date | str,
        end_date: date | str,
        domain: str | None = None,
        feature: str | None = None,
        action: str | None = None,
        limit: int | None = None,
        **fields: object,
    ) -> Any:  # noqa: ANN401 - its shape is not documented
        """Ask who did what within some days; 90 days are kept.

        Args:
            org_id: The organisation's id.
            start_date: First moment: a datetime (naive means UTC), a date (its midnight in UTC), or ISO 8601 text.
            end_date: Last moment, at most 30 days later; a date means its last second.
            domain: Only entries of this domain, such as ``"group"``.
            feature: Only entries about this, such as ``"user"``.
            action: Only entries of this kind, such as ``"invite"``.
            limit: How many entries at most.
            **fields: Further fields of the API, ``pagination={"limit": ..., ...}`` and ``filters={...}`` among them.

        Returns:
            What Amplitude answers, as JSON. Its shape is not documented; an entry is said to have a timestamp, domain, feature,
            action, target, user e-mail, organisation and project ids, address, client, properties and error.

        Raises:
            InvalidArgumentError: The id is blank, a bound is no moment, or the span is more than 30 days.
            ConfigurationError: The client lacks the organisation's keys, or is one for the EU.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/audit-logs
        """
        options = {"domain": domain, "feature": feature, "action": action, "limit": limit, **fields}
        return await self._runner.run(search_call(org_id, start_date, end_date, options))
