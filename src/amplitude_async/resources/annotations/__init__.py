"""Notes on charts, and their categories: the Chart Annotations API v3.

Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async.options import UNSET, Unset
from amplitude_async.resources.annotations.calls import (
    Annotation,
    AnnotationAnswer,
    AnnotationCategory,
    AnnotationCategoryAnswer,
    AnnotationCategoryList,
    AnnotationList,
    Deleted,
    assign_call,
    create_call,
    create_category_call,
    delete_call,
    delete_category_call,
    get_call,
    get_category_call,
    list_call,
    list_categories_call,
    update_call,
    update_category_call,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from amplitude_async.resources.runner import Runner

__all__ = [
    "Annotation",
    "AnnotationAnswer",
    "AnnotationCategories",
    "AnnotationCategory",
    "AnnotationCategoryAnswer",
    "AnnotationCategoryList",
    "AnnotationList",
    "Annotations",
    "Deleted",
]


class AnnotationCategories:
    """Categories of notes."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def list(self, *, category: str | None = None, **parameters: object) -> AnnotationCategoryList:
        """List categories.

        Args:
            category: The one of this name alone.
            **parameters: Further query parameters, in Amplitude's spelling.

        Returns:
            ``{"data": [{"id": 311, "name": "Releases"}, ...]}``.

        Raises:
            NotFoundError: There is none of that name.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        answer: AnnotationCategoryList = await self._runner.run(list_categories_call({"category": category, **parameters}))
        return answer

    async def get(self, category_id: int | str) -> AnnotationCategoryAnswer:
        """Ask for one category.

        Args:
            category_id: Its id.

        Returns:
            ``{"data": {"id": 311, "name": "Releases"}}``.

        Raises:
            NotFoundError: There is none with that id.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        answer: AnnotationCategoryAnswer = await self._runner.run(get_category_call(category_id))
        return answer

    async def create(self, name: str) -> AnnotationCategoryAnswer:
        """Create a category.

        Args:
            name: What it is to be called.

        Returns:
            ``{"data": {"id": 311, "name": "Releases"}}``.

        Raises:
            ResponseError: 409: there is one of that name.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        answer: AnnotationCategoryAnswer = await self._runner.run(create_category_call(name))
        return answer

    async def update(self, category_id: int | str, *, name: str) -> AnnotationCategoryAnswer:
        """Rename a category.

        Args:
            category_id: Its id.
            name: What it is to be called.

        Returns:
            ``{"data": {"id": 311, "name": "Launches", "category": "Launches"}}``: Amplitude answers with ``category`` here; ``name``
            is added.

        Raises:
            NotFoundError: There is none with that id.
            ResponseError: 409: there is another of that name.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        answer: AnnotationCategoryAnswer = await self._runner.run(update_category_call(category_id, name))
        return answer

    async def delete(self, category_id: int | str) -> Deleted:
        """Delete a category; its notes have none then.

        Args:
            category_id: Its id.

        Returns:
            ``{"success": true}``.

        Raises:
            NotFoundError: There is none with that id.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        answer: Deleted = await self._runner.run(delete_category_call(category_id))
        return answer

    async def assign(self, category_id: int | str, annotation_ids: Sequence[int | str]) -> AnnotationList:
        """Give several notes a category at once.

        Args:
            category_id: The category's id.
            annotation_ids: The notes' ids, at least one.

        Returns:
            ``{"data": [...]}``, the notes as they are now.

        Raises:
            BadRequestError: An id is none of a note; nothing is assigned then.
            NotFoundError: There is no such category.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        answer: AnnotationList = await self._runner.run(assign_call(category_id, annotation_ids))
        return answer


