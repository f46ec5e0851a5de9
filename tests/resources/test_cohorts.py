"""What calls of cohorts look like, and what becomes of their answers."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import (
    AmplitudeError,
    AsyncAmplitude,
    AuthenticationError,
    Backoff,
    BudgetError,
    ClosedError,
    ExportError,
    InvalidArgumentError,
    JobError,
    Quota,
    RequestTimeoutError,
    ServerError,
    Timeout,
    UnexpectedResponseError,
    Window,
)
from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call
from amplitude_async._protocol.commas import CommaReader
from amplitude_async.resources.cohorts.calls import (
    MAX_IDS,
    cohort_row,
    file_call,
    list_call,
    membership_call,
    request_call,
    status_call,
    upload_call,
    usage_call,
)

if TYPE_CHECKING:
    from collections.abc import Callable

UPLOAD: dict[str, Any] = {"app_id": 510042, "id_type": "BY_USER_ID", "owner": "ops@example.org", "published": True}
ADD = {"ids": ["u-9"], "id_type": "BY_NAME", "operation": "ADD"}
FILE = b'amplitude_id,user_id,plan\r\n77120034,"""u-9""",pro\r\n77120035,,\r\n'
ROWS = [
    {"amplitude_id": 77120034, "user_id": "u-9", "plan": "pro"},
    {"amplitude_id": 77120035, "user_id": None, "plan": ""},
]


def body_of(call: Call) -> Any:
    assert call.body is not None
    return json.loads(call.body.render(""))


# Requests


@pytest.mark.parametrize(
    ("call", "path", "query"),
    [
        (list_call({}), "/api/3/cohorts", ()),
        (list_call({"include_sync_info": False}), "/api/3/cohorts", (("includeSyncInfo", "false"),)),
        (request_call("k3x9q2f", None, None, {}), "/api/5/cohorts/request/k3x9q2f", ()),
        (request_call("k3x9q2f", True, None, {}), "/api/5/cohorts/request/k3x9q2f", (("props", "1"),)),
        (request_call("k3x9q2f", 0, None, {}), "/api/5/cohorts/request/k3x9q2f", (("props", "0"),)),
        (request_call("k", None, "plan", {}), "/api/5/cohorts/request/k", (("props", "1"), ("propKeys", "plan"))),
        (request_call("k", None, None, {"lastComputed": 5}), "/api/5/cohorts/request/k", (("lastComputed", "5"),)),
        (request_call("a/b?c", None, None, {}), "/api/5/cohorts/request/a%2Fb%3Fc", ()),
        (request_call("..", None, None, {}), "/api/5/cohorts/request/%2E%2E", ()),
        (status_call("Qz7Tm2"), "/api/5/cohorts/request-status/Qz7Tm2", ()),
        (file_call("Qz7Tm2"), "/api/5/cohorts/request/Qz7Tm2/file", ()),
        (file_call("../x"), "/api/5/cohorts/request/..%2Fx/file", ()),
        (usage_call(), "/api/3/cohorts/usage", ()),
    ],
)
def test_reads(call: Call, path: str, query: tuple[tuple[str, str], ...]) -> None:
    """Reads are repeatable, carry the project's keys and share the five places of the REST API."""
    assert (call.api, call.method, call.path, call.query) == ("dashboard", "GET", path, query)
    assert (call.credential, call.repeatable) == ("project", True)
    assert Use("rest") in call.uses


def test_what_a_request_uses() -> None:
    """Only the request counts in the quotas of downloads; only the file follows a link."""
    assert request_call("k", None, None, {}).uses == (Use("rest"), Use("cohort_requests"))
    assert file_call("r").uses == status_call("r").uses == (Use("rest"),)
    assert (file_call("r").follows_link, file_call("r").kind) == (True, "stream")
    assert not request_call("k", None, None, {}).follows_link


def test_an_upload() -> None:
    """Everything goes out in Amplitude's spelling; what was left out does not."""
    call = upload_call("Buyers", ["u-1", "u-2"], {**UPLOAD, "cg": None, "skip_save": None})
    assert (call.method, call.path, call.uses) == ("POST", "/api/3/cohorts/upload", (Use("rest"),))
    assert body_of(call) == {"name": "Buyers", "ids": ["u-1", "u-2"], **UPLOAD}
    everything = {"cg": "org", "skip_save": True, "skip_invalid_ids": False, "existing_cohort_id": "p8w1c5n", "own": 1}
    assert body_of(upload_call("Buyers", ["u-1"], {**UPLOAD, **everything})) == {
        "name": "Buyers",
        "ids": ["u-1"],
        **UPLOAD,
        **everything,
    }


