"""What dashboard queries cost, what is refused and in which words, and saved charts."""

from __future__ import annotations

import csv
import io
import json
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplitude_async.errors import ConfigurationError, InvalidArgumentError
from amplitude_async.sandbox import Limits, Sandbox, charts

from .conftest import NOON, Clock
from .made_up import NOW, made_up, send

DAY = {"start": "20260501", "end": "20260501"}
MONTH = {"start": "20260402", "end": "20260501"}
E = '{"event_type":"search"}'
BY_N = '{"event_type":"search","group_by":[{"type":"event","value":"n"}]}'
LANGUAGE = '[{"prop":"language","op":"is","values":["English"]}]'
COSTS: list[tuple[str, dict[str, Any], int]] = [
    ("users", DAY, 1),
    ("users", MONTH, 30),
    ("users", {**MONTH, "g": "platform"}, 30 * 5),
    ("users", {**MONTH, "s": [LANGUAGE, "[]"]}, 30 * 3),
    ("sessions/length", MONTH, 30 * 4),
    ("sessions/average", DAY, 4),
    ("sessions/peruser", DAY, 4),
    ("composition", {**MONTH, "p": "platform"}, 30),
    ("events/list", {}, 1),
    ("realtime", {}, 1),
    ("events/segmentation", {**DAY, "e": E}, 1),
    # One segment with one condition and two group-bys: 10 a day, for one event (the documentation's first example).
    ("events/segmentation", {**DAY, "e": E, "s": LANGUAGE, "g": "platform", "g2": "gp:plan"}, 10),
    ("events/segmentation", {**DAY, "e": E, "e2": BY_N}, 2 + 4),
    # The documentation's second example but for its 1800: more than may be asked for in five minutes.
    ("funnels", {**MONTH, "e": [E] * 3}, 30 * 6),
    ("funnels", {**DAY, "e": [E] * 3, "s": LANGUAGE, "g": "platform"}, 6 * 6),
    ("funnels", {**DAY, "e": [E, BY_N]}, 4 + 4),
    ("retention", {**MONTH, "se": E, "re": E}, 30 * 8),
    ("retention", {**DAY, "se": E, "re": E, "g": "platform", "s": LANGUAGE}, (2 + 4) * 8),
    ("revenue/ltv", {**MONTH, "s": LANGUAGE}, 30 * 2),
]


@pytest.fixture(scope="module")
def chart_box() -> Any:
    """Run a sandbox with a made-up world, to save charts in."""
    with (
        Sandbox(clock=NOW.timestamp) as running,
        httpx.Client(verify=False, base_url=running.url, auth=("sandbox", "sandbox"), trust_env=False) as http,
    ):
        send(http, made_up(3))
        yield running, http


@pytest.mark.parametrize(("path", "params", "cost"), COSTS)
def test_a_query_costs_what_is_documented(path: str, params: dict[str, Any], cost: int) -> None:
    """Days times conditions times the cost of the type: with exactly that allowance a query goes through, and then no other."""
    with (
        Sandbox(limits=Limits(cost_per_five_minutes=cost)) as box,
        httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False) as http,
    ):
        assert http.get(f"/api/2/{path}", params=params).status_code == 200
        again = http.get("/api/2/events/list")
        assert (again.status_code, again.json()["error"]["metadata"]["details"]) == (
            429,
            "Too Many Requests: Exceeded rate limit with query of cost 1",
        )


def test_the_documented_example_of_1800_is_refused_when_strict(clock: Clock) -> None:
    """A funnel of three events over 30 days with one condition and two group-bys' worth is beyond five minutes' allowance."""
    with (
        Sandbox(strict=True, clock=clock) as box,
        httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False) as http,
    ):
        send(http, [{"user_id": "ada@example.org", "event_type": "search", "time": int(NOON * 1000)}])
        dear = {**MONTH, "e": [E] * 3, "s": LANGUAGE, "g": "platform"}
        refused = http.get("/api/2/funnels", params=dear)
        assert refused.json() == {
            "error": {
                "http_code": 429,
                "type": "unspecified",
                "message": "Unspecified Error",
                "metadata": {"details": "Too Many Requests: Exceeded rate limit with query of cost 1080"},
            }
        }
        cheap = {**MONTH, "e": [E] * 3}
        answers = [http.get("/api/2/funnels", params=cheap).status_code for _ in range(6)]
        assert answers == [200] * 5 + [429]
        clock.now += 301
        assert http.get("/api/2/funnels", params=cheap).status_code == 200
        unknown = http.get("/api/2/retention", params={**DAY, "se": '{"event_type":"_new"}', "re": '{"event_type":"tpyo"}'})
        assert (unknown.status_code, unknown.json()["error"]["metadata"]["details"]) == (400, "Unknown event: tpyo")


