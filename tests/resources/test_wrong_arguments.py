"""Whatever is passed to whichever argument, only the library's own errors come out."""

from __future__ import annotations

import inspect
import sys
import uuid
import warnings
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from amplitude_async.errors import AmplitudeError

sys.path.insert(0, str(Path(__file__).parent))
from runners import methods, run


class Untold:
    """Has no text form."""

    def __repr__(self) -> str:
        raise RuntimeError


class Word(str):
    """Says something else of itself than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError


class Choice(Enum):
    A = "a"
    B = 3


JUNK: list[Any] = [
    *(None, "", " ", "a", "\x00", "\ud800", "*", "{", "[]", "null", "20260101", "99999999", "2026-13-01", "x" * 100_000),
    *(0, -1, 1, True, 10**400, 1e308, float("nan"), float("inf"), Decimal("NaN"), b"x", range(3), object(), Untold(), Word("zz")),
    *([], [None], ["a"], [[]], ["x"] * 3, [object()], [Untold()], [{"a": object()}], [{"prop": Untold()}], (), set(), {"a"}),
    *({}, {"a": 1}, {"a": {1: 2}}, {"event_type": object()}, Choice.A, Choice.B, uuid.UUID(int=1), print),
    *(date(2026, 1, 1), datetime(2026, 1, 1), datetime.max, datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
]

GOOD: dict[str, Any] = {
    "start": "20260101",
    "end": "20260102",
    "e": {"event_type": "a"},
    "se": {"event_type": "a"},
    "re": {"event_type": "a"},
    "start_date": "2026-01-01",
    "end_date": "2026-01-02",
    "start_day": "2026-01-01",
    "end_day": "2026-01-02",
    "day": "2026-01-01",
    "app_id": 1,
    "id_type": "BY_USER_ID",
    "owner": "a@b",
    "published": True,
    "ids": ["abc"],
    "user_ids": ["abc"],
    "memberships": [{"ids": ["a"], "id_type": "BY_NAME", "operation": "ADD"}],
    "query": "funnels",
    "replay_id": "a/b",
    "title": "t",
    "release_start": "2026-01-01 00:00:00",
    "email": "a@b",
    "given_name": "a",
    "family_name": "b",
    "operations": [{"op": "add", "path": "members", "value": [{"value": "a@b"}]}],
    "file": "k,b\n1,2\n",
    "key": "k",
    "property": {"value": "a", "type": "event"},
    "project_id": 1,
    "holdout_percentage": 5,
    "slots": [100],
    "type": "client",
    "request_id": 1,
    "annotation_ids": [1],
    "category_id": 1,
    "amplitude_id": 1,
    "group_id": 1,
    "configs": [],
    "user": {},
}


def test_the_walk_finds_every_namespace() -> None:
    """It sees what there is: more than a hundred and fifty methods, nested ones too."""
    found = methods()
    assert len(found) >= 160
    assert {"cohorts.download", "privacy.dsar.request", "experiment.flags.update", "annotations.categories.assign"} <= found.keys()


def used(value: Any) -> None:
    """Use what a method gives until it asks for an answer."""
    if inspect.iscoroutine(value):
        value = run(value)
    if hasattr(value, "__anext__"):
        run(value.__anext__())


@pytest.mark.parametrize("name", methods())
def test_only_errors_of_the_library_come_out(name: str) -> None:
    """No junk in any argument, further fields included, is a TypeError or the like; every refusal has a text."""
    method = methods()[name]
    parameters = inspect.signature(method).parameters.values()
    refusals: list[str] = []
    for wrong in parameters:
        for junk in JUNK:
            positional: list[Any] = []
            named: dict[str, Any] = {}
            for each in parameters:
                value = junk if each is wrong else GOOD.get(each.name, "abc") if each.default is each.empty else each.default
                if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}:
                    positional.append(value)
                elif each.kind is each.KEYWORD_ONLY:
                    named[each.name] = value
                elif each is wrong and each.kind is each.VAR_POSITIONAL:
                    positional.append(value)
                elif each is wrong and name != "experiment.variant":
                    named["further"] = value
            with warnings.catch_warnings(action="ignore"):
                try:
                    used(method(*positional, **named))
                except AmplitudeError as error:
                    refusals.append(str(error))
                except StopAsyncIteration:
                    pass
    assert all(refusals)
