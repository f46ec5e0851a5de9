"""Deletions and data subject requests, from the first call to the last row, over a sandbox whose clock is turned."""

from __future__ import annotations

import gzip
import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from amplitude_async import (
    AsyncAmplitude,
    AuthenticationError,
    BadRequestError,
    BudgetError,
    ClosedError,
    ExportedEvent,
    NotFoundError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseError,
)
from amplitude_async.sandbox import Sandbox

from .world import DAY, Clock, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

TODAY = date(2026, 5, 1)
RUNS = "2026-05-13"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box(clock: Clock) -> Iterator[Sandbox]:
    with running(clock) as sandbox:
        yield sandbox


def client(box: Sandbox, clock: Clock, **options: Any) -> AsyncAmplitude:
    return AsyncAmplitude(**box.credentials, backoff=clock.backoff, **options)


def visit(user: str, **more: Any) -> dict[str, Any]:
    return {"event_type": "visit", "user_id": user, "device_id": f"phone of {user}", "time": 1_777_636_000_000, **more}


async def known(amplitude: AsyncAmplitude, user: str) -> int | None:
    found = await amplitude.user_search(user)
    return found["matches"][0]["amplitude_id"] if found["matches"] else None


async def exported(amplitude: AsyncAmplitude) -> list[str]:
    rows = amplitude.export(start="20260501T00", end="20260601T00", allow_incomplete=True).events()
    return sorted([f"{row['user_id']}:{row['event_type']}" async for row in rows])


async def test_from_request_to_gone(box: Sandbox, clock: Clock) -> None:
    """A job is staging, then locked, and on its day the users are gone from everything, whatever is asked first; others stay."""
    async with client(box, clock) as amplitude:
        await amplitude.track([visit("ada-web"), visit("bob-web"), visit("eve-web")])
        await amplitude.alias({"user_id": "ada-web", "global_user_id": "ada"})
        ada, bob = await known(amplitude, "ada-web"), await known(amplitude, "bob-web")
        assert bob is not None
        deletions = amplitude.privacy.deletions
        report = await deletions.create(user_ids=["ada-web"], amplitude_ids=[bob], requester="privacy@example.org")
        assert report.is_complete
        (job,) = report.jobs
        assert (job["day"], job["status"], job["app"]) == (RUNS, "staging", str(box.project_id))
        assert [user["amplitude_id"] for user in job["amplitude_ids"]] == [bob, ada]
        assert job["amplitude_ids"][0]["requester"] == "privacy@example.org"
        assert await deletions.list(start_day=TODAY, end_day=TODAY + timedelta(days=30)) == [job]
        assert await deletions.list(start_day=TODAY, end_day=TODAY) == []
        clock.now += 9 * DAY
        (locked,) = await deletions.list(start_day=RUNS, end_day=RUNS)
        assert locked["status"] == "submitted"
        with pytest.raises(BadRequestError):
            await deletions.cancel(bob, RUNS)
        assert len(await exported(amplitude)) == 3
        clock.now += 3 * DAY
        await amplitude.track(visit("ada-web", event_type="return"))
        assert await exported(amplitude) == ["ada-web:return", "eve-web:visit"]
        assert await known(amplitude, "bob-web") is None
        again = await known(amplitude, "ada-web")
        assert again not in {ada, bob, None}
        assert (await amplitude.user_mappings("ada-web"))["ada-web"]["mapped_to"] == []
        (scrubbed,) = await deletions.list(start_day=RUNS, end_day=RUNS)
        assert (scrubbed["status"], scrubbed["active_scrub_done_date"]) == ("submitted", RUNS)
        clock.now += 5 * DAY
        (done,) = await deletions.list(start_day=RUNS, end_day=RUNS)
        assert done["status"] == "done"
        assert await known(amplitude, "ada-web") == again


