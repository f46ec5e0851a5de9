"""Queries: credentials, search, activity, segmentation against a computation of its own, exports bit by bit."""

from __future__ import annotations

import gzip
import io
import json
import random
import socket
import struct
import zipfile

import httpx
import pytest
import trio

from amplitude_async.errors import ConfigurationError
from amplitude_async.sandbox import Sandbox

from .conftest import NOON, Clock
from .test_uploads import GOOD, upload

DAY = {"start": "20260501", "end": "20260501"}


@pytest.mark.parametrize(
    ("header", "status"), [(None, 401), ("Bearer x", 401), ("Basic ???", 401), ("Basic eDp5", 403), ("Basic c2FuZGJveDp4", 403)]
)
def test_credentials_are_required(box: Sandbox, header: str | None, status: int) -> None:
    """No usable header is a 401, wrong credentials a 403, in the dashboard's envelope."""
    headers = {"authorization": header} if header else {}
    answer = httpx.get(f"{box.url}/api/2/usersearch?user=x", headers=headers)
    assert (answer.status_code, answer.json()["error"]["http_code"]) == (status, status)


def test_search_finds_by_id_amplitude_id_and_prefix(http: httpx.Client) -> None:
    """Each way of matching has its type."""
    upload(http, [{**GOOD, "device_id": "device-1"}])
    found = http.get("/api/2/usersearch", params={"user": "ada@example.org"}).json()
    number = found["matches"][0]["amplitude_id"]
    types = [http.get("/api/2/usersearch", params={"user": text}).json()["type"] for text in ("device-1", number, "ada", "zoe")]
    assert found["type"] == "match_user_or_device_id"
    assert types == ["match_user_or_device_id", "match_amplitude_id", "match_user_prefix", "nomatch"]


@pytest.mark.parametrize("user", ["77", "cant-find-me", "9" * 40])
def test_activity_of_nobody_is_zeroes(http: httpx.Client, user: str) -> None:
    """An unknown id answers 200 with eleven zeroed keys and no events."""
    answer = http.get("/api/2/useractivity", params={"user": user}).json()
    assert len(answer["userData"]) == 11
    assert (answer["userData"]["num_events"], answer["userData"]["user_id"], answer["events"]) == (0, None, [])


def test_activity_pages_through_events(http: httpx.Client) -> None:
    """Offset, limit and direction choose the page, and a session is never cut."""
    times = [int(NOON * 1000) + index for index in range(6)]
    sessions = [-1, -1, 5, 5, 5, -1]
    upload(http, [{**GOOD, "event_type": f"e{i}", "time": times[i], "session_id": sessions[i]} for i in range(6)])
    number = http.get("/api/2/usersearch", params={"user": "ada@example.org"}).json()["matches"][0]["amplitude_id"]

    def page(**params: object) -> list[str]:
        answer = http.get("/api/2/useractivity", params={"user": number, **params})  # type: ignore[dict-item]
        return [row["event_type"] for row in answer.json()["events"]]

    assert page() == ["e5", "e4", "e3", "e2", "e1", "e0"]
    assert page(limit=2) == ["e5", "e4", "e3", "e2"]
    assert page(offset=1, limit=1, direction="earliest") == ["e1"]