@pytest.mark.parametrize(
    ("fields", "repeatable"),
    [({}, False), ({"skip_save": False}, False), ({"skip_save": True}, True), ({"existing_cohort_id": "p8w1c5n"}, True)],
)
def test_when_an_upload_may_be_repeated(fields: dict[str, Any], repeatable: bool) -> None:
    """A plain one might make a second cohort; one that replaces, or saves nothing, does no harm."""
    assert upload_call("Buyers", ["u-1"], {**UPLOAD, **fields}).repeatable is repeatable


@pytest.mark.parametrize(
    ("name", "ids", "fields", "argument"),
    [
        ("", ["u"], {}, "name"),
        (" ", ["u"], {}, "name"),
        ("x", [], {}, "ids"),
        ("x", [""], {}, "ids[0]"),
        ("x", ["u", " "], {}, "ids[1]"),
        ("x", ["u", "*"], {}, "ids[1]"),
        ("x", ["u", "\ud800"], {}, "ids[1]"),
        ("x", ["u", "\u2003"], {}, "ids[1]"),
        ("x", ["u", None], {}, "ids[1]"),
        ("x", ["u"] * (MAX_IDS + 1), {}, "ids"),
        ("x", ["u"], {"app_id": None}, "app_id"),
        ("x", ["u"], {"app_id": "many"}, "app_id"),
        ("x", ["u"], {"app_id": 0}, "app_id"),
        ("x", ["u"], {"id_type": "BY_NAME"}, "id_type"),
        ("x", ["u"], {"id_type": None}, "id_type"),
        ("x", ["u"], {"owner": ""}, "owner"),
        ("x", ["u"], {"published": None}, "published"),
        ("x", ["u"], {"published": "yes"}, "published"),
        ("x", ["u"], {"skip_save": "yes"}, "skip_save"),
        ("x", ["u"], {"existing_cohort_id": ""}, "existing_cohort_id"),
        ("x", ["u"], {"extra": b"x"}, "extra"),
    ],
)
def test_uploads_that_are_refused(name: Any, ids: Any, fields: dict[str, Any], argument: str) -> None:
    """By the name of what is wrong, before anything is sent."""
    with pytest.raises(InvalidArgumentError) as caught:
        upload_call(name, ids, {**UPLOAD, **fields})
    assert caught.value.argument == argument


def test_100_000_ids_are_one_request() -> None:
    """The documented limit is taken, of text and of numbers alike."""
    assert len(body_of(upload_call("x", [f"u-{n}" for n in range(MAX_IDS)], UPLOAD))["ids"]) == MAX_IDS
    assert body_of(upload_call("x", (n for n in (1, 2)), UPLOAD))["ids"] == ["1", "2"]


def test_a_change_of_members() -> None:
    """Operations go out as they are, in their order; it may be repeated."""
    remove = {"ids": [1, "2"], "id_type": "BY_ID", "operation": "REMOVE"}
    call = membership_call("p8w1c5n", [ADD, remove], {"count_group": None, "skip_invalid_ids": False})
    assert (call.method, call.path, call.repeatable) == ("POST", "/api/3/cohorts/membership", True)
    assert body_of(call) == {
        "cohort_id": "p8w1c5n",
        "skip_invalid_ids": False,
        "memberships": [ADD, {**remove, "ids": ["1", "2"]}],
    }
    assert body_of(membership_call("p", ADD, {}))["memberships"] == [ADD]


@pytest.mark.parametrize(
    ("cohort_id", "memberships", "argument"),
    [
        ("", [ADD], "cohort_id"),
        ("p", [], "memberships"),
        ("p", None, "memberships"),
        ("p", "ADD", "memberships"),
        ("p", ["ADD"], "memberships[0]"),
        ("p", [ADD, {**ADD, "ids": []}], "memberships[1].ids"),
        ("p", [{**ADD, "ids": [" "]}], "memberships[0].ids[0]"),
        ("p", [{**ADD, "id_type": "BY_USER_ID"}], "memberships[0].id_type"),
        ("p", [{**ADD, "operation": "add"}], "memberships[0].operation"),
        ("p", [{**ADD, "ids": ["u"] * 60_000}, {**ADD, "ids": ["u"] * 40_001}], "memberships"),
    ],
)
def test_changes_that_are_refused(cohort_id: Any, memberships: Any, argument: str) -> None:
    """By the name of what is wrong, before anything is sent; the limit is for all operations together."""
    with pytest.raises(InvalidArgumentError) as caught:
        membership_call(cohort_id, memberships, {})
    assert caught.value.argument == argument


