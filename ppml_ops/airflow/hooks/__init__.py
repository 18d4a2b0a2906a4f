"""Hooks of our connection types: they hold addresses and references to credentials, never a secret."""