async def test_a_job_outlives_the_sandbox(clock: Clock, tmp_path: Path) -> None:
    """In a file a job is kept, and one whose day came in between is done before the first answer."""
    store = str(tmp_path / "box.db")
    with running(clock, store=store) as box:
        async with client(box, clock) as amplitude:
            await amplitude.track(visit("ada-web"))
            await amplitude.privacy.deletions.create(user_ids="ada-web")
    clock.now += 40 * DAY
    with running(clock, store=store) as box:
        async with client(box, clock) as amplitude:
            assert await known(amplitude, "ada-web") is None


async def test_who_is_gone_is_in_no_cohort(box: Sandbox, clock: Clock) -> None:
    """Neither in its size nor in a file that was asked for before; somebody new of the same name is not in it either."""
    async with client(box, clock) as amplitude:
        await amplitude.track([visit("ada-web"), visit("bob-web")])
        made = await amplitude.cohorts.upload(
            "A", ["ada-web", "bob-web"], app_id=box.project_id, id_type="BY_USER_ID", owner="ops@example.org", published=True
        )
        await amplitude.privacy.deletions.create(user_ids="ada-web")
        clock.now += 11 * DAY
        asked = await amplitude.cohorts.request(made["cohort_id"])
        clock.now += DAY
        await amplitude.track(visit("ada-web"))
        (listed,) = (await amplitude.cohorts.list())["cohorts"]
        assert listed["size"] == 1
        assert [row["user_id"] for row in await amplitude.cohorts.download(request_id=asked["request_id"])] == ["bob-web"]
        assert (await amplitude.profiles.get(user_id="ada-web", get_cohort_ids=True))["userData"]["cohort_ids"] == []


async def test_everybody_of_a_merged_user_goes(box: Sandbox, clock: Clock) -> None:
    """What somebody did before they were known goes with them."""
    async with client(box, clock) as amplitude:
        await amplitude.track({"event_type": "visit", "user_id": "ada-web", "device_id": "laptop"})
        await amplitude.track({"event_type": "before", "device_id": "tablet"})
        await amplitude.track({"event_type": "after", "user_id": "ada-web", "device_id": "tablet"})
        assert len(await exported(amplitude)) == 3
        await amplitude.privacy.deletions.create(user_ids="ada-web")
        clock.now += 12 * DAY
        with pytest.raises(NotFoundError):
            async for _ in amplitude.export(start="20260501T00", end="20260601T00", allow_incomplete=True):
                pass


async def test_unknown_users(box: Sandbox, clock: Clock) -> None:
    """Unless they are to be ignored, one unknown id refuses its request and nobody is scheduled; ignored, they are named."""
    async with client(box, clock) as amplitude:
        await amplitude.track(visit("ada-web"))
        deletions = amplitude.privacy.deletions
        with pytest.raises(BadRequestError) as caught:
            await deletions.create(user_ids=["ada-web", "nobody"])
        assert caught.value.outcome == "rejected"
        assert await deletions.list(start_day=TODAY, end_day=RUNS) == []
        report = await deletions.create(user_ids=["ada-web", "nobody"], amplitude_ids=[5], ignore_invalid_id=True)
        assert (report.accepted.user_ids, report.invalid.user_ids, report.invalid.amplitude_ids) == (("ada-web",), ("nobody",), (5,))
        report = await deletions.create(user_ids=["nobody"], delete_from_org=True)
        assert (len(report.accepted), len(report.invalid), report.jobs) == (0, 1, ())