@pytest.mark.parametrize("blank", ["", " ", None, 0, []])
def test_blank_ids_are_refused(blank: Any) -> None:
    """Nothing is asked for nobody."""
    builders: list[tuple[Callable[[], Call], str]] = [
        (lambda: request_call(blank, None, None, {}), "cohort_id"),
        (lambda: status_call(blank), "request_id"),
        (lambda: file_call(blank), "request_id"),
    ]
    for build, argument in builders:
        with pytest.raises(InvalidArgumentError) as caught:
            build()
        assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("props", "keys", "argument"),
    [(False, ["plan"], "prop_keys"), (None, [], "prop_keys"), (2, None, "props"), (None, [""], "prop_keys[0]")],
)
def test_properties_that_contradict_are_refused(props: Any, keys: Any, argument: str) -> None:
    """Named properties mean that properties are wanted."""
    with pytest.raises(InvalidArgumentError) as caught:
        request_call("k", props, keys, {})
    assert caught.value.argument == argument


# Answers

LIST = {
    "cohorts": [
        {
            "appId": 510042,
            "archived": False,
            "definition": {
                "version": 3,
                "countGroup": {"name": "User", "is_computed": False},
                "cohortType": "UNIQUES",
                "andClauses": [
                    {"negated": False, "orClauses": [{"type": "event", "time_type": "rolling", "group_by": [], "metric": None}]}
                ],
                "referenceFrameTimeParams": {},
            },
            "description": "bought three times",
            "id": "k3x9q2f",
            "name": "Repeat buyers",
            "owners": ["ops@example.org"],
            "size": 1873,
            "lastMod": 1769990400,
            "metadata": None,
            "view_count": None,
            "syncMetadata": [
                {"target": "braze", "frequency": "hourly", "last_failure": None, "params": {"user_id": "ops@example.org"}}
            ],
            "later": {"key": 1},
        }
    ],
    "later": 1,
}


@pytest.mark.parametrize(
    ("call", "answer", "read"),
    [
        (list_call({}), LIST, LIST),
        (request_call("k", None, None, {}), {"request_id": "Qz7Tm2", "cohort_id": "k"}, {"request_id": "Qz7Tm2", "cohort_id": "k"}),
        (request_call("k", None, None, {}), {"request_id": 7}, {"request_id": "7"}),
        (request_call("k", None, None, {}), {"requestId": "Q"}, {"requestId": "Q", "request_id": "Q"}),
        (status_call("Q"), {"async_status": "JOB INPROGRESS", "x": 1}, {"async_status": "JOB INPROGRESS", "x": 1}),
        (
            upload_call("x", ["u"], UPLOAD),
            {"cohortId": "p8w1c5n", "metadata": {"matched": 998, "totals": 1000, "invalid_ids_sample": ["u-x1", "u-x2"]}},
            {
                "cohortId": "p8w1c5n",
                "cohort_id": "p8w1c5n",
                "metadata": {"matched": 998, "totals": 1000, "invalid_ids_sample": ["u-x1", "u-x2"]},
            },
        ),
        (upload_call("x", ["u"], UPLOAD), {"cohort_id": "p8w1c5n"}, {"cohort_id": "p8w1c5n"}),
        (upload_call("x", ["u"], UPLOAD), {"metadata": {"matched": 1}}, {"metadata": {"matched": 1}}),
        (
            membership_call("p", ADD, {}),
            {"cohort_id": "p", "memberships_result": [{"skipped_ids": ["u-10"], "id_type": "BY_NAME", "operation": "REMOVE"}]},
            {"cohort_id": "p", "memberships_result": [{"skipped_ids": ["u-10"], "id_type": "BY_NAME", "operation": "REMOVE"}]},
        ),
        (
            usage_call(),
            {"rest_download": {"limit": 500, "usage": 12, "resets_at": "2026-12-01"}},
            {"rest_download": {"limit": 500, "usage": 12, "resets_at": "2026-12-01"}},
        ),
        (usage_call(), {"limit": 500, "count": 12}, {"limit": 500, "count": 12, "rest_download": {"limit": 500, "usage": 12}}),
        (
            usage_call(),
            {"rest_download": {"limit": 500, "count": 12}},
            {"rest_download": {"limit": 500, "count": 12, "usage": 12}},
        ),
        (
            usage_call(),
            {"limit": 5, "usage": 1, "resets_at": "x"},
            {"limit": 5, "usage": 1, "resets_at": "x", "rest_download": {"limit": 5, "usage": 1, "resets_at": "x"}},
        ),
    ],
)
def test_answers_are_read_without_loss(call: Call, answer: Any, read: Any) -> None:
    """Unknown keys survive, and of two spellings the documented one is always there."""
    assert call.reads(json.dumps(answer).encode()) == read


