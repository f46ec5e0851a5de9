"""Which endpoint wins, and what an endpoint may look like."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async import ConfigurationError
from amplitude_async._protocol.hosts import Api, parse_endpoint, resolve

US = ("https://api2.amplitude.com", "https://amplitude.com")
EU = ("https://api.eu.amplitude.com", "https://analytics.eu.amplitude.com")


@pytest.mark.parametrize(
    ("given_", "environment", "expected"),
    [
        ({}, {}, US),
        ({"region": "eu"}, {}, EU),
        ({}, {"AMPLITUDE_REGION": "eu"}, EU),
        ({"base_url": "https://box.example"}, {}, ("https://box.example",) * 2),
        ({"base_url": "https://box.example", "region": "eu"}, {}, ("https://box.example",) * 2),
        ({"token_endpoint": "https://t.example"}, {}, ("https://t.example", US[1])),
        ({"token_endpoint": "https://t.example", "region": "eu"}, {}, ("https://t.example", EU[1])),
        ({"dashboard_endpoint": "https://d.example", "base_url": "https://b.example"}, {}, ("https://b.example", "https://d.example")),
        ({}, {"AMPLITUDE_TOKEN_ENDPOINT": "https://t.example"}, ("https://t.example", US[1])),
        (
            {},
            {"AMPLITUDE_TOKEN_ENDPOINT": "https://t.example", "AMPLITUDE_BASE_URL": "https://b.example"},
            ("https://t.example", "https://b.example"),
        ),
        ({}, {"AMPLITUDE_BASE_URL": "https://b.example", "AMPLITUDE_REGION": "eu"}, ("https://b.example",) * 2),
        ({"base_url": "https://box.example"}, {"AMPLITUDE_TOKEN_ENDPOINT": "https://t.example"}, ("https://box.example",) * 2),
        ({"region": "us"}, {"AMPLITUDE_TOKEN_ENDPOINT": "https://t.example", "AMPLITUDE_DASHBOARD_ENDPOINT": "https://d.example"}, US),
        ({"region": "us"}, {"AMPLITUDE_BASE_URL": "https://b.example"}, US),
        ({"token_endpoint": "https://o.example"}, {"AMPLITUDE_TOKEN_ENDPOINT": "https://t.example"}, ("https://o.example", US[1])),
        ({"token_endpoint": "", "region": ""}, {"AMPLITUDE_REGION": "", "AMPLITUDE_TOKEN_ENDPOINT": ""}, US),
    ],
)
def test_which_endpoint_wins(given_: dict[str, object], environment: dict[str, str], expected: tuple[str, str]) -> None:
    """Explicit endpoint, base_url, region, then the same three of the environment, then US."""
    endpoints = resolve(given_, environment, allow_clear_text=False)
    found = [endpoint.origin for api, endpoint in endpoints.items() if endpoint is not None and api in {"ingestion", "dashboard"}]
    assert tuple(found) == expected


@pytest.mark.parametrize(
    ("api", "us", "eu"),
    [
        ("ingestion", "api2.amplitude.com", "api.eu.amplitude.com"),
        ("mapping", "api.amplitude.com", "api.eu.amplitude.com"),
        ("dashboard", "amplitude.com", "analytics.eu.amplitude.com"),
        ("audit_logs", "amplitude.com", None),
        ("session_replay", "amplitude.com", "eu.amplitude.com"),
        ("profiles", "profile-api.amplitude.com", None),
        ("lookup_tables", "data-api.amplitude.com", "data-api.eu.amplitude.com"),
        ("scim", "core.amplitude.com", "core.eu.amplitude.com"),
        ("localization", "app.amplitude.com", "app.eu.amplitude.com"),
        ("evaluation", "api.lab.amplitude.com", "api.lab.eu.amplitude.com"),
        ("management", "experiment.amplitude.com", "experiment.eu.amplitude.com"),
    ],
)
def test_every_api_has_its_host(api: Api, us: str, eu: str | None) -> None:
    """The hosts are those of Amplitude's pages; the EU's follow no pattern, and two APIs have none there."""
    for region, host in (("us", us), ("eu", eu)):
        endpoint = resolve({"region": region}, {}, allow_clear_text=False)[api]
        assert (endpoint and endpoint.origin) == (host and f"https://{host}")
    everywhere = resolve({"base_url": "https://box.example", "region": "eu"}, {}, allow_clear_text=False)
    assert {endpoint.origin for endpoint in everywhere.values() if endpoint} == {"https://box.example"}
    assert None not in everywhere.values()


def test_an_endpoint_moves_what_is_served_there() -> None:
    """User mappings move with ingestion, what the dashboard's host serves moves with it, and nothing else moves."""
    found = resolve({"token_endpoint": "https://t.example", "dashboard_endpoint": "https://d.example"}, {}, allow_clear_text=False)
    moved = {api: endpoint.origin for api, endpoint in found.items() if endpoint and endpoint.origin.endswith(".example")}
    assert moved == {
        "ingestion": "https://t.example",
        "mapping": "https://t.example",
        "dashboard": "https://d.example",
        "audit_logs": "https://d.example",
        "session_replay": "https://d.example",
    }


