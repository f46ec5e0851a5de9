"""Where a download link may lead: what a server answers can widen nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amplitude_async._protocol.hosts import Endpoint
from amplitude_async._protocol.links import MAX_LINK, Link, UnsafeLinkError, read_link

AMPLITUDE = Endpoint("https://amplitude.com", "")
SANDBOX = Endpoint("http://127.0.0.1:8765", "")
LOCAL_TLS = Endpoint("https://127.0.0.1:8443", "")
PROXY = Endpoint("https://10.1.2.3", "/amplitude")
CLEAR = Endpoint("http://proxy.example", "")


@pytest.mark.parametrize(
    ("text", "origin", "url"),
    [
        ("https://bucket.s3.amazonaws.com/a/b.csv?X-Amz-Signature=ab%2Fcd&X-Amz-Expires=60", "https://bucket.s3.amazonaws.com", None),
        ("https://bucket.s3.amazonaws.com/a%20b/%C3%A6.csv?s=a+b/c==", "https://bucket.s3.amazonaws.com", None),
        ("https://bucket.example:8443/a?b=c?d", "https://bucket.example:8443", None),
        ("https://8.8.8.8/a", "https://8.8.8.8", None),
        ("https://[2606:4700::1111]/a", "https://[2606:4700::1111]", None),
        ("https://bucket.example", "https://bucket.example", "https://bucket.example/"),
        ("HTTPS://Bucket.Example/A?B=C", "https://bucket.example", "https://bucket.example/A?B=C"),
        ("https://bucket.example/a?b=c#part", "https://bucket.example", "https://bucket.example/a?b=c"),
        ("https://bucket.example:443/a", "https://bucket.example", "https://bucket.example/a"),
        ("/files/a.csv?signature=x%2Fy", "https://amplitude.com", "https://amplitude.com/files/a.csv?signature=x%2Fy"),
        ("/files/a.csv#part", "https://amplitude.com", "https://amplitude.com/files/a.csv"),
        ("/files//a.csv", "https://amplitude.com", "https://amplitude.com/files//a.csv"),
        ("/@evil.example/a", "https://amplitude.com", "https://amplitude.com/@evil.example/a"),
    ],
)
def test_links_that_are_followed(text: str, origin: str, url: str | None) -> None:
    """TLS addresses of the open network, and paths on the host itself; the signed text goes out as it came."""
    link = read_link(text, AMPLITUDE)
    assert link.endpoint.origin == origin
    assert link.url == (text if url is None else url)


def test_a_path_is_one_of_the_host_not_of_the_prefix() -> None:
    """An endpoint's own prefix is for the API's paths; a redirect's path is complete."""
    assert read_link("/files/a", PROXY).url == "https://10.1.2.3/files/a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "files/a.csv",
        "../a.csv",
        "?signature=x",
        "//bucket.example/a",
        "/\\bucket.example/a",
        "https:/bucket.example/a",
        "https:bucket.example/a",
        "https://",
        "https:///a",
        "https://?a",
        "https://bucket.example?a=b",
        "https://user:secret@bucket.example/a",
        "https://amplitude.com@bucket.example/a",
        "https://bucket.example\\@amplitude.com/a",
        "https://bucket.example:0/a",
        "https://bucket.example:99999/a",
        "https://buck et.example/a",
        "https://bucket.example/a b",
        "https://bucket.example/a\r\nX-Injected: 1",
        "https://bucket.example/a\x00",
        "https://bücket.example/a",
        "ftp://bucket.example/a",
        "file:///etc/passwd",
        "gopher://bucket.example/a",
        "javascript:alert(1)",
        "data:text/csv,a",
        "https://bucket.example/" + "a" * MAX_LINK,
    ],
)
@pytest.mark.parametrize("own", [AMPLITUDE, SANDBOX])
def test_what_is_no_link(text: str, own: Endpoint) -> None:
    """Anything but scheme, host, port, path and query names no place to go to."""
    with pytest.raises(UnsafeLinkError):
        read_link(text, own)


HERE = [
    "https://127.0.0.1/a",
    "https://127.8.8.8:9/a",
    "https://localhost/a",
    "https://localhost./a",
    "https://amplitude.localhost/a",
    "https://[::1]/a",
]
INSIDE = [
    "https://10.0.0.1/a",
    "https://172.16.0.1/a",
    "https://192.168.1.1/a",
    "https://100.64.0.1/a",
    "https://100.100.100.200/latest/meta-data",
    "https://169.254.169.254/latest/meta-data",
    "https://0.0.0.0/a",
    "https://198.18.0.1/a",
    "https://224.0.0.1/a",
    "https://255.255.255.255/a",
    "https://[::]/a",
    "https://[::ffff:127.0.0.1]/a",
    "https://[::ffff:10.0.0.1]/a",
    "https://[::ffff:169.254.169.254]/a",
    "https://[::ffff:203.0.114.1]/a",
    "https://[::127.0.0.1]/a",
    "https://[64:ff9b::7f00:1]/a",
    "https://[64:ff9b::a00:1]/a",
    "https://[2002:7f00:1::]/a",
    "https://[fc00::1]/a",
    "https://[fd00:ec2::254]/a",
    "https://[fe80::1]/a",
    "https://[fec0::1]/a",
    "https://2130706433/a",
    "https://0x7f000001/a",
    "https://127.1/a",
    "https://0177.0.0.1/a",
    "https://intranet/a",
    "https://metadata.google.internal/a",
    "https://printer.local/a",
    "https://nas.home.arpa/a",
    "https://router.lan./a",
]


