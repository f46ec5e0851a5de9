"""Events and segments as callers give them, as the texts that go out, and what each weighs in the cost of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from amplitude_async._protocol.codec import MalformedError, decode
from amplitude_async.errors import InvalidArgumentError
from amplitude_async.resources.parameters import query_value

__all__ = ["Definition", "EventDefinition", "SegmentDefinition", "event_definition", "event_definitions", "segment_definitions"]

EventDefinition = Mapping[str, Any] | str
"""An event: an :class:`~amplitude_async.Event`, a mapping such as ``{"event_type": "signup"}``, or the JSON text of one."""

SegmentDefinition = Sequence[Mapping[str, Any]] | Mapping[str, Any] | str
"""A segment: a :class:`~amplitude_async.Segment`, a list of conditions, one condition, or the JSON text of either."""


class Definition(NamedTuple):
    """A definition as it goes out.

    Attributes:
        text: Its JSON.
        weight: What it adds to the cost of a query: group-bys of an event, conditions of a segment.
    """

    text: str
    weight: int


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))


def _parsed(value: object) -> object:
    """Return what a JSON text says; ``None`` if it is no JSON."""
    if not isinstance(value, str):
        return value
    try:
        return decode(value.encode())
    except (MalformedError, UnicodeEncodeError):
        return None


def _text(value: object, argument: str) -> str:
    # A sequence of any kind goes out as a list; the encoder knows lists and tuples alone.
    text = query_value(list(value) if isinstance(value, Sequence) else value, argument=argument)
    return text or "{}"


def _not_an_event(*, argument: str) -> InvalidArgumentError:
    message = (
        f"{argument} must be one event definition: Event('signup'), a mapping such as {{'event_type': 'signup'}}, or its JSON text"
    )
    return InvalidArgumentError(message, argument=argument)


def _event(value: object, argument: str) -> Definition | None:
    mapping = _parsed(value)
    if not isinstance(mapping, Mapping):
        return None
    groups = mapping.get("group_by")
    weight = len(groups) if isinstance(groups, Sequence) and not isinstance(groups, str) else int(isinstance(groups, Mapping))
    # A caller's own text goes out as it is.
    return Definition(value if isinstance(value, str) else _text(mapping, argument), weight)


def event_definition(value: object, *, argument: str) -> Definition:
    """Return one event definition.

    Raises:
        InvalidArgumentError: It is neither a mapping nor the JSON text of one (a list of one is unwrapped).
    """
    definition = _event(value, argument)
    if definition is None:
        several = _parsed(value)
        if isinstance(several, Sequence) and _is_list(several) and len(several) == 1:
            definition = _event(several[0], argument)
    if definition is None:
        raise _not_an_event(argument=argument)
    return definition


def event_definitions(value: object, *, argument: str) -> list[Definition]:
    """Return several event definitions, in their order; one of them counts as a list of one.

    Raises:
        InvalidArgumentError: There is none, or one is no event definition; names its place.
    """
    definition = _event(value, argument)
    if definition is not None:
        return [definition]
    several = _parsed(value)
    if not isinstance(several, Sequence) or not _is_list(several) or not several:
        message = f"{argument} must be event definitions, one a step, such as [Event('signup'), Event('order_placed')]"
        raise InvalidArgumentError(message, argument=argument)
    found: list[Definition] = []
    for index, each in enumerate(several):
        definition = _event(each, argument)
        if definition is None:
            raise _not_an_event(argument=f"{argument}[{index}]")
        found.append(definition)
    return found


def _segment(value: object, argument: str) -> Definition | None:
    """Return one segment, ``None`` if it is none."""
    conditions = _parsed(value)
    if isinstance(conditions, Mapping):
        return Definition(_text([conditions], argument), 1)
    if not isinstance(conditions, Sequence) or not _is_list(conditions):
        return None
    if not all(isinstance(each, Mapping) for each in conditions):
        return None
    return Definition(value if isinstance(value, str) else _text(conditions, argument), len(conditions))


def segment_definitions(value: object, *, argument: str = "s") -> list[Definition]:
    """Return the segments of a query: none, one, or several that are compared.

    A list of conditions is one segment; a list of such lists, or of :class:`~amplitude_async.Segment` values, is several.

    Raises:
        InvalidArgumentError: It is neither; names the place.
    """
    if value is None:
        return []
    one = _segment(value, argument)
    if one is not None:
        # Without conditions it is everybody, which is what a query is about anyway.
        return [one] if one.weight else []
    several = _parsed(value)
    if not isinstance(several, Sequence) or not _is_list(several):
        raise _not_a_segment(argument=argument)
    found: list[Definition] = []
    for index, each in enumerate(several):
        # A condition among segments may be meant as either.
        segment = None if isinstance(each, Mapping) else _segment(each, f"{argument}[{index}]")
        if segment is None:
            raise _not_a_segment(argument=f"{argument}[{index}]")
        found.append(segment)
    return found


def _not_a_segment(*, argument: str) -> InvalidArgumentError:
    message = (
        f"{argument} must be a segment: Segment().where('country', 'is', 'Norway'), a list of conditions such as "
        "[{'prop': 'country', 'op': 'is', 'values': ['Norway']}], or its JSON text; several are a list of them"
    )
    return InvalidArgumentError(message, argument=argument)