def test_five_queries_may_be_under_way() -> None:
    """While five are being answered the next one is refused, and afterwards there is room again."""
    held, entered = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        held.wait(30)

    with (
        Sandbox(limits=Limits(queries_in_flight=5)) as box,
        httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False, timeout=30) as http,
        ThreadPoolExecutor(7) as pool,
    ):
        desk = box._running_desk()
        # What is due before any request is done by now, and later ones come to their place at once.
        assert http.get("/api/2/users", params=DAY).status_code == 200
        try:
            holding = pool.submit(desk.wait_for, hold)
            assert entered.wait(30)
            first = [pool.submit(http.get, "/api/2/users", params=DAY) for _ in range(6)]
            # The five wait for the store.
            done, _waiting = wait(first, timeout=20, return_when=FIRST_COMPLETED)
            assert [each.result().status_code for each in done] == [429]
        finally:
            held.set()
        holding.result(30)
        answers = [each.result(30) for each in first]
        assert sorted(each.status_code for each in answers) == [200] * 5 + [429]
        refused = next(each for each in answers if each.status_code == 429)
        assert "concurrent limit" in refused.json()["error"]["metadata"]["details"]
        assert http.get("/api/2/users", params=DAY).status_code == 200


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("users", {}),
    ("users", {**DAY, "m": "old"}),
    ("users", {**DAY, "i": "-300000"}),
    ("users", {**DAY, "g": "platform", "s": ["[]", "[]"]}),
    ("users", {"start": "20250101", "end": "20260501"}),
    ("sessions/length", {"start": "20260501"}),
    ("sessions/average", {"start": "20260502", "end": "20260501"}),
    ("sessions/peruser", {"start": "may", "end": "june"}),
    ("composition", DAY),
    ("composition", {**DAY, "p": "plan"}),
    ("realtime", {"i": "1"}),
    ("funnels", DAY),
    ("funnels", {**DAY, "e": "search"}),
    ("funnels", {**DAY, "e": E, "mode": "sorted"}),
    ("funnels", {**DAY, "e": E, "n": "any"}),
    ("funnels", {**DAY, "e": E, "cs": "soon"}),
    ("funnels", {**DAY, "e": [E, '{"event_type":"_new"}']}),
    ("funnels", {**MONTH, "e": E, "i": "-3600000"}),
    ("retention", {**DAY, "se": E}),
    ("retention", {**DAY, "re": E}),
    ("retention", {**DAY, "se": E, "re": '{"event_type":"_new"}'}),
    ("retention", {**DAY, "se": E, "re": E, "rm": "square"}),
    ("retention", {**DAY, "se": E, "re": E, "rm": "bracket"}),
    ("retention", {**DAY, "se": E, "re": E, "rm": "bracket", "rb": "[[4,4]]"}),
    ("retention", {**DAY, "se": E, "re": E, "rm": "bracket", "rb": "[0,4]"}),
    ("retention", {**DAY, "se": E, "re": E, "rm": "bracket", "rb": "[[0,true]]"}),
    ("retention", {**DAY, "se": E, "re": E, "i": "-3600000"}),
    ("revenue/ltv", {**DAY, "m": "4"}),
    ("revenue/ltv", {"start": "20260501"}),
]


@pytest.mark.parametrize(("path", "params"), WRONG)
def test_a_malformed_query_is_a_400(http: httpx.Client, path: str, params: dict[str, Any]) -> None:
    """What is missing, malformed or contradictory is answered with the 400 envelope."""
    answer = http.get(f"/api/2/{path}", params=params)
    assert (answer.status_code, answer.json()["error"]["http_code"]) == (400, 400)
    assert answer.json()["error"]["metadata"]["details"]


