"""Streaming metrics, audit logs, session replays and translations: what is asked, what is refused, what is made of the answers."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import AuthenticationError, InvalidArgumentError
from amplitude_async._protocol.bodies import query_text
from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.codec import MalformedError
from amplitude_async.errors import ResponseError
from amplitude_async.resources import session_replay
from amplitude_async.resources.audit_logs import search_call
from amplitude_async.resources.localization import export_call, import_call
from amplitude_async.resources.session_replay import SessionReplay, files_call, list_call, read_file
from amplitude_async.resources.streaming import metrics_call

sys.path.insert(0, str(Path(__file__).parent))
from runners import FakeRunner, json_of, run

if TYPE_CHECKING:
    from amplitude_async._protocol.call import Call

OSLO = timezone(timedelta(hours=1))
SEVEN = datetime(2026, 5, 1, 7, tzinfo=OSLO)


# Streaming metrics

METRICS = {
    "timePeriod": "ONE_HOUR",
    "eventsDelivered": 1180,
    "eventsNotDelivered": 20,
    "deliveryRate": 0.98333,
    "latencyInSeconds": 4.91,
    "timePeriodStart": "2026-05-01 06:00:00.000000",
    "timePeriodEnd": "2026-05-01 07:00:00.000000",
    "successOnFirstAttempt": 1150,
    "successAfterRetry": 30,
    "eventsExpired": 15,
    "eventsDiscarded": 5,
}


def metrics(sync_id: Any = 1, time_period: Any = None, start: Any = None, end: Any = None, **fields: Any) -> Call:
    return metrics_call(sync_id, time_period, start, end, fields)


def test_metrics_are_asked_for_by_period() -> None:
    """An hour by default; the call uses the API's own quota and is a repeatable read."""
    call = metrics("12")
    assert (call.api, call.method, call.path) == ("dashboard", "GET", "/api/2/event-streaming/delivery-metrics-summary")
    assert (call.credential, call.repeatable, call.uses) == ("project", True, (Use("streaming"),))
    assert call.query == (("sync_id", "12"), ("time_period", "ONE_HOUR"))
    assert metrics(time_period="TWO_WEEKS", extra=5).query[1:] == (("time_period", "TWO_WEEKS"), ("extra", "5"))
    assert call.reads(json.dumps({**METRICS, "new": 1}).encode()) == {**METRICS, "new": 1}


def test_the_plus_of_an_offset_is_encoded() -> None:
    """A bare + in a query would be read as a space."""
    call = metrics(start=SEVEN, end="2026-05-01T08:00:00+01:00")
    assert call.query[1:] == (
        ("time_period", "CUSTOM"),
        ("start", "2026-05-01T07:00:00+01:00"),
        ("end", "2026-05-01T08:00:00+01:00"),
    )
    text = query_text(call.query)
    assert "start=2026-05-01T07%3A00%3A00%2B01%3A00" in text
    assert "+" not in text


def test_a_500_to_a_span_of_ones_own_is_final() -> None:
    """It is what Amplitude says of times that it no longer keeps; to a period that ends now it is trouble like any other."""
    assert 500 in metrics(start=SEVEN, end=datetime(2026, 5, 2, tzinfo=UTC)).final
    assert metrics().final == frozenset()


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"sync_id": " "}, "sync_id"),
        ({"time_period": "HOUR"}, "time_period"),
        ({"start": SEVEN}, "end"),
        ({"end": SEVEN}, "start"),
        ({"time_period": "CUSTOM"}, "start"),
        ({"time_period": "ONE_DAY", "start": SEVEN}, "start"),
        ({"start": SEVEN, "end": SEVEN}, "start"),
        ({"start": SEVEN, "end": "2026-05-01T05:59:00Z"}, "start"),
        ({"start": "7 o'clock", "end": SEVEN}, "start"),
    ],
)
def test_metrics_that_make_no_sense_are_refused(arguments: dict[str, Any], argument: str) -> None:
    """A blank id, no period, bounds that do not fit it."""
    with pytest.raises(InvalidArgumentError) as caught:
        metrics(**arguments)
    assert caught.value.argument == argument


# Audit logs


def search(org: Any = 20077, start: Any = "2026-01-01T00:00:00Z", end: Any = "2026-01-10T23:59:59Z", **options: Any) -> Call:
    return search_call(org, start, end, options)


