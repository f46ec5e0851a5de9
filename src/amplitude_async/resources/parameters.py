"""From what a caller passes to what Amplitude reads: spelling, text, JSON bodies, and what is refused on the way.

Keywords are Amplitude's own names. Those that Amplitude spells in camelCase are accepted in snake_case too, by one table
(:data:`ALIASES`) and one function (:func:`spelled`), for each API apart: ``user_id`` is ``userId`` to one and ``user_id`` to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Final, TypeGuard

from amplitude_async._protocol.bodies import json_content
from amplitude_async._protocol.codec import UnencodableError, decode, encode_text
from amplitude_async._protocol.dates import dashboard_date
from amplitude_async.errors import InvalidArgumentError
from amplitude_async.options import UNSET

if TYPE_CHECKING:
    from amplitude_async._protocol.bodies import Content

__all__ = [
    "ALIASES",
    "form_pairs",
    "given",
    "id_list",
    "json_body",
    "one_of",
    "query_pairs",
    "query_value",
    "refused",
    "repeated",
    "required_text",
    "spelled",
    "texts",
    "truth",
    "whole_number",
]

ALIASES: Final[Mapping[str, Mapping[str, str]]] = {
    "dashboard": {
        "rolling_window": "rollingWindow",
        "rolling_average": "rollingAverage",
        "time_histogram_config_bin_time_unit": "timeHistogramConfigBinTimeUnit",
        "time_histogram_config_bin_min": "timeHistogramConfigBinMin",
        "time_histogram_config_bin_max": "timeHistogramConfigBinMax",
        "time_histogram_config_bin_size": "timeHistogramConfigBinSize",
    },
    "cohorts": {"include_sync_info": "includeSyncInfo", "prop_keys": "propKeys"},
    "taxonomy": {"override_scope": "overrideScope", "show_deleted": "showDeleted"},
    "scim": {"start_index": "startIndex", "items_per_page": "itemsPerPage", "display_name": "displayName", "user_name": "userName"},
    "lookup_tables": {"group_type": "groupType"},
    "dsar": {"user_id": "userId", "amplitude_id": "amplitudeId", "start_date": "startDate", "end_date": "endDate"},
    "management": {
        "project_id": "projectId",
        "include_archived": "includeArchived",
        "bucketing_key": "bucketingKey",
        "bucketing_salt": "bucketingSalt",
        "bucketing_unit": "bucketingUnit",
        "evaluation_mode": "evaluationMode",
        "experiment_type": "experimentType",
        "target_segments": "targetSegments",
        "rollout_percentage": "rolloutPercentage",
        "rollout_weight": "rolloutWeight",
        "rollout_weights": "rolloutWeights",
        "rolled_out_variant": "rolledOutVariant",
        "sticky_bucketing": "stickyBucketing",
        "start_date": "startDate",
        "end_date": "endDate",
        "exposure_event": "exposureEvent",
        "decision_reason": "decisionReason",
        "holdout_percentage": "holdoutPercentage",
        "individual_inclusion": "individualInclusion",
        "individual_exclusion": "individualExclusion",
    },
}
"""By API, keywords that Amplitude spells in camelCase, by the snake_case that is accepted for them."""


_WILD: Final = "*%?. "
"""What wildcards are made of."""


def refused(*, argument: str, reason: str) -> InvalidArgumentError:
    """Build the refusal of an argument, with its name first."""
    return InvalidArgumentError(f"{argument} {reason}", argument=argument)


def spelled(api: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """Return keywords in Amplitude's spelling and the caller's order; of two spellings of one the later wins."""
    aliases = ALIASES.get(api, {})
    return {aliases.get(name, name): value for name, value in parameters.items()}


def given(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return what was given: neither ``None`` nor left out."""
    return {name: value for name, value in parameters.items() if value is not None and value is not UNSET}


def query_value(value: object, *, argument: str) -> str | None:
    """Return a query parameter as the text that goes out, ``None`` if it is left out.

    Mappings and lists go out as JSON, dates as ``YYYYMMDD``, booleans as ``true`` and ``false``.

    Raises:
        InvalidArgumentError: The value has no such text.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return dashboard_date(value, argument=argument)
    if isinstance(value, float):
        if not isfinite(value):
            message = f"{argument} must be a finite number"
            raise InvalidArgumentError(message, argument=argument)
        return _number_text(float(value))
    try:
        if isinstance(value, (Mapping, Sequence, set, frozenset)) and not isinstance(value, str):
            return encode_text(value)
        if isinstance(value, (str, int, Decimal)) and not isinstance(value, Enum):
            # An int goes the way of events: str() refuses those of more than 4,300 digits.
            text = value if isinstance(value, str) else encode_text(value) if isinstance(value, int) else str(value)
            text.encode()
            # A subclass may say something else of itself than it is.
            return str.__str__(text)
        # An enum, a UUID, a dataclass: whatever JSON it has, without the quotes of a text.
        encoded = encode_text(value)
        plain = decode(encoded.encode())
    except UnencodableError as refusal:
        message = f"{refusal.where(argument)}: {refusal.reason}"
    except UnicodeEncodeError:
        message = f"{argument} holds a lone surrogate, which is not valid text"
    else:
        return plain if isinstance(plain, str) else encoded
    raise InvalidArgumentError(message, argument=argument)


def _number_text(value: float) -> str:
    """Return a number as JavaScript writes it, and with it the original: ``7`` for 7.0, ``0.00001``, ``1e-7``, ``1e+21``."""
    digits = repr(value)
    if not value or 1e-6 <= abs(value) < 1e21:  # noqa: PLR2004 - from here on to there without an exponent
        return format(Decimal(digits), "f").removesuffix(".0") if value else "0"
    mantissa, _, exponent = digits.partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+}"


def query_pairs(api: str, parameters: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return a query in the caller's order, aliases applied, absent ones left out."""
    texts = ((name, query_value(value, argument=name)) for name, value in given(spelled(api, parameters)).items())
    return tuple((name, text) for name, text in texts if text is not None)


