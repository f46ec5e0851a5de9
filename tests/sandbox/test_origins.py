"""What pages of other origins may do: send events and ask for flags, as at Amplitude, and nothing else."""

from __future__ import annotations

import httpx
import pytest

from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.origins import PATHS

from .test_uploads import GOOD

ORIGIN = {"origin": "https://shop.example.org"}
ASKED = {**ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "content-type,authorization"}


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_browser_that_asks_first_may_send(http: httpx.Client, path: str) -> None:
    """The question before an upload, or before a call for flags, is answered for every origin and header."""
    answer = http.options(path, headers=ASKED)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "content-type,authorization"
    assert "access-control-allow-headers" not in http.options(path, headers={**ORIGIN, "access-control-request-method": "GET"}).headers


def test_a_page_reads_answers_faults_and_refusals_alike(http: httpx.Client, box: Sandbox) -> None:
    """A page sees what became of its events, also when that was nothing; a question before takes no fault away."""
    body = {"api_key": "sandbox", "events": [GOOD]}
    box.faults.next(status=503)
    http.options("/2/httpapi", headers=ASKED)
    for status, sent in ((503, body), (200, body), (400, {})):
        answer = http.post("/2/httpapi", json=sent, headers=ORIGIN)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, "*")
    assert "access-control-allow-origin" not in http.post("/2/httpapi", json=body).headers


@pytest.mark.parametrize(
    "path", ["/", "/sandbox/status", "/sandbox/events", "/api/2/export", "/api/2/usersearch", "/api/2/deletions/users"]
)
def test_a_page_reads_nothing_else(http: httpx.Client, path: str) -> None:
    """What was sent, and what steers the sandbox, is not for pages of other origins."""
    with http.stream("OPTIONS", path, headers=ASKED) as answer:
        assert answer.status_code == 405
        assert "access-control-allow-origin" not in answer.headers
    with http.stream("GET", path, headers=ORIGIN) as answer:
        assert "access-control-allow-origin" not in answer.headers
