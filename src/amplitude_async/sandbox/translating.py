"""Translations of guides and surveys: XLIFF 1.2 taken apart, kept by key and language, and put together again.

Page: https://amplitude.com/docs/apis/guides-surveys-localization. Where it says nothing: any key may be brought in; languages whose
targets are all filled are ``COMPLETE``, others ``PARTIAL``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from amplitude_async.sandbox.documents import Document
    from amplitude_async.sandbox.store import Store

__all__ = ["bring_in", "parsed", "take_out"]

_NAMESPACE: Final = "urn:oasis:names:tc:xliff:document:1.2"
_KIND: Final = "translations"


def parsed(content: bytes) -> list[Document]:
    """Read a file into one document for each key and language. ValueError if it is no XLIFF."""
    if b"<!doctype" in content[:4096].lower() or b"<!entity" in content.lower():
        message = "A document type is not allowed"
        raise ValueError(message)
    try:
        root = ET.fromstring(content)  # noqa: S314 - as above
    except (ET.ParseError, LookupError) as error:
        message = f"Invalid XML: {error}"
        raise ValueError(message) from None
    files = [each for each in root.iter() if _name(each) == "file"]
    if _name(root) != "xliff" or not files:
        message = "Invalid XLIFF: a file element is required"
        raise ValueError(message)
    return [_file(each) for each in files]


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ET.Element, name: str) -> str:
    return next(("".join(child.itertext()) for child in element if _name(child) == name), "")


def _file(element: ET.Element) -> Document:
    wanted = {name: element.get(name, "") for name in ("original", "source-language", "target-language")}
    missing = [name for name, value in wanted.items() if not value]
    if missing:
        message = f"Invalid XLIFF: file without {missing[0]}"
        raise ValueError(message)
    units = [
        {"id": unit.get("id", ""), "source": _text(unit, "source"), "target": _text(unit, "target")}
        for unit in element.iter()
        if _name(unit) == "trans-unit"
    ]
    return {"key": wanted["original"], "source": wanted["source-language"], "locale": wanted["target-language"], "units": units}


def bring_in(store: Store, files: list[Document]) -> Document:
    """Keep translations; say what became of each. Runs in the store's thread."""
    answer: dict[str, Any] = {}
    for file in files:
        name = f"{file['key']}\n{file['locale']}"
        kept = store.documents.get(_KIND, name) or {**file, "units": []}
        units = {unit["id"]: unit for unit in kept["units"]} | {unit["id"]: unit for unit in file["units"]}
        store.documents.put(_KIND, name, {**file, "units": list(units.values())})
        is_complete = all(unit["target"] for unit in units.values())
        answer.setdefault(file["key"], {})[file["locale"]] = {
            "state": "COMPLETE" if is_complete else "PARTIAL",
            "message": f"Updated {len(file['units'])} translation units.",
        }
    return answer


def take_out(store: Store, keys: list[str], locales: list[str]) -> str | None:
    """Return what is kept of some keys as XLIFF, ``None`` if one of them is unknown. Runs in the store's thread."""
    kept = store.documents.all(_KIND)
    if not set(keys) <= {file["key"] for file in kept}:
        return None
    wanted = [file for file in kept if file["key"] in keys and (not locales or file["locale"] in locales)]
    body = "\n".join(_written(file) for file in wanted)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<xliff version="1.2" xmlns="{_NAMESPACE}">\n{body}\n</xliff>\n'


def _written(file: Document) -> str:
    units = "\n".join(
        f"      <trans-unit id={quoteattr(unit['id'])}><source>{escape(unit['source'])}</source>"
        f"<target>{escape(unit['target'])}</target></trans-unit>"
        for unit in file["units"]
    )
    return (
        f'  <file original={quoteattr(file["key"])} datatype="plaintext" source-language={quoteattr(file["source"])} '
        f"target-language={quoteattr(file['locale'])}>\n    <body>\n{units}\n    </body>\n  </file>"
    )
