"""Users, charts, and what is managed: each as a table, a chart, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from amplitude_async.sandbox import Sandbox

    from .conftest import Cli

CHARTS = [
    ["segment", "app_opened", "--last", "10d"],
    ["segment", "app_opened", "signup", "--last", "3d", "-m", "totals"],
    ["segment", "app_opened", "--last", "10d", "--group-by", "platform"],
    ["segment", "app_opened", "purchase", "--formula", "UNIQUES(B)/UNIQUES(A)", "--last", "10d"],
    ["segment", '{"event_type":"purchase","group_by":[{"type":"event","value":"category"}]}', "--last", "10d", "-i", "week"],
    ["funnel", "signup", "cart_filled", "purchase", "--last", "14d"],
    ["funnel", "signup", "purchase", "--last", "14d", "--group-by", "platform", "--within", "7d"],
    ["retention", "signup", "app_opened", "--last", "12d"],
    ["retention", "signup", "app_opened", "--last", "12d", "--mode", "rolling"],
    ["active-users", "--last", "10d"],
    ["active-users", "--new", "--last", "10d", "--interval", "week"],
    ["realtime"],
    ["revenue", "--last", "10d"],
]


@pytest.mark.parametrize("arguments", CHARTS, ids=" ".join)
def test_numbers_are_shown_in_every_form(ask: Cli, arguments: list[str]) -> None:
    """A table and a chart with a title; JSON as Amplitude sent it; CSV of tidy rows that all have the columns of the head."""
    shown = ask.several(*([*arguments, *form] for form in ([], ["--chart"], ["--json"], ["--csv"])))
    table, chart = shown[0].splitlines(), shown[1].splitlines()
    assert len(table) > 2
    assert len(chart) > 1
    assert not any("\x1b" in line for line in table + chart)
    assert all(len(line) <= 160 for line in chart)
    assert "data" in json.loads(shown[2])
    rows = list(csv.reader(io.StringIO(shown[3])))
    assert len(rows) > 1
    assert {len(row) for row in rows} == {len(rows[0])}


def test_a_funnel_says_its_shares(ask: Cli) -> None:
    """Steps are numbered, shares are of all and of the step before; the JSON agrees."""
    arguments = ["funnel", "signup", "purchase", "--last", "14d"]
    (one,) = ask.json(*arguments)["data"]
    lines = ask(*arguments).stdout.splitlines()
    assert lines[0].startswith("funnel (ordered), ")
    assert lines[2].split()[:4] == ["1.", "signup", f"{one['cumulativeRaw'][0]:,}", "100.0%"]
    assert f"{one['cumulative'][1]:.1%}" in lines[3]


def test_retention_is_a_heat_table(ask: Cli) -> None:
    """A row a day with users, one for all together; a terminal with colours gets shades."""
    arguments = ["retention", "signup", "app_opened", "--last", "12d"]
    lines = ask(*arguments).stdout.splitlines()
    assert lines[1].split()[:4] == ["day", "users", "d0", "d1"]
    assert lines[-1].startswith("all")
    ask.env["FORCE_COLOR"] = "1"
    ask.env["COLORTERM"] = "truecolor"
    assert "\x1b[38;2" in ask(*arguments).stdout


def test_users_are_found_and_shown(ask: Cli) -> None:
    """A search gives ids, an activity the summary and the events of one."""
    found = ask.json("users", "search", "user-")
    match = found["matches"][0]
    one, number = match["user_id"], match["amplitude_id"]
    found_one, shown, events, nobody, none = ask.several(
        ["users", "search", one],
        ["users", "activity", number, "--limit", 3],
        ["users", "activity", number, "--csv"],
        ["users", "search", "zzz-nobody"],
        ["users", "search", "zzz-nobody", "--csv"],
    )
    assert one in found_one
    assert one in shown
    assert "event_type" in shown
    assert events.startswith("event_time,event_type")
    assert "nobody" in nobody
    assert none == "amplitude_id,user_id\n"
    assert ask("users", "activity", "99999").stdout == "nobody is known under 99999\n"


def test_a_hostile_name_does_nothing_to_the_terminal(cli: Cli) -> None:
    """Control characters and markup in what others sent are shown, not obeyed."""
    cli("track", "\x1b[31mred[bold]", "--user-id", "[red]user-\x07")
    shown = cli("users", "search", "[red]user-").stdout
    assert "[red]user-" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown
    amplitude_id = cli.json("users", "search", "[red]user-")["matches"][0]["amplitude_id"]
    assert "[31mred[bold]" in cli("users", "activity", amplitude_id).stdout


def test_a_picture_is_written(ask: Cli) -> None:
    """Each kind of numbers becomes a picture, with the question as its title."""
    pytest.importorskip("altair")
    asked = {
        "segment": ["segment", "app_opened", "--last", "7d"],
        "funnel": ["funnel", "signup", "purchase", "--last", "14d"],
        "retention": ["retention", "signup", "app_opened", "--last", "12d"],
        "users": ["active-users", "--last", "10d"],
        "revenue": ["revenue", "--last", "10d"],
    }
    ask.several(*([*call, "--plot", f"{name}.svg"] for name, call in asked.items()))
    for name in asked:
        assert "<svg" in (ask.folder / f"{name}.svg").read_text("utf-8")[:500]
    assert "app_opened, uniques" in (ask.folder / "segment.svg").read_text("utf-8")


def test_a_picture_needs_an_extra(ask: Cli) -> None:
    """Where the plots are not installed, the extra is named."""
    (ask.folder / "altair.py").write_text("raise ImportError\n")
    ask.env["PYTHONPATH"] = f"{ask.folder}:{ask.env.get('PYTHONPATH', '')}"
    assert "amplitude-async[plot]" in ask("active-users", "--last", "7d", "--plot", "out.svg", code=3).stderr


def test_cohorts_are_made_read_and_changed(cli: Cli, box: Sandbox) -> None:
    """Ids come from a file or standard input, members go to a file or standard output."""
    box.seed(users=30, days=5)
    assert "no cohorts" in cli("cohorts", "list").stdout
    ids = [match["user_id"] for match in cli.json("users", "search", "user-")["matches"]][:3]
    made = cli.json(
        "cohorts", "upload", "Mine", "-", "--app-id", box.project_id, "--owner", "ada@example.org", "--published", stdin="\n".join(ids)
    )
    cohort = made["cohort_id"]
    table, listed, members = cli.several(["cohorts", "list"], ["cohorts", "list", "--csv"], ["cohorts", "download", cohort])
    assert table.splitlines()[1].split()[:3] == [cohort, "Mine", "3"]
    assert listed.startswith("id,name,size")
    rows = list(csv.DictReader(io.StringIO(members)))
    assert sorted(row["user_id"] for row in rows) == sorted(ids)
    done = cli("cohorts", "download", cohort, "-o", "members.ndjson", "--property", "plan")
    assert "3 members in members.ndjson" in done.stderr
    assert len((cli.folder / "members.ndjson").read_text().splitlines()) == 3
    (cli.folder / "more.txt").write_text(f"{ids[0]}\nunknown-12345\n")
    assert "1 ids removed, 1 left out" in cli("cohorts", "remove", cohort, "more.txt", code=1).stdout
    assert "1 ids added, 0 left out" in cli("cohorts", "add", cohort, stdin=ids[0]).stdout
    assert "2 of 500" in cli("cohorts", "usage").stdout
    cli("cohorts", "download", "no-such-cohort", "-o", "none.csv", code=5)
    assert not (cli.folder / "none.csv").exists()


def test_a_file_of_ids_is_utf_8(cli: Cli) -> None:
    """What is not is refused in a line, and so is a tracking plan; the mark that Windows puts in front is no part of an id."""
    (cli.folder / "latin.txt").write_bytes(b"us\xe9r-12345\n")
    for arguments in (["privacy", "delete", "--file", "latin.txt", "--yes"], ["taxonomy", "diff", "latin.txt"]):
        assert "latin.txt is no text in UTF-8" in cli(*arguments, code=2).stderr
    (cli.folder / "marked.txt").write_bytes("\ufeffusér-12345\r\n".encode())
    cli("track", "x", "--user-id", "usér-12345")
    assert "1 accepted" in cli("privacy", "delete", "--file", "marked.txt", "--yes").stdout


@pytest.mark.parametrize("name", ["plan.json", "plan.yaml"])
def test_a_tracking_plan_is_dumped_and_compared(cli: Cli, box: Sandbox, name: str) -> None:
    """A dump compared with its own project has no difference; what is changed is named, with code 1."""
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    box.seed(users=10, days=3)
    cli("taxonomy", "dump", name)
    assert cli("taxonomy", "diff", name).stdout == ""
    cli("track", "brand_new", "--user-id", "user-12345", "-p", "colour=red")
    done = cli("taxonomy", "diff", name, code=1)
    assert "+ events brand_new" in done.stdout.splitlines()
    assert {"sign": "+", "kind": "events", "name": "brand_new"}.items() <= cli.json("taxonomy", "diff", name, code=1)[0].items()
    cli("taxonomy", "dump", f"new-{name}", "--overrides")
    assert "brand_new" in cli("taxonomy", "diff", name, f"new-{name}", code=1).stdout
    (cli.folder / "other.json").write_text("[1]")
    assert "no dump" in cli("taxonomy", "diff", "other.json", code=2).stderr


def test_a_tracking_plan_without_yaml_is_json(cli: Cli) -> None:
    """Where PyYAML is not installed it is JSON, and asking for YAML names the package."""
    (cli.folder / "yaml.py").write_text("raise ImportError\n")
    cli.env["PYTHONPATH"] = f"{cli.folder}:{cli.env.get('PYTHONPATH', '')}"
    assert "events" in json.loads(cli("taxonomy", "dump").stdout)
    assert "pyyaml" in cli("taxonomy", "dump", "plan.yaml", code=3).stderr


def test_users_are_deleted_only_if_that_is_meant(cli: Cli, box: Sandbox) -> None:
    """Without a terminal it takes --yes; jobs are listed, and a user is taken out again."""
    box.seed(users=10, days=3)
    match = cli.json("users", "search", "user-")["matches"][0]
    assert "--yes" in cli("privacy", "delete", match["user_id"], code=2).stderr
    assert "1 accepted" in cli("privacy", "delete", match["user_id"], "--yes").stdout
    today = datetime.now(UTC).date()
    days = f"{today}..{today + timedelta(days=40)}"
    (job,) = cli.json("privacy", "jobs", days)
    assert "staging" in cli("privacy", "jobs", days).stdout
    assert "no longer" in cli("privacy", "cancel", match["amplitude_id"], job["day"]).stdout
    done = cli("privacy", "delete", "--file", "-", "--yes", "--ignore-unknown", stdin="nobody-12345\n", code=1)
    assert "1 invalid" in done.stdout


def test_what_is_known_of_a_user_is_written(cli: Cli, box: Sandbox) -> None:
    """The request's number is said at once, so that the wait can be taken up again; rows come as JSON lines."""
    box.seed(users=10, days=5)
    match = cli.json("users", "search", "user-")["matches"][0]
    today = datetime.now(UTC).date()
    done = cli("privacy", "dsar", "one.ndjson", "--user-id", match["user_id"], "--range", f"{today - timedelta(days=9)}..{today}")
    assert "--request-id" in done.stderr
    rows = [json.loads(line) for line in (cli.folder / "one.ndjson").read_text().splitlines()]
    number = done.stderr.split("--request-id ")[1].split()[0]
    assert len(cli("privacy", "dsar", "--request-id", number).stdout.splitlines()) == len(rows)
    assert "which days" in cli("privacy", "dsar", "--user-id", "x", code=2).stderr


def test_charts_are_annotated(cli: Cli) -> None:
    """Notes are put, listed and deleted; releases are marked."""
    assert "no annotations" in cli("annotations", "list").stdout
    number = cli.json("annotations", "add", "Launch [1]", "--start", "2026-05-01T13:00")["data"]["id"]
    listed = cli("annotations", "list").stdout
    assert "Launch [1]" in listed
    assert "2026-05-01T13:00:00+00:00" in listed
    assert cli("annotations", "list", "--csv").stdout.startswith("id,start")
    assert "deleted" in cli("annotations", "remove", number).stdout
    cli("annotations", "remove", number, code=5)
    assert "release" in cli("releases", "add", "1.2.3", "--title", "Spring", "--start", "2026-05-01", "--platform", "iOS").stdout
    assert "no moment" in cli("annotations", "add", "x", "--start", "soon", code=2).stderr