def test_segmentation_agrees_with_counting_by_hand(http: httpx.Client) -> None:
    """Totals and uniques per hour, filtered and grouped, are what plain counting gives."""
    chance = random.Random(7)
    midnight = int(NOON * 1000) - 12 * 3_600_000
    events = [
        {
            "user_id": f"user-{chance.randrange(20)}",
            "event_type": chance.choice(["buy", "look"]),
            "time": midnight + chance.randrange(86_400_000),
            "event_properties": {"n": chance.randrange(5)},
            "platform": chance.choice(["iOS", "Web"]),
        }
        for _ in range(500)
    ]
    upload(http, events).raise_for_status()
    chosen = {
        "event_type": "buy",
        "filters": [{"subprop_type": "event", "subprop_key": "n", "subprop_op": "greater", "subprop_value": [1]}],
    }
    for metric in ("totals", "uniques"):
        params = {**DAY, "e": json.dumps(chosen), "m": metric, "g": "platform", "i": "-3600000"}
        data = http.get("/api/2/events/segmentation", params=params).json()["data"]
        assert sorted(data["seriesLabels"]) == ["Web", "iOS"]
        for label, series, whole in zip(data["seriesLabels"], data["series"], data["seriesCollapsed"], strict=True):
            meant = [e for e in events if e["event_type"] == "buy" and e["event_properties"]["n"] > 1 and e["platform"] == label]  # type: ignore[index]
            hours = [[e["user_id"] for e in meant if (e["time"] - midnight) // 3_600_000 == hour] for hour in range(24)]  # type: ignore[operator]
            people = [user for hour in hours for user in hour]
            assert series == [len(hour if metric == "totals" else set(hour)) for hour in hours]
            assert whole[0]["value"] == len(people if metric == "totals" else set(people))


def test_segments_compare_users(http: httpx.Client) -> None:
    """Each repeated s is a series of its own: by property and by what was done."""
    upload(http, [{**GOOD, "country": "Norway"}, {**GOOD, "country": "Norway"}, {**GOOD, "user_id": "bob@example.org"}])
    segments = [
        '[{"prop":"country","op":"is","values":["Norway"]}]',
        '[{"prop":"country","op":"is","values":["(none)"]}]',
        '[{"type":"event","event_type":"hello","op":">=","value":2,"filters":[],"time_type":"allTime"}]',
    ]
    params = {**DAY, "e": '{"event_type":"hello"}', "m": "totals", "s": segments}
    data = http.get("/api/2/events/segmentation", params=params).json()["data"]
    assert data["series"] == [[2], [1], [2]]


@pytest.mark.parametrize(
    "params",
    [
        {**DAY},
        {**DAY, "e": "nope"},
        {"e": '{"event_type":"a"}', "start": "20260502", "end": "20260501"},
        {"e": '{"event_type":"a"}', "start": "yesterday", "end": "20260501"},
        {"e": '{"event_type":"a"}', "start": "99991231", "end": "99991231"},
        {"e": '{"event_type":"a"}', "start": "00010101", "end": "00010101", "i": "7"},
        {**DAY, "e": '{"event_type":"a"}', "i": "2"},
        {**DAY, "e": '{"event_type":"a"}', "m": "guess"},
        {"e": '{"event_type":"a"}', "start": "20260401", "end": "20260501", "i": "-300000"},
        {**DAY, "e": '{"event_type":"a","filters":[{"subprop_op":[]}]}'},
    ],
)
def test_a_malformed_segmentation_is_a_400(http: httpx.Client, params: dict[str, str]) -> None:
    """What is missing or malformed is answered with the 400 envelope."""
    answer = http.get("/api/2/events/segmentation", params=params)
    assert (answer.status_code, answer.json()["error"]["http_code"]) == (400, 400)


def test_an_unknown_event_is_zeroes_or_a_400_when_strict(http: httpx.Client, clock: Clock) -> None:
    """A misspelt event name answers zeros; a strict sandbox refuses it, and refuses queries beyond the cost."""
    params = {**DAY, "e": '{"event_type":"tpyo"}'}
    assert http.get("/api/2/events/segmentation", params=params).json()["data"]["series"] == [[0]]
    with Sandbox(strict=True, clock=clock) as box, httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox")) as strict:
        assert strict.get("/api/2/events/segmentation", params=params).status_code == 400
        dear = {**params, "start": "20250601", "g": "platform"}
        assert strict.get("/api/2/events/segmentation", params=dear).status_code == 429


def test_an_export_is_laid_out_as_recorded_ones(http: httpx.Client, box: Sandbox, clock: Clock) -> None:
    """Members are stored, with sizes behind the data, one per upload hour, of compact alphabetical rows."""
    upload(http, [GOOD, {**GOOD, "time": 1}])
    clock.now += 3600
    upload(http, [GOOD])
    answer = http.get("/api/2/export", params={"start": "20260501T12", "end": "20260501T13"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-length"] == str(len(answer.content))
    signature, _version, flags, method = struct.unpack("<IHHH", answer.content[:10])
    assert (signature, flags & 8, method) == (0x04034B50, 8, 0)
    assert struct.unpack("<III", answer.content[14:26]) == (0, 0, 0)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as zipped:
        project = box.project_id
        assert zipped.namelist() == [f"{project}/{project}_2026-05-01_{hour}#0.json.gz" for hour in (12, 13)]
        texts = [gzip.decompress(zipped.read(name)).decode() for name in zipped.namelist()]
    assert [text.count("\n") for text in texts] == [2, 1]
    for line in "".join(texts).splitlines():
        row = json.loads(line)
        assert list(row) == sorted(row)
        assert len(row) == 55
        assert line == json.dumps(row, separators=(",", ":"), ensure_ascii=False)
    only = http.get("/api/2/export", params={"start": "20260501T13", "end": "20260501T13"})
    with zipfile.ZipFile(io.BytesIO(only.content)) as zipped:
        assert len(zipped.namelist()) == 1


@pytest.mark.parametrize(
    ("start", "end", "status"),
    [
        ("20260501T12", "20260501T12", 404),
        ("20260501", "20260501T01", 400),
        ("20260501T2", "20260501T01", 400),
        ("20240501T00", "20260501T01", 400),
        ("20260230T00", "20260301T00", 400),
    ],
)
def test_an_export_without_rows_or_sense_is_refused(http: httpx.Client, start: str, end: str, status: int) -> None:
    """Nothing in the range is a 404, a malformed or overlong range a 400, each in the envelope."""
    answer = http.get("/api/2/export", params={"start": start, "end": end})
    assert (answer.status_code, answer.json()["error"]["http_code"]) == (status, status)


def test_an_export_waits_for_its_delay(clock: Clock) -> None:
    """With the delay on, an hour can be exported two hours after its end."""
    hour = {"start": "20260501T12", "end": "20260501T12"}
    with (
        Sandbox(clock=clock, export_delay=7200) as box,
        httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox")) as http,
    ):
        upload(http, [GOOD])
        clock.now = NOON + 3 * 3600 - 1
        assert http.get("/api/2/export", params=hour).status_code == 404
        clock.now += 1
        assert http.get("/api/2/export", params=hour).status_code == 200


def test_a_store_in_a_file_outlives_the_sandbox(tmp_path: object) -> None:
    """What was sent is there again when the same file is served."""
    store = f"{tmp_path}/box.sqlite"
    for expected in ("nomatch", "match_user_or_device_id"):
        with Sandbox(store=store) as box, httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox")) as http:
            assert http.get("/api/2/usersearch", params={"user": "ada@example.org"}).json()["type"] == expected
            upload(http, [GOOD])


def test_only_loopback_is_served_unless_told_otherwise() -> None:
    """Another host needs an explicit flag."""
    with pytest.raises(ConfigurationError):
        Sandbox(host="0.0.0.0")  # noqa: S104 - refused, which is the point
    Sandbox(host="0.0.0.0", allow_remote=True)  # noqa: S104 - only constructed


def test_malformed_http_does_not_break_it(http: httpx.Client, box: Sandbox) -> None:
    """After nonsense on other connections the next proper request is answered."""
    port = int(box.url.rsplit(":", 1)[1])
    for nonsense in (
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000,
        b"POST /2/httpapi HTTP/1.1\r\nContent-Length: 50\r\n\r\n{",
    ):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            try:
                connection.sendall(nonsense)
            except OSError:
                continue  # it hung up in the middle, as it may
    assert upload(http, [GOOD]).status_code == 200


def test_it_serves_a_trio_program() -> None:
    """The async form works on trio as well: the server has its own thread and loop."""

    async def main() -> int:
        async with Sandbox() as box, httpx.AsyncClient(verify=False, base_url=box.url) as http:
            return (await http.post("/2/httpapi", json={"api_key": "sandbox", "events": [GOOD]})).status_code

    assert trio.run(main) == 200
