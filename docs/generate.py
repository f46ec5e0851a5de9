"""Writes what the site has from elsewhere: ``llms.txt`` and the changelog.

    python docs/generate.py

``llms.txt`` names every page with what it is about, for readers that are programs (https://llmstxt.org). The changelog is
CHANGELOG.md, with the fragments of the next release before it. A test compares both with what this would write.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent
KINDS = {"feature": "New", "bugfix": "Mended", "removal": "Gone", "misc": "Other"}
INTRODUCTION = """\
# amplitude_async

> The unofficial Amplitude client for async Python: events in, numbers and raw exports out, and a sandbox to stand in for Amplitude. \
asyncio and trio, Python 3.11 or newer. `pip install amplitude-async`; everything is imported from `amplitude_async`.

One `AsyncAmplitude` per event loop, kept for the life of the service and used as an async context manager. Events are plain mappings
with Amplitude's own keys. Keys come from arguments or from `AMPLITUDE_API_KEY` and `AMPLITUDE_SECRET_KEY`. Code is tried against
`amplitude_async.sandbox.Sandbox`, without an account.
"""


def first_sentence(page: Path) -> str:
    """Return the first sentence of a page, as text without links."""
    body = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    body = re.sub(r"^(?:#|!\[|:::|\||<|    |-).*$", "", body, flags=re.MULTILINE)
    paragraph = next((part for part in re.split(r"\n\s*\n", body) if part.strip()), "").strip()
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split()))
    return re.split(r"(?<=[.:])\s", plain, maxsplit=1)[0].rstrip(":")


def llms() -> str:
    """Return the file: a section for each of the navigation, a line for each page."""
    lines = [INTRODUCTION, "## Pages", ""]
    navigation = (DOCS.parent / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    for line in navigation.splitlines():
        match = re.fullmatch(r"( +)- (.+?):(?: (\S+\.md))?", line)
        if match is None:
            continue
        if match[3] is None:
            lines += ["", f"## {match[2]}", ""]
            continue
        about = first_sentence(DOCS / match[3])
        lines.append(f"- [{match[2]}]({match[3].removesuffix('.md')}.html)" + (f": {about}" if about else ""))
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def changelog() -> str:
    """Return the page: what comes next by kind, then what was released."""
    root = DOCS.parent
    released = root.joinpath("CHANGELOG.md").read_text("utf-8")
    lines = ["# Changelog", "", "What a user notices.", "", "## Next", ""]
    for kind, heading in KINDS.items():
        fragments = sorted(root.joinpath("changelog.d").glob(f"*.{kind}*.md"))
        if fragments:
            lines += [f"### {heading}", "", *(f"- {' '.join(each.read_text('utf-8').split())}" for each in fragments), ""]
    return "\n".join(lines) + released.partition("<!-- towncrier release notes start -->\n")[2]


WRITTEN = {"llms.txt": llms, "changelog.md": changelog}

if __name__ == "__main__":
    for name, write in WRITTEN.items():
        DOCS.joinpath(name).write_text(write(), "utf-8")
