"""Deletions and data subject requests as data, and what is made of the answers: nothing by accident, every id accounted for (F14, S25)."""

from __future__ import annotations

import json
import pickle
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import (
    AmplitudeError,
    AuthenticationError,
    BadRequestError,
    BudgetError,
    ClosedError,
    InvalidArgumentError,
    JobError,
    PartialDeletionError,
    RequestTimeoutError,
    ServerError,
)
from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.codec import MalformedError
from amplitude_async.resources.jobs import until_done
from amplitude_async.resources.privacy import DeletionIds, Privacy
from amplitude_async.resources.privacy.deletions import cancel_call, checked_user_ids, chunks, create_call, list_call
from amplitude_async.resources.privacy.dsar import output_call, output_numbers, request_call, status_call

sys.path.insert(0, str(Path(__file__).parent))
from runners import FakeRunner, json_of, run

if TYPE_CHECKING:
    from amplitude_async._protocol.call import Call

DAYS: Any = {"start_date": "2026-01-01", "end_date": "2026-04-30"}
JOB = {
    "active_scrub_done_date": None,
    "amplitude_ids": [{"amplitude_id": 1610447001001, "requested_on_day": "2026-05-02", "requester": "privacy@example.org"}],
    "app": "612345",
    "day": "2026-05-14",
    "status": "staging",
}
NOTHING = b"Nothing scheduled due to invalid amplitude/user ids for app 612345"
URLS = [f"https://analytics.amplitude.com/api/2/dsar/requests/81234/outputs/{n}" for n in (0, 1)]
DONE = {
    "requestId": 81234,
    "amplitudeId": None,
    "userId": "ada@example.org",
    "startDate": "2026-01-01",
    "endDate": "2026-04-30",
    "status": "done",
    "urls": URLS,
    "expires": "2026-05-04T10:20:30",
}


def scheduled(call: Call) -> bytes:
    """Schedule everybody."""
    ids = json_of(call)
    users = [{"amplitude_id": n} for n in range(len(ids.get("user_ids", [])) + len(ids.get("amplitude_ids", [])))]
    return json.dumps([{**JOB, "amplitude_ids": users}]).encode()


def failed(kind: type[Any], outcome: Any, **facts: Any) -> AmplitudeError:
    error: AmplitudeError = kind("it failed", outcome=outcome, **facts)
    return error


# Deletions: what is sent


def test_a_deletion_is_json_with_the_projects_keys() -> None:
    """Lists that are not given are left out, flags are JSON's, and the call says that it may be repeated and what it uses."""
    call = create_call(DeletionIds(("ada", "bob"), (1610447001001,)), {"requester": "me", "ignore_invalid_id": True, "x": None})
    assert (call.api, call.method, call.path, call.credential) == ("dashboard", "POST", "/api/2/deletions/users", "project")
    assert (call.repeatable, call.uses) == (True, (Use("deletions"),))
    assert json_of(call) == {
        "amplitude_ids": [1610447001001],
        "user_ids": ["ada", "bob"],
        "requester": "me",
        "ignore_invalid_id": True,
    }
    assert json_of(create_call(DeletionIds(("ada",)), {})) == {"user_ids": ["ada"]}


@given(st.lists(st.uuids().map(str), max_size=350, unique=True), st.lists(st.integers(1, 2**62), max_size=350, unique=True))
def test_ids_are_dealt_out_in_hundreds(user_ids: list[str], amplitude_ids: list[int]) -> None:
    """No request has more than 100 ids of both kinds together, none is lost or doubled, and only the last is not full."""
    parts = chunks(user_ids, amplitude_ids)
    assert [one for part in parts for one in part.user_ids] == user_ids
    assert [one for part in parts for one in part.amplitude_ids] == amplitude_ids
    assert all(len(part) == 100 for part in parts[:-1])
    assert all(1 <= len(part) <= 100 for part in parts)


