"""Every example of an answer that Amplitude's pages show is read without loss; ``examples.json`` has them, with invented values."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplitude_async import Event
from amplitude_async._protocol.verdict import Reply, judge
from amplitude_async.resources.cohorts import Cohorts
from amplitude_async.resources.cohorts.calls import membership_call, upload_call
from amplitude_async.resources.dashboard import Dashboard
from amplitude_async.resources.experiment import Experiment
from amplitude_async.resources.identities import user_mappings
from amplitude_async.resources.localization import Localization
from amplitude_async.resources.lookup_tables import LookupTables
from amplitude_async.resources.privacy import Privacy
from amplitude_async.resources.profiles import Profiles, profile_call
from amplitude_async.resources.releases import Releases
from amplitude_async.resources.scim import Scim
from amplitude_async.resources.session_replay import SessionReplay
from amplitude_async.resources.streaming import Streaming
from amplitude_async.resources.taxonomy import Taxonomy
from amplitude_async.resources.taxonomy import calls as taxonomy

sys.path.insert(0, str(Path(__file__).parent))
from runners import FakeRunner, run

from amplitude_async.resources.annotations import Annotations

EXAMPLES: dict[str, Any] = json.loads(Path(__file__).with_name("examples.json").read_text("utf-8"))
DAYS: dict[str, Any] = {"start": "20260202", "end": "20260203"}
SIGNUP = Event("signup")
UPLOAD: dict[str, Any] = {"app_id": 510042, "id_type": "BY_USER_ID", "owner": "ops@example.org", "published": True}
ADD: dict[str, Any] = {"ids": ["77120034"], "id_type": "BY_ID", "operation": "ADD"}


async def only_page(pages: Any) -> Any:
    return await pages.next_page()


async def jobs_of(privacy: Privacy) -> Any:
    return await privacy.deletions.list(start_day="2026-05-01", end_day="2026-05-31")


READ_BY: dict[str, Callable[[FakeRunner], Any]] = {
    "users": lambda r: Dashboard(r).active_users(**DAYS),
    "session lengths": lambda r: Dashboard(r).session_lengths(**DAYS),
    "average session length": lambda r: Dashboard(r).average_session_length(**DAYS),
    "composition": lambda r: Dashboard(r).composition("platform", **DAYS),
    "events list": lambda r: Dashboard(r).events_list(),
    "segmentation": lambda r: Dashboard(r).segmentation(e=SIGNUP, **DAYS),
    "funnels": lambda r: Dashboard(r).funnels(e=[SIGNUP], **DAYS),
    "retention": lambda r: Dashboard(r).retention(se=SIGNUP, re=SIGNUP, **DAYS),
    "user activity": lambda r: Dashboard(r).user_activity(77120034),
    "user search": lambda r: Dashboard(r).user_search("u-4711"),
    "nobody found": lambda r: Dashboard(r).user_search("u-4711"),
    "realtime": lambda r: Dashboard(r).realtime(),
    "revenue ltv": lambda r: Dashboard(r).revenue_ltv(**DAYS),
    "saved chart": lambda r: Dashboard(r).chart_query("abc"),
    "cohorts": lambda r: Cohorts(r).list(include_sync_info=True),
    "cohort request": lambda r: Cohorts(r).request("k3x9q2f"),
    "cohort status": lambda r: Cohorts(r).status("Qz7Tm2"),
    "cohort upload": lambda r: Cohorts(r).upload("Buyers", ["u-9"], **UPLOAD),
    "cohort upload, as older pages have it": lambda r: Cohorts(r).upload("Buyers", ["u-9"], **UPLOAD),
    "cohort membership": lambda r: Cohorts(r).membership("p8w1c5n", [ADD]),  # type: ignore[list-item]  # a plain mapping
    "cohort usage": lambda r: Cohorts(r).usage(),
    "user profile": lambda r: Profiles(r).get(user_id="u-4711"),
    "taxonomy write": lambda r: Taxonomy(r).events.create("order_placed"),
    "taxonomy read": lambda r: Taxonomy(r).events.get("order_placed"),
    "category": lambda r: Taxonomy(r).categories.get("Checkout"),
    "event type": lambda r: Taxonomy(r).events.get("order_placed"),
    "event property": lambda r: Taxonomy(r).event_properties.get("coupon", event_type="order_placed"),
    "user property": lambda r: Taxonomy(r).user_properties.get("gp:tier"),
    "group property": lambda r: Taxonomy(r).group_properties.get("grp:plan"),
    "annotation": lambda r: Annotations(r).get(88123),
    "annotations": lambda r: Annotations(r).list(),
    "annotation category": lambda r: Annotations(r).categories.get(311),
    "annotation deleted": lambda r: Annotations(r).delete(88123),
    "release": lambda r: Releases(r).create("3.6", title="Checkout v2", release_start="2026-02-01 08:00:00"),
    "lookup table": lambda r: LookupTables(r).get("sku_meta"),
    "lookup tables": lambda r: LookupTables(r).list(),
    "lookup table deleted": lambda r: LookupTables(r).delete("sku_meta"),
    "people": lambda r: only_page(Scim(r).users.list()),
    "group": lambda r: Scim(r).groups.get(812),
    "replays": lambda r: only_page(SessionReplay(r).list()),
    "replay files": lambda r: only_page(SessionReplay(r).files("dev-1/1769932800000")),
    "localization": lambda r: Localization(r).import_xliff("<xliff/>"),
    "variants": lambda r: Experiment(r).variants("u-4711"),
    "flag rules": lambda r: Experiment(r).flag_configs(),
    "flag": lambda r: Experiment(r).flags.get("60231"),
    "mutex": lambda r: Experiment(r).mutexes.get(771),
    "holdout": lambda r: Experiment(r).holdouts.get(812),
    "variant": lambda r: Experiment(r).flags.variant("60231", "treatment"),
    "version": lambda r: Experiment(r).experiments.version("60231", 3),
    "deployments": lambda r: only_page(Experiment(r).deployments.list()),
    "flag created": lambda r: Experiment(r).flags.create(project_id="510042", key="checkout-v2"),
    "user mappings": lambda r: user_mappings(r, ["ada-web", "ada@example.org"]),
    "deletion": lambda r: jobs_of(Privacy(r)),
    "deletion called off": lambda r: Privacy(r).deletions.cancel(1610447001001, "2026-05-14"),
    "dsar request": lambda r: Privacy(r).dsar.request(user_id="ada", start_date="2026-01-01", end_date="2026-04-30"),
    "dsar staging": lambda r: Privacy(r).dsar.status(81234),
    "dsar done": lambda r: Privacy(r).dsar.status(81234),
    "delivery metrics": lambda r: Streaming(r).delivery_metrics(7),
}

ITEMS = {"people": "Resources", "replays": "session_replays", "replay files": "files", "deployments": "deployments"}
"""Of a page, what is given of it."""
ADDED = {"cohort upload": {"cohort_id": "p8w1c5n"}}
"""What is added because other pages spell it so."""


def test_each_example_has_its_call() -> None:
    """None is left out."""
    assert READ_BY.keys() == EXAMPLES.keys()


def expected(name: str, answer: Any) -> Any:
    whole = {**answer, **ADDED[name]} if name in ADDED else answer
    return whole[ITEMS[name]] if name in ITEMS else whole


@pytest.mark.parametrize("name", READ_BY)
def test_an_example_is_read_without_loss(name: str) -> None:
    """What Amplitude's page shows comes out of our call as it is."""
    answer = EXAMPLES[name]
    assert run(READ_BY[name](FakeRunner(lambda _: json.dumps(answer).encode()))) == expected(name, answer)


