"""``sandbox``: Amplitude on a local port, until Ctrl-C."""

from pathlib import Path

from amplitude_async.cli.exits import DONE
from amplitude_async.cli.printing import note, print_json, print_lines
from amplitude_async.errors import ConfigurationError

_KEY = "sandbox"
_BANNER = """\
This is a sandbox, not Amplitude: what you send stays on this machine{where}.

  listening on   {url}
  page           {url}/
  API key        {api_key}
  secret key     {secret}
  control token  {token}

In another terminal:

  export AMPLITUDE_BASE_URL={url} AMPLITUDE_API_KEY={api_key} AMPLITUDE_SECRET_KEY={secret}
  amplitude-async track hello --user-id ada@example.org
  amplitude-async users search ada

Ctrl-C stops it."""


def sandbox(
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    api_key: str = _KEY,
    secret_key: str = _KEY,
    store: Path | None = None,
    timezone: str = "UTC",
    strict: bool = False,
    seed: int | None = None,
    days: int = 30,
    allow_remote: bool = False,
    token: str | None = None,
    json: bool = False,
) -> int:
    """Serve Amplitude's APIs on this machine, for trying things and for tests, until Ctrl-C.

    Its page shows what passes through. The control token is what changing the sandbox over HTTP needs (under /sandbox/).

    Args:
        host: Address to listen on; this machine alone, if left out.
        port: Port, 0 for a free one; 8765, if left out.
        api_key: Accepted API key; `sandbox`, if left out.
        secret_key: Accepted secret key; `sandbox`, if left out.
        store: SQLite file that keeps the data; memory, if left out.
        timezone: The project's time zone, by its name; UTC, if left out.
        strict: Throttle, count costs, delay exports as Amplitude does.
        seed: Fill it with a shop of so many people.
        days: Over how many days, up to yesterday; 30, if left out.
        allow_remote: Permit a --host that other machines can reach.
        token: The control token; drawn anew, if left out.
        json: Print address, keys and token as JSON, one line.
    """
    from amplitude_async.sandbox import Sandbox  # noqa: PLC0415 - an extra

    box = Sandbox(
        strict=strict,
        timezone=timezone,
        store=None if store is None else str(store),
        host=host,
        port=port,
        api_key=api_key,
        secret_key=secret_key,
        allow_remote=allow_remote,
        token=token,
    )
    try:
        box.start()
    except OverflowError as error:
        raise ConfigurationError(str(error)) from None
    try:
        if seed is not None:
            note(f"filling it with {seed:,} people ...")
            note(f"{box.seed(users=seed, days=days):,} events")
        if json:
            print_json({"url": box.url, "page": f"{box.url}/", "api_key": api_key, "secret_key": secret_key, "token": box.token})
        else:
            where = f", in {store}" if store else ", in memory"
            secret = secret_key if secret_key == _KEY else "(as given)"
            print_lines(_BANNER.format(where=where, url=box.url, api_key=api_key, secret=secret, token=box.token))
        box.wait()
    except KeyboardInterrupt:
        note("stopped")
    finally:
        box.stop()
    return DONE