@pytest.mark.parametrize(
    "ids",
    [
        {},
        {"user_ids": []},
        {"user_ids": ""},
        {"user_ids": [" "]},
        {"user_ids": ["ada", None]},
        {"user_ids": ["ada", ""]},
        {"user_ids": "*"},
        {"user_ids": ["%"]},
        {"user_ids": ["ada", "**"]},
        {"user_ids": ["None"]},
        {"user_ids": ["ada", "null"]},
        {"user_ids": ["nan"]},
        {"user_ids": ["undefined"]},
        {"user_ids": ["all"]},
        {"user_ids": {"ada": 1}},
        {"user_ids": [["ada"]]},
        {"user_ids": [1.5]},
        {"user_ids": [True]},
        {"user_ids": b"ada"},
        {"amplitude_ids": []},
        {"amplitude_ids": [0]},
        {"amplitude_ids": [-1]},
        {"amplitude_ids": [None]},
        {"amplitude_ids": ["*"]},
        {"amplitude_ids": [True]},
        {"amplitude_ids": [1.5]},
        {"amplitude_ids": [2**63]},
        {"user_ids": ["ada"], "amplitude_ids": []},
    ],
    ids=repr,
)
def test_nobody_is_deleted_by_accident(ids: dict[str, Any]) -> None:
    """An empty list, a blank, a wildcard, or a value that was missing is refused by name, and no request is made (S25)."""
    runner = FakeRunner(scheduled)
    with pytest.raises(InvalidArgumentError) as caught:
        run(Privacy(runner).deletions.create(**ids))
    assert caught.value.argument.partition("[")[0] in {"user_ids", "amplitude_ids"}
    assert runner.calls == []


def test_ids_count_once() -> None:
    """The same id twice is one user; one id alone is a list of one, and digits are an Amplitude id."""
    runner = FakeRunner(scheduled)
    report = run(Privacy(runner).deletions.create(user_ids=["ada", "bob", "ada"], amplitude_ids=["77"]))  # type: ignore[list-item]  # digits are taken for the number they are
    assert (report.accepted.user_ids, report.accepted.amplitude_ids) == (("ada", "bob"), (77,))
    assert checked_user_ids("ada") == ["ada"]
    assert checked_user_ids(iter([5, "x"])) == ["5", "x"]


# Deletions: what is made of answers


def report_of(answer: bytes, **ids: Any) -> Any:
    return run(Privacy(FakeRunner(lambda _: answer)).deletions.create(**ids))


@pytest.mark.parametrize("answer", [JOB, [JOB]])
def test_an_answer_may_be_a_job_or_a_list_of_them(answer: Any) -> None:
    """Both forms that were seen come to the same report, with every key that was sent."""
    report = report_of(json.dumps(answer).encode(), amplitude_ids=[1610447001001])
    assert report.jobs == (JOB,)
    assert (report.accepted, report.is_complete, len(report.left)) == (DeletionIds((), (1610447001001,)), True, 0)


@pytest.mark.parametrize("body", [NOTHING, b'"' + NOTHING + b'"', b"\xef\xbb\xbf " + NOTHING])
def test_an_answer_may_be_text(body: bytes) -> None:
    """What is answered where every id is unknown is no JSON, and is read all the same."""
    report = report_of(body, user_ids=["ada"], ignore_invalid_id=True)
    assert (report.invalid, report.jobs, report.is_complete) == (DeletionIds(("ada",)), (), False)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"5", b"Scheduled"])
def test_anything_else_is_no_answer(body: bytes) -> None:
    """A page or a number is never taken for a deletion."""
    with pytest.raises(MalformedError):
        create_call(DeletionIds(("ada",)), {}).reads(body)


