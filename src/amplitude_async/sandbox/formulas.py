"""The formula language of segmentation: ``UNIQUES(B) / UNIQUES(A)``, ``ROLLAVG(TOTALS, A, 7)``.

Pure. As at https://amplitude.com/docs/analytics/charts/event-segmentation/event-segmentation-custom-formulas; names in any case,
``A1`` is event A in the first segment, a prefix ``%:`` or ``$:`` is for display only. A number that doesn't exist (a division by
zero, a logarithm of nothing) is 0. ``ValueError`` texts say what is wrong.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from amplitude_async.sandbox.measures import DISTRIBUTIONS, MEASURES, WITH_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROLLING: Final = frozenset({"CUMSUM", "ROLLAVG", "ROLLWIN", "ROLLWINBEFORE"})
MOST_FORMULAS: Final = 10
_DEEPEST: Final = 40
_LONGEST: Final = 300  # pieces
_TOKEN: Final = re.compile(r"\s*(?:(\d+(?:\.\d*)?|\.\d+)|([A-Za-z][A-Za-z0-9]*)|([-+*/(),]))", re.ASCII)
_REFERENCE: Final = re.compile(r"([A-Z])(\d{0,4})", re.ASCII)
_PREFIX: Final = re.compile(r"\s*[%$]:")

Numbers = list[float]  # one for each bucket, then the one of the whole range


@dataclass(frozen=True, slots=True)
class Constant:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of an event, over each bucket alone or over several."""

    name: str
    event: int
    segment: int | None  # ``None``: the one whose series it is
    share: float = 0.0
    rolling: str | None = None
    window: int = 1


@dataclass(frozen=True, slots=True)
class Applied:
    """A function or an operator, applied to what is inside."""

    name: str
    inside: tuple[Node, ...]


Node = Constant | Metric | Applied


def _exists(function: Callable[..., float]) -> Callable[..., float]:
    def safely(*numbers: float) -> float:
        try:
            found = function(*numbers)
        except (ArithmeticError, ValueError):
            return 0.0
        return found if isinstance(found, int | float) and math.isfinite(found) else 0.0

    return safely


_FUNCTIONS: Final[dict[str, Callable[..., float]]] = {
    "+": _exists(operator.add),
    "-": _exists(operator.sub),
    "*": _exists(operator.mul),
    "/": _exists(operator.truediv),
    "EXP": _exists(math.exp),
    "LN": _exists(math.log),
    "LOG": _exists(math.log),
    "LOG10": _exists(math.log10),
    "POWER": _exists(math.pow),
    "SQRT": _exists(math.sqrt),
}
_ARGUMENTS: Final = {"EXP": 1, "LN": 1, "LOG": 2, "LOG10": 1, "POWER": 2, "SQRT": 1, "TRENDLINE": 1}


