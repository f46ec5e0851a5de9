"""The words that the descriptions are written in: operations, parameters, bodies, answers, and short names for schemas. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Schema = dict[str, Any]
Content = tuple[str, Schema]
"""A content type, and what is in it."""
Answers = Mapping[int, Content | list[Content] | None]
"""By status: one content or one of several, ``None`` for an answer without a body."""
Door = Literal["key", "project", "organisation", "secret", "deployment", "management", "scim", "token"]
"""Which credential an operation asks for; ``key`` is the API key among the parameters of an upload."""

DOCS: Final = "https://amplitude.com/docs/apis/"
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
PLAIN: Final = "text/plain"
WEB: Final = "text/html"

TEXT: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer"}
NUMBER: Final[Schema] = {"type": "number"}
FLAG: Final[Schema] = {"type": "boolean"}
ANYTHING: Final[Schema] = {}
OBJECT: Final[Schema] = {"type": "object"}
IDENTITY: Final[Schema] = {"type": ["string", "integer"]}


def either(*types: str) -> Schema:
    """Describe a value of one of several types."""
    return {"type": list(types)}


def or_null(schema: Schema) -> Schema:
    """Describe a value that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def among(*values: str) -> Schema:
    """Describe one of a few texts."""
    return {"type": "string", "enum": list(values)}


def like(example: str, **more: object) -> Schema:
    """Describe a text by an example."""
    return {"type": "string", "examples": [example], **more}


def whole(least: int, most: int | None = None) -> Schema:
    """Describe a whole number within bounds."""
    return {"type": "integer", "minimum": least, **({} if most is None else {"maximum": most})}


def many(of: Schema, **more: object) -> Schema:
    """Describe a list."""
    return {"type": "array", "items": of, **more}


def mapped(to: Schema) -> Schema:
    """Describe an object of which only the values are known."""
    return {"type": "object", "additionalProperties": to}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Describe an object by what it has, and what it may have; it may have more."""
    described: Schema = {"type": "object", "properties": {**required, **(optional or {})}}
    return {**described, "required": list(required)} if required else described


def ref(name: str) -> Schema:
    """Name one of the document's schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def as_json_text(schema: Schema, example: str) -> Schema:
    """Describe a text that is JSON."""
    return {"type": "string", "contentMediaType": JSON, "contentSchema": schema, "examples": [example]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What a request says outside its body.

    Attributes:
        name: What it is called.
        schema: What it may be.
        place: Where it is.
        is_required: Whether it must be there.
        is_json: Whether its text is JSON, which the schema describes.
        about: What it means, where its name does not say it.
    """

    name: str
    schema: Schema = field(default_factory=lambda: TEXT)
    place: Literal["query", "path", "header"] = "query"
    is_required: bool = False
    is_json: bool = False
    about: str = ""

    def written(self) -> Schema:
        """Return it as OpenAPI writes it."""
        form: Schema = {"content": {JSON: {"schema": self.schema}}} if self.is_json else {"schema": self.schema}
        about: Schema = {"description": self.about} if self.about else {}
        return {"name": self.name, "in": self.place, "required": self.is_required or self.place == "path", **about, **form}


def needed(name: str, schema: Schema | None = None, **more: Any) -> Parameter:  # noqa: ANN401 - the attributes of a parameter
    """Describe a parameter of the query that must be there."""
    return Parameter(name=name, schema=TEXT if schema is None else schema, is_required=True, **more)


def may(name: str, schema: Schema | None = None, **more: Any) -> Parameter:  # noqa: ANN401 - the attributes of a parameter
    """Describe a parameter of the query that may be left out."""
    return Parameter(name=name, schema=TEXT if schema is None else schema, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one method of one path does.

    Attributes:
        api: Which of the APIs it belongs to.
        method: The HTTP method.
        path: The path, its parameters in braces.
        about: What it does, in a few words.
        answers: What it answers, by status.
        door: The credential that it asks for, ``None`` for none.
        parameters: What may be in its query and headers.
        segments: What the parameters of its path may be, where that is not any text.
        bodies: What its body may be, by content type.
        is_body_needed: Whether it must have one.
        page: Amplitude's page on it, below :data:`DOCS`; empty for the sandbox's own.
    """

    api: str
    method: str
    path: str
    about: str
    answers: Answers
    door: Door | None = "project"
    parameters: tuple[Parameter, ...] = ()
    segments: Mapping[str, Schema] = field(default_factory=dict)
    bodies: Mapping[str, Schema] = field(default_factory=dict)
    is_body_needed: bool = True
    page: str = ""