async def test_further_users_join_until_three_days_before(box: Sandbox, clock: Clock) -> None:
    """The first request fixes the day; then the next batch opens. The same user twice is in it once; called off, they are not."""
    async with client(box, clock) as amplitude:
        await amplitude.track([visit(f"user-{n}") for n in range(4)])
        deletions = amplitude.privacy.deletions
        await deletions.create(user_ids=["user-0"])
        clock.now += 8 * DAY
        (job,) = (await deletions.create(user_ids=["user-0", "user-1"], include_mapped_user_ids=True)).jobs
        assert (job["day"], [user["user_id"] for user in job["amplitude_ids"]]) == (RUNS, ["user-0", "user-1"])
        clock.now += DAY
        (job,) = (await deletions.create(user_ids=["user-2"])).jobs
        assert job["day"] == "2026-05-22"
        user = job["amplitude_ids"][0]
        assert await deletions.cancel(user["amplitude_id"], "2026-05-22") == user
        with pytest.raises(BadRequestError):
            await deletions.cancel(user["amplitude_id"], "2026-05-22")
        assert [each["day"] for each in await deletions.list(start_day=TODAY, end_day="2026-10-01")] == [RUNS]


async def test_requests_go_one_a_second(clock: Clock) -> None:
    """A strict sandbox takes no more; the client keeps to it, or says so where waiting for others' requests is not wanted."""
    with running(clock, strict=True) as box:
        async with client(box, clock, max_retries=0) as amplitude:
            await amplitude.track([visit(f"user-{n}") for n in range(250)])
            began = clock.now
            report = await amplitude.privacy.deletions.create(user_ids=[f"user-{n}" for n in range(250)])
            assert (len(report.accepted), len(report.jobs)) == (250, 3)
            assert 2.0 <= clock.now - began < 2.1
            impatient = amplitude.with_options(when_limited="raise")
            with pytest.raises(BudgetError):
                await impatient.privacy.deletions.create(user_ids=["user-1"])
            clock.now += 5
            report = await impatient.privacy.deletions.create(user_ids=[f"user-{n}" for n in range(250)])
            assert len(report.accepted) == 250
        async with client(box, clock, max_retries=0) as other:
            with pytest.raises(RateLimitedError):
                await other.privacy.deletions.create(user_ids=["user-1"])


async def test_only_the_projects_keys_delete_and_only_the_organisations_disclose(clock: Clock) -> None:
    """A key of the other kind is refused."""
    with Sandbox(clock=clock, org_api_key="org", org_secret_key="org-secret") as box:
        async with client(box, clock) as amplitude:
            await amplitude.track(visit("ada-web"))
            await amplitude.privacy.dsar.request(user_id="ada-web", start_date=TODAY, end_date=TODAY)
        swapped: Any = {**box.credentials, "org_api_key": box.api_key, "org_secret_key": box.secret_key}
        async with AsyncAmplitude(**swapped) as amplitude:
            with pytest.raises(AuthenticationError):
                await amplitude.privacy.dsar.status(1)
        swapped = {**box.credentials, "api_key": "org", "secret_key": "org-secret"}
        async with AsyncAmplitude(**swapped) as amplitude:
            with pytest.raises(AuthenticationError):
                await amplitude.privacy.deletions.create(user_ids="ada-web")


# Data subject requests


async def test_from_request_to_rows(box: Sandbox, clock: Clock) -> None:
    """One awaitable gives the files of a user's months; their rows are the very rows of an export, as dicts or as a model."""
    march, april, may = 1_772_366_400_000, 1_775_044_800_000, 1_777_636_000_000
    async with client(box, clock) as amplitude:
        for moment in (march, march + 1000, april, may):
            await amplitude.track([visit("ada-web", time=moment), visit("bob-web", time=moment)])
        data = await amplitude.privacy.dsar.download(user_id="ada-web", start_date="2026-03-01", end_date="2026-04-30")
        assert data.status["status"] == "done"
        assert [len([row async for row in output.rows()]) for output in data.outputs] == [2, 1]
        rows = [row async for row in data]
        everything = amplitude.export(start="20260501T00", end="20260501T23", allow_incomplete=True)
        own = [row async for row in everything.events() if row["user_id"] == "ada-web" and row["event_time"] < "2026-05"]
        assert sorted(rows, key=str) == sorted(own, key=str)
        typed = [row async for row in data.rows(model=ExportedEvent)]
        assert {row.user_id for row in typed} == {"ada-web"}
        ada = await known(amplitude, "ada-web")
        assert ada is not None
        by_number = await amplitude.privacy.dsar.download(amplitude_id=ada, start_date=TODAY, end_date=TODAY)
        assert len([row async for row in by_number]) == 1


