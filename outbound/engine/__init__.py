"""The engine that empties the queue: claims in batches, delivers in threads, records in batches.

store (the statements), work and settle (pure), lanes (threads with sessions), loop (owns the database)."""