@pytest.mark.parametrize(
    "call", [list_call({}), request_call("k", None, None, {}), status_call("r"), membership_call("p", ADD, {}), usage_call()]
)
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"<html>", b'{"request_id":null}', b'{"async_status":5}', b'{"cohorts":{}}']
)
def test_answers_that_say_nothing_are_none(call: Call, body: bytes) -> None:
    """Without what it is for, an answer is never a success."""
    with pytest.raises(ValueError):
        call.reads(body)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("amplitude_id,user_id\n77120034,u-9\n", [{"amplitude_id": 77120034, "user_id": "u-9"}]),
        ('amplitude_id,user_id\n77120034,"""u-9"""\n', [{"amplitude_id": 77120034, "user_id": "u-9"}]),
        ('amplitude_id,user_id\n"""77120034""","u,9"\n', [{"amplitude_id": 77120034, "user_id": "u,9"}]),
        ('amplitude_id,user_id\n77120034,""""""\n', [{"amplitude_id": 77120034, "user_id": None}]),
        ("amplitude_id,user_id\n77120034,\n", [{"amplitude_id": 77120034, "user_id": None}]),
        ('user_id,amplitude_id\n"a""b",x1\n', [{"user_id": 'a"b', "amplitude_id": "x1"}]),
        ("user_id,plan\nu-9,pro\n", [{"user_id": "u-9", "plan": "pro"}]),
        ("group\nacme\n", [{"group": "acme"}]),
        ('amplitude_id,user_id,n\n1,u,"[1,2]"\n', [{"amplitude_id": 1, "user_id": "u", "n": "[1,2]"}]),
        ("amplitude_id,user_id\n" + "9" * 30 + ",u\n", [{"amplitude_id": "9" * 30, "user_id": "u"}]),
        ('amplitude_id,user_id\n1,"""\n"\n', [{"amplitude_id": 1, "user_id": '"\n'}]),
    ],
)
def test_members_of_a_file(text: str, rows: list[dict[str, Any]]) -> None:
    """Quotes of their own are taken off ids, once; Amplitude ids are numbers, and nobody's user id is None."""
    reader = CommaReader()
    cells = reader.feed(text.encode()) + reader.finish()
    make = cohort_row(reader.header or [])
    assert [make(row) for row in cells] == rows


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), st.integers(1, 2**63 - 1))
def test_any_user_id_comes_back(user_id: str, amplitude_id: int) -> None:
    """With an extra pair of quotes around it, as has been seen, every id is the one that was tracked."""
    assert cohort_row(["amplitude_id", "user_id"])([str(amplitude_id), f'"{user_id}"']) == {
        "amplitude_id": amplitude_id,
        "user_id": user_id,
    }


# Jobs, on a clock that goes on when somebody sleeps


class World:
    """Amplitude, played by a rule, and a clock."""

    def __init__(self, looks: int = 0, file: bytes = FILE, headers: dict[str, str] | None = None) -> None:
        self.now = 1000.0
        self.looks_left = looks
        self.file = file
        self.headers = {"Content-Type": "text/csv", **(headers or {})}
        self.asked: list[str] = []
        self.pauses: list[float] = []
        self.states = ["JOB INPROGRESS", "JOB COMPLETED"]
        self.faults: list[int] = []
        self.seconds = 0.1

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        if seconds:
            self.pauses.append(seconds)
        self.now += seconds

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.now += self.seconds
        path = request.url.path
        self.asked.append(path)
        if "request-status" in path:
            if self.faults:
                return httpx.Response(self.faults.pop(0), json={"error": "no"})
            is_done = self.looks_left <= 0
            self.looks_left -= 1
            return httpx.Response(200 if is_done else 202, json={"async_status": self.states[is_done]})
        if path.endswith("/file"):
            return httpx.Response(200, headers=self.headers, content=self.file)
        return httpx.Response(202, json={"request_id": "Qz7Tm2", "cohort_id": "k3x9q2f"})

    def client(self, http_client: httpx.AsyncClient, **options: Any) -> AsyncAmplitude:
        backoff = Backoff(clock=lambda: self.now, sleep=self.sleep, jitter=lambda limit: limit)
        return AsyncAmplitude("key", secret_key="secret", http_client=http_client, backoff=backoff, max_retries=0, **options)

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    @property
    def looks(self) -> int:
        return sum("request-status" in path for path in self.asked)


