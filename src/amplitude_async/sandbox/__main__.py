"""Serve the sandbox for other programs: ``python -m amplitude_async.sandbox --port 8765``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from amplitude_async.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BANNER = """\
This is a sandbox, not Amplitude: what you send stays on this machine{where}.

  listening on  {url}
  API key       {api_key}
  secret key    {secret}
  control token {token}

See what arrives: {url}/

Point a client at it:

  AsyncAmplitude({api_key!r}, secret_key="...", base_url="{url}")
  export AMPLITUDE_BASE_URL={url}
  curl {url}/2/httpapi -H 'Content-Type: application/json' \\
    -d '{{"api_key":"{api_key}","events":[{{"user_id":"ada@example.org","event_type":"hello"}}]}}'

Ctrl-C stops it."""


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m amplitude_async.sandbox", description="Amplitude's APIs on a local port, for tests and demos."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--api-key", default="sandbox", help="accepted API key (default: %(default)s)")
    parser.add_argument("--secret-key", default="sandbox", help="accepted secret key (default: sandbox)")
    parser.add_argument("--token", help="what steering it over HTTP needs (default: drawn anew at each start)")
    parser.add_argument("--seed", metavar="USERS", type=int, help="begin with a made-up shop of so many people, over 30 days")
    parser.add_argument("--store", metavar="FILE", help="SQLite file that keeps the data (default: memory)")
    parser.add_argument("--timezone", default="UTC", metavar="NAME", help="the project's time zone (default: %(default)s)")
    parser.add_argument("--strict", action="store_true", help="throttle, count costs, delay exports as Amplitude does")
    parser.add_argument("--allow-remote", action="store_true", help="permit a --host that other machines can reach")
    return parser.parse_args(given)


def _refused(error: Exception) -> int:
    print(f"cannot start the sandbox: {error}", file=sys.stderr)  # noqa: T201 - a program that talks to its user
    return 2


def main(given: Sequence[str] | None = None) -> int:
    """Serve until interrupted; returns the exit status."""
    chosen = _arguments(given)
    try:
        from amplitude_async.sandbox import Sandbox  # noqa: PLC0415 - an extra, whose absence is said in one line
    except ConfigurationError as error:
        return _refused(error)
    try:
        box = Sandbox(
            strict=chosen.strict,
            store=chosen.store,
            host=chosen.host,
            port=chosen.port,
            api_key=chosen.api_key,
            secret_key=chosen.secret_key,
            allow_remote=chosen.allow_remote,
            token=chosen.token,
            timezone=chosen.timezone,
        )
        box.start()
    except (ConfigurationError, OSError, OverflowError) as error:
        return _refused(error)
    try:
        where = f", in {chosen.store}" if chosen.store else ", in memory"
        if chosen.seed is not None:
            where += f"; {box.seed(chosen.seed):,} events of a made-up shop are in it"
        token = "(as given)" if chosen.token else box.token
        secret = "sandbox" if chosen.secret_key == "sandbox" else "(as given)"  # noqa: S105 - the documented test key
        print(_BANNER.format(url=box.url, api_key=chosen.api_key, secret=secret, where=where, token=token), flush=True)  # noqa: T201 - as above
        box.wait()
    except InvalidArgumentError as error:
        return _refused(error)
    except KeyboardInterrupt:
        print("stopped", flush=True)  # noqa: T201 - a program that talks to its user
    finally:
        box.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
