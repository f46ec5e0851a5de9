"""Cohorts, from upload to rows, over the sandbox."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest

from amplitude_async import (
    AsyncAmplitude,
    Backoff,
    BadRequestError,
    Event,
    ExportError,
    NotFoundError,
    Quota,
    RateLimitedError,
    RequestTimeoutError,
    ResponseError,
    Segment,
    TransportError,
    Window,
)
from amplitude_async.sandbox import Limits, Sandbox

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
from scripted import Connection, ScriptedServer

pytestmark = pytest.mark.anyio

MINE: dict[str, Any] = {"app_id": 612_345, "owner": "ops@example.org", "published": True}
FREELY: Any = {"cohort_requests": Quota(windows=(Window(10_000, 1.0),))}


class Clock:
    """The sandbox's clock and the client's, which go on when the client waits."""

    def __init__(self) -> None:
        self.now = 1_777_885_200.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        if seconds:
            self.pauses.append(seconds)
        self.now += seconds

    def read(self) -> float:
        return self.now

    @property
    def backoff(self) -> Backoff:
        return Backoff(clock=self.read, sleep=self.sleep, jitter=lambda limit: limit)


async def track_users(amplitude: AsyncAmplitude, count: int) -> None:
    events = [
        {"event_type": "x", "user_id": f"user-{number}", "user_properties": {"plan": "pro" if number % 2 else "free", "n": number}}
        for number in range(count)
    ]
    await amplitude.track(events)


async def test_from_upload_to_rows(box: Sandbox) -> None:
    """What is uploaded is listed and downloaded, properties included; unknown ids are left out and named."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await track_users(amplitude, 4)
        made = await amplitude.cohorts.upload("Buyers", ["user-0", "user-1", "nobody"], id_type="BY_USER_ID", **MINE)
        assert made["metadata"] == {"matched": 2, "totals": 3, "invalid_ids_sample": ["nobody"]}
        listed = (await amplitude.cohorts.list())["cohorts"]
        assert [(each["id"], each["name"], each["size"]) for each in listed] == [(made["cohort_id"], "Buyers", 2)]
        assert "syncMetadata" not in listed[0]
        assert (await amplitude.cohorts.list(include_sync_info=True))["cohorts"][0]["syncMetadata"] == []
        found = {match["user_id"]: match["amplitude_id"] for match in (await amplitude.user_search("user-"))["matches"]}
        rows = await amplitude.cohorts.download(made["cohort_id"])
        assert rows == [{"amplitude_id": found[user], "user_id": user} for user in ("user-0", "user-1")]
        rows = await amplitude.cohorts.download(made["cohort_id"], props=True)
        assert rows[1] == {"amplitude_id": found["user-1"], "user_id": "user-1", "n": "1", "plan": "pro"}
        rows = [row async for row in amplitude.cohorts.download(made["cohort_id"], prop_keys=["plan", "none"])]
        assert rows[0] == {"amplitude_id": found["user-0"], "user_id": "user-0", "plan": "free", "none": ""}
        assert (await amplitude.cohorts.usage())["rest_download"]["usage"] == 3


async def test_replacing_and_changing(box: Sandbox) -> None:
    """Members are added, taken out and replaced, by either kind of id; what was skipped is told."""
    async with AsyncAmplitude(**box.credentials, quotas=FREELY) as amplitude:
        await track_users(amplitude, 4)
        ids = [str(match["amplitude_id"]) for match in (await amplitude.user_search("user-"))["matches"]]
        made = await amplitude.cohorts.upload("A", ids[:2], id_type="BY_AMP_ID", **MINE)
        cohort = made["cohort_id"]

        async def members() -> list[str]:
            return [str(row["user_id"]) for row in await amplitude.cohorts.download(cohort)]

        assert await members() == ["user-0", "user-1"]
        added = await amplitude.cohorts.add_members(cohort, ["user-2", "nobody"])
        assert added["memberships_result"] == [{"skipped_ids": ["nobody"], "id_type": "BY_NAME", "operation": "ADD"}]
        await amplitude.cohorts.add_members(cohort, ["user-2"])
        assert await members() == ["user-0", "user-1", "user-2"]
        await amplitude.cohorts.remove_members(cohort, [ids[0], "5"], id_type="BY_ID")
        changed = await amplitude.cohorts.membership(
            cohort,
            [
                {"ids": ["user-3"], "id_type": "BY_NAME", "operation": "ADD"},
                {"ids": ["user-1"], "id_type": "BY_NAME", "operation": "REMOVE"},
            ],
        )
        assert [each["operation"] for each in changed["memberships_result"]] == ["ADD", "REMOVE"]
        assert await members() == ["user-2", "user-3"]
        again = await amplitude.cohorts.upload("B", ["user-0"], id_type="BY_USER_ID", **MINE, existing_cohort_id=cohort)
        assert again["cohort_id"] == cohort
        assert await members() == ["user-0"]
        checked = await amplitude.cohorts.upload("C", ["user-0", "x"], id_type="BY_USER_ID", **MINE, skip_save=True)
        assert checked == {"metadata": {"matched": 1, "totals": 2, "invalid_ids_sample": ["x"]}}
        hidden = await amplitude.cohorts.upload("D", ["user-0"], id_type="BY_USER_ID", **{**MINE, "published": False})
        assert [each["name"] for each in (await amplitude.cohorts.list())["cohorts"]] == ["B"]
        assert len(await amplitude.cohorts.download(hidden["cohort_id"])) == 1


