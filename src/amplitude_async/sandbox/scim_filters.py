"""The filter language of SCIM, as far as people and groups have something to be filtered by. Pure.

``attribute op value`` with ``eq ne co sw ew gt ge lt le pr``, joined by ``and``, ``or``, ``not (...)`` and parentheses; attributes are
compared without regard to case, as is text (https://datatracker.ietf.org/doc/html/rfc7644#section-3.4.2.2). ``emails.value`` looks
into the list; ``emails[...]`` is not offered.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Resource = Mapping[str, Any]
Test = Callable[[Resource], bool]

_TOKEN: Final = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<sign>[()])|(?P<word>[^\s()"]+))')
_DEEPEST: Final = 50
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_TEXT_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "co": lambda text, part: part in text,
    "sw": str.startswith,
    "ew": str.endswith,
}


def _wrong(why: str) -> ValueError:
    return ValueError(f"Invalid filter: {why}")


def parsed(text: str) -> Test:
    """Return what a filter tests; ValueError says what is wrong with it."""
    reader = _Reader(_tokens(text))
    test = reader.either(0)
    if reader.left:
        message = f"unexpected {reader.left[0][:100]}"
        raise _wrong(message)
    return test


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    place = 0
    text = text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            message = "a text has no end"
            raise _wrong(message)
        tokens.append(match.group().strip())
        place = match.end()
    return tokens


class _Reader:
    """Reads tokens from the left: ``or`` binds least, then ``and``, then ``not``."""

    def __init__(self, tokens: list[str]) -> None:
        self.left = tokens

    def _next(self, what: str) -> str:
        if not self.left:
            message = f"{what} is missing"
            raise _wrong(message)
        return self.left.pop(0)

    def _accepts(self, word: str) -> bool:
        if self.left and self.left[0].lower() == word:
            self.left.pop(0)
            return True
        return False

    def either(self, depth: int) -> Test:
        """Read conditions joined by ``or``."""
        tests = [self._both(depth)]
        while self._accepts("or"):
            tests.append(self._both(depth))
        return lambda resource: any(test(resource) for test in tests)

    def _both(self, depth: int) -> Test:
        tests = [self._one(depth)]
        while self._accepts("and"):
            tests.append(self._one(depth))
        return lambda resource: all(test(resource) for test in tests)

    def _one(self, depth: int) -> Test:
        if depth > _DEEPEST:
            message = "nested too deeply"
            raise _wrong(message)
        is_negated = self._accepts("not")
        if self._accepts("("):
            inner = self.either(depth + 1)
            if self._next("a closing parenthesis") != ")":
                message = "a closing parenthesis is missing"
                raise _wrong(message)
            return (lambda resource: not inner(resource)) if is_negated else inner
        if is_negated:
            message = "not is followed by parentheses"
            raise _wrong(message)
        return self._comparison()

    def _comparison(self) -> Test:
        attribute = self._next("an attribute")
        if not re.fullmatch(r"[A-Za-z][\w$:.-]*", attribute):
            message = f"{attribute[:100]} is no attribute"
            raise _wrong(message)
        name = self._next("an operator").lower()
        if name == "pr":
            return lambda resource: any(value not in (None, "") for value in values_of(resource, attribute))
        if name not in {"eq", "ne", *_TEXT_TESTS, *_ORDERS}:
            message = f"{name[:100]} is no operator"
            raise _wrong(message)
        try:
            wanted = _lowered(json.loads(self._next("a value")))
        except ValueError as error:
            message = str(error) if str(error).startswith("Invalid filter") else "the value is no JSON value"
            raise _wrong(message.removeprefix("Invalid filter: ")) from None
        return lambda resource: _holds(name, [_lowered(value) for value in values_of(resource, attribute)], wanted)


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _holds(name: str, values: list[object], wanted: object) -> bool:
    if name == "ne":
        return wanted not in values
    if name == "eq":
        return wanted in values
    if name in _TEXT_TESTS:
        return isinstance(wanted, str) and any(_TEXT_TESTS[name](value, wanted) for value in values if isinstance(value, str))
    return any(
        _ORDERS[name](value, wanted)
        for value in values
        if type(value) is type(wanted) and not isinstance(value, bool) and isinstance(value, str | int | float)
    )


def values_of(resource: Resource, attribute: str) -> list[object]:
    """Return the values of an attribute, of lists each; none if there is no such attribute."""
    # A schema's name may stand before an attribute's.
    found: list[object] = [resource]
    for part in attribute.rpartition(":")[2].lower().split("."):
        inner = [value for each in found if isinstance(each, Mapping) for key, value in each.items() if key.lower() == part]
        found = [value for each in inner for value in (each if isinstance(each, list) else [each])]
    return [each.get("value") if isinstance(each, Mapping) else each for each in found]