@pytest.mark.parametrize(
    ("sent", "users", "own"),
    [
        (["bob"], ("bob",), ()),
        ([7], (), (7,)),
        (["7"], (), (7,)),
        (["bob", 7], ("bob",), (7,)),
        ([12], ("12",), ()),
        ([], (), ()),
        (["eve"], (), ()),
    ],
    ids=repr,
)
def test_invalid_ids_are_found_whatever_their_type(sent: list[Any], users: tuple[str, ...], own: tuple[int, ...]) -> None:
    """The page does not say whether ids come back as text or numbers: both are matched with what was given."""
    report = report_of(json.dumps([{**JOB, "invalid_ids": sent}]).encode(), user_ids=["ada", "bob", "12"], amplitude_ids=[7, 8])
    assert report.invalid == DeletionIds(users, own)
    assert len(report.accepted) + len(report.invalid) == 5


def test_a_report_shows_nobody() -> None:
    """Its text form counts and names no id; its ids are there for who asks (S25)."""
    report = report_of(json.dumps(JOB).encode(), user_ids=["canary-user"])
    assert "canary" not in repr(report) + str(report) + repr(report.accepted)
    assert repr(report) == "<DeletionReport accepted=1 invalid=0 rejected=0 unknown=0 unsent=0>"
    assert pickle.loads(pickle.dumps(report)) == report


# Deletions: when something fails


def failing_at(number: int, error: AmplitudeError) -> FakeRunner:
    def rule(call: Call) -> bytes:
        if len(runner.calls) == number:
            raise error
        return scheduled(call)

    runner = FakeRunner(rule)
    return runner


IDS = [f"user-{n}" for n in range(250)]


def test_every_id_is_accounted_for_when_a_request_fails() -> None:
    """Of 250 ids whose second hundred meets a broken server: 100 accepted, 100 unknown, 50 unsent, in order (F14)."""
    error = failed(ServerError, "unknown", status=500)
    runner = failing_at(2, error)
    with pytest.raises(PartialDeletionError, match="100 accepted, 100 unknown, 50 unsent") as caught:
        run(Privacy(runner).deletions.create(user_ids=IDS))
    report = caught.value.report
    assert [report.accepted.user_ids, report.unknown.user_ids, report.unsent.user_ids] == [
        tuple(IDS[:100]),
        tuple(IDS[100:200]),
        tuple(IDS[200:]),
    ]
    assert report.left.user_ids == tuple(IDS[100:])
    assert (caught.value.error, caught.value.outcome, len(runner.calls)) == (error, "unknown", 2)
    assert "user-" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "error", "counts"),
    [
        (1, failed(ServerError, "unknown", status=502), (0, 0, 100, 150)),
        (2, failed(BadRequestError, "rejected", status=400), (100, 100, 0, 50)),
        (3, failed(BudgetError, "not_sent"), (200, 0, 0, 50)),
        (3, failed(AmplitudeError, None), (200, 0, 0, 50)),
    ],
)
def test_what_failed_is_sorted_by_its_outcome(number: int, error: AmplitudeError, counts: tuple[int, ...]) -> None:
    """Rejected, unknown and unsent ids are told apart, and nothing is sent after a failure."""
    runner = failing_at(number, error)
    with pytest.raises(PartialDeletionError) as caught:
        run(Privacy(runner).deletions.create(user_ids=IDS))
    report = caught.value.report
    assert tuple(map(len, (report.accepted, report.rejected, report.unknown, report.unsent))) == counts
    assert len(runner.calls) == number


@pytest.mark.parametrize(
    ("ids", "error"),
    [
        (IDS, failed(AuthenticationError, "rejected", status=403)),
        (IDS, failed(BudgetError, "not_sent")),
        (IDS[:1], failed(ServerError, "unknown", status=500)),
        (IDS[:100], failed(BadRequestError, "rejected", status=400)),
    ],
)
def test_where_one_error_says_it_all_it_is_raised_itself(ids: list[str], error: AmplitudeError) -> None:
    """Where nobody can be scheduled, or there was one request, the error is Amplitude's own."""
    with pytest.raises(type(error)) as caught:
        run(Privacy(failing_at(1, error)).deletions.create(user_ids=ids))
    assert caught.value is error