def repeated(name: str, values: object) -> tuple[tuple[str, str], ...]:
    """Return a query parameter that is repeated for each value; text is one value.

    Raises:
        InvalidArgumentError: A value has no text form.
    """
    if values is None or values is UNSET:
        return ()
    several = values if isinstance(values, Iterable) and not isinstance(values, (str, bytes, bytearray, Mapping)) else (values,)
    texts = (query_value(value, argument=name) for value in several)
    return tuple((name, text) for text in texts if text is not None)


def form_pairs(api: str, parameters: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return the fields of a form, aliases applied, absent ones left out; lists go out as text with commas.

    Raises:
        InvalidArgumentError: A value has no text form, or an item of a list has a comma in it.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in given(spelled(api, parameters)).items():
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray, Mapping)):
            items = [query_value(item, argument=name) or "" for item in value]
            if any("," in item for item in items):
                raise refused(argument=name, reason="is sent as a list with commas between, so no item may hold one")
            pairs.append((name, ",".join(items)))
        else:
            text = query_value(value, argument=name)
            if text is not None:
                pairs.append((name, text))
    return tuple(pairs)


def json_body(value: object, *, argument: str = "") -> Content:
    """Return a JSON body; dates go out in ISO 8601.

    Args:
        value: What is in it.
        argument: What the caller calls it, for errors; left out where the value's own keys are the arguments.

    Raises:
        InvalidArgumentError: A value in it has no JSON form; names the place.
    """
    try:
        return json_content(value)
    except UnencodableError as refusal:
        where = refusal.where(argument).lstrip(".")
        message, name = f"{where}: {refusal.reason}", argument or where.partition(".")[0].partition("[")[0]
    raise InvalidArgumentError(message, argument=name)


def required_text(value: object, *, argument: str, what: str) -> str:
    """Return an id or name as text, refused when it is blank (zero and false are blank, as in the original).

    Raises:
        InvalidArgumentError: It is blank, or has no text form.
    """
    text = query_value(value, argument=argument) if value else None
    if text is None or not text.strip():
        message = f"{argument} is blank; give {what}"
        raise InvalidArgumentError(message, argument=argument)
    return text


def id_list(values: object, *, argument: str, most: int | None = None) -> list[str]:
    """Return a list of ids as text; one id counts as a list of one.

    Raises:
        InvalidArgumentError: There are none, too many, or one is blank or ``*``-like: such a thing is never what was meant.
    """
    is_one = not isinstance(values, Iterable) or isinstance(values, (str, bytes, bytearray, Mapping))
    several: list[object] = [values] if is_one else list(values)  # type: ignore[call-overload]  # an iterable, as was just seen
    if not several:
        raise refused(argument=argument, reason="is empty; give at least one id")
    if most is not None and len(several) > most:
        raise refused(argument=argument, reason=f"holds {len(several):,} ids; Amplitude takes {most:,} in one request")
    if _are_plain_ids(several):
        return several
    ids = [required_text(value, argument=f"{argument}[{index}]", what="an id") for index, value in enumerate(several)]
    for index, text in enumerate(ids):
        if not text.strip(_WILD):
            raise refused(argument=f"{argument}[{index}]", reason=f"is {text!r:.20}, which looks like a wildcard; give an id")
    return ids


def _are_plain_ids(values: list[object]) -> TypeGuard[list[str]]:
    """Whether these are texts and none needs a second look: a cohort may have 100,000."""
    if not all(type(value) is str and value.strip(_WILD) and value.strip() for value in values):
        return False
    try:
        "".join(values).encode()  # type: ignore[arg-type]  # texts, as was just seen
    except UnicodeEncodeError:
        return False
    return True


def texts(values: object, *, argument: str) -> list[object]:
    """Return the items of a list; one text counts as a list of one.

    Raises:
        InvalidArgumentError: It is neither.
    """
    if isinstance(values, str):
        return [values]
    if isinstance(values, Iterable) and not isinstance(values, (bytes, bytearray, Mapping)):
        return list(values)
    raise refused(argument=argument, reason="must be a text or a list of texts")


def one_of(value: object, choices: Sequence[str | int], *, argument: str) -> str | int:
    """Return a value that is one of a few.

    Raises:
        InvalidArgumentError: It is none of them.
    """
    if isinstance(value, (str, int)) and not isinstance(value, bool) and value in choices:
        return value
    raise refused(argument=argument, reason=f"must be {' or '.join(map(repr, choices))}")


def truth(value: object, *, argument: str) -> bool | None:
    """Return whether something is to be, ``None`` if that was left out.

    Raises:
        InvalidArgumentError: It is neither true nor false.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value in {0, 1}:
        return bool(value)
    raise refused(argument=argument, reason="must be True or False")


def _is_count(value: object) -> bool:
    """Whether a value is a whole number from 0, as a number or as its digits."""
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return value.isascii() and value.isdigit()
    return isinstance(value, (int, float)) and value >= 0 and value % 1 == 0


def whole_number(value: object, *, argument: str, least: int = 0, most: int | None = None) -> int:
    """Return a whole number, given as one or as its digits.

    Raises:
        InvalidArgumentError: It is none, or outside its bounds.
    """
    if _is_count(value):
        number = int(value)  # type: ignore[call-overload]  # a number or digits, as was just seen
        if number >= least and (most is None or number <= most):
            return int(number)
    bounds = f"from {least}" if most is None else f"from {least} to {most}"
    message = f"{argument} must be a whole number {bounds}"
    raise InvalidArgumentError(message, argument=argument)