def test_an_audit_log_is_asked_for_as_the_page_has_it() -> None:
    """Filters and the limit are where Amplitude wants them, given by name or as its own objects; organisation keys."""
    call = search(domain="group", feature="user", action="invite", limit=100)
    expected = {
        "start_date": "2026-01-01T00:00:00Z",
        "end_date": "2026-01-10T23:59:59Z",
        "filters": {"domain": "group", "feature": "user", "action": "invite"},
        "pagination": {"limit": 100},
    }
    assert json_of(call) == expected
    assert (call.api, call.method, call.path, call.credential) == ("audit_logs", "POST", "/api/2/audit-logs/20077", "organisation")
    assert (call.repeatable, call.uses) == (True, (Use("rest"),))
    own = search(filters={"domain": "group", "feature": "user", "action": "invite"}, pagination={"limit": 100})
    assert json_of(own) == expected
    assert json_of(search(limit=5, pagination={"cursor": "x"}, new=None, more=1))["pagination"] == {"cursor": "x", "limit": 5}
    assert set(json_of(search())) == {"start_date", "end_date"}


def test_days_of_an_audit_log_are_whole() -> None:
    """A date begins at its midnight and ends with its last second, in UTC."""
    body = json_of(search(start=date(2026, 1, 1), end=date(2026, 1, 10)))
    assert (body["start_date"], body["end_date"]) == ("2026-01-01T00:00:00+00:00", "2026-01-10T23:59:59+00:00")
    assert json_of(search(end="2026-01-10"))["end_date"] == "2026-01-10T23:59:59+00:00"
    assert search("../x", end="2026-01-02").path == "/api/2/audit-logs/..%2Fx"


@pytest.mark.parametrize("answer", [{"data": [], "next_cursor": None}, [{"domain": "x"}], {"entries": [1]}])
def test_an_audit_log_is_handed_out_as_it_comes(answer: Any) -> None:
    """Nobody has documented its shape."""
    assert search().reads(json.dumps(answer).encode()) == answer


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"org": ""}, "org_id"),
        ({"start": "2026-01-11"}, "start_date"),
        ({"end": "2026-02-01T00:00:00Z"}, "end_date"),
        ({"end": "soon"}, "end_date"),
        ({"limit": 0}, "limit"),
        ({"filters": "x"}, "filters"),
        ({"pagination": [1]}, "pagination"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(arguments: dict[str, Any], argument: str) -> None:
    """Thirty days at most, in order."""
    with pytest.raises(InvalidArgumentError) as caught:
        search(**arguments)
    assert caught.value.argument == argument


# Session replays

REPLAY = {
    "replay_id": "dev-1/1769932800000",
    "session_id": "1769932800000",
    "device_id": "dev-1",
    "amplitude_id": 77120034,
    "start_time": "2026-02-01T08:00:00Z",
    "end_time": "2026-02-01T08:07:00Z",
    "retention_in_days": 90,
}
EVENTS: list[dict[str, Any]] = [
    {"type": 4, "timestamp": 1, "data": {"href": "https://x.example/æ"}},
    {"type": 2, "timestamp": 2, "data": {"n": [1.5, None]}},
]


def version3(events: Any) -> bytes:
    return gzip.compress(json.dumps(events).encode(), mtime=0)


def version2(events: list[Any]) -> bytes:
    """Pack events as the page says: each is the JSON of a text whose characters are the bytes of its compressed JSON."""
    packed = [json.dumps(zlib.compress(json.dumps(event).encode()).decode("latin-1")) for event in events]
    return gzip.compress(json.dumps(packed).encode(), mtime=0)


def listed(**options: Any) -> Call:
    nothing: dict[str, Any] = dict.fromkeys(("start_time", "end_time", "page_size", "page_token", "sort_order"))
    return list_call(**{**nothing, "fields": {}, **options})


def test_replays_are_asked_for_by_pages() -> None:
    """Times are ISO 8601, the slash of an id is encoded, and what was not given is left out."""
    call = listed(start_time=datetime(2026, 2, 1), end_time=date(2026, 2, 2), page_size=200, sort_order="desc")
    assert (call.api, call.method, call.path, call.credential) == ("session_replay", "GET", "/api/1/session-replays", "project")
    assert call.query == (
        ("start_time", "2026-02-01T00:00:00+00:00"),
        ("end_time", "2026-02-02T23:59:59+00:00"),
        ("page_size", "200"),
        ("sort_order", "desc"),
    )
    assert listed().query == ()
    files = files_call("dev-1/1769932800000", version=2, page_size=None, page_token="t")
    assert files.path == "/api/1/session-replays/files"
    assert query_text(files.query) == "replay_id=dev-1%2F1769932800000&version=2&page_token=t"


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"page_size": 0}, "page_size"),
        ({"page_size": 201}, "page_size"),
        ({"sort_order": "up"}, "sort_order"),
        ({"start_time": "now"}, "start_time"),
    ],
)
def test_lists_that_make_no_sense_are_refused(arguments: dict[str, Any], argument: str) -> None:
    """At the call, not at the first item."""
    replays = SessionReplay(FakeRunner(lambda _: b"{}"))
    with pytest.raises(InvalidArgumentError) as caught:
        replays.list(**arguments)
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    "arguments", [{"replay_id": "dev-1"}, {"replay_id": " "}, {"version": 4}, {"version": None}, {"page_size": 1001}]
)
def test_files_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    """A replay is a device and a session; there are two formats."""
    replays = SessionReplay(FakeRunner(lambda _: b"{}"))
    with pytest.raises(InvalidArgumentError):
        replays.files(**{"replay_id": "dev-1/5", **arguments})
    if "page_size" not in arguments:
        with pytest.raises(InvalidArgumentError):
            replays.events(**{"replay_id": "dev-1/5", **arguments})


