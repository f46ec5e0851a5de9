"""The notebook of the examples, run as a kernel would."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
from pathlib import Path
from typing import Any

import altair as alt

NOTEBOOK = Path(__file__).parents[2] / "examples" / "dashboards.ipynb"


def shown_by(cells: list[str]) -> list[Any]:
    """Run cells in one namespace on one event loop; return what the last line of each comes to."""
    names: dict[str, Any] = {"__name__": "__main__"}
    shown: list[Any] = []

    async def run(code: ast.Module | ast.Expression, mode: str) -> Any:
        found = eval(compile(code, str(NOTEBOOK), mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        return await found if inspect.isawaitable(found) else found

    async def kernel() -> None:
        for cell in cells:
            tree = ast.parse(cell)
            last = tree.body[-1]
            if isinstance(last, ast.Expr):
                tree.body.pop()
            await run(tree, "exec")
            shown.append(await run(ast.Expression(last.value), "eval") if isinstance(last, ast.Expr) else None)

    asyncio.run(kernel())
    return shown


def test_the_notebook_shows_tables_and_charts() -> None:
    """Its cells run from the top on a kernel's one loop: a frame, then a chart a question, and nothing is stored in the file."""
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    shown = shown_by(["".join(cell["source"]) for cell in code])
    frame, *charts = [one for one in shown if one is not None]
    assert frame.height == 5
    assert len(charts) == 3
    assert all(isinstance(chart, alt.TopLevelMixin) for chart in charts)
