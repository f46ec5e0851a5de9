"""The two calls of evaluation, as data.

Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-evaluation-api
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from amplitude_async._protocol.call import Call, read_json_list, read_json_object
from amplitude_async._protocol.codec import MalformedError
from amplitude_async.errors import InvalidArgumentError
from amplitude_async.resources.parameters import given, query_value, refused, required_text, texts

__all__ = ["configs_call", "variants_call"]

_UNTRACKED: Final = (("X-Amp-Exp-Track", "no-track"),)


def _keys(flag_keys: Iterable[str] | str | None) -> tuple[tuple[str, str], ...]:
    if flag_keys is None:
        return ()
    several = texts(flag_keys, argument="flag_keys")
    if not several:
        raise refused(argument="flag_keys", reason="is empty, which Amplitude reads as all flags; leave it out if that is meant")
    keys = [required_text(key, argument=f"flag_keys[{index}]", what="the key of a flag") for index, key in enumerate(several)]
    if any("," in key for key in keys):
        raise refused(argument="flag_keys", reason="is sent as a list with commas between, so no key may hold one")
    return (("flag_keys", ",".join(keys)),)


def _read_variants(body: bytes) -> dict[str, Any]:
    """Read variants by the key of their flag.

    Raises:
        MalformedError: It is something else.
    """
    answer = read_json_object(body)
    if not all(isinstance(variant, dict) for variant in answer.values()):
        message = "a variant in it is no object"
        raise MalformedError(message)
    return answer


def _read_configs(body: bytes) -> list[Any]:
    """Read the rules of flags.

    Raises:
        MalformedError: It is something else.
    """
    answer = read_json_list(body)
    if not all(isinstance(config, dict) and isinstance(config.get("key"), str) for config in answer):
        message = "a flag in it has no key"
        raise MalformedError(message)
    return answer


def variants_call(
    user_id: object,
    device_id: object,
    *,
    context: Mapping[str, object] | None,
    fields: Mapping[str, object],
    flag_keys: Iterable[str] | str | None,
    track: bool,
) -> Call:
    """Describe a remote evaluation.

    It records an event, yet may be repeated, as Amplitude's own SDKs do: the answer is the same, and so is the assignment.

    Args:
        user_id: The user's id; ``None`` and ``""`` are none.
        device_id: The device's id.
        context: A user object.
        fields: Further keys of it, which win; ``None`` is left out.
        flag_keys: Only these flags.
        track: Whether it is recorded.
    """
    if context is not None and not isinstance(context, Mapping):
        raise refused(argument="context", reason="must be a mapping: a user object")
    # Of an id that is given twice, the explicit one counts; nothing says which one Amplitude would take.
    ids = {"user_id": user_id or None, "device_id": device_id or None}
    whole = {name: value for name, value in {**(context or {}), **given(fields)}.items() if ids.get(name) is None}
    pairs: list[tuple[str, str]] = []
    for name, value in ids.items():
        text = query_value(value, argument=name)
        if text is not None and text.strip():
            pairs.append((name, text))
    if not pairs and not any(whole.get(name) for name in ids):
        message = "user_id and device_id are both blank; give one of them"
        raise InvalidArgumentError(message, argument="user_id")
    pairs += _keys(flag_keys)
    if whole:
        pairs.append(("context", query_value(whole, argument="context") or ""))
    return Call(
        api="evaluation",
        kind="query",
        method="GET",
        path="/v1/vardata",
        credential="deployment",
        reads=_read_variants,
        repeatable=True,
        query=tuple(pairs),
        headers=() if track else _UNTRACKED,
    )


def configs_call(flag_keys: Iterable[str] | str | None) -> Call:
    """Describe a question for the rules of flags."""
    return Call(
        api="evaluation",
        kind="query",
        method="GET",
        path="/v1/flags",
        credential="deployment",
        reads=_read_configs,
        repeatable=True,
        query=_keys(flag_keys),
    )
