"""Translations of guides and surveys, as XLIFF 1.2. The files pass through as they are; nothing here reads XML.

Amplitude's page: https://amplitude.com/docs/apis/guides-surveys-localization
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypedDict

from amplitude_async._protocol.bodies import Content
from amplitude_async._protocol.call import Call, read_json_object, read_text
from amplitude_async._protocol.codec import MalformedError
from amplitude_async.resources.parameters import id_list, refused, repeated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amplitude_async.resources.runner import Runner

__all__ = ["ImportedLocale", "Localization", "export_call", "import_call"]

_PATH: Final = "/a/guides-surveys/api/v1/localization"
_CONTENT_TYPE: Final = "application/xml; charset=utf-8"
_DECLARED: Final = re.compile(r"""<\?xml[^>]*\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")


class ImportedLocale(TypedDict, total=False):
    """What became of one language of one guide or survey: a ``state`` such as ``COMPLETE``, and a ``message``."""

    state: str
    message: str


ImportResult = dict[str, dict[str, ImportedLocale]]


def import_call(xliff: object) -> Call:
    """Describe an import. It replaces what it names, so doing it twice is doing it once."""
    return Call(
        api="localization",
        kind="query",
        method="POST",
        path=f"{_PATH}/import/",
        credential="project",
        reads=read_json_object,
        repeatable=True,
        body=Content(_checked(xliff), _CONTENT_TYPE),
    )


def _checked(xliff: object) -> bytes:
    """Return a file as the UTF-8 that its content type says it is.

    Raises:
        InvalidArgumentError: It is neither text nor bytes, it is blank, not UTF-8, or says of itself that it is something else.
    """
    if isinstance(xliff, (bytes, bytearray)):
        content = bytes(xliff)
    elif isinstance(xliff, str):
        content = xliff.encode("utf-8", "surrogatepass")
    else:
        raise refused(argument="xliff", reason=f"must be text or bytes, not {type(xliff).__name__}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise refused(argument="xliff", reason="is not valid UTF-8")
    if not text.lstrip().startswith("<"):
        raise refused(argument="xliff", reason="is no XML; give an XLIFF 1.2 file")
    declared = _DECLARED.match(text.lstrip())
    if declared is not None and declared[1].lower() not in {"utf-8", "utf8", "us-ascii", "ascii"}:
        raise refused(argument="xliff", reason=f"says that it is {declared[1]:.20}; it has to be UTF-8")
    return content


def export_call(keys: object, locales: object) -> Call:
    """Describe an export."""
    named = [("key", key) for key in id_list(keys, argument="keys")]
    languages = () if locales is None else repeated("locale", id_list(locales, argument="locales"))
    return Call(
        api="localization",
        kind="query",
        method="GET",
        path=f"{_PATH}/export/",
        credential="project",
        reads=_read_xml,
        repeatable=True,
        query=(*named, *languages),
    )


def _read_xml(body: bytes) -> str:
    """Read an XML answer.

    Raises:
        MalformedError: It is not UTF-8, or plainly something else: an empty body, a page, JSON.
    """
    text = read_text(body)
    start = text.lstrip()[:200].lower()
    if not start.startswith("<") or start.startswith(("<!doctype html", "<html")):
        message = "no XML"
        raise MalformedError(message)
    return text


class Localization:
    """Translations of guides and surveys."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def import_xliff(self, xliff: str | bytes) -> ImportResult:
        """Bring in translations.

        Args:
            xliff: An XLIFF 1.2 file, UTF-8: for each guide or survey and language a ``<file original="KEY" source-language=...
                target-language=...>`` with its ``<trans-unit>``s. An empty target means untranslated.

        Returns:
            By key and language what became of it: ``{"welcome_tour": {"de": {"state": "COMPLETE", "message": ...}}}``.

        Raises:
            InvalidArgumentError: It is blank, no XML, or not UTF-8; nothing was sent.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/guides-surveys-localization
        """
        result: ImportResult = await self._runner.run(import_call(xliff))
        return result

    async def export_xliff(self, keys: str | Iterable[str], *, locales: str | Iterable[str] | None = None) -> str:
        """Take out translations, to be translated further.

        Args:
            keys: The key of a guide or survey, or several.
            locales: The language to give, or several, such as ``"de"``; all target languages by default.

        Returns:
            An XLIFF 1.2 file, as text.

        Raises:
            InvalidArgumentError: There is no key, or one is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/guides-surveys-localization
        """
        result: str = await self._runner.run(export_call(keys, locales))
        return result
