"""The delivery services: one seam (base), SMTP, SendGrid and the presets that fill in their settings."""
