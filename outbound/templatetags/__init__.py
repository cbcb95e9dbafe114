"""Template tags of the outbound email service."""
