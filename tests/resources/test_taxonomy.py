"""The tracking plan as data: what is asked, what is refused before it is asked, what is read."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amplitude_async import AmplitudeError, AsyncAmplitude, InvalidArgumentError, NotFoundError, ResponseError
from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.codec import RefusedAnswerError
from amplitude_async._protocol.verdict import Reply, judge
from amplitude_async.resources.taxonomy.calls import (
    CATEGORY,
    EVENT,
    EVENT_PROPERTY,
    GROUP_PROPERTY,
    USER_PROPERTY,
    create_call,
    delete_call,
    get_call,
    list_call,
    restore_call,
    update_call,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
NAMED = [EVENT, EVENT_PROPERTY, USER_PROPERTY, GROUP_PROPERTY]


def form_of(call: Any) -> list[tuple[str, str]]:
    return parse_qsl(call.body.render("").decode(), keep_blank_values=True) if call.body is not None else []


def test_reading_costs_one_and_writing_two() -> None:
    """Every call takes its cost of the taxonomy's own quota, and none of the five places of the REST API."""
    reads = [list_call(EVENT, {}), get_call(EVENT, "x", {})]
    writes = [
        create_call(EVENT, "x", {}),
        update_call(EVENT, "x", {"owner": "y"}),
        delete_call(EVENT, "x", {}),
        restore_call(EVENT, "x", {}),
    ]
    assert {call.uses for call in reads} == {(Use("taxonomy", 1),)}
    assert {call.uses for call in writes} == {(Use("taxonomy", 2),)}
    assert {(call.api, call.credential, call.kind) for call in reads + writes} == {("dashboard", "project", "query")}


def test_what_is_repeated_after_an_unknown_outcome() -> None:
    """Reads, updates and deletions are; creations and restorations, whose repetition would be refused, are not."""
    assert all(call.repeatable for call in (list_call(EVENT, {}), get_call(EVENT, "x", {}), delete_call(EVENT, "x", {})))
    assert update_call(EVENT, "x", {"owner": "y"}).repeatable
    assert not create_call(EVENT, "x", {}).repeatable
    assert not restore_call(EVENT, "x", {}).repeatable


@given(TEXTS)
@example("a/../b?c#d")
@example("..")
@example("%2e%2e%2f")
@example("gp:tier & more+x")
def test_a_name_cannot_change_the_path(name: str) -> None:
    """Whatever is in a name, it stays one segment, and is read back as it was."""
    for kind in (CATEGORY, *NAMED):
        path = get_call(kind, name, {}).path
        head, _, segment = path.rpartition("/")
        assert head == kind.path
        assert unquote(segment) == name
        assert segment not in {".", ".."}
        assert not set(segment) & set("?#&+ ")


@given(
    st.dictionaries(
        TEXTS.filter(lambda name: name not in {"type", "event_type", "overrideScope", "override_scope"}), TEXTS, max_size=5
    )
)
def test_a_form_is_read_back_as_it_was(fields: dict[str, str]) -> None:
    """Fields that nobody documented go along, encoded."""
    call = create_call(EVENT_PROPERTY, "x", {**fields, "event_property": None})
    sent = dict(form_of(call))
    spelled = {{"show_deleted": "showDeleted"}.get(name, name): value for name, value in fields.items() if name != "event_property"}
    assert sent == {"event_property": "x", **spelled}


def test_how_values_are_spelled() -> None:
    """Lists are text with commas, booleans are words, an empty text takes away, and None is left out."""
    call = update_call(EVENT, "x", {"tags": ["a", "b"], "is_active": False, "description": "", "owner": None, "category": "A & B"})
    assert form_of(call) == [("tags", "a,b"), ("is_active", "false"), ("description", ""), ("category", "A & B")]
    assert form_of(update_call(EVENT, "x", {"tags": "a,b"})) == [("tags", "a,b")]
    assert form_of(update_call(EVENT, "x", {"tags": []})) == [("tags", "")]


@pytest.mark.parametrize("kind", NAMED, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", ["", " ", None, 0, [], False], ids=repr)
def test_blank_names_are_refused(kind: Any, name: Any) -> None:
    """A blank name would address the whole list, or nothing."""
    for call in (get_call, create_call, update_call, delete_call, restore_call):
        with pytest.raises(InvalidArgumentError) as caught:
            call(kind, name, {"description": "x"})
        assert caught.value.argument == kind.name


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: update_call(EVENT, "x", {"owner": None}), "event_type"),
        (lambda: update_call(EVENT_PROPERTY, "x", {"event_type": "e"}), "event_property"),
        (lambda: update_call(CATEGORY, 5, {}, argument="category_id"), "category_id"),
        (lambda: update_call(CATEGORY, "", {"category_name": "x"}, argument="category_id"), "category_id"),
        (lambda: create_call(EVENT, "x", {"tags": ["a,b"]}), "tags"),
        (lambda: create_call(EVENT_PROPERTY, "x", {"regex": "a", "type": "number"}), "regex"),
        (lambda: create_call(USER_PROPERTY, "x", {"enum_values": ["a"], "type": "string"}), "enum_values"),
        (lambda: update_call(EVENT_PROPERTY, "x", {"override_scope": "override"}), "override_scope"),
        (lambda: update_call(EVENT_PROPERTY, "x", {"overrideScope": "mine", "event_type": "e"}), "override_scope"),
        (lambda: update_call(GROUP_PROPERTY, "x", {"override_scope": "shared", "event_type": "e"}), "override_scope"),
        (
            lambda: update_call(GROUP_PROPERTY, "x", {"override_scope": "override", "group_type": "g", "classifications": "PII"}),
            "classifications",
        ),
        (lambda: delete_call(EVENT_PROPERTY, "x", {"event_type": ""}), "event_type"),
        (lambda: restore_call(EVENT_PROPERTY, "x", {"event_type": " "}), "event_type"),
        (lambda: list_call(GROUP_PROPERTY, {"group_type": ""}), "group_type"),
        (lambda: create_call(EVENT, "x", {"description": float("nan")}), "description"),
        (lambda: create_call(EVENT, "x", {"description": "\ud800"}), "description"),
    ],
)
def test_what_contradicts_itself_is_refused(make: Any, argument: str) -> None:
    """It is refused here by its name; above all a blank event type, without which a deletion would be one for all events."""
    with pytest.raises(InvalidArgumentError) as caught:
        make()
    assert caught.value.argument == argument


