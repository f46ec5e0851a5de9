"""What every event of a request, a job or a test inherits: fields that are set once and go with each event tracked meanwhile.

A contextvar, so each task has its own, and tasks that are started inherit it. What an event says itself wins; then this; then the
client's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.errors import InvalidEventError, shown
from amplitude_async.events import ALIASES, INHERITED

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["event_context", "with_inherited"]

_MERGED: Final = ("event_properties", "user_properties", "groups")
"""Mappings that are put together key by key; every other field is taken whole."""


@contextmanager
def event_context(**fields: Any) -> Iterator[None]:  # noqa: ANN401 - the fields of an event
    """Give fields to every event that is tracked or put within the block, by this task and by those started in it.

    ``with event_context(user_id="user-1", event_properties={"job": "nightly"}): ...``. Blocks within one another add up; the inner one
    wins. ``event_properties``, ``user_properties`` and ``groups`` are put together key by key. Identifications inherit nothing.

    Args:
        **fields: Fields of an event, in Amplitude's spelling; ``None`` takes an outer block's field away.

    Raises:
        InvalidEventError: A field that is a mapping in every event is none here, or it is one that belongs to a single event.
    """
    for name in _MERGED:
        if fields.get(name) is not None and not isinstance(fields[name], Mapping):
            message = f"must be a mapping, not {shown(fields[name])}"
            raise InvalidEventError(message, path=name, argument=name)
    for name in ("insert_id", "event_type"):
        if name in fields:
            message = "belongs to a single event; give it there"
            raise InvalidEventError(message, path=name, argument=name)
    token = INHERITED.set(_together(INHERITED.get() or {}, fields))
    try:
        yield
    finally:
        INHERITED.reset(token)


def _together(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    together = dict(outer)
    for name, value in inner.items():
        if value is None:
            together.pop(name, None)
        elif name in _MERGED and isinstance(together.get(name), Mapping):
            together[name] = {**together[name], **value}
        else:
            together[name] = value
    return together


def with_inherited(event: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with the fields it inherits; the event's own win, and the caller's objects are not changed.

    Args:
        event: The caller's event, in Amplitude's spelling or the original's.
        fields: What is inherited.
    """
    together = dict(fields)
    for key, value in event.items():
        name = ALIASES.get(key, key) if isinstance(key, str) else key
        if (value is None or value == "") and name in together:
            continue
        if name in _MERGED and isinstance(value, Mapping) and name in together:
            together[name] = {**together[name], **value}
        else:
            together[name] = value
    return together
