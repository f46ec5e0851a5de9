"""``name=text`` and ``name:=json``, as properties are typed on a command line. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from amplitude_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["as_event", "read_pairs"]


def read_pairs(pairs: Iterable[str], *, argument: str) -> dict[str, Any]:
    """Return what ``name=text`` and ``name:=json`` say; a later pair beats an earlier one of its name.

    Raises:
        InvalidArgumentError: One is neither.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":") if is_json else name
        if not equals or not name:
            message = f"{argument}: {pair!r:.60} is neither name=text nor name:=json"
            raise InvalidArgumentError(message, argument=argument)
        if not is_json:
            found[name] = value
            continue
        try:
            found[name] = json.loads(value)
        except (ValueError, RecursionError):
            message = f"{argument}: what follows {name}:= is no JSON; {name}=... takes it as text"
        else:
            continue
        raise InvalidArgumentError(message, argument=argument)
    return found


def as_event(text: str, where: str = "event") -> dict[str, Any]:
    """Return an event's definition: its JSON, or a mapping with its name.

    Args:
        text: ``signup``, or ``{"event_type": "signup", "group_by": [...]}``.
        where: The argument, for the message.

    Raises:
        InvalidArgumentError: It begins as JSON does and is none.
    """
    if not text.lstrip().startswith("{"):
        return {"event_type": text}
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        message = f"{where} begins with {{ and is no JSON; an event is its name, or JSON as of Amplitude's dashboard API"
    else:
        if isinstance(event, dict):
            return event
        message = f"{where} is no JSON object"
    raise InvalidArgumentError(message, argument=where)