class Annotations:
    """Notes on charts, and under :attr:`categories` what sorts them.

    It needs ``api_key`` and ``secret_key``. Calls count among the five that may be in flight for a project at once; Amplitude states
    no other limit. Moments are datetimes (naive ones and dates mean UTC) or text in ISO 8601 with an offset.

    Every call raises, beyond what its own documentation says:

    - ``InvalidArgumentError``: something is blank, or contradicts itself; nothing was sent.
    - ``BadRequestError``: a field or an id is not what Amplitude takes.
    - ``AuthenticationError``: the keys are wrong, or of another region.
    - ``RateLimitedError``, ``ServerError``, ``TransportError``: as everywhere; creations are not repeated: each would be a note of its
      own.

    Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @property
    def categories(self) -> AnnotationCategories:
        """Categories of notes."""
        return AnnotationCategories(self._runner)

    async def list(
        self,
        *,
        category: str | None = None,
        chart_id: str | None = None,
        start: date | str | None = None,
        end: date | str | None = None,
        **parameters: object,
    ) -> AnnotationList:
        """List notes.

        Args:
            category: Those of the category of this name; not together with ``chart_id``.
            chart_id: Those that show on this chart.
            start: Those that happen after it.
            end: Those that happen, and have ended, before it.
            **parameters: Further query parameters, in Amplitude's spelling.

        Returns:
            ``{"data": [...]}``, each an :class:`Annotation`. There are no pages.

        Raises:
            InvalidArgumentError: ``category`` and ``chart_id`` together, or a start after the end; nothing was sent.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        filters = {"category": category, "chart_id": chart_id, "start": start, "end": end, **parameters}
        answer: AnnotationList = await self._runner.run(list_call(filters))
        return answer

    async def get(self, annotation_id: int | str) -> AnnotationAnswer:
        """Ask for one note.

        Args:
            annotation_id: Its id.

        Returns:
            ``{"data": {...}}``, an :class:`Annotation`.

        Raises:
            NotFoundError: There is none with that id.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        answer: AnnotationAnswer = await self._runner.run(get_call(annotation_id))
        return answer

    async def create(
        self,
        label: str,
        *,
        start: date | str,
        end: date | str | None = None,
        category: str | None = None,
        chart_id: str | None = None,
        details: str | None = None,
        **fields: object,
    ) -> AnnotationAnswer:
        """Put a note on a chart, or on all of them.

        Args:
            label: Its title.
            start: When it is about, or begins to be; hours at the finest.
            end: When that ends; left out, it is about a moment.
            category: The name of its category, which must exist.
            chart_id: The chart; left out, it shows on every chart.
            details: More about it.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"data": {...}}``, the :class:`Annotation`. Amplitude has been seen to answer ``chart_id: null`` although one was sent.

        Raises:
            NotFoundError: There is no such category.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        documented = {"category": category, "chart_id": chart_id, "details": details, "end": end}
        answer: AnnotationAnswer = await self._runner.run(create_call(label, start, {**documented, **fields}))
        return answer

    async def update(
        self,
        annotation_id: int | str,
        *,
        label: str | None = None,
        start: date | str | None = None,
        end: date | str | Unset | None = UNSET,
        category: str | None = None,
        chart_id: str | Unset | None = UNSET,
        details: str | None = None,
        **fields: object,
    ) -> AnnotationAnswer:
        """Change a note; what is left out stays as it is.

        Args:
            annotation_id: Its id.
            label: Its title.
            start: When it is about, or begins to be.
            end: When that ends; ``None`` takes the end away.
            category: The name of its category.
            chart_id: The chart; ``None`` puts it on every chart.
            details: More about it.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"data": {...}}``, the :class:`Annotation` as it is now.

        Raises:
            NotFoundError: There is no such note, or no such category.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        documented = {"label": label, "start": start, "category": category, "chart_id": chart_id, "details": details, "end": end}
        answer: AnnotationAnswer = await self._runner.run(update_call(annotation_id, {**documented, **fields}))
        return answer

    async def delete(self, annotation_id: int | str) -> Deleted:
        """Delete a note.

        Args:
            annotation_id: Its id.

        Returns:
            ``{"success": true}``.

        Raises:
            NotFoundError: There is none with that id.
            AmplitudeError: As at :class:`Annotations`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
        """
        answer: Deleted = await self._runner.run(delete_call(annotation_id))
        return answer