async def test_single_calls_of_a_job(box: Sandbox, clock: Clock) -> None:
    """Asked for, looked at, fetched: staging, submitted, done; a file before that, or one too many, is not there."""
    async with client(box, clock) as amplitude:
        await amplitude.track(visit("ada-web"))
        dsar = amplitude.privacy.dsar
        number = (await dsar.request(user_id="ada-web", start_date=TODAY, end_date=TODAY))["requestId"]
        status = await dsar.status(number)
        assert (status["status"], status["urls"], status["userId"]) == ("staging", [], "ada-web")
        with pytest.raises(NotFoundError):
            await dsar.output(number, 0).open()
        clock.now += 0.5
        assert (await dsar.status(number))["status"] == "submitted"
        clock.now += 0.5
        status = await dsar.status(number)
        assert status["urls"] == [f"{box.url}/api/2/dsar/requests/{number}/outputs/0"]
        download = await dsar.output(number, 0).open()
        packed = b""
        while (piece := await download.next_chunk()) is not None:
            packed += piece
        assert [json.loads(line)["user_id"] for line in gzip.decompress(packed).splitlines()] == ["ada-web"]
        with pytest.raises(NotFoundError):
            await dsar.output(number, 1).open()
        with pytest.raises(NotFoundError):
            await dsar.status(number + 1)
        clock.now += 3 * DAY
        with pytest.raises(ResponseError, match="410"):
            await dsar.output(number, 0).open()


async def test_nobody_and_nothing_have_no_files(box: Sandbox, clock: Clock) -> None:
    """An unknown user, and days without anything, are done and empty; so is who was deleted."""
    async with client(box, clock) as amplitude:
        await amplitude.track(visit("ada-web"))
        for user, day in (("nobody", TODAY), ("ada-web", TODAY - timedelta(days=1))):
            data = await amplitude.privacy.dsar.download(user_id=user, start_date=day, end_date=day)
            assert (data.outputs, [row async for row in data]) == ((), [])
        await amplitude.privacy.deletions.create(user_ids="ada-web")
        clock.now += 12 * DAY
        data = await amplitude.privacy.dsar.download(user_id="ada-web", start_date=TODAY, end_date=TODAY)
        assert data.outputs == ()


async def test_a_wait_that_ends_is_taken_up_again(box: Sandbox, clock: Clock) -> None:
    """The error says by which number."""
    async with client(box, clock) as amplitude:
        await amplitude.track(visit("ada-web"))
        with pytest.raises(RequestTimeoutError) as caught:
            await amplitude.privacy.dsar.download(user_id="ada-web", start_date=TODAY, end_date=TODAY, timeout=0.5)
        number = caught.value.job_id
        assert isinstance(number, int)
        data = await amplitude.privacy.dsar.download(request_id=number)
        assert len([row async for row in data]) == 1


async def test_a_file_is_had_by_its_link_and_not_by_keys(box: Sandbox, clock: Clock) -> None:
    """The link refuses credentials, lives for two days, and cannot be made up; the client follows it without any."""
    async with client(box, clock) as amplitude:
        await amplitude.track(visit("ada-web"))
        data = await amplitude.privacy.dsar.download(user_id="ada-web", start_date=TODAY, end_date=TODAY)
    keys = ("sandbox", "sandbox")
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(data.status["urls"][0], auth=keys)
        assert answer.status_code == 302
        link = answer.headers["location"]
        assert (await http.get(link)).status_code == 200
        assert (await http.get(link, auth=keys)).status_code == 400
        assert (await http.get(link, headers={"cookie": "a=b"})).status_code == 400
        assert (await http.get(link.replace("/0.json", "/1.json"))).status_code == 403
        assert (await http.get(link.partition("?")[0])).status_code == 403
        clock.now += 2 * DAY
        assert (await http.get(link)).status_code == 403


