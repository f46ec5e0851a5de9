"""Categories and event types.

Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async.resources.parameters import required_text
from amplitude_async.resources.taxonomy.calls import (
    CATEGORY,
    EVENT,
    create_call,
    delete_call,
    get_call,
    list_call,
    restore_call,
    update_call,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amplitude_async.resources.runner import Runner
    from amplitude_async.resources.taxonomy.shapes import CategoryAnswer, CategoryList, Done, EventTypeAnswer, EventTypeList

__all__ = ["Categories", "EventTypes"]


class Categories:
    """Categories of events. They are read by their name, and changed by their id."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def list(self) -> CategoryList:
        """List every category.

        Returns:
            ``{"success": true, "data": [{"id": 41290, "name": "Checkout"}, ...]}``.

        Raises:
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: CategoryList = await self._runner.run(list_call(CATEGORY, {}))
        return answer

    async def get(self, name: str) -> CategoryAnswer:
        """Ask for one category, by its name: that gives its id, by which it is changed.

        Args:
            name: The category's name.

        Returns:
            ``{"success": true, "data": {"id": 41290, "name": "Checkout"}}``.

        Raises:
            BadRequestError: There is none of that name.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: CategoryAnswer = await self._runner.run(get_call(CATEGORY, name, {}))
        return answer

    async def create(self, name: str, **fields: object) -> Done:
        """Create a category.

        Args:
            name: What it is to be called.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true}``; :meth:`get` gives its id.

        Raises:
            ResponseError: There is one of that name.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: Done = await self._runner.run(create_call(CATEGORY, name, fields))
        return answer

    async def update(self, category_id: int | str, *, name: str, **fields: object) -> Done:
        """Rename a category.

        Args:
            category_id: Its id, not its name.
            name: What it is to be called.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 409: there is none with that id.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        wanted = required_text(name, argument="name", what="a category's name")
        call = update_call(CATEGORY, category_id, {"category_name": wanted, **fields}, argument="category_id")
        answer: Done = await self._runner.run(call)
        return answer

    async def delete(self, category_id: int | str) -> Done:
        """Delete a category; its events have none then.

        Args:
            category_id: Its id, not its name.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 409: there is none with that id.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: Done = await self._runner.run(delete_call(CATEGORY, category_id, {}, argument="category_id"))
        return answer


class EventTypes:
    """Event types: what is planned, and what came without having been planned."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def list(self, *, show_deleted: bool | None = None, **parameters: object) -> EventTypeList:
        """List the visible event types.

        Args:
            show_deleted: Whether deleted ones are listed too.
            **parameters: Further query parameters, in Amplitude's spelling.

        Returns:
            ``{"success": true, "data": [...]}``, each an :class:`EventType`. Those that are hidden somewhere are left out.

        Raises:
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: EventTypeList = await self._runner.run(list_call(EVENT, {"show_deleted": show_deleted, **parameters}))
        return answer

    async def get(self, event_type: str) -> EventTypeAnswer:
        """Ask for one event type.

        Args:
            event_type: Its name.

        Returns:
            ``{"success": true, "data": {...}}``, an :class:`EventType`.

        Raises:
            BadRequestError: There is none, or it is deleted.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: EventTypeAnswer = await self._runner.run(get_call(EVENT, event_type, {}))
        return answer

    async def create(  # noqa: PLR0913 - Amplitude's fields
        self,
        event_type: str,
        *,
        category: str | None = None,
        description: str | None = None,
        is_active: bool | None = None,
        is_hidden_from_dropdowns: bool | None = None,
        is_hidden_from_persona_results: bool | None = None,
        is_hidden_from_pathfinder: bool | None = None,
        is_hidden_from_timeline: bool | None = None,
        tags: Sequence[str] | str | None = None,
        owner: str | None = None,
        **fields: object,
    ) -> Done:
        """Put an event type into the plan.

        Args:
            event_type: Its name.
            category: The name of its category.
            description: What it is about.
            is_active: Whether it is in use.
            is_hidden_from_dropdowns: Whether charts' menus leave it out; this and the next three only of events that have come.
            is_hidden_from_persona_results: Whether personas leave it out.
            is_hidden_from_pathfinder: Whether Pathfinder leaves it out.
            is_hidden_from_timeline: Whether user timelines leave it out.
            tags: A list, or text with commas between.
            owner: Whose it is.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 409: it is in the plan already, or was deleted from it (:meth:`restore` brings it back).
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        documented = {
            "category": category,
            "description": description,
            "is_active": is_active,
            "is_hidden_from_dropdowns": is_hidden_from_dropdowns,
            "is_hidden_from_persona_results": is_hidden_from_persona_results,
            "is_hidden_from_pathfinder": is_hidden_from_pathfinder,
            "is_hidden_from_timeline": is_hidden_from_timeline,
            "tags": tags,
            "owner": owner,
        }
        answer: Done = await self._runner.run(create_call(EVENT, event_type, {**documented, **fields}))
        return answer

    async def update(  # noqa: PLR0913 - Amplitude's fields
        self,
        event_type: str,
        *,
        new_event_type: str | None = None,
        category: str | None = None,
        description: str | None = None,
        display_name: str | None = None,
        is_active: bool | None = None,
        is_hidden_from_dropdowns: bool | None = None,
        is_hidden_from_persona_results: bool | None = None,
        is_hidden_from_pathfinder: bool | None = None,
        is_hidden_from_timeline: bool | None = None,
        tags: Sequence[str] | str | None = None,
        owner: str | None = None,
        **fields: object,
    ) -> Done:
        """Change an event type; what is left out stays as it is, and ``""`` takes a text away.

        Args:
            event_type: Its name.
            new_event_type: What it is to be called from now on.
            category: The name of its category.
            description: What it is about.
            display_name: How charts show it; only of events that have come.
            is_active: Whether it is in use.
            is_hidden_from_dropdowns: Whether charts' menus leave it out; this and the next three only of events that have come.
            is_hidden_from_persona_results: Whether personas leave it out.
            is_hidden_from_pathfinder: Whether Pathfinder leaves it out.
            is_hidden_from_timeline: Whether user timelines leave it out.
            tags: A list, or text with commas between; they replace those that it has.
            owner: Whose it is.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 409: it is not in the plan, or has not come yet where it must have.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        documented = {
            "new_event_type": new_event_type,
            "category": category,
            "description": description,
            "display_name": display_name,
            "is_active": is_active,
            "is_hidden_from_dropdowns": is_hidden_from_dropdowns,
            "is_hidden_from_persona_results": is_hidden_from_persona_results,
            "is_hidden_from_pathfinder": is_hidden_from_pathfinder,
            "is_hidden_from_timeline": is_hidden_from_timeline,
            "tags": tags,
            "owner": owner,
        }
        answer: Done = await self._runner.run(update_call(EVENT, event_type, {**documented, **fields}))
        return answer

    async def delete(self, event_type: str) -> Done:
        """Delete an event type.

        One that has come is marked as deleted and can be restored, also if it was never planned. One that was only planned is taken
        out of the plan.

        Args:
            event_type: Its name.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 4xx: there is none, it is deleted already, or it is transformed.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: Done = await self._runner.run(delete_call(EVENT, event_type, {}))
        return answer

    async def restore(self, event_type: str) -> Done:
        """Bring a deleted event type back.

        Args:
            event_type: Its name.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 4xx: it is not deleted.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: Done = await self._runner.run(restore_call(EVENT, event_type, {}))
        return answer
