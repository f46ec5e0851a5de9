"""Charts of text: bars, lines, heat. Pure: numbers and a width go in, lines of styled text come out.

Every chart says its numbers too. Colours are told apart by people who do not see all of them, and where there are no colours several
lines are drawn by letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from amplitude_async.cli.printing import as_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["bars", "heat", "lines"]

COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's, which are told apart whatever colours one sees (https://jfly.uni-koeln.de/color/)."""
MOST_SERIES: Final = len(COLOURS)
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_FULL: Final = "█"
_BRAILLE: Final = 0x2800
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_DOTS_WIDE: Final = 2
_DOTS_HIGH: Final = 4
_LONGEST_LABEL: Final = 32
_LEAST_BAR: Final = 10
_DARK: Final = (8, 48, 107)
_LIGHT: Final = (240, 246, 252)
_HALF: Final = 0.5


def _short(text: object, most: int = _LONGEST_LABEL) -> str:
    words = as_text(text)
    return words if cell_len(words) <= most else set_cell_size(words, most - 1) + "…"


def _right(text: str, width: int) -> str:
    return " " * (width - cell_len(text)) + text


def bars(rows: Sequence[tuple[object, float, str]], width: int) -> list[Text]:
    """Draw a bar for each row, its words behind it.

    Args:
        rows: Label, value (0 or more) and words.
        width: How wide it may be.
    """
    if not rows:
        return []
    labels = [_short(label) for label, _, _ in rows]
    pad = max(map(cell_len, labels))
    room = max(_LEAST_BAR, width - pad - 2 - max(len(words) for _, _, words in rows))
    most = max(value for _, value, _ in rows)
    drawn = []
    for label, (_, value, words) in zip(labels, rows, strict=True):
        eighths = round(8 * room * max(value, 0.0) / most) if most > 0 else 0
        bar = _FULL * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
        if value > 0 and not bar:
            bar = _EIGHTHS[1]
        line = Text(f"{_right(label, pad)} ")
        line.append(bar, style=COLOURS[0])
        line.append(f"{' ' if bar else ''}{words}")
        line.truncate(max(width, _LEAST_BAR), overflow="ellipsis")
        drawn.append(line)
    return drawn


def lines(
    series: Mapping[str, Sequence[float | None]], places: Sequence[object], width: int, height: int = 12, *, plain: bool = False
) -> list[Text]:
    """Draw a line for each series over the same places; the axis begins at 0.

    Args:
        series: Values by name; a gap is ``None``. Of more than six the first are drawn.
        places: What the values are at: days, times.
        width: How wide it may be.
        height: How many lines the field has.
        plain: Whether there are no colours.
    """
    chosen = dict(list(series.items())[:MOST_SERIES])
    values = [value for numbers in chosen.values() for value in numbers if value is not None]
    if not values:
        return []
    top = _round_up(max(*values, 0.0))
    bottom = min(*values, 0.0)
    marks = [as_text(top), as_text((top + bottom) / 2), as_text(bottom)]
    pad = max(map(len, marks))
    columns = max(_LEAST_BAR, width - pad - 2)
    grid = _Grid(columns, height, bottom, top)
    for index, numbers in enumerate(chosen.values()):
        grid.draw(numbers, max(len(places), len(numbers)), index)
    by_letters = plain and len(chosen) > 1
    drawn: list[Text] = []
    for row in range(height):
        mark = marks[0] if row == 0 else marks[1] if row == height // 2 else marks[2] if row == height - 1 else ""
        line = Text(f"{mark:>{pad}} │")
        for dots, owner in grid.cells[row]:
            if not dots:
                line.append(" ")
            else:
                line.append(chr(ord("a") + owner) if by_letters else chr(_BRAILLE + dots), style=COLOURS[owner])
        line.rstrip()
        drawn.append(line)
    drawn.append(Text(f"{'':>{pad}} └{'─' * columns}"))
    drawn.append(Text(f"{'':>{pad}}  {_axis([as_text(place) for place in places], columns)}"))
    if len(chosen) > 1:
        legend = Text(f"{'':>{pad}}  ")
        for index, name in enumerate(chosen):
            legend.append(f"{chr(ord('a') + index) if by_letters else '■'} ", style=COLOURS[index])
            legend.append(f"{_short(name, 24)}  ")
        if len(series) > len(chosen):
            legend.append(f"and {len(series) - len(chosen)} more")
        drawn.append(legend)
    return drawn