async def test_rows_that_are_left_are_closed(box: Sandbox, clock: Clock) -> None:
    """Leaving the block, or closing, ends the download; reading on is an error; to close twice is none."""
    async with client(box, clock) as amplitude:
        await amplitude.track([visit("ada-web", event_properties={"n": n, "fill": "x" * 500}) for n in range(900)])
        data = await amplitude.privacy.dsar.download(user_id="ada-web", start_date=TODAY, end_date=TODAY)
        async with data.rows() as rows:
            async for _ in rows:
                break
        with pytest.raises(ClosedError):
            await anext(rows)
        await rows.aclose()
        assert len([row async for row in data.rows()]) == 900


async def test_a_wait_can_be_cancelled(box: Sandbox, clock: Clock) -> None:
    """The job goes on without us, and nothing of ours is left."""
    async with client(box, clock) as amplitude:
        await amplitude.track(visit("ada-web"))
        with anyio.CancelScope() as scope:

            async def stop(seconds: float) -> None:
                scope.cancel()
                await anyio.sleep(0)

            patient = amplitude.with_options(backoff=clock.backoff._replace(sleep=stop))
            await patient.privacy.dsar.download(user_id="ada-web", start_date=TODAY, end_date=TODAY)
        assert scope.cancelled_caught
        clock.now += 1
        assert (await amplitude.privacy.dsar.status(1))["status"] == "done"


async def test_what_amplitude_would_refuse(box: Sandbox) -> None:
    """Requests that the client would not make are refused by the sandbox too, in the API's own words."""
    async with httpx.AsyncClient(verify=False, base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False) as http:
        deletions: list[tuple[Any, int]] = [
            ({}, 400),
            ({"user_ids": ["x"] * 101}, 400),
            ({"user_ids": "ada"}, 400),
            ({"user_ids": ["ada"]}, 400),
            ({"user_ids": ["ada"], "ignore_invalid_ids": "True"}, 200),
        ]
        for body, status in deletions:
            answer = await http.post("/api/2/deletions/users", json=body)
            assert answer.status_code == status, body
        assert answer.text.startswith("Nothing scheduled")
        days = "/api/2/deletions/users?start_day={}&end_day={}"
        assert (await http.get(days.format("2026-01-01", "2026-07-02"))).status_code == 400
        assert (await http.get(days.format("2026-01-01", "x"))).status_code == 400
        empty = await http.get(days.format("2026-01-01", "2026-07-01"))
        assert (empty.text, empty.headers["content-type"]) == ("[]", "text/html; charset=UTF-8")
        wrong: list[Any] = [{}, {"userId": "a", "amplitudeId": 5}, {"userId": "a", "startDate": "2026-02-01", "endDate": "2026-01-01"}]
        for fields in wrong:
            answer = await http.post("/api/2/dsar/requests", json={"startDate": "2026-01-01", "endDate": "2026-01-02", **fields})
            assert answer.status_code == 400, fields
            assert set(answer.json()) == {"error"}


async def test_the_budget_of_an_hour(clock: Clock) -> None:
    """A strict sandbox has 14,400 of cost an hour for data subject requests, and the client keeps to it."""
    with running(clock, strict=True) as box:
        async with client(box, clock, max_retries=0) as amplitude:
            dsar = amplitude.with_options(when_limited="raise").privacy.dsar
            for _ in range(1800):
                amplitude._caller.connection.gate(clock.backoff).budget.take((("dsar", 8),), _moment(clock))  # type: ignore[arg-type]  # a Use is a pair
            with pytest.raises(BudgetError, match="dsar"):
                await dsar.status(1)


def _moment(clock: Clock) -> Any:
    from amplitude_async._protocol.budget import Moment

    return Moment(clock.now, clock.now)