def test_both_formats_give_the_same_events() -> None:
    """Version 3 is a gzip of a list, version 2 of texts within texts; a gzip that was undone on the way is fine too."""
    assert read_file(version3(EVENTS), version=3) == EVENTS
    assert read_file(version2(EVENTS), version=2) == EVENTS
    assert read_file(json.dumps(EVENTS).encode(), version=3) == EVENTS
    assert read_file(version3([]), version=3) == read_file(version2([]), version=2) == []


@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])), st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
        )
    )
)
def test_any_events_come_back(events: list[dict[str, Any]]) -> None:
    """Whatever bytes the compressed events have, their text form gives them back."""
    assert read_file(version2(events), version=2) == read_file(version3(events), version=3) == events


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b"", 3),
        (b"<html>", 3),
        (version3(EVENTS)[:-5], 3),
        (version3({"a": 1}), 3),
        (version3([1]), 3),
        (version3(EVENTS), 2),
        (version3(["x"]), 2),
        (version3(['"x"']), 2),
        (version3([json.dumps("\u1234")]), 2),
        (version3([json.dumps(zlib.compress(b'{"a":1}')[:-3].decode("latin-1"))]), 2),
        (b"\x1f\x8b broken", 3),
    ],
)
def test_a_file_that_is_none(body: bytes, version: int) -> None:
    """Cut, damaged or in the other format: never taken for a shorter replay."""
    with pytest.raises(MalformedError):
        read_file(body, version=version)


