"""The commands by name, and what becomes of their errors: one line and an exit code.

The module of a command is loaded when the command is run, or its own help is asked for; ``amplitude-async --help`` loads none of them.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from amplitude_async._version import __version__
from amplitude_async.cli.exits import BROKEN_PIPE, DONE, FAULT, INTERRUPTED, USAGE, code_for, one_line
from amplitude_async.errors import AmplitudeError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import App

__all__ = ["COMMANDS", "main", "make_app"]

_MISSING: Final = "The command line needs packages that are not installed: pip install 'amplitude-async[cli]'"
_DEBUG: Final = "AMPLITUDE_LOG"
_REFUSALS: Final = {
    "events_with_invalid_fields": "invalid:",
    "events_with_missing_fields": "missing:",
    "events_missing_required_fields": "missing:",
}
"""What a refusal of events calls their fields by (https://amplitude.com/docs/apis/analytics/http-v2, "400 error body")."""


class Command(NamedTuple):
    """A command: its name, where it is, what it does in a line; ``of`` is the command it stands under."""

    name: str
    home: str
    help: str
    group: str
    of: str = ""


_SEND, _GET, _ASK, _MANAGE, _HERE = "Send", "Get raw data", "Ask", "Manage", "This machine"

COMMANDS: Final = (
    Command("track", "tracking:track", "Send one event, or events as JSON lines from standard input.", _SEND),
    Command("identify", "tracking:identify", "Change properties of a user, or of many from standard input.", _SEND),
    Command("import", "backfill:import_files", "Send files of events by the Batch API; go on where it was stopped.", _SEND),
    Command("export", "exports:export", "Keep a folder of raw events up to date, or write them to one file.", _GET),
    Command("export-query", "querying:export_query", "Ask SQL of a folder of exported events, with DuckDB.", _GET),
    Command("search", "users:search", "Find users by an id, or the beginning of one.", _ASK, "users"),
    Command("activity", "users:activity", "Show a user's summary and events.", _ASK, "users"),
    Command("segment", "charts:segment", "How often, or by how many users, an event was done.", _ASK),
    Command("funnel", "charts:funnel", "How many users went from one event to the next.", _ASK),
    Command("retention", "charts:retention", "How many users came back.", _ASK),
    Command("active-users", "charts:active_users", "How many users were active, or new.", _ASK),
    Command("realtime", "charts:realtime", "How many users are active now, and were yesterday.", _ASK),
    Command("revenue", "charts:revenue", "What new users are worth in their first 90 days.", _ASK),
    Command("list", "cohorts:list_cohorts", "List the project's cohorts.", _MANAGE, "cohorts"),
    Command("download", "cohorts:download", "Download the members of a cohort.", _MANAGE, "cohorts"),
    Command("upload", "cohorts:upload", "Make a cohort of ids, or replace one.", _MANAGE, "cohorts"),
    Command("add", "cohorts:add", "Add ids to a cohort.", _MANAGE, "cohorts"),
    Command("remove", "cohorts:remove", "Take ids out of a cohort.", _MANAGE, "cohorts"),
    Command("usage", "cohorts:usage", "Say how many of the month's downloads were asked for.", _MANAGE, "cohorts"),
    Command("dump", "taxonomy:dump", "Write the tracking plan as one document.", _MANAGE, "taxonomy"),
    Command("diff", "taxonomy:diff", "Say how the tracking plan differs from such a document.", _MANAGE, "taxonomy"),
    Command("delete", "privacy:delete", "Have users deleted.", _MANAGE, "privacy"),
    Command("jobs", "privacy:jobs", "List deletion jobs.", _MANAGE, "privacy"),
    Command("cancel", "privacy:cancel", "Take a user out of a deletion job.", _MANAGE, "privacy"),
    Command("dsar", "privacy:dsar", "Get everything that is known of a user.", _MANAGE, "privacy"),
    Command("list", "annotations:list_annotations", "List notes on charts.", _MANAGE, "annotations"),
    Command("add", "annotations:add", "Put a note on a chart, or on all of them.", _MANAGE, "annotations"),
    Command("remove", "annotations:remove", "Delete a note.", _MANAGE, "annotations"),
    Command("add", "annotations:add_release", "Mark a release on charts.", _MANAGE, "releases"),
    Command("add", "profiles:add", "Keep keys under a name; they are typed at a prompt.", _HERE, "profile"),
    Command("list", "profiles:list_profiles", "List the profiles, without their keys.", _HERE, "profile"),
    Command("remove", "profiles:remove", "Forget a profile.", _HERE, "profile"),
    Command("status", "outboxes:status", "Count what an outbox file holds.", _HERE, "outbox"),
    Command("list", "outboxes:list_set_aside", "List the events that were set aside, and why.", _HERE, "outbox"),
    Command("retry", "outboxes:retry", "Let events that were set aside be sent again.", _HERE, "outbox"),
    Command("purge", "outboxes:purge", "Delete events that were set aside.", _HERE, "outbox"),
    Command("sandbox", "sandboxes:sandbox", "Serve Amplitude on this machine, to try things on.", _HERE),
    Command("doctor", "doctor:doctor", "Say what is wrong with keys, region, network and clock, and what to do.", _HERE),
    Command("completion", "completion:completion", "Print the completion script of a shell.", _HERE),
)
FAMILIES: Final = {
    "users": ("Find users, and see what they did.", _ASK),
    "cohorts": ("List, download, upload and change cohorts.", _MANAGE),
    "taxonomy": ("The tracking plan as a document: dump it, compare it.", _MANAGE),
    "privacy": ("Deletion of users, and what is known of one.", _MANAGE),
    "annotations": ("Notes on charts.", _MANAGE),
    "releases": ("Releases, marked on charts.", _MANAGE),
    "profile": ("Keep the keys of projects under names.", _HERE),
    "outbox": ("Look after the file of a durable outbox.", _HERE),
}


def make_app(arguments: Sequence[str] = ()) -> App:
    """Return the program, its commands not loaded yet.

    Args:
        arguments: What it will be called with. The command that they name is described by its own docstring, the others in a line.
    """
    from cyclopts import App, Group, Parameter  # noqa: PLC0415 - an extra, and nothing else of this module needs it

    from amplitude_async.cli.printing import help_console  # noqa: PLC0415 - as above

    words = [argument for argument in arguments if not argument.startswith("-")]
    groups = {name: Group(name, sort_key=place) for place, name in enumerate((_SEND, _GET, _ASK, _MANAGE, _HERE))}
    app = App(
        name="amplitude-async",
        help="Amplitude from the command line: send events, get them back, ask for numbers. Unofficial.",
        version=__version__,
        help_format="plaintext",
        result_action="return_value",
        console=help_console(),
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(negative=(), negative_iterable=(), show_default=False),
    )
    families: dict[str, App] = {}
    for name, (line, group) in FAMILIES.items():
        families[name] = App(name=name, help=line, group=groups[group])
        app.command(families[name])
    for command in COMMANDS:
        home = families[command.of] if command.of else app
        options: dict[str, Any] = {} if command.of else {"group": groups[command.group]}
        if words[: 2 if command.of else 1] != [*filter(None, (command.of, command.name))]:
            options["help"] = command.help
        home.command(f"amplitude_async.cli.{command.home}", name=command.name, **options)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        from cyclopts import CycloptsError  # noqa: PLC0415 - an extra
    except ImportError:
        return _said(_MISSING, 3)
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # whatever else it is given, it says one line
    _prepare_streams()
    if os.environ.get(_DEBUG) != "debug":
        # What a command has to say it says itself; the library's records would come twice.
        logging.getLogger("amplitude_async").addHandler(logging.NullHandler())
    given = [_read_anew(argument) for argument in (sys.argv[1:] if arguments is None else arguments)]
    code: int
    try:
        result = make_app(given)(given, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        code = result if isinstance(result, int) else DONE
    except CycloptsError as error:
        error.verbose = False
        code = _said(f"{error} (--help shows what there is)", USAGE)
    except BrokenPipeError:
        _let_go()
        code = BROKEN_PIPE
    except KeyboardInterrupt:
        # A second Ctrl-C must not end in a traceback while this one is said.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = _said("interrupted", INTERRUPTED)
    except (AmplitudeError, OSError) as error:
        _let_go()
        code = _said(_words(error), code_for(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets a line and no traceback
        if os.environ.get(_DEBUG) == "debug":
            traceback.print_exc()
        code = _said(f"a fault of amplitude-async itself: {type(error).__name__}: {error} ({_DEBUG}=debug shows where)", FAULT)
    return code


def _let_go() -> None:
    """Drop what cannot be written to standard output: Python would try once more at its end, with an exit code of its own."""
    from amplitude_async.cli.printing import silence  # noqa: PLC0415 - rich is loaded where it is used

    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        silence()


def _prepare_streams() -> None:
    """See that whatever is said can be: neither a letter nor a stream that was closed is a reason to fail."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - open as long as the program runs
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Closed by whoever started this.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - as above
        elif isinstance(stream, io.TextIOWrapper):
            # Programs read UTF-8, whatever the locale is; a terminal that cannot show a letter shows another.
            is_as_asked = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=None if is_as_asked else "utf-8", errors="replace")


def _read_anew(argument: str) -> str:
    """Return an argument as the UTF-8 that it is, also where the locale knew no better than to keep its bytes as surrogates."""
    try:
        return argument.encode(sys.getfilesystemencoding(), "surrogateescape").decode("utf-8")
    except UnicodeError:
        return argument


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, AmplitudeError):
        return f"{error.strerror or type(error).__name__}{f': {error.filename}' if error.filename else ''}"
    if isinstance(error, ResponseError) and isinstance(error.data, dict):
        # Which fields a refusal is about is in its data; one event from arguments has no file that they would be written to.
        found = {words: error.data.get(key) for key, words in _REFUSALS.items()}
        named = [f"{words} {', '.join(map(str, fields))}" for words, fields in found.items() if fields and isinstance(fields, dict)]
        return "; ".join([str(error), *named])
    # The library speaks of its argument; here it is an option.
    return str(error).replace("allow_clear_text=True", "--allow-clear-text")


def _said(text: str, code: int) -> int:
    try:
        print(f"amplitude-async: {one_line(text)}", file=sys.stderr, flush=True)  # noqa: T201 - a program that talks to its user
    except OSError:
        return code
    return code


def _show_warning(message: Warning | str, *_rest: object) -> None:
    """Say a warning of the library in a line."""
    print(f"amplitude-async: note: {one_line(str(message))}", file=sys.stderr, flush=True)  # noqa: T201 - as above
