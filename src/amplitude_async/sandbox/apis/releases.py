"""The sandbox's releases: taken and kept, as Amplitude has no way to read them back.

Parameters come in the query or as JSON. The id is seven characters, the organisation always the same; several platforms in a query
are text with commas, which Amplitude's page leaves open.

Amplitude's page: https://amplitude.com/docs/apis/analytics/releases
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from amplitude_async.sandbox.desk import json_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from amplitude_async.sandbox.desk import Desk
    from amplitude_async.sandbox.documents import Document, Documents

RELEASES: Final = "releases"
ORGANISATION: Final = 20_077
_FORM: Final = "%Y-%m-%d %H:%M:%S"
_SAYS: Final = {"true": True, "false": False}


def _text(sent: Mapping[str, Any], name: str, *, is_required: bool = False) -> str | None:
    value = sent.get(name)
    if value is None and not is_required:
        return None
    if not isinstance(value, str) or not value.strip():
        message = f"Missing or invalid parameter: {name}"
        raise ValueError(message)
    return value


def _time(sent: Mapping[str, Any], name: str, *, is_required: bool = False) -> str | None:
    text = _text(sent, name, is_required=is_required)
    if text is None:
        return None
    try:
        return datetime.strptime(text, _FORM).strftime(_FORM)  # noqa: DTZ007 - the form has no zone; it means UTC
    except ValueError:
        message = f"Invalid time for {name}: {text[:100]} (expected yyyy-MM-dd HH:mm:ss)"
    raise ValueError(message)


def _platforms(value: object) -> list[str] | None:
    found = [item.strip() for item in value.split(",")] if isinstance(value, str) else value
    if found is None or (isinstance(found, list) and all(isinstance(item, str) for item in found)):
        return found
    message = "Invalid parameter: platforms"
    raise ValueError(message)


def _kept(documents: Documents, sent: Mapping[str, Any], project_id: int, now_ms: int) -> Document:
    version, title = (_text(sent, name, is_required=True) for name in ("version", "title"))
    start, end = _time(sent, "release_start", is_required=True), _time(sent, "release_end")
    if start is not None and end is not None and end < start:
        message = "release_end is before release_start"
        raise ValueError(message)
    visibility = sent.get("chart_visibility", True)
    visibility = _SAYS.get(visibility.lower(), visibility) if isinstance(visibility, str) else visibility
    if visibility not in {True, False}:
        message = "Invalid parameter: chart_visibility"
        raise ValueError(message)
    creator = _text(sent, "created_by")
    number = documents.next_number(RELEASES)
    release = {
        "id": f"r{number:06x}",
        "app_id": project_id,
        "org_id": ORGANISATION,
        "version": version,
        "release_start": start,
        "release_end": end,
        "type": "integration",
        "title": title,
        "description": _text(sent, "description"),
        "platforms": _platforms(sent.get("platforms")),
        "chart_visibility": visibility,
        "params": {"created": now_ms, "created_by": creator, "last_modified": now_ms, "last_modified_by": creator},
    }
    return documents.put(RELEASES, release["id"], release)


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""

    async def create(request: Request) -> Response:
        sent: dict[str, Any] = dict(request.query_params)
        if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
            sent |= await desk.json_body(request)
        release = await desk.run(_kept, desk.store.documents, sent, desk.project_id, int(desk.clock() * 1000))
        return json_answer(200, {"success": True, "release": release})

    return [Route("/api/2/release", desk.guarded(create), methods=["POST"])]
