"""What a row of an export is made of, and what is wrong with one that is not."""

from __future__ import annotations

__all__ = ["UnreadableRowError"]


class UnreadableRowError(ValueError):
    """A row is no JSON object. Internal: becomes an ExportError with member and line.

    Attributes:
        index: Which of the rows it is.
        reason: What is wrong with it.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason
