"""What docstrings say as Sphinx would read it (``:class:`Timeout```), as Markdown: the site is built by what reads Markdown alone.

An extension of griffe, which reads the docstrings of the reference; named in ``mkdocs.yml``. It also leaves out constructors that are
not for users.
"""

from __future__ import annotations

import re
from itertools import dropwhile
from typing import Any

import griffe

ROLE = re.compile(r":(?P<role>class|meth|func|attr|data|mod|exc):`(?P<short>~?)(?P<path>[\w.]+)`")


def as_code(text: str) -> str:
    """Return the text with names as code: of a path what begins with a class, and a pair of parentheses behind what is called."""

    def code(found: re.Match[str]) -> str:
        parts = found["path"].split(".")
        of_class = list(dropwhile(lambda part: part[0].islower(), parts))
        name = ".".join(of_class or (parts[-1:] if found["short"] else parts))
        return f"`{name}()`" if found["role"] in {"meth", "func"} else f"`{name}`"

    return ROLE.sub(code, text)


class Roles(griffe.Extension):
    """Rewrites each docstring before it is taken apart."""

    def on_object(self, *, obj: griffe.Object, **_others: Any) -> None:  # noqa: ANN401 - the loader and whatever comes with it
        """Rewrite the docstring of a module, class, function or attribute, where it has one."""
        if obj.docstring is not None:
            obj.docstring.value = as_code(obj.docstring.value)

    def on_class_members(self, *, cls: griffe.Class, **_others: Any) -> None:  # noqa: ANN401 - as above
        """Leave out how what hangs off a client is made: only the library does."""
        made = cls.members.get("__init__")
        if isinstance(made, griffe.Function) and "runner" in made.parameters:
            cls.del_member("__init__")
