"""Each API's credential: what is written for it, and what is asked for when it is missing."""

from __future__ import annotations

from base64 import b64encode
from typing import get_args

import pytest

from amplitude_async import AsyncAmplitude, ConfigurationError
from amplitude_async._protocol.call import Call, read_json
from amplitude_async._protocol.credentials import NEEDED, Credential, authorization, missing

PAIR = b64encode(b"a:b").decode()


@pytest.mark.parametrize(
    ("credential", "revealed", "header"),
    [
        ("in_body", ["a"], None),
        ("project", ["a", "b"], f"Basic {PAIR}"),
        ("organisation", ["a", "b"], f"Basic {PAIR}"),
        ("secret", ["s"], "Api-Key s"),
        ("deployment", ["server-1"], "Api-Key server-1"),
        ("management", ["m"], "Bearer m"),
        ("scim", ["t"], "Bearer t"),
        ("none", [], None),
    ],
)
def test_what_is_written(credential: Credential, revealed: list[str], header: str | None) -> None:
    """Each kind of credential has its own header."""
    assert authorization(credential, revealed) == header


def test_every_kind_is_known() -> None:
    """No kind lacks the list of keys that it is made of."""
    assert set(NEEDED) == set(get_args(Credential))


@pytest.mark.asyncio
@pytest.mark.parametrize("credential", [kind for kind in get_args(Credential) if kind not in {"in_body", "none"}])
async def test_a_missing_one_is_named_at_the_call(credential: Credential, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call says which argument and variable it lacks, and nothing is sent."""
    name = NEEDED[credential][-1]
    for variable in ("SECRET_KEY", "ORG_API_KEY", "ORG_SECRET_KEY", "DEPLOYMENT_KEY", "MANAGEMENT_KEY", "SCIM_TOKEN"):
        monkeypatch.delenv(f"AMPLITUDE_{variable}", raising=False)
    keys = {other: "invented" for other in NEEDED[credential][:-1] if other != "api_key"}
    call = Call("dashboard", "query", "GET", "/x", credential, read_json, repeatable=True)
    async with AsyncAmplitude("invented-key", base_url="http://127.0.0.1:9", **keys) as amplitude:  # type: ignore[arg-type]  # each is a text
        with pytest.raises(ConfigurationError) as caught:
            await amplitude._caller.run(call)
    assert str(caught.value) == missing(name)
    assert f"AMPLITUDE_{name.upper()}" in str(caught.value)
