"""The public names are what is there, each loaded on first use."""

from __future__ import annotations

import importlib
import pathlib
import pkgutil
import re
import subprocess
import sys

import pytest

import amplitude_async
from amplitude_async import errors


@pytest.mark.parametrize("name", amplitude_async.__all__)
def test_each_public_name_is_there(name: str) -> None:
    """What __all__ promises can be had, and is the same object each time."""
    assert getattr(amplitude_async, name) is getattr(amplitude_async, name)


def test_every_error_is_public() -> None:
    """No error can be raised that users cannot import from the package."""
    names = {name for name in errors.__all__ if name.endswith("Error")}
    assert names <= set(amplitude_async.__all__)


def test_dir_lists_exactly_the_public_names() -> None:
    """dir() shows them, sorted and once."""
    assert dir(amplitude_async) == sorted(set(amplitude_async.__all__))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typo reads like a typo anywhere else."""
    with pytest.raises(AttributeError, match="AsyncAmplitud"):
        _ = amplitude_async.AsyncAmplitud
    with pytest.raises(ImportError):
        importlib.import_module("amplitude_async.nothing_of_the_kind")


def test_each_module_has_what_its_all_says_and_says_what_it_is_for() -> None:
    """Every module opens with a docstring, and its __all__ names only what it has."""
    for found in pkgutil.walk_packages(amplitude_async.__path__, "amplitude_async."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        assert module.__doc__, found.name
        missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
        assert not missing, found.name


def test_one_file_asks_for_the_http_library() -> None:
    """Only the door of the transport imports httpx, by name; import-linter sees whoever would import it by a statement."""
    root = pathlib.Path(amplitude_async.__file__).parent
    # A module named by a variable may be any; one named in full is only of interest if it is an HTTP library.
    by_name = re.compile(r"""__import__|import_module\((?!["'])|import_module\(["'](?:httpx|httpcore|aiohttp)""")
    importers = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if by_name.search(path.read_text("utf-8"))}
    assert importers == {"__init__.py", "_io/transport/door.py"}


def test_the_http_library_waits_for_the_first_call() -> None:
    """Naming and building a client loads neither the HTTP library nor the door that would."""
    program = (
        "import sys, amplitude_async\n"
        "client = amplitude_async.AsyncAmplitude('key')\n"
        "assert not {'httpx', 'httpcore', 'amplitude_async._io.transport.door'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_an_error_is_had_without_the_client() -> None:
    """Asking for one name loads its home and not the rest."""
    program = (
        "import sys, amplitude_async\n"
        "amplitude_async.NotFoundError\n"
        "assert 'amplitude_async.errors' in sys.modules\n"
        "assert 'amplitude_async.client' not in sys.modules\n"
        "assert 'anyio' not in sys.modules and 'msgspec' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
