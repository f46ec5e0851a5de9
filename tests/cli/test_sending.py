"""``track``, ``identify`` and ``import``: what is sent arrives once, what is refused is named, what is stopped goes on."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import COMMAND, finished, until

if TYPE_CHECKING:
    from pathlib import Path

    from amplitude_async.sandbox import Sandbox

    from .conftest import Cli


def events(box: Sandbox) -> list[dict[str, Any]]:
    return [event for event in box.events() if event.get("event_type") != "$identify"]


def ndjson(count: int, *, users: int = 50, start: int = 0) -> str:
    return "".join(
        json.dumps(
            {"event_type": "old", "user_id": f"user-{n % users:05}", "time": 1_777_000_000_000 + n, "event_properties": {"n": n}}
        )
        + "\n"
        for n in range(start, start + count)
    )


def numbers(box: Sandbox) -> list[int]:
    return sorted(event["event_properties"]["n"] for event in events(box))


def test_an_event_is_sent_as_it_was_typed(cli: Cli, box: Sandbox) -> None:
    """Properties, groups and fields arrive with their types."""
    box.events()
    done = cli(
        "track",
        "signup",
        "--user-id",
        "user-12345",
        "-p",
        "plan=pro",
        "-p",
        "seats:=3",
        "-u",
        "vip:=true",
        "--group",
        "org=acme",
        "-f",
        "platform=iOS",
    )
    assert done.stdout == "1 event delivered\n"
    (event,) = events(box)
    assert event["event_type"] == "signup"
    assert event["event_properties"] == {"plan": "pro", "seats": 3}
    assert event["user_properties"] == {"vip": True}
    assert event["groups"] == {"org": "acme"}
    assert event["platform"] == "iOS"
    assert cli.json("track", "x", "--device-id", "device-1")["events_ingested"] == 1


def test_an_event_that_is_refused_says_why(cli: Cli) -> None:
    """Here or by Amplitude: one line, and its code."""
    assert "user_id" in cli("track", "x", code=2).stderr
    assert "id length" in cli("track", "x", "--user-id", "abc", code=9).stderr
    assert "invalid: time" in cli("track", "x", "--user-id", "user-12345", "--time", "-5", code=9).stderr
    cli("track", "x", "--user-id", "abc", "--min-id-length", "1")
    assert "neither name=text" in cli("track", "x", "--user-id", "user-12345", "-p", "broken", code=2).stderr


def test_events_come_from_standard_input(cli: Cli, box: Sandbox) -> None:
    """Each line is an event; bad ones are named with their line, kept in a file if asked, and do not hold up the others."""
    box.events()
    text = ndjson(3) + "nope\n\n" + '{"event_type":"y"}\n' + '{"event_type":"z","user_id":"abc"}\n' + ndjson(1, start=3).rstrip("\n")
    done = cli("track", "--rejects", "bad.ndjson", stdin=text, code=1)
    assert done.stdout == "4 delivered, 3 rejected\n"
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["line 4", "line 6", "line 7"]
    assert numbers(box) == [0, 1, 2, 3]
    kept = [json.loads(line) for line in (cli.folder / "bad.ndjson").read_text().splitlines()]
    assert [row["line"] for row in kept] == [4, 6, 7]
    assert kept[0]["event"] == "nope"
    assert kept[2]["event"] == {"event_type": "z", "user_id": "abc"}


def test_lines_of_other_systems_are_read(cli: Cli, box: Sandbox) -> None:
    """The byte-order mark and the line ends of Windows are no part of an event; what is not UTF-8 is refused by its line."""
    box.events()
    lines = [json.dumps({"event_type": f"größe-{n}", "user_id": "user-12345"}, ensure_ascii=False).encode() for n in range(2)]
    data = b"\xef\xbb\xbf" + b"\r\n".join([*lines, b"", b'{"event_type": "gr\xf6\xdfe", "user_id": "user-12345"}', b""])
    (cli.folder / "old.ndjson").write_bytes(data)
    assert "2 delivered, 1 rejected" in cli("import", "old.ndjson", code=1).stdout
    assert "not in UTF-8" in json.loads((cli.folder / "old.ndjson.rejects.ndjson").read_text("utf-8"))["reason"]
    done = subprocess.run([*COMMAND, "track"], env=cli.env, input=data, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, b"2 delivered, 1 rejected\n")
    assert [event["event_type"] for event in events(box)] == ["größe-0", "größe-1"] * 2


def test_events_are_sent_while_more_are_awaited(cli: Cli, box: Sandbox) -> None:
    """Behind ``tail -f`` an event arrives although standard input goes on; Ctrl-C ends it at once."""
    box.events()
    process = cli.start("track", stdin=-1)
    assert process.stdin is not None
    process.stdin.write(ndjson(1))
    process.stdin.flush()
    until(lambda: len(events(box)) == 1)
    process.send_signal(signal.SIGINT)
    code, _, err = finished(process)
    assert (code, err) == (130, "amplitude-async: interrupted\n")


def test_users_are_identified(cli: Cli, box: Sandbox) -> None:
    """By arguments, with operations, and by lines from standard input."""
    box.events()
    cli("identify", "--user-id", "user-12345", "--set", "plan=pro", "--add", "logins:=2", "--unset", "trial")
    assert box.events()[0]["user_properties"] == {"$set": {"plan": "pro"}, "$add": {"logins": 2}, "$unset": {"trial": "-"}}
    done = cli("identify", stdin='{"user_id":"user-77777","user_properties":{"$set":{"a":1}}}\n')
    assert done.stdout == "1 delivered\n"
    assert box.events()[-1]["user_id"] == "user-77777"
    assert "Whose" in cli("identify", "--set", "a=b", code=2).stderr
    assert "Nothing" in cli("identify", "--user-id", "user-12345", code=2).stderr


def test_a_file_is_imported_once(cli: Cli, box: Sandbox) -> None:
    """Every line arrives, refused ones are kept with their reason; a second run sends nothing, a grown file only what is new."""
    box.events()
    path = cli.folder / "old.ndjson"
    path.write_text(ndjson(1500) + "broken\n" + '{"event_type":"x","user_id":"abc"}\n')
    done = cli("import", path, code=1)
    assert "1,500 delivered, 2 rejected" in done.stdout
    assert numbers(box) == list(range(1500))
    rejects = [json.loads(line) for line in (cli.folder / "old.ndjson.rejects.ndjson").read_text().splitlines()]
    assert [row["line"] for row in rejects] == [1501, 1502]
    before = len(box.events())
    cli("import", path, code=1)
    assert len(box.events()) == before
    with path.open("a") as file:
        file.write(ndjson(10, start=1500))
    (report,) = cli.json("import", path, code=1)
    assert report["delivered"] == 1510
    assert report["sent_before"] == 1502
    assert numbers(box) == list(range(1510))
    if sys.platform != "win32":
        assert (cli.folder / "old.ndjson.rejects.ndjson").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
@pytest.mark.parametrize("name", ["old.ndjson", "old.ndjson.gz"])
def test_an_import_that_was_stopped_goes_on(cli: Cli, box: Sandbox, how: signal.Signals, name: str) -> None:
    """Stopped in the middle and run again, every event is there, counted once, and rejected lines are listed once."""
    box.events()
    path = cli.folder / name
    lines = ndjson(12_000).splitlines(keepends=True)
    lines.insert(2000, "broken one\n")
    lines.insert(11_000, "broken two\n")
    data = "".join(lines).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    state = cli.folder / f"{name}.import.json"
    # The first requests are answered slowly, so that it is in the middle when it is stopped.
    with box.faults.during(delay=0.3, when="after", path="/batch"):
        process = cli.start("import", path)
        until(lambda: state.exists() or len(box.events()) >= 4000)
        process.send_signal(how)
        code, _, err = finished(process)
    assert code == (130 if how == signal.SIGINT else -signal.SIGKILL)
    if how == signal.SIGINT:
        assert "run it again to go on" in err
    (report,) = cli.json("import", path, code=1)
    assert report["delivered"] == 12_000
    assert report["rejected"] == 2
    distinct = {event["insert_id"]: event["event_properties"]["n"] for event in events(box)}
    assert sorted(distinct.values()) == list(range(12_000))
    rejects = [json.loads(line)["line"] for line in (cli.folder / f"{name}.rejects.ndjson").read_text().splitlines()]
    assert rejects == [2001, 11_001]


def test_a_wrong_key_stops_an_import_and_loses_nothing(cli: Cli, box: Sandbox) -> None:
    """Nothing is set aside for it: with the right key the same command sends everything."""
    box.events()
    path = cli.folder / "old.ndjson"
    path.write_text(ndjson(20))
    right = cli.env["AMPLITUDE_API_KEY"]
    cli.env["AMPLITUDE_API_KEY"] = "invented"
    cli("import", path, code=4)
    cli.env["AMPLITUDE_API_KEY"] = right
    cli("import", path)
    assert numbers(box) == list(range(20))


def test_a_server_that_stays_down_ends_the_patience(cli: Cli, box: Sandbox) -> None:
    """Sending that fails for longer than it may ends in the server's error; run again, it goes on."""
    path = cli.folder / "old.ndjson"
    path.write_text(ndjson(20))
    with box.faults.during(status=500, path="/batch"):
        cli("import", path, "--patience", "0", code=7)
    cli("import", path)
    assert len(events(box)) == 20