def with_more(value: Any, depth: int = 0) -> Any:
    """Give every object a member that no page knows of; what is keyed by names of the user's own is left alone."""
    if isinstance(value, list):
        return [with_more(item, depth) for item in value]
    if not isinstance(value, dict):
        return value
    known = {name: with_more(item, depth + 1) for name, item in value.items()}
    return {**known, "later": {"version": [1, None]}}


@pytest.mark.parametrize("name", sorted(READ_BY.keys() - {"replay files"}))
def test_unknown_keys_survive(name: str) -> None:
    """Whatever Amplitude adds to an object, at any depth, comes out too."""
    answer = with_more(EXAMPLES[name])
    given = run(READ_BY[name](FakeRunner(lambda _: json.dumps(answer).encode())))
    if name == "user mappings":
        # By user id, so the further key is a user of whom nothing is known.
        assert {key: value for key, value in given.items() if key != "later"} == {
            key: value for key, value in answer.items() if key != "later"
        }
        return
    assert given == expected(name, answer)


@pytest.mark.parametrize(
    ("call", "status", "body", "words"),
    [
        (
            profile_call({"user_id": "u-4711"}),
            429,
            b'{"error": {"http_code": 429, "message": "Unspecified Error", "metadata": {"details": "Exceeded rate limit of cost 1800"}}}',
            "Unspecified Error: Exceeded rate limit of cost 1800",
        ),
        (
            upload_call("Buyers", ["u-x1"], UPLOAD),
            400,
            b'{"error": {"http_code": 400, "type": "invalid_request", "message": "some ids", "metadata": {"invalid_ids": ["u-x1"]}}}',
            "some ids",
        ),
        (
            membership_call("p8w1c5n", [ADD], {}),
            400,
            b'{"error": {"message": "bad ids", "code": 1234, "metadata": {"cohort_id": "p8w1c5n", "memberships_result": []}}}',
            "bad ids",
        ),
        (
            taxonomy.get_call(taxonomy.EVENT, "x", {}),
            400,
            b'{"success": false, "errors": [{"message": "Not found"}]}',
            "Not found",
        ),
        (
            profile_call({"user_id": "u-4711"}),
            400,
            b'{"error":"User id and device id not seen before"}',
            "User id and device id not seen before",
        ),
        (profile_call({"user_id": "u-4711"}), 401, b"Invalid Api-Key", "Invalid Api-Key"),
        (
            profile_call({"user_id": "u-4711"}),
            409,
            b'{"statusCode": 409, "message": "Table sku_meta already exists", "errorCode": "LOOKUP_TABLE_ALREADY_EXISTS"}',
            "Table sku_meta already exists",
        ),
        (profile_call({"user_id": "u-4711"}), 404, b'{"error": "no data for replay_id"}', "no data for replay_id"),
    ],
)
def test_the_words_of_an_error_come_out(call: Any, status: int, body: bytes, words: str) -> None:
    """Each API has an envelope of its own for errors; what it says is in the message, and all of it in ``data``."""
    error = judge(call, Reply(status, {}, body), now=0.0, secrets=tuple).error
    assert error is not None
    assert str(error) == f"Request failed with status code {status}: {words}"
