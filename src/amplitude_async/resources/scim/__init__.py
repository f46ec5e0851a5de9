"""People and groups of the organisation (SCIM 2.0).

Amplitude's page: https://amplitude.com/docs/apis/analytics/scim; the standard: https://datatracker.ietf.org/doc/html/rfc7644
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amplitude_async.errors import UnexpectedResponseError
from amplitude_async.resources.paging import Cursor, Page, Pages
from amplitude_async.resources.parameters import whole_number
from amplitude_async.resources.scim.calls import (
    GROUPS,
    MOST_PER_PAGE,
    USERS,
    Members,
    add,
    condition,
    create_group_call,
    create_user_call,
    delete_group_call,
    delete_user_call,
    get_group_call,
    get_user_call,
    list_call,
    remove,
    replace_user_call,
    update_group_call,
    update_user_call,
)
from amplitude_async.resources.scim.shapes import Email, Group, Member, Meta, Name, Operation, Operator, User

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from amplitude_async.resources.runner import Runner

__all__ = [
    "Email",
    "Group",
    "Groups",
    "Member",
    "Members",
    "Meta",
    "Name",
    "Operation",
    "Operator",
    "Scim",
    "User",
    "Users",
    "add",
    "condition",
    "remove",
]


def _pages(runner: Runner, path: str, parameters: Mapping[str, object], start_index: object, size: int | None) -> Pages[Any]:
    first = whole_number(start_index, argument="start_index", least=1)
    # Whatever cannot be asked for is refused now, not when the first item is wanted.
    list_call(path, parameters)
    last_seen: list[Any] = []

    async def fetch(cursor: Cursor | None) -> Page[Any]:
        begin = first if cursor is None else int(cursor)
        position: dict[str, object] = {} if size is None and begin == 1 else {"startIndex": begin}
        if size is not None:
            position["itemsPerPage"] = size
        answer = await runner.run(list_call(path, {**position, **parameters}))
        items, total = answer["Resources"], answer.get("totalResults")
        if begin > first and items and items == last_seen:
            message = f"Amplitude answered with the same page twice, although the one from {begin} on was asked for"
            raise UnexpectedResponseError(message, status=200, data=answer, outcome="unknown")
        last_seen[:] = items
        following = begin + len(items)
        is_more = following <= total if isinstance(total, int) else len(items) >= (size or MOST_PER_PAGE)
        return Page(items, following if items and is_more else None)

    return Pages(fetch, first)


class Users:
    """The people of the organisation: those who joined, and those who were invited."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def list(
        self,
        *,
        filter: str | None = None,  # noqa: A002 - Amplitude's own name
        start_index: int = 1,
        items_per_page: int = MOST_PER_PAGE,
        **parameters: object,
    ) -> Pages[User]:
        """Return the people, page after page, as they are wanted.

        Args:
            filter: A condition in the standard's language, such as ``userName eq "kari@example.org"`` (:func:`condition` writes one).
                Which attributes Amplitude knows there it does not say.
            start_index: Where to begin, from 1; the iterator's ``cursor`` says where another one would go on.
            items_per_page: How many to ask for at once, 1 to 100.
            **parameters: Further query parameters, in Amplitude's spelling.

        Returns:
            An async iterator of :class:`User`; ``.pages()`` gives them page by page. Each page is a request.

        Raises:
            InvalidArgumentError: A bound is none; nothing was sent.
            UnexpectedResponseError: While iterating: Amplitude gave the same page twice.
            AmplitudeError: While iterating; as at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        size = whole_number(items_per_page, argument="items_per_page", least=1, most=MOST_PER_PAGE)
        return _pages(self._runner, USERS, {"filter": filter, **parameters}, start_index, size)

    async def get(self, email: str) -> User:
        """Ask for one person.

        Args:
            email: The e-mail address, in capitals or not.

        Returns:
            A :class:`User`, with ``groups``.

        Raises:
            NotFoundError: There is none.
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        answer: User = await self._runner.run(get_user_call(email))
        return answer

    async def create(
        self,
        email: str,
        *,
        given_name: str | None = None,
        family_name: str | None = None,
        active: bool | None = None,
        **fields: object,
    ) -> User:
        """Invite somebody: Amplitude sends a mail.

        Args:
            email: The e-mail address, which cannot be changed later.
            given_name: The given name.
            family_name: The family name.
            active: True, and that is the default.
            **fields: Further fields, in Amplitude's spelling. ``groups`` is ignored by Amplitude; groups are changed by themselves.

        Returns:
            What was sent, as Amplitude gives it back.

        Raises:
            ResponseError: 409: there is such a person, or an invitation.
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        answer: User = await self._runner.run(create_user_call(email, given_name, family_name, {"active": active, **fields}))
        return answer

    async def replace(self, email: str, *, given_name: str, family_name: str, active: bool = True, **fields: object) -> User:
        """Say anew what is known of a person (PUT).

        Args:
            email: The e-mail address.
            given_name: The given name.
            family_name: The family name.
            active: ``False`` takes the person out of the organisation, or the invitation back.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            What was sent, as Amplitude gives it back.

        Raises:
            NotFoundError: There is none.
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        answer: User = await self._runner.run(replace_user_call(email, given_name, family_name, {"active": active, **fields}))
        return answer

    async def update(
        self,
        email: str,
        *,
        given_name: str | None = None,
        family_name: str | None = None,
        active: bool | None = None,
        **fields: object,
    ) -> User:
        """Change what is known of a person (PATCH); what is left out stays as it is.

        Amplitude does not say which of the standard's forms it reads here. What is sent is a person with the given fields alone, since
        Amplitude says that it gives back what was sent.

        Args:
            email: The e-mail address.
            given_name: The given name.
            family_name: The family name.
            active: ``False`` takes the person out of the organisation, or the invitation back.
            **fields: Further fields, in Amplitude's spelling; ``schemas`` and ``Operations`` make a PATCH of the standard's other
                form.

        Returns:
            What was sent, as Amplitude gives it back.

        Raises:
            NotFoundError: There is none.
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        answer: User = await self._runner.run(update_user_call(email, given_name, family_name, {"active": active, **fields}))
        return answer

    async def delete(self, email: str) -> None:
        """Take somebody out of the organisation, or an invitation back.

        Args:
            email: The e-mail address.

        Raises:
            NotFoundError: There is none.
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        await self._runner.run(delete_user_call(email))