def test_the_second_between_requests_is_waited_for_by_whoever_refuses_to_wait() -> None:
    """With ``when_limited="raise"`` 250 ids still go out: what is refused is waiting for others, not for one's own requests."""
    runner = FakeRunner(scheduled)
    sent = runner.run
    refusals = [None, BudgetError("no room", wait=0.9), None, BudgetError("no room", wait=1.0), None]

    async def limited(call: Call, *, deadline: float | None = None) -> Any:
        refusal = refusals.pop(0)
        if refusal is not None:
            raise refusal
        return await sent(call, deadline=deadline)

    runner.run = limited  # type: ignore[method-assign]
    report = run(Privacy(runner).deletions.create(user_ids=IDS))
    assert (len(report.accepted), report.is_complete, runner.pauses) == (250, True, [0.9, 1.0])


@pytest.mark.parametrize("refusal", [BudgetError("no room", wait=None), BudgetError("no room", wait=30.0)])
@pytest.mark.parametrize("number", [1, 2])
def test_any_other_wait_is_refused(refusal: BudgetError, number: int) -> None:
    """A place that somebody else holds is not waited for, nor a longer time, nor anything before the first request."""
    runner = failing_at(number, refusal)
    with pytest.raises(BudgetError if number == 1 else PartialDeletionError):
        run(Privacy(runner).deletions.create(user_ids=IDS))
    assert runner.pauses == []


@pytest.mark.parametrize("invalid", ["user-3", ["user-3", {"odd": 1}, None], {"odd": 1}, 7, None])
def test_invalid_ids_of_any_shape_are_read(invalid: object) -> None:
    """Of what form ``invalid_ids`` is no page says: whatever it is, every id is accounted for."""
    body = json.dumps([{"day": "2026-05-14", "status": "staging", "invalid_ids": invalid}]).encode()
    report = run(Privacy(FakeRunner(lambda _: body)).deletions.create(user_ids=["user-3", "user-4"], ignore_invalid_id=True))
    assert set(report.accepted.user_ids + report.invalid.user_ids) == {"user-3", "user-4"}
    assert ("user-3" in report.invalid.user_ids) == ("user-3" in json.dumps(invalid))


def test_a_limit_holds_for_all_requests() -> None:
    """Each request is given what is left of the caller's time; without a limit each has its own."""
    runner = FakeRunner(scheduled)
    run(Privacy(runner).deletions.create(user_ids=IDS, timeout=60))
    assert runner.deadlines == [1060.0] * 3
    run(Privacy(runner).deletions.create(user_ids=IDS))
    assert runner.deadlines[3:] == [None] * 3
    for timeout in (0, -1, float("inf"), float("nan"), "5", True):
        with pytest.raises(InvalidArgumentError, match="timeout"):
            run(Privacy(runner).deletions.create(user_ids=IDS, timeout=timeout))  # type: ignore[arg-type]  # that is the point


# Deletions: listed and called off


@pytest.mark.parametrize(
    ("start", "end"), [("2026-01-01", "2026-07-01"), ("20260101", date(2026, 7, 1)), (datetime(2026, 1, 1, tzinfo=UTC), "2026-07-01")]
)
def test_a_list_is_asked_for_by_days(start: Any, end: Any) -> None:
    """Days go out with dashes, whatever they came as."""
    call = list_call(start, end)
    assert (call.method, call.path, call.repeatable) == ("GET", "/api/2/deletions/users", True)
    assert call.query == (("start_day", "2026-01-01"), ("end_day", "2026-07-01"))


