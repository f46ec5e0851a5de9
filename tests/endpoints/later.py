"""APIs of which Amplitude's newer pages say that they are there, and less than a client needs. Index: https://amplitude.com/docs/apis."""

from __future__ import annotations

from .table import Row

REST = ("amplitude.com", "analytics.eu.amplitude.com")
CORE = ("core.amplitude.com", "core.eu.amplitude.com")
DEVELOPER = ("developer-api.amplitude.com", "developer-api.eu.amplitude.com")
NEW = "newer than what is documented of it well enough to build on: fields and answers are not"
CLASSIFIERS = "/api/2/channel-classifiers"

ROWS = [
    Row(name="Channel classifiers: list", method="GET", path=CLASSIFIERS, hosts=REST, auth="Basic project", why=NEW),
    Row(name="Channel classifiers: get", method="GET", path=f"{CLASSIFIERS}/paid", hosts=REST, auth="Basic project", why=NEW),
    Row(
        name="Channel classifiers: create", method="POST", path=CLASSIFIERS, hosts=REST, auth="Basic project", encoding="json", why=NEW
    ),
    Row(
        name="Channel classifiers: update",
        method="PATCH",
        path=f"{CLASSIFIERS}/paid",
        hosts=REST,
        auth="Basic project",
        encoding="json",
        why=NEW,
    ),
    Row(
        name="User management: roles and assignments",
        method="GET",
        path="/user-management/1/",
        hosts=CORE,
        auth="Basic organisation",
        why="early access; its paths are not documented",
    ),
    Row(
        name="AI feedback: ingest",
        method="POST",
        path="/api/1/ai-feedback/ingest",
        hosts=("amplitude.com", None),
        auth="none",
        encoding="json",
        why="its key and its fields are not documented",
    ),
    Row(
        name="Developer API",
        method="GET",
        path="/v1/context",
        hosts=DEVELOPER,
        auth="none",
        why="it asks a person to sign in (OAuth 2.0 device flow), so it is not for servers",
    ),
]
