"""Mutual exclusion groups and holdout groups as the sandbox keeps them.

Pure; a refusal is a ValueError, which becomes a 400. From
https://amplitude.com/docs/apis/experiment/experiment-management-api-mutexs and .../experiment-management-api-holdouts; where they say
nothing: archived groups are left out of lists and are shown with ``deleted``, and a salt follows from the key.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.sandbox.flags import (
    AUTHOR,
    MODES,
    WHOLE,
    Document,
    boolean,
    choice,
    identities,
    identity,
    refuse,
    salt_of,
    text,
    texts,
    timestamp,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SLOTS: Final = 20
URL: Final = "http://experiment.amplitude.com/amplitude/experiments/grouped-experiments"


def numbers(value: object, name: str) -> list[int | str]:
    """Check a list of ids; those that are numbers are shown as numbers here."""
    return [int(each) if each.isascii() and each.isdigit() else each for each in identities(value, name)]


def _common(body: Mapping[str, Any], *, ident: int, prefix: str) -> Document:
    key = text(body.get("key"), "key") or f"{prefix}-{ident}"
    project = identity(body.get("projectId"), "projectId")
    return {
        "id": ident,
        "projectId": int(project) if project.isascii() and project.isdigit() else project,
        "name": text(body.get("name"), "name", required=True),
        "key": key,
        "description": text(body.get("description"), "description"),
        "evaluationMode": choice(body.get("evaluationMode", "remote"), "evaluationMode", MODES),
        "bucketingKey": text(body.get("bucketingKey"), "bucketingKey") or "amplitude_id",
        "bucketingSalt": text(body.get("bucketingSalt"), "bucketingSalt") or salt_of(key),
        "deleted": False,
    }


def new_mutex(body: Mapping[str, Any], *, ident: int) -> Document:
    """Return a new mutual exclusion group; what its slots name is checked by who knows it."""
    document = _common(body, ident=ident, prefix="mutex")
    slots = body.get("slots")
    if not isinstance(slots, list) or not 1 <= len(slots) <= MAX_SLOTS:
        refuse(f"slots must be a list of 1 to {MAX_SLOTS}")
    document["slots"] = [_slot(sent, index) for index, sent in enumerate(slots, 1)]
    total = sum(slot["percentage"] for slot in document["slots"])
    if total != WHOLE:
        refuse(f"The percentages of the slots add up to {total}, not {WHOLE}")
    return document


def _slot(sent: object, index: int) -> Document:
    if not isinstance(sent, dict):
        refuse(f"slots[{index - 1}] must be an object")
    slot: Document = {
        "name": f"SLOT {index}",
        "index": index,
        "variantKey": f"slot-{index}",
        "percentage": whole(sent.get("percentage"), f"slots[{index - 1}].percentage", 1, WHOLE),
        "experiments": [],
        "holdouts": [],
        "individuals": [],
        "cohorts": [],
    }
    return _filled(slot, sent)


def _filled(slot: Document, sent: Mapping[str, Any]) -> Document:
    for name in ("experiments", "holdouts"):
        if name in sent:
            slot[name] = numbers(sent[name], name)
    if "individuals" in sent:
        slot["individuals"] = texts(sent["individuals"], "individuals")
    return slot


def edited_mutex(old: Document, body: Mapping[str, Any]) -> Document:
    """Return a mutual exclusion group after an edit; of one that archives, all else is ignored, and the slots are emptied."""
    changed = copy.deepcopy(old)
    if "archive" in body and boolean(body["archive"], "archive"):
        changed["deleted"] = True
        for slot in changed["slots"]:
            slot |= {"experiments": [], "holdouts": []}
        return changed
    return changed | _named(body)


def _named(body: Mapping[str, Any]) -> Document:
    found: Document = {}
    if "name" in body:
        found["name"] = text(body["name"], "name", required=True)
    if "description" in body:
        found["description"] = text(body["description"], "description")
    return found


def edited_slot(old: Document, index: int, body: Mapping[str, Any]) -> Document:
    """Return a mutual exclusion group with what is in a slot replaced."""
    changed = copy.deepcopy(old)
    slot = changed["slots"][index - 1]
    changed["slots"][index - 1] = _filled(slot, body)
    return changed


def new_holdout(body: Mapping[str, Any], *, ident: int, at: float) -> Document:
    """Return a new holdout group; its experiments are checked by who knows them."""
    document = _common(body, ident=ident, prefix="holdout")
    now = timestamp(at)
    document |= {
        "description": document["description"] or "",
        "holdoutPercentage": whole(body.get("holdoutPercentage"), "holdoutPercentage", 1, WHOLE - 1),
        "variantName": "on",
        "experiments": numbers(body.get("experiments", []), "experiments"),
        "individualInclusion": texts(body.get("individualInclusion", []), "individualInclusion"),
        "individualExclusion": texts(body.get("individualExclusion", []), "individualExclusion"),
        "createdBy": AUTHOR,
        "lastModifiedBy": AUTHOR,
        "createdAt": now,
        "lastModifiedAt": now,
    }
    return document


def edited_holdout(old: Document, body: Mapping[str, Any], *, at: float) -> Document:
    """Return a holdout group after an edit."""
    changed = copy.deepcopy(old) | _named(body)
    if "experiments" in body:
        changed["experiments"] = numbers(body["experiments"], "experiments")
    for name in ("individualInclusion", "individualExclusion"):
        if name in body:
            changed[name] = texts(body[name], name)
    if "archive" in body:
        changed["deleted"] = boolean(body["archive"], "archive")
    changed["lastModifiedAt"] = timestamp(at)
    return changed