def test_an_override_alone_is_a_change() -> None:
    """Naming the scope makes or drops an override, even if nothing else is said."""
    call = update_call(EVENT_PROPERTY, "x", {"event_type": "e", "override_scope": "shared"})
    assert form_of(call) == [("event_type", "e"), ("overrideScope", "shared")]


EXAMPLES = [
    {"success": True},
    {"success": True, "data": []},
    {"success": True, "data": {"id": 41290, "name": "Checkout"}, "later": 1},
    {
        "success": True,
        "data": {
            "event_type": "order_placed",
            "category": {"name": "Checkout"},
            "description": "a paid order",
            "display_name": "Order Placed",
            "is_active": True,
            "is_hidden_from_dropdowns": False,
            "is_hidden_from_persona_results": False,
            "is_hidden_from_pathfinder": False,
            "is_hidden_from_timeline": False,
            "tags": ["core"],
            "owner": None,
        },
    },
    {
        "success": True,
        "data": [
            {
                "event_property": "coupon",
                "event_type": "order_placed",
                "description": "coupon code",
                "type": "string",
                "regex": None,
                "enum_values": None,
                "is_array_type": False,
                "is_required": False,
                "is_hidden": False,
                "classifications": ["PII"],
            }
        ],
    },
    {"success": True, "data": [{"user_property": "gp:tier", "type": "enum", "enum_values": ["a"], "deleted": False}]},
    {"success": True, "data": {"group_type": "company", "group_property": "grp:plan", "description": "", "type": "string"}},
]


@pytest.mark.parametrize("answer", EXAMPLES, ids=lambda answer: str(answer)[:40])
def test_answers_are_read_without_loss(answer: Any) -> None:
    """What Amplitude says comes out as it said it, unknown keys too."""
    call = list_call(EVENT, {}) if "data" in answer else update_call(EVENT, "signup", {"owner": "ops"})
    assert call.reads(json.dumps(answer).encode()) == answer


def test_a_success_that_says_no_is_a_refusal() -> None:
    """Whatever its status, an answer that says ``"success": false`` is an error with Amplitude's words, and is not asked again."""
    body = b'{"success": false, "errors": [{"message": "Not found"}, {"message": "Try again"}]}'
    call = update_call(USER_PROPERTY, "gp:tier", {"description": "x"})
    with pytest.raises(RefusedAnswerError):
        call.reads(body)
    verdict = judge(call, Reply(200, {}, body), now=0.0, secrets=tuple)
    assert type(verdict.error) is ResponseError
    assert (verdict.error.status, verdict.outcome, verdict.may_retry) == (200, "rejected", False)
    assert str(verdict.error) == "Request failed with status code 200: Not found; Try again"
    assert verdict.error.data["success"] is False
    # An answer to a repeat speaks for the repeat alone.
    assert judge(call, Reply(200, {}, body, was_sent_before=True), now=0.0, secrets=tuple).outcome == "unknown"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (409, b'{"success":false,"errors":[{"message":"that already exists."}]}', ResponseError, "409: that already exists."),
        (404, b'{"success":false,"errors":["Not found"]}', NotFoundError, "404: Not found"),
        (409, b'{"success":false,"errors":[{"code":1},null]}', ResponseError, "status code 409"),
        (409, b'{"success":false}', ResponseError, "status code 409"),
    ],
)
def test_refusals_carry_amplitudes_words(status: int, body: bytes, kind: type[AmplitudeError], words: str) -> None:
    """The message has what the envelope says, in whatever form."""
    verdict = judge(get_call(EVENT, "x", {}), Reply(status, {}, body), now=0.0, secrets=tuple)
    assert type(verdict.error) is kind
    assert words in str(verdict.error)


@pytest.mark.anyio
async def test_it_needs_the_secret_key() -> None:
    """Without the keys of the project nothing is sent, and the message says which one is missing."""
    async with AsyncAmplitude("invented-key") as amplitude:
        with pytest.raises(AmplitudeError, match="secret_key"):
            await amplitude.taxonomy.events.list()
