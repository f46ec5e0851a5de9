"""Every endpoint of Amplitude's server-side APIs: the request that our call makes, in both regions."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import Counter
from email.parser import BytesParser
from email.policy import HTTP
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from amplitude_async import AmplitudeError, AsyncAmplitude, Backoff, ConfigurationError

from .table import KEYS, Row

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in {"__init__", "table", "test_endpoints"})
ROWS: list[Row] = [row for module in MODULES for row in import_module(f".{module}", __package__).ROWS]
ROOT = Path(__file__).parents[2]
LEFT_OUT = [row for row in ROWS if row.call is None]
DONE = [row for row in ROWS if row.call is not None]
TOTAL = 192
"""How many endpoints Amplitude's pages list; raised when they list more."""


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


AUTHORIZATION = {
    "key in body": None,
    "Basic project": basic(KEYS["api_key"], KEYS["secret_key"]),
    "Basic organisation": basic(KEYS["org_api_key"], KEYS["org_secret_key"]),
    "Api-Key secret": f"Api-Key {KEYS['secret_key']}",
    "Api-Key deployment": f"Api-Key {KEYS['deployment_key']}",
    "Bearer management": f"Bearer {KEYS['management_key']}",
    "Bearer scim": f"Bearer {KEYS['scim_token']}",
    "none": None,
}
IN_CLEAR = {
    "key in body": {"api_key"},
    "Api-Key secret": {"secret_key"},
    "Api-Key deployment": {"deployment_key"},
    "Bearer management": {"management_key"},
    "Bearer scim": {"scim_token"},
}
"""The one key that each kind of request carries as it is; Basic is base64."""
TYPES = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "multipart": "multipart/form-data",
    "xml": "application/xml",
}


async def requests_of(row: Row, region: str) -> list[httpx.Request]:
    sent: list[httpx.Request] = []
    status, kind, body = row.answer

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        assert len(sent) < 50, "the call does not end"
        return httpx.Response(status, headers={"content-type": kind}, content=body)

    assert row.call is not None
    now = [1000.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    backoff = Backoff(clock=lambda: now[0], sleep=sleep, jitter=lambda limit: limit)
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        async with AsyncAmplitude(**KEYS, region=region, http_client=client, max_retries=0, backoff=backoff) as amplitude:  # type: ignore[arg-type]  # each key is a text
            try:
                await row.call(amplitude)
            except ConfigurationError:
                raise
            except AmplitudeError:
                # What is asked is looked at here, not what is made of the answer.
                assert sent
    return sent


def body_of(request: httpx.Request, encoding: str) -> Any:
    if encoding == "json":
        return json.loads(request.content)
    if encoding == "form":
        return [
            pair for pair in parse_qsl(request.content.decode(), keep_blank_values=True, strict_parsing=True) if pair[0] != "api_key"
        ]
    if encoding == "multipart":
        head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
        parts = [part for part in BytesParser(policy=HTTP).parsebytes(head + request.content).walk() if not part.is_multipart()]
        return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode() for part in parts}  # type: ignore[union-attr]  # a leaf is bytes
    return request.content.decode()


@pytest.mark.asyncio
@pytest.mark.parametrize("region", ["us", "eu"])
@pytest.mark.parametrize("row", DONE, ids=lambda row: row.name)
async def test_the_request_is_the_documented_one(row: Row, region: str) -> None:
    """Method, host of the region, path, credential, encoding and contents are those of Amplitude's page; no other key travels."""
    host = row.hosts[region == "eu"]
    if host is None:
        with pytest.raises(ConfigurationError, match="EU"):
            await requests_of(row, region)
        return
    request = (await requests_of(row, region))[row.index]
    assert request.method == row.method
    assert (request.url.scheme, request.url.host) == ("https", host)
    assert request.url.raw_path.decode().partition("?")[0] == row.path
    assert request.headers.get("authorization") == AUTHORIZATION[row.auth]
    query = parse_qsl(request.url.query.decode(), keep_blank_values=True)
    if row.query is not None:
        assert query == row.query
    if row.encoding in TYPES:
        assert request.headers["content-type"].partition(";")[0] == TYPES[row.encoding]
        assert "content-type" not in row.headers or request.headers["content-type"] == row.headers["content-type"]
        body = body_of(request, row.encoding)
        if row.auth == "key in body":
            assert KEYS["api_key"] in request.content.decode()
        if row.body is not None:
            assert body == row.body
    else:
        assert request.content == b""
    for name, value in row.headers.items():
        assert request.headers[name] == value
    text = str(request.url) + request.content.decode("latin-1") + "".join(f"{k}:{v}" for k, v in request.headers.items())
    allowed = IN_CLEAR.get(row.auth, set())
    for name, key in KEYS.items():
        assert name in allowed or key not in text, f"{name} travels in clear where it has no business"


def test_no_endpoint_is_missing() -> None:
    """Every endpoint has one row, and each row is done or says why not."""
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert len(ROWS) == TOTAL
    assert all((row.call is not None) == (row.why == "done") for row in ROWS)
    assert all(row.why.strip() for row in ROWS)


def test_the_page_lists_what_is_left_out() -> None:
    """Every group of endpoints without a call is on the page, with how many they are and a reason that the table has."""
    page = (ROOT / "docs" / "apis" / "left_out.md").read_text("utf-8")
    lines = re.findall(r"^\| ([^|]+) \| (\d+) \| ([^|]+) \|$", page, re.MULTILINE)
    assert {name: int(count) for name, count, _ in lines} == Counter(row.name.partition(":")[0] for row in LEFT_OUT)
    for name, _, why in lines:
        assert any(row.why.startswith(why) for row in LEFT_OUT if row.name.partition(":")[0] == name), name


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/apis/left_out.md"])
def test_the_pages_count_right(page: str) -> None:
    """Where a page says how many endpoints there are, it is the table's number."""
    text = (ROOT / page).read_text("utf-8")
    assert set(re.findall(r"(\d+) endpoints", text)) <= {str(len(ROWS)), str(len(ROWS) - len(LEFT_OUT))}
    assert str(len(ROWS) - len(LEFT_OUT)) in text
