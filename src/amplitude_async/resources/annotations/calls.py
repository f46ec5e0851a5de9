"""The requests of the Chart Annotations API v3, and its answers.

Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, path_of, read_confirmation
from amplitude_async._protocol.dates import check_span, iso_instant
from amplitude_async.options import UNSET
from amplitude_async.resources.parameters import given, id_list, json_body, query_pairs, refused, required_text, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Annotation",
    "AnnotationAnswer",
    "AnnotationCategory",
    "AnnotationCategoryAnswer",
    "AnnotationCategoryList",
    "AnnotationList",
    "Deleted",
    "assign_call",
    "create_call",
    "create_category_call",
    "delete_call",
    "delete_category_call",
    "get_call",
    "get_category_call",
    "list_call",
    "list_categories_call",
    "read_annotations",
    "read_categories",
    "update_call",
    "update_category_call",
]

ANNOTATIONS: Final = "/api/3/annotations"
CATEGORIES: Final = "/api/3/annotation-categories"


class AnnotationCategory(TypedDict):
    """A category. ``name`` is always there, also where Amplitude answers with ``category`` instead."""

    id: int
    name: str


class Annotation(TypedDict):
    """A note on charts.

    ``start`` and ``end`` are ISO 8601 with an offset, hours at the finest; ``end`` is ``None`` for a single moment. ``chart_id`` is
    ``None`` for a note on every chart.
    """

    id: int
    label: str
    start: str
    end: str | None
    details: str | None
    category: AnnotationCategory | None
    chart_id: str | None


class AnnotationAnswer(TypedDict):
    """One note."""

    data: Annotation


class AnnotationList(TypedDict):
    """Several notes."""

    data: list[Annotation]


class AnnotationCategoryAnswer(TypedDict):
    """One category."""

    data: AnnotationCategory


class AnnotationCategoryList(TypedDict):
    """Several categories."""

    data: list[AnnotationCategory]


class Deleted(TypedDict):
    """The answer to a deletion that worked."""

    success: bool


def read_annotations(body: bytes) -> dict[str, Any]:
    """Read notes; a category that is spelled ``category`` gets its ``name`` too, as it has it everywhere else.

    Raises:
        MalformedError: It is no JSON object, or has neither notes nor says that it worked.
    """
    answer = read_confirmation(body, "data")
    for item in _items(answer):
        _name(item.get("category"))
    return answer


def read_categories(body: bytes) -> dict[str, Any]:
    """Read categories; see :func:`read_annotations`.

    Raises:
        MalformedError: It is no JSON object, or has neither categories nor says that it worked.
    """
    answer = read_confirmation(body, "data")
    for item in _items(answer):
        _name(item)
    return answer


def _items(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    data = answer.get("data")
    return [item for item in (data if isinstance(data, list) else [data]) if isinstance(item, dict)]


def _name(category: object) -> None:
    if isinstance(category, dict) and isinstance(category.get("category"), str):
        category.setdefault("name", category["category"])


def _get(path: str, query: Mapping[str, object], *, is_category: bool) -> Call:
    return Call(
        api="dashboard",
        kind="query",
        method="GET",
        path=path,
        credential="project",
        reads=read_categories if is_category else read_annotations,
        repeatable=True,
        query=query_pairs("annotations", query),
        uses=(Use("rest"),),
    )


def _send(method: str, path: str, fields: Mapping[str, object] | None, *, is_category: bool = False) -> Call:
    return Call(
        api="dashboard",
        kind="query",
        method=method,
        path=path,
        credential="project",
        reads=read_categories if is_category else read_annotations,
        # A creation that is repeated makes a second note.
        repeatable=method != "POST",
        body=None if fields is None else json_body(fields),
        uses=(Use("rest"),),
    )


def _id(template: str, value: object, *, argument: str) -> str:
    return path_of(template + "/{}", str(whole_number(value, argument=argument, least=1)))


def _label(value: object) -> str:
    return required_text(value, argument="label", what="a title")


def _category_name(value: object) -> str:
    return required_text(value, argument="name", what="a category's name")


def list_call(parameters: Mapping[str, object]) -> Call:
    """Describe a question for notes.

    Raises:
        InvalidArgumentError: Filters contradict each other.
    """
    filters = given(parameters)
    if "category" in filters and "chart_id" in filters:
        raise refused(argument="chart_id", reason="cannot be combined with category; ask twice")
    for name in ("start", "end"):
        if name in filters:
            filters[name] = iso_instant(filters[name], argument=name)
    check_span(_text(filters, "start"), _text(filters, "end"))
    return _get(ANNOTATIONS, filters, is_category=False)


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def get_call(annotation_id: object) -> Call:
    """Describe a question for one note."""
    return _get(_id(ANNOTATIONS, annotation_id, argument="annotation_id"), {}, is_category=False)


def _noted(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a note, checked. What may be null is null if it was given as ``None``."""
    fields = {
        name: value for name, value in parameters.items() if value is not UNSET and (value is not None or name in {"chart_id", "end"})
    }
    if "label" in fields:
        fields["label"] = _label(fields["label"])
    for name in ("start", "end"):
        if fields.get(name) is not None:
            fields[name] = iso_instant(fields[name], argument=name)
    check_span(_text(fields, "start"), _text(fields, "end"))
    return fields


def create_call(label: object, start: object, parameters: Mapping[str, object]) -> Call:
    """Describe a new note."""
    fields: dict[str, object] = {"label": _label(label), "start": iso_instant(start, argument="start"), **given(parameters)}
    return _send("POST", ANNOTATIONS, _noted(fields))


def update_call(annotation_id: object, parameters: Mapping[str, object]) -> Call:
    """Describe a change of a note: what is not in it stays.

    Raises:
        InvalidArgumentError: There is nothing to change, or it contradicts itself.
    """
    path = _id(ANNOTATIONS, annotation_id, argument="annotation_id")
    fields = _noted(parameters)
    if not fields:
        raise refused(argument="annotation_id", reason="is to be updated, but nothing is to change; give at least one field")
    return _send("PUT", path, fields)


def delete_call(annotation_id: object) -> Call:
    """Describe the deletion of a note."""
    return _send("DELETE", _id(ANNOTATIONS, annotation_id, argument="annotation_id"), None)


def list_categories_call(parameters: Mapping[str, object]) -> Call:
    """Describe a question for categories."""
    return _get(CATEGORIES, parameters, is_category=True)


def get_category_call(category_id: object) -> Call:
    """Describe a question for one category."""
    return _get(_id(CATEGORIES, category_id, argument="category_id"), {}, is_category=True)


def create_category_call(name: object) -> Call:
    """Describe a new category."""
    return _send("POST", CATEGORIES, {"category": _category_name(name)}, is_category=True)


def update_category_call(category_id: object, name: object) -> Call:
    """Describe another name of a category."""
    path = _id(CATEGORIES, category_id, argument="category_id")
    return _send("PUT", path, {"category": _category_name(name)}, is_category=True)


def delete_category_call(category_id: object) -> Call:
    """Describe the deletion of a category."""
    return _send("DELETE", _id(CATEGORIES, category_id, argument="category_id"), None, is_category=True)


def assign_call(category_id: object, annotation_ids: object) -> Call:
    """Describe the assignment of a category to many notes."""
    path = _id(f"{CATEGORIES}/bulk", category_id, argument="category_id")
    ids = id_list(annotation_ids, argument="annotation_ids")
    numbers = [whole_number(value, argument=f"annotation_ids[{index}]", least=1) for index, value in enumerate(ids)]
    return _send("PUT", path, {"annotation_ids": numbers})