@pytest.mark.anyio
@pytest.mark.parametrize("looks", [0, 1, 3, 12])
async def test_a_download_is_one_awaitable(looks: int) -> None:
    """It asks, looks at growing pauses, and reads the file; rows come all at once."""
    world = World(looks)
    async with world.http() as http, world.client(http) as amplitude:
        download = amplitude.cohorts.download("k3x9q2f")
        assert download.request_id is None
        assert world.asked == []
        assert await download == ROWS
        assert download.request_id == "Qz7Tm2"
    assert world.asked[0] == "/api/5/cohorts/request/k3x9q2f"
    assert world.asked[-1] == "/api/5/cohorts/request/Qz7Tm2/file"
    assert world.looks == looks + 1
    assert world.pauses == pytest.approx([min(1.5**n, 60.0) for n in range(looks)])


@pytest.mark.anyio
async def test_rows_one_by_one() -> None:
    """The same download gives its rows one by one, again and again, and asks for one file only once."""
    world = World(1)
    async with world.http() as http, world.client(http) as amplitude:
        download = amplitude.cohorts.download("k3x9q2f", props=True)
        assert [row async for row in download] == ROWS
        assert [row async for row in download] == ROWS
        assert await download == ROWS
        async with download.rows() as rows:
            assert await anext(rows) == ROWS[0]
            assert await rows.next_batch() == ROWS[1:]
            assert await rows.next_batch() is None
            assert [row async for row in rows] == []
    assert world.asked.count("/api/5/cohorts/request/k3x9q2f") == 1
    assert world.looks == 2
    assert world.asked.count("/api/5/cohorts/request/Qz7Tm2/file") == 4


@pytest.mark.anyio
@pytest.mark.parametrize("timeout", [600.0, 60.0, 10.0, 3.0])
async def test_a_job_that_never_ends(timeout: float) -> None:
    """Looks stay few and end with the deadline; the error names the request and how to go on (F11)."""
    world = World(10**9)
    async with world.http() as http, world.client(http) as amplitude:
        download = amplitude.cohorts.download("k3x9q2f", timeout=timeout)
        with pytest.raises(RequestTimeoutError, match=re.escape("cohorts.download(request_id='Qz7Tm2')")) as caught:
            await download
    assert caught.value.job_id == download.request_id == "Qz7Tm2"
    assert world.looks <= 25
    assert world.looks >= 2
    assert world.now <= 1000.0 + timeout + 1.0
    assert world.now >= 1000.0 + timeout / 2
    # The last look comes shortly before the deadline, whenever that is.
    assert world.pauses[:-1] == pytest.approx([min(1.5**n, 60.0) for n in range(len(world.pauses) - 1)])


@pytest.mark.anyio
async def test_a_job_is_resumed_by_its_request() -> None:
    """Who knows the request goes on with it, without asking for another."""
    world = World(2)
    async with world.http() as http, world.client(http) as amplitude:
        assert await amplitude.cohorts.download(request_id="Qz7Tm2") == ROWS
        assert "/api/5/cohorts/request/k3x9q2f" not in world.asked
        assert await amplitude.cohorts.file("Qz7Tm2") == ROWS
        assert world.looks == 3
        extras: list[dict[str, Any]] = [{"cohort_id": "k"}, {"props": True}, {"prop_keys": ["a"]}, {"more": 1}]
        for extra in extras:
            with pytest.raises(InvalidArgumentError) as caught:
                amplitude.cohorts.download(request_id="Qz7Tm2", **extra)
            assert caught.value.argument == next(iter(extra))
        with pytest.raises(InvalidArgumentError):
            amplitude.cohorts.download()


