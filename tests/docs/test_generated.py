"""What the site has from elsewhere is up to date, and what looks through the built site sees what is wrong."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
SITE = runpy.run_path(str(DOCS / "check_site.py"))
MADE = runpy.run_path(str(DOCS / "generate.py"))


@pytest.mark.parametrize("name", sorted(MADE["WRITTEN"]))
def test_what_is_written_is_up_to_date(name: str) -> None:
    """``python docs/generate.py`` would change nothing."""
    assert DOCS.joinpath(name).read_text("utf-8") == MADE["WRITTEN"][name]()


def test_every_page_is_named_for_programs() -> None:
    """Every page of the site is in llms.txt, under the address that it has there, and says what it is about unless it is reference."""
    lines = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)(: .{15,})?$", DOCS.joinpath("llms.txt").read_text("utf-8"), re.MULTILINE)
    pages = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    assert {address for address, _ in lines} == pages
    assert all(about or address.startswith(("reference/", "changelog")) for address, about in lines)


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<script src="https://cdn.example/a.js"></script>', "a.html loads https://cdn.example/a.js"),
        ('<script src="//cdn.example/a.js"></script>', "a.html loads //cdn.example/a.js"),
        ('<link rel="stylesheet" href="https://cdn.example/a.css">', "a.html loads https://cdn.example/a.css"),
        ('<img src="http://cdn.example/a.png">', "a.html loads http://cdn.example/a.png"),
        ('<p style="background: url(https://cdn.example/a.png)">', "a.html loads https://cdn.example/a.png"),
        ('<a href="b.html">', "a.html links to b.html, which is not there"),
        ('<a href="#b">', "a.html links to #b, which has no such anchor"),
        ('<a href="a.html#b">', "a.html links to a.html#b, which has no such anchor"),
        (
            '<a href="https://amplitude.com" id="b"><a href="a.html#b"><script src="a.css"></script><link rel="canonical" href="https://x">',
            "",
        ),
    ],
)
def test_what_is_wrong_with_a_site_is_seen(page: str, fault: str, tmp_path: Path) -> None:
    """Whatever a page would load from elsewhere, and every link that leads nowhere; links out of the site are its readers' own business."""
    (tmp_path / "a.html").write_text(page, "utf-8")
    (tmp_path / "a.css").write_text("p { color: red }", "utf-8")
    assert SITE["faults_of"](tmp_path) == ([fault] if fault else [])


def test_what_a_style_loads_is_seen(tmp_path: Path) -> None:
    """A font of another site is loaded by a stylesheet, not by a page."""
    (tmp_path / "a.css").write_text("@font-face { src: url('https://fonts.example/a.woff2') }", "utf-8")
    assert SITE["faults_of"](tmp_path) == ["a.css loads https://fonts.example/a.woff2"]