class _Reader:
    """A formula being read, piece by piece."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._read = 0
        self._piece = ""
        prefix = _PREFIX.match(text)
        self._rest = text[prefix.end() :] if prefix else text
        self._next()

    def _next(self) -> str:
        """Step to the next piece; return the one that was current."""
        seen, rest = self._piece, self._rest[self._at :]
        found = _TOKEN.match(rest)
        if found is None and rest.strip():
            self._refuse(f"{rest.strip()[:20]!r} is not understood")
        self._piece = found[0].strip().upper() if found else ""
        self._at += found.end() if found else len(rest)
        self._read += 1
        if self._read > _LONGEST:
            self._refuse("it is too long")
        return seen

    def _refuse(self, why: str) -> NoReturn:
        message = f"Invalid formula {self._text.strip()[:100]!r}: {why}"
        raise ValueError(message)

    def _expect(self, piece: str) -> None:
        if self._next() != piece:
            self._refuse(f"{piece!r} is missing")

    def whole(self) -> Node:
        found = self._sum()
        if self._piece:
            self._refuse(f"{self._piece!r} is unexpected")
        return found

    def _sum(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse("it is too deep")
        found = self._product()
        while self._piece in {"+", "-"}:
            found = Applied(self._next(), (found, self._product()))
        self._depth -= 1
        return found

    def _product(self) -> Node:
        found = self._signed()
        while self._piece in {"*", "/"}:
            found = Applied(self._next(), (found, self._signed()))
        return found

    def _signed(self) -> Node:
        is_negative = False
        while self._piece in {"+", "-"}:
            is_negative ^= self._next() == "-"
        found = self._term()
        return Applied("-", (Constant(0.0), found)) if is_negative else found

    def _term(self) -> Node:
        piece = self._next()
        if piece == "(":
            found = self._sum()
            self._expect(")")
            return found
        if piece[:1].isdigit() or piece[:1] == ".":
            return Constant(float(piece))
        if not piece[:1].isalpha():
            self._refuse("a value is missing")
        self._expect("(")
        if piece in _ARGUMENTS:
            found = self._function(piece)
        elif piece in ROLLING:
            found = self._rolling(piece)
        elif piece in MEASURES or piece in DISTRIBUTIONS:
            found = self._metric(piece)
        else:
            self._refuse(f"{piece} is not offered here")
        self._expect(")")
        return found

    def _function(self, name: str) -> Node:
        inside = [self._sum()]
        while self._piece == ",":
            self._next()
            inside.append(self._sum())
        if len(inside) != _ARGUMENTS[name]:
            self._refuse(f"{name} takes {_ARGUMENTS[name]} of values")
        if not all(isinstance(each, Constant) for each in inside[1:]):
            self._refuse(f"the second value of {name} must be a constant")
        return Applied(name, tuple(inside))

    def _event(self) -> tuple[int, int | None]:
        found = _REFERENCE.fullmatch(self._next())
        if found is None:
            self._refuse("the letter of an event is missing")
        return ord(found[1]) - ord("A"), int(found[2]) - 1 if found[2] else None

    def _number(self) -> float:
        self._expect(",")
        piece = self._next()
        if not piece[:1].isdigit() and piece[:1] != ".":
            self._refuse("a number is missing")
        return float(piece)

    def _metric(self, name: str) -> Metric:
        event, segment = self._event()
        share = self._number() if name in WITH_SHARE else 0.0
        if not 0 <= share <= 1:
            self._refuse(f"the percentile of {name} must be at most 1")
        return Metric(name, event, segment, share)

    def _rolling(self, rolling: str) -> Metric:
        name = self._next()
        if name not in MEASURES or name in WITH_SHARE or name == "ARPAU":
            self._refuse(f"{rolling} takes the name of a metric first")
        self._expect(",")
        event, segment = self._event()
        window = 1 if rolling == "CUMSUM" else self._number()
        if window < 1 or window % 1:
            self._refuse(f"{rolling} takes a whole number of intervals")
        return Metric(name, event, segment, rolling=rolling, window=int(window))


def parse(text: str) -> list[Node]:
    """Read formulas, several with semicolons between."""
    texts = [each for each in text.split(";") if each.strip()]
    if not 1 <= len(texts) <= MOST_FORMULAS:
        message = f"Invalid formula: from 1 to {MOST_FORMULAS} are wanted"
        raise ValueError(message)
    found = [_Reader(each).whole() for each in texts]
    if any(not isinstance(node, Metric) and metric.name in DISTRIBUTIONS for node in found for metric in metrics(node)):
        message = "Invalid formula: a distribution (HIST, PROPHIST) stands alone"
        raise ValueError(message)
    return found


def metrics(node: Node) -> Iterator[Metric]:
    """Yield the metrics that a formula is made of."""
    if isinstance(node, Metric):
        yield node
    elif isinstance(node, Applied):
        for each in node.inside:
            yield from metrics(each)


def evaluate(node: Node, look: Callable[[Metric], Numbers], width: int) -> Numbers:
    """Return what a formula comes to in each of so many buckets, and over the whole range.

    Args:
        node: The formula.
        look: Gives the numbers of a metric.
        width: The number of buckets.
    """
    if isinstance(node, Constant):
        return [node.value] * (width + 1)
    if isinstance(node, Metric):
        return look(node)
    inside = [evaluate(each, look, width) for each in node.inside]
    if node.name == "TRENDLINE":
        return _trend(inside[0])
    return [_FUNCTIONS[node.name](*numbers) for numbers in zip(*inside, strict=True)]


def _trend(numbers: Numbers) -> Numbers:
    """Return the straight line of least squares through the buckets; the whole range stays as it is."""
    points, whole = numbers[:-1], numbers[-1]
    middle, mean = (len(points) - 1) / 2, sum(points) / len(points)
    spread = sum((index - middle) ** 2 for index in range(len(points)))
    slope = sum((index - middle) * (point - mean) for index, point in enumerate(points)) / spread if spread else 0.0
    return [*(mean + slope * (index - middle) for index in range(len(points))), whole]
