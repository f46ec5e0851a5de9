"""Plots of what the dashboard API answers: ``plot(answer)`` gives a chart of Altair's, ``save(chart, path)`` a file of it.

Built on the tidy rows of :mod:`amplitude_async.frames`. Axes of numbers begin at zero, nothing is added up that Amplitude counted
apart (unique users of two groups may be the same people), what is left out for lack of room is said under the title, and what is not
over yet looks like it. Files hold all they need: a page that is opened without a network shows the chart.

Needs the extra ``plot``, loaded at the first plot.
"""

from __future__ import annotations

from amplitude_async.plots.kinds import plot
from amplitude_async.plots.saving import save

__all__ = ["plot", "save"]
