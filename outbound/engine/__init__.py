"""The engine that empties the queue: claims in batches, delivers over many connections in one thread, records.

store and outcomes (the statements), rows (packed), work and settle (pure), hub (the thread that carries the lanes),
lanes (a session each), loop (owns the database)."""