@pytest.mark.parametrize("text", [*HERE, *INSIDE])
@pytest.mark.parametrize("own", [AMPLITUDE, PROXY], ids=["Amplitude", "a private proxy"])
def test_no_link_leads_to_this_machine_or_its_network(text: str, own: Endpoint) -> None:
    """However it is written; a server must not make us ask what only we can reach, a cloud's metadata least of all."""
    with pytest.raises(UnsafeLinkError):
        read_link(text, own)


@pytest.mark.parametrize("text", [each.replace("https://", "http://") for each in [*INSIDE, "https://bucket.example/a"]])
@pytest.mark.parametrize("own", [AMPLITUDE, SANDBOX, LOCAL_TLS, PROXY, CLEAR])
def test_no_link_leads_to_clear_text(text: str, own: Endpoint) -> None:
    """Not from a sandbox either: what was allowed there is loopback."""
    with pytest.raises(UnsafeLinkError):
        read_link(text, own)


@pytest.mark.parametrize("text", ["http://127.0.0.1:9/a", "http://localhost:9/a", "http://[::1]:9/a", "https://127.0.0.1:9/a"])
def test_loopback_may_lead_to_loopback(text: str) -> None:
    """A sandbox hands out links to itself and its neighbours; who spoke TLS to it goes on doing so."""
    assert read_link(text, SANDBOX).url == text
    assert read_link(text.replace("http:", "https:"), LOCAL_TLS).url == text.replace("http:", "https:")
    with pytest.raises(UnsafeLinkError, match="clear text"):
        read_link(text.replace("https:", "http:"), LOCAL_TLS)


@pytest.mark.parametrize("own", [PROXY, CLEAR, SANDBOX, LOCAL_TLS, AMPLITUDE], ids=lambda own: own.origin)
def test_a_host_may_lead_to_itself(own: Endpoint) -> None:
    """What was chosen by name may be named again, in full as well as by a path."""
    assert read_link(f"{own.origin}/a?b", own) == read_link("/a?b", own)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://bucket.example/a?X-Amz-Signature=sesame", "clear text"),
        ("https://127.0.0.1/a?X-Amz-Signature=sesame", "this machine"),
        ("https://10.0.0.1/a?X-Amz-Signature=sesame", "private network"),
        ("https://user:sesame@bucket.example/a", "user names"),
        ("not-a-link?sesame", "no address"),
    ],
)
def test_a_refusal_says_why_and_gives_nothing_away(text: str, words: str) -> None:
    """The words name the reason, and nothing of the signed link (S2)."""
    with pytest.raises(UnsafeLinkError, match=words) as caught:
        read_link(text, AMPLITUDE)
    assert "sesame" not in str(caught.value)


def test_a_link_shows_its_host_alone() -> None:
    """Who has a signed link may read, so no text form has it."""
    link = read_link("https://bucket.example/a?X-Amz-Signature=sesame", AMPLITUDE)
    assert repr(link) == str(link) == "<Link to https://bucket.example>"
    assert f"{link}" == repr(link)


@given(
    st.text(max_size=80)
    | st.from_regex(r"(https?:)?/{0,3}[ -~]{0,60}", fullmatch=True)
    | st.ip_addresses().map(lambda address: f"https://{address if address.version == 4 else f'[{address}]'}/a")
)
@example("https://[64:ff9b::1]/a")
@settings(max_examples=400)
def test_whatever_is_followed_is_tls_or_the_host_itself(text: str) -> None:
    """Of no text comes a link in clear text, to loopback, or with something in its authority that is not host and port."""
    try:
        link = read_link(text, AMPLITUDE)
    except UnsafeLinkError:
        return
    assert isinstance(link, Link)
    assert link.url.startswith("https://")
    assert link.url.isascii()
    assert link.url.isprintable()
    assert " " not in link.url
    authority = link.url.removeprefix("https://").partition("/")[0]
    assert f"https://{authority}" == link.endpoint.origin
    assert not set(authority) & set("@\\?#")
    assert not authority.startswith(("127.", "localhost", "[::1]", "10.", "169.254."))
