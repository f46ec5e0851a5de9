"""The hash that deals users out: reference values, and that it deals evenly."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async._protocol.murmur import murmur3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0x00000000),
        ("a", 0x3C2569B2),
        ("ab", 0x9BBFD75F),
        ("abc", 0xB3DD93FA),
        ("abcd", 0x43ED676A),
        ("test", 0xBA6BD213),
        ("Hello, world!", 0xC0363E43),
        ("The quick brown fox jumps over the lazy dog", 0x2E4FF723),
        ("Qm3XzT9a/user-1", 0x9E3F03DB),
        ("Qm3XzT9a/bruker-æøå-1", 0xD032EB6C),
        ("b7Xc01Qz/日本語", 0xDB58D14E),
    ],
)
def test_reference_values(text: str, expected: int) -> None:
    """Texts of every length modulo four, and beyond ASCII, hash as the reference implementation in C hashes them."""
    assert murmur3(text.encode()) == expected


@given(st.binary(max_size=200))
def test_any_bytes_have_a_hash_of_32_bits(data: bytes) -> None:
    """The hash is a whole number below 2^32, and the same each time."""
    assert 0 <= murmur3(data) < 2**32
    assert murmur3(data) == murmur3(bytes(bytearray(data)))


@settings(max_examples=25)
@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12))
def test_users_are_dealt_out_evenly_under_any_salt(salt: str) -> None:
    """Of 2,000 users about a fifth lies in each fifth of the hundred shares: chi-squared, far beyond chance only when it is broken."""
    counts = Counter(murmur3(f"{salt}/user-{number}".encode()) % 100 // 20 for number in range(2000))
    statistic = sum((counts[fifth] - 400) ** 2 / 400 for fifth in range(5))
    # Four degrees of freedom: beyond 45 once in two hundred million.
    assert statistic < 45