class Groups:
    """Permission groups and their members."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def list(self, *, start_index: int = 1, **parameters: object) -> Pages[Group]:
        """Return the active groups, page after page, as they are wanted.

        Amplitude does not say how groups are paged, only that its answer counts them; so the first page is asked for without
        parameters, and the next ones, if there are any, as those of people are.

        Args:
            start_index: Where to begin, from 1.
            **parameters: Query parameters, in Amplitude's spelling.

        Returns:
            An async iterator of :class:`Group`; ``.pages()`` gives them page by page. Each page is a request.

        Raises:
            InvalidArgumentError: A bound is none; nothing was sent.
            UnexpectedResponseError: While iterating: Amplitude gave the same page twice.
            AmplitudeError: While iterating; as at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        return _pages(self._runner, GROUPS, parameters, start_index, None)

    async def get(self, group_id: int | str) -> Group:
        """Ask for one group.

        Args:
            group_id: Its id, a number, also as text.

        Returns:
            A :class:`Group`.

        Raises:
            NotFoundError: There is none.
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        answer: Group = await self._runner.run(get_group_call(group_id))
        return answer

    async def create(self, display_name: str, *, members: Members = (), **fields: object) -> Group:
        """Create a group.

        Args:
            display_name: Its name.
            members: The e-mail addresses of those who are in it. Who is not in the organisation is invited, with the least
                permissions.
            **fields: Further fields, in Amplitude's spelling.

        Returns:
            The :class:`Group`. Members who were invited by this are displayed as ``undefined undefined``.

        Raises:
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        answer: Group = await self._runner.run(create_group_call(display_name, members, fields))
        return answer

    async def update(self, group_id: int | str, operations: Sequence[Operation] | Operation) -> Group:
        """Change a group by operations, in their order.

        Args:
            group_id: Its id.
            operations: One or several; :func:`add` and :func:`remove` make the two that Amplitude documents.

        Returns:
            The :class:`Group` as it is now.

        Raises:
            InvalidArgumentError: There are none, or one would take everybody out; nothing was sent.
            NotFoundError: There is no such group.
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        answer: Group = await self._runner.run(update_group_call(group_id, operations))
        return answer

    async def add_members(self, group_id: int | str, members: Members) -> Group:
        """Add members; those who are in the group already stay, and who is not in the organisation is invited.

        Args:
            group_id: The group's id.
            members: Their e-mail addresses, at least one.

        Returns:
            The :class:`Group` as it is now.

        Raises:
            NotFoundError: There is no such group.
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        return await self.update(group_id, [add(members)])

    async def remove_members(self, group_id: int | str, members: Members) -> Group:
        """Take members out of a group; they stay in the organisation.

        Args:
            group_id: The group's id.
            members: Their e-mail addresses, at least one.

        Returns:
            The :class:`Group` as it is now.

        Raises:
            NotFoundError: There is no such group.
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        return await self.update(group_id, [remove(members)])

    async def delete(self, group_id: int | str) -> None:
        """Delete a group; its members stay in the organisation.

        Args:
            group_id: Its id.

        Raises:
            NotFoundError: There is no such group.
            AmplitudeError: As at :class:`Scim`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
        """
        await self._runner.run(delete_group_call(group_id))


class Scim:
    """People and groups of the organisation that the SCIM key belongs to.

    It needs ``scim_token``; a new key makes the old one invalid at once. Amplitude takes 100 requests a minute for an organisation;
    that is kept here before Amplitude enforces it.

    Every call raises, beyond what its own documentation says:

    - ``InvalidArgumentError``: something is blank, no e-mail address, no number; nothing was sent.
    - ``AuthenticationError``: the key is wrong, or of another region.
    - ``BadRequestError``: Amplitude refuses a field or a filter.
    - ``RateLimitedError``, ``ServerError``, ``TransportError``: as everywhere; creations are not repeated. Additions to a group and
      removals from it are: they name what is to be.

    Amplitude's page: https://amplitude.com/docs/apis/analytics/scim
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @property
    def users(self) -> Users:
        """The people of the organisation."""
        return Users(self._runner)

    @property
    def groups(self) -> Groups:
        """Permission groups."""
        return Groups(self._runner)
