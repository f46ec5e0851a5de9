"""Answers whose content encoding is undone on the way: several gzips in a row, padding, damage, growth."""

from __future__ import annotations

import gzip
import random
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import AsyncAmplitude, Backoff, TransportError, UnexpectedResponseError
from amplitude_async._protocol.call import Call, read_nothing, read_text
from amplitude_async._protocol.unpacking import Inflater

sys.path.insert(0, str(Path(__file__).parent))
from scripted import Connection, ScriptedServer, response

NO_WAIT = Backoff(jitter=lambda _: 0.0)
STREAM = Call("dashboard", "stream", "GET", "/file", "project", read_nothing, repeatable=True)
QUERY = STREAM._replace(kind="query", reads=read_text)
TEXT = random.Random(1).randbytes(300_000).hex().encode()
PACKED = {
    "one gzip": gzip.compress(TEXT),
    "several gzips": b"".join(gzip.compress(TEXT[at : at + 50_000]) for at in range(0, len(TEXT), 50_000)),
    "gzips of nothing between": gzip.compress(b"") + gzip.compress(TEXT) + gzip.compress(b"") * 3,
    "padded by zeros": gzip.compress(TEXT) + bytes(1000),
    "zeros between": gzip.compress(TEXT[:1000]) + bytes(10) + gzip.compress(TEXT[1000:]),
    "deflate": zlib.compress(TEXT),
    "much of little": gzip.compress(b"x" * 5_000_000),
}


def packed(data: bytes, piece: int) -> ScriptedServer:
    def step(connection: Connection) -> None:
        while connection.read_request():
            head = response(200, b"", "Content-Encoding: gzip", f"Content-Length: {len(data)}", length=False)
            connection.send(head)
            for at in range(0, len(data), piece):
                connection.send(data[at : at + piece])

    return ScriptedServer(step)


async def asked(data: bytes, call: Call, piece: int = 10_000) -> bytes:
    with packed(data, piece) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url, backoff=NO_WAIT, max_retries=0) as amplitude:
            if call.kind == "query":
                text: str = await amplitude._caller.run(call)
                return text.encode()
            stream = await amplitude._caller.open(call)
            read = bytearray()
            while (chunk := await stream.next_chunk()) is not None:
                assert len(chunk) <= 256 << 10
                read += chunk
            return bytes(read)


@pytest.mark.anyio
@pytest.mark.parametrize("call", [STREAM, QUERY], ids=lambda call: call.kind)
@pytest.mark.parametrize("name", PACKED)
async def test_nothing_of_a_packed_answer_is_lost(name: str, call: Call) -> None:
    """Several gzips in a row are one answer; none of it goes missing in silence."""
    plain = b"x" * 5_000_000 if name == "much of little" else TEXT
    assert await asked(PACKED[name], call) == plain


@pytest.mark.anyio
@pytest.mark.parametrize("call", [STREAM, QUERY], ids=lambda call: call.kind)
@pytest.mark.parametrize(
    "data",
    [
        PACKED["one gzip"][:-4],
        PACKED["several gzips"][:-4],
        PACKED["one gzip"] + b"\x1f\x8b",
        PACKED["one gzip"] + b"something else",
        PACKED["one gzip"][:1000] + b"?" + PACKED["one gzip"][1001:],
    ],
    ids=["cut", "the last one cut", "a further one cut", "something behind", "damaged"],
)
async def test_a_packed_answer_that_is_not_whole_is_an_error(data: bytes, call: Call) -> None:
    """Cut or damaged, it is never a shorter success."""
    with pytest.raises((TransportError, UnexpectedResponseError)):
        await asked(data, call)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.integers(1, 50), st.integers(1, 100))
def test_pieces_come_back_whole(parts: list[bytes], piece: int, most: int) -> None:
    """However the bytes arrive and however little is taken at a time, the text is the same."""
    data = b"".join(gzip.compress(part) for part in parts)
    inflater = Inflater()
    read = b""
    for at in range(0, len(data), piece):
        read += inflater.inflate(data[at : at + piece], most)
        while inflater.tail:
            step = inflater.inflate(b"", most)
            assert len(step) <= most
            read += step
    while not inflater.is_whole:
        step = inflater.inflate(b"", most)
        assert step
        read += step
    assert read == b"".join(parts)
