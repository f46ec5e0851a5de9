"""``taxonomy dump|diff``: the tracking plan as a document, for version control and reviews.

YAML where PyYAML is installed, else JSON. Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
"""

import json
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from amplitude_async.cli.exits import DONE, PARTLY, one_line
from amplitude_async.cli.plans import KINDS, differences, plan_of
from amplitude_async.cli.printing import note, print_json, print_lines
from amplitude_async.cli.settings import CONNECTION, Connection
from amplitude_async.cli.writing import text_of
from amplitude_async.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from amplitude_async.client import AsyncAmplitude

_YAML = (".yaml", ".yml")


def _yaml() -> Any:  # noqa: ANN401 - PyYAML is the user's own
    try:
        return import_module("yaml")
    except ImportError:
        return None


async def dump(
    file: Annotated[Path | None, Parameter(name="FILE")] = None,
    /,
    *,
    format: Literal["yaml", "json"] | None = None,
    overrides: bool = False,
    connection: Connection = CONNECTION,
) -> int:
    """Write the tracking plan as one document: categories, events and properties by name, in order.

    Args:
        file: The file to write; standard output, if left out.
        format: yaml or json; by the name of the file, else YAML if PyYAML is installed.
        overrides: Also ask for the properties of each event (one request an event).
    """
    yaml = _yaml()
    if format is None:
        by_name = file is not None and file.suffix in {*_YAML, ".json"}
        is_yaml = file.suffix in _YAML if file is not None and by_name else yaml is not None and not connection.json
    else:
        is_yaml = format == "yaml"
    if is_yaml and yaml is None:
        message = "YAML needs PyYAML, which is not installed: pip install pyyaml; --format json needs nothing"
        raise ConfigurationError(message)
    async with connection.client() as client:
        plan = await _plan(client, overrides=overrides)
    if is_yaml:
        text = str(yaml.safe_dump(plan, sort_keys=False, allow_unicode=True, width=120))
    else:
        text = json.dumps(plan, indent=2, ensure_ascii=False) + "\n"
    if file is None:
        print_lines(text.rstrip("\n"))
    else:
        file.write_text(text, "utf-8")
        note(f"wrote {sum(map(len, plan.values())):,} things to {file}")
    return DONE


async def diff(
    file: Annotated[Path, Parameter(name="FILE")],
    other: Annotated[Path | None, Parameter(name="OTHER")] = None,
    /,
    *,
    overrides: bool = False,
    connection: Connection = CONNECTION,
) -> int:
    """Say how the project's tracking plan differs from a file that `taxonomy dump` wrote, or two such files from each other.

    `+` is only in the project (or in OTHER), `-` only in FILE, `~` differs. The exit code is 1 if anything does.

    Args:
        file: A dump.
        other: Another dump, in place of the project.
        overrides: The dump was made with --overrides.
    """
    before = _read(file)
    if other is not None:
        after = _read(other)
    else:
        async with connection.client() as client:
            after = await _plan(client, overrides=overrides)
    found = list(differences(before, after))
    if connection.json:
        print_json([difference._asdict() for difference in found])
    else:
        print_lines(*(one_line(str(difference)) for difference in found))
        note(f"{len(found):,} differences" if found else "no difference")
    return PARTLY if found else DONE


def _read(file: Path) -> dict[str, Any]:
    """Read a dump.

    Raises:
        ConfigurationError: It is YAML, and PyYAML is not installed.
        InvalidArgumentError: It is no dump.
    """
    text = text_of(file)
    is_yaml = file.suffix in _YAML
    yaml: Any = _yaml() if is_yaml else None
    if is_yaml and yaml is None:
        message = f"{file} is YAML, and PyYAML is not installed: pip install pyyaml"
        raise ConfigurationError(message)
    plan: Any = None
    with suppress(ValueError, RecursionError, *((yaml.YAMLError,) if is_yaml else ())):
        plan = yaml.safe_load(text) if is_yaml else json.loads(text)
    if not isinstance(plan, dict) or not any(isinstance(plan.get(kind), dict) for kind in KINDS):
        message = f"{file} is no dump of a tracking plan; amplitude-async taxonomy dump makes one"
        raise InvalidArgumentError(message, argument="FILE")
    return plan


async def _plan(client: "AsyncAmplitude", *, overrides: bool) -> dict[str, dict[str, dict[str, Any]]]:
    taxonomy = client.taxonomy
    lists: dict[str, list[Any]] = {
        "categories": list((await taxonomy.categories.list())["data"]),
        "events": list((await taxonomy.events.list())["data"]),
        "event_properties": list((await taxonomy.event_properties.list())["data"]),
        "user_properties": list((await taxonomy.user_properties.list())["data"]),
        "group_properties": list((await taxonomy.group_properties.list())["data"]),
    }
    if overrides:
        for event in lists["events"]:
            lists["event_properties"] += (await taxonomy.event_properties.list(event_type=event["event_type"]))["data"]
    return plan_of(lists)
