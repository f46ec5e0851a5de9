"""The user's own function that every event passes before it is checked and encoded: it edits it, redacts it, or drops it. Pure.

It is shown the event as it would be sent: Amplitude's spelling, with what it inherits and the client's ids, all in containers of its
own. What it gives back is checked like any event, and nothing is added to it but ``insert_id`` and ``time`` where they are missing. So
what it takes out stays out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from amplitude_async.errors import ConfigurationError, InvalidEventError
from amplitude_async.events import ALIASES, IDENTITY_KEYS, INHERITED, Defaults

__all__ = ["BeforeSend", "Sieve", "check_before_send"]

BeforeSend = Callable[[dict[str, Any]], Mapping[str, Any] | None]
"""Is given an event, gives back what is sent in its place; ``None``: nothing is."""


def check_before_send(function: object) -> BeforeSend | None:
    """Return the function if it is one that can be called here.

    Raises:
        ConfigurationError: It is none, or an async one: events are also handed over where nothing may wait.
    """
    if function is None:
        return None
    if not callable(function) or inspect.iscoroutinefunction(function):
        message = "before_send must be a plain function of one event: putting an event waits for nothing, so it cannot be async."
        raise ConfigurationError(message)
    checked: BeforeSend = function
    return checked


class Sieve:
    """The functions that events pass, one after another, and how many did not pass.

    Args:
        functions: In the order in which they are called.

    Attributes:
        functions: The same.
        dropped: Events and identifications that were dropped.
    """

    def __init__(self, *functions: BeforeSend) -> None:
        self.functions: tuple[BeforeSend, ...] = functions
        self.dropped: int = 0

    def let_through(
        self, item: Mapping[str, Any], path: str, defaults: Defaults, *, inherits: bool = True
    ) -> Mapping[str, Any] | None:
        """Return what is sent in place of an event; ``None`` if nothing is.

        Args:
            item: The event, as the caller gave it; it is not changed.
            path: Where it stands, for errors.
            defaults: The client's ids.
            inherits: Whether it has fields from :func:`amplitude_async.event_context`.

        Raises:
            InvalidEventError: A function raised, or gave back neither a mapping nor ``None``: the event is neither sent as it was nor
                lost in silence.
        """
        inherited = INHERITED.get() if inherits else None
        if inherited is not None:
            from amplitude_async.context import with_inherited  # noqa: PLC0415 - loaded where events inherit something

            item = with_inherited(item, inherited)
        whole: Any = _copied(item, {})
        whole = {ALIASES.get(key, key) if isinstance(key, str) else key: value for key, value in whole.items()}
        for key in IDENTITY_KEYS:
            default = getattr(defaults, key)
            if (whole.get(key) is None or whole[key] == "") and default is not None and default != "":
                whole[key] = default
        for function in self.functions:
            whole = _called(function, whole, path)
            if whole is None:
                self.dropped += 1
                return None
        result: Mapping[str, Any] = whole
        return result


def _called(function: BeforeSend, event: Mapping[str, Any], path: str) -> dict[str, Any] | None:
    argument = path.partition("[")[0]
    try:
        result: object = function(event if isinstance(event, dict) else dict(event))
    except Exception as error:
        message = f"before_send raised {type(error).__name__}, so the event is not sent"
        raise InvalidEventError(message, path=path, argument=argument) from error
    if result is None or isinstance(result, dict):
        return result
    if isinstance(result, Mapping):
        return dict(result)
    if inspect.iscoroutine(result):
        result.close()
    message = f"before_send gave back {type(result).__name__} where an event or None was expected, so the event is not sent"
    raise InvalidEventError(message, path=path, argument=argument)


def _copied(value: object, seen: dict[int, object]) -> object:
    """Return a value in containers of its own, so that editing it changes nothing of the caller's."""
    if id(value) in seen:
        # A cycle stays one; the check that comes later says where it is.
        return seen[id(value)]
    if isinstance(value, Mapping):
        mapping: dict[Any, object] = {}
        seen[id(value)] = mapping
        mapping.update((key, _copied(each, seen)) for key, each in value.items())
        return mapping
    if type(value) is list:
        listed: list[object] = []
        seen[id(value)] = listed
        listed.extend(_copied(each, seen) for each in value)
        return listed
    if type(value) is tuple:
        return tuple(_copied(each, seen) for each in value)
    return value