def _round_up(value: float) -> float:
    """Return a round number that is no less, for the top of an axis."""
    if value <= 0:
        return 1.0
    size = 1.0
    while size * 10 <= value:
        size *= 10
    while size > value:
        size /= 10
    return next(size * step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if size * step >= value)


def _axis(places: Sequence[str], columns: int) -> str:
    """Return the first, the middle and the last place, as far as there is room."""
    if not places:
        return ""
    first, last = places[0], places[-1]
    if len(places) == 1 or len(first) + len(last) + 2 > columns:
        return first[:columns]
    middle = places[len(places) // 2]
    if len(places) > 2 and len(first) + len(middle) + len(last) + 8 <= columns:  # noqa: PLR2004 - more than its two ends
        at = max(len(first) + 2, round((columns - 1) * (len(places) // 2) / (len(places) - 1)) - len(middle) // 2)
        if at + len(middle) + 2 <= columns - len(last):
            head = f"{first:<{at}}{middle}"
            return f"{head}{last:>{columns - len(head)}}"
    return f"{first}{last:>{columns - len(first)}}"


class _Grid:
    """Cells of 2 by 4 dots, each with the series that was drawn there last."""

    def __init__(self, columns: int, rows: int, bottom: float, top: float) -> None:
        self.cells: list[list[tuple[int, int]]] = [[(0, 0)] * columns for _ in range(rows)]
        self._wide = columns * _DOTS_WIDE
        self._high = rows * _DOTS_HIGH
        self._bottom = bottom
        self._span = (top - bottom) or 1.0

    def draw(self, numbers: Sequence[float | None], count: int, owner: int) -> None:
        """Draw one series, joined where there is no gap."""
        before: tuple[int, int] | None = None
        for place, number in enumerate(numbers):
            if number is None:
                before = None
                continue
            x = round((self._wide - 1) * place / max(count - 1, 1))
            y = round((self._high - 1) * (1 - (number - self._bottom) / self._span))
            for dot in _between(before or (x, y), (x, y)):
                self._set(*dot, owner)
            before = (x, y)

    def _set(self, x: int, y: int, owner: int) -> None:
        row, column = y // _DOTS_HIGH, x // _DOTS_WIDE
        dots, _ = self.cells[row][column]
        self.cells[row][column] = (dots | _DOTS[y % _DOTS_HIGH][x % _DOTS_WIDE], owner)


def _between(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (round(start[0] + (end[0] - start[0]) * step / steps), round(start[1] + (end[1] - start[1]) * step / steps))
        for step in range(steps + 1)
    ]


def heat(
    rows: Sequence[tuple[object, str, Sequence[float | None]]], heads: Sequence[str], width: int, *, first: str, second: str
) -> tuple[list[Text], int]:
    """Draw a table of shares, the darker the more. Columns that there is no room for are left out.

    Args:
        rows: Label, words behind it, and a share from 0 to 1 for each column; a gap is ``None``.
        heads: The names of the columns.
        width: How wide it may be.
        first: The head of the labels.
        second: The head of the words.

    Returns:
        The lines, and how many columns were left out.
    """
    labels = [_short(label, 20) for label, _, _ in rows]
    pad = max([len(first), *map(len, labels)])
    wide = max([len(second), *(len(words) for _, words, _ in rows)])
    cell = max([4, *(len(head) for head in heads)]) + 1
    most = max(1, (width - pad - wide - 2) // cell)
    drawn = [Text(f"{first:<{pad}} {second:>{wide}} " + "".join(f"{head:>{cell}}" for head in heads[:most]), style="bold")]
    for label, (_, words, shares) in zip(labels, rows, strict=True):
        line = Text(f"{label:<{pad}} {words:>{wide}} ")
        for share in shares[:most]:
            if share is None:
                line.append(" " * cell)
            else:
                line.append(f"{share:>{cell}.0%}", style=_shade(share))
        line.rstrip()
        drawn.append(line)
    return drawn, max(0, len(heads) - most)


def _shade(share: float) -> str:
    part = min(max(share, 0.0), 1.0)
    red, green, blue = (round(light + (dark - light) * part) for light, dark in zip(_LIGHT, _DARK, strict=True))
    ink = "#ffffff" if part > _HALF else "#000000"
    return f"{ink} on #{red:02x}{green:02x}{blue:02x}"