@pytest.mark.parametrize(
    ("start", "end", "argument"),
    [
        ("2026-02-02", "2026-02-01", "start_day"),
        ("2026-01-01", "2026-07-02", "end_day"),
        ("2026-08-31", "2027-03-01", "end_day"),
        ("2026-13-01", "2026-07-02", "start_day"),
        ("2026-01-01", None, "end_day"),
    ],
)
def test_a_span_that_amplitude_refuses_is_not_asked_for(start: Any, end: Any, argument: str) -> None:
    """Six months at most, in order, of days that there are."""
    with pytest.raises(InvalidArgumentError) as caught:
        list_call(start, end)
    assert caught.value.argument == argument
    list_call("2026-08-31", "2027-02-28")


def test_a_list_may_be_empty_or_one_job() -> None:
    """No jobs, one alone and several are a list."""
    reads = list_call("2026-01-01", "2026-01-02").reads
    assert [reads(b"[]"), reads(json.dumps(JOB).encode()), reads(json.dumps([JOB, JOB]).encode())] == [[], [JOB], [JOB, JOB]]


def test_a_cancellation_names_user_and_day() -> None:
    """Both are in the path; the answer is the user, or the job as older pages have it."""
    call = cancel_call(1610447001001, date(2026, 5, 14))
    assert (call.method, call.path) == ("DELETE", "/api/2/deletions/users/1610447001001/2026-05-14")
    user = JOB["amplitude_ids"][0]  # type: ignore[index]  # a list
    assert call.reads(json.dumps(user).encode()) == user
    assert call.reads(json.dumps([JOB]).encode()) == JOB
    with pytest.raises(MalformedError):
        call.reads(b"[]")
    with pytest.raises(InvalidArgumentError):
        cancel_call("../1", "2026-05-14")
    with pytest.raises(InvalidArgumentError):
        cancel_call(5, "2026-05-14/..")


# Data subject requests


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"user_id": "ada", **DAYS}, {"userId": "ada"}),
        ({"amplitude_id": 77, **DAYS}, {"amplitudeId": 77}),
        ({"amplitude_id": "77", **DAYS}, {"amplitudeId": 77}),
        ({"userId": "ada", "startDate": date(2026, 1, 1), "endDate": "20260430"}, {"userId": "ada"}),
        ({"user_id": 12, "extra": [1], **DAYS}, {"userId": "12", "extra": [1]}),
    ],
)
def test_a_request_is_json_in_camel_case_with_the_organisations_keys(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """One of the two ids, the days with dashes, at a cost of 8; it is not repeated when nobody knows whether it arrived."""
    call = request_call(fields)
    assert (call.method, call.path, call.credential) == ("POST", "/api/2/dsar/requests", "organisation")
    assert (call.repeatable, call.uses) == (False, (Use("dsar", 8),))
    assert json_of(call) == {"startDate": "2026-01-01", "endDate": "2026-04-30", **expected}


@pytest.mark.parametrize(
    "fields",
    [
        DAYS,
        {"user_id": "ada", "amplitude_id": 5, **DAYS},
        {"user_id": " ", **DAYS},
        {"amplitude_id": 0, **DAYS},
        {"user_id": "ada", "start_date": "2026-01-02", "end_date": "2026-01-01"},
        {"user_id": "ada", "start_date": "2026-01-02"},
        {"user_id": "ada", "start_date": "yesterday", "end_date": "2026-01-01"},
    ],
    ids=repr,
)
def test_a_request_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    """Neither id or both, a blank one, days that are none or in the wrong order."""
    with pytest.raises(InvalidArgumentError):
        request_call(fields)


def test_what_is_looked_at_and_fetched() -> None:
    """A look costs 1 and so does a file; a file is a redirect that is followed, and ids cannot change the path."""
    assert status_call(81234).path == "/api/2/dsar/requests/81234"
    call = output_call("81234", 1)
    assert (call.path, call.kind, call.follows_link) == ("/api/2/dsar/requests/81234/outputs/1", "stream", True)
    assert status_call(1).uses == call.uses == (Use("dsar"),)
    for wrong in ("..", "1/2", None, -1, ""):
        with pytest.raises(InvalidArgumentError):
            status_call(wrong)
        with pytest.raises(InvalidArgumentError):
            output_call(1, wrong)


def test_answers_are_read_as_they_are() -> None:
    """Nothing of an answer is lost, and the state is in lower case as it really comes."""
    assert request_call({"user_id": "ada", **DAYS}).reads(b'{"requestId":81234,"more":1}') == {"requestId": 81234, "more": 1}
    reads = status_call(1).reads
    assert reads(json.dumps(DONE).encode()) == DONE
    assert reads(json.dumps({**DONE, "status": "Done"}).encode()) == DONE
    for body in (b"{}", b"[]", b'{"status":5}'):
        with pytest.raises(MalformedError):
            reads(body)
    for body in (b"{}", b'{"requestId":null}', b'{"requestId":"../x"}'):
        with pytest.raises(MalformedError):
            request_call({"user_id": "ada", **DAYS}).reads(body)


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        (URLS, [0, 1]),
        (["https://evil.example/api/2/dsar/requests/1/outputs/7/"], [7]),
        (["https://amplitude.com/outputs/3?x=/9#/8"], [3]),
        (["", "nonsense"], [0, 1]),
        ([], []),
        (None, []),
    ],
)
def test_files_are_numbered_by_the_ends_of_their_addresses(urls: Any, expected: list[int]) -> None:
    """Whatever host an address names, only its last number is used: credentials go where we say."""
    assert output_numbers({"urls": urls}) == expected


