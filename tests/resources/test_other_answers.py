"""A 2xx answer that is some other JSON than an API documents is an error, and never a success."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from amplitude_async import Event
from amplitude_async._protocol.codec import MalformedError

if TYPE_CHECKING:
    from amplitude_async._protocol.call import Call
from amplitude_async.resources.annotations import calls as notes
from amplitude_async.resources.cohorts.calls import list_call as cohorts_call
from amplitude_async.resources.cohorts.calls import upload_call
from amplitude_async.resources.dashboard import calls as dashboard
from amplitude_async.resources.experiment import calls as management
from amplitude_async.resources.experiment.assignment import configs_call, variants_call
from amplitude_async.resources.lookup_tables import delete_call, list_call
from amplitude_async.resources.privacy.deletions import DeletionIds, cancel_call, create_call
from amplitude_async.resources.privacy.deletions import list_call as jobs_call
from amplitude_async.resources.releases import create_call as release_call
from amplitude_async.resources.scim import calls as scim
from amplitude_async.resources.session_replay import files_call
from amplitude_async.resources.session_replay import list_call as replays_call
from amplitude_async.resources.streaming import metrics_call
from amplitude_async.resources.taxonomy import calls as taxonomy

UPLOAD: dict[str, Any] = {"app_id": 1, "id_type": "BY_USER_ID", "owner": "ops@example.org", "published": True}
DAYS = {"start": "20260501", "end": "20260502"}
REPLAYS: dict[str, Any] = dict.fromkeys(("start_time", "end_time", "page_size", "page_token", "sort_order"))

CALLS: dict[str, Callable[[], Call]] = {
    "segmentation": lambda: dashboard.segmentation_call({"e": Event("signup"), **DAYS}),
    "events list": lambda: dashboard.events_list_call({}),
    "chart": lambda: dashboard.chart_query_call({"chart_id": "abc"}),
    "user search": lambda: dashboard.search_call({"user": "ada"}),
    "user activity": lambda: dashboard.activity_call({"amplitude_id": 7}),
    "cohorts": lambda: cohorts_call({}),
    "cohort upload": lambda: upload_call("Buyers", ["ada-web"], UPLOAD),
    "event types": lambda: taxonomy.list_call(taxonomy.EVENT, {}),
    "an event type": lambda: taxonomy.get_call(taxonomy.EVENT, "signup", {}),
    "an event type deleted": lambda: taxonomy.delete_call(taxonomy.EVENT, "signup", {}),
    "annotations": lambda: notes.list_call({}),
    "annotation categories": lambda: notes.list_categories_call({}),
    "a release": lambda: release_call("3.6", "Checkout", "2026-02-01 08:00:00", {}),
    "lookup tables": list_call,
    "a lookup table deleted": lambda: delete_call("skus"),
    "a deletion": lambda: create_call(DeletionIds(("ada-web",)), {}),
    "deletions": lambda: jobs_call("2026-05-01", date(2026, 5, 2)),
    "a deletion called off": lambda: cancel_call(7, "2026-05-01"),
    "a person": lambda: scim.get_user_call("kari@example.org"),
    "people": lambda: scim.list_call(scim.USERS, {}),
    "delivery metrics": lambda: metrics_call(7, None, None, None, {}),
    "replays": lambda: replays_call(**REPLAYS, fields={}),
    "files of a replay": lambda: files_call("dev-1/17", version=3, page_size=None, page_token=None),
    "a flag": lambda: management.get(management.one("flags", 7)),
    "flags": lambda: management.page("flags", None),
    "a new flag": lambda: management.created(("flags", None), fields={"key": "k"}, required=("key",)),
    "variants": lambda: variants_call("ada", None, context=None, fields={}, flag_keys=None, track=True),
    "rules": lambda: configs_call(None),
}

OTHER: list[Any] = [{"error": "no such thing"}, {"later": [1]}, {"message2": None}, [[1]], [None], ["x"], 5, None, "text", True]


@pytest.mark.parametrize("answer", OTHER, ids=json.dumps)
@pytest.mark.parametrize("name", CALLS)
def test_another_answer_is_no_success(name: str, answer: Any) -> None:
    """An error, or something of another API, with status 200: an empty list, a deletion that was accepted, is not what it says."""
    with pytest.raises(MalformedError):
        CALLS[name]().reads(json.dumps(answer).encode())


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"variants"}))
def test_an_empty_object_confirms_nothing(name: str) -> None:
    """Nor does ``{}``, but where it is documented: a user who gets no variant."""
    with pytest.raises(MalformedError):
        CALLS[name]().reads(b"{}")
    assert CALLS["variants"]().reads(b"{}") == {}
