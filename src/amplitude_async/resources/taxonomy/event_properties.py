"""Event properties: what all events share, and overrides for single event types.

Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async.resources.taxonomy.calls import (
    EVENT_PROPERTY,
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
    from amplitude_async.resources.taxonomy.shapes import (
        Classification,
        Done,
        EventPropertyAnswer,
        EventPropertyList,
        OverrideScope,
        PropertyType,
    )

__all__ = ["EventProperties"]


class EventProperties:
    """Properties of events: what all events share, and overrides for single event types."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def list(self, *, event_type: str | None = None, **parameters: object) -> EventPropertyList:
        """List event properties.

        Args:
            event_type: Those of one event type; left out, those that all events share.
            **parameters: Further query parameters, in Amplitude's spelling.

        Returns:
            ``{"success": true, "data": [...]}``, each an :class:`EventProperty`.

        Raises:
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: EventPropertyList = await self._runner.run(list_call(EVENT_PROPERTY, {"event_type": event_type, **parameters}))
        return answer

    async def get(self, event_property: str, *, event_type: str | None = None, **parameters: object) -> EventPropertyAnswer:
        """Ask for one event property.

        Args:
            event_property: Its name.
            event_type: As one event type has it; left out, as all share it.
            **parameters: Further query parameters, in Amplitude's spelling.

        Returns:
            ``{"success": true, "data": {...}}``, an :class:`EventProperty`.

        Raises:
            BadRequestError: There is none, or it is deleted.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: EventPropertyAnswer = await self._runner.run(
            get_call(EVENT_PROPERTY, event_property, {"event_type": event_type, **parameters})
        )
        return answer

    async def create(  # noqa: PLR0913 - Amplitude's fields
        self,
        event_property: str,
        *,
        event_type: str | None = None,
        description: str | None = None,
        type: PropertyType | None = None,  # noqa: A002 - Amplitude's own name
        regex: str | None = None,
        enum_values: Sequence[str] | str | None = None,
        is_array_type: bool | None = None,
        is_required: bool | None = None,
        is_hidden: bool | None = None,
        classifications: Sequence[Classification] | Classification | None = None,
        **fields: object,
    ) -> Done:
        """Put an event property into the plan.

        For an event type, it becomes an override if the property exists elsewhere already.

        Args:
            event_property: Its name.
            event_type: The event type that it is meant for; left out, what all events share.
            description: What it is about.
            type: ``string``, ``number``, ``boolean``, ``enum`` or ``any``; of an array, what each item is.
            regex: What a text must match; of type ``string`` alone.
            enum_values: What it may be: a list, or text with commas between; of type ``enum`` alone.
            is_array_type: Whether it holds a list.
            is_required: Whether every such event must have it.
            is_hidden: Whether charts leave it out; only of one that has come.
            classifications: ``PII``, ``SENSITIVE``, ``REVENUE``; needs Data Access Controls; of what all share alone.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 409: it exists there already, or was deleted (:meth:`restore` brings it back).
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        documented = {
            "event_type": event_type,
            "description": description,
            "type": type,
            "regex": regex,
            "enum_values": enum_values,
            "is_array_type": is_array_type,
            "is_required": is_required,
            "is_hidden": is_hidden,
            "classifications": classifications,
        }
        answer: Done = await self._runner.run(create_call(EVENT_PROPERTY, event_property, {**documented, **fields}))
        return answer

    async def update(  # noqa: PLR0913 - Amplitude's fields
        self,
        event_property: str,
        *,
        event_type: str | None = None,
        override_scope: OverrideScope | None = None,
        new_event_property_value: str | None = None,
        description: str | None = None,
        type: PropertyType | None = None,  # noqa: A002 - Amplitude's own name
        regex: str | None = None,
        enum_values: Sequence[str] | str | None = None,
        is_array_type: bool | None = None,
        is_required: bool | None = None,
        is_hidden: bool | None = None,
        classifications: Sequence[Classification] | Classification | None = None,
        **fields: object,
    ) -> Done:
        """Change an event property; what is left out stays as it is, and ``""`` takes a text away.

        Args:
            event_property: Its name.
            event_type: The event type that it is about: its override if there is one, else what all share; left out, what all share.
            override_scope: ``"override"`` makes one for that type where there is none, ``"shared"`` drops it and changes the rest.
            new_event_property_value: What it is to be called from now on.
            description: What it is about.
            type: ``string``, ``number``, ``boolean``, ``enum`` or ``any``; of an array, what each item is.
            regex: What a text must match; of type ``string`` alone.
            enum_values: What it may be: a list, or text with commas between; of type ``enum`` alone.
            is_array_type: Whether it holds a list.
            is_required: Whether every such event must have it.
            is_hidden: Whether charts leave it out; only of one that has come.
            classifications: ``PII``, ``SENSITIVE``, ``REVENUE``; needs Data Access Controls; of what all share alone.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 409: it is not in the plan.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        documented = {
            "event_type": event_type,
            "override_scope": override_scope,
            "new_event_property_value": new_event_property_value,
            "description": description,
            "type": type,
            "regex": regex,
            "enum_values": enum_values,
            "is_array_type": is_array_type,
            "is_required": is_required,
            "is_hidden": is_hidden,
            "classifications": classifications,
        }
        answer: Done = await self._runner.run(update_call(EVENT_PROPERTY, event_property, {**documented, **fields}))
        return answer

    async def delete(self, event_property: str, *, event_type: str | None = None) -> Done:
        """Delete an event property.

        Of what all share, one that has come is marked as deleted, and one that was only planned is taken out of the plan.

        Args:
            event_property: Its name.
            event_type: Take it from this event type alone. Left out, it is deleted for all of them.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 4xx: there is none, or it is deleted already.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: Done = await self._runner.run(delete_call(EVENT_PROPERTY, event_property, {"event_type": event_type}))
        return answer

    async def restore(self, event_property: str, *, event_type: str | None = None) -> Done:
        """Bring a deleted event property back.

        Args:
            event_property: Its name.
            event_type: Bring it back to this event type; left out, to what all share.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 4xx: it is not deleted.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: Done = await self._runner.run(restore_call(EVENT_PROPERTY, event_property, {"event_type": event_type}))
        return answer