async def test_members_who_became_one(box: Sandbox) -> None:
    """Somebody who was uploaded before they were known is one member after the merge, in every answer, and is taken out as one."""
    async with AsyncAmplitude(**box.credentials, quotas=FREELY) as amplitude:
        await amplitude.track({"event_type": "x", "device_id": "tablet"})
        (unknown,) = (await amplitude.user_search("tablet"))["matches"]
        made = await amplitude.cohorts.upload("A", [str(unknown["amplitude_id"])], id_type="BY_AMP_ID", **MINE)
        cohort = made["cohort_id"]
        await amplitude.track(
            [{"event_type": "x", "user_id": "ada-web"}, {"event_type": "x", "user_id": "ada-web", "device_id": "tablet"}]
        )
        ada = (await amplitude.user_search("ada-web"))["matches"][0]["amplitude_id"]
        assert ada != unknown["amplitude_id"]

        async def seen() -> tuple[object, ...]:
            (listed,) = (await amplitude.cohorts.list())["cohorts"]
            rows = await amplitude.cohorts.download(cohort)
            profile = await amplitude.profiles.get(user_id="ada-web", get_cohort_ids=True)
            return listed["size"], [row["amplitude_id"] for row in rows], profile["userData"]["cohort_ids"]

        assert await seen() == (1, [ada], [cohort])
        await amplitude.cohorts.add_members(cohort, ["ada-web"])
        assert await seen() == (1, [ada], [cohort])
        await amplitude.cohorts.remove_members(cohort, ["ada-web"])
        assert await seen() == (0, [], [])


async def test_a_cohort_as_a_segment(box: Sandbox) -> None:
    """What is uploaded is what a query is asked for: who is in it and who is not are everybody, also when it changes."""
    async with AsyncAmplitude(**box.credentials, quotas=FREELY) as amplitude:
        when = datetime(2026, 5, 1, 9, tzinfo=UTC)
        await amplitude.track([{"event_type": "x", "user_id": f"user-{n}", "time": when} for n in (0, 0, 0, 1, 2)])
        cohort = (await amplitude.cohorts.upload("A", ["user-0", "nobody"], id_type="BY_USER_ID", **MINE))["cohort_id"]

        async def numbers(measure: Literal["uniques", "totals"]) -> list[list[int]]:
            segments = [Segment().in_cohort(cohort), Segment().not_in_cohort(cohort)]
            answer = await amplitude.dashboard.segmentation(e=Event("x"), m=measure, s=segments, start=when.date(), end=when.date())
            return [[int(value) for value in series] for series in answer["data"]["series"]]

        assert (await numbers("uniques"), await numbers("totals")) == ([[1], [2]], [[3], [2]])
        await amplitude.cohorts.add_members(cohort, ["user-1"])
        await amplitude.cohorts.remove_members(cohort, ["user-0"])
        assert (await numbers("uniques"), await numbers("totals")) == ([[1], [2]], [[1], [4]])


async def test_groups(box: Sandbox) -> None:
    """A cohort may be of groups; who changes it has to say so."""
    async with AsyncAmplitude(**box.credentials, quotas=FREELY) as amplitude:
        made = await amplitude.cohorts.upload("Orgs", ["acme", "globex"], id_type="BY_USER_ID", **MINE, count_group="org")
        await amplitude.cohorts.add_members(made["cohort_id"], ["initech"], count_group="org")
        assert await amplitude.cohorts.download(made["cohort_id"]) == [{"group": "acme"}, {"group": "globex"}, {"group": "initech"}]
        with pytest.raises(BadRequestError, match="count group"):
            await amplitude.cohorts.add_members(made["cohort_id"], ["user-0"])


