"""Charts as files: a page that needs nothing else, SVG, PNG."""

from __future__ import annotations

import json
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.errors import InvalidArgumentError, shown
from amplitude_async.plots.looks import load_altair, missing

if TYPE_CHECKING:
    import os

    from amplitude_async.plots.looks import Plot

__all__ = ["save"]

SCALE: Final = 2.0
"""Pixels of a PNG for each of the chart."""


def save(chart: Plot, path: str | os.PathLike[str]) -> Path:
    """Write a chart to a file: ``.html`` (a page that needs nothing else), ``.svg`` or ``.png`` (twice the size, for sharp screens).

    It takes a second or so of CPU; from an event loop call it by ``asyncio.to_thread``.

    Args:
        chart: What :func:`plot` gave, changed as you like.
        path: Where to.

    Returns:
        The path.

    Raises:
        InvalidArgumentError: The name ends in none of these.
        ConfigurationError: vl-convert is not installed.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    alt, vlc = load_altair(), _vl_convert()
    version = "_".join(alt.SCHEMA_VERSION.split(".")[:2])
    text = json.dumps(chart.to_dict())
    if suffix == ".png":
        target.write_bytes(vlc.vegalite_to_png(text, vl_version=version, scale=SCALE))
    elif suffix == ".svg":
        target.write_text(vlc.vegalite_to_svg(text, vl_version=version), "utf-8")
    elif suffix in {".html", ".htm"}:
        target.write_text(_page(text, vlc.javascript_bundle(vl_version=version), _heading_of(chart)), "utf-8")
    else:
        message = f"path must end in .html, .svg or .png, not {shown(suffix)}"
        raise InvalidArgumentError(message, argument="path")
    return target


_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; \
style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ background: #fff; margin: 1.5rem; }} #plot {{ max-width: 100%; overflow-x: auto; }}</style>
<script>{bundle}</script>
</head>
<body>
<div id="plot"></div>
<script>
vegaEmbed("#plot", {chart}, {{actions: {{export: true, source: false, compiled: false, editor: false}}, renderer: "svg"}});
</script>
</body>
</html>
"""


def _page(chart: str, bundle: str, title: str) -> str:
    """Return a page with all that it needs in it.

    Names of events and values of properties are whatever users sent. Within a script only ``<`` could end it, and Altair's and
    vl-convert's own pages leave that as it is.
    """
    safe = chart.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return _PAGE.format(title=escape(title), bundle=bundle, chart=safe)


def _heading_of(chart: Plot) -> str:
    title = chart.to_dict().get("title")
    text = title.get("text") if isinstance(title, dict) else title
    return text if isinstance(text, str) else "Plot"


def _vl_convert() -> Any:  # noqa: ANN401 - a module
    with suppress(ImportError):
        import vl_convert as vlc  # noqa: PLC0415 - loaded where something is saved

        return vlc
    raise missing(package="vl_convert")
