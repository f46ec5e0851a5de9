"""``track`` and ``identify``: one event from arguments, or events as JSON lines on standard input."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from amplitude_async.cli.exits import DONE, PARTLY
from amplitude_async.cli.lines import Line, StandardLines
from amplitude_async.cli.pairs import read_pairs
from amplitude_async.cli.printing import note, print_json, print_lines
from amplitude_async.cli.sending import Rejects, Sending
from amplitude_async.cli.settings import CONNECTION, Connection
from amplitude_async.errors import InvalidArgumentError

RATE: Final = 30.0
"""Events per second of one user or device (https://amplitude.com/docs/apis/analytics/http-v2)."""

_Property = Annotated[list[str] | None, Parameter(name=("--property", "-p"))]
_UserProperty = Annotated[list[str] | None, Parameter(name=("--user-property", "-u"))]


async def track(
    event_type: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    user_id: str | None = None,
    device_id: str | None = None,
    properties: _Property = None,
    user_properties: _UserProperty = None,
    groups: Annotated[list[str] | None, Parameter(name="--group")] = None,
    field: Annotated[list[str] | None, Parameter(name=("--field", "-f"))] = None,
    time: int | None = None,
    insert_id: str | None = None,
    min_id_length: int | None = None,
    rejects: Path | None = None,
    patience: float = 600,
    connection: Connection = CONNECTION,
) -> int:
    """Send one event and wait until Amplitude has said yes; or send events as JSON lines from standard input, as they come.

    `amplitude-async track signup --user-id ada@example.org -p plan=pro -p seats:=3`

    Properties are `name=text`, or `name:=json` for numbers, booleans, lists and null. Without an event type, or with `-`, each line of
    standard input is an event; lines that are refused are named on standard error, and the exit code is 1.

    Args:
        event_type: What happened; left out, or -, for standard input.
        user_id: Who did it.
        device_id: On which device.
        properties: A property of the event; may be given several times.
        user_properties: A property to set on the user.
        groups: A group that the event is of: type=name.
        field: Any other field of the event: platform=iOS, price:=9.5, quantity:=2.
        time: When, in milliseconds since the epoch; now, if left out.
        insert_id: The id under which Amplitude removes repeats.
        min_id_length: The shortest user or device id that Amplitude is to accept; 5, if left out.
        rejects: Write the lines of standard input that were refused to this file.
        patience: Seconds that sending may fail, with standard input, before it is given up.
    """
    options: dict[str, object] | None = None if min_id_length is None else {"min_id_length": min_id_length}
    given: dict[str, Any] = {
        **read_pairs(field or (), argument="--field"),
        "user_id": user_id,
        "device_id": device_id,
        "event_properties": read_pairs(properties or (), argument="--property"),
        "user_properties": read_pairs(user_properties or (), argument="--user-property"),
        "groups": read_pairs(groups or (), argument="--group"),
        "time": time,
        "insert_id": insert_id,
    }
    event = {name: value for name, value in given.items() if value is not None and value != {}}
    if event_type is not None and event_type != "-" and event_type.startswith("-"):
        message = f"{event_type:.40} is no option of track, and no event type"
        raise InvalidArgumentError(message, argument="event_type")
    if event_type is None or event_type == "-":
        return await _stream(event, options, rejects, patience, connection, identifies=False)
    async with connection.client() as client:
        answer = await client.track({**event, "event_type": event_type}, options=options)
    _say(connection, answer, "1 event delivered")
    return DONE


async def identify(
    *,
    user_id: str | None = None,
    device_id: str | None = None,
    properties: Annotated[list[str] | None, Parameter(name=("--set", "-p", "--property"))] = None,
    set_once: list[str] | None = None,
    add: list[str] | None = None,
    append: list[str] | None = None,
    unset: list[str] | None = None,
    rejects: Path | None = None,
    patience: float = 600,
    connection: Connection = CONNECTION,
) -> int:
    """Change properties of a user; or of many, by JSON lines from standard input.

    `amplitude-async identify --user-id ada@example.org --set plan=pro --add logins:=1 --unset trial`

    Properties are `name=text`, or `name:=json` for numbers, booleans, lists and null. Without a user and a device, each line of
    standard input is an identification: `{"user_id": "...", "user_properties": {"$set": {...}}}`.

    Args:
        user_id: The user.
        device_id: The device.
        properties: Set a property; may be given several times, as all of these.
        set_once: Set it unless it is set.
        add: Add to a number.
        append: Append to a list.
        unset: Take a property away: its name.
        rejects: Write the lines of standard input that were refused to this file.
        patience: Seconds that sending may fail, with standard input, before it is given up.
    """
    operations: dict[str, Any] = {
        "$set": read_pairs(properties or (), argument="--set"),
        "$setOnce": read_pairs(set_once or (), argument="--set-once"),
        "$add": read_pairs(add or (), argument="--add"),
        "$append": read_pairs(append or (), argument="--append"),
        "$unset": dict.fromkeys(unset or (), "-"),
    }
    operations = {name: pairs for name, pairs in operations.items() if pairs}
    if user_id is None and device_id is None:
        if operations:
            message = "Whose properties? Give --user-id or --device-id"
            raise InvalidArgumentError(message, argument="user_id")
        return await _stream({}, None, rejects, patience, connection, identifies=True)
    if not operations:
        message = "Nothing is to be changed: give --set, --set-once, --add, --append or --unset"
        raise InvalidArgumentError(message, argument="set")
    who = {name: value for name, value in (("user_id", user_id), ("device_id", device_id)) if value is not None}
    async with connection.client() as client:
        answer = await client.identify({**who, "user_properties": operations})
    _say(connection, answer, "1 identification delivered")
    return DONE


async def _stream(
    given: dict[str, Any],
    options: dict[str, object] | None,
    rejects: Path | None,
    patience: float,
    connection: Connection,
    *,
    identifies: bool,
) -> int:
    if given:
        message = f"{', '.join(given)}: with events from standard input, all of an event is on its line"
        raise InvalidArgumentError(message, argument=next(iter(given)))
    if sys.stdin.isatty():
        message = "Give an event type, or events as JSON lines on standard input"
        if identifies:
            message = "Give --user-id or --device-id, or identifications as JSON lines on standard input"
        raise InvalidArgumentError(message, argument="event_type")

    def tell(line: Line, reason: str) -> None:
        note(f"line {line.number}: {reason}")

    async with connection.client() as client:
        sending = Sending(
            client,
            api="http_v2",
            identifies=identifies,
            rate=RATE,
            patience=patience,
            rejects=Rejects(rejects),
            on_reject=tell,
            options=options,
        )
        async with sending:
            async for lines in StandardLines():
                for line in lines:
                    await sending.feed(line)
            await sending.finish()
    counts = dict(sending.counts)
    lost = sum(count for status, count in counts.items() if status != "delivered")
    _say(connection, {"delivered": counts.get("delivered", 0), **counts}, _summary(counts))
    return PARTLY if lost else DONE


def _summary(counts: dict[str, int]) -> str:
    others = "".join(f", {count:,} {status.replace('_', ' ')}" for status, count in sorted(counts.items()) if status != "delivered")
    return f"{counts.get('delivered', 0):,} delivered{others}"


def _say(connection: Connection, answer: object, words: str) -> None:
    if connection.json:
        print_json(answer)
    else:
        print_lines(words)
