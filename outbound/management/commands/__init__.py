"""Commands of the outbound service."""