@pytest.mark.parametrize("path", [*charts.QUERIES])
def test_every_query_needs_the_projects_keys(box: Sandbox, path: str) -> None:
    """Without credentials a query is a 401, with wrong ones a 403, before anything is read."""
    assert httpx.get(f"{box.url}/api/2/{path}", trust_env=False).status_code == 401
    wrong = httpx.get(f"{box.url}/api/2/{path}", auth=("sandbox", "guess"), trust_env=False)
    assert (wrong.status_code, wrong.json()["error"]["metadata"]["details"]) == (403, "Invalid API/Secret Key combination")


values = st.one_of(
    st.sampled_from(
        ["1", "7", "30", "-300000", "0", "-1", "5", "99", "bracket", "formula", "unordered", "sequential", "new", "active"]
    ),
    st.sampled_from([E, BY_N, '{"event_type":"_new"}', '{"event_type":"_all","filters":7}', "[]", "{}", "[[0,5]]", "null", "9" * 30]),
    st.sampled_from([LANGUAGE, '[{"type":"event","event_type":[]}]', '[{"prop":1}]', "[[]]", "gp:plan", "HIST(A)", "UNIQUES(A)/0"]),
    st.sampled_from(["20260401", "20260501", "20261399", "00000000", "99991231"]),
    st.text(max_size=8),
)
NAMES = ["start", "end", "e", "e2", "se", "re", "m", "n", "i", "s", "g", "g2", "limit", "formula", "mode", "cs", "rm", "rb", "p"]
NAMES += [
    "rollingWindow",
    "rollingAverage",
    "timeHistogramConfigBinTimeUnit",
    "timeHistogramConfigBinMin",
    "timeHistogramConfigBinMax",
]


@given(
    st.sampled_from([*charts.QUERIES]),
    st.dictionaries(st.sampled_from(NAMES), st.lists(values, max_size=3), max_size=8),
    st.booleans(),
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_parameters_break_it(chart_box: Any, path: str, params: dict[str, list[str]], is_whole: bool) -> None:
    """Whatever is asked is answered or refused, never a failure of the server."""
    sent = {**MONTH, "e": E, "se": E, "re": E, "p": "platform", **params} if is_whole else params
    _box, http = chart_box
    answer = http.get(f"/api/2/{path}", params=sent)
    assert answer.status_code in {200, 400}, answer.text
    assert answer.headers["content-type"].startswith("application/json")


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("events/segmentation", {"e": {"event_type": "search"}, "g": "platform"}),
        ("events/segmentation", {"e": {"event_type": "search"}, "e2": {"event_type": "buy"}, "g": "platform"}),
        ("users", {"m": "new"}),
        ("sessions/length", {}),
        ("sessions/average", {}),
        ("composition", {"p": "platform"}),
        ("realtime", {}),
    ],
)
def test_a_saved_chart_of_series_is_a_line_for_each(chart_box: Any, query: str, params: dict[str, Any]) -> None:
    """The first line has the dates or values, each other one a series; as JSON, cells are objects with a value."""
    box, http = chart_box
    box.save_chart("a-chart", query, **params, **MONTH)
    sent = {name: value if isinstance(value, str) else json.dumps(value) for name, value in {**params, **MONTH}.items()}
    data = http.get(f"/api/2/{query}", params=sent).json()["data"]
    answer = http.get("/api/3/chart/a-chart/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    head, *lines = table(answer.text)
    assert head == ["segment", *data["xValues"]]
    assert [[float(cell) for cell in line[1:]] for line in lines] == data["series"]
    found = http.get("/api/3/chart/a-chart/query").json()["data"]
    assert found["series"] == [[{"value": number} for number in series] for series in data["series"]]
    assert {**found, "series": data["series"]} == data


def test_saved_funnels_retentions_and_lifetime_values_have_columns(chart_box: Any) -> None:
    """The other queries are tables with headings of their own."""
    box, http = chart_box
    box.save_chart("f", "funnels", e=[{"event_type": "search"}, {"event_type": "buy"}], g="platform", **MONTH)
    head, *lines = table(http.get("/api/3/chart/f/csv").text)
    assert head[:4] == ["segment", "step", "event", "users"]
    data = http.get("/api/3/chart/f/query").json()["data"]
    assert [line[:4] for line in lines] == [
        [each["groupValue"], str(step), event, str(users)]
        for each in data
        for step, (event, users) in enumerate(zip(each["events"], each["cumulativeRaw"], strict=True), 1)
    ]
    box.save_chart("r", "retention", se={"event_type": "_new"}, re={"event_type": "_all"}, **MONTH)
    head, *lines = table(http.get("/api/3/chart/r/csv").text)
    series = http.get("/api/3/chart/r/query").json()["data"]["series"][0]
    assert head == ["segment", "date", "users", *map(str, range(31))]
    assert [line[1] for line in lines] == series["dates"]
    assert [int(cell) for cell in lines[0][2:]] == [cell["count"] for cell in series["values"][series["dates"][0]]]
    box.save_chart("l", "revenue/ltv", m=2, **MONTH)
    head, *lines = table(http.get("/api/3/chart/l/csv").text)
    assert head[:6] == ["segment", "date", "count", "paid", "total_amount", "r1d"]
    assert len(lines) == 30
    box.save_chart("e", "events/list")
    head, *lines = table(http.get("/api/3/chart/e/csv").text)
    assert head[0] == "value"
    assert [line[0] for line in lines] == ["[Amplitude] Start Session", "buy", "search", "view"]


def test_a_chart_without_a_range_shows_the_last_30_days(chart_box: Any) -> None:
    """Saved without dates a chart moves with the clock."""
    box, http = chart_box
    box.save_chart("moving", "users")
    head, _line = table(http.get("/api/3/chart/moving/csv").text)
    assert (head[1], head[-1], len(head)) == ("2026-04-02", "2026-05-01", 31)


def test_a_chart_may_be_saved_over_http(chart_box: Any) -> None:
    """What runs in another process saves a chart with a request that has the token; one of the same id is replaced."""
    box, http = chart_box
    token = {"authorization": f"Bearer {box.token}"}
    for query in ("users", "realtime"):
        saved = httpx.put(f"{box.url}/sandbox/charts/by-http", json={"query": query}, headers=token, trust_env=False)
        assert saved.status_code == 201
    assert len(table(http.get("/api/3/chart/by-http/csv").text)) == 3
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"query": "funnels"}, "Missing required parameter: e"),
        ({"query": "users", "parameters": 3}, "Invalid parameters: an object is required"),
    ]
    for sent, why in wrong:
        refused = httpx.put(f"{box.url}/sandbox/charts/x", json=sent, headers=token, trust_env=False)
        assert (refused.status_code, refused.json()) == (400, {"error": why})
    assert http.put("/sandbox/charts/x", json={"query": "users"}).status_code == 401


