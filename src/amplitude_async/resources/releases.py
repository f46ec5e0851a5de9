"""Releases, marked on charts.

Amplitude's page: https://amplitude.com/docs/apis/analytics/releases
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Required, TypedDict

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, read_confirmation
from amplitude_async._protocol.dates import check_span, utc_text
from amplitude_async.resources.parameters import given, json_body, required_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from amplitude_async.resources.runner import Runner

__all__ = ["Release", "ReleaseAnswer", "Releases"]


class Release(TypedDict, total=False):
    """A release. ``release_start`` and ``release_end`` are ``YYYY-MM-DD HH:MM:SS`` in UTC.

    ``params`` holds ``created`` and ``last_modified`` (ms since the epoch), ``created_by`` and ``last_modified_by``.
    """

    id: Required[str]
    version: Required[str]
    app_id: int
    org_id: int
    release_start: str
    release_end: str | None
    type: str
    title: str
    description: str | None
    platforms: list[str] | None
    chart_visibility: bool
    params: dict[str, Any]


class ReleaseAnswer(TypedDict):
    """The answer to a release that was taken."""

    success: bool
    release: Release


def _read_release(body: bytes) -> dict[str, Any]:
    return read_confirmation(body, "release")


def create_call(version: object, title: object, release_start: object, parameters: Mapping[str, object]) -> Call:
    """Describe a new release. Not repeatable: a second one would be a second mark on every chart.

    Raises:
        InvalidArgumentError: Something is blank, or the release ends before it starts.
    """
    fields = given(parameters)
    starts = utc_text(release_start, argument="release_start")
    if "release_end" in fields:
        ends = fields["release_end"] = utc_text(fields["release_end"], argument="release_end")
        check_span(starts, ends, names=("release_start", "release_end"))
    body = {
        "version": required_text(version, argument="version", what="the version that is released"),
        "release_start": starts,
        "title": required_text(title, argument="title", what="a title"),
        **fields,
    }
    return Call(
        api="dashboard",
        kind="query",
        method="POST",
        path="/api/2/release",
        credential="project",
        reads=_read_release,
        repeatable=False,
        body=json_body(body),
        uses=(Use("rest"),),
    )


class Releases:
    """Releases, marked on charts. Amplitude takes new ones here; it neither lists nor changes them.

    It needs ``api_key`` and ``secret_key``. Calls count among the five that may be in flight for a project at once; Amplitude states
    no other limit.

    Amplitude's page: https://amplitude.com/docs/apis/analytics/releases
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def create(
        self,
        version: str,
        *,
        title: str,
        release_start: date | str,
        release_end: date | str | None = None,
        description: str | None = None,
        platforms: Sequence[str] | str | None = None,
        created_by: str | None = None,
        chart_visibility: bool | None = None,
        **fields: object,
    ) -> ReleaseAnswer:
        """Mark a release.

        Args:
            version: The version that is released.
            title: What charts call it.
            release_start: When it begins: a datetime (a naive one and a date's midnight mean UTC), or text as ``YYYY-MM-DD HH:MM:SS``
                in UTC.
            release_end: When it is out; the same forms.
            description: More about it.
            platforms: Where it is released, such as ``["iOS", "Android"]``.
            created_by: Who did it; any name.
            chart_visibility: Whether charts show it; Amplitude's default is true.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true, "release": {...}}``, a :class:`Release`.

        Raises:
            InvalidArgumentError: Something is blank, or the release ends before it starts; nothing was sent.
            BadRequestError: Amplitude refuses a field; the message has its words.
            AuthenticationError: The keys are wrong, or of another region.
            AmplitudeError: As everywhere. When the outcome is unknown, the release is not sent again: it would be marked twice.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/releases
        """
        documented = {
            "release_end": release_end,
            "description": description,
            "platforms": platforms,
            "created_by": created_by,
            "chart_visibility": chart_visibility,
        }
        answer: ReleaseAnswer = await self._runner.run(create_call(version, title, release_start, {**documented, **fields}))
        return answer