async def test_refusals(box: Sandbox) -> None:
    """Errors come in the forms that Amplitude's pages give them, and name the invalid ids."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await track_users(amplitude, 2)
        with pytest.raises(BadRequestError, match="ids are invalid") as caught:
            await amplitude.cohorts.upload("A", ["user-0", "x"], id_type="BY_USER_ID", **MINE, skip_invalid_ids=False)
        assert caught.value.data["error"]["metadata"] == {"invalid_ids": ["x"]}
        assert (await amplitude.cohorts.list())["cohorts"] == []
        made = await amplitude.cohorts.upload("A", ["user-0"], id_type="BY_USER_ID", **MINE)
        with pytest.raises(BadRequestError, match="ids are invalid") as caught:
            await amplitude.cohorts.add_members(made["cohort_id"], ["user-1", "x"], skip_invalid_ids=False)
        assert caught.value.data["error"]["metadata"]["memberships_result"][0]["skipped_ids"] == ["x"]
        assert (await amplitude.cohorts.list())["cohorts"][0]["size"] == 1
        for wrong in (
            lambda: amplitude.cohorts.upload("A", ["user-0"], id_type="BY_USER_ID", **MINE, existing_cohort_id="none"),
            lambda: amplitude.cohorts.add_members("none", ["user-0"]),
            lambda: amplitude.cohorts.request("none"),
            lambda: amplitude.cohorts.status("none"),
            lambda: amplitude.cohorts.file("none")._all(),
            lambda: amplitude.cohorts.download("none")._all(),
        ):
            with pytest.raises(NotFoundError, match="not found"):
                await wrong()


async def test_a_job_takes_its_time() -> None:
    """The client looks until the job is done, by the clock and by looks; the file of one that runs is refused."""
    clock = Clock()
    with Sandbox(limits=Limits(cohort_job_s=40.0, cohort_job_looks=3), clock=clock.read) as box:
        async with AsyncAmplitude(**box.credentials, backoff=clock.backoff) as amplitude:
            await track_users(amplitude, 2)
            made = await amplitude.cohorts.upload("A", ["user-0"], id_type="BY_USER_ID", **MINE)
            asked = await amplitude.cohorts.request(made["cohort_id"])
            assert (await amplitude.cohorts.status(asked["request_id"]))["async_status"] == "JOB INPROGRESS"
            with pytest.raises(BadRequestError, match="in progress"):
                await amplitude.cohorts.file(asked["request_id"])
            # Members are those at the time of the request.
            await amplitude.cohorts.add_members(made["cohort_id"], ["user-1"])
            began = clock.now
            rows = await amplitude.cohorts.download(request_id=asked["request_id"])
            assert [row["user_id"] for row in rows] == ["user-0"]
            assert 40 <= clock.now - began < 70
            assert (await amplitude.cohorts.status(asked["request_id"]))["async_status"] == "JOB COMPLETED"
            with pytest.raises(RequestTimeoutError) as caught:
                await amplitude.cohorts.download(made["cohort_id"], timeout=20)
            assert isinstance(caught.value.job_id, str)
            assert len(await amplitude.cohorts.download(request_id=caught.value.job_id)) == 2
            clock.now += 7 * 86_400
            with pytest.raises(NotFoundError):
                await amplitude.cohorts.file(asked["request_id"])


async def test_a_large_file_is_a_link() -> None:
    """More rows than fit in an answer come by a link for a minute, to which no credential goes; an expired one is given anew."""
    clock = Clock()
    with Sandbox(limits=Limits(cohort_inline_rows=1), clock=clock.read) as box:
        async with AsyncAmplitude(**box.credentials, backoff=clock.backoff) as amplitude, httpx.AsyncClient() as http:
            await track_users(amplitude, 3)
            made = await amplitude.cohorts.upload("A", ["user-0", "user-1", "user-2"], id_type="BY_USER_ID", **MINE)
            download = amplitude.cohorts.download(made["cohort_id"])
            assert [row["user_id"] for row in await download] == ["user-0", "user-1", "user-2"]
            pair = (box.api_key, box.secret_key)
            answer = await http.get(f"{box.url}/api/5/cohorts/request/{download.request_id}/file", auth=pair)
            link = answer.headers["location"]
            assert answer.status_code == 302
            assert (await http.get(link)).text.startswith("amplitude_id,user_id\r\n")
            assert (await http.get(link, auth=pair)).status_code == 400
            assert (await http.get(link[:-4] + "0000")).status_code == 403
            assert (await http.get(link.partition("?")[0])).status_code == 403
            clock.now += 61
            assert (await http.get(link)).status_code == 403
            # Twice it has expired before it is used: a third one is asked for. Then no more.
            for times in (2, 3):
                box.faults.next(times, path="/storage/cohorts/", status=403)
                rows = download.rows()
                if times == 2:
                    assert len([row async for row in rows]) == 3
                else:
                    with pytest.raises(ResponseError, match="403"):
                        await rows.next_batch()


@pytest.mark.parametrize("fault", [{"cut_after": 40}, {"cut_after": 40, "reset": True}, {"lose_tail": 10}])
async def test_a_file_that_breaks_off(fault: dict[str, Any]) -> None:
    """A connection that ends in the middle is an error, and never a shorter cohort."""
    with Sandbox(limits=Limits(cohort_inline_rows=1)) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            await track_users(amplitude, 3)
            made = await amplitude.cohorts.upload("A", ["user-0", "user-1", "user-2"], id_type="BY_USER_ID", **MINE)
            download = amplitude.cohorts.download(made["cohort_id"])
            box.faults.next(3, path="/storage/cohorts/", **fault)
            with pytest.raises((TransportError, ExportError)):
                await download
            box.faults.clear()
            assert len(await download) == 3


async def test_a_strict_sandbox_keeps_the_quotas(box: Sandbox) -> None:
    """Who asks for more than four downloads a minute without this client's patience is refused; a job takes a look, small files are packed."""
    with Sandbox(strict=True) as strict:
        pair = (strict.api_key, strict.secret_key)
        async with httpx.AsyncClient(verify=False, base_url=strict.url, auth=pair) as http:
            upload = {"name": "A", "ids": [], "id_type": "BY_USER_ID", **MINE}
            assert (await http.post("/api/3/cohorts/upload", json={**upload, "app_id": 1})).status_code == 403
            cohort = (await http.post("/api/3/cohorts/upload", json=upload)).json()["cohortId"]
            answers = [await http.get(f"/api/5/cohorts/request/{cohort}") for _ in range(5)]
            assert [answer.status_code for answer in answers] == [202, 202, 202, 202, 429]
            request = answers[0].json()["request_id"]
            looks = [await http.get(f"/api/5/cohorts/request-status/{request}") for _ in range(2)]
            assert [look.status_code for look in looks] == [202, 200]
            file = await http.get(f"/api/5/cohorts/request/{request}/file", headers={"Accept-Encoding": "identity"})
            assert file.headers["content-encoding"] == "gzip"
            assert file.content == b"amplitude_id,user_id\r\n"
        # A client whose quotas are wrongly set meets Amplitude's own.
        async with AsyncAmplitude(**strict.credentials, quotas=FREELY, max_retries=0) as amplitude:
            with pytest.raises(RateLimitedError):
                await amplitude.cohorts.request(cohort)
            assert (await amplitude.cohorts.usage())["rest_download"]["usage"] == 4


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("upload", {"name": ""}, "name"),
    ("upload", {"owner": None}, "owner"),
    ("upload", {"app_id": "x"}, "app_id"),
    ("upload", {"id_type": "BY_ID"}, "id_type"),
    ("upload", {"published": None}, "published"),
    ("upload", {"ids": "u"}, "ids"),
    ("upload", {"ids": ["u"] * 100_001}, "100000"),
    ("upload", {"skip_save": 1}, "skip_save"),
    ("membership", {"cohort_id": 5}, "cohort_id"),
    ("membership", {"memberships": []}, "memberships"),
    ("membership", {"memberships": [{"ids": ["u"], "id_type": "BY_USER_ID", "operation": "ADD"}]}, "id_type"),
    ("membership", {"memberships": [{"ids": ["u"], "id_type": "BY_ID", "operation": "add"}]}, "operation"),
]


