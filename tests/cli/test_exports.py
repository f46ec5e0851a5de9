"""``export`` and ``export-query``: a folder that survives Ctrl-C, single files, SQL over what came."""

from __future__ import annotations

import json
import signal
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amplitude_async.sandbox.faults import Fault

from .conftest import finished, until

if TYPE_CHECKING:
    from amplitude_async.sandbox import Sandbox

    from .conftest import Cli

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
"""The last day of a seeded sandbox."""


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "_manifest.jsonl").read_text("utf-8").splitlines()[1:]]


@pytest.mark.parametrize(("kind", "suffix"), [("parquet", ".parquet"), ("ndjson", ".ndjson.gz"), ("zip", ".zip")])
def test_a_folder_holds_a_file_an_hour(ask: Cli, kind: str, suffix: str) -> None:
    """In each format; a second run fetches nothing, and says so."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    day = YESTERDAY - timedelta(days=3)
    report = ask.json("export", day, "raw", "--format", kind)
    assert (report["hours"], report["fetched"], report["kept"]) == (24, 24, 0)
    assert report["rows"] > 0
    files = sorted(path.name for path in (ask.folder / "raw").iterdir() if not path.name.startswith(("_", ".")))
    assert files == report["files"]
    assert all(name.endswith(suffix) for name in files)
    again = ask("export", day, "raw", "--format", kind)
    assert "0 fetched, 24 there before" in again.stdout
    assert again.stderr == ""


def test_the_last_days_end_with_complete_hours(ask: Cli) -> None:
    """``--last`` takes the place of the range and leaves out what is not complete; a range says what it left out."""
    report = ask.json("export", "--last", "26h", "raw", "--format", "ndjson")
    assert report["hours"] == 26
    assert datetime.strptime(report["end"], "%Y%m%dT%H").replace(tzinfo=UTC) <= datetime.now(UTC) - timedelta(hours=3)
    today = datetime.now(UTC).date()
    done = ask("export", f"{YESTERDAY}..{today}", "raw", "--format", "ndjson")
    assert "not complete yet and are left out" in done.stderr
    assert "is the range" in ask("export", "2026-05", "raw", "--last", "7d", code=2).stderr
    ask("export", f"{today + timedelta(days=2)}", "raw", "--format", "ndjson", code=2)


def test_a_name_that_says_so_is_one_file(ask: Cli) -> None:
    """A zip that Python reads, or JSON lines, for the owner alone."""
    day = YESTERDAY - timedelta(days=2)
    zipped = ask.json("export", day, "day.zip")
    plain = ask.json("export", day, "day.ndjson")
    assert zipped["rows"] == plain["rows"] == len((ask.folder / "day.ndjson").read_text().splitlines()) > 0
    assert zipfile.ZipFile(ask.folder / "day.zip").testzip() is None
    assert "rows" in ask("export", day, "again.ndjson.gz").stdout
    done = ask("export", "2020-01-01", "none.zip", code=5)
    assert "404" in done.stderr
    assert not (ask.folder / "none.zip").exists()


def test_a_folder_of_another_format_is_refused(ask: Cli) -> None:
    """A folder holds one project in one format; the message says so."""
    day = YESTERDAY - timedelta(days=2)
    ask("export", day, "raw", "--format", "ndjson")
    ask("export", day, "raw", "--format", "zip", code=3)


def test_an_export_that_was_stopped_goes_on(cli: Cli, box: Sandbox) -> None:
    """Ctrl-C in the middle leaves whole hours and nothing else; run again, it fetches the rest, and no hour twice."""
    box.seed(users=40, days=3)
    day = YESTERDAY - timedelta(days=1)
    box.faults.add(Fault(path="/api/2/export", times=6))
    stalled = box.faults.add(Fault(path="/api/2/export", status=503, delay=120.0, times=None))
    process = cli.start("export", day, "raw", "--format", "ndjson")
    until(lambda: stalled.hits >= 2)
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert (code, out, err) == (130, "", "amplitude-async: interrupted\n")
    there = {record["hour"] for record in records(cli.folder / "raw")}
    assert len(there) == 6
    assert not list((cli.folder / "raw").glob("*.part"))
    assert not list((cli.folder / "raw").glob(".*.part"))
    box.faults.end(stalled)
    counted = box.faults.add(Fault(path="/api/2/export", times=None))
    report = cli.json("export", day, "raw", "--format", "ndjson")
    assert (report["fetched"], report["kept"]) == (18, 6)
    assert counted.hits == 18
    assert report["rows"] > 0


def test_hours_that_fail_are_an_error_of_files_and_come_in_the_next_run(cli: Cli, box: Sandbox) -> None:
    """What failed is said in a line; the others are there."""
    box.seed(users=40, days=3)
    day = YESTERDAY - timedelta(days=1)
    with box.faults.during(lose_tail=40, path="/api/2/export"):
        done = cli("export", day, "raw", "--format", "zip", code=10)
    assert "could not be fetched" in done.stderr
    assert cli.json("export", day, "raw", "--format", "zip")["hours"] == 24


def test_sql_is_asked_of_a_folder(ask: Cli) -> None:
    """DuckDB answers over Parquet and JSON lines, as a table, JSON or CSV."""
    pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    day = YESTERDAY - timedelta(days=2)
    rows = {}
    for kind in ("parquet", "ndjson"):
        rows[kind] = ask.json("export", day, kind, "--format", kind)["rows"]
        sql = "select event_type, count(*) as n, max(event_time) as latest from events group by 1 order by 2 desc, 1"
        counted = ask.json("export-query", sql, kind)
        assert sum(row["n"] for row in counted) == rows[kind]
        shown = ask("export-query", sql, kind).stdout.splitlines()
        assert shown[0].split() == ["event_type", "n", "latest"]
        table = ask("export-query", sql, kind, "--csv").stdout.splitlines()
        assert table[0] == "event_type,n,latest"
        assert len(table) == len(counted) + 1
    assert "DuckDB" in ask("export-query", "select nonsense from events", "parquet", code=2).stderr
    ask("export", day, "zips", "--format", "zip")
    assert "DuckDB does not read" in ask("export-query", "select 1", "zips", code=2).stderr


def test_what_sql_finds_is_json(ask: Cli) -> None:
    """Whatever DuckDB knows and JSON does not becomes what JSON knows; every column is there; nothing found is an empty list."""
    pytest.importorskip("duckdb")
    ask("export", YESTERDAY - timedelta(days=2), "raw", "--format", "ndjson")
    odd = "1/0 as a, 'nan'::double as a, '\\x01'::blob as b, [1.5, 'inf'::double] as c, {'d': date '2026-05-01'} as e, 1 as a"
    (row,) = json.loads(ask("export-query", f"select {odd}", "raw", "--json").stdout, parse_constant=lambda name: 1 / 0)
    assert row == {"a": None, "a_2": None, "b": "01", "c": [1.5, None], "e": {"d": "2026-05-01"}, "a_3": 1}
    assert ask.json("export-query", "select * from events where false", "raw") == []
    assert "no query" in ask("export-query", " ", "raw", code=2).stderr
    assert "give one of" in ask("export-query", "select 1", "raw", "--json", "--csv", code=2).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_a_query_of_a_folder(ask: Cli) -> None:
    """DuckDB, which would count on for hours, is interrupted."""
    pytest.importorskip("duckdb")
    ask("export", YESTERDAY - timedelta(days=2), "raw", "--format", "ndjson")
    endless = "select count(*) from range(100000000000) a, range(100000) b where a.range % 7 = b.range % 5"
    process = ask.start("export-query", f"copy (select 1) to 'begun.csv'; {endless}", "raw")
    until((ask.folder / "begun.csv").exists)
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert (code, out, err) == (130, "", "amplitude-async: interrupted\n")


def test_without_duckdb_or_a_folder_it_says_so(ask: Cli) -> None:
    """The message names what to install, or what to run first."""
    assert "_manifest.jsonl" in ask("export-query", "select 1", "nowhere", code=2).stderr
    day = YESTERDAY - timedelta(days=2)
    ask("export", day, "raw", "--format", "ndjson")
    (ask.folder / "duckdb.py").write_text("raise ImportError\n")
    ask.env["PYTHONPATH"] = f"{ask.folder}:{ask.env.get('PYTHONPATH', '')}"
    assert "pip install duckdb" in ask("export-query", "select 1", "raw", code=3).stderr
