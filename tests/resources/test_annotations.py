"""Notes and releases as data: what is sent, what is refused before, what is read."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import InvalidArgumentError
from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.codec import MalformedError
from amplitude_async.resources import releases
from amplitude_async.resources.annotations import calls

START = "2026-02-01T07:00:00+00:00"


def sent(call: Any) -> Any:
    return json.loads(call.body.render(""))


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        (START, START),
        ("2026-02-01T07:00+01:00", "2026-02-01T07:00+01:00"),
        (datetime(2026, 2, 1, 7, tzinfo=UTC), START),
        (datetime(2026, 2, 1, 7), START),
        (date(2026, 2, 1), "2026-02-01T00:00:00+00:00"),
        (datetime(2026, 2, 1, 8, tzinfo=timezone(timedelta(hours=1))), "2026-02-01T08:00:00+01:00"),
    ],
    ids=str,
)
def test_moments_go_out_with_their_offset(given_: Any, text: str) -> None:
    """A naive moment means UTC; an offset is kept."""
    assert sent(calls.create_call("x", given_, {})) == {"label": "x", "start": text}
    assert calls.list_call({"start": given_}).query == (("start", text),)


def test_null_takes_away_what_it_can_take_away() -> None:
    """In an update, None for the end or the chart is a null; for everything else, and in a creation, it is left out."""
    nothing = {"label": None, "start": None, "end": None, "category": None, "chart_id": None, "details": None}
    assert sent(calls.update_call(5, nothing)) == {"end": None, "chart_id": None}
    assert sent(calls.create_call("x", START, nothing)) == {"label": "x", "start": START}


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: calls.list_call({"category": "a", "chart_id": "b"}), "chart_id"),
        (lambda: calls.list_call({"start": START, "end": "2026-01-01"}), "start"),
        (lambda: calls.list_call({"end": "soon"}), "end"),
        (lambda: calls.create_call("", START, {}), "label"),
        (lambda: calls.create_call("x", None, {}), "start"),
        (lambda: calls.create_call("x", START, {"end": datetime(2026, 2, 1, 6, tzinfo=UTC)}), "start"),
        (lambda: calls.create_call("x", START, {"end": 5}), "end"),
        (lambda: calls.create_call("x", START, {"details": float("nan")}), "details"),
        (lambda: calls.update_call(5, {}), "annotation_id"),
        (lambda: calls.update_call(5, {"label": " "}), "label"),
        (lambda: calls.update_call("", {"label": "x"}), "annotation_id"),
        (lambda: calls.get_call("5/../6"), "annotation_id"),
        (lambda: calls.delete_call(0), "annotation_id"),
        (lambda: calls.delete_call(True), "annotation_id"),
        (lambda: calls.get_category_call("bulk"), "category_id"),
        (lambda: calls.create_category_call(" "), "name"),
        (lambda: calls.update_category_call(5, ""), "name"),
        (lambda: calls.assign_call(5, []), "annotation_ids"),
        (lambda: calls.assign_call(5, ["*"]), "annotation_ids[0]"),
        (lambda: calls.assign_call(5, [1, ""]), "annotation_ids[1]"),
        (lambda: calls.assign_call(5, [1, "two"]), "annotation_ids[1]"),
        (lambda: releases.create_call("", "x", START, {}), "version"),
        (lambda: releases.create_call("1", " ", START, {}), "title"),
        (lambda: releases.create_call("1", "x", "soon", {}), "release_start"),
        (lambda: releases.create_call("1", "x", "2026-02-02 00:00:00", {"release_end": date(2026, 2, 1)}), "release_start"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, argument: str) -> None:
    """It is refused here by its name, and nothing is sent."""
    with pytest.raises(InvalidArgumentError) as caught:
        make()
    assert caught.value.argument == argument


def test_one_id_is_a_list_of_one() -> None:
    """Numbers and their digits are taken alike, and go out as numbers."""
    assert sent(calls.assign_call("7", 5)) == {"annotation_ids": [5]}
    assert sent(calls.assign_call(7, ("5", 6))) == {"annotation_ids": [5, 6]}


def test_creations_are_not_repeated() -> None:
    """A second note, or a second release, would be there for good; everything else says what is to be."""
    made = [calls.create_call("x", START, {}), calls.create_category_call("x"), releases.create_call("1", "x", START, {})]
    others = [
        calls.list_call({}),
        calls.get_call(5),
        calls.update_call(5, {"label": "x"}),
        calls.delete_call(5),
        calls.assign_call(5, 6),
    ]
    assert not any(call.repeatable for call in made)
    assert all(call.repeatable for call in others)
    assert {call.uses for call in made + others} == {(Use("rest"),)}


@given(st.datetimes(timezones=st.timezones()), st.datetimes(timezones=st.timezones()))
def test_spans_are_compared_as_moments(first: datetime, second: datetime) -> None:
    """Whatever their zones, what begins later than it ends is refused, and nothing else."""
    first, second = first.replace(microsecond=0), second.replace(microsecond=0)
    if datetime.fromisoformat(first.isoformat()) <= datetime.fromisoformat(second.isoformat()):
        calls.create_call("x", first, {"end": second})
    else:
        with pytest.raises(InvalidArgumentError):
            calls.create_call("x", first, {"end": second})


def test_a_release_is_spelled_in_utc() -> None:
    """Its times are UTC without saying so."""
    call = releases.create_call("3.6", "x", datetime(2026, 2, 1, 9, tzinfo=timezone(timedelta(hours=1))), {"platforms": "iOS"})
    assert sent(call) == {"version": "3.6", "release_start": "2026-02-01 08:00:00", "title": "x", "platforms": "iOS"}


NOTE = {
    "id": 88123,
    "start": START,
    "end": None,
    "label": "Checkout v2",
    "details": "new payment page",
    "category": {"id": 311, "name": "Releases"},
    "chart_id": None,
}


@pytest.mark.parametrize(
    ("read", "answer", "expected"),
    [
        (calls.read_annotations, {"data": NOTE}, {"data": NOTE}),
        (calls.read_annotations, {"data": [NOTE, {**NOTE, "category": None}], "later": 1}, None),
        (calls.read_annotations, {"success": True}, None),
        (calls.read_categories, {"data": {"id": 311, "name": "Releases"}}, None),
        (calls.read_categories, {"data": [{"id": 311, "name": "Releases"}]}, None),
        (
            calls.read_categories,
            {"data": {"id": 311, "category": "Launches"}},
            {"data": {"id": 311, "category": "Launches", "name": "Launches"}},
        ),
        (
            calls.read_annotations,
            {"data": [{**NOTE, "category": {"id": 311, "category": "Alerts"}}]},
            {"data": [{**NOTE, "category": {"id": 311, "category": "Alerts", "name": "Alerts"}}]},
        ),
        (calls.read_annotations, {"data": [None, 5], "category": 1}, None),
    ],
)
def test_answers_are_read_without_loss(read: Any, answer: Any, expected: Any) -> None:
    """A category has its name, however Amplitude spells it; nothing else changes."""
    assert read(json.dumps(answer).encode()) == (answer if expected is None else expected)


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b'{"success": false}', b"<html>"])
def test_other_answers_are_none(body: bytes) -> None:
    """A page, a list or a no is not taken for a yes."""
    for read in (calls.read_annotations, calls.read_categories, releases.create_call("1", "x", START, {}).reads):
        with pytest.raises(MalformedError):
            read(body)


def test_the_releases_example_is_read_without_loss() -> None:
    """The answer of the page comes out as it is."""
    answer = {
        "success": True,
        "release": {
            "id": "r7k2m9q",
            "version": "3.6",
            "release_start": "2026-02-01 08:00:00",
            "platforms": ["iOS"],
            "chart_visibility": True,
            "params": {"created": 1769932800000, "created_by": "Kari"},
        },
    }
    assert releases.create_call("1", "x", START, {}).reads(json.dumps(answer).encode()) == answer
