"""User properties.

Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async.resources.taxonomy.calls import (
    USER_PROPERTY,
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
    from amplitude_async.resources.taxonomy.shapes import Classification, Done, PropertyType, UserPropertyAnswer, UserPropertyList

__all__ = ["UserProperties"]


class UserProperties:
    """Properties of users. Custom ones are spelled ``gp:name``; the others are Amplitude's own."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def list(self, *, show_deleted: bool | None = None, **parameters: object) -> UserPropertyList:
        """List the visible user properties.

        Args:
            show_deleted: Whether deleted ones count too.
            **parameters: Further query parameters, in Amplitude's spelling.

        Returns:
            ``{"success": true, "data": [...]}``, each a :class:`UserProperty`. Hidden ones are left out.

        Raises:
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: UserPropertyList = await self._runner.run(list_call(USER_PROPERTY, {"show_deleted": show_deleted, **parameters}))
        return answer

    async def get(self, user_property: str, *, show_deleted: bool | None = None, **parameters: object) -> UserPropertyAnswer:
        """Ask for one user property.

        Args:
            user_property: Its name; a custom one is ``gp:name``.
            show_deleted: Whether deleted ones count too.
            **parameters: Further query parameters, in Amplitude's spelling.

        Returns:
            ``{"success": true, "data": {...}}``, a :class:`UserProperty`.

        Raises:
            NotFoundError: There is none, it is deleted, or the plan does not have the feature.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: UserPropertyAnswer = await self._runner.run(
            get_call(USER_PROPERTY, user_property, {"show_deleted": show_deleted, **parameters})
        )
        return answer

    async def create(
        self,
        user_property: str,
        *,
        description: str | None = None,
        type: PropertyType | None = None,  # noqa: A002 - Amplitude's own name
        regex: str | None = None,
        enum_values: Sequence[str] | str | None = None,
        is_array_type: bool | None = None,
        is_hidden: bool | None = None,
        classifications: Sequence[Classification] | Classification | None = None,
        **fields: object,
    ) -> Done:
        """Put a user property into the plan.

        Args:
            user_property: Its name.
            description: What it is about.
            type: ``string``, ``number``, ``boolean``, ``enum`` or ``any``; of an array, what each item is.
            regex: What a text must match; of type ``string`` alone.
            enum_values: What it may be: a list, or text with commas between; of type ``enum`` alone.
            is_array_type: Whether it holds a list.
            is_hidden: Whether charts leave it out; only of one that has come.
            classifications: ``PII``, ``SENSITIVE``, ``REVENUE``; needs Data Access Controls.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: It exists already, or was deleted (:meth:`restore` brings it back).
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        documented = {
            "description": description,
            "type": type,
            "regex": regex,
            "enum_values": enum_values,
            "is_array_type": is_array_type,
            "is_hidden": is_hidden,
            "classifications": classifications,
        }
        answer: Done = await self._runner.run(create_call(USER_PROPERTY, user_property, {**documented, **fields}))
        return answer

    async def update(  # noqa: PLR0913 - Amplitude's fields
        self,
        user_property: str,
        *,
        new_user_property_value: str | None = None,
        description: str | None = None,
        type: PropertyType | None = None,  # noqa: A002 - Amplitude's own name
        regex: str | None = None,
        enum_values: Sequence[str] | str | None = None,
        is_array_type: bool | None = None,
        is_hidden: bool | None = None,
        classifications: Sequence[Classification] | Classification | None = None,
        **fields: object,
    ) -> Done:
        """Change a user property; what is left out stays as it is, and ``""`` takes a text away.

        Args:
            user_property: Its name; a custom one is ``gp:name``.
            new_user_property_value: What it is to be called from now on.
            description: What it is about.
            type: ``string``, ``number``, ``boolean``, ``enum`` or ``any``; of an array, what each item is.
            regex: What a text must match; of type ``string`` alone.
            enum_values: What it may be: a list, or text with commas between; of type ``enum`` alone.
            is_array_type: Whether it holds a list.
            is_hidden: Whether charts leave it out; only of one that has come.
            classifications: ``PII``, ``SENSITIVE``, ``REVENUE``; needs Data Access Controls.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: It is not in the plan.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        documented = {
            "new_user_property_value": new_user_property_value,
            "description": description,
            "type": type,
            "regex": regex,
            "enum_values": enum_values,
            "is_array_type": is_array_type,
            "is_hidden": is_hidden,
            "classifications": classifications,
        }
        answer: Done = await self._runner.run(update_call(USER_PROPERTY, user_property, {**documented, **fields}))
        return answer

    async def delete(self, user_property: str) -> Done:
        """Delete a user property.

        One that has come is marked as deleted, and one that was only planned is taken out of the plan.

        Args:
            user_property: Its name; a custom one is ``gp:name``. Amplitude's own cannot be deleted.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 4xx: there is none, it is deleted already, or it is Amplitude's own.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: Done = await self._runner.run(delete_call(USER_PROPERTY, user_property, {}))
        return answer

    async def restore(self, user_property: str) -> Done:
        """Bring a deleted user property back.

        Args:
            user_property: Its name; a custom one is ``gp:name``.

        Returns:
            ``{"success": true}``.

        Raises:
            ResponseError: 4xx: it is not deleted.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: Done = await self._runner.run(restore_call(USER_PROPERTY, user_property, {}))
        return answer
