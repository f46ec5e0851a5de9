"""Looks through the built site: nothing is loaded from elsewhere, and every link within it, with its anchor, leads somewhere.

python docs/check_site.py site
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "embed": "src", "object": "data"}
LOADED_LINKS = {"stylesheet", "preload", "modulepreload", "icon", "preconnect", "dns-prefetch", "manifest"}
ELSEWHERE = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)


class Page(HTMLParser):
    """What a page loads, where it links to, and where it can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag in LOADED and LOADED[tag] in given:
            self.loads.append(given[LOADED[tag]])
        if tag == "link" and LOADED_LINKS & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loads += IN_STYLE.findall(given.get("style", ""))


def faults_of(site: Path) -> list[str]:
    """Return what is wrong, a line each."""
    site = site.resolve()
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    faults = [
        f"{path.relative_to(site)} loads {address}"
        for path, page in pages.items()
        for address in page.loads
        if ELSEWHERE.match(address)
    ]
    for style in site.rglob("*.css"):
        faults += [f"{style.relative_to(site)} loads {address}" for address in IN_STYLE.findall(style.read_text("utf-8"))]
    for path, page in pages.items():
        if path.name == "404.html":
            # Its links are from the root, wherever that is.
            continue
        for link in page.links:
            if re.match(r"[a-z][a-z0-9+.-]*:", link, re.IGNORECASE):
                continue
            address, anchor = urldefrag(unquote(link))
            target = (path.parent / address).resolve() if address else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                faults.append(f"{path.relative_to(site)} links to {link}, which is not there")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                faults.append(f"{path.relative_to(site)} links to {link}, which has no such anchor")
    return faults


def main(folder: str) -> int:
    """Print what is wrong; return the exit code."""
    site = Path(folder)
    faults = faults_of(site)
    pages = sum(1 for _ in site.rglob("*.html"))
    words = "\n".join(faults) or f"{pages} pages: nothing is loaded from elsewhere, every link leads somewhere"
    print(words)  # noqa: T201 - a program that talks to its user
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
