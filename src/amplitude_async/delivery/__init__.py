"""Background delivery: the outbox, its books, and what it keeps on disk. asyncio only."""
