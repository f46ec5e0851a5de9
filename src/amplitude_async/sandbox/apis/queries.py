"""The sandbox's charts: every query of the dashboard API, and saved charts.

Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from amplitude_async.sandbox import charts, queries
from amplitude_async.sandbox.desk import json_answer, parameters_of, refused_query
from amplitude_async.sandbox.periods import epoch_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from amplitude_async.sandbox.desk import Desk, Handler
    from amplitude_async.sandbox.questions import Parameters, Question

_CHART_COST = 1


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    api = _Queries(desk)
    asked = [Route(f"/api/2/{path}", desk.guarded(api.asking(read)), methods=["GET"]) for path, read in charts.QUERIES.items()]
    saved = [
        Route("/api/3/chart/{chart_id}/csv", desk.guarded(api.chart_csv), methods=["GET"]),
        Route("/api/3/chart/{chart_id}/query", desk.guarded(api.chart_json), methods=["GET"]),
    ]
    return [*asked, *saved]


class _Queries:
    """The handlers of one sandbox."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def asking(self, read: Callable[[Parameters], Question]) -> Handler:
        """Return what answers one kind of query."""

        async def answer(request: Request) -> Response:
            question = read(parameters_of(request))
            return self._refused(question.cost) or json_answer(200, {"data": await self._answered(question)})

        return answer

    def _refused(self, cost: int) -> Response | None:
        details = self._desk.queries.spend(cost, self._desk.clock())
        return None if details is None else refused_query(429, details)

    async def _answered(self, question: Question) -> object:
        desk = self._desk
        return await desk.run(queries.answered, desk.store, question, zone=desk.zone, now_s=desk.clock(), strict=desk.strict)

    async def _chart(self, request: Request) -> tuple[str, Any] | Response:
        """Return the query and the answer of a saved chart, or the refusal."""
        chart = await self._desk.run(self._desk.store.documents.get, charts.KIND, request.path_params["chart_id"])
        if chart is None:
            return refused_query(404, "Chart not found")
        question = charts.question_of(chart, self._desk.zone, epoch_us(self._desk.clock()))
        return self._refused(_CHART_COST) or (chart["query"], await self._answered(question))

    async def chart_csv(self, request: Request) -> Response:
        """Answer a saved chart as CSV."""
        found = await self._chart(request)
        if isinstance(found, Response):
            return found
        return Response(charts.as_csv(*found), media_type="text/csv")

    async def chart_json(self, request: Request) -> Response:
        """Answer a saved chart as JSON."""
        found = await self._chart(request)
        return found if isinstance(found, Response) else json_answer(200, {"data": charts.as_json(found[1])})