async def test_the_sandbox_refuses_what_amplitude_would(box: Sandbox) -> None:
    """With the envelope of uploads, and words that name the field."""
    good: dict[str, dict[str, Any]] = {
        "upload": {"name": "A", "ids": ["u"], "id_type": "BY_USER_ID", **MINE},
        "membership": {"cohort_id": "c", "memberships": [{"ids": ["u"], "id_type": "BY_ID", "operation": "ADD"}]},
    }
    async with httpx.AsyncClient(auth=(box.api_key, box.secret_key), base_url=f"{box.url}/api/3/cohorts/") as http:
        for path, body, words in WRONG:
            answer = await http.post(path, json={**good[path], **body})
            assert answer.status_code == 400
            error = answer.json()["error"]
            assert (error["http_code"], error["type"]) == (400, "invalid_request")
            assert words in error["message"]
        assert (await http.post("upload", json=good["upload"], auth=("x", "y"))).status_code == 403


async def test_cohorts_survive_in_a_file(tmp_path: Path) -> None:
    """A sandbox with a file has its cohorts, its requests and its counts again when it is started anew."""
    store = str(tmp_path / "box.db")
    with Sandbox(store=store) as first:
        async with AsyncAmplitude(**first.credentials) as amplitude:
            await track_users(amplitude, 1)
            made = await amplitude.cohorts.upload("A", ["user-0"], id_type="BY_USER_ID", **MINE)
            asked = await amplitude.cohorts.request(made["cohort_id"])
    with Sandbox(store=store) as second:
        async with AsyncAmplitude(**second.credentials) as amplitude:
            assert [row["user_id"] for row in await amplitude.cohorts.file(asked["request_id"])] == ["user-0"]
            assert (await amplitude.cohorts.usage())["rest_download"]["usage"] == 1
            other = await amplitude.cohorts.upload("B", ["user-0"], id_type="BY_USER_ID", **MINE)
            assert other["cohort_id"] != made["cohort_id"]