def test_a_bomb_stops_at_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What inflates to more than may be believed is given up, in either format."""
    monkeypatch.setattr(session_replay, "MAX_FILE_BYTES", 100_000)
    assert read_file(version3([{"a": "x" * 90_000}]), version=3)
    for body, version in ((version3([{"a": "x" * 200_000}]), 3), (version2([{"a": "x" * 60_000}] * 2), 2)):
        with pytest.raises(MalformedError, match="100,000"):
            read_file(body, version=version)


class Replays:
    """Three files on two pages; links that expire after so many uses of a page."""

    def __init__(self, good_for: int = 99, *, comes_back: bool = True) -> None:
        self.good_for = good_for
        self.comes_back = comes_back
        self.left = 0
        self.fetched: list[str] = []

    def __call__(self, call: Call) -> bytes:
        if call.link is None:
            self.left = self.good_for if self.comes_back or not self.fetched else 0
            token = dict(call.query).get("page_token")
            names = ["a", "b"] if token is None else ["c"]
            links = [f"https://bucket.example/{name}?X-Signature=s" for name in names]
            return json.dumps({"files": links, "next_page_token": None if token else "next"}).encode()
        assert (call.credential, call.method, call.link.query) == ("none", "GET", "X-Signature=s")
        if not self.left:
            raise AuthenticationError("expired", status=403)
        self.left -= 1
        self.fetched.append(call.path)
        return version3([{"file": call.path, "n": n} for n in range(2)])


async def collected(iterator: Any) -> list[Any]:
    return [item async for item in iterator]


@pytest.mark.parametrize("good_for", [99, 2, 1])
def test_events_are_read_file_by_file(good_for: int) -> None:
    """In the order of the files, over pages, without credentials; links that expired are asked for anew and nothing is read twice."""
    amplitude = Replays(good_for)
    runner = FakeRunner(amplitude)
    events = run(collected(SessionReplay(runner).events("dev-1/5")))
    assert [(event["file"], event["n"]) for event in events] == [(name, n) for name in ("/a", "/b", "/c") for n in (0, 1)]
    assert amplitude.fetched == ["/a", "/b", "/c"]


def test_links_that_stay_dead_are_an_error() -> None:
    """Twice anew is enough; the error does not blame a key, since none was shown."""
    runner = FakeRunner(Replays(1, comes_back=False))
    with pytest.raises(ResponseError, match="given anew 2 times") as caught:
        run(collected(SessionReplay(runner).events("dev-1/5")))
    assert not isinstance(caught.value, AuthenticationError)
    assert len(runner.calls) == 7


def test_lists_go_over_pages() -> None:
    """Replays and links come one by one, page after page, and a list says where it stands."""

    def rule(call: Call) -> bytes:
        token = dict(call.query).get("page_token")
        return json.dumps({"session_replays": [REPLAY], "next_page_token": {None: "2", "2": "3"}.get(token)}).encode()

    runner = FakeRunner(rule)
    replays = SessionReplay(runner).list(page_size=1, sort_order="desc")
    assert runner.calls == []
    assert run(collected(replays)) == [REPLAY] * 3
    assert [dict(call.query) for call in runner.calls] == [
        {"page_size": "1", "sort_order": "desc"},
        {"page_size": "1", "page_token": "2", "sort_order": "desc"},
        {"page_size": "1", "page_token": "3", "sort_order": "desc"},
    ]
    assert len(run(collected(SessionReplay(runner).list(page_token="3")))) == 1
    links = run(collected(SessionReplay(FakeRunner(Replays())).files("dev-1/5")))
    assert links == [f"https://bucket.example/{name}?X-Signature=s" for name in "abc"]


# Translations

XLIFF = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<xliff version="1.2"><file original="welcome_tour" datatype="plaintext" '
    'source-language="en" target-language="de"><body><trans-unit id="step_1_title"><source>Hi</source><target>Grüß Gott</target>'
    "</trans-unit></body></file></xliff>"
)


@pytest.mark.parametrize("xliff", [XLIFF, XLIFF.encode(), bytearray(XLIFF.encode()), b"\xef\xbb\xbf" + XLIFF.encode(), "\n" + XLIFF])
def test_a_file_goes_out_as_it_is(xliff: Any) -> None:
    """Raw XML in UTF-8, nothing added, nothing taken away."""
    call = import_call(xliff)
    assert (call.api, call.method, call.path) == ("localization", "POST", "/a/guides-surveys/api/v1/localization/import/")
    assert call.body is not None
    assert call.body.headers == {"Content-Type": "application/xml; charset=utf-8"}
    assert call.body.render("") == (xliff.encode() if isinstance(xliff, str) else bytes(xliff))
    answer = {"welcome_tour": {"de": {"state": "COMPLETE", "message": "Updated 7 translation units."}}}
    assert call.reads(json.dumps(answer).encode()) == answer


@pytest.mark.parametrize(
    "xliff",
    [
        "",
        " ",
        "{}",
        None,
        5,
        XLIFF.encode("latin-1"),
        XLIFF.encode("utf-16"),
        XLIFF.replace("UTF-8", "ISO-8859-1"),
        "<a>\ud800</a>",
    ],
    ids=repr,
)
def test_what_is_no_file_of_translations(xliff: Any) -> None:
    """Not XML, not UTF-8, or something else by its own declaration."""
    with pytest.raises(InvalidArgumentError, match="xliff"):
        import_call(xliff)


def test_translations_are_asked_for_by_key_and_language() -> None:
    """Both are repeated; one of either counts as a list of one."""
    call = export_call(["a", "b"], ["de", "fr"])
    assert call.path == "/a/guides-surveys/api/v1/localization/export/"
    assert call.query == (("key", "a"), ("key", "b"), ("locale", "de"), ("locale", "fr"))
    assert export_call("a", None).query == (("key", "a"),)
    assert export_call("a", "de").query == (("key", "a"), ("locale", "de"))
    assert call.reads(XLIFF.encode()) == XLIFF
    for body in (b"", b"{}", b"<html><body>", b"<!DOCTYPE html><html>", b"\xff"):
        with pytest.raises(MalformedError):
            call.reads(body)
    for wrong in ((), "", " "):
        with pytest.raises(InvalidArgumentError):
            export_call(wrong, None)
        with pytest.raises(InvalidArgumentError):
            export_call("a", wrong)
