"""What a dashboard query costs, in the units that Amplitude counts: 1,000 within five minutes, 108,000 within an hour.

The cost is days x conditions x type:

- the days of the range, both ends included;
- one condition for each segment (everybody is one) and one for each condition in it, and four for each group-by of the query;
- a type of one for each event of a segmentation, two for each of a funnel, and four for each group-by of an event; eight for a
  retention, four for sessions, one for the rest.

Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#rate-limits
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["OTHER_TYPE", "RETENTION_TYPE", "SESSIONS_TYPE", "funnel_type", "query_cost", "segmentation_type"]

PER_GROUP_BY: Final = 4
RETENTION_TYPE: Final = 8
SESSIONS_TYPE: Final = 4
OTHER_TYPE: Final = 1


def segmentation_type(group_bys: Sequence[int]) -> int:
    """Return the type of an event segmentation, given the number of group-bys of each of its events."""
    return len(group_bys) + PER_GROUP_BY * sum(group_bys)


def funnel_type(group_bys: Sequence[int]) -> int:
    """Return the type of a funnel, given the number of group-bys of each of its events."""
    return 2 * len(group_bys) + PER_GROUP_BY * sum(group_bys)


def query_cost(*, days: int = 1, segments: Sequence[int] = (), group_bys: int = 0, type_cost: int = OTHER_TYPE) -> int:
    """Return the cost of a query.

    Args:
        days: Calendar days of the range; 1 where there is none.
        segments: The number of conditions of each segment; none given means everybody.
        group_bys: The number of group-bys of the query itself.
        type_cost: What its type costs.
    """
    conditions = sum(1 + count for count in segments or (0,)) + PER_GROUP_BY * group_bys
    return days * conditions * type_cost
