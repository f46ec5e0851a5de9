"""Group properties: what all group types share, and overrides for single ones.

Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async.resources.taxonomy.calls import GROUP_PROPERTY, create_call, get_call, list_call, update_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amplitude_async.resources.runner import Runner
    from amplitude_async.resources.taxonomy.shapes import (
        Classification,
        Done,
        GroupPropertyAnswer,
        GroupPropertyList,
        OverrideScope,
        PropertyType,
    )

__all__ = ["GroupProperties"]


class GroupProperties:
    """Properties of groups; custom ones are spelled ``grp:name``. Amplitude lets nobody delete or restore them here."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def list(self, *, group_type: str | None = None, **parameters: object) -> GroupPropertyList:
        """List group properties.

        Args:
            group_type: Those of one group type; left out, those that all share.
            **parameters: Further query parameters, in Amplitude's spelling.

        Returns:
            ``{"success": true, "data": [...]}``, each a :class:`GroupProperty`.

        Raises:
            NotFoundError: There is no such group type.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: GroupPropertyList = await self._runner.run(list_call(GROUP_PROPERTY, {"group_type": group_type, **parameters}))
        return answer

    async def get(self, group_property: str, *, group_type: str | None = None, **parameters: object) -> GroupPropertyAnswer:
        """Ask for one group property.

        Args:
            group_property: Its name; a custom one is ``grp:name``.
            group_type: As one group type has it; left out, as all share it.
            **parameters: Further query parameters, in Amplitude's spelling.

        Returns:
            ``{"success": true, "data": {...}}``, a :class:`GroupProperty`.

        Raises:
            BadRequestError: There is none.
            NotFoundError: There is no such group type.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        answer: GroupPropertyAnswer = await self._runner.run(
            get_call(GROUP_PROPERTY, group_property, {"group_type": group_type, **parameters})
        )
        return answer

    async def create(  # noqa: PLR0913 - Amplitude's fields
        self,
        group_property: str,
        *,
        group_type: str | None = None,
        description: str | None = None,
        type: PropertyType | None = None,  # noqa: A002 - Amplitude's own name
        regex: str | None = None,
        enum_values: Sequence[str] | str | None = None,
        is_array_type: bool | None = None,
        is_hidden: bool | None = None,
        classifications: Sequence[Classification] | Classification | None = None,
        **fields: object,
    ) -> Done:
        """Put a group property into the plan.

        Args:
            group_property: Its name; a custom one is ``grp:name``, and any other takes nothing beyond ``group_type``.
            group_type: The group type that it is meant for; left out, what all group types share.
            description: What it is about.
            type: ``string``, ``number``, ``boolean``, ``enum`` or ``any``; of an array, what each item is.
            regex: What a text must match; of type ``string`` alone.
            enum_values: What it may be: a list, or text with commas between; of type ``enum`` alone.
            is_array_type: Whether it holds a list.
            is_hidden: Whether charts leave it out; only of one that has come.
            classifications: ``PII``, ``SENSITIVE``, ``REVENUE``; needs Data Access Controls; of what all share alone.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true}``.

        Raises:
            NotFoundError: There is no such group type.
            ResponseError: 409: it exists there already.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        documented = {
            "group_type": group_type,
            "description": description,
            "type": type,
            "regex": regex,
            "enum_values": enum_values,
            "is_array_type": is_array_type,
            "is_hidden": is_hidden,
            "classifications": classifications,
        }
        answer: Done = await self._runner.run(create_call(GROUP_PROPERTY, group_property, {**documented, **fields}))
        return answer

    async def update(  # noqa: PLR0913 - Amplitude's fields
        self,
        group_property: str,
        *,
        group_type: str | None = None,
        override_scope: OverrideScope | None = None,
        new_group_property_value: str | None = None,
        description: str | None = None,
        type: PropertyType | None = None,  # noqa: A002 - Amplitude's own name
        regex: str | None = None,
        enum_values: Sequence[str] | str | None = None,
        is_array_type: bool | None = None,
        is_hidden: bool | None = None,
        classifications: Sequence[Classification] | Classification | None = None,
        **fields: object,
    ) -> Done:
        """Change a group property; what is left out stays as it is, and ``""`` takes a text away.

        Args:
            group_property: Its name; a custom one is ``grp:name``.
            group_type: The group type that it is about: its override if there is one, else what all share; left out, what all share.
            override_scope: ``"override"`` makes one for that type where there is none, ``"shared"`` drops it and changes the rest.
            new_group_property_value: What it is to be called from now on.
            description: What it is about.
            type: ``string``, ``number``, ``boolean``, ``enum`` or ``any``; of an array, what each item is.
            regex: What a text must match; of type ``string`` alone.
            enum_values: What it may be: a list, or text with commas between; of type ``enum`` alone.
            is_array_type: Whether it holds a list.
            is_hidden: Whether charts leave it out; only of one that has come.
            classifications: ``PII``, ``SENSITIVE``, ``REVENUE``; needs Data Access Controls; of what all share alone.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            ``{"success": true}``.

        Raises:
            NotFoundError: There is no such group type.
            ResponseError: 409: it is not in the plan, or it is Amplitude's own.
            AmplitudeError: As at :class:`Taxonomy`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
        """
        documented = {
            "group_type": group_type,
            "override_scope": override_scope,
            "new_group_property_value": new_group_property_value,
            "description": description,
            "type": type,
            "regex": regex,
            "enum_values": enum_values,
            "is_array_type": is_array_type,
            "is_hidden": is_hidden,
            "classifications": classifications,
        }
        answer: Done = await self._runner.run(update_call(GROUP_PROPERTY, group_property, {**documented, **fields}))
        return answer
