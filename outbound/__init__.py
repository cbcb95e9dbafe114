"""Which mail leaves: requests, the queue, composing, delivery and the log."""