@pytest.mark.anyio
@pytest.mark.parametrize("state", ["JOB FAILED", "ERROR", "JOB CANCELLED", ""])
async def test_a_job_that_failed(state: str) -> None:
    """What is neither running nor done has failed; nobody waits for it, and it says what Amplitude said."""
    world = World(5)
    world.states[0] = state
    async with world.http() as http, world.client(http) as amplitude:
        with pytest.raises(JobError, match="Qz7Tm2") as caught:
            await amplitude.cohorts.download("k3x9q2f")
    assert (caught.value.job_id, caught.value.reason) == ("Qz7Tm2", state)
    assert world.looks == 1


@pytest.mark.anyio
@pytest.mark.parametrize("state", ["JOB IN PROGRESS", "job inprogress", "JOB_INPROGRESS"])
async def test_other_spellings_of_running(state: str) -> None:
    """The documented spelling is odd enough to be mended one day."""
    world = World(2)
    world.states = [state, "job completed"]
    async with world.http() as http, world.client(http) as amplitude:
        assert await amplitude.cohorts.download("k3x9q2f") == ROWS


@pytest.mark.anyio
async def test_looks_that_fail_are_taken_again() -> None:
    """A bad minute does not end a job; five bad looks in a row do."""
    world = World(1)
    world.faults = [500, 503, 502, 429]
    async with world.http() as http, world.client(http) as amplitude:
        assert await amplitude.cohorts.download("k3x9q2f") == ROWS
        world.faults = [500] * 5
        with pytest.raises(ServerError):
            await amplitude.cohorts.download("k3x9q2f")
        world.faults = [404]
        with pytest.raises(AmplitudeError, match="404"):
            await amplitude.cohorts.download("k3x9q2f")


@pytest.mark.anyio
async def test_the_quota_of_requests_is_kept_here() -> None:
    """Four requests a minute: the fifth waits for room, or says at once that there is none."""
    world = World()
    async with world.http() as http, world.client(http) as amplitude:
        for _ in range(4):
            await amplitude.cohorts.request("k3x9q2f")
        began = world.now
        assert await amplitude.cohorts.download("k3x9q2f") == ROWS
        assert world.now - began == pytest.approx(60, abs=2)
        for _ in range(3):
            await amplitude.cohorts.request("k3x9q2f")
        with pytest.raises(BudgetError):
            await amplitude.with_options(when_limited="raise").cohorts.download("k3x9q2f")
        with pytest.raises(BudgetError):
            await amplitude.cohorts.download("k3x9q2f", timeout=5)
        # Looking and reading takes nothing of it.
        assert await amplitude.cohorts.file("Qz7Tm2") == ROWS


@pytest.mark.anyio
async def test_a_refusal_while_waiting_names_the_request() -> None:
    """Whatever error ends a download that was asked for, its ``job_id`` is the request to go on with."""
    world = World(10**9)
    async with world.http() as http, world.client(http) as amplitude:
        world.faults = [500, 403]
        with pytest.raises(AuthenticationError) as caught:
            await amplitude.cohorts.download("k3x9q2f")
    assert caught.value.job_id == "Qz7Tm2"


@pytest.mark.parametrize("timeout", [None, 0, -1, float("inf"), float("nan"), "5"])
def test_a_download_has_a_limit(timeout: Any) -> None:
    """No limit is no number of seconds; it is refused, and never read as "do not wait for the job"."""
    amplitude = AsyncAmplitude("key", secret_key="secret")
    ways: tuple[dict[str, Any], ...] = ({"cohort_id": "k3x9q2f"}, {"request_id": "Qz7Tm2"})
    for way in ways:
        with pytest.raises(InvalidArgumentError, match="timeout"):
            amplitude.cohorts.download(**way, timeout=timeout)


@pytest.mark.anyio
async def test_cancelling_a_download_ends_its_waiting() -> None:
    """Whoever stops waiting is let go; the job goes on at Amplitude, and can be resumed."""
    world = World(10**9)
    asked_enough = anyio.Event()

    async def sleep(seconds: float) -> None:
        if world.looks >= 3:
            asked_enough.set()
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()

    world.sleep = sleep  # type: ignore[method-assign]  # a wait that does not end
    async with world.http() as http, world.client(http) as amplitude:
        download = amplitude.cohorts.download("k3x9q2f")
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                await download

            group.start_soon(wait)
            await asked_enough.wait()
            group.cancel_scope.cancel()
        assert download.request_id == "Qz7Tm2"
        assert amplitude._caller.tasks.alive == 0


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), True, "10"])
def test_a_timeout_is_a_number_of_seconds(timeout: Any) -> None:
    """Refused by name, before anything is sent."""
    with pytest.raises(InvalidArgumentError) as caught:
        AsyncAmplitude("key", secret_key="secret").cohorts.download("k", timeout=timeout)
    assert caught.value.argument == "timeout"