class Amplitude:
    """Answers looks at a request: so many of each state, then the last for ever."""

    def __init__(self, *states: Any) -> None:
        self.states = list(states)

    def __call__(self, call: Call) -> bytes:
        if call.method == "POST":
            return b'{"requestId":81234}'
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return json.dumps({**DONE, **state} if isinstance(state, dict) else {**DONE, "status": state}).encode()


def test_a_download_waits_for_its_job() -> None:
    """From request to files in one awaitable; pauses grow by half from a second."""
    runner = FakeRunner(Amplitude("staging", "staging", "submitted", "done"))
    data = run(Privacy(runner).dsar.download(user_id="ada", **DAYS))
    assert [call.method for call in runner.calls] == ["POST", "GET", "GET", "GET", "GET"]
    assert runner.pauses == [1.0, 1.5, 2.25]
    assert (data.request_id, data.status, [output.output_id for output in data.outputs]) == (81234, DONE, [0, 1])
    assert "ada" not in repr(data)


def test_a_download_ends_with_its_deadline_and_can_be_resumed() -> None:
    """The error names the job; another call takes it up without asking for a new one."""
    runner = FakeRunner(Amplitude("staging"))
    with pytest.raises(RequestTimeoutError, match=r"81234.*staging.*download\(request_id=81234\)") as caught:
        run(Privacy(runner).dsar.download(user_id="ada", timeout=600, **DAYS))
    assert caught.value.job_id == 81234
    assert isinstance(caught.value, TimeoutError)
    looks = [at for at, call in zip(runner.times, runner.calls, strict=True) if call.method == "GET"]
    assert len(looks) <= 25
    assert 1590 < looks[-1] < 1600
    assert runner.now <= 1600
    assert set(runner.deadlines) == {1600.0}
    runner.rule = Amplitude("done")
    assert run(Privacy(runner).dsar.download(request_id=81234, timeout=5)).request_id == 81234
    with pytest.raises(InvalidArgumentError, match="user_id"):
        run(Privacy(runner).dsar.download(request_id=81234, user_id="ada"))


def test_days_are_waited_for_at_the_pace_that_amplitude_asks() -> None:
    """Over three days the pauses end at a quarter of an hour: some 300 looks."""
    runner = FakeRunner(Amplitude("submitted"))
    with pytest.raises(RequestTimeoutError):
        run(Privacy(runner).dsar.download(request_id=5))
    assert max(runner.pauses) == 900.0
    assert len(runner.calls) < 320


