"""Tables of what the dashboard API answers, for data frames, notebooks and plain Python.

``table(await amplitude.dashboard.funnels(...)).to_polars()``. Polars, pandas and pyarrow are the user's own: none of them is needed
until it is asked for.
"""

from __future__ import annotations

from amplitude_async.frames.shapes import Kind, Part
from amplitude_async.frames.tables import Table, table

__all__ = ["Kind", "Part", "Table", "table"]