# Files


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("file", "headers"),
    [
        (FILE, {}),
        (gzip.compress(FILE, mtime=0), {"Content-Type": "application/gzip"}),
        (gzip.compress(FILE[:30], mtime=0) + gzip.compress(FILE[30:], mtime=0), {"Content-Type": "binary/octet-stream"}),
        (b"\xef\xbb\xbf" + FILE, {}),
        (b"\r\n\r\n" + FILE, {}),
        (FILE.replace(b"\r\n", b"\n")[:-1], {}),
    ],
)
async def test_files_that_are_read(file: bytes, headers: dict[str, str]) -> None:
    """Packed or not, with or without a mark and a last line end."""
    world = World(file=file, headers=headers)
    async with world.http() as http, world.client(http) as amplitude:
        assert await amplitude.cohorts.file("r") == ROWS
        assert [row async for row in amplitude.cohorts.file("r")] == ROWS


@pytest.mark.anyio
@pytest.mark.parametrize(
    "file", [b"amplitude_id,user_id\n", b"amplitude_id,user_id", gzip.compress(b"amplitude_id,user_id\r\n", mtime=0)]
)
async def test_a_cohort_of_nobody(file: bytes) -> None:
    """A header alone is a file without rows."""
    world = World(file=file)
    async with world.http() as http, world.client(http) as amplitude:
        assert await amplitude.cohorts.file("r") == []
        assert [row async for row in amplitude.cohorts.file("r")] == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "file", [b"", b" \n", b"<html>log in</html>", b" \xef\xbb\xbf<?xml version='1.0'?>", b'{"error":"no"}', b"[]", b"\x1f"]
)
async def test_what_is_no_file(file: bytes) -> None:
    """A page, an error or nothing in place of a file is never a cohort of nobody."""
    world = World(file=file)
    async with world.http() as http, world.client(http) as amplitude:
        with pytest.raises(UnexpectedResponseError, match="not with a CSV file"):
            await amplitude.cohorts.file("r")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("file", "line"),
    [
        (b"amplitude_id,user_id\n1,u\n2\n", 3),
        (b'amplitude_id,user_id\n1,u\n2,"x', 3),
        (b"amplitude_id,user_id\n1,\xff\n", 2),
        (gzip.compress(b"amplitude_id,user_id\n1,u\n" * 1000, mtime=0)[:-9], None),
        (gzip.compress(FILE, mtime=0) + b"more", None),
    ],
)
async def test_a_file_that_is_damaged(file: bytes, line: int | None) -> None:
    """Cut, ragged or in another encoding: an error that names the line, and never a shorter list."""
    world = World(file=file)
    async with world.http() as http, world.client(http) as amplitude:
        for read in (False, True):
            with pytest.raises(ExportError) as caught:
                if read:
                    await amplitude.cohorts.file("r")
                else:
                    async for _ in amplitude.cohorts.file("r"):
                        pass
            assert line is None or caught.value.line == line
            assert caught.value.request is not None


@pytest.mark.anyio
async def test_a_download_that_was_closed_is_no_short_success() -> None:
    """Who closes in the middle, and reads on, is told."""
    world = World()
    async with world.http() as http, world.client(http) as amplitude:
        rows = amplitude.cohorts.file("r").rows()
        assert await anext(rows) == ROWS[0]
        await rows.aclose()
        with pytest.raises(ClosedError):
            await anext(rows)
        rows = amplitude.cohorts.file("r").rows()
        await rows.aclose()
        with pytest.raises(ClosedError):
            await rows.next_batch()


@pytest.mark.anyio
async def test_own_quotas_replace_the_documented_ones() -> None:
    """A plan with another allowance says so once, at construction."""
    world = World()
    quotas: Any = {"cohort_requests": Quota(windows=(Window(1, 10.0),))}
    async with world.http() as http, world.client(http, quotas=quotas, timeout=Timeout(call=5.0)) as amplitude:
        await amplitude.cohorts.request("k")
        with pytest.raises(BudgetError):
            await amplitude.cohorts.request("k")