def serving(rows: int, *, packed: bool) -> ScriptedServer:
    """Serve a cohort's file of so many rows, in chunks, without ever having it whole."""

    def step(connection: Connection) -> None:
        if not connection.read_request():
            return
        coding = "Content-Encoding: gzip\r\n" if packed else ""
        connection.send(f"HTTP/1.1 200 OK\r\n{coding}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode())
        text = b"amplitude_id,user_id\r\n"
        for at in range(0, rows, 5000):
            text += b"".join(b'%d,"""user-%d"""\r\n' % (10**12 + n, n) for n in range(at, min(at + 5000, rows)))
            piece = gzip.compress(text, 1) if packed else text
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            text = b""
        connection.send(b"0\r\n\r\n")

    return ScriptedServer(step)


@pytest.mark.parametrize("packed", [False, True])
async def test_a_file_of_any_size_takes_constant_memory(packed: bool) -> None:
    """Rows are given while the file arrives; what is held does not grow with it."""
    count, total = 0, 80_000
    with serving(total, packed=packed) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url) as amplitude:
            peak = 0
            async for row in amplitude.cohorts.file("r"):
                if count == 1000:
                    tracemalloc.start()
                    peak = 0
                count += 1
                if count % 10_000 == 0:
                    peak = max(peak, tracemalloc.get_traced_memory()[1])
                assert row["user_id"] == f"user-{count - 1}"
            tracemalloc.stop()
    assert count == total
    # The server's thread is in it too.
    assert peak < 4 << 20


async def test_a_file_left_in_the_middle_is_closed(anyio_backend: str) -> None:
    """Leaving the block closes the connection at once; what was merely dropped is closed with a ResourceWarning."""
    with serving(100_000, packed=False) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url) as amplitude:
            async with amplitude.cohorts.file("r").rows() as rows:
                assert (await anext(rows))["user_id"] == "user-0"
            assert not amplitude._caller.connection._streams
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                left = amplitude.cohorts.file("r").rows()
                await anext(left)
                del left
                with anyio.fail_after(5):
                    while amplitude._caller.connection._streams or amplitude._caller.tasks.alive:
                        await anyio.sleep(0.01)
            assert [each.category for each in caught] == [ResourceWarning]


async def test_cancelling_in_the_middle_of_a_file() -> None:
    """A reader that is cancelled frees its connection, and its place among the five."""

    def step(connection: Connection) -> None:
        if connection.read_request():
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n16\r\namplitude_id,user_id\r\n\r\n")
            connection.server.stopped.wait(10)

    with ScriptedServer(step) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url) as amplitude:
            for _ in range(7):
                with anyio.move_on_after(0.05) as scope:
                    await amplitude.cohorts.file("r")
                assert scope.cancelled_caught
            with anyio.fail_after(5):
                while amplitude._caller.tasks.alive:
                    await anyio.sleep(0.01)
            gate = amplitude._caller.connection.gate(amplitude._caller.policy.backoff)
            assert gate.budget.running("rest") == 0
