"""What docstrings say as Sphinx would read it (``:class:`Timeout```), as Markdown: the site is built by what reads Markdown alone.

An extension of griffe, which reads the docstrings of the reference; named in ``mkdocs.yml``.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?P<role>class|meth|func|attr|data|mod|exc):`~?(?P<path>[\w.]+)`")


def as_code(text: str) -> str:
    """Return the text with names as code: of a path its last part, and a pair of parentheses behind what is called."""

    def code(found: re.Match[str]) -> str:
        name = found["path"] if found["role"] == "mod" else found["path"].rpartition(".")[2]
        return f"`{name}()`" if found["role"] in {"meth", "func"} else f"`{name}`"

    return ROLE.sub(code, text)


class Roles(griffe.Extension):
    """Rewrites each docstring before it is taken apart."""

    def on_object(self, *, obj: griffe.Object, **_others: Any) -> None:  # noqa: ANN401 - the loader and whatever comes with it
        """Rewrite the docstring of a module, class, function or attribute, where it has one."""
        if obj.docstring is not None:
            obj.docstring.value = as_code(obj.docstring.value)
