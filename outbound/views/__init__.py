"""The pages of the outbound email service."""
