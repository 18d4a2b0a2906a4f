"""Spark: job specification, rendering, launchers, and what runs in the TEE (agent, entry point, runner)."""