@pytest.mark.parametrize(
    ("state", "words"), [({"status": "failed", "failReason": "too much for ada@example.org"}, "too much"), ("failed", "has failed$")]
)
def test_a_job_that_failed_says_why(state: Any, words: str) -> None:
    """The reason is Amplitude's, without e-mail addresses."""
    with pytest.raises(JobError, match=words) as caught:
        run(Privacy(FakeRunner(Amplitude("staging", state))).dsar.download(user_id="ada", **DAYS))
    assert caught.value.job_id == 81234
    assert "ada@" not in str(caught.value) + caught.value.reason


def test_a_look_that_fails_is_taken_again() -> None:
    """A bad minute does not end a wait of days; five in a row, or a refusal, do."""
    bad = failed(ServerError, "unknown", status=502)
    data = run(Privacy(FakeRunner(Amplitude(bad, bad, "staging", bad, bad, bad, bad, "done"))).dsar.download(request_id=5))
    assert data.outputs
    with pytest.raises(ServerError):
        run(Privacy(FakeRunner(Amplitude(bad))).dsar.download(request_id=5))
    refused = failed(AuthenticationError, "rejected", status=403)
    with pytest.raises(AuthenticationError):
        run(Privacy(FakeRunner(Amplitude(refused))).dsar.download(request_id=5))
    limited = BudgetError("no room", wait=5.0)
    with pytest.raises(BudgetError):
        run(Privacy(FakeRunner(Amplitude(limited))).dsar.download(request_id=5))


def test_a_look_without_room_does_not_end_a_wait() -> None:
    """Who refuses to wait for a limit still waits for the job: a look that finds no room is taken later, within the deadline."""
    limited = BudgetError("no room", wait=None)
    data = run(Privacy(FakeRunner(Amplitude(limited, "staging", limited, "done"))).dsar.download(request_id=5))
    assert data.request_id == 5
    late = BudgetError("no room", wait=3600.0)
    with pytest.raises(RequestTimeoutError):
        run(Privacy(FakeRunner(Amplitude("staging", late))).dsar.download(request_id=5, timeout=600))


@pytest.mark.parametrize("error", [failed(AuthenticationError, "rejected", status=403), ClosedError("closed"), BudgetError("no room")])
def test_every_error_of_a_wait_names_the_job(error: AmplitudeError) -> None:
    """Whatever ends the wait for a job that was asked for, the job can be taken up again."""
    with pytest.raises(type(error)) as caught:
        run(Privacy(FakeRunner(Amplitude("staging", error))).dsar.download(user_id="ada", **DAYS))
    assert caught.value.job_id == 81234


@pytest.mark.parametrize("timeout", [0.1, 1.0, 3.0, 20.0, 61.0, 10_000.0])
def test_the_deadline_of_a_job_holds(timeout: float) -> None:
    """Whatever the limit, no pause goes beyond it, and a last look is taken before it."""
    runner = FakeRunner(lambda _: b"{}")

    async def look(deadline: float) -> None:
        assert deadline == 1000.0 + timeout
        runner.times.append(runner.now)

    with pytest.raises(RequestTimeoutError):
        run(until_done(runner, look, deadline=1000.0 + timeout, job_id=1, says=lambda: "words"))
    assert runner.now <= 1000.0 + timeout
    assert len(runner.times) >= 2
    assert max(runner.pauses) <= 60.0


@pytest.mark.parametrize("arguments", [{"bad_rows": "drop"}, {"limits": 5}, {"model": object}], ids=repr)
def test_rows_are_asked_for_properly(arguments: dict[str, Any]) -> None:
    """What cannot be decoded into, or is no choice, is refused before anything is fetched."""
    data = run(Privacy(FakeRunner(Amplitude("done"))).dsar.download(request_id=5))
    with pytest.raises(InvalidArgumentError):
        data.rows(**arguments)
