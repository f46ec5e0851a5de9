"""The command as a whole: its help, its exit codes, its ends."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amplitude_async._version import __version__
from amplitude_async.cli.exits import EXITS
from amplitude_async.cli.program import COMMANDS, FAMILIES, make_app

from .conftest import COMMAND, finished, until

if TYPE_CHECKING:
    from amplitude_async.sandbox import Sandbox

    from .conftest import Cli

ROOT = Path(__file__).parents[2]


def test_the_help_names_every_command_and_loads_none(lone_cli: Cli) -> None:
    """``--help`` is quick: no client, no HTTP library, no table of results is loaded for it."""
    shown = lone_cli("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^│ {command.of or command.name} ", shown, re.MULTILINE), command
    program = (
        # What measures coverage may have loaded some before.
        "import sys\nbefore = set(sys.modules)\nfrom amplitude_async.cli.program import main\nmain(['--help'])\n"
        "loaded = {'httpx', 'anyio', 'msgspec', 'sqlite3', 'amplitude_async.client', 'amplitude_async.cli.charts'} & (set(sys.modules) - before)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, capture_output=True)


def test_importing_the_library_loads_nothing_of_the_command() -> None:
    """Who only uses the library pays for no part of its command line."""
    program = (
        "import sys, amplitude_async\namplitude_async.AsyncAmplitude('key')\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] in {'cyclopts', 'rich'} or name.startswith('amplitude_async.cli.')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_each_command_describes_itself(lone_cli: Cli) -> None:
    """The help of every command tells what it does, and every argument and option has its words."""
    calls = [[*filter(None, (command.of, command.name)), "--help"] for command in COMMANDS]
    for (*words, _), shown in zip(calls, lone_cli.several(*calls), strict=True):
        assert f"Usage: amplitude-async {' '.join(words)}" in shown
        assert not re.findall(r"^│ (?:\*  )?(?:--[\w-]+|[A-Z_]+)(?: -\w)?(?: [A-Z.]+)? +│$", shown, re.MULTILINE), shown


def test_every_command_takes_json() -> None:
    """What a script reads is JSON, whatever the command."""
    for command in COMMANDS:
        module, _, name = command.home.partition(":")
        taken = inspect.signature(getattr(import_module(f"amplitude_async.cli.{module}"), name)).parameters
        assert {"json", "connection"} & set(taken), command


def test_every_family_has_commands() -> None:
    """No family of commands is announced that has none, and none is there that is not announced."""
    assert set(FAMILIES) == {command.of for command in COMMANDS} - {""}
    assert make_app().name == ("amplitude-async",)


def test_it_says_its_version(lone_cli: Cli) -> None:
    """``--version`` prints the version of the library."""
    assert lone_cli("--version").stdout.strip() == __version__


BAD_INPUT = {
    "Unknown command": ["nope"],
    "requires an argument": ["export"],
    "--user-idd": ["track", "x", "--user-idd", "y"],
    "moods": ["segment", "x", "--metric", "moods"],
    "no length of time": ["export", "--last", "7m", "raw"],
    "Whom?": ["privacy", "delete"],
    "not both": ["retention", "--range", "2026-05", "--last", "7d"],
    "one of": ["segment", "x", "--json", "--csv"],
    ".svg": ["segment", "x", "--plot", "x.gif"],
    "two events": ["funnel", "one"],
    "no option of track": ["track", "--nope"],
    "above 0": ["import", "x", "--rate", "0"],
    "above 0, not 0": ["track", "x", "--user-id", "user-12345", "--timeout", "0"],
    "is a number": ["users", "activity", "user-12345"],
    "through a pipe": ["import", "."],
}


def test_bad_input_is_one_line_and_code_2(cli: Cli) -> None:
    """Whatever is wrong with what was typed, it is said in one line, before anything is sent."""
    for (says, call), (code, out, err) in zip(BAD_INPUT.items(), cli.ends(*BAD_INPUT.values()), strict=True):
        assert (code, out) == (2, ""), (call, err)
        assert says in err, call
        assert len(err.strip().splitlines()) == 1
        assert err.startswith("amplitude-async: ")
    assert "search" in cli("users").stdout


def test_errors_have_their_exit_codes(cli: Cli, box: Sandbox) -> None:
    """Scripts can tell a wrong key from a missing one, from a refusal, from no connection, from too many requests."""
    wrong = cli.env | {"AMPLITUDE_SECRET_KEY": "invented"}
    right, cli.env = cli.env, wrong
    cli("users", "search", "x", code=4)
    cli.env = {name: value for name, value in right.items() if not name.startswith("AMPLITUDE_") or name == "AMPLITUDE_BASE_URL"}
    assert "AMPLITUDE_API_KEY" in cli("users", "search", "x", code=3).stderr
    cli.env = right | {"AMPLITUDE_BASE_URL": "http://127.0.0.1:9"}
    cli("users", "search", "x", "--timeout", "2", code=8)
    cli.env = right
    with box.faults.during(status=500, path="/api/2/usersearch"):
        cli("users", "search", "x", code=7)
    with box.faults.during(status=429, path="/api/2/usersearch", headers={"Retry-After": "0"}):
        cli("users", "search", "x", code=6)
    cli("export", "2026-05-01", "one.zip", code=5)
    assert cli("users", "search", "x").returncode == 0


def test_no_key_is_shown_whatever_goes_wrong(cli: Cli) -> None:
    """Errors of wrong keys name neither the key nor the secret."""
    cli.env |= {"AMPLITUDE_API_KEY": "invented-key-1", "AMPLITUDE_SECRET_KEY": "invented-secret-2", "AMPLITUDE_LOG": "debug"}
    for arguments in (["users", "search", "x"], ["track", "x", "--user-id", "user-12345"], ["export", "2026-05-01", "raw"]):
        done = cli.start(*arguments)
        code, out, err = finished(done)
        assert code == 4, err
        assert "invented" not in out + err


def test_a_fault_of_the_command_itself_is_a_line_too(lone_cli: Cli, tmp_path: Path) -> None:
    """What nobody foresaw ends in code 70 and a line; the traceback comes only where it is asked for."""
    program = (
        "import sys\nfrom amplitude_async.cli import program, keys\n"
        "def broken(path): raise RuntimeError('on purpose')\n"
        "import amplitude_async.cli.profiles as profiles\nprofiles.load = broken\n"
        "sys.exit(program.main(['profile', 'list']))\n"
    )
    for level in ("", "debug"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=lone_cli.env | {"AMPLITUDE_LOG": level},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 70
        assert "on purpose" in done.stderr
        assert ("Traceback" in done.stderr) is (level == "debug")


def test_without_the_extra_it_says_so(lone_cli: Cli) -> None:
    """Where cyclopts is not installed, the command names the extra."""
    program = "import sys\nsys.modules['cyclopts'] = None\nfrom amplitude_async.cli.program import main\nsys.exit(main([]))\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "amplitude-async[cli]" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize(
    "arguments", [["segment", "app_opened", "--last", "300d", "--csv"], ["users", "search", "user", "--json"], ["--help"]]
)
def test_a_reader_who_leaves_is_no_error(ask: Cli, arguments: list[str]) -> None:
    """With standard output closed early the command ends in silence, as head(1) expects of its writer."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "amplitude_async.cli", *arguments],
            env=ask.env,
            stdout=writing,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_said(ask: Cli, unbuffered: str) -> None:
    """What could not be written is an error of files, and not half an answer with code 0."""
    ask.env["PYTHONUNBUFFERED"] = unbuffered
    for arguments in (["segment", "app_opened"], ["users", "search", "user", "--json"], ["--help"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run([*COMMAND, *arguments], env=ask.env, stdout=full, stderr=-1, stdin=-3, timeout=60, check=False)
        assert done.returncode == 10
        assert done.stderr == b"amplitude-async: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
@pytest.mark.parametrize(
    ("how", "code"), [("users search user >&-", 0), ("users search user 2>&-", 0), ("nope >&- 2>&-", 2), ("track <&-", 0)]
)
def test_streams_that_are_closed_are_no_fault(ask: Cli, how: str, code: int) -> None:
    """Whoever closes an output wants to hear nothing; a closed input has no lines."""
    command = f"{shlex.join(COMMAND)} {how}"
    done = subprocess.run(["sh", "-c", command], env=ask.env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, ""), done.stderr


FOREIGN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def test_a_pipe_has_utf_8_whatever_the_locale_is(cli: Cli) -> None:
    """Arguments, standard input and what is printed are UTF-8 where the locale knows ASCII alone."""
    cli.env |= FOREIGN
    cli("track", "größe", "--user-id", "usér-12345", "-p", "ort=Tromsø")
    line = json.dumps({"event_type": "größe", "user_id": "usér-67890"}, ensure_ascii=False)
    for words, stdin in ((["track"], line), (["users", "search", "usér"], ""), (["users", "search", "usér", "--json"], "")):
        done = subprocess.run([*COMMAND, *words], env=cli.env, input=stdin.encode(), capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    shown = done.stdout.decode("utf-8")
    assert {match["user_id"] for match in json.loads(shown)["matches"]} == {"usér-12345", "usér-67890"}
    assert "usér" in shown


def test_what_cannot_be_shown_is_shown_otherwise(ask: Cli) -> None:
    """Where an encoding is asked for that has no such letters, charts are of ASCII, and JSON is escaped and stays what it was."""
    ask.env["PYTHONIOENCODING"] = "ascii"
    for arguments in (
        ["segment", "app_opened", "--last", "10d", "--chart"],
        ["funnel", "signup", "purchase", "--last", "10d", "--chart"],
    ):
        shown = ask(*arguments).stdout
        assert "***" in shown
        assert "?" not in shown
    program = "from amplitude_async.cli.printing import print_json\nprint_json({'name': 'größe'})"
    done = subprocess.run([sys.executable, "-c", program], env=ask.env, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout) == {"name": "größe"}


NARROW = """
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if not pid:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, int(sys.argv[1]), 0, 0))
    os.execv(sys.executable, [sys.executable, "-m", "amplitude_async.cli", *sys.argv[2:]])
shown = b""
try:
    while piece := os.read(terminal, 4096):
        shown += piece
except OSError:
    pass
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "search", "user-"],
        ["retention", "signup", "app_opened", "--last", "20d"],
        ["funnel", "signup", "cart_filled", "purchase", "--last", "20d", "--chart"],
        ["segment", "app_opened", "--last", "5d", "--group-by", "country"],
        ["segment", "app_opened", "--last", "20d", "--group-by", "platform", "--chart"],
        ["doctor"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_nothing_is_wider_than_the_terminal(ask: Cli, arguments: list[str], width: int) -> None:
    """No line is wrapped by the terminal and no word is cut: what has no room goes below, or is left out and said to be."""
    del ask.env["COLUMNS"]
    ask.env |= {"TERM": "xterm-256color", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", NARROW, str(width), *arguments], env=ask.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)
    lines = shown.splitlines()
    assert max(len(line) for line in lines) <= width, shown
    if arguments[0] == "users":
        assert re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", shown)
        assert ("\n\n" in shown) is (width < 100)
    if arguments[0] == "retention":
        assert ("more columns" in shown) is (width < 200)


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
@pytest.mark.parametrize(
    ("change", "colours", "escapes"), [({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)]
)
def test_colours_are_the_terminals_and_the_users_wish(ask: Cli, change: dict[str, str], colours: bool, escapes: bool) -> None:
    """A terminal gets colours, one that cannot show them does not, and NO_COLOR (https://no-color.org) is heeded."""
    ask.env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", **change}
    command = [sys.executable, "-c", NARROW, "100", "retention", "signup", "app_opened", "--last", "10d"]
    shown = subprocess.run(command, env=ask.env, capture_output=True, text=True, timeout=60, check=True).stdout
    assert ("\x1b[38;2" in shown) is colours
    assert ("\x1b[" in shown) is escapes


def test_ctrl_c_ends_a_query_at_once(cli: Cli, box: Sandbox) -> None:
    """A query that hangs is left with code 130 and one line."""
    with box.faults.during(delay=60, path="/api/2/usersearch") as ticket:
        process = cli.start("users", "search", "x")
        until(lambda: ticket.hits > 0)
        process.send_signal(signal.SIGINT)
        code, out, err = finished(process)
    assert (code, out, err) == (130, "", "amplitude-async: interrupted\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_completion_script(lone_cli: Cli, shell: str) -> None:
    """The script is one of that shell, for this command, and the shell can read it."""
    script = lone_cli("completion", shell).stdout
    assert "amplitude-async" in script
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=script, text=True, check=True, timeout=30, capture_output=True)


BASH = """
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(( $# - 1 )) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
complete_by=$(complete -p amplitude-async | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$complete_by amplitude-async "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
echo "${COMPREPLY[*]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_values_and_files(lone_cli: Cli) -> None:
    """What the tab key gives, as bash itself finds it by the script."""
    script = lone_cli.folder / "completion.bash"
    script.write_text(lone_cli("completion", "bash").stdout)
    (lone_cli.folder / "old.ndjson").touch()
    for words, found in (
        (["se"], {"segment"}),
        (["users", ""], {"search", "activity"}),
        (["segment", "--metr"], {"--metric"}),
        (["export", "--format", ""], {"parquet", "ndjson", "zip"}),
        (["import", "old"], {"old.ndjson"}),
    ):
        command = ["bash", "-c", BASH, "bash", str(script), "amplitude-async", *words]
        done = subprocess.run(command, cwd=lone_cli.folder, capture_output=True, text=True, timeout=30, check=True)
        assert set(done.stdout.split()) == found, (words, done.stdout, done.stderr)


def test_the_script_of_zsh_can_be_sourced_or_loaded(lone_cli: Cli) -> None:
    """It does not only define a function: loaded from a file of any name it completes, sourced it says what it completes."""
    script = lone_cli("completion", "zsh").stdout
    assert script.startswith("#compdef amplitude-async\n")
    function = re.search(r"^(\S+)\(\) \{", script, re.MULTILINE)
    assert function is not None
    assert f'\n  {function[1]} "$@"\nelse\n  compdef {function[1]} amplitude-async\nfi\n' in script


def test_the_page_has_every_exit_code() -> None:
    """The table of the documentation is that of the program."""
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for found in EXITS:
        assert f"| {found.code} | {found.meaning} |" in page


def test_the_page_has_every_command() -> None:
    """No command is left out of the documentation."""
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for command in COMMANDS:
        assert f"`{' '.join(filter(None, (command.of, command.name)))}" in page, command