@pytest.mark.parametrize(
    ("text", "origin", "prefix"),
    [
        ("https://api2.amplitude.com/", "https://api2.amplitude.com", ""),
        ("HTTPS://API2.Amplitude.com", "https://api2.amplitude.com", ""),
        ("https://proxy.example/amplitude/v9/", "https://proxy.example", "/amplitude/v9"),
        ("https://proxy.example:443", "https://proxy.example", ""),
        ("https://proxy.example:8443", "https://proxy.example:8443", ""),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765", ""),
        ("http://127.9.9.9", "http://127.9.9.9", ""),
        ("http://localhost:80", "http://localhost", ""),
        ("http://[::1]:9", "http://[::1]:9", ""),
    ],
)
def test_what_an_endpoint_may_be(text: str, origin: str, prefix: str) -> None:
    """Scheme, host, port and path; a trailing slash is harmless, a path is a prefix."""
    assert parse_endpoint("base_url", text, allow_clear_text=False) == (origin, prefix)


REFUSED = [
    "api2.amplitude.com",
    "ftp://api2.amplitude.com",
    "file:///etc/passwd",
    "//api2.amplitude.com",
    "https://",
    "https:///path",
    "https://user:password@api2.amplitude.com",
    "https://user@api2.amplitude.com",
    "https://api2.amplitude.com?x=1",
    "https://api2.amplitude.com/#x",
    "https://api2.amplitude.com/a b",
    " https://api2.amplitude.com",
    "https://api2.amplitude.com\n",
    "https://api2.amplitude.com\r\nX: y",
    "https://api2.amplitude.com\x00",
    "https://api2.amplitude.com\\evil.example",
    "https://api2.amplitude.com:0",
    "https://api2.amplitude.com:",
    "https://api2.amplitude.com:99999",
    "https://api2.amplitude.com:08443",
    "https://api2.amplitude.com:x",
    "https://api2.amplitude.com/../x",
    "https://api2.amplitude.com/%2e%2e/x",
    "https://api2..amplitude.com",
    "https://bücher.example",
    "https://[::1",
    "https://[fe80::1]",
    "https://169.254.169.254",
    "http://169.254.169.254",
    "https://[::ffff:169.254.169.254]",
    "https://0.0.0.0",
    "https://256.1.1.1",
    "https://2130706433",
    "https://0xa9fea9fe",
    "https://0xa9.0xfe.0xa9.0xfe",
    "https://[::169.254.169.254]",
    "https://[64:ff9b::a9fe:a9fe]",
]
CLEAR_TEXT = [
    "http://api2.amplitude.com",
    "http://10.0.0.1",
    "http://192.168.1.1",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "http://example.com:8765",
    "http://[2001:db8::1]",
    "http://8.8.8.8",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_an_endpoint_may_not_be(text: str) -> None:
    """Anything else is refused by name, and its text, which may hold a password, is not repeated (S12, S13)."""
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        parse_endpoint("base_url", text, allow_clear_text=True)
    assert "password" not in str(caught.value).replace("user names and passwords", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://api2.amplitude.com/a b", "white space"),
        ("https://api2.amplitude.com\\a", "backslash"),
        ("https://bücher.example", "punycode"),
        ("api2.amplitude.com", "its scheme is missing"),
        ("ftp://api2.amplitude.com", "only https://"),
        ("https://ada:sesame@api2.amplitude.com", "user names and passwords"),
        ("https://api2.amplitude.com/@/x?y", "a query or fragment"),
        ("https://api2.amplitude.com?x", "a query or fragment"),
        ("https://api2.amplitude.com#x", "a query or fragment"),
        ("https://", "not a valid one"),
        ("https://api2.amplitude.com:99999", "its host or port is not one"),
        ("https://" + "a" * 300, "its host or port is not one"),
        ("https://api2.amplitude.com/../x", "dot segments"),
        ("https://169.254.169.254", "link-local"),
        ("https://256.1.1.1", "not a valid address"),
        (5, "must be text"),
    ],
)
def test_a_refusal_says_what_is_wrong(text: object, words: str) -> None:
    """Each fault has words of its own, so that its reader knows what to change."""
    with pytest.raises(ConfigurationError, match=words):
        parse_endpoint("base_url", text, allow_clear_text=True)


@pytest.mark.parametrize("text", CLEAR_TEXT)
def test_clear_text_is_refused_unless_allowed(text: str) -> None:
    """Clear text goes to loopback, or where it was allowed by name (S11)."""
    with pytest.raises(ConfigurationError, match="clear text"):
        parse_endpoint("base_url", text, allow_clear_text=False)
    assert parse_endpoint("base_url", text, allow_clear_text=True).is_clear_text


@given(st.text(max_size=60) | st.from_regex(r"https?://[ -~\x00-\x1f]{0,40}", fullmatch=True))
@settings(max_examples=500)
def test_whatever_is_accepted_is_an_origin_and_a_path(text: str) -> None:
    """No text yields an endpoint with user info, query, fragment, white space or control characters (S12)."""
    try:
        endpoint = parse_endpoint("base_url", text, allow_clear_text=True)
    except ConfigurationError:
        return
    whole = endpoint.url("/2/httpapi")
    assert whole.isascii()
    assert whole.isprintable()
    assert not set(whole) & set(" \\?#")
    assert "@" not in endpoint.origin
    assert whole.endswith("/2/httpapi")
