"""What ``doctor`` finds, and its judgements of keys, clocks, ids and versions. Pure."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

__all__ = ["Finding", "judge_clock", "judge_id", "judge_key", "judge_version"]

State = Literal["ok", "note", "bad"]

MOST_SKEW: Final = 120.0
"""Seconds that this clock may differ; events are stamped by it."""
SHORTEST_ID: Final = 5
FORBIDDEN: Final = frozenset(
    {
        "anonymous",
        "nil",
        "none",
        "null",
        "n/a",
        "na",
        "undefined",
        "unknown",
        "0",
        "-1",
        "{}",
        "lmy47d",
        "00000000-0000-0000-0000-000000000000",
    }
)
"""Ids that Amplitude takes for none (https://amplitude.com/docs/apis/analytics/http-v2, "Device and user ID")."""
_KEY: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_REQUIREMENT: Final = re.compile(r"(?P<name>[\w.-]+)(?P<bounds>[^;]*)(?:;\s*extra == '(?P<extra>\w+)')?", re.ASCII)
_BOUND: Final = re.compile(r"(>=|<)([\d.]+)", re.ASCII)


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        what: What it was.
        state: ``ok``, ``note`` (worth knowing) or ``bad`` (will not work).
        says: What was found.
        do: What to do about it, or ``""``.
    """

    what: str
    state: State
    says: str
    do: str = ""


def judge_key(name: str, value: str) -> Finding:
    """Say whether a key looks like one, without showing it."""
    what = name.replace("_", " ")
    if _KEY.fullmatch(value) is None:
        return Finding(
            what, "note", f"{len(value)} characters, where Amplitude's have 32 of 0-9 and a-f", "fine for a sandbox; else copy it anew"
        )
    return Finding(what, "ok", "32 characters, as Amplitude's are")


def judge_clock(skew: float) -> Finding:
    """Say whether a clock that is so many seconds fast is right enough."""
    if abs(skew) <= MOST_SKEW:
        return Finding("clock", "ok", f"within {max(1.0, abs(skew)):.0f} s of the server's")
    direction = "fast" if skew > 0 else "slow"
    return Finding("clock", "bad", f"{abs(skew):,.0f} s {direction}: events get a wrong time", "let the system set it (NTP)")


def judge_id(name: str, value: str, shortest: int = SHORTEST_ID) -> Finding:
    """Say whether Amplitude would take an id."""
    if value.strip().lower() in FORBIDDEN or not value.strip():
        return Finding(
            name, "bad", f"{value!r:.60} is one of the values that Amplitude takes for no id", "use ids that tell people apart"
        )
    if len(value) < shortest:
        return Finding(
            name,
            "bad",
            f"{value!r:.60} is shorter than {shortest}, so Amplitude refuses its events",
            "send min_id_length, or longer ids",
        )
    return Finding(name, "ok", f"{value!r:.60} would be accepted")


def judge_version(requirement: str, version: str) -> Finding | None:
    """Say whether a package is of a version that was asked for; ``None`` if it is.

    Args:
        requirement: As in the metadata of a package: ``pyarrow<27,>=19; extra == 'parquet'``.
        version: What is installed.
    """
    read = _REQUIREMENT.match(requirement)
    if read is None:
        return None
    have = _numbers(version)
    wrong = [f"{sign}{bound}" for sign, bound in _BOUND.findall(read["bounds"]) if (have >= _numbers(bound)) is (sign == "<")]
    if not wrong:
        return None
    extra = f"[{read['extra']}]" if read["extra"] else ""
    says = f"{read['name']} {version} is installed, where {', '.join(wrong)} is needed"
    return Finding("version", "bad", says, f"pip install 'amplitude-async{extra}'")


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version, without the zeros at their end, so that 2 and 2.0 are the same."""
    found = re.match(r"[\d.]*", version, re.ASCII)
    numbers = [int(part) for part in (found[0] if found else "").split(".") if part]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
