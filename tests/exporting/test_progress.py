"""The progress bar of export jobs."""

from __future__ import annotations

import io
import sys
from datetime import timedelta
from pathlib import Path

import anyio.lowlevel
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
sys.path.insert(0, str(Path(__file__).parent))
from archives import HOUR, hour_member
from servers import HourServer, Window, cut

from amplitude_async import AsyncAmplitude, Backoff, ConfigurationError, ExportError
from amplitude_async.exporting.progress import ProgressBar


async def at_once(seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_a_job_is_drawn(tmp_path: Path) -> None:
    """The bar shows the hours done of all, the rows and the bytes, as a real job goes on, and ends where the job ends."""
    paper = io.StringIO()
    console = pytest.importorskip("rich.console").Console(file=paper, width=120, force_terminal=True)
    hours = {HOUR + timedelta(hours=n): [hour_member(HOUR + timedelta(hours=n), 500)] for n in range(3)}
    with HourServer(hours) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url) as amplitude:
            export = amplitude.export(start="20260501T07", end="20260501T10", allow_incomplete=True)
            with ProgressBar(console) as bar:
                report = await export.sync(tmp_path / "raw", format="zip", progress=bar)
    drawn = paper.getvalue()
    assert "4/4" in drawn
    assert "hours" in drawn
    assert f"{report.rows:,} rows" in drawn
    assert report.rows == 1500
    assert f"{report.bytes / 1e6:,.1f} MB" in drawn
    assert "failed" not in drawn


@pytest.mark.anyio
async def test_hours_that_fail_are_counted_beside_the_bar(tmp_path: Path) -> None:
    """An hour that could not be had is said at once, not only in the error at the end."""
    paper = io.StringIO()
    console = pytest.importorskip("rich.console").Console(file=paper, width=120, force_terminal=True)
    hours = {HOUR + timedelta(hours=n): [hour_member(HOUR + timedelta(hours=n), 5)] for n in range(2)}
    bad = Window("20260501T08", "20260501T08")
    with HourServer(hours, instead=lambda window, before: cut(10) if window == bad else None) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url, backoff=Backoff(sleep=at_once)) as amplitude:
            export = amplitude.export(start="20260501T07", end="20260501T08", allow_incomplete=True)
            with ProgressBar(console) as bar, pytest.raises(ExportError, match="1 of 2 hours"):
                await export.sync(tmp_path / "raw", format="zip", progress=bar)
    assert "export (1 failed)" in paper.getvalue()


def test_without_rich_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is missing, the error names it."""
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ConfigurationError, match=r"amplitude-async\[cli\]"):
        ProgressBar()