def test_an_import_of_another_project_or_file_is_refused(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    """What is remembered is of one project and one file; --again begins anew."""
    path = cli.folder / "old.ndjson"
    path.write_text(ndjson(5))
    cli("import", path)
    path.write_text(ndjson(5, start=100))
    assert "another file" in cli("import", path, code=2).stderr
    cli("import", path, "--again")
    (cli.folder / "old.ndjson.import.json").write_text("{")
    assert "no record" in cli("import", path, code=2).stderr
    assert "no file" in cli("import", "missing.ndjson", code=2).stderr


def test_a_dry_run_sends_nothing(cli: Cli, box: Sandbox) -> None:
    """It checks the lines and names the bad ones."""
    box.events()
    path = cli.folder / "old.ndjson"
    path.write_text(ndjson(5) + '{"event_type":"x"}\n')
    done = cli("import", path, "--dry-run", code=1)
    assert "5 lines are events, 1 are not" in done.stdout
    assert "line 6" in done.stderr
    assert not box.events()
    assert not list(cli.folder.glob("*.json"))


def test_what_is_called_gzip_and_is_none_is_said(cli: Cli) -> None:
    """A damaged archive ends in a line that says how far it was read."""
    path = cli.folder / "old.ndjson.gz"
    path.write_bytes(gzip.compress(ndjson(500).encode())[:-20])
    assert "cannot be inflated" in cli("import", path, code=2).stderr
    path.write_text("plain")
    assert "cannot be inflated" in cli("import", path, "--again", code=2).stderr