def test_what_is_no_chart_is_refused(chart_box: Any) -> None:
    """An unknown chart is a 404, an unknown query or wrong parameters an error that names them."""
    box, http = chart_box
    for end in ("csv", "query"):
        answer = http.get(f"/api/3/chart/nobody/{end}")
        assert (answer.status_code, answer.json()["error"]["metadata"]["details"]) == (404, "Chart not found")
    with pytest.raises(InvalidArgumentError, match="Unknown query: pies"):
        box.save_chart("x", "pies")
    with pytest.raises(InvalidArgumentError, match="Missing required parameter: e"):
        box.save_chart("x", "funnels")
    with pytest.raises(RuntimeError, match="not running"):
        Sandbox().save_chart("x", "users")


def test_a_saved_chart_is_kept_in_the_store(tmp_path: Any) -> None:
    """A chart is there again when the same file is served."""
    store = f"{tmp_path}/box.sqlite"
    with Sandbox(store=store) as box:
        box.save_chart("kept", "users")
    with Sandbox(store=store) as box:
        assert httpx.get(f"{box.url}/api/3/chart/kept/csv", auth=("sandbox", "sandbox"), trust_env=False).status_code == 200


def test_a_long_table_is_cut_without_a_word(chart_box: Any) -> None:
    """A funnel's table has at most 300 lines below its headings."""
    box, http = chart_box
    box.save_chart("long", "funnels", e=[{"event_type": "search"}] * 310, **DAY)
    assert len(table(http.get("/api/3/chart/long/csv").text)) == 301


def test_a_time_zone_that_nobody_knows_is_refused() -> None:
    """The time zone is looked up when the sandbox is made."""
    with pytest.raises(ConfigurationError, match="Mars/Olympus"):
        Sandbox(timezone="Mars/Olympus")
