"""Named profiles: a file for its owner alone, whose keys are never mixed with others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amplitude_async.cli.keys import Profile, load, save
from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    from amplitude_async.sandbox import Sandbox

    from .conftest import Cli

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")


def test_a_profile_is_kept_used_and_removed(lone_cli: Cli, box: Sandbox) -> None:
    """Keys come on standard input where there is no terminal; the profile named default needs no option; none is shown."""
    cli = lone_cli
    keys = f"{box.api_key}\n{box.secret_key}\n"
    done = cli("profile", "add", "default", "--base-url", box.url, stdin=keys)
    assert (
        box.secret_key not in done.stdout.replace("default", "") + done.stderr.replace(str(cli.folder), "")
        or box.secret_key == "sandbox"
    )
    assert cli("track", "hello", "--user-id", "user-12345").stdout == "1 event delivered\n"
    listed = cli.json("profile", "list")["profiles"]
    assert listed == [{"name": "default", "where": box.url, "keys": "api_key, secret_key"}]
    cli("profile", "add", "default", stdin=keys, code=2)
    cli("profile", "add", "default", "--replace", "--region", "eu", stdin=keys)
    assert cli.json("profile", "list")["profiles"][0]["where"] == "eu"
    assert cli.json("profile", "remove", "default")["removed"] == "default"
    cli("profile", "remove", "default", code=3)
    assert cli.json("profile", "add", "other", stdin=keys)["kept"] == {"name": "other", "where": "us", "keys": "api_key, secret_key"}
    cli("profile", "remove", "other")
    assert "There are no profiles" in cli("profile", "list").stdout


@posix
def test_the_file_is_for_its_owner_alone(lone_cli: Cli) -> None:
    """It is made with mode 0600, and one that others can read is refused with the command that closes it."""
    lone_cli("profile", "add", "shop", stdin="invented-key\n\n")
    path = lone_cli.folder / "config" / "amplitude-async" / "profiles.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    for arguments in (["profile", "list"], ["users", "search", "x", "--profile", "shop"], ["profile", "add", "other"]):
        assert f"chmod 600 {path}" in lone_cli(*arguments, stdin="k\n\n", code=3).stderr


def test_a_profile_is_a_whole(cli: Cli, box: Sandbox) -> None:
    """With a profile, no secret and no address of the environment is used: they would be of another project."""
    cli("profile", "add", "half", "--base-url", box.url, stdin="sandbox\n\n")
    assert "secret key" in cli("users", "search", "x", "--profile", "half", code=3).stderr
    cli.env["AMPLITUDE_PROFILE"] = "half"
    cli("users", "search", "x", code=3)
    cli.env |= {"AMPLITUDE_BASE_URL": "http://127.0.0.1:9"}
    cli("track", "x", "--user-id", "user-12345")
    cli("track", "x", "--user-id", "user-12345", "--base-url", "http://127.0.0.1:9", "--timeout", "2", code=8)


def test_a_profile_that_is_not_there_is_named(cli: Cli) -> None:
    """So are those that are."""
    cli("profile", "add", "one", "--from-env")
    done = cli("users", "search", "x", "--profile", "two", code=3)
    assert "'two'" in done.stderr
    assert "there are: one" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["profile", "add", "../x"], "k\n\n"),
        (["profile", "add", "x"], "\n\n"),
        (["profile", "add", "x"], "kéy\n\n"),
        (["profile", "add", "x", "--base-url", "ftp://x"], "k\n\n"),
    ],
)
def test_what_is_no_profile_is_not_kept(lone_cli: Cli, arguments: list[str], stdin: str) -> None:
    """Names, keys and addresses are checked before anything is written."""
    lone_cli(*arguments, stdin=stdin, code=3)
    assert not (lone_cli.folder / "config").exists()


def test_all_credentials_come_back_as_they_were(tmp_path: Path) -> None:
    """Whatever printable characters a key has, it is read as it was written."""
    odd = "".join(map(chr, range(0x21, 0x7F)))
    profiles = {"a": Profile({"api_key": odd, "scim_token": 'q"\\'}, "eu"), "b-2": Profile({"api_key": "x"}, "", "http://127.0.0.1:1")}
    save(tmp_path / "made" / "profiles.toml", profiles)
    assert load(tmp_path / "made" / "profiles.toml") == profiles
    assert odd not in repr(profiles)


@posix
@pytest.mark.parametrize("text", ["[a", "a = 1", "[a]\nkey = 'x'", "[a]\napi_key = 5", "\x00"])
def test_a_file_that_is_none_is_refused_without_its_contents(tmp_path: Path, text: str) -> None:
    """The message says what is wrong and shows nothing of what may be a key."""
    path = tmp_path / "profiles.toml"
    path.write_text(text + "\n# invented-secret\n")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert "invented-secret" not in str(caught.value)


@posix
def test_a_folder_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Opening one neither hangs nor ends in a traceback."""
    import os

    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigurationError):
            load(path)


PROMPTED = """
import os, pty, sys, time
pid, terminal = pty.fork()
if not pid:
    os.execv(sys.executable, [sys.executable, "-m", "amplitude_async.cli", "profile", "add", "typed"])
shown = b""
for asks, key in ((b"api key", b"invented-key"), (b"secret key", b"invented-secret")):
    while asks not in shown.lower():
        shown += os.read(terminal, 1024)
    time.sleep(0.1)
    os.write(terminal, key + b"\\n")
try:
    while piece := os.read(terminal, 1024):
        shown += piece
except OSError:
    pass
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@posix
def test_keys_are_typed_unseen(lone_cli: Cli) -> None:
    """At a terminal each key is asked for, and what is typed is not shown."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", PROMPTED],
        env=lone_cli.env,
        cwd=lone_cli.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "kept profile typed (api_key, secret_key)" in done.stdout
    assert "invented" not in done.stdout
    kept = load(lone_cli.folder / "config" / "amplitude-async" / "profiles.toml")["typed"]
    assert kept.credentials == {"api_key": "invented-key", "secret_key": "invented-secret"}


def test_clear_text_is_refused_by_the_name_of_the_option(cli: Cli) -> None:
    """What would have to be said to send keys in clear text is an option of the command, not an argument of Python's."""
    refused = cli("users", "search", "ada", "--base-url", "http://amplitude.example", code=3)
    assert "--allow-clear-text" in refused.stderr
    assert "allow_clear_text" not in refused.stderr
