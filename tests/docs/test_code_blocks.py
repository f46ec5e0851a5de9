"""Every code block of the README and of the documentation is run as it stands, and prints what the page says it prints.

Sybil finds the blocks; what is done with one goes by its language:

- ``python``: run as a program; if it awaits at its top level, as a notebook would. One with ``def test_`` is a test, run by pytest with
  the plugin.
- ``console``: what follows ``$`` is given to a shell, and what it prints is compared.
- ``text``: what the block before it printed.
- ``sh``: commands that install, or serve until they are stopped.
- ``toml``, ``ini``, ``sql``, ``cron``: parsed, asked, looked up.

The blocks of a page share a folder and a sandbox: an instance of Amplitude's in May 2026, whose keys are those that the pages name. Programs
that make a sandbox of their own see nothing of it. In what is compared ``...`` stands for any text, and alone in its line for any lines.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from sybil.document import Document
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

import amplitude_async
from amplitude_async import AsyncAmplitude
from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAY: Final = 1_778_846_400.0  # 2026-05-15 12:00:00 UTC: within the days that the pages ask about
SECONDS: Final = 90
ELSEWHERE: Final = {
    ("README.md", "sh", "pip install --quiet '.[sandbox]'"): "tests/test_readme.py",
    ("README.md", "sh", "pip install --quiet nox"): "tests/test_readme.py",
    ("coming-from-npm.md", "javascript", ""): "tests/vendors/test_coming_from.py",
    ("coming-from-amplitude-analytics.md", "py", ""): "tests/vendors/test_coming_from.py",
    ("coming-from-amplitude-data-wrapper.md", "py", ""): "tests/vendors/test_coming_from.py",
    **{("sandbox.md", name, ""): "tests/vendors/test_languages.py" for name in ("py", "js", "html", "go", "java", "ruby", "sh")},
}
"""Blocks that another test runs: page, language and a part of the text."""
SERVES: Final = re.compile(r"^(?:\S*python -m amplitude_async\.sandbox|amplitude-async sandbox)\b")
RUNNER: Final = """
import ast, asyncio, pathlib, sys
code = compile(pathlib.Path(sys.argv[1]).read_text("utf-8"), sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
async def main():
    await eval(code, {"__name__": "__main__"})
asyncio.run(main())
"""


class Block(NamedTuple):
    """A fenced block."""

    page: Path
    line: int
    language: str
    code: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def elsewhere(self) -> str | None:
        """The test that runs it, if it is not this one."""
        for (page, language, part), test in ELSEWHERE.items():
            if (self.page.name, self.language) == (page, language) and part in self.code:
                return test
        return None


def blocks_of(page: Path) -> list[Block]:
    document = Document.parse(str(page), FencedCodeBlockLexer(r"\w*"))
    return [
        Block(page, example.line, example.region.lexemes["language"], str(example.region.lexemes["source"]))
        for example in document.examples()
    ]


BLOCKS: Final = {page: blocks_of(page) for page in PAGES}


class Reader:
    """Somebody who does what a page says, from its top."""

    def __init__(self, folder: Path, box: Sandbox) -> None:
        self.folder = folder
        self.printed = ""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
        programs = folder / ".programs"
        programs.mkdir()
        for name, module in (("amplitude-async", "amplitude_async.cli"), ("python", "")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {f"-m {module}" if module else ""} "$@"\n', "utf-8")
            program.chmod(0o700)
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "python").symlink_to(programs / "python")
        self.clean = clean | {
            "HOME": str(folder),
            "PATH": f"{programs}:{clean.get('PATH', '')}",
            "PYTHONPATH": str(Path(amplitude_async.__file__).parents[1]),
            "PYTHONWARNINGS": "error",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self.named = self.clean | {
            "AMPLITUDE_BASE_URL": box.url,
            "AMPLITUDE_API_KEY": box.api_key,
            "AMPLITUDE_SECRET_KEY": box.secret_key,
        }

    def do(self, block: Block) -> None:
        """Do what a block says."""
        does: dict[str, Callable[[Block], None]] = {
            "python": self.python,
            "console": self.console,
            "text": self.text,
            "sh": self.sh,
            "toml": self.toml,
            "ini": self.ini,
            "sql": self.sql,
            "cron": self.cron,
        }
        assert block.language in does, f"{block.where}: nothing runs a block of {block.language or 'no language'}"
        does[block.language](block)

    def run(self, command: list[str], environment: dict[str, str], where: str) -> str:
        """Run to the end, and return what a terminal would show."""
        ran = subprocess.run(
            command,
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ran.returncode == 0, f"{where} ended with {ran.returncode}:\n{ran.stdout}"
        return ran.stdout

    def python(self, block: Block) -> None:
        environment = self.clean if "Sandbox(" in block.code else self.named
        if "def test_" in block.code:
            self.printed = self.test(block)
            return
        program = self.folder / "program.py"
        program.write_text(block.code, "utf-8")
        awaits = compile(block.code, block.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT).co_flags & 0x80
        runner = [sys.executable, "-c", RUNNER, str(program)] if awaits else [sys.executable, str(program)]
        self.printed = self.run(runner, environment, block.where)
        assert "Warning" not in self.printed, f"{block.where} warns:\n{self.printed}"

    def test(self, block: Block) -> str:
        (self.folder / "test_page.py").write_text(block.code, "utf-8")
        (self.folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n", "utf-8")
        plugins = ("-p", "amplitude_async.testing", "-p", "pytest_asyncio.plugin")
        environment = self.clean | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        printed = self.run([sys.executable, "-m", "pytest", *plugins, "-q", "test_page.py"], environment, block.where)
        assert f"{len(re.findall(r'def test_', block.code))} passed" in printed
        return printed

    def text(self, block: Block) -> None:
        compare(self.printed, block.code, block.where)

    def console(self, block: Block) -> None:
        for step in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
            command, _, expected = step.partition("\n")
            compare(self.shell(command, block.where), expected, f"{block.where}: {command}")

    def shell(self, command: str, where: str) -> str:
        return self.run(["bash", "-euo", "pipefail", "-c", command], self.named, where)

    def sh(self, block: Block) -> None:
        for command in block.code.replace("\\\n", " ").splitlines():
            if command.startswith("pip install "):
                check_install(command, block.where)
            elif SERVES.match(command):
                self.serve(command, block.where)
            else:
                self.shell(command, block.where)

    def serve(self, command: str, where: str) -> None:
        """Start what serves, on a free port, until it says where it is."""
        command = re.sub(r"--port \d+", "", command)
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command} --port 0"],
            env=self.clean,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        try:
            said = ""
            for line in process.stdout:
                said += line
                if "http://127.0.0.1:" in line:
                    break
            assert "http://127.0.0.1:" in said, f"{where}: {said}"
        finally:
            process.terminate()
            process.stdout.close()
            process.wait(20)

    def sql(self, block: Block) -> None:
        import duckdb

        query = block.code
        for folder in re.findall(r"'(\w+)/\*\.parquet'", query):
            query = query.replace(f"'{folder}/", f"'{self.folder / folder}/")
        with duckdb.connect() as database:
            assert database.execute(query).fetchall(), block.where

    def toml(self, block: Block) -> None:
        assert tomllib.loads(block.code), block.where

    def ini(self, block: Block) -> None:
        parser = configparser.ConfigParser()
        parser.read_string(block.code)
        assert parser.sections(), block.where

    def cron(self, block: Block) -> None:
        for name in re.findall(r"/(\w+\.py)", block.code):
            assert (ROOT / "examples" / name).is_file(), f"{block.where}: {name}"


def check_install(command: str, where: str) -> None:
    """See that a line to install names this package, extras that it has, and nothing else that is not known."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for requirement in shlex.split(command)[2:]:
        match = re.fullmatch(
            r"(amplitude-async)(?:\[([a-z0-9,]+)\])?|pytest|pytest-asyncio|duckdb|jupyterlab|polars|uvicorn", requirement
        )
        assert match is not None, f"{where}: {requirement}"
        assert set((match[2] or "all").split(",")) <= {*extras, "all"}, f"{where}: {requirement}"


def compare(printed: str, expected: str, where: str) -> None:
    """Fail unless what was printed is what the page shows."""
    lines = ["(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n" for line in expected.splitlines()]
    assert re.fullmatch("".join(lines), printed), f"{where} prints\n{printed}"


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(api_key="api-key", secret_key="secret", clock=lambda: MAY) as box:
        yield box


@pytest.fixture
def reader(box: Sandbox, tmp_path: Path) -> Reader:
    """Somebody with an empty folder, before a project that has seen a fortnight of May."""
    box.reset()
    box.seed(users=40, days=14, seed=7)
    return Reader(tmp_path, box)


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCKS[page]], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_says_happens(page: Path, reader: Reader) -> None:
    """A reader who does what the page says, from its top, sees what it shows."""
    for block in BLOCKS[page]:
        if block.elsewhere is None:
            reader.do(block)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name == "apis" and page.stem != "left_out"], ids=lambda page: page.stem
)
def test_each_api_has_a_program_and_what_it_prints(page: Path) -> None:
    """The page of an API begins with a program that runs as it stands, and shows its output."""
    first, second, *_ = BLOCKS[page]
    assert (first.language, second.language) == ("python", "text")
    assert "Sandbox(" in first.code


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_what_is_named_exists(page: Path) -> None:
    """What the text of a page says of the client, an outbox or an export is there under that name."""
    entries: dict[str, Any] = {"amplitude": AsyncAmplitude("api-key", secret_key="secret", management_key="key", scim_token="token")}
    entries["outbox"] = entries["amplitude"].outbox()
    entries["export"] = entries["amplitude"].export(start="20260501T00", end="20260501T01")
    for code in re.findall(r"`([^`\n]+)`", page.read_text("utf-8")):
        for root, names in re.findall(r"(?<![\w.])(amplitude|outbox|export)((?:\.[a-z_]+)+)(?=\()", code):
            found = entries[root]
            if names == ".init":
                # JavaScript's.
                continue
            for name in names.split(".")[1:]:
                assert hasattr(found, name), f"{page.name}: {root}{names}"
                found = getattr(found, name)


def test_what_is_run_elsewhere_is_there() -> None:
    """Every block that is left to another test is there still, and so is that test."""
    blocks = [block for blocks in BLOCKS.values() for block in blocks]
    for (page, language, part), test in ELSEWHERE.items():
        assert any((block.page.name, block.language) == (page, language) and part in block.code for block in blocks), (
            page,
            language,
            part,
        )
        assert (ROOT / test).is_file()


@pytest.mark.parametrize(
    ("printed", "expected", "is_same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\n", False),
        ("a\n", "a\nb\n", False),
        ("a\nb\nc\n", "a\n...\nc\n", True),
        ("a\nc\n", "a\n...\nc\n", True),
        ("a\nb\n", "...\n", True),
        ("a.b\n", "a+b\n", False),
        ("took 12 ms\n", "took ... ms\n", True),
        ("took 12\nms\n", "took ... ms\n", False),
    ],
)
def test_what_is_printed_is_compared(printed: str, expected: str, is_same: bool) -> None:
    """Letter by letter, but for what three dots stand for."""
    with nullcontext() if is_same else pytest.raises(AssertionError):
        compare(printed, expected, "page")
